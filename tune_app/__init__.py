"""Sweeps for lottery tickets: H_find and H_eval as two search spaces, on Ray Tune."""

from typing import TYPE_CHECKING

__all__ = ["__version__", "load_sweep", "make_plan", "read_results", "run_sweep", "write_report"]

if TYPE_CHECKING:
    from tune_app.conduct import run_sweep
    from tune_app.plan.plan import make_plan
    from tune_app.report.write import write_report
    from tune_app.results.table import read_results
    from tune_app.sweep.load import load_sweep

    __version__: str
else:
    _MODULES = {
        "load_sweep": "sweep.load",
        "make_plan": "plan.plan",
        "read_results": "results.table",
        "run_sweep": "conduct",
        "write_report": "report.write",
    }

    def __getattr__(name: str) -> object:
        """A name of the face, imported on first use: torch, Ray and MLflow take seconds to load."""
        import importlib.metadata

        if name == "__version__":
            return importlib.metadata.version("lottery-sweeps")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
