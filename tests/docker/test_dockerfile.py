"""docker/Dockerfile and .dockerignore, without Docker; docker/try.py builds the image."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def instructions():
    """Name and arguments of each."""
    text = (ROOT / "docker" / "Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def arguments(instructions, wanted):
    return [rest for name, rest in instructions if name == wanted]


def copied(instructions):
    return [name for rest in arguments(instructions, "COPY") for name in rest.split()[:-1]]


def test_the_base_is_a_version_and_can_be_replaced(instructions):
    assert arguments(instructions, "FROM") == ["${PYTHON}"]
    name, default = instructions[0][1].split("=")
    assert name == "PYTHON"
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", default)


def test_torch_comes_from_an_index_that_can_be_replaced(instructions):
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in arguments(instructions, "ARG")
    (torch,) = [rest for rest in arguments(instructions, "RUN") if "torch" in rest]
    assert '--index-url "${TORCH_INDEX}"' in torch


def test_it_does_not_run_as_root(instructions):
    assert int(arguments(instructions, "USER")[-1]) > 0
    assert not any("sudo" in rest for rest in arguments(instructions, "RUN"))


def test_pip_leaves_no_cache_behind(instructions):
    installs = [rest for rest in arguments(instructions, "RUN") if "pip install" in rest]
    assert len(installs) == 3
    assert all("pip install --no-cache-dir" in rest for rest in installs)


def test_an_edited_source_file_installs_no_dependency_again(instructions):
    order = [rest for _, rest in instructions]
    dependencies = next(i for i, rest in enumerate(order) if "requirements.txt" in rest)
    before = copied(instructions[:dependencies])
    assert before == ["pyproject.toml"]
    (package,) = [rest for rest in order if rest.endswith(" /src")]
    assert "--no-deps" in package


def test_the_commit_is_told_late_for_another_one_makes_few_layers_again(instructions):
    told = instructions.index(("ARG", "LOTTERY_COMMIT="))
    assert instructions[told + 1] == ("ENV", "LOTTERY_COMMIT=${LOTTERY_COMMIT}")
    assert not {name for name, _ in instructions[told:]} & {"RUN", "COPY"}


def test_nothing_is_downloaded_or_unpacked_unseen_and_no_secret_is_kept(instructions):
    assert not arguments(instructions, "ADD")
    for name in ("ARG", "ENV"):
        for rest in arguments(instructions, name):
            assert not re.search("PASSWORD|TOKEN|SECRET|KEY", rest)


def test_what_is_copied_is_there_and_nothing_else_is_let_in(instructions):
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert patterns[-1] == "**/__pycache__"
    assert sorted(f"!{name}" for name in copied(instructions)) == patterns[1:-1]
    assert all((ROOT / name).exists() for name in copied(instructions))
