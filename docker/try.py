"""Build the image, start the cluster, and see that it does what docker-compose.yml promises.

    python docker/try.py [--build-arg TORCH_INDEX=... ...]

Needs Docker with Compose and about five minutes. It can run beside a cluster that is up: names,
ports, volumes and secrets are its own, and only the image is left behind.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SWEEP = (
    "sweeps/lr_grid.yaml",
    *("seeds=[0]", "prune.rounds=2", "eval.at_sparsity=null", "baselines=[]"),
    *("train.duration=8ep", "train.milestones=[]"),
)
NUM_TRAININGS = 36
NUM_MLFLOW_RUNS = 17
"""A curve for each of 4 x 4 pairs of learning rates, and the report."""


class Cluster:
    """The services of docker-compose.yml under another name."""

    def __init__(self, env_file: Path) -> None:
        self.token = secrets.token_hex(32)
        self.mlflow = f"127.0.0.1:{_free_port()}"
        self.dashboard = f"127.0.0.1:{_free_port()}"
        settings = {
            "POSTGRES_PASSWORD": secrets.token_hex(32),
            "RAY_AUTH_TOKEN": self.token,
            "MLFLOW_PORT": self.mlflow.split(":")[1],
            "DASHBOARD_PORT": self.dashboard.split(":")[1],
            "WORKER_CPUS": "1",
        }
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        # The shell's variables would win over the file's.
        known = re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())
        self.env = {name: value for name, value in os.environ.items() if name not in known}
        self.command = ["docker", "compose", "--ansi=never", "--project-name=lottery-sweeps-try"]
        self.command += [f"--project-directory={ROOT}", f"--file={ROOT / 'docker-compose.yml'}"]
        self.command += [f"--env-file={env_file}"]

    def run(self, *arguments: str) -> None:
        subprocess.run([*self.command, *arguments], env=self.env, check=True)

    def output(self, *arguments: str) -> str:
        return subprocess.run(
            [*self.command, *arguments], env=self.env, check=True, text=True, stdout=subprocess.PIPE
        ).stdout

    def launch(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, "run", "--rm", "--no-TTY", "launch", *SWEEP],
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def containers(self, service: str = "") -> list[dict]:
        lines = self.output("ps", "--all", "--format=json", *filter(None, [service])).splitlines()
        return [json.loads(line) for line in lines]


def main() -> int:
    """Try everything; 0 if all is as promised."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory) / "env")
        try:
            step("build", cluster.run, "build", *sys.argv[1:])
            step("up", cluster.run, "up", "--detach", "--wait", "--scale=worker=2")
            step("nothing runs as root or listens beyond this machine", containment, cluster)
            step("a sweep that loses a worker", sweep, cluster)
            step("the same command finds everything done", sweep_again, cluster)
            step("results", results, cluster)
            step("MLflow", mlflow, cluster)
            step("Ray's token", ray_token, cluster)
        except (AssertionError, subprocess.CalledProcessError, OSError) as error:
            subprocess.run([*cluster.command, "logs", "--tail=50"], env=cluster.env)
            print(f"failed: {error}", file=sys.stderr)
            return 1
        finally:
            step("down", cluster.run, "--profile=launch", "down", "--volumes")
        expect(not cluster.containers(), "containers are left")
    print(f"all is as promised, after {time.monotonic() - begin:.0f} s")
    return 0


def step(name, do, *arguments) -> None:
    print(f"--- {name}", flush=True)
    begin = time.monotonic()
    do(*arguments)
    print(f"    {time.monotonic() - begin:.0f} s", flush=True)


def expect(truth: bool, otherwise: str) -> None:
    if not truth:
        raise AssertionError(otherwise)


def containment(cluster: Cluster) -> None:
    containers = cluster.containers()
    hosts = {port["URL"] for each in containers for port in each["Publishers"] if port["URL"]}
    expect(hosts == {"127.0.0.1"}, f"ports are published on {hosts}")
    for service in ("mlflow", "head", "worker"):
        expect(cluster.output("exec", "-T", service, "id", "-u").strip() != "0", f"{service}: root")


def sweep(cluster: Cluster) -> None:
    launch = cluster.launch()
    lines = []
    for line in launch.stdout:
        print(f"    {line}", end="", flush=True)
        lines.append(line)
        if line.startswith("[ 1/"):  # the other worker is at its first chain
            lost = cluster.containers("worker")[1]["Name"]
            print(f"    docker kill {lost}")
            subprocess.run(["docker", "kill", lost], check=True, stdout=subprocess.DEVNULL)
    expect(launch.wait() == 0, f"the sweep ended with exit code {launch.returncode}")
    states = sorted(each["State"] for each in cluster.containers("worker"))
    expect(states == ["exited", "running"], f"the workers are {states}")
    expect(any("to be tried again" in line for line in lines), "the lost worker had no trial")


def sweep_again(cluster: Cluster) -> None:
    launch = cluster.launch()
    output, _ = launch.communicate()
    expect(launch.returncode == 0, f"exit code {launch.returncode}:\n{output}")
    expect("trials          0 to run" in output, f"it trained again:\n{output}")


def results(cluster: Cluster) -> None:
    lines = cluster.output("exec", "-T", "worker", "cat", "/runs/lr_grid/results.jsonl")
    found = [json.loads(line) for line in lines.splitlines()]
    expect(len(found) == NUM_TRAININGS, f"{len(found)} results")
    failures = cluster.output("exec", "-T", "worker", "cat", "/runs/lr_grid/failures.jsonl")
    expect(not failures, failures)


def mlflow(cluster: Cluster) -> None:
    url = f"http://{cluster.mlflow}/api/2.0/mlflow"
    _, text = request(f"{url}/experiments/get-by-name?experiment_name=lr_grid")
    id = json.loads(text)["experiment"]["experiment_id"]
    query = json.dumps({"experiment_ids": [id]}).encode()
    _, text = request(f"{url}/runs/search", query, {"Content-Type": "application/json"})
    states = [run["info"]["status"] for run in json.loads(text)["runs"]]
    expect(states == ["FINISHED"] * NUM_MLFLOW_RUNS, f"the runs are {states}")
    for host in ("evil.example", "10.evil.example"):
        status, _ = request(f"{url}/experiments/get?experiment_id={id}", headers={"Host": host})
        expect(status == 403, f"{status} for a page of {host}")


def ray_token(cluster: Cluster) -> None:
    url = f"http://{cluster.dashboard}/api/jobs/"
    for token, wanted in ((None, 401), ("0" * 64, 403), (cluster.token, 200)):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        status, _ = request(url, headers=headers)
        expect(status == wanted, f"{status} instead of {wanted}")
    connect = "import ray; ray.init(address='head:6379')"
    for token, wanted in (("0" * 64, False), (cluster.token, True)):
        command = ["exec", "-T", f"--env=RAY_AUTH_TOKEN={token}", "worker", "python", "-c", connect]
        done = subprocess.run([*cluster.command, *command], env=cluster.env, capture_output=True)
        expect((done.returncode == 0) == wanted, done.stderr.decode())


def request(url: str, body: bytes | None = None, headers: dict | None = None) -> tuple[int, str]:
    asked = urllib.request.Request(url, body, headers or {})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
