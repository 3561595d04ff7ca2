"""Read a YAML 1.2 file and remember the line every value came from."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Loc = tuple[str | int, ...]

# Aliases of aliases can make a short file expand to billions of values.
MAX_VALUES = 100_000

# Python neither reads nor prints integers of more than 4300 digits.
MAX_NUMBER_LENGTH = 300

# What the parser gives by itself; any other tag was written out (`!!python/name:os.system`).
_TAGS = {"map", "seq", "str", "null", "bool", "int", "float", "timestamp", "merge", "value"}

# The core schema of YAML 1.2. What matches none of it is text: `off`, `2020-01-01`, `12:00`.
_CORE: tuple[tuple[str, Callable[[str], Any]], ...] = (
    (r"~|null|Null|NULL|", lambda text: None),
    (r"true|True|TRUE", lambda text: True),
    (r"false|False|FALSE", lambda text: False),
    (r"[-+]?[0-9]+", int),
    (r"0o[0-7]+", lambda text: int(text, 8)),
    (r"0x[0-9a-fA-F]+", lambda text: int(text, 16)),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", lambda text: float(text.replace(".", ""))),
)


class SpecError(ValueError):
    """The sweep file or command line is wrong; `problems` says where and what to write instead."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        problems = (problems,) if isinstance(problems, str) else problems
        self.problems = tuple(map(_printable, problems))
        super().__init__("\n".join(self.problems))


def _printable(text: str) -> str:
    """One line, whatever keys and values it quotes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclass(frozen=True)
class YamlSource:
    """Plain data, sequences as tuples, and where each key of it was written."""

    data: dict[str, Any]
    origins: dict[Loc, str]
    """("train", "lr") -> "sweeps/lr_grid.yaml:23", in the order of the file."""

    def origin(self, loc: Loc) -> str:
        """Where `loc` was written; a missing key answers with its nearest parent."""
        while loc not in self.origins:
            loc = loc[:-1]
        return self.origins[loc]

    def override(self, assignment: str) -> None:
        """Apply a `key.below=value` of the command line, its value read as in the file.

        Raises:
            SpecError: when it is not of that form, or goes through something that is no mapping.
        """
        where = f"command line ({assignment})"
        key, equals, text = assignment.partition("=")
        path = tuple(key.split("."))
        if not equals or not all(path):
            raise SpecError(f"{where}: expected key=value or key.below=value")
        value, _ = _read(text, lambda line: where)
        node: Any = self.data
        for depth, part in enumerate(path[:-1], start=1):
            self.origins.setdefault(path[:depth], where)
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise SpecError(f"{where}: `{'.'.join(path[:depth])}` is not a mapping")
        self.forget(path)
        node[path[-1]] = value
        self.origins[path] = where

    def origins_below(self, loc: Loc) -> dict[Loc, str]:
        """Where `loc` and all that is in it were written."""
        return {known: at for known, at in self.origins.items() if known[: len(loc)] == loc}

    def forget(self, loc: Loc) -> None:
        """Drop the origins of `loc`, since it is replaced."""
        for below in self.origins_below(loc):
            del self.origins[below]


def read_yaml(path: Path) -> YamlSource:
    """Read a mapping, and what it `extends`: another file or a list of them, named relative to it,
    that are read first, in their order. Each is merged over those before it and the mapping over
    them all: mappings are merged, anything else is replaced.

    Raises:
        SpecError: a file cannot be read, is not YAML, repeats a key, is not a mapping, or extends
            nothing or itself.
    """
    return _with_bases(path, ())


def _with_bases(path: Path, above: tuple[Path, ...]) -> YamlSource:
    source = _read_file(path)
    if "extends" not in source.data:
        return source
    bases, above = source.data.pop("extends"), (*above, path.resolve())
    if bases == ():
        raise SpecError(f"{source.origin(('extends',))}: `extends` must not be empty")
    merged = YamlSource({}, {(): source.origin(())})
    for i, base in enumerate(bases if isinstance(bases, tuple) else (bases,)):
        extended = _read_base(base, source.origin(("extends", i)), path.parent, above)
        _merge(merged, extended, merged.data, extended.data)
    _merge(merged, source, merged.data, source.data)
    return merged


def _read_base(base: Any, where: str, folder: Path, above: tuple[Path, ...]) -> YamlSource:
    if not isinstance(base, str):
        text = "`extends` must be the path of a sweep file, or a list of paths"
        raise SpecError(f"{where}: {text}, got {base!r}")
    path = Path(normpath(folder / base))
    if path.resolve() in above:
        raise SpecError(f"{where}: `extends: {base}` leads back to this file")
    if not path.exists():
        raise SpecError(f"{where}: `extends`: {path}: no such file")
    return _with_bases(path, above)


def _read_file(path: Path) -> YamlSource:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}:{line}: not UTF-8 text") from None
    data, origins = _read(text, lambda line: f"{path}:{line}")
    if not isinstance(data, dict):
        raise SpecError(f"{path}:1: expected `key: value` lines at the top level")
    return YamlSource(data, origins)


def _merge(base: YamlSource, over: YamlSource, old: dict, new: dict, loc: Loc = ()) -> None:
    """Put what `over` says into `base`; `old` and `new` are their mappings at `loc`."""
    for name, value in new.items():
        here = (*loc, name)
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            base.origins[here] = over.origins[here]
            _merge(base, over, old[name], value, here)
        else:
            base.forget(here)
            old[name] = value
            base.origins.update(over.origins_below(here))


def _read(text: str, place: Callable[[int], str]) -> tuple[Any, dict[Loc, str]]:
    """Plain data, and the place of each key and item in it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    reader = _Reader(place)
    try:
        root = yaml.compose(text)
        data = None if root is None else reader.read(root, (), place(1), ())
    except YAMLError as error:
        line, problem = _explain(error, text)
        raise SpecError(f"{place(line)}: not valid YAML: {problem}") from None
    except RecursionError:
        raise SpecError(f"{place(1)}: nested too deeply") from None
    return data, reader.origins


