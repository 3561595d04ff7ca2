"""A curve as a run of MLflow: its identity, name, parameters and metrics."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tune_app.results.curves import Curve
from tune_app.results.result import Result
from tune_app.results.words import label, text
from tune_app.sweep.kinds import Kind, is_file, source
from tune_app.sweep.sweep import Sweep

if TYPE_CHECKING:
    from mlflow.entities import Metric

MAX_COLUMNS = 6  # for accuracies, in the table of runs


def evaluated(sweep: Sweep, curve: Curve) -> Curve:
    """The curve at the rounds that the sweep evaluates.

    Only where find = eval are there results of the rounds between, and a line through more points
    than its neighbours have bends away from them.
    """
    rounds = sweep.eval_rounds
    results = tuple(result for result in curve.results if result.round in rounds)
    return dataclasses.replace(curve, results=results)


def curve_tag(sweep: Sweep, curve: Curve) -> str:
    """The tag by which a curve's run is found again in MLflow: the only place that makes it.

    It is the same for curves of the same results, whichever sweep asks for them. A curve whose tag
    changed would be logged once more, so fields at their defaults are left out: a new one changes
    no tag.
    """
    key = curve.key
    determines = {
        "setting": [sweep.model, sweep.dataset, key.kind, curve.seed],
        "recipes": [
            recipe and recipe.model_dump(mode="json", exclude_defaults=True)
            for recipe in (key.find, key.lpr_find, key.eval)
        ],
        "prune": sweep.prune.model_dump(
            mode="json", exclude_defaults=True, exclude={"rounds", "final_sparsity"}
        ),
        "rewind": sweep.rewind_of(key.kind).model_dump(mode="json", exclude_defaults=True),
    }
    if not sweep.rewinds_alike:
        found = sweep.find_rewind.model_dump(mode="json", exclude_defaults=True)
        determines["find_rewind"] = found
    if own := _fingerprints(sweep, curve):
        determines["fingerprints"] = own
    if determines["rewind"]:
        determines["rewind_from"] = sweep.eval.rewind_from
    return hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:16]


def _fingerprints(sweep: Sweep, curve: Curve) -> dict[str, str]:
    """Of the user's own: data, network, score, and the curve's given mask."""
    if sweep.fingerprints is None:
        return {}
    own: dict[str, str] = sweep.fingerprints.model_dump(exclude_none=True, exclude={"masks"})
    masks = sweep.fingerprints.masks or {}
    where = source(curve.key.kind, curve.seed)
    return own | ({"mask": masks[where]} if where in masks else {})


def run_name(sweep: Sweep, curve: Curve) -> str:
    """In the words of what varies: `lottery find lr 0.1 -> eval lr 0.5 seed 0`."""
    key, found = curve.key, ""
    if key.find is not None:
        names = sweep.find.varied
        lpr = f" lpr of {label(key.lpr_find, names)}" if key.lpr_find else ""
        found = f"find {label(key.find, names)}{lpr} -> "
    eval_ = label(key.eval, sweep.eval.varied)
    return f"{key.kind} {found}eval {eval_} seed {curve.seed}"


def run_params(sweep: Sweep, curve: Curve) -> dict[str, str]:
    """Parameters to filter and group runs by; those of `find` only where there is one."""
    key = curve.key
    groups = {
        "prune": sweep.prune.model_dump(mode="json", exclude={"rounds", "final_sparsity"}),
        "rewind": _rewinding(sweep, key.kind),
        "find": dict(key.find or {}),
        "lpr_find": dict(key.lpr_find or {}),
        "eval": dict(key.eval),
        "fingerprint": _fingerprints(sweep, curve),
    }
    return {
        "kind": key.kind,
        "seed": str(curve.seed),
        "coupled": "yes" if key.coupled else "no",
        "model": sweep.model,
        "dataset": sweep.dataset,
        **{f"{group}.{name}": text(v) for group, its in groups.items() for name, v in its.items()},
    }


def _rewinding(sweep: Sweep, kind: Kind) -> dict[str, Any]:
    rewind = sweep.rewind_of(kind).model_dump(mode="json") | {"from": sweep.eval.rewind_from}
    if sweep.rewinds_alike:
        return rewind
    found = sweep.find_rewind.model_dump(mode="json")
    return rewind | {f"find.{name}": value for name, value in found.items()}


def varied_params(sweep: Sweep) -> list[str]:
    """The names of the parameters that the sweep varies."""
    find, eval_ = sweep.find.varied, sweep.eval.varied
    groups = {"find": find, "lpr_find": find if sweep.find.lpr_from else (), "eval": eval_}
    return [f"{group}.{name}" for group, names in groups.items() for name in names]


def points(sweep: Sweep, results: Iterable[Result]) -> Iterator["Metric"]:
    """The metrics of a run: over sparsity in millionths, and single ones for the table of runs.

    Steps are whole numbers, and MLflow would draw two rounds of one step as one point. A single
    one, such as `test_acc/0.893`, is the test accuracy at that nominal sparsity.
    """
    from mlflow.entities import Metric

    columns = _accuracy_columns(sweep)
    for result in results:
        finished, step = finished_ms(result), round(1e6 * result.sparsity)
        for name in ("test_accuracy", "val_accuracy", "sparsity", "train_loss"):
            yield Metric(name, getattr(result, name), finished, step)
        for layer, pruned in result.lpr.items():
            yield Metric(f"lpr/{layer}", pruned, finished, step)
        if result.round in columns and not is_file(result.kind):
            yield Metric(columns[result.round], result.test_accuracy, finished, 0)


def table_columns(sweep: Sweep) -> list[str]:
    """The columns of a table of runs, as MLflow writes them."""
    params = ["kind", *varied_params(sweep), "seed"]
    metrics = _accuracy_columns(sweep).values()
    return [f"params.`{name}`" for name in params] + [f"metrics.`{name}`" for name in metrics]


def _accuracy_columns(sweep: Sweep) -> dict[int, str]:
    """By round: every n-th of the evaluated ones, the last among them, so that they fit."""
    from_last = sweep.eval_rounds[:0:-1]
    chosen = reversed(from_last[:: -(-len(from_last) // MAX_COLUMNS)])
    if sweep.prune.strategy == "filter_l1" or sweep.prune.layer_fractions:
        # The nominal sparsity is another number than the fraction of the weights that are gone.
        return {round: f"test_acc/round {round}" for round in chosen}
    return {round: f"test_acc/{sweep.prune.sparsity(round):.3f}" for round in chosen}


def finished_ms(result: Result) -> int:
    """When the training ended: milliseconds, as MLflow counts time."""
    return round(1000 * result.finished_at)
