"""The own code that `sweeps/` comes with: its data never change, and it is checked as a user's."""

from pathlib import Path

import pytest
from tiny_sweep import run_here

from lt_core import data
from lt_core.data.contents import fingerprint
from tune_app import launch

SWEEPS = Path(__file__).parents[2] / "sweeps"


@pytest.mark.parametrize(
    ("name", "content"), [("tabular", "2d4328a36087cf8e06b3"), ("text", "ae863eb48610651b8bd8")]
)
def test_the_data_are_what_the_results_in_the_heads_are_of(name, content):
    assert fingerprint(data.load(f"sweeps.examples.{name}:load")) == content


def test_texts_are_checked_without_ray(tmp_path):
    done = run_here(launch.main, SWEEPS / "text.yaml", "--check", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    words = " ".join((done.stdout + done.stderr).split())
    assert "6 classes, 28 of 39 tokens: 1,200 texts to train, 240 to validate, 360 to test" in words
    # 16 x 32 x 5, 4 x 32 x 32, 2 x 32 x 64 and 32 x 6 weights; 39 x 16 of the embedding; biases of
    # 32, 96 + 32, 64, 32 and 6, and two norms of 2 x 32.
    never = "never: embedding.weight (624), biases and norms (390)"
    assert f"10,944 of 11,958 parameters; {never}" in words
