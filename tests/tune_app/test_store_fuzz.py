"""Whatever lies in a store or a run directory: no traceback and no wrong number."""

import gzip
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_sweep import run_here, same_results

from tune_app.report import __main__ as report
from tune_app.store.store import Store

Garble = Callable[[bytes, bytes], bytes]
"""From a file's content, and that of another of its kind."""


def _repacked(change: Callable[[bytes], bytes]) -> Garble:
    """A change of what a gzip file has in it, with a checksum that is right."""
    return lambda data, other: gzip.compress(change(gzip.decompress(data)), 0, mtime=0)


ANY: dict[str, Garble] = {
    "cut": lambda data, other: data[: len(data) // 2],
    "emptied": lambda data, other: b"",
    "another's": lambda data, other: other,
    "no gzip": lambda data, other: b"hello",
    "noise": lambda data, other: random.Random(0).randbytes(len(data)),
    "deep": _repacked(lambda content: b"[" * 100_000),
    "a list": _repacked(lambda content: b"[]"),
    "nothing": _repacked(lambda content: b"null"),
    "cut within": _repacked(lambda content: content[: len(content) // 2]),
    "compressed": lambda data, other: gzip.compress(gzip.decompress(data) + bytes(10_000_000)),
}
JSON: dict[str, Garble] = {
    "lacks keys": _repacked(
        lambda content: b'{"id":"' + json.loads(content)["id"].encode() + b'"}'
    ),
    "wrong types": _repacked(
        lambda content: json.dumps({k: [v] for k, v in json.loads(content).items()}).encode()
    ),
    "beyond 1": _repacked(
        lambda content: json.dumps(json.loads(content) | {"test_accuracy": 7.5}).encode()
    ),
}


@pytest.fixture(scope="module")
def runs(finished, tmp_path_factory) -> Path:
    """What the tiny sweep left, to be garbled again and again."""
    runs = tmp_path_factory.mktemp("garbled") / "runs"
    shutil.copytree(finished[1], runs)
    return runs


def garble(runs: Path, finished: Path, garbling: Garble, kind: str, number: int) -> None:
    """Copy the store anew, and garble some files of a kind, drawn by `number`."""
    shutil.rmtree(runs / "_store")
    shutil.copytree(finished / "_store", runs / "_store")
    files = sorted((runs / "_store" / kind).rglob("*.gz"))
    chosen = random.Random(number).sample(files, 3)
    contents = [path.read_bytes() for path in chosen]
    for path, content, other in zip(chosen, contents, contents[1:] + contents[:1], strict=True):
        path.write_bytes(garbling(content, other))


def tell(done) -> str:
    return f"{done.stdout}\n{done.stderr}"


CASES = [
    *((kind, name, how) for kind in ("results", "tickets", "weights") for name, how in ANY.items()),
    *(("results", name, how) for name, how in JSON.items()),
]
SOME = {("results", "another's"), ("tickets", "cut within")}


@pytest.mark.parametrize(
    ("kind", "garbling"),
    [
        pytest.param(
            kind,
            how,
            id=f"{kind} {name}",
            marks=() if (kind, name) in SOME else pytest.mark.nightly,
        )
        for kind, name, how in CASES
    ],
)
def test_a_launch_makes_good_whatever_the_store_has(tiny, finished, launch, runs, kind, garbling):
    # Without a run directory, from which nothing is taken; and the report is not drawn again.
    garble(runs, finished[1], garbling, kind, number=1)
    dry = launch(tiny, "--out", runs, "--dry-run")
    assert dry.returncode == 0, tell(dry)
    done = launch(tiny, "--out", runs)
    assert done.returncode == 0, tell(done)
    assert "Traceback" not in tell(done)
    assert same_results(runs, finished[1])
    if kind == "results":
        assert done.stderr.count(" is damaged (") == 3
    whole = Store(str(runs / "_store"))
    assert whole.stored().results == Store(str(finished[1] / "_store")).stored().results


RECORDS = {
    "results.jsonl": (b"", b"{", b"[]\n", b"null\n", b'{"id": 3}\n', b"[" * 100_000),
    "run.json": (b"", b"{}", b"[]", b"null", b'{"commit": 3}', b"[" * 100_000),
    "failures.jsonl": (b"", b"{", b"[" * 100_000),
    "sweep.yaml": (b"", b"{", b"[]", b"3", b"name: x", b"[" * 100_000),
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(name, content, id=f"{name} {content[:20]!r}")
        for name, contents in RECORDS.items()
        for content in contents
    ],
)
def test_a_report_of_whatever_lies_there_is_one_or_a_line(finished, tmp_path, name, content):
    run_dir = tmp_path / "tiny"
    shutil.copytree(finished[1] / "tiny", run_dir)
    (run_dir / name).write_bytes(content)
    done = run_here(report.main, run_dir)
    assert "Traceback" not in tell(done)
    if name == "failures.jsonl":  # which it only writes
        assert done.returncode == 0, tell(done)
    else:
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {run_dir / name}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["run.json", "results.jsonl", "sweep.yaml", "failures.jsonl"])
def test_a_launch_replaces_whatever_lies_in_its_run_directory(
    tiny, finished, launch, tmp_path, name
):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)
    (runs / "tiny" / name).write_bytes(b"[" * 1000)
    done = launch(tiny, "--out", runs)
    assert done.returncode == 0, tell(done)
    assert same_results(runs, finished[1])
