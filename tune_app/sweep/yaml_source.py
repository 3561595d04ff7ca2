"""YAML 1.2 as plain data, with the line that every value came from."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from os.path import exists, normpath, realpath
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Loc = tuple[str | int, ...]

# A short file can be endless all the same: by aliases of aliases, by files that extend one file
# twice each, as a device. The limits hold for the sweep file, all that it extends and the command
# line together. They are many times the need of a large sweep, and to read so much takes seconds.
LIMITS = {"files": 100, "bytes": 200_000, "values": 100_000}

# A sweep has five levels; Python's recursion ends at a few hundred.
MAX_DEPTH = 100

# Python neither reads nor prints integers of more than 4300 digits.
MAX_NUMBER_LENGTH = 300

# The tags that the parser gives by itself; any other was written out (`!!python/name:os.system`).
_TAGS = {"map", "seq", "str", "null", "bool", "int", "float", "timestamp", "merge", "value"}

# The core schema of YAML 1.2. A scalar that matches no line is text: `off`, `2020-01-01`, `12:00`.
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


class _Budget:
    """The rest of `LIMITS`, as files are read."""

    def __init__(self) -> None:
        self.left = dict(LIMITS)

    def take(self, number: int, what: str, where: str) -> None:
        self.left[what] -= number
        if self.left[what] < 0:
            raise SpecError(f"{where}: more than {LIMITS[what]:,} {what}")


class SpecError(ValueError):
    """The sweep file or command line is wrong; `problems` has one line for each mistake, with its
    place and the remedy."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        problems = (problems,) if isinstance(problems, str) else problems
        self.problems = tuple(map(printable, problems))
        super().__init__("\n".join(self.problems))


