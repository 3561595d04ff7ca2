"""Nodes that have other code, another torch, another store: they get no trials, and are named."""

import os
import re
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from several_nodes import nodes, other_node, refuses_mounts
from tiny_sweep import TINY, launch_here, num_stored, same_results

import lt_core
import tune_app
from tune_app.run.proven_nodes import ProvenNodes
from tune_app.store.same_store import sign_in
from tune_app.store.store import Store

CODE = Path(lt_core.__file__).parent
TORCH = next(Path(torch.__file__).parents[1].glob("torch-*.dist-info")) / "METADATA"
VERSION = metadata.version("torch")

NETWORK = """\
from torch import nn


def net(channels, classes, image_size):
    height, width = image_size
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))
"""


def changed(file: Path, place: Path, old: str, new: str) -> Path:
    """A copy of a file in which something is other."""
    text = file.read_text()
    assert old in text
    place.write_text(text.replace(old, new))
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory, mlflow_database):
    """A head and four nodes: a right one, and three that each see something else somewhere."""
    if why := refuses_mounts():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("proof")
    runs, another, empty = folder / "runs", folder / "another", folder / "empty"
    mine, others = folder / "mine", folder / "others"
    for made in (runs / "_store", another, empty, mine, others):
        made.mkdir(parents=True)
    Store(str(another)).create()
    with sign_in(Store(str(another))) as sign:
        its_id = sign.id
    (mine / "nets_of_nodes.py").write_text(NETWORK)
    changed(mine / "nets_of_nodes.py", others / "nets_of_nodes.py", "Flatten()", "Flatten(1)")
    slow = changed(CODE / "schedule.py", folder / "a", "recipe.lr *", "0.01 * recipe.lr *")
    old = changed(TORCH, folder / "b", f"\nVersion: {VERSION}\n", "\nVersion: 1.2.3\n")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("PYTHONPATH", str(mine), prepend=os.pathsep)  # of the nodes
        cluster = stack.enter_context(nodes(1))
        for seen, cpus in (
            ({CODE / "schedule.py": slow, TORCH: old}, 1),
            ({runs / "_store": another}, 1),
            ({runs: empty, mine: others}, 2),
        ):
            stack.enter_context(other_node(cluster, seen, cpus))
        launch = partial(launch_here, cluster.address, mlflow_database)
        yield SimpleNamespace(launch=launch, runs=runs, another=another, its_id=its_id, mine=mine)


def refusals(stderr: str) -> list[str]:
    return re.findall(r"^cluster: no trials for node \S+ \(\S+, \w{8}\): (.*)$", stderr, re.M)


ITS_CODE = (
    r"its code is \w{12}, the launch's \w{12} \(lt_core/schedule.py\); "
    rf"its torch is 1.2.3, the launch's {re.escape(VERSION)}"
)


@pytest.mark.nightly
def test_nodes_that_lack_something_are_named_and_get_no_trials(place, tiny, undisturbed):
    store = place.runs / "_store"
    done = place.launch(tiny, "--out", place.runs)
    assert done.returncode == 0, done.stderr
    id = (store / "id").read_text()
    its_store = f"{store} holds the store {place.its_id}, the launch's is {id}"
    gone = f"{store} is not there"
    refused = sorted(refusals(done.stderr))
    assert len(refused) == 3
    assert [its_store, gone] == refused[:2] and re.fullmatch(ITS_CODE, refused[2])
    assert re.search(r"^cluster: 1 of 4 nodes proved .*, in [\d.]+s$", done.stderr, re.M)
    assert same_results(place.runs, undisturbed)
    assert not [*store.glob("proofs/*"), *place.another.glob("results/*")]


@pytest.mark.nightly
def test_a_worker_proves_its_node_too_and_what_it_refuses_is_done_elsewhere(
    place, tiny, undisturbed, tmp_path, monkeypatch
):
    monkeypatch.setattr(ProvenNodes, "prove", lambda nodes: None)  # as if it came later
    runs = tmp_path / "runs"
    done = place.launch(tiny, "--out", runs, "max_failures=0")
    assert done.returncode == 0, done.stderr
    [refused] = refusals(done.stderr)
    assert re.fullmatch(ITS_CODE, refused)
    assert "to be tried again" not in done.stderr
    assert same_results(runs, undisturbed)


@pytest.mark.nightly
def test_a_node_that_comes_with_code_from_before_there_were_proofs_is_named(
    tiny, undisturbed, tmp_path, monkeypatch, mlflow_database
):
    monkeypatch.setattr(ProvenNodes, "prove", lambda nodes: None)  # as if it came later
    (tmp_path / "empty.py").touch()
    runs = tmp_path / "runs"
    before = {Path(tune_app.__file__).parent / "trial" / "proof.py": tmp_path / "empty.py"}
    with nodes(1) as cluster, other_node(cluster, before):
        done = launch_here(cluster.address, mlflow_database, tiny, "--out", runs)
    assert done.returncode == 0, done.stderr
    [refused] = refusals(done.stderr)
    assert refused.startswith("its code cannot prove it (")
    assert same_results(runs, undisturbed)


@pytest.mark.nightly
def test_where_no_node_is_left_nothing_is_started(place, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(place.mine)
    sweep, runs = tmp_path / "own.yaml", tmp_path / "runs"
    sweep.write_text(TINY.replace("small_resnet", "nets_of_nodes:net"))
    done = place.launch(sweep, "--out", runs, "resources_per_trial={cpu: 2}")
    assert done.returncode == 2, done.stderr
    *_, last = done.stderr.splitlines()
    assert re.fullmatch(
        "error: no node is left that may train: 1 node large enough, it lacks something that this "
        r"launch has; the last: its module nets_of_nodes is \w{12}, the launch's \w{12}",
        last,
    )
    assert num_stored(runs) == 0
