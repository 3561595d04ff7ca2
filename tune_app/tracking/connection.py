"""Where MLflow is, and the way to it."""

import contextlib
import fcntl
import logging
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tune_app.credentials import hide_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_S = 60.0
"""How long another process may hold the directory of MLflow's SQLite file."""

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # by default a dead server costs four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class TrackingError(Exception):
    """MLflow cannot be reached or refuses; one line says where and why."""


def tracking_uri(out_dir: Path) -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the directory that holds all run directories."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{out_dir.resolve()}/mlflow.db"


def check_uri(uri: str) -> None:
    """Refuse what MLflow can never keep anything in.

    Raises:
        TrackingError: it is a folder, or a file where it would be sought elsewhere.
    """
    scheme, colon, place = uri.partition("://")
    if scheme == "sqlite" and "MLFLOW_TRACKING_URI" not in os.environ and set(place) & set("%?"):
        raise TrackingError(
            f"--out: MLflow keeps no database in a directory with % or ? in its path, got {place}; "
            "take another, or name a database in MLFLOW_TRACKING_URI"
        )
    if (not colon or scheme == "file") and os.environ.get("MLFLOW_ALLOW_FILE_STORE") != "true":
        raise TrackingError(
            f"MLFLOW_TRACKING_URI: {hide_credentials(uri)} is a folder, in which MLflow keeps "
            "nothing any more; give a server (http://...) or a database "
            "(sqlite:////.../mlflow.db), or unset it for a database in --out"
        )


def artifact_root(out_dir: Path) -> Path:
    """Where the report's files go, in the directory that holds all run directories."""
    return out_dir.resolve() / "_mlflow_artifacts"


def page_of(uri: str) -> str:
    """The address of a server's page, for a browser.

    LOTTERY_MLFLOW_PAGE tells it where browsers know the server by another name, as with one in a
    container.
    """
    return os.environ.get("LOTTERY_MLFLOW_PAGE") or hide_credentials(uri).replace("***@", "")


def way_to(uri: str, run_dir: Path) -> str:
    """The shell command that opens MLflow on a run; where a server has it, its address."""
    return page_of(uri) if is_server(uri) else f"python -m tune_app ui {shlex.quote(str(run_dir))}"


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


@contextlib.contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Whatever goes wrong inside, in MLflow, database, network or disk, as one kind of error."""
    try:
        yield
    except Exception as error:
        root: BaseException = error
        while cause := root.__cause__ or (not root.__suppress_context__ and root.__context__):
            root = cause
        line = next(iter(str(root).splitlines()), "")
        raise TrackingError(hide_credentials(f"{uri}: {type(root).__name__}: {line}")) from error


def _lock(directory: int, database: str) -> None:
    """Lock an open directory. Raises TimeoutError where another process holds it for long."""
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            return fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"another process has locked the directory of {database} for {LOCK_S:.0f} s"
                ) from None
            time.sleep(0.2)


def configure() -> None:
    """Import MLflow with its environment set, and without its log."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401  only now, with the environment set

    for name in ("mlflow", "urllib3.connectionpool"):  # what matters, TrackingError says
        logging.getLogger(name).setLevel(logging.CRITICAL)


def connect(uri: str) -> "MlflowClient":
    """A client of a tracking server, or of a database, which is made if it is a SQLite file."""
    configure()
    from mlflow import MlflowClient

    if is_server(uri):
        return MlflowClient(uri)

    import sqlalchemy

    url = sqlalchemy.make_url(uri)
    is_file = url.get_backend_name() == "sqlite"
    with contextlib.ExitStack() as stack:
        if is_file:
            # Two processes that create MLflow's tables at a time break the file for good.
            if url.database is None:
                raise ValueError("a database in memory is lost as this ends; name a file")
            directory = os.open(Path(url.database).parent, os.O_RDONLY)
            stack.callback(os.close, directory)
            _lock(directory, url.database)
        # MLflow would try for two minutes to open a database that is not there.
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            if is_file:  # so that the page does not wait for the writer
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        engine.dispose()
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
        return client
