"""What is secret in a URL is not shown."""

import pytest

from tune_app.credentials import hide_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://mlflow:5000/a", "http://mlflow:5000/a"),
        ("http://me:pass@mlflow:5000", "http://***@mlflow:5000"),
        ("http://token@mlflow", "http://***@mlflow"),
        (
            "postgresql+psycopg://me:p/a:s@s@db:5432/mlflow",
            "postgresql+psycopg://***@db:5432/mlflow",
        ),
        ("postgresql://db/x?user=me&password=s&a=1", "postgresql://db/x?user=me&password=***&a=1"),
        ("sqlite:////home/me@work/a:b@c/mlflow.db", "sqlite:////home/me@work/a:b@c/mlflow.db"),
        (
            "s3://KEY:SEC/RET@bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http",
            "s3://***@bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http",
        ),
        (
            "s3://b/x?Access_Key=A&secret_key=B&region=r",
            "s3://b/x?Access_Key=***&secret_key=***&region=r",
        ),
        ("s3://bucket/me@work", "s3://bucket/me@work"),
        ("'sqlite:////x','http://a:b@c'", "'sqlite:////x','http://***@c'"),
        ("://:" * 100_000, "://:" * 100_000),  # in no time
        ("at http://a:b@c failed, mail x@y", "at http://***@c failed, mail x@y"),
    ],
)
def test_credentials_are_not_shown(text, shown):
    assert hide_credentials(text) == shown
