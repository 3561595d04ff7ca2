"""What a machine must have to train for a launch: its code, its torch, its store."""

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import lt_core
from lt_core import import_path
from lt_core.names import is_of_a_package
from tune_app.store.same_store import Sign
from tune_app.sweep.sweep import Sweep
from tune_app.words import first_few

TORCHVISION = ("resnet18", "resnet34", "resnet50")
"""Networks of ours that are built with it."""


class UnfitNode(Exception):
    """A machine lacks what the launch needs; the message is the id of its node, and why."""


@dataclass(frozen=True)
class Proof:
    """What the machine of a launch has, and every other is to have."""

    code: Mapping[str, str]
    """Digest of each file of this program, by its path."""

    own: Mapping[str, str]
    """Digest of each of the user's own modules, by name."""

    needed: tuple[str, ...]
    """Modules, and functions as `module:function`, that trials import."""

    torch: str
    sign: Sign

    def lacks(self) -> list[str]:
        """What of it this machine does not have, a sentence each, with what it has instead."""
        found = []
        code = code_here()
        if differing := _differing(self.code, code):
            found.append(
                f"its code is {digest(code)}, the launch's {digest(self.code)} ({differing})"
            )
        if (torch := metadata.version("torch")) != self.torch:
            found.append(f"its torch is {torch}, the launch's {self.torch}")
        if missing := self.sign.missing():
            found.append(f"{self.sign.store.place} {missing}")
        for needed in self.needed:
            try:
                _import(needed)
            except (ValueError, ImportError) as error:
                found.append(str(error))
        for module, file in self.own.items():
            here = _own_file(module)
            if here is not None and here != file:
                found.append(f"its module {module} is {here}, the launch's {file}")
        return found


def proof_of(sweep: Sweep, sign: Sign) -> Proof:
    """What this machine has for a sweep, whose own modules are loaded."""
    own = list(sweep.own_modules.values())
    files: dict[str, str] = {}
    for path in own:
        files |= import_path.files_of(path)
    package = "torchvision" if sweep.model in TORCHVISION else ""
    if is_of_a_package(sweep.model):
        package = sweep.model.partition(":")[0]
    needed = (*own, *([package] if package else []))
    return Proof(
        code_here(),
        {name: _digest(Path(file).read_bytes()) for name, file in sorted(files.items())},
        needed,
        metadata.version("torch"),
        sign,
    )


def code_here() -> dict[str, str]:
    """Digest of each file of this program, by its path."""
    found = {}
    for folder in (Path(lt_core.__file__).parent, Path(__file__).parents[1]):
        for file in sorted(folder.rglob("*.py")):
            found[str(file.relative_to(folder.parent))] = _digest(file.read_bytes())
    return found


def digest(files: Mapping[str, str]) -> str:
    """One digest of many."""
    return _digest("\n".join(f"{name} {files[name]}" for name in sorted(files)).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """`lt_core/schedule.py and 2 more`; empty where all are alike."""
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    return first_few(names, 1)


def _import(needed: str) -> None:
    if ":" in needed:
        import_path.find(needed)
    else:
        importlib.import_module(needed)


def _own_file(module: str) -> str | None:
    """The digest of a module's file here; None where there is none: then what imports it fails."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return _digest(Path(spec.origin).read_bytes())
