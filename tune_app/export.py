"""Export the winning ticket of a run: the network trained under it, as files that others can use.

python -m tune_app.export RUN_DIR --best [--at 0.9]

weights.safetensors   the network as trained: parameters and buffers by name
mask.safetensors      what is alive: for each prunable layer a bool tensor of its weight's shape
recipe.json           what was trained how, and how well it does
model.pt2             the network as a torch.export program: normalized float32 images
                      [B, C, H, W] -> logits [B, classes]
model/                the same as an MLflow model, in MLflow's format without pickle

A sweep keeps masks and results, no trained weights: the training is repeated, to the same bits on
hardware of the same kind. Whole filters that a ticket has lost are not there in the network.
"""

import argparse
import io
import json
import logging
import os
import shlex
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_app.credentials import hide_credentials
from tune_app.exit_codes import BAD_INPUT, INTERRUPTED, OK, SOME_FAILED
from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Training
from tune_app.report.page import RunError, read_results, read_run_dir, read_sweep
from tune_app.results.curves import (
    Curve,
    Results,
    best,
    cells,
    percent_pruned,
)
from tune_app.results.result import Result, described
from tune_app.results.run_directory import provenance
from tune_app.results.words import KIND_NAMES, short, varied_fields
from tune_app.store.store import Missing, Store, StoreError
from tune_app.sweep.resources import Resources
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.tracking import tracker as tracking
from tune_app.tracking.runs import finished_ms, run_params
from tune_app.tracking.tracker import (
    Tracker,
    TrackingError,
    artifact_root,
    open_command,
    tracking_uri,
)

if TYPE_CHECKING:
    import torch

    from lt_core.data import DataSet
    from lt_core.evaluation import Evaluation
    from lt_core.mask import Mask, PackedMask
    from tune_app.search.plan import SearchPlan

# torch and mlflow take seconds to import and a mistake is told before: they are imported where they
# are used.


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
    try:
        return _export(options, hide_credentials(command))
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


def _export(options: argparse.Namespace, command: str) -> int:
    run_dir, sweep, plan, results = _read(options.run_dir, options.id)
    if options.id is None:
        result = winner(sweep, results, nearest_round(sweep, results, options.at))
    else:
        result = _result_of(options.id, run_dir, plan, results)
    training = plan.trainings[result.id]
    out = options.out or run_dir / "export" / training.id
    print(_described(sweep, result), flush=True)

    if out.exists():
        recipe = _read_recipe(out, training)
        print(f"{out} is there already: it is not trained again")
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        store = Store(options.store or str(run_dir.resolve().parent / "_store"))
        resources = _resources(sweep, plan, training)
        data, mask, evaluation = _train(sweep, training, resources, store, run_dir)
        recipe = _recipe(sweep, training, result, data, evaluation, command)
        _write(out, sweep, training, data, mask, evaluation, recipe)

    print(_accuracies(recipe))
    print(*sorted(out.iterdir()), sep="\n")
    if recipe["not_traced"]:
        print(f"no model: torch.export cannot trace {recipe['not_traced']}", file=sys.stderr)
        return SOME_FAILED
    print(_how_to_load(out))
    return _log(run_dir, sweep, result, recipe, out / "model")


def _read(run_dir: Path, id: str | None) -> tuple[Path, Sweep, "Plan | SearchPlan", Results]:
    """The run that has the ticket, its directory first: of a search its comparison over fresh
    seeds, unless `id` is a training of the search itself.

    Raises:
        RunError: a file of the run is missing or damaged, or it has no results.
        SpecError: its `sweep.yaml` is not a sweep file.
    """
    sweep = read_sweep(run_dir)
    if sweep.search is not None:
        beside = run_dir.absolute().parent / f"{run_dir.absolute().name}-best"
        if id is not None:
            # Optuna and scipy take as long to load as all else.
            from tune_app.report.search import read_samples
            from tune_app.search.plan import plan_of

            samples = read_samples(run_dir)
            plan = plan_of(sweep, (sample.configuration for sample in samples.all))
            if id in plan.trainings or not beside.is_dir():
                results, _ = read_results(run_dir / "results.jsonl", plan.trainings)
                return run_dir, sweep, plan, results
        print(f"a search: of its best configurations, trained over fresh seeds in {beside}")
        run_dir = beside
    sweep, plan, results, _ = read_run_dir(run_dir)
    return run_dir, sweep, plan, results


