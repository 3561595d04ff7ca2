"""A sweep file as sweeps/lr_grid.yaml, loaded with edits; its numbers are the tests' own."""

from pathlib import Path

import pytest

from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError

TEXT = """\
name: lr_grid
description: does the learning rate that finds the best mask also train it best?

model: small_resnet
dataset: digits
seeds: [0, 1, 2]

train:                            # line 8
  lr: 0.1
  batch_size: 64
  weight_decay: 5e-3
  momentum: 0.9
  duration: 16ep                  # line 13
  milestones: [8ep, 13ep]
  gamma: 0.3

prune:                            # line 17
  strategy: global_magnitude
  fraction: 0.3
  rounds: 11

find:                             # line 22
  parameters:
    lr: {values: [0.02, 0.1, 0.5]}

eval:                             # line 26
  parameters:
    lr: {values: [0.02, 0.1, 0.5]}
  at_sparsity: [0.75, 0.92, 0.96, 0.972, 0.98]

baselines: [global_random, preserve_lpr]
"""
GRID = "lr: {values: [0.02, 0.1, 0.5]}"


def load(text: str, *overrides: str) -> Sweep:
    path = Path("sweep.yaml")
    path.write_text(text, encoding="utf-8")
    return load_sweep(path, overrides)


def edited(*edits: tuple[str, str]) -> str:
    text = TEXT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        load(text, *overrides)
    return list(error.value.problems)
