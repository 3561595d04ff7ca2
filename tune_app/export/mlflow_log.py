"""The export in MLflow: a run in the experiment of the sweep, with the model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_app.export.choice import Choice
from tune_app.results.curves import Curve
from tune_app.tracking.connection import artifact_root, tracking_uri
from tune_app.tracking.runs import finished_ms, run_params
from tune_app.tracking.tracker import Tracker


def log_export(choice: Choice, recipe: Mapping[str, Any], model: Path) -> tuple[str, str]:
    """Log the model in the experiment of the sweep; the names of its run and of the model.

    Raises:
        TrackingError: MLflow is away, or refuses.
    """
    sweep, result = choice.sweep, choice.result
    runs = choice.run_dir.resolve().parent
    params = run_params(sweep, Curve(result.curve, result.seed, ())) | {
        "kind": "export",
        "exported kind": result.kind,
        "training": result.id,
        "ticket": recipe["ticket"] or "none",
        "round": str(result.round),
        "precision": recipe["precision"],
    }
    metrics = {
        f"export/{name}": recipe[name] for name in ("val_accuracy", "test_accuracy", "sparsity")
    }
    tracker = Tracker(tracking_uri(runs), sweep, artifact_root(runs), recipe["commit"])
    return tracker.log_export(result.id, params, metrics, finished_ms(result), model)
