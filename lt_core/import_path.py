"""The user's own network or data set, by import path: `my_package.nets:make_net`."""

import ast
import contextlib
import hashlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_NOT_THE_USERS = {
    *("lt_core", "tune_app", "numpy", "PIL", "ray", "timm", "torch", "torchvision"),
    *sys.stdlib_module_names,
}
"""Packages whose frames say nothing of where in their own code a user's mistake is."""

_INSTALLED = ("site-packages", "dist-packages")


def call(path: str, **arguments: Any) -> Any:
    """Call the function at an import path.

    Args:
        path: `module:function`, with a module that `import` finds.
        arguments: keyword arguments of the function.

    Raises:
        ValueError: when there is no such function, or it fails; `sys.exit` is a failure too, or it
            would end the program with the user's exit code.
    """
    function = find(path)
    named = ", ".join(f"{name}={value}" for name, value in arguments.items())
    with _failures_told(f"{path}({named})"):
        return function(**arguments)


@contextlib.contextmanager
def _failures_told(what: str) -> Iterator[None]:
    """Any failure of the user's code as a ValueError that says so; sys.exit too, which would end
    the program."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ValueError(f"{what} fails: {told(error)}") from error


def find(path: str) -> Callable[..., Any]:
    """The function at an import path.

    Raises:
        ValueError: when there is none.
    """
    module = path.partition(":")[0]
    try:
        function = pkgutil.resolve_name(path)
    except AttributeError as error:
        raise ValueError(f"{path}: {error}") from error
    except ImportError as error:
        raise ValueError(
            f"{path}: cannot import {module} ({error}); it must be installed, "
            "or lie in the folder you start from"
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ValueError(f"{path}: importing {module} fails: {told(error)}") from error
    if not callable(function):
        raise ValueError(f"{path}: must be a function, is of type {type(function).__name__}")
    found: Callable[..., Any] = function
    return found


def mapping(path: str, function: Callable[..., Any], of: object) -> Mapping[str, object]:
    """The mapping that a function of the user's returns for its one argument.

    Raises:
        ValueError: when it fails, as in `call`, or returns something else.
    """
    with _failures_told(path):
        found = function(of)
    if not isinstance(found, Mapping):
        raise ValueError(f"{path}: must return a mapping, returned {type(found).__name__}")
    return found


def source(modules: Iterable[str]) -> str:
    """A hash of the user's own files among those of modules, and of own modules beside them."""
    own = {name: file for name in modules if is_the_users(name) and (file := _file(name))}
    folders = {Path(file).parent for file in own.values()}
    beside = (name for name in tuple(sys.modules) if is_the_users(name))
    files = {file for name in beside if (file := _file(name)) and Path(file).parent in folders}
    content = b"".join(Path(file).read_bytes() for file in sorted({*files, *own.values()}))
    return hashlib.sha256(content).hexdigest()[:20]


def files_of(path: str) -> dict[str, str]:
    """The user's own files that the function at an import path is written in, by module.

    They are those that it imports, wherever and however deep, of its package, beside one of them,
    or beside the package, unless that is installed: what else this process has loaded makes no
    difference.

    Raises:
        ValueError: when there is no such function.
    """
    function = find(path)
    ahead = [path.partition(":")[0], str(getattr(function, "__module__", ""))]
    packages = {module.partition(".")[0] for module in ahead}
    found: dict[str, str] = {}
    folders: set[Path] = set()
    while ahead:
        module = ahead.pop()
        if module in found or not is_the_users(module):
            continue
        file = _source_file(module)
        if file is None or not (module.partition(".")[0] in packages or file.parent in folders):
            continue
        found[module] = str(file)
        root = file.parents[module.count(".") + (file.name == "__init__.py")]
        folders |= {file.parent} | ({root} if root.name not in _INSTALLED else set())
        ahead += imported(module, file)
    return found


def _source_file(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):  # `module` is a name in one, or __main__
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def imported(module: str, file: Path) -> Iterator[str]:
    """The modules that the file of a module imports, and names from them, which may be modules;
    none of a file that Python cannot read."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            with contextlib.suppress(ImportError):  # beyond the top of the package
                base = importlib.util.resolve_name(name, package or None)
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _file(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


def told(error: BaseException) -> str:
    """An exception in one line, with the last line of the user's own code that it came through:
    `TypeError: 'int' object is not callable (nets.py:12, in forward)`."""
    message = " ".join(str(error).split())
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, SyntaxError):  # which says where itself
        return text
    place = _last_own_line(error)
    return f"{text} ({place})" if place else text


def is_the_users(module: str) -> bool:
    """Whether a module is neither of this program nor of what it stands on."""
    return module.partition(".")[0] not in _NOT_THE_USERS


def _last_own_line(error: BaseException) -> str:
    """`nets.py:12, in forward`; empty where the exception came through none."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if is_the_users(str(frame.f_globals.get("__name__", ""))):
            place = f"{_shown(frame.f_code.co_filename)}:{line}, in {frame.f_code.co_name}"
    return place


def _shown(file: str) -> str:
    """A path as a user knows it: from where the program was started, if it lies below."""
    here = Path(os.path.abspath("."))
    return str(Path(file).relative_to(here)) if Path(file).is_relative_to(here) else file