# Which one


def nearest_round(sweep: Sweep, results: Results, at: float | None) -> int:
    """The evaluated round whose tickets' sparsity is nearest to `at`; the highest one for None.

    Raises:
        RunError: when there is no ticket's result at that round.
    """
    pruned = {
        round: statistics.fmean(cell.point.sparsity for cell in found)
        for round in sweep.eval_rounds[1:]
        if (found := cells(sweep, results.means, round))
    }
    if not pruned:
        raise RunError("there is no result of a ticket yet, only of dense networks")
    if at is None:
        return max(pruned)
    planned = {round: sweep.sparsities[round] for round in sweep.eval_rounds[1:]} | pruned
    nearest = min(planned, key=lambda round: abs(planned[round] - at))
    if nearest not in pruned:
        there = ", ".join(percent_pruned(sparsity) for sparsity in pruned.values())
        raise RunError(
            f"--at {at:g}: no result of a ticket at {percent_pruned(planned[nearest])} pruned; "
            f"there are at {there}"
        )
    return nearest


def winner(sweep: Sweep, results: Results, round: int) -> Result:
    """The ticket to use at a round that has results: of the best (H_find, H_eval) by the mean of
    what the sweep selects on, the seed of the best validation accuracy, the first of equal ones."""
    cell = best(sweep, cells(sweep, results.means, round))
    of_cell = (
        result
        for result in results
        if (result.kind, result.round) == ("lottery", round)
        and (result.find, result.eval) == (cell.find, cell.eval)
    )
    return max(of_cell, key=lambda result: result.val_accuracy)


def _result_of(id: str, run_dir: Path, plan: "Plan | SearchPlan", results: Results) -> Result:
    found = {result.id: result for result in results}
    if id in found:
        return found[id]
    if id in plan.trainings:
        raise RunError(f"--id {id}: this training has no result yet")
    some = ", ".join(list(found)[-3:])
    raise RunError(
        f"--id {id}: no training of {run_dir}; results.jsonl has {len(found):,}, such as {some}"
    )


def _described(sweep: Sweep, result: Result) -> str:
    varied = varied_fields(sweep)
    recipes = (
        ("found at", result.find),
        ("with the LPR of", result.lpr_find),
        ("trained at", result.eval),
    )
    parts = [f"{words} {short(recipe, varied)}" for words, recipe in recipes if recipe]
    return (
        f"{KIND_NAMES[result.kind]} at {percent_pruned(result.sparsity)} pruned (round "
        f"{result.round}), {', '.join(parts)}, seed {result.seed}: training {result.id}"
    )


# Training it again


def _resources(sweep: Sweep, plan: "Plan | SearchPlan", training: Training) -> Resources:
    """Those of the trial that trained it: a chain trains its own rounds, in a search its probes."""
    chains = set(plan.chain_of_ticket.values())
    in_chains = {id for chain in chains for id in chain.ids}
    if sweep.search is not None:
        in_chains |= {probe.id for chain in chains for probe in plan.probes(chain).values()}
    return sweep.find_resources if training.id in in_chains else sweep.eval_resources


