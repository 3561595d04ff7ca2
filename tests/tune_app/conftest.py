"""A server that speaks S3."""

import logging
import socket
from collections.abc import Callable, Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer


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
