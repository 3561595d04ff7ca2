import base64
import json
import zlib

import pytest
from synthetic_run import result_of

from tune_app.plan.trainings import Training
from tune_app.results.curves import curves
from tune_app.sweep.load import load_sweep
from tune_app.tracking.note import note_with_links
from tune_app.tracking.views import saved_views, view_tags

SWEEP = """
name: grid
model: small_resnet
dataset: digits
seeds: [0, 1, 2]
train: {lr: 0.1, batch_size: 64, duration: 4ep}
prune: {fraction: 0.5, rounds: 3}
"""

GRID = """
find: {parameters: {lr: {values: [0.02, 0.1]}}}
eval: {parameters: {lr: {values: [0.1, 0.5]}}}
"""


@pytest.fixture
def sweep_of(tmp_path):
    def load(text):
        path = tmp_path / "sweep.yaml"
        path.write_text(SWEEP + text)
        return load_sweep(path)

    return load


def page(value):
    state = json.loads(value)["state"]
    return json.loads(zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))))


def result(kind, find, eval_, round, sparsity, test_accuracy):
    training = Training("id", kind, find, eval_, 0, round, None)
    return result_of(training, sparsity=sparsity, test_accuracy=test_accuracy)


def test_each_h_eval_compares_h_find_and_the_reverse(sweep_of):
    views, left_out = saved_views(sweep_of(GRID + "baselines: [global_random]"), {})
    assert [(view.name, dict(view.where), view.group_by) for view in views] == [
        ("H_find at LR_eval 0.1", {"kind": "lottery", "eval.lr": "0.1"}, ("find.lr",)),
        ("H_find at LR_eval 0.5", {"kind": "lottery", "eval.lr": "0.5"}, ("find.lr",)),
        ("H_eval at LR_find 0.1", {"kind": "lottery", "find.lr": "0.1"}, ("eval.lr",)),
        ("H_eval at LR_find 0.02", {"kind": "lottery", "find.lr": "0.02"}, ("eval.lr",)),
        ("All lottery curves", {"kind": "lottery"}, ("find.lr", "eval.lr")),
        ("Baselines at LR 0.1", {"coupled": "yes", "eval.lr": "0.1"}, ("kind",)),
    ]
    assert left_out == []


def test_several_hyperparameters_at_once(sweep_of):
    views, _ = saved_views(
        sweep_of(
            "find: {parameters: {lr: {values: [0.02, 0.1]}, batch_size: {values: [32, 64]}}}\n"
            "eval: {parameters: {milestones: {values: [[1ep, 2ep], []]}}}"
        ),
        {},
    )
    by_name = {view.name: view for view in views}
    view = by_name["H_eval at LR_find 0.02, BS_find 32"]
    assert view.where == {"kind": "lottery", "find.lr": "0.02", "find.batch_size": "32"}
    assert by_name["H_find at milestones_eval 1ep 2ep"].group_by == ("find.lr", "find.batch_size")


def test_a_space_of_one_point_needs_no_view_of_its_own(sweep_of):
    views, _ = saved_views(sweep_of("find: {parameters: {lr: {values: [0.02, 0.1]}}}"), {})
    assert [view.name for view in views] == ["H_find at train"]
    views, _ = saved_views(sweep_of(""), {})
    assert [(view.name, view.group_by) for view in views] == [("All lottery curves", ())]


def test_the_setting_passes_over_runs_of_other_sweeps(sweep_of):
    setting = {"find.weight_decay": "0.005", "eval.weight_decay": "0.005"}
    views, _ = saved_views(sweep_of(GRID + "baselines: [global_random]"), setting)
    assert views[0].where == {"kind": "lottery", **setting, "eval.lr": "0.1"}
    # The random masks of no H_find have no find.weight_decay.
    assert views[-1].where == {"coupled": "yes", "eval.weight_decay": "0.005", "eval.lr": "0.1"}