def _train(
    sweep: Sweep, training: Training, resources: Resources, store: Store, run_dir: Path
) -> tuple["DataSet", "Mask", "Evaluation"]:
    """Train as a trial did: the same network, mask, threads, and kind of device if it is there.

    Raises:
        RunError: when something that it needs is gone; says how to make it again.
    """
    import torch

    from lt_core import data
    from lt_core.training_loop import Diverged
    from tune_app.trial.trainer import Trainer

    torch.set_num_threads(resources.cpu)
    device = "cpu"
    if resources.gpu:
        if torch.cuda.is_available():
            device = "cuda"
        else:
            print("training on the CPU, since torch sees no GPU here; the sweep's trials had one")
    try:
        images = data.load(sweep.dataset, sweep.data_dir)
        trainer = Trainer(
            sweep.model, sweep.prune, sweep.rewind, images, store, _tickets_of(store), device
        )
        mask = trainer.mask(training)
        return images, mask, trainer.train(training, mask)
    except Missing as missing:
        what = str(missing).partition(";")[0]
        if sweep.search is not None:
            raise RunError(
                hide_credentials(
                    f"{store.place}: {what}; a search that is over makes it no more, a grid of its "
                    "H_find, H_eval and seed does"
                )
            ) from None
        result = f"results/{training.id[:2]}/{training.id}.json.gz"
        launch = ["python", "-m", "tune_app.launch", f"{run_dir}/sweep.yaml"]
        launch += ["--out", str(run_dir.resolve().parent), "--store", store.place]
        raise RunError(
            hide_credentials(
                f"{store.place}: {what}; to make it again, delete {result} there and run: "
                f"{shlex.join(launch)}"
            )
        ) from None
    except (Diverged, ValueError) as error:
        raise RunError(f"training {training.id} cannot be repeated: {error}") from error


def _tickets_of(store: Store) -> "Callable[[str], PackedMask]":
    from lt_core.mask import PackedMask

    def ticket(id: str) -> PackedMask:
        data = store.ticket(id)
        if data is None:
            raise Missing(f"there is no ticket {id}")
        return PackedMask.from_bytes(data)

    return ticket


# What is written


def _recipe(
    sweep: Sweep,
    training: Training,
    result: Result,
    data: "DataSet",
    evaluation: "Evaluation",
    command: str,
) -> dict[str, Any]:
    """recipe.json; `not_traced` is filled in where torch.export fails."""
    mean, std = (value.flatten().tolist() for value in data.mean_and_std)
    accuracies = ("val_accuracy", "test_accuracy")
    return {
        **described(training),
        "ticket": training.ticket,
        "model": sweep.model,
        "dataset": sweep.dataset,
        "prune": sweep.prune.model_dump(mode="json"),
        "rewind": sweep.rewind.model_dump(mode="json") | {"from": sweep.eval.rewind_from},
        "sparsity": evaluation.sparsity,
        "lpr": evaluation.lpr,
        **{name: getattr(evaluation, name) for name in accuracies},
        "recorded": {name: getattr(result, name) for name in accuracies},
        "precision": evaluation.precision,
        "seconds": evaluation.seconds,
        "input": {"shape": list(data.image_shape), "mean": mean, "std": std},
        "classes": data.classes,
        "not_traced": None,
        **provenance(command),
    }


