"""What tests of several folders share: Rays of their own, the tiny sweep, and launches of it."""

import atexit
import base64
import contextlib
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

for folder in ("tune_app", "cluster"):  # their helpers
    sys.path.insert(0, str(Path(__file__).parent / folder))

# Every Ray that a test starts: another user's may lie in the common directory, closed to us. Short,
# since a socket's path holds at most 107 characters.
os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="lt", dir="/tmp")
os.mkdir(os.path.join(os.environ["RAY_TMPDIR"], "ray"))  # a cluster elsewhere is noted here too
atexit.register(shutil.rmtree, os.environ["RAY_TMPDIR"], ignore_errors=True)

# A second thread of torch or numpy, kept from its core by another process of pytest, has the first
# spin until it comes: a test of 3 CPU seconds took 51.
os.environ["OMP_NUM_THREADS"] = "1"

# Beside other work Ray's workers, of niceness 15, would hardly come to train.
os.environ.setdefault("RAY_worker_niceness", "0")

import outside  # noqa: E402  takes note of the environment before Ray's settings are in it

from tune_app.run import ray_settings  # noqa: E402  as above

ray_settings.apply()  # with a token of its own, before a test module imports ray

settings.register_profile("few", derandomize=True, deadline=None, database=None, max_examples=100)
settings.register_profile("many", settings.get_profile("few"), max_examples=700)
settings.load_profile("few")  # `--hypothesis-profile many` comes later, and holds

Launch = Callable[..., subprocess.CompletedProcess[str]]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)
"""A PNG."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores, since half of the tests wait for processes of their own."""
    return min(os.cpu_count() + 1, 8)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`shared(name, make)`: a folder that `make` fills, once for all processes of pytest."""
    from filelock import FileLock

    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        place, made = base / name, base / f"{name}.made"
        with FileLock(base / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                make(place)
                made.touch()
        return place

    return folder


@pytest.fixture(scope="session", autouse=True)
def not_rendered() -> Iterator[Callable[..., dict[str, bytes]]]:
    """Figures are drawn, but their files are a pixel: to render them is most of what a report
    costs. What renders them."""
    from tune_app.report.figures import image_files

    render = image_files.image_files
    with pytest.MonkeyPatch.context() as patch:
        _render_by(lambda figure, title: {"png": PIXEL}, patch)
        yield render


@pytest.fixture
def rendered(
    not_rendered: Callable[..., dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures as users get them: in every format and as sharp."""
    _render_by(not_rendered, monkeypatch)


def _render_by(render: Callable[..., dict[str, bytes]], patch: pytest.MonkeyPatch) -> None:
    from tune_app.report import page  # has its own name for it
    from tune_app.report.figures import image_files

    for module in (page, image_files):
        patch.setattr(module, "image_files", render)


@pytest.fixture(scope="session")
def tiny(shared) -> Path:
    """The tiny sweep's file."""
    from tiny_sweep import TINY  # and torch, which most folders need not

    return shared("tiny", lambda folder: (folder / "tiny.yaml").write_text(TINY)) / "tiny.yaml"


@pytest.fixture(scope="session")
def finished(tiny: Path, shared) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The tiny sweep's launch on a Ray that it started, and its `--out`; not to be changed."""
    from tiny_sweep import launch_apart

    def make(folder: Path) -> None:
        place = Path(os.environ["RAY_TMPDIR"], "finished")
        place.mkdir()
        done = launch_apart(tiny, "--out", folder / "runs", RAY_TMPDIR=str(place))
        (folder / "done").write_bytes(pickle.dumps(done))
        (folder / "left by Ray").write_text("".join(f"{path}\n" for path in place.iterdir()))

    folder = shared("finished", make)
    return pickle.loads((folder / "done").read_bytes()), folder / "runs"


@pytest.fixture(scope="session")
def warm_ray() -> Iterator[str]:
    """The address of a Ray of one core that stays up: starting one takes longer than a sweep."""
    from several_nodes import nodes

    with nodes(0, of_head=1) as cluster:
        yield cluster.address


@pytest.fixture(scope="session")
def mlflow_database(shared) -> Path:
    """A SQLite file with MLflow's tables, which take seconds to create; not to be changed."""
    from tune_app.tracking.connection import connect

    def make(folder: Path) -> None:
        connect(f"sqlite:///{folder}/mlflow.db")
        with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it in the one file

    return shared("mlflow", make) / "mlflow.db"


@pytest.fixture(scope="session")
def launch(warm_ray: str, mlflow_database: Path) -> Launch:
    """Run a launch's command line in this process, on a Ray that is there already."""
    from tiny_sweep import launch_here

    return partial(launch_here, warm_ray, mlflow_database)


@pytest.fixture(scope="session")
def on_warm_ray(warm_ray: str) -> dict[str, str]:
    """The environment of a launch in a process of its own, on the Ray that is there already."""
    auth = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    return outside.environment(RAY_ADDRESS=warm_ray, **auth)


@pytest.fixture
def ray_of_a_notebook(warm_ray: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where RAY_ADDRESS says where Ray is."""
    monkeypatch.setenv("RAY_ADDRESS", warm_ray)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
