"""The steps of an export: choice, training, files, MLflow."""

import sys
from pathlib import Path

from tune_app.exit_codes import OK, SOME_FAILED
from tune_app.export.choice import choose
from tune_app.export.mlflow_log import log_export
from tune_app.export.recipe import compared, read_recipe
from tune_app.results.store_of_run import store_of
from tune_app.store.store import Store
from tune_app.tracking.connection import TrackingError, tracking_uri, way_to


def export(
    run_dir: Path,
    id: str | None,
    at: float | None,
    out: Path | None,
    store: str | None,
    command: str,
) -> int:
    """Train a ticket again, write the files and log them; what was exported before is only logged.

    Args:
        run_dir: the directory of a run.
        id: of the training to export; the best ticket for None.
        at: the sparsity of the best ticket; the highest for None.
        out: the directory to make; `export/<id>` in the run's for None.
        store: the store of the launch; the one beside the run for None.
        command: goes into recipe.json.

    Returns:
        The exit code.

    Raises:
        RunError: the run cannot be read, has no such ticket, or cannot repeat its training.
        SpecError: its `sweep.yaml` is not a sweep file.
        StoreError: the store cannot be read.
        OSError: the files cannot be written.
    """
    choice = choose(run_dir, id, at)
    run_dir = choice.run_dir
    out = out or run_dir / "export" / choice.training.id
    print(choice.described(), flush=True)

    if out.exists():
        recipe = read_recipe(out, choice.training)
        print(f"{out} is there already: it is not trained again")
    else:
        # Imported here: torch takes seconds, and mistakes are told before.
        from tune_app.export.files import write_files
        from tune_app.export.retraining import train_again

        out.parent.mkdir(parents=True, exist_ok=True)
        trained = train_again(choice, Store(store_of(run_dir, store)))
        recipe = write_files(out, choice, trained, command)

    print(compared(recipe))
    print(*sorted(out.iterdir()), sep="\n")
    if recipe["not_traced"]:
        print(f"no model: torch.export cannot trace {recipe['not_traced']}", file=sys.stderr)
        return SOME_FAILED
    if recipe.get("not_onnx"):
        print(f"no model.onnx: {recipe['not_onnx']}")
    if (readme := out / "README.md").exists():  # exports of early versions have none
        print(f"how to load them, and how large and how fast they are: {readme}")
    try:
        name, place = log_export(choice, recipe, out / "model")
    except TrackingError as error:
        print(
            f"not logged in MLflow: {error}. The files are whole; the same command logs them",
            file=sys.stderr,
        )
        return SOME_FAILED
    uri = tracking_uri(run_dir.resolve().parent)
    print(f"MLflow: {way_to(uri, run_dir)}\nthere run `{name}`, model {place}")
    return OK