def _write(
    out: Path,
    sweep: Sweep,
    training: Training,
    data: "DataSet",
    mask: "Mask",
    evaluation: "Evaluation",
    recipe: dict[str, Any],
) -> None:
    """Make the directory `out`, whole or not at all."""
    import safetensors.torch
    import torch

    from lt_core import rewind
    from lt_core.data.batches import Batches

    with _beside(out) as folder:
        alive = {name: layer.contiguous() for name, layer in mask.items()}
        for name, tensors in (("weights", rewind.state(evaluation.model)), ("mask", alive)):
            (folder / f"{name}.safetensors").write_bytes(safetensors.torch.save(tensors))
        network = _smallest(sweep, training, data, mask, evaluation)
        network = network.to("cpu", memory_format=torch.contiguous_format)
        images, _ = Batches(data, data.train, "cpu")[:2]
        try:
            with _quiet():
                _write_programs(folder, network, images.contiguous())
        except Exception as error:  # of many kinds, from the network's own code too
            for name in ("model.pt2", "model"):
                _remove(folder / name)
            first = next(iter(str(error).splitlines()), "")
            recipe["not_traced"] = f"{sweep.model}: {type(error).__name__}: {first}"
        (folder / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")


def _smallest(
    sweep: Sweep, training: Training, data: "DataSet", mask: "Mask", evaluation: "Evaluation"
) -> "torch.nn.Module":
    """The trained network without its pruned filters, also where it was trained with them at 0."""
    from lt_core.structured.channels import channel_groups
    from lt_core.structured.shrinking import shrink

    network = evaluation.model
    if sweep.prune.strategy == "filter_l1" and not sweep.prune.shrink and training.round > 0:
        return shrink(network, channel_groups(network.cpu(), data.image_shape), mask)
    return network


def _write_programs(folder: Path, network: "torch.nn.Module", images: "torch.Tensor") -> None:
    """Write `model.pt2` and `model/` for any number of images like these, more than one."""
    import torch

    network.eval()
    batch = torch.export.Dim("batch")  # where MLflow would fix it without a word, this fails
    program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "model.pt2")

    tracking.configure()
    import mlflow.pytorch
    from mlflow.models import infer_signature

    with torch.no_grad():
        signature = infer_signature(images.numpy(), network(images).numpy())
    mlflow.pytorch.save_model(
        network,
        folder / "model",
        input_example=images.numpy(),
        signature=signature,
        serialization_format="pt2",
        # Or MLflow would look in a process of its own for what the model imports: it is a graph.
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Where torch.export fails it prints graphs and logs warnings, besides what it raises."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A new directory that becomes `out` at the end, or vanishes."""
    folder = out.parent / f".{out.name}-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_recipe(out: Path, training: Training) -> dict[str, Any]:
    """The recipe of what was exported before.

    Raises:
        RunError: when `out` is something else.
    """
    try:
        recipe = json.loads((out / "recipe.json").read_bytes())
        exported = recipe["id"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{out}: is there already, and no export") from None
    if exported != training.id:
        raise RunError(f"{out}: holds another training, {exported}; give another --out")
    return recipe


# What is said


def _accuracies(recipe: Mapping[str, Any]) -> str:
    now, recorded = (
        f"validation {100 * its['val_accuracy']:.2f}%, test {100 * its['test_accuracy']:.2f}%"
        for its in (recipe, recipe["recorded"])
    )
    if all(recipe[name] == value for name, value in recipe["recorded"].items()):
        return f"{now}: as the sweep recorded it"
    return (
        f"{now}; NOT as the sweep recorded it: {recorded}. Other hardware, versions or precision "
        f"round differently (here {recipe['precision']}, {recipe['hardware']}; run.json has the "
        "sweep's)"
    )


def _how_to_load(out: Path) -> str:
    return f"""\
In Python:
  network = mlflow.pytorch.load_model({str(out / "model")!r})
  network = torch.export.load({str(out / "model.pt2")!r}).module()
  weights = safetensors.torch.load_file({str(out / "weights.safetensors")!r})
  mask = safetensors.torch.load_file({str(out / "mask.safetensors")!r})
Images are normalized: (pixels from 0 to 255 - mean) / std, both in recipe.json under `input`."""


def _log(
    run_dir: Path, sweep: Sweep, result: Result, recipe: Mapping[str, Any], model: Path
) -> int:
    """Log it in the experiment of the sweep; the exit code."""
    runs = run_dir.resolve().parent
    uri = tracking_uri(runs)
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
    try:
        tracker = Tracker(uri, sweep, artifact_root(runs), recipe["commit"])
        name, place = tracker.log_export(result.id, params, metrics, finished_ms(result), model)
    except TrackingError as error:
        print(
            f"not logged in MLflow: {error}. The files are whole; the same command logs them",
            file=sys.stderr,
        )
        return SOME_FAILED
    print(f"MLflow: {open_command(uri)}\nthere run `{name}`, model {place}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
