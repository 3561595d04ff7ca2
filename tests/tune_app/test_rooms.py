"""The rooms of the service: imports go down only."""

import ast
import re
from pathlib import Path

import pytest
from rooms import ROOMS, ROOT

PACKAGE = ROOT / "tune_app"
FLOOR = {room.name: room.floor for room in ROOMS}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(module: str) -> str | None:
    """The room that a module lies in; None where it is neither of the service nor of lt_core."""
    first, *rest = module.split(".")
    if first == "lt_core":
        return "lt_core"
    if first != "tune_app":
        return None
    return f"tune_app.{rest[0]}" if rest else "tune_app"


def imported(path: Path) -> set[str]:
    """The modules that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            # `from tune_app import launch` imports a module, `from lt_core import find` may not.
            package = node.module == "tune_app"
            found |= {f"{node.module}.{a.name}" for a in node.names} if package else {node.module}
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_the_floors_below(path):
    room = room_of(name_of(path))
    others = {room_of(module) for module in imported(path)} - {None, room}
    if room == "tune_app":
        return  # the public face shows every room
    assert {other for other in others if FLOOR[other] >= FLOOR[room]} == set()


def test_every_room_has_a_floor_and_says_in_a_sentence_what_it_is():
    for path in MODULES:
        room = room_of(name_of(path))
        assert room == "tune_app" or room in FLOOR, path
    for init in PACKAGE.glob("*/__init__.py"):
        [line, *_] = (ast.get_docstring(ast.parse(init.read_text())) or "").splitlines()
        assert re.fullmatch(r"[A-Z].*\.", line), init


def test_no_file_is_longer_than_400_lines():
    for path in (*MODULES, *(ROOT / "lt_core").rglob("*.py")):
        assert len(path.read_text().splitlines()) <= 400, path
