"""Export the winning ticket of a run: the network trained under it, as files that others can use.

python -m tune_app.export RUN_DIR --best [--at 0.9]

README.md             how the files are loaded, how large they are, and how long the network takes
weights.safetensors   parameters and buffers of the network as trained, by name; what is pruned is 0
sparse.safetensors    the same, of each prunable layer the bitmask and the values that are alive
mask.safetensors      for each prunable layer a bool tensor of its weight's shape, true where alive
recipe.json           model, data set, hyperparameters, accuracies, normalization of the images
model.pt2             the network as a torch.export program: normalized float32 images
                      [B, C, H, W] -> logits [B, classes]
model/                the same as an MLflow model, in MLflow's format without pickle
model.onnx            the same in ONNX, where `pip install -e ".[onnx]"` was done

A sweep keeps masks and results, no trained weights: the training is repeated, to the same bits on
hardware of the same kind. The network comes without the whole filters that its ticket pruned.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tune_app import signals
from tune_app.command import called, examples, out_option, path_argument, refused, typed
from tune_app.credentials import hide_credentials
from tune_app.exit_codes import INTERRUPTED
from tune_app.results.reading import RunError
from tune_app.store.store import StoreError
from tune_app.sweep.yaml_source import SpecError


def main(argv: Sequence[str] | None = None) -> int:
    """Export a ticket; returns the exit code."""
    return called(COMMAND, argv, "python -m tune_app.export")


def _run(
    run_dir: Path, best: bool, id: str | None, at: float | None, out: Path | None, store: str | None
) -> int:
    if best == (id is not None):
        raise click.UsageError("one of --best and --id is needed, not both")
    if id is not None and at is not None:
        raise click.UsageError("--at: goes with --best, and --id says it all")
    from tune_app.export.exporting import export  # torch: a help text needs none

    command = shlex.join(["python", "-m", "tune_app.export", *typed().arguments])
    signals.obey()
    try:
        return export(run_dir, id, at, out, store, hide_credentials(command))
    except (RunError, SpecError, StoreError, OSError) as error:
        return refused(error)
    except KeyboardInterrupt:
        print("stopped; nothing was exported", file=sys.stderr)
        return INTERRUPTED


def _sparsity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:  # nan neither, which click's own range lets through
        raise click.BadParameter(f"must be a fraction between 0 and 1, got {text}")
    return value


COMMAND = click.Command(
    "export",
    callback=_run,
    help="Train the winning ticket of a run once more, and write it down for use.",
    short_help="Write a run's winning ticket down, as files that others can use.",
    epilog=examples(
        "lottery export runs/lr_grid --best",
        "lottery export runs/lr_grid --best --at 0.95 --out ticket",
        "lottery export runs/lr_grid --id 3f0c5e...",
    ),
    params=[
        path_argument("run_dir"),
        click.Option(
            ["--best"],
            is_flag=True,
            help="The best H_find and H_eval by what the sweep selects on, and of its seeds the "
            "one of the best validation accuracy.",
        ),
        click.Option(
            ["--id"], metavar="TRAINING", help="This training, as results.jsonl names it."
        ),
        click.Option(
            ["--at"],
            type=_sparsity,
            metavar="SPARSITY",
            help="With --best: at the evaluated sparsity nearest to this one; the highest if not "
            "given.",
        ),
        out_option("DIR", "To be made; RUN_DIR/export/TRAINING if not given."),
        click.Option(
            ["--store"],
            metavar="PLACE",
            help="The store of the launch; that of run.json if not given, else RUN_DIR/../_store.",
        ),
    ],
)

if __name__ == "__main__":
    sys.exit(main())
