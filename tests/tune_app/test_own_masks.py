"""Masks that are found elsewhere, beside tickets: from a sweep file to a figure."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
from tiny_sweep import TINY, num_trained, read_results, run_here

from lt_core.mask import unpack
from lt_core.packed_mask import PackedMask
from tune_app import launch as launching
from tune_app.export.__main__ import main as export_main
from tune_app.plan.plan import make_plan
from tune_app.results.reading import read_grid, read_sweep
from tune_app.results.result import Result, parser
from tune_app.run.identity import identify
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.yaml_source import SpecError

SEARCH = """\
from pathlib import Path

from lt_core import prune
from lt_core.mask import prunable_weights


def largest(of):
    Path(__file__).with_name("calls").open("a").write(f"{of.seed} {of.num_left}\\n")
    weights = prunable_weights(of.network)
    return prune.highest({n: w.detach().abs() for n, w in weights.items()}, of.mask, of.num_left)
"""
GIVEN = TINY.replace("[global_random, preserve_lpr]", "[global_random]").replace("tiny", "given")


@pytest.fixture
def place(tmp_path, monkeypatch, finished):
    """The folder that a user starts from: a search, and the tickets of the tiny sweep's last round
    at LR 0.05 as files, one for each seed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_search.py").write_text(SEARCH)
    shutil.copytree(finished[1], tmp_path / "runs")
    (tmp_path / "given.yaml").write_text(
        GIVEN + 'masks: ["tickets/{seed}.safetensors", own_search:largest]\n'
    )
    (tmp_path / "tickets").mkdir()
    for (lr, seed), ticket in last_tickets(tmp_path / "runs").items():
        if lr == 0.05:
            layers = dict(unpack(PackedMask.from_bytes(ticket)))
            path = tmp_path / "tickets" / f"{seed}.safetensors"
            path.write_bytes(safetensors.torch.save(layers))
    sys.modules.pop("own_search", None)
    yield tmp_path
    sys.modules.pop("own_search", None)


def last_tickets(runs):
    """Of round 2, by learning rate and seed."""
    store = Store(str(runs / "_store"))
    trainings = make_plan(read_sweep(runs / "tiny")).trainings.values()
    last = [t for t in trainings if (t.kind, t.round) == ("lottery", 2)]
    return {(t.find.lr, t.seed): store.ticket(t.ticket) for t in last}


def of_kind(results, kind):
    found = [r for r in results if r["kind"] == kind and r["round"] > 0]
    return {(r["round"], r["eval"]["lr"], r["seed"]): r for r in found}


def test_given_masks_are_trained_and_shown_beside_tickets(place, launch):
    done = launch("given.yaml", "--out", "runs")
    assert done.returncode == 0, done.stderr
    # Of files 2 H_eval x 2 seeds, of the search 2 H_eval x 2 rounds x 2 seeds; all else is there.
    assert num_trained(done.stderr) == 4 + 8
    results = read_results(place / "runs", "given")

    # A ticket that is given as a file does as it did: in the same network, at any H_eval.
    of_files = of_kind(results, "tickets/{seed}.safetensors")
    computed = ("val_accuracy", "test_accuracy", "train_loss", "sparsity", "lpr", "distance")
    of_tickets = {
        (r["round"], r["eval"]["lr"], r["seed"]): r
        for r in results
        if (r["kind"], r["find"] and r["find"]["lr"]) == ("lottery", 0.05)
    }
    assert of_files.keys() == {(2, lr, seed) for lr in (0.05, 0.2) for seed in (0, 1)}
    for key, result in of_files.items():
        assert result["find"] is None and result["id"] != of_tickets[key]["id"]
        assert [result[c] for c in computed] == [of_tickets[key][c] for c in computed]

    found = of_kind(results, "own_search:largest")
    # 19,464 weights, half and a quarter of them: as many as the tickets have.
    assert {(key[0], r["cost"]["alive"]) for key, r in found.items()} == {(1, 9732), (2, 4866)}
    # Two workers may begin at once with masks that only one finds.
    calls = {*Path("calls").read_text().splitlines()}
    assert calls == {f"{seed} {left}" for seed in (0, 1) for left in (9732, 4866)}

    report = (place / "runs" / "given" / "report.md").read_text()
    assert "| tickets/{seed}, 75.0% pruned | " in report
    assert report.count("| own_search:largest | ") == 4  # accuracy and cost at two rounds
    assert "ticket − own_search:largest" in report
    assert (
        "Given, and trained from the initialization of each seed: tickets/{seed}, own_s" in report
    )
    assert "| tickets/{seed}, 75.0% pruned | 25.00 (2) |" in report  # of the weights

    assert re.search(
        r"^total .* 0$", run_here(launching.main, "given.yaml", "--dry-run").stdout, re.M
    )
    id = of_files[2, 0.2, 0]["id"]
    shutil.rmtree("tickets")  # a report needs no file
    _, read, notes = read_grid(Path("runs", "given"), read_sweep(Path("runs", "given")))
    assert notes == [] and len(read) == len(results)
    refused = run_here(export_main, "runs/given", "--id", id)
    assert refused.returncode == 2
    assert "`masks`: tickets/0.safetensors: No such file or directory" in refused.stderr


