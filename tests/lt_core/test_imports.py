import ast
import pkgutil
import sys
import tomllib
from pathlib import Path

import pytest

import lt_core
from lt_core import chain, config, data, evaluation, overlap

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
        "timm",
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


@pytest.mark.parametrize("optimizer", ["nesterov", "adamw"])
def test_a_training_loads_no_compiler_nor_what_only_some_data_need(in_another_process, optimizer):
    """Each of them takes a worker longer than the training."""
    code = f"""
import sys, lt_core
from lt_core import macs, mask, models
digits = lt_core.load("digits")
network = models.build("small_resnet", **vars(digits.shape), seed=0)
recipe = lt_core.Recipe(
    lr=0.1, batch_size=64, weight_decay=0, duration="2it", optimizer={optimizer!r}, clip_norm=1.0
)
lt_core.evaluate("small_resnet", digits, mask.dense(network, ()), recipe, seed=0)
macs.macs_by_weight(network, (1, 8, 8))
others = {{"torch._dynamo", "sympy", "scipy", "sklearn", "pandas", "torchvision", "mlxtend"}}
print(sorted(others & sys.modules.keys()))
"""
    assert in_another_process(code) == "[]"


@pytest.mark.parametrize("code", ["import lt_core", "import lt_core.config", "dir(lt_core)"])
def test_the_package_and_the_types_of_a_sweep_load_without_torch(in_another_process, code):
    code = f"import sys, lt_core; {code}; print({{'torch', 'numpy', 'sklearn'}} & {{*sys.modules}})"
    assert in_another_process(code) == "set()"


def test_the_face_is_what_its_modules_define():
    face = {name: getattr(lt_core, name) for name in lt_core.__all__ if name != "__version__"}
    assert face == {
        "Pruning": config.Pruning,
        "Recipe": config.Recipe,
        "Rewinding": config.Rewinding,
        "chance_jaccard": overlap.chance_jaccard,
        "evaluate": evaluation.evaluate,
        "find": chain.find,
        "jaccard": overlap.jaccard,
        "load": data.load,
    }
    assert set(lt_core.__all__) <= set(dir(lt_core))


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    assert lt_core.__version__ == project["version"]


def test_a_name_that_is_not_there_is_told():
    with pytest.raises(AttributeError, match="module 'lt_core' has no attribute 'Recipes'"):
        _ = lt_core.Recipes
    with pytest.raises(ImportError, match="cannot import name 'Recipes' from 'lt_core'"):
        exec("from lt_core import Recipes")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_no_module_bears_the_name_of_what_it_defines(path):
    """Or `from lt_core import find` would be one or the other, by what was imported before."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert path.stem not in defined
