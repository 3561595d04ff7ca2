"""Which of the user's own modules are sent to a cluster."""

import pytest
from tiny_sweep import TINY

from tune_app.sweep.load import load_sweep
from tune_app.sweep.own_files import own_files
from tune_app.sweep.yaml_source import SpecError


def sweep_of(folder, model):
    (folder / "sweep.yaml").write_text(TINY.replace("small_resnet", model))
    return load_sweep(folder / "sweep.yaml")


def test_a_module_goes_with_what_it_imports_from_beside_it(tmp_path):
    (tmp_path / "nets_of_mine.py").write_text("import torch\nimport blocks_of_mine\n")
    (tmp_path / "blocks_of_mine.py").write_text("from parts_of_mine.small import x\n")
    (tmp_path / "parts_of_mine").mkdir()
    (tmp_path / "parts_of_mine" / "small.py").write_text("x = 1\n")
    (tmp_path / "private.py").write_text("password = 1\n")
    sent = own_files(sweep_of(tmp_path, "nets_of_mine:net"), tmp_path)
    assert set(sent) == {"nets_of_mine.py", "blocks_of_mine.py", "parts_of_mine/small.py"}
    assert sent["parts_of_mine/small.py"] == b"x = 1\n"


def test_what_is_installed_stays_and_what_is_nowhere_is_refused(tmp_path):
    assert own_files(sweep_of(tmp_path, "torch:nn"), tmp_path) == {}
    assert own_files(sweep_of(tmp_path, "small_resnet"), tmp_path) == {}
    with pytest.raises(SpecError, match="`model`: nowhere_at_all:net: no module nowhere_at_all in"):
        own_files(sweep_of(tmp_path, "nowhere_at_all:net"), tmp_path)
