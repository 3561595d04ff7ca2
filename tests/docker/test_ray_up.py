"""docker/ray-aws.yaml and docker/ray-gcp.yaml, held against Ray's own reading of them, offline."""

import copy
import re
from pathlib import Path

import jsonschema
import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start as ray_start
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
FILES = ("ray-aws.yaml", "ray-gcp.yaml")


@pytest.fixture(scope="module", params=FILES)
def text(request):
    return (ROOT / "docker" / request.param).read_text()


@pytest.fixture
def config(text, monkeypatch):
    monkeypatch.chdir(ROOT)  # where its paths start
    return copy.deepcopy(YAML(typ="safe", pure=True).load(text))


def commands(config):
    return [
        command for key, value in config.items() if key.endswith("_commands") for command in value
    ]


def test_ray_takes_the_file(config):
    validate_config(prepare_config(config))


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(max_worker=8),
        lambda config: config.update(head_node_type="heads"),
        lambda config: config["available_node_types"]["worker"].update(max_workers="8"),
        lambda config: config["available_node_types"]["worker"].update(spot=True),
        lambda config: config["available_node_types"]["worker"]["resources"].update(GPU=-1),
        lambda config: config.update(idle_timeout_minutes="five"),
    ],
)
def test_ray_would_notice_a_mistake(config, change):
    change(config)
    with pytest.raises((ValueError, jsonschema.ValidationError)):
        validate_config(prepare_config(config))


def test_workers_have_a_gpu_are_spot_and_come_when_needed(config):
    worker = config["available_node_types"]["worker"]
    assert worker["resources"]["GPU"] == 1
    assert (worker["min_workers"], worker["max_workers"]) == (0, config["max_workers"])
    assert "spot" in str(worker["node_config"]).lower()


def test_the_head_takes_no_trials(config):
    assert config["available_node_types"][config["head_node_type"]]["resources"] == {
        "CPU": 0,
        "GPU": 0,
    }


def test_ray_knows_its_options(config):
    starts = re.findall(r"ray start ([^;\n]*)", "\n".join(commands(config)))
    assert len(starts) == 2
    for options in starts:
        context = ray_start.make_context("ray start", options.split())
        if context.params["head"]:
            assert context.params["num_cpus"] == 0
            assert context.params["dashboard_host"] == "127.0.0.1"
            assert context.params["autoscaling_config"]
            assert context.params["disable_usage_stats"]  # `ray up` switches them on otherwise


def test_the_token_is_on_every_node_and_asked_for(config):
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("RAY_AUTH_MODE=token" in command for command in config["setup_commands"])


def test_the_package_goes_along_whole(config):
    mounted = {
        local: remote.removeprefix("~/lottery-sweeps/")
        for remote, local in config["file_mounts"].items()
        if "lottery-sweeps" in remote
    }
    assert all(local == remote for local, remote in mounted.items())
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert set(mounted) == {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / local).exists() for local in mounted)


def test_nodes_that_start_later_have_the_same_versions(config):
    (install,) = [command for command in config["setup_commands"] if "pip install" in command]
    assert re.search(r"--exclude-newer \d{4}-\d\d-\d\d ", install)


def test_mlflow_answers_the_head_only(config):
    (serve,) = [command for command in commands(config) if "mlflow server" in command]
    assert "--host 127.0.0.1 " in serve
    assert any(
        "MLFLOW_SERVER_ALLOWED_HOSTS=127.0.0.1:5000,localhost:5000 " in command
        for command in config["head_setup_commands"]
    )


def test_both_clouds_set_nodes_up_alike():
    aws, gcp = (
        YAML(typ="safe", pure=True).load((ROOT / "docker" / name).read_text()) for name in FILES
    )
    assert set(aws) == set(gcp)
    for key in (key for key in aws if key.endswith("_commands")):
        assert str(aws[key]).replace("boto3", "google-api-python-client") == str(gcp[key])


def test_the_launch_that_it_tells_of_stores_in_the_cloud(text):
    assert re.search(
        r"python -m tune_app\.launch \\\n# +sweeps/paper/lr_grid\.yaml --store (s3|gs)://", text
    )
