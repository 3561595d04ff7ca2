"""The results of a run as a table: for a notebook, and as results.csv."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lt_core.config import Recipe
from tune_app.results.reading import read_all
from tune_app.results.result import Result
from tune_app.store.files import write_atomically


def read_results(run_dir: str | Path) -> pd.DataFrame:
    """The results of a grid or a search, a row for each training.

    The columns are `id`, `kind`, `seed`, `round`, `sparsity`, `val_accuracy`, `test_accuracy`,
    `train_loss`, `macs`, `live`, `bitmask_bytes`, `distance`, `sign_changes`, `precision`,
    `seconds`, `finished_at` (seconds since 1970), `commit`, one for each field of a recipe
    (`find.lr`, `eval.lr`, ...; `find.*` is missing for masks that no training found), and one for
    the fraction pruned of each layer (`lpr.fc`, ...). Accuracies and fractions are in [0, 1].

    Raises:
        RunError: `results.jsonl` is missing or damaged.
    """
    return pd.DataFrame(map(_row, read_all(Path(run_dir) / "results.jsonl")))


def write_csv(run_dir: Path, results: Iterable[Result]) -> None:
    """Write `results.csv`, the same table for other programs.

    Raises:
        OSError: the directory cannot be written.
    """
    table = pd.DataFrame(map(_row, results)).convert_dtypes()  # 64, not 64.0 where some have none
    write_atomically(run_dir / "results.csv", table.to_csv(index=False).encode())


def _row(result: Result) -> dict[str, Any]:
    return {
        "id": result.id,
        "kind": result.kind,
        **_fields("find", result.find),
        **_fields("eval", result.eval),
        **_fields("lpr_find", result.lpr_find),
        "seed": result.seed,
        "round": result.round,
        "sparsity": result.sparsity,
        "val_accuracy": result.val_accuracy,
        "test_accuracy": result.test_accuracy,
        "train_loss": result.train_loss,
        **_cost(result),
        "distance": result.distance,
        "sign_changes": result.sign_changes,
        "precision": result.precision,
        "seconds": result.seconds,
        "finished_at": result.finished_at,
        "commit": result.commit,
        **{f"lpr.{layer}": pruned for layer, pruned in result.lpr.items()},
    }


def _cost(result: Result) -> dict[str, Any]:
    names = ("macs", "live", "bitmask_bytes")
    return {name: result.cost and getattr(result.cost, name) for name in names}


def _fields(stage: str, recipe: Recipe | None) -> dict[str, Any]:
    if recipe is None:
        return {}
    # Written are not all fields that are at their default.
    fields = dict(recipe) | recipe.model_dump(mode="json")
    return {f"{stage}.{name}": value for name, value in fields.items()}
