"""What CONTRIBUTING.md says is true."""

import ast
import os
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from rooms import CONTRIBUTING, ROOMS, ROOT

PROSE = re.sub(r"```.*?```", "", CONTRIBUTING, flags=re.DOTALL)
CODES = re.findall(r"`([^`]+)`", PROSE)
COMMANDS = {
    *re.findall(r"^    (\S.*)$", PROSE, re.MULTILINE),
    *(code for code in CODES if code.startswith(("python ", "pytest", "pip "))),
}
WAYS = re.findall(r"^(\S+\.py) +(\w+(?:\.\w+)?) {2,}\S.*$", CONTRIBUTING, re.MULTILINE)


def file_named(name: str) -> Path | None:
    """A file or folder of the repository, or of the service, by its path; None if there is none."""
    places = [ROOT / name, ROOT / "tune_app" / name]
    return next((place for place in places if place.exists()), None)


@cache
def defined_in(path: Path) -> frozenset[str]:
    """Classes, functions and variables of a module; those of a class also as `Class.name`."""
    names = set()

    def visit(body: list[ast.stmt], before: str = "") -> None:
        for node in body:
            match node:
                case ast.ClassDef():
                    names.add(before + node.name)
                    visit(node.body, f"{node.name}.")
                case ast.FunctionDef():
                    names.add(before + node.name)
                case ast.AnnAssign(target=ast.Name(id)):
                    names.add(before + id)
                case ast.Assign(targets=[ast.Name(id)]):
                    names.add(before + id)

    visit(ast.parse(path.read_text()).body)
    return frozenset(names)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_is_there_with_its_sentence_and_modules(room):
    assert room.path.exists()
    init = room.path / "__init__.py" if room.path.is_dir() else room.path
    if init.name == "__init__.py":
        assert ast.get_docstring(ast.parse(init.read_text())) == room.sentence
    there = {path.stem for path in room.path.glob("*")}
    missing = [name for name in room.modules if name not in there]
    assert missing == []


def test_every_floor_from_the_lowest_up_has_a_room():
    floors = [room.floor for room in ROOMS]
    assert floors == sorted(floors, reverse=True)
    assert sorted(set(floors)) == list(range(1, floors[0] + 1))


def test_there_are_two_ways():
    assert [WAYS[0][1], WAYS[-1][1]] == ["load_sweep", "winner"]
    assert len(WAYS) == 34


@pytest.mark.parametrize(("file", "name"), WAYS, ids=lambda text: text)
def test_a_step_of_a_way_names_what_the_file_defines(file, name):
    path = file_named(file)
    assert path is not None
    assert name in defined_in(path)


def test_every_file_named_is_there():
    named = [code for code in CODES if " " not in code and ("/" in code or code.endswith(".md"))]
    assert len(named) >= 20
    assert [name for name in named if file_named(name) is None] == []


def test_every_name_is_defined():
    folders = ("lt_core", "tune_app", "tests")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    defined = {name for path in modules for name in defined_in(path)}
    defined |= {name.rpartition(".")[2] for name in defined}
    of_others = {"assert", "find", "pytest", "nightly", "fuzz", "filter_l1"}
    names = [code for code in CODES if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)?", code)]
    assert len(names) >= 20
    assert [name for name in names if name not in defined | of_others and "." not in name] == []
    dotted = [name for name in names if "." in name and file_named(name) is None]
    assert [name for name in dotted if name not in defined] == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_is_one(command):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    match command.split():
        case ["pip", "install", "-e", what]:
            extra = re.fullmatch(r'"\.\[(\w+)\]"', what)[1]
            assert extra in project["project"]["optional-dependencies"]
        case ["pytest"]:
            assert project["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
        case ["pytest", "-m", marker]:
            markers = project["tool"]["pytest"]["ini_options"]["markers"]
            assert marker in [line.partition(":")[0] for line in markers]
        case ["python", "-m", module, *arguments]:
            path = ROOT.joinpath(*module.split("."))
            path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
            text = path.read_text()
            named = [argument.lower() for argument in arguments]  # RUN_DIR is `run_dir`
            assert all(f'"{argument}"' in text for argument in named)
        case ["python", script, _]:
            assert "sys.argv" in (ROOT / script).read_text()
        case ["python3", "-m", "venv", *_]:
            pass
        case [script]:
            assert os.access(ROOT / script, os.X_OK)
        case _:
            pytest.fail("no such command")


def test_every_word_has_one_line():
    [table] = re.findall(r"\| word \| meaning \|\n\| --- \| --- \|\n((?:\|.*\n)+)", CONTRIBUTING)
    words = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()]
    assert words == [
        *("round", "chain", "ticket", "sparsity", "density", "point", "configuration"),
        *("sample", "curve", "kind", "trial", "run"),
    ]