def printable(text: str) -> str:
    """`text` on one line, its unprintable characters as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _is_unicode(text: str) -> bool:
    """Whether `text` has no lone surrogates; a command line that is not UTF-8 has some."""
    return not re.search("[\ud800-\udfff]", text)


@dataclass(frozen=True)
class YamlSource:
    """Plain data, sequences as tuples, and the place where each key of it was written."""

    data: dict[str, Any]
    origins: dict[Loc, str]
    """("train", "lr") -> "sweeps/lr_grid.yaml:23", in the order of the file."""

    budget: _Budget = field(default_factory=_Budget, compare=False, repr=False)

    def origin(self, loc: Loc) -> str:
        """The place of `loc`; for a missing key that of its nearest parent."""
        while loc not in self.origins:
            loc = loc[:-1]
        return self.origins[loc]

    def override(self, assignment: str) -> None:
        """Apply a `key.below=value` of the command line, its value read as in the file.

        Raises:
            SpecError: when it is not of that form, or goes through something that is no mapping.
        """
        # Shortened: each mistake in a long list repeats it.
        where = f"command line ({_shortened(assignment, 200)})"
        key, equals, text = assignment.partition("=")
        path = tuple(key.split("."))
        if not equals or not all(path):
            raise SpecError(f"{where}: expected key=value or key.below=value")
        if not _is_unicode(key):
            raise SpecError(f"{where}: keys must be text, got {key}")
        if len(path) > MAX_DEPTH:
            raise SpecError(f"{where}: nested too deeply")
        self.budget.take(len(assignment), "bytes", where)
        value, _ = _read(text, lambda line: where, self.budget)
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
        """The places of `loc` and of everything in it."""
        return {known: at for known, at in self.origins.items() if known[: len(loc)] == loc}

    def forget(self, loc: Loc) -> None:
        """Drop the places of `loc`, which is about to be replaced."""
        for below in self.origins_below(loc):
            del self.origins[below]


def read_yaml(path: Path) -> YamlSource:
    """Read a mapping, and the files that it `extends`: one or a list, named relative to it and read
    first, in their order. Each is merged over those before it and the mapping over them all:
    mappings are merged, anything else is replaced.

    Raises:
        SpecError: when a file cannot be read, is not YAML, repeats a key, is not a mapping, or
            extends nothing or itself; or when all together exceed `LIMITS`.
    """
    return _with_bases(path, (), _Budget())


def _with_bases(path: Path, above: tuple[str, ...], budget: _Budget) -> YamlSource:
    source = _read_file(path, budget)
    if "extends" not in source.data:
        return source
    bases, above = source.data.pop("extends"), (*above, realpath(path))
    if bases == ():
        raise SpecError(f"{source.origin(('extends',))}: `extends` must not be empty")
    merged = YamlSource({}, {(): source.origin(())}, budget)
    for i, base in enumerate(bases if isinstance(bases, tuple) else (bases,)):
        where = source.origin(("extends", i))
        _merge(merged, _read_base(base, where, path.parent, above, budget))
    source.forget(("extends",))
    _merge(merged, source)
    return merged


def _read_base(
    base: Any, where: str, folder: Path, above: tuple[str, ...], budget: _Budget
) -> YamlSource:
    if not isinstance(base, str):
        text = "`extends` must be the path of a sweep file, or a list of paths"
        raise SpecError(f"{where}: {text}, got {_shortened(repr(base), 60)}")
    path = Path(normpath(folder / base))
    if not exists(path):
        raise SpecError(f"{where}: `extends`: {path}: no such file")
    if realpath(path) in above:
        raise SpecError(f"{where}: `extends: {base}` leads back to this file")
    budget.take(1, "files", where)
    return _with_bases(path, above, budget)


def _read_file(path: Path, budget: _Budget) -> YamlSource:
    try:
        with path.open("rb") as file:
            content = file.read(LIMITS["bytes"] + 1)
        budget.take(len(content), "bytes", str(path))
        text = content.decode()
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}:{line}: not UTF-8 text") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    data, origins = _read(text, lambda line: f"{path}:{line}", budget)
    if not isinstance(data, dict):
        raise SpecError(f"{path}:1: expected `key: value` lines at the top level")
    return YamlSource(data, origins, budget)


def _merge(base: YamlSource, over: YamlSource) -> None:
    """Merge `over` into `base`, data and places."""
    replaced: set[Loc] = set()
    _merge_data(base.data, over.data, (), replaced)
    for loc in list(base.origins):
        if any(loc[:depth] in replaced for depth in range(1, len(loc) + 1)):
            del base.origins[loc]
    base.origins.update(over.origins)


def _merge_data(old: dict[Any, Any], new: dict[Any, Any], loc: Loc, replaced: set[Loc]) -> None:
    for name, value in new.items():
        here = (*loc, name)
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            _merge_data(old[name], value, here, replaced)
        else:
            old[name] = value
            replaced.add(here)


def _read(text: str, place: Callable[[int], str], budget: _Budget) -> tuple[Any, dict[Loc, str]]:
    """Plain data of a document, and the place of each key and item in it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    reader = _Reader(place, budget)
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
    """The line of an error of the parser, and the problem."""
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

    def __init__(self, place: Callable[[int], str], budget: _Budget) -> None:
        self.place = place
        self.budget = budget
        self.origins: dict[Loc, str] = {}

    def read(self, node: Node, loc: Loc, where: str, above: tuple[Node, ...]) -> Any:
        self.origins[loc] = where
        # A long key or text counts as several values: aliases repeat those too.
        length = sum(len(part) for part in (*loc[-1:], node.value) if isinstance(part, str))
        self.budget.take(1 + length // 100, "values", where)
        if len(loc) > MAX_DEPTH:
            raise SpecError(f"{where}: nested too deeply")
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
        assert isinstance(node, ScalarNode)  # there is no fourth kind
        return _scalar(node)

    def _entries(self, mapping: MappingNode) -> Iterator[tuple[str, Node, Node]]:
        first: dict[str, str] = {}
        for key, value in mapping.value:
            where = self._where(key)
            _check_tag(key, where)
            name = _scalar(key) if isinstance(key, ScalarNode) else None
            if not isinstance(name, str) or not _is_unicode(name):
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
