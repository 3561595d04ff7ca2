"""docker-compose.yml, without Docker; docker/try.py tries it with."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from ray.scripts.scripts import start as ray_start
from ruamel.yaml import YAML

from tune_app.run import ray_settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SECRETS = {"POSTGRES_PASSWORD": "a-password", "RAY_AUTH_TOKEN": "a-token"}
OURS = ("mlflow", "head", "worker", "launch")
RAY = ("head", "worker", "launch")
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<rest>[^}]*))?\}")


class MissingVariable(Exception):
    pass


def read(variables, text=TEXT):
    """The file as Compose reads it: these variables put in, anchors and merge keys followed."""

    def value(match):
        if match[0] == "$$":
            return "$"
        if variables.get(match["name"]):
            return variables[match["name"]]
        if match["how"] != ":-":
            raise MissingVariable(match["rest"] or match["name"])
        return match["rest"]

    def put_in(node):
        if isinstance(node, dict):
            return {key: put_in(each) for key, each in node.items()}
        if isinstance(node, list):
            return [put_in(each) for each in node]
        return VARIABLE.sub(value, node) if isinstance(node, str) else node

    return put_in(YAML(typ="safe", pure=True).load(text))


@pytest.fixture
def services():
    return read(SECRETS)["services"]


def words(command):
    return command.split() if isinstance(command, str) else command


def test_nothing_is_published_beyond_this_machine(services):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:5000:5000", "127.0.0.1:8265:8265"]


def test_the_page_is_where_a_launch_says(services):
    moved = read({**SECRETS, "DASHBOARD_PORT": "8266"})["services"]
    assert moved["head"]["ports"] == ["127.0.0.1:8266:8265"]
    for name in ("head", "launch"):
        said = moved[name]["environment"]["RAY_OVERRIDE_DASHBOARD_URL"]
        assert said == "http://127.0.0.1:8266"


def test_nobody_listens_on_the_host_s_own_network(services):
    assert not any("network_mode" in service for service in services.values())


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_starts_and_it_is_said_how_to_make_one(name):
    with pytest.raises(MissingVariable, match=f"run: .*{name}=.* >> .env"):
        read({**SECRETS, name: ""})


def test_no_secret_has_a_default():
    for match in VARIABLE.finditer(TEXT):
        if match["name"] and re.search("PASSWORD|TOKEN|SECRET|KEY", match["name"]):
            assert match["how"] == ":?", match[0]


def test_no_secret_is_written_in_the_file(services):
    for service in services.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|TOKEN|SECRET|KEY", name):
                assert value in (None, *SECRETS.values()), name
    assert not re.search(r"://[^/\s]*:[^/\s]*@", TEXT)


def test_the_command_that_makes_env_makes_every_secret(tmp_path):
    (command,) = re.findall(r"^# +(for name in .*)$", TEXT, re.MULTILINE)
    openssl = tmp_path / "openssl"
    openssl.write_text("#!/bin/sh\necho secret of $*\n")
    openssl.chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env={"PATH": path}, check=True)
    made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert made == dict.fromkeys(SECRETS, "secret of rand -hex 32")


def test_what_stays_up_is_watched_and_started_again(services):
    for name, service in services.items():
        if "profiles" not in service:
            assert "test" in service["healthcheck"], name
            assert service["restart"] == "unless-stopped", name


def test_who_needs_a_service_waits_until_it_is_healthy(services):
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[name]


def test_a_launch_leaves_the_number_of_workers_alone(services):
    assert set(services["launch"]["depends_on"]) == {"head", "mlflow"}


def test_ray_is_on_one_network(services):
    for name in RAY:
        assert services[name]["networks"] == ["cluster"]


def test_only_mlflow_reaches_the_database(services):
    on_it = {name for name, service in services.items() if "database" in service["networks"]}
    assert on_it == {"database", "mlflow"}
    assert read(SECRETS)["networks"]["database"] == {"internal": True}


def test_our_containers_may_do_nothing_special(services):
    for name in OURS:
        assert services[name]["image"] == "lottery-sweeps"
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "cap_add", "user", "pid", "ipc"} & set(services[name])
    assert services["mlflow"]["read_only"]


def test_images_of_others_have_a_version(services):
    for name in set(services) - set(OURS):
        assert re.search(r":\d", services[name]["image"]), name


def test_ray_asks_everyone_for_the_token(services):
    for name in RAY:
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert services[name]["environment"]["RAY_AUTH_TOKEN"] == SECRETS["RAY_AUTH_TOKEN"]


def test_ray_s_settings_are_those_of_a_launch_without_docker(services, monkeypatch):
    for name in list(os.environ):
        if name.startswith("RAY_"):
            monkeypatch.delenv(name)
    ray_settings.apply()
    for name, value in services["head"]["environment"].items():
        if name.startswith("RAY_") and "AUTH" not in name and "DASHBOARD" not in name:
            assert os.environ[name] == value


def test_ray_knows_its_options(services):
    for name in ("head", "worker"):
        ray, start, *options = words(services[name]["command"])
        assert (ray, start) == ("ray", "start")
        ray_start.make_context("ray start", options)


def test_the_head_takes_no_trials_and_the_workers_as_many_as_they_are_told(services):
    assert "--num-cpus=0" in words(services["head"]["command"])
    worker = read({**SECRETS, "WORKER_CPUS": "6"})["services"]["worker"]
    assert "--num-cpus=6" in words(worker["command"])


def test_the_object_store_fits_into_shared_memory():
    services = read({**SECRETS, "OBJECT_STORE_GB": "3"})["services"]
    for name in RAY:
        assert services[name]["shm_size"] == "3gb"  # 3 x 2**30
        command = services[name]["entrypoint" if name == "launch" else "command"]
        assert "--object-store-memory=3000000000" in str(command)


def test_mlflow_answers_to_its_own_names_only(services):
    def hosts(**variables):
        environment = read({**SECRETS, **variables})["services"]["mlflow"]["environment"]
        return set(environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","))

    assert hosts() == {"mlflow:5000", "localhost:5000", "127.0.0.1:5000", "localhost"}
    named = hosts(MLFLOW_PORT="5001", PUBLIC_NAME="sweeps.example")
    assert named == {"mlflow:5000", "localhost:5001", "127.0.0.1:5001", "sweeps.example"}
    for name in ("head", "launch"):
        assert services[name]["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


def test_nothing_calls_home(services):
    for name in RAY:
        assert services[name]["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"
    assert services["mlflow"]["environment"]["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_all_nodes_share_the_runs(services):
    for name in RAY:
        assert "runs:/runs" in services[name]["volumes"]
        assert "./runs:/runs" in read({**SECRETS, "RUNS": "./runs"})["services"][name]["volumes"]


def test_whatever_launches_finds_data_sets_in_one_place(services):
    for name in ("head", "launch"):
        assert "data:/app/data" in services[name]["volumes"]
        assert "./d:/app/data" in read({**SECRETS, "DATA_DIR": "./d"})["services"][name]["volumes"]


def test_every_volume_is_declared(services):
    named = {
        source
        for service in services.values()
        for source, *_ in (volume.split(":") for volume in service.get("volumes", []))
        if not source.startswith(".")
    }
    assert named == set(read(SECRETS)["volumes"])


@pytest.mark.parametrize("code", [0, 3])
def test_a_launch_joins_ray_hands_its_arguments_on_and_ends_as_they_do(services, tmp_path, code):
    for program, ends in (("ray", 0), ("python", code)):
        path = tmp_path / program
        path.write_text(f'#!/bin/sh\nprintf "%s|" {program} "$@" >&2\nexit {ends}\n')
        path.chmod(0o700)
    arguments = ["sweeps/lr_grid.yaml", "seeds=[0, 1]"]
    done = subprocess.run(
        [*services["launch"]["entrypoint"], *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    joined, launched = done.stderr.split("python|")
    _, _, *options = joined.strip("|").split("|")
    ray_start.make_context("ray start", options.copy())
    assert {"--address=head:6379", "--num-cpus=0", "--num-gpus=0"} <= set(options)
    assert launched.strip("|").split("|") == ["-m", "tune_app.launch", "--out", "/runs", *arguments]


def test_a_launch_that_cannot_join_ray_starts_nothing(services, tmp_path):
    (tmp_path / "ray").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").write_text("#!/bin/sh\necho started\n")
    for program in ("ray", "python"):
        (tmp_path / program).chmod(0o700)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(services["launch"]["entrypoint"], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_image_is_built_once_for_all_and_knows_its_commit():
    services = read({**SECRETS, "LOTTERY_COMMIT": "c0ffee"})["services"]
    built = {name: service["build"] for name, service in services.items() if "build" in service}
    file = {"context": ".", "dockerfile": "docker/Dockerfile"}
    assert built == {"head": {**file, "args": {"LOTTERY_COMMIT": "c0ffee"}}}


def test_gpus_are_for_workers_and_an_image_that_can_use_them():
    gpu = read(SECRETS, (ROOT / "docker" / "gpu.yaml").read_text())["services"]
    assert gpu.keys() == {"head", "worker"}
    (argument,) = gpu["head"]["build"]["args"]
    assert f"\nARG {argument}=" in (ROOT / "docker" / "Dockerfile").read_text()
    (device,) = gpu["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_every_setting_that_the_head_of_the_file_tells_of_is_one():
    told = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", TEXT[: TEXT.index("\nname:")]))
    used = {match["name"] for match in VARIABLE.finditer(TEXT)} - {None}
    others = {"COMPOSE_FILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}
    assert told - others <= used
    assert used - {"BIND", "RUNS"} <= told