def test_one_file_for_all_seeds_and_at_its_own_sparsity(place):
    """Not run: planned, and placed."""
    plain = make_plan(identified(place, GIVEN)).trainings
    one = identified(place, GIVEN + "masks: [tickets/0.safetensors]\n")
    more = make_plan(one).trainings
    assert plain.keys() < more.keys()  # and no id has changed
    own = {id: training for id, training in more.items() if id not in plain}
    assert len(own) == 4 and len({training.given for training in own.values()}) == 1
    assert {training.round for training in own.values()} == {2}

    # By content: whatever its name and whatever else is pruned, it is the same training.
    shutil.move("tickets/0.safetensors", "tickets/moved.safetensors")
    text = GIVEN.replace("rounds: 2", "rounds: 1") + "masks: [tickets/moved.safetensors]\n"
    assert own.keys() <= make_plan(identified(place, text)).trainings.keys()
    layers = safetensors.numpy.load(Path("tickets/moved.safetensors").read_bytes())
    layers["fc"] = ~layers["fc"]
    Path("tickets/moved.safetensors").write_bytes(safetensors.numpy.save(layers))
    assert own.keys().isdisjoint(make_plan(identified(place, text)).trainings)


def identified(place, text):
    (place / "other.yaml").write_text(text)
    store = Store(str(place / "runs" / "_store"))
    return identify(load_sweep(place / "other.yaml"), store, place / "other.yaml").sweep


def test_an_edited_search_is_trained_anew_and_nothing_else(place):
    def ids():
        sys.modules.pop("own_search", None)
        shutil.rmtree("__pycache__", ignore_errors=True)
        trainings = make_plan(identified(place, GIVEN + "masks: [own_search:largest]\n")).trainings
        own = {id for id, t in trainings.items() if t.kind == "own_search:largest"}
        return own, trainings.keys() - own

    own, others = ids()
    Path("own_search.py").write_text(SEARCH.replace("abs()", "square()"))
    assert ids()[0].isdisjoint(own) and ids()[1] == others


def test_one_mask_in_two_files_is_refused(place):
    shutil.copy("tickets/1.safetensors", "copy.safetensors")
    (place / "given.yaml").write_text(
        GIVEN + 'masks: ["tickets/{seed}.safetensors", copy.safetensors]\n'
    )
    refused = run_here(launching.main, "given.yaml", "--check")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: given.yaml:10: `masks`: copy.safetensors holds the same mask as "
        "tickets/1.safetensors; give one of them\n"
    )


