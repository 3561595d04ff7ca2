import ast
import pkgutil
import sys
from pathlib import Path

import pytest

import lt_core

FOREIGN = {"tune_app", "ray", "mlflow", "yaml", "ruamel"}
FOLDER = Path(lt_core.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))


def imported(source: str) -> set[str]:
    """The packages that a module names in an import, wherever in it the import stands."""
    packages = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add("lt_core" if node.level else node.module.split(".")[0])
    return packages


def test_the_reader_of_imports_finds_them_everywhere():
    source = """
import json, ray.tune as tune
from mlflow.entities import Run
from . import config
def load():
    if True:
        from ruamel.yaml import YAML
"""
    assert imported(source) == {"json", "ray", "mlflow", "lt_core", "ruamel"}


def test_every_module_is_looked_at():
    names = {path.relative_to(FOLDER).as_posix() for path in MODULES}
    assert names >= {"config.py", "chain.py", "data/digits.py", "models/cifar_resnet.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_no_module_imports_the_service_or_what_it_is_built_on(path):
    assert imported(path.read_text(encoding="utf-8")) & FOREIGN == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_modules_import_only_the_standard_library_and_what_the_engine_stands_on(path):
    packages = imported(path.read_text(encoding="utf-8")) - set(sys.stdlib_module_names)
    assert packages <= {
        "lt_core",
        "mlxtend",
        "numpy",
        "PIL",
        "pydantic",
        "safetensors",
        "sklearn",
        "torch",
        "torchvision",
    }


def test_all_of_it_loads_and_works_in_a_process_without_them(in_another_process):
    modules = [module.name for module in pkgutil.walk_packages(lt_core.__path__, "lt_core.")]
    assert "lt_core.data.digits" in modules and "lt_core.chain" in modules
    code = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module(name)
sys.modules["lt_core.data"].load("digits")
shape = {{"channels": 1, "classes": 10, "image_size": (8, 8)}}
sys.modules["lt_core.models"].build("small_resnet", **shape, seed=0)
print(sorted({{name.split(".")[0] for name in sys.modules}} & {FOREIGN}))
"""
    assert in_another_process(code) == "[]"


def test_the_types_of_a_sweep_load_without_torch(in_another_process):
    code = (
        "import sys, lt_core.config; print(sorted({'torch', 'numpy', 'sklearn'} & {*sys.modules}))"
    )
    assert in_another_process(code) == "[]"