def test_lpr_constrained_curves_are_drawn_beside_regular_ones(sweep_of):
    text = GRID.replace("find: {", "find: {lpr_from: [{lr: 0.1}], ") + "baselines: [reinit]"
    views, _ = saved_views(sweep_of(text), {"model": "small_resnet"})
    found = [view for view in views if view.name.startswith("LPR-constrained")]
    assert [(view.name, dict(view.where)) for view in found] == [
        ("LPR-constrained at LR_eval 0.1", {"model": "small_resnet", "eval.lr": "0.1"}),
        ("LPR-constrained at LR_eval 0.5", {"model": "small_resnet", "eval.lr": "0.5"}),
    ]
    assert found[0].group_by == ("kind", "find.lr", "lpr_find.lr")
    assert found[0].num_lines == 2 + 2 + 1  # tickets, their reinit, one pair
    assert not any(view.name.startswith("LPR") for view in saved_views(sweep_of(GRID), {})[0])


def test_what_is_left_out_is_said(sweep_of):
    values = [0.01 * (i + 1) for i in range(14)]
    views, left_out = saved_views(
        sweep_of(
            f"find: {{parameters: {{lr: {{values: {values}}}}}}}\n"
            "eval: {parameters: {lr: {values: [0.2, 0.3, 0.4]}}}\n"
            "baselines: [global_random]"
        ),
        {},
    )
    # 3 of H_find with 14 x 3 curves, 12 of H_eval with 3 x 3; all are 14 x 3 x 3 = 126 curves.
    assert len(views) == 15
    assert left_out == [
        "no view of baselines: no point of `eval` is a point of `find`",
        "only 12 of 14 points of `find` have a view",
        "no view `All lottery curves`: MLflow draws no more than 100 curves",
    ]


