"""The user's own modules beside a sweep file, to be sent with it to where it runs."""

import importlib.util
from pathlib import Path

from lt_core import import_path
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError


def own_files(sweep: Sweep, folder: Path) -> dict[str, bytes]:
    """The modules that a sweep names by import path and that lie in a folder, with those there that
    they import, by path in the folder. One that is installed stays: the cluster has its own.

    Raises:
        SpecError: one is neither there nor installed.
    """
    named = sweep.own_modules
    if ":" in sweep.dataset:
        named["dataset"] = sweep.dataset
    found: dict[str, bytes] = {}
    for key, path in named.items():
        module = path.partition(":")[0]
        if not _collect(folder, module.partition(".")[0], found) and not _is_installed(module):
            raise SpecError(
                f"`{key}`: {path}: no module {module} in {folder}, from where it would be sent, "
                "and none is installed"
            )
    return found


def _collect(folder: Path, name: str, found: dict[str, bytes]) -> bool:
    """Add the files of a module or package of the folder, and what they import of it; not of this
    program, which the cluster has."""
    if not import_path.is_the_users(name):
        return False
    if (folder / name / "__init__.py").exists() or (folder / name).is_dir():
        files = sorted((folder / name).rglob("*.py"))
    else:
        files = [file for file in (folder / f"{name}.py",) if file.is_file()]
    for file in files:
        place = str(file.relative_to(folder))
        if place not in found:
            found[place] = file.read_bytes()
            names = (each.partition(".")[0] for each in import_path.imported(name, file))
            for imported in dict.fromkeys(names):
                _collect(folder, imported, found)
    return bool(files)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
