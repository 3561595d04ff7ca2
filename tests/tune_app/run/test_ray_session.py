"""A Ray of its own: what is said of the machine that it starts on."""

import shutil
from types import SimpleNamespace

import pytest

from tune_app.run import ray_session
from tune_app.sweep.yaml_source import SpecError


@pytest.fixture
def ray_of_4_gb(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_session.ray, "init", lambda **_: None)
    monkeypatch.setattr(ray_session.ray, "shutdown", lambda: None)
    has = {"CPU": 2.0, "object_store_memory": 4.0 * 2**30}
    monkeypatch.setattr(ray_session.ray, "cluster_resources", lambda: has)


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (
            64 * 10**6,
            [
                "/dev/shm has 64 MB: Ray shares data sets and masks through files, which is "
                "slower; in a container: --shm-size=5g"  # 4 GB and a tenth
            ],
        ),
        (4 * 2**30, []),
    ],
)
def test_a_small_shared_memory_is_said(ray_of_4_gb, monkeypatch, free, said):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    notes = []
    with ray_session.ray_session({}, notes.append):
        pass
    assert notes == ["starting Ray on this machine", *said]


def test_a_directory_that_is_too_long_for_sockets_is_refused_in_a_line(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "x" * 30)
    refused = pytest.raises(SpecError, match=r"^RAY_TMPDIR: must be at most 30 long, for Ray's")
    with refused, ray_session.ray_session({}, [].append):
        pass
