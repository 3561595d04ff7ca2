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

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tune_app import signals, streams
from tune_app.credentials import hide_credentials
from tune_app.exit_codes import BAD_INPUT, INTERRUPTED
from tune_app.export.exporting import export
from tune_app.results.reading import RunError
from tune_app.store.store import StoreError
from tune_app.sweep.yaml_source import SpecError


def main(argv: Sequence[str] | None = None) -> int:
    """Export a ticket; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tune_app.export",
        description="Train the winning ticket of a run once more, and write it down for use.",
    )
    parser.add_argument(
        "run_dir", metavar="RUN_DIR", type=Path, help="a directory of a sweep's run"
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--best",
        action="store_true",
        help="the best H_find and H_eval by what the sweep selects on, and of its seeds the one of "
        "the best validation accuracy",
    )
    which.add_argument("--id", metavar="TRAINING", help="this training, as results.jsonl names it")
    parser.add_argument(
        "--at",
        type=_sparsity,
        metavar="SPARSITY",
        help="with --best: at the evaluated sparsity nearest to this one (default: the highest)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="to be made (default: RUN_DIR/export/TRAINING)"
    )
    parser.add_argument(
        "--store", metavar="PLACE", help="the store of the launch (default: RUN_DIR/../_store)"
    )
    options = parser.parse_args(argv)
    if options.id is not None and options.at is not None:
        parser.error("argument --at: goes with --best, and --id says it all")
    command = shlex.join(["python", "-m", "tune_app.export", *(argv or sys.argv[1:])])
    signals.obey()
    try:
        return export(
            options.run_dir,
            options.id,
            options.at,
            options.out,
            options.store,
            hide_credentials(command),
        )
    except (RunError, SpecError, StoreError, OSError) as error:
        print(f"error: {'; '.join(str(error).splitlines())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("stopped; nothing was exported", file=sys.stderr)
        return INTERRUPTED


def _sparsity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a fraction between 0 and 1, got {text}")
    return value


if __name__ == "__main__":
    streams.mend()
    sys.exit(main())
