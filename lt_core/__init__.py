"""Finding and training lottery tickets: torch only."""

from typing import TYPE_CHECKING

__all__ = [
    "Pruning",
    "Recipe",
    "Rewinding",
    "__version__",
    "chance_jaccard",
    "evaluate",
    "find",
    "jaccard",
    "load",
]

if TYPE_CHECKING:
    from lt_core.chain import find
    from lt_core.config import Pruning, Recipe, Rewinding
    from lt_core.data import load
    from lt_core.evaluation import evaluate
    from lt_core.overlap import chance_jaccard, jaccard

    __version__: str
else:
    _MODULES = {
        "Pruning": "config",
        "Recipe": "config",
        "Rewinding": "config",
        "chance_jaccard": "overlap",
        "evaluate": "evaluation",
        "find": "chain",
        "jaccard": "overlap",
        "load": "data",
    }

    def __getattr__(name: str) -> object:
        """A name of the face, imported on first use: torch takes seconds to load."""
        import importlib.metadata

        if name == "__version__":
            return importlib.metadata.version("lottery-sweeps")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