def test_a_page_draws_accuracy_over_sparsity(sweep_of):
    sweep = sweep_of(GRID)
    views, _ = saved_views(sweep, {})
    low, high = (sweep.train.model_copy(update={"lr": lr}) for lr in (0.02, 0.1))
    shown = curves(
        [
            result("lottery", high, high, 0, 0.0, 0.985),
            result("lottery", low, high, 1, 0.5, 0.971),
            result("lottery", low, high, 3, 0.875, 0.955),
            result("lottery", high, high, 3, 0.875, 0.915),
        ]
    )
    tags = view_tags(views[:1], ["params.`seed`"], [shown])
    (state,) = map(page, tags.values())
    assert state["searchFilter"] == """params."kind" = 'lottery' and params."eval.lr" = '0.1'"""
    assert state["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "find.lr"}]
    assert state["selectedColumns"] == ["params.`seed`"]
    assert [chart["range"] for chart in state["compareRunCharts"]] == [
        {"xMin": 0.85, "xMax": 1.0, "yMin": 0.9, "yMax": 0.96},
        {"xMin": 0.0, "xMax": 1.0, "yMin": 0.9, "yMax": 1.0},
    ]
    assert {chart["metricKey"] for chart in state["compareRunCharts"]} == {"test_accuracy"}
    assert state["globalLineChartConfig"]["selectedXAxisMetricKey"] == "sparsity"
    # The layers' pruning ratios, of which there are dozens, come last, and folded.
    sections = [(section["name"], section["display"]) for section in state["compareRunSections"]]
    assert sections[0] == ("Test accuracy", True)
    assert sections[1:] == [("test_acc", False), ("Model metrics", False), ("lpr", False)]


def test_before_the_first_result_there_is_one_chart_without_y_range(sweep_of):
    views, _ = saved_views(sweep_of(GRID), {})
    (state,) = map(page, view_tags(views[:1], [], [[]]).values())
    assert [chart["range"] for chart in state["compareRunCharts"]] == [{"xMin": 0.0, "xMax": 1.0}]


def test_the_menu_begins_with_the_main_view_and_keys_stay(sweep_of):
    views, _ = saved_views(sweep_of(GRID), {})
    tags = view_tags(views, [], [[] for _ in views])
    saved = {json.loads(tag)["updatedAt"]: json.loads(tag)["name"] for tag in tags.values()}
    assert [saved[at] for at in sorted(saved, reverse=True)] == [view.name for view in views]
    assert next(iter(tags)) == "mlflow.sharedViewState.sweep-941b88fbfb4ca465"
    assert views[0].query.endswith("&viewStateShareKey=sweep-941b88fbfb4ca465")


SEARCH = """
find: {method: tpe, parameters: {lr: {min: 0.02, max: 0.2}}}
eval: {method: tpe, parameters: {lr: {min: 0.02, max: 0.2}, weight_decay: {values: [0, 5e-4]}}}
search: {num_samples: 10, report_seeds: [10]}
"""


def test_a_search_shows_its_samples_best_first(sweep_of):
    # A coupled sample has the weight decay of its H_eval at H_find too, so it is no setting.
    setting = {"model": "small_resnet", "find.weight_decay": "0", "find.momentum": "0.9"}
    views, left_out = saved_views(sweep_of(SEARCH), setting)
    common = {"kind": "lottery", "model": "small_resnet", "find.momentum": "0.9"}
    assert [(view.name, dict(view.where)) for view in views] == [
        ("Samples, best first", common),
        ("Coupled samples, best first", common | {"coupled": "yes"}),
        ("Decoupled samples, best first", common | {"coupled": "no"}),
    ]
    assert left_out == []
    recipe = sweep_of(SEARCH).train
    shown = curves(
        [result("lottery", recipe, recipe, round, 0.4 * round, 0.97) for round in (1, 2)]
    )
    (state,) = map(page, view_tags(views[:1], [], [shown]).values())
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val_accuracy`", False)
    assert state["groupBy"] is None
    parallel, line = state["compareRunCharts"]
    assert parallel["selectedParams"] == ["find.lr", "eval.lr", "eval.weight_decay"]
    assert parallel["selectedMetrics"] == ["val_accuracy"]
    assert line["metricKey"] == "val_accuracy"
    assert line["range"] == {"xMin": 0.4, "xMax": 1.0, "yMin": 0.5, "yMax": 0.52}
    assert {chart["metricSectionId"] for chart in (parallel, line)} == {"accuracy"}


@pytest.mark.parametrize("budget", ["num_samples: 34", "trainings: 10"])  # 3 seeds each
def test_a_search_says_that_not_all_samples_may_be_drawn(sweep_of, budget):
    views, left_out = saved_views(sweep_of(SEARCH.replace("num_samples: 10", budget)), {})
    assert len(views) == 3
    assert left_out == ["views draw no more than 100 curves, those of the best samples"]


def test_a_note_begins_with_links_and_keeps_what_people_wrote(sweep_of):
    views, _ = saved_views(sweep_of(GRID + "baselines: [global_random]"), {})
    note = note_with_links("which?", "7", views, None)
    links, rest = note.split("\n\n", 1)
    assert links.startswith(
        f"Open: [H_find at LR_eval 0.1](#/experiments/7/runs?{views[0].query}) · "
    )
    assert links.count("](#/experiments/7/runs?") == len(views) == 6
    assert rest == "which?"

    written = note + "\n\nOurs is better."
    again = note_with_links(written, "7", views[:1], "abc")
    assert again == (
        "Open: [report](#/experiments/7/runs/abc/artifacts/report.html"
        "?workflowType=machine_learning) · "
        f"[H_find at LR_eval 0.1](#/experiments/7/runs?{views[0].query})"
        "\n\nwhich?\n\nOurs is better."
    )
    assert note_with_links(again, "7", views[:1], "abc") == again
    more = note_with_links("", "7", views * 2, None)
    assert more.count("](") == 6 and "and 6 more under `Views`, top right" in more
    assert note_with_links("mine", "7", [], None) == "mine"
