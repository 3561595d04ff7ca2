"""A sweep that starts from given weights: their content is part of every id."""

import re

import pytest
import safetensors.torch
from tiny_sweep import TINY, num_trained, read_results, run_here

from lt_core import data, models
from tune_app import launch as launch_command
from tune_app.export.__main__ import main as export_main
from tune_app.plan.plan import make_plan
from tune_app.sweep.load import load_sweep
from tune_app.sweep.yaml_source import SpecError

ONE_CHAIN = (
    "seeds=[0]",
    "find.parameters.lr={values: [0.2]}",
    "eval.parameters.lr={values: [0.2]}",
    "baselines=[reinit]",
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a sweep, and weights of the seed 77 for a network of 10 classes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY + "initial_weights: {file: given.safetensors}\n")
    network = models.build("small_resnet", **vars(data.load("digits").shape), seed=77)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "given.safetensors")
    return tmp_path


def to_do(*arguments) -> int:
    done = run_here(launch_command.main, "tiny.yaml", "--dry-run", *ONE_CHAIN, *arguments)
    assert done.returncode == 0, done.stderr
    [total] = re.findall(r"^total .* (\d+)$", done.stdout, re.MULTILINE)
    return int(total)


@pytest.mark.nightly
def test_their_content_is_part_of_the_ids(place, launch):
    first = launch("tiny.yaml", *ONE_CHAIN)
    assert first.returncode == 0, first.stderr
    assert "every seed starts from given.safetensors: they differ only by the order" in first.stderr
    assert num_trained(first.stderr) == 5  # rounds 0 to 2, and 2 reinitializations
    assert to_do() == 0
    before = read_results(place / "runs", "tiny")

    exported = run_here(export_main, "runs/tiny", "--best", "--at", "0.5")
    assert "as the sweep recorded it" in exported.stdout, exported.stderr

    # Other weights, and the same with a layer less, are others; without them it is another sweep.
    assert to_do("initial_weights.fresh=[fc]") == to_do("initial_weights=null") == 5
    network = models.build("small_resnet", **vars(data.load("digits").shape), seed=78)
    safetensors.torch.save_file(network.state_dict(), place / "given.safetensors")
    assert to_do() == 5
    pinned = run_here(launch_command.main, "runs/tiny/sweep.yaml", "--dry-run")
    assert "`fingerprints.initial_weights`: must be " in pinned.stdout + pinned.stderr
    second = launch("tiny.yaml", *ONE_CHAIN)
    assert num_trained(second.stderr) == 5
    after = read_results(place / "runs", "tiny-2")
    assert {line["id"] for line in after}.isdisjoint(line["id"] for line in before)


def test_what_does_not_fit_is_told_before_anything_starts(place):
    done = run_here(launch_command.main, "tiny.yaml", "--check", "dataset=synthetic")
    assert done.returncode == 2
    assert "given.safetensors do not fit small_resnet: conv" in done.stderr
    assert "fc.weight is [10, 32] there, [4, 32] in the network" in done.stderr
    (place / "given.safetensors").unlink()
    done = run_here(launch_command.main, "tiny.yaml", "--check")
    assert done.returncode == 2
    assert "`initial_weights.file`: given.safetensors cannot be read: No such file" in done.stderr


def test_without_them_nothing_is_another(place):
    plain = place / "plain.yaml"
    plain.write_text(TINY)
    ids = make_plan(load_sweep(plain)).trainings.keys()
    assert make_plan(load_sweep("tiny.yaml", ["initial_weights=null"])).trainings.keys() == ids
    with pytest.raises(SpecError, match=r"`fingerprints.initial_weights`: goes with `init"):
        load_sweep(plain, [f"fingerprints={{initial_weights: {'ab' * 10}}}"])
