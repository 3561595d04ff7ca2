"""Saved views: the charts that answer a sweep, in the `Views` menu of MLflow's page.

A view is an experiment tag in the format of MLflow 3.17, which is undocumented: where another
version does not know it, the menu is empty and nothing else is lost.
"""

import base64
import hashlib
import json
import math
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lt_core.config import Recipe
from tune_app.results.curves import Curve, lpr_pairs
from tune_app.results.result import Result
from tune_app.results.words import short, text
from tune_app.sweep.sweep import Sweep

TAG_PREFIX = "mlflow.sharedViewState.sweep-"
"""The names of our tags; those of views that a person saved go on otherwise."""

MAX_POINTS = 12  # of each space; past 40 views MLflow lets nobody save another
MAX_CURVES = 100  # MLflow's page loads, and averages, the first 100 and does not say so
HIGH = 0.7  # curves part at high sparsity: the points from here on have a chart of their own


@dataclass(frozen=True)
class View:
    """A page of charts: which curves, and a line for each value of what."""

    name: str

    where: Mapping[str, str]
    """Run parameters, and the value that each must have."""

    group_by: tuple[str, ...]
    """Run parameters; a line, the mean over seeds, for each of their values."""

    num_lines: int

    of_samples: tuple[str, ...] = ()
    """Of a search: the parameters that it varies, as the axes of one more chart. Its curves are not
    grouped, come best first, and show validation accuracy, which is what it searches by."""

    def shows(self, params: Mapping[str, str]) -> bool:
        """Whether a run of these parameters is among those it shows."""
        return self.where.items() <= params.items()

    @property
    def id(self) -> str:
        """Follows TAG_PREFIX in the name of its tag."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    @property
    def query(self) -> str:
        """Follows `#/experiments/ID/runs?` in its address."""
        key = TAG_PREFIX.rpartition(".")[2] + self.id
        return f"workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={key}"


def saved_views(sweep: Sweep, setting: Mapping[str, str]) -> tuple[list[View], list[str]]:
    """The views of a sweep, the main one first, and a sentence on what is left out.

    Args:
        sweep: says what varies.
        setting: parameters that do not vary, by which to pass over the runs of other sweeps.
    """
    if sweep.search is not None:
        return _search_views(sweep, setting)
    find_names, eval_names = sweep.find.varied, sweep.eval.varied
    find_keys = tuple(f"find.{name}" for name in find_names)
    eval_keys = tuple(f"eval.{name}" for name in eval_names)
    finds, evals = (
        sorted(recipes, key=lambda recipe: recipe != sweep.train)
        for recipes in (sweep.find_recipes, sweep.eval_recipes)
    )
    lottery = {"kind": "lottery", **setting}

    views, left_out = [], []
    if find_names:
        for recipe in evals[:MAX_POINTS]:
            name = f"H_find at {short(recipe, eval_names, 'eval') or 'train'}"
            where = lottery | _params("eval", recipe, eval_names)
            views.append(View(name, where, find_keys, len(finds)))
    if eval_names:
        for recipe in finds[:MAX_POINTS]:
            name = f"H_eval at {short(recipe, find_names, 'find') or 'train'}"
            where = lottery | _params("find", recipe, find_names)
            views.append(View(name, where, eval_keys, len(evals)))
    if bool(find_names) == bool(eval_names):  # otherwise it is one of those above
        num_lines = len(finds) * len(evals)
        views.append(View("All lottery curves", lottery, find_keys + eval_keys, num_lines))
    if sweep.find.lpr_from:
        # Without a kind to filter by: the regular tickets are what they are compared with.
        lpr_keys = ("kind", *find_keys, *(f"lpr_{key}" for key in find_keys))
        num_lines = len(lpr_pairs(sweep)) + (1 + len(sweep.controls)) * len(finds)
        for recipe in evals[:MAX_POINTS]:
            name = f"LPR-constrained at {short(recipe, eval_names, 'eval') or 'train'}"
            where = {**setting, **_params("eval", recipe, eval_names)}
            views.append(View(name, where, lpr_keys, num_lines))
    if sweep.controls:
        # A random mask that no H_find found has no find.* parameters.
        coupled = {"coupled": "yes"}
        coupled |= {key: value for key, value in setting.items() if not key.startswith("find.")}
        shared = [recipe for recipe in evals if recipe in finds]
        for recipe in shared[:MAX_POINTS]:
            name = f"Baselines at {short(recipe, eval_names) or 'train'}"
            where = coupled | _params("eval", recipe, eval_names)
            views.append(View(name, where, ("kind",), 1 + len(sweep.controls)))
        if not shared:
            left_out.append("no view of baselines: no point of `eval` is a point of `find`")

    for stage, recipes in (("find", finds), ("eval", evals)):
        if len(recipes) > MAX_POINTS:
            left_out.append(f"only {MAX_POINTS} of {len(recipes)} points of `{stage}` have a view")
    too_many = [view for view in views if view.num_lines * len(sweep.seeds) > MAX_CURVES]
    if too_many:
        names = ", ".join(f"`{view.name}`" for view in too_many)
        left_out.append(f"no view {names}: MLflow draws no more than {MAX_CURVES} curves")
    return [view for view in views if view not in too_many], left_out


def _search_views(sweep: Sweep, setting: Mapping[str, str]) -> tuple[list[View], list[str]]:
    """Each of its curves has an H_find and an H_eval of its own: there are no common ones."""
    varied = {"find": sweep.find.varied, "eval": sweep.eval.varied}
    axes = tuple(f"{stage}.{name}" for stage, names in varied.items() for name in names)
    # What one stage varies, coupled samples have at the other too.
    either = {f"{stage}.{name}" for stage in varied for names in varied.values() for name in names}
    where = {"kind": "lottery"} | {k: v for k, v in setting.items() if k not in either}
    kinds: dict[str, dict[str, str]] = {
        "Samples": {},
        "Coupled samples": {"coupled": "yes"},
        "Decoupled samples": {"coupled": "no"},
    }
    num_lines = sweep.search_block.num_samples or MAX_CURVES + 1
    views = [
        View(f"{name}, best first", where | which, (), num_lines, axes)
        for name, which in kinds.items()
    ]
    if num_lines * len(sweep.seeds) <= MAX_CURVES:
        return views, []
    return views, [f"views draw no more than {MAX_CURVES} curves, those of the best samples"]


def _params(stage: str, recipe: Recipe, names: Sequence[str]) -> dict[str, str]:
    return {f"{stage}.{name}": text(getattr(recipe, name)) for name in names}


def view_tags(
    views: Sequence[View], columns: Sequence[str], shown: Sequence[Sequence[Curve]]
) -> dict[str, str]:
    """The experiment tags that are the views.

    Args:
        views: in the order of the menu.
        columns: of the table of runs.
        shown: for each view the curves that it shows by now; they set the range of its charts.
    """
    now = int(1000 * time.time())
    tags = {}
    for age, (view, curves) in enumerate(zip(views, shown, strict=True)):
        page = zlib.compress(json.dumps(_page(view, columns, curves)).encode())
        state = f"deflate;{base64.b64encode(page).decode()}"
        saved = now - age  # the menu begins with the newest
        tags[TAG_PREFIX + view.id] = json.dumps(
            {"name": view.name, "createdAt": saved, "updatedAt": saved, "state": state}
        )
    return tags


def _page(view: View, columns: Sequence[str], curves: Sequence[Curve]) -> dict[str, Any]:
    """The state of the page; charts of other metrics it adds by itself."""
    keys = [{"mode": "param", "groupByData": key} for key in view.group_by]
    results = [result for curve in curves for result in curve.results]
    high = [result for result in results if result.sparsity >= HIGH]
    metric = "val_accuracy" if view.of_samples else "test_accuracy"
    charts = [_chart("all", metric, results)]
    order = f"params.`{view.group_by[0]}`" if keys else "attributes.start_time"
    if view.of_samples:
        charts.insert(0, _parallel(view.of_samples, metric))
        order = f"metrics.`{metric}`"
    elif high:
        charts.insert(0, _chart("high", metric, high))
    return {
        "searchFilter": " and ".join(f"params.\"{k}\" = '{v}'" for k, v in view.where.items()),
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys} if keys else None,
        "orderByKey": order,
        "orderByAsc": not view.of_samples,
        "selectedColumns": list(columns),
        "runsHiddenMode": "SHOWALL",
        "runListHidden": True,
        "isAccordionReordered": True,
        "globalLineChartConfig": {
            "xAxisKey": "metric",
            "selectedXAxisMetricKey": "sparsity",
            "lineSmoothness": 0,
        },
        "compareRunSections": _sections("Samples" if view.of_samples else "Test accuracy"),
        "compareRunCharts": charts,
    }


def _sections(first: str) -> list[dict[str, Any]]:
    """Ours, then those that the page makes of the metrics: a network has dozens of layers, whose
    metrics would else come first."""
    names = {"accuracy": first, "test_acc": "test_acc", "rest": "Model metrics", "lpr": "lpr"}
    sizes = {"accuracy": {"columns": 2, "cardHeight": 480}}
    return [
        {"uuid": id, "name": name, "display": id == "accuracy", "isReordered": True}
        | sizes.get(id, {"columns": 3, "cardHeight": 300})
        for id, name in names.items()
    ]


def _parallel(params: Sequence[str], metric: str) -> dict[str, Any]:
    """A line per run through its parameters to its metric at the highest sparsity."""
    return {
        "uuid": "samples",
        "type": "PARALLEL",
        "metricSectionId": "accuracy",
        "runsCountToCompare": MAX_CURVES,
        "selectedParams": list(params),
        "selectedMetrics": [metric],
        "showAllRuns": True,
    }


def _chart(name: str, metric: str, results: Sequence[Result]) -> dict[str, Any]:
    """Accuracy over sparsity, with the axes just long enough for these results."""
    x_min, y_range = 0.0, {}
    if results:
        x_min = math.floor(20 * min(result.sparsity for result in results)) / 20
        values = [getattr(result, metric) for result in results]
        y_min, y_max = math.floor(50 * min(values)) / 50, math.ceil(50 * max(values)) / 50
        y_range = {"yMin": y_min, "yMax": max(y_max, y_min + 0.02)}
    return {
        "uuid": f"accuracy-{name}",
        "type": "LINE",
        "metricSectionId": "accuracy",
        "metricKey": metric,
        "useGlobalXaxisKey": True,
        "lineSmoothness": 0,  # smoothed without it
        "range": {"xMin": x_min, "xMax": 1.0, **y_range},
    }
