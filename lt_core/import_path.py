"""The user's own network or data set, by import path: `my_package.nets:make_net`."""

import hashlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

_NOT_THE_USERS = {
    *("lt_core", "tune_app", "numpy", "PIL", "ray", "timm", "torch", "torchvision"),
    *sys.stdlib_module_names,
}
"""Packages whose frames say nothing of where in their own code a user's mistake is."""


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
    try:
        return function(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        named = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise ValueError(f"{path}({named}) fails: {told(error)}") from error


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
    try:
        found = function(of)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit too, as of any code of a user's
        raise ValueError(f"{path} fails: {told(error)}") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{path}: must return a mapping, returned {type(found).__name__}")
    return found


def source(modules: Iterable[str]) -> str:
    """A hash of the user's own files among those of modules, and of own modules beside them."""
    content = b"".join(Path(file).read_bytes() for file in sorted({*own_files(modules).values()}))
    return hashlib.sha256(content).hexdigest()[:20]


def own_files(modules: Iterable[str]) -> dict[str, str]:
    """The user's own files by module: those of modules, and of loaded ones beside them."""
    own = {name: file for name in modules if is_the_users(name) and (file := _file(name))}
    folders = {Path(file).parent for file in own.values()}
    loaded = (name for name in tuple(sys.modules) if is_the_users(name))
    beside = {name: file for name in loaded if (file := _file(name))}
    return own | {name: file for name, file in beside.items() if Path(file).parent in folders}


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
