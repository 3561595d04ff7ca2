"""The user's own functions by content."""

import sys


def fingerprint_of(path: str) -> str:
    """A fingerprint of the user's own files that a function is written in: those of its package
    that are loaded with it, and those beside them.

    Raises:
        ValueError: when there is no such function.
    """
    from lt_core import import_path

    function = import_path.find(path)
    modules = {path.partition(":")[0], getattr(function, "__module__", "")}
    packages = {module.partition(".")[0] for module in modules}
    return import_path.source(
        module for module in tuple(sys.modules) if module.partition(".")[0] in packages
    )
