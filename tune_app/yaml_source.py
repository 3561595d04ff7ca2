"""Read a YAML 1.2 file and remember the line every value came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

Loc = tuple[str | int, ...]

# Aliases of aliases can make a short file expand to billions of values.
MAX_VALUES = 100_000


class SpecError(ValueError):
    """The sweep file or command line is wrong; `problems` says where and what to write instead."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class YamlSource:
    """Plain data, and where each key of it was written."""

    path: Path
    data: dict[str, Any]
    origins: dict[Loc, str]
    """("train", "lr") -> "sweeps/lr_grid.yaml:23"."""

    def origin(self, loc: Loc) -> str:
        """Where `loc` was written; a missing key answers with its nearest parent."""
        while loc and loc not in self.origins:
            loc = loc[:-1]
        return self.origins.get(loc, f"{self.path}:1")

    def override(self, assignment: str) -> None:
        """Apply a `key.below=value` of the command line, read by the same scalar rules.

        Raises:
            SpecError: when it is not of that form, or goes through something that is no mapping.
        """
        where = f"command line ({assignment})"
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise SpecError(f"command line: expected key=value, got {assignment!r}")
        try:
            value = _yaml().load(text)
        except YAMLError as error:
            raise SpecError(f"{where}: not valid YAML: {_problem(error)}") from None
        *parents, last = key.split(".")
        node: Any = self.data
        for depth, part in enumerate(parents, start=1):
            self.origins.setdefault(tuple(parents[:depth]), where)
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise SpecError(f"{where}: `{'.'.join(parents[:depth])}` is not a mapping")
        loc = (*parents, last)
        for below in [known for known in self.origins if known[: len(loc)] == loc]:
            del self.origins[below]
        node[last] = value
        self.origins[loc] = where


def read_yaml(path: Path) -> YamlSource:
    """Read a mapping.

    Raises:
        SpecError: the file cannot be read, is not YAML, repeats a key, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not UTF-8 text (byte {error.start})") from None
    try:
        root = _yaml().compose(text)
        if not isinstance(root, MappingNode):
            raise SpecError(f"{path}:1: expected `key: value` lines at the top level")
        origins = _Index(path).of(root)
        return YamlSource(path, _yaml().load(text), origins)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise SpecError(f"{path}:{line}: not valid YAML: {_problem(error)}") from None


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _problem(error: YAMLError) -> str:
    text = error.problem if isinstance(error, MarkedYAMLError) else None
    return text or " ".join(str(error).split())


class _Index:
    """Walks the nodes of a document and notes the line of each key and list item."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.origins: dict[Loc, str] = {}
        self.num_values = 0

    def of(self, root: Node) -> dict[Loc, str]:
        self._walk(root, (), (root,))
        return self.origins

    def _walk(self, node: Node, loc: Loc, above: tuple[Node, ...]) -> None:
        for name, marked, child in self._children(node):
            here = (*loc, name)
            self.origins[here] = self._where(marked)
            self.num_values += 1
            if self.num_values > MAX_VALUES:
                raise SpecError(f"{self._where(marked)}: more than {MAX_VALUES:,} values")
            if any(child is parent for parent in above):
                raise SpecError(f"{self._where(marked)}: `{name}` contains itself (*alias)")
            self._walk(child, here, (*above, child))

    def _children(self, node: Node):
        if isinstance(node, SequenceNode):
            yield from ((i, item, item) for i, item in enumerate(node.value))
        if not isinstance(node, MappingNode):
            return
        first: dict[str, str] = {}
        for key, value in node.value:
            if str(key.tag) == "tag:yaml.org,2002:merge":
                raise SpecError(f"{self._where(key)}: merge keys (`<<`) are not supported")
            if str(key.tag) != "tag:yaml.org,2002:str":
                raise SpecError(f"{self._where(key)}: keys must be text, got {_text(key)}")
            if key.value in first:
                raise SpecError(
                    f"{self._where(key)}: `{key.value}` is given twice "
                    f"(first at {first[key.value]})"
                )
            first[key.value] = self._where(key)
            yield key.value, key, value

    def _where(self, node: Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"


def _text(node: Node) -> str:
    return repr(node.value) if isinstance(node.value, str) else f"a {node.id}"
