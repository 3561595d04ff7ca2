"""The user's own network or data set, by import path: `my_package.nets:make_net`."""

import pkgutil
from typing import Any


def call(path: str, **arguments: Any) -> Any:
    """Call the function at an import path.

    Args:
        path: `module:function`, with a module that `import` finds.
        arguments: keyword arguments of the function.

    Raises:
        ValueError: when there is no such function, or it fails.
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
    except Exception as error:
        raise ValueError(f"{path}: importing {module} fails: {_told(error)}") from error
    if not callable(function):
        raise ValueError(f"{path}: must be a function, is of type {type(function).__name__}")
    try:
        return function(**arguments)
    except Exception as error:
        named = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise ValueError(f"{path}({named}) fails: {_told(error)}") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