def _explain(error: YAMLError, text: str) -> tuple[int, str]:
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"character {chr(error.character)!a} is not allowed"
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return 1, " ".join(str(error).split())
    line = error.problem_mark.line + 1
    if error.context is None or error.context_mark is None:
        return line, error.problem
    return (
        line,
        f"{error.problem}, {error.context} that starts at line {error.context_mark.line + 1}",
    )


class _Reader:
    """Turns the nodes of a document into plain data."""

    def __init__(self, place: Callable[[int], str]) -> None:
        self.place = place
        self.origins: dict[Loc, str] = {}

    def read(self, node: Node, loc: Loc, where: str, above: tuple[Node, ...]) -> Any:
        self.origins[loc] = where
        if len(self.origins) > MAX_VALUES:
            raise SpecError(f"{where}: more than {MAX_VALUES:,} values")
        if any(node is parent for parent in above):
            raise SpecError(f"{where}: `{'.'.join(map(str, loc))}` contains itself (*alias)")
        _check_tag(node, where)
        above = (*above, node)
        if isinstance(node, MappingNode):
            return {
                name: self.read(value, (*loc, name), self._where(key), above)
                for name, key, value in self._entries(node)
            }
        if isinstance(node, SequenceNode):
            return tuple(
                self.read(item, (*loc, i), self._where(item), above)
                for i, item in enumerate(node.value)
            )
        return _scalar(node)

    def _entries(self, mapping: MappingNode) -> Iterator[tuple[str, Node, Node]]:
        first: dict[str, str] = {}
        for key, value in mapping.value:
            where = self._where(key)
            _check_tag(key, where)
            name = _scalar(key) if isinstance(key, ScalarNode) else None
            if not isinstance(name, str):
                got = (key.value or "nothing") if isinstance(key, ScalarNode) else f"a {key.id}"
                raise SpecError(f"{where}: keys must be text, got {got}")
            if name == "<<":
                raise SpecError(f"{where}: merge keys (`<<`) are not supported")
            if name in first:
                raise SpecError(f"{where}: `{name}` is given twice (first at {first[name]})")
            first[name] = where
            yield name, key, value

    def _where(self, node: Node) -> str:
        return self.place(node.start_mark.line + 1)


def _tag(node: Node) -> str:
    return str(node.tag).removeprefix("tag:yaml.org,2002:")


def _check_tag(node: Node, where: str) -> None:
    if _tag(node) not in _TAGS:
        raise SpecError(f"{where}: the tag `{_tag(node)}` is not supported")


def _scalar(node: ScalarNode) -> Any:
    if _tag(node) == "str" or len(node.value) > MAX_NUMBER_LENGTH:
        # JSON, which is YAML too, writes 🎲 as "\ud83c\udfb2": two halves of one character.
        return node.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    matches = (convert for pattern, convert in _CORE if re.fullmatch(pattern, node.value))
    return next(matches, str)(node.value)
