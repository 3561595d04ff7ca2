"""Mistakes that are found after the sweep file was read have the line of their key."""

from pathlib import Path

import pytest

from tune_app.sweep.located import located

BASE = "model: nets:make\ndataset: digits\n"
OVER = "extends: base.yaml\nname: x\nprune:\n  skip: [fc]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("over.yaml: `prune.skip`: no layer", "over.yaml:4: `prune.skip`: no layer"),
        ("over.yaml: `model`: cannot import", "base.yaml:1: `model`: cannot import"),
        ("over.yaml: `dataset`: no", "command line (dataset=own:load): `dataset`: no"),
        # What is not written has the place of what it would be in.
        ("over.yaml: `prune.rounds`: no", "over.yaml:3: `prune.rounds`: no"),
        (
            "a note: over.yaml: `model`: no\nover.yaml: x",
            "a note: base.yaml:1: `model`: no\nover.yaml: x",
        ),
        ("other_over.yaml: `model`: no", "other_over.yaml: `model`: no"),
        ("over.yaml: no such file", "over.yaml: no such file"),
    ],
)
def test_a_key_has_its_line(tmp_path, monkeypatch, text, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "over.yaml").write_text(OVER)
    assert located(text, Path("over.yaml"), ["dataset=own:load"]) == told


def test_a_file_that_is_gone_or_damaged_since_says_no_line(tmp_path):
    path = tmp_path / "over.yaml"
    text = f"{path}: `model`: no"
    assert located(text, path, []) == text
    path.write_text("model: [")
    assert located(text, path, []) == text