def test_a_search_is_asked_for_the_files_of_the_seeds_that_it_compares_with(place):
    text = (
        GIVEN
        + 'masks: ["tickets/{seed}.safetensors"]\nsearch: {num_samples: 2, report_seeds: [%s]}\n'
    )
    text = text.replace(
        "find: {parameters: {lr: {values: [0.05, 0.2]}}}",
        "find: {method: tpe, parameters: {lr: {values: [0.05, 0.2]}}}",
    )
    seeds = text.replace("seeds: [0, 1]", "seeds: [7]")
    assert "tickets/1.safetensors" in identified(place, seeds % "0, 1").fingerprints.masks
    with pytest.raises(SpecError, match=r"tickets/8\.safetensors: No such"):
        identified(place, seeds % "0, 8")


def test_all_that_is_wrong_with_given_masks_is_told_at_once(place):
    Path("bad.safetensors").write_bytes(safetensors.numpy.save({"fc": np.full((10, 32), 2)}))
    Path("cut.safetensors").write_bytes(b"cut")
    masks = "[bad.safetensors, cut.safetensors, none.safetensors, no_such_module:find]"
    (place / "given.yaml").write_text(GIVEN + f"masks: {masks}\n")
    refused = run_here(launching.main, "given.yaml")
    assert refused.returncode == 2
    said = refused.stderr.splitlines()
    assert [re.sub(r"(file of a mask: |no_such_module) ?.*", r"\1", line) for line in said] == [
        "error: given.yaml:10: `masks`: bad.safetensors: layer fc must hold 0 and 1, got 2",
        "given.yaml:10: `masks`: cut.safetensors: no safetensors file of a mask: ",
        "given.yaml:10: `masks`: none.safetensors: No such file or directory",
        "given.yaml:10: `masks`: no_such_module",
    ]

    Path("bad.safetensors").write_bytes(safetensors.numpy.save({"fc": np.ones((10, 3), bool)}))
    Path("own_search.py").write_text("def largest(of):\n    return {'conv': of.mask['conv']}\n")
    (place / "given.yaml").write_text(GIVEN + "masks: [bad.safetensors, own_search:largest]\n")
    refused = run_here(launching.main, "given.yaml", "--check")
    assert refused.returncode == 2
    first = (
        "error: given.yaml:10: `masks`: bad.safetensors: it has no layers conv, blocks.0.conv1, "
        "blocks.0.conv2 and "
    )
    said = refused.stderr.splitlines()
    assert said[0].startswith(first)
    assert "`masks`: bad.safetensors: layer fc must be [10, 32], as its weight is, got [" in said[1]
    assert "`masks`: own_search:largest: it has no layers blocks.0.conv1, " in said[2]

    with pytest.raises(SpecError) as error:
        (place / "given.yaml").write_text(GIVEN + "masks: [find]\nrewind: {method: fine_tuning}\n")
        load_sweep("given.yaml")
    assert "`masks.0`: must be an import path such as my_package.search:find, or a file" in str(
        error.value
    )
    given = json.dumps({"masks": {"own_search:largest": "a" * 20}})
    (place / "given.yaml").write_text(
        GIVEN + f"masks: [own_search:largest]\nfingerprints: {given}\n"
    )
    refused = run_here(launching.main, "given.yaml")
    assert "`fingerprints.masks.own_search:largest`: must be " in refused.stderr
    for change, problem in (
        ("rewind.method=fine_tuning", "has no trained weights to go on from"),
        ("prune={strategy: filter_l1, one_shot: [0.5]}", "is of single weights"),
    ):
        with pytest.raises(SpecError, match=f"`masks.0`: {problem}"):
            load_sweep("given.yaml", [change])


def test_what_is_pruned_once_has_the_round_of_its_plan(place):
    """One mask of the same share is another round where others are pruned before it."""
    shots = [f"prune={{one_shot: {shares}}}" for shares in ("[0.5]", "[0.2, 0.5]")]
    first, second = (make_plan(load_sweep("given.yaml", [shot])).trainings for shot in shots)
    shared = next(id for id, t in second.items() if t.round == 2 and id in first)
    assert first[shared].round == 1
    result = json.loads((place / "runs" / "tiny" / "results.jsonl").read_text().splitlines()[-1])
    line = json.dumps(result | {"id": shared, "round": 1}).encode()
    assert parser(second)(line).round == 2 and Result.from_line(line).round == 1
