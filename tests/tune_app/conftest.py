"""Real launches of a sweep that takes seconds, and a server that speaks S3."""

import logging
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tiny_sweep import command, environment

from tune_app import ray_settings

ray_settings.apply()  # before a test module imports ray

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def launch() -> Launch:
    """Run the command line, as a user would; gives exit code and output."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments), capture_output=True, text=True, timeout=300, env=environment(**env)
        )

    return run


@pytest.fixture(scope="session")
def finished(tiny: Path, launch: Launch, tmp_path_factory: pytest.TempPathFactory):
    """The tiny sweep's launch and what it left in `runs`; not to be changed."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    return launch(tiny, "--out", runs), runs


@pytest.fixture(scope="session")
def s3() -> Iterator[Callable[..., str]]:
    """A server's folders: gives the URL of one in a bucket, which is made."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="KEY",
        aws_secret_access_key="SECRET",
    )

    def url(bucket: str, folder: str) -> str:
        client.create_bucket(Bucket=bucket)
        return _s3_url(bucket, folder, host, port)

    yield url
    server.stop()


@pytest.fixture
def s3_away() -> str:
    """The URL of a folder on a server that does not run."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return _s3_url("bucket", "folder", *unused.getsockname())


def _s3_url(bucket: str, folder: str, host: str, port: int) -> str:
    at = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    return f"s3://KEY:SECRET@{bucket}/{folder}?{at}"
