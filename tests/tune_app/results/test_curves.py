import math
import statistics
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import SWEEP, result_of, synthetic_results

from lt_core.config import Recipe
from lt_core.steps import Steps
from tune_app.plan.trainings import Training
from tune_app.results.curves import (
    Statistic,
    best,
    cells,
    comparisons,
    curves,
    dense_points,
    how_sparse,
    lpr_pairs,
    mean_curves,
    percent_pruned,
)
from tune_app.results.result import CurveKey
from tune_app.results.words import label, short, text, varied_fields
from tune_app.sweep.load import load_sweep

H1, H2 = (Recipe(lr=lr, batch_size=64, duration=Steps(2, "ep")) for lr in (0.1, 0.5))


def a_result(kind, find, eval_, round, seed=0, test=0.9, lpr_find=None):
    training = Training("id", kind, find, eval_, seed, round, None, lpr_find=lpr_find)
    accuracies = {"val_accuracy": test - 0.01, "test_accuracy": test}
    return result_of(training, sparsity=1 - 0.5**round, **accuracies)


@pytest.fixture
def sweep_of(tmp_path):
    def load(text=SWEEP):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return load_sweep(path)

    return load


def test_equal_recipes_are_one_curve_whichever_object_they_are():
    copies = (recipe.model_copy() for recipe in (H1, H2))
    results = [a_result("lottery", H1, H2, 1), a_result("lottery", *copies, 2)]
    [curve] = curves(results)
    assert [result.round for result in curve.results] == [1, 2]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_spread_is_the_sample_standard_deviation(values):
    assert Statistic.of(values).std == pytest.approx(statistics.stdev(values), abs=1e-15)


def test_a_curve_is_the_dense_network_then_its_rounds_in_order():
    dense, later, earlier = (a_result("lottery", H1, H1, round) for round in (0, 4, 2))
    [curve] = curves([later, dense, earlier])
    assert (curve.key, curve.seed) == (CurveKey("lottery", H1, H1), 0)
    assert curve.results == (dense, earlier, later)


def test_every_curve_of_an_eval_and_seed_begins_with_the_same_dense_network():
    dense = a_result("lottery", H1, H1, 0)
    others = [
        a_result("lottery", H2, H1, 1),
        a_result("global_random", None, H1, 1),
        a_result("lottery", H1, H1, 1, seed=1),
        a_result("lottery", H1, H2, 1),
    ]
    found = curves([dense, *others])
    assert [curve.results for curve in found] == [
        (dense, others[0]),
        (dense, others[1]),
        (others[2],),  # another seed
        (others[3],),  # another H_eval
    ]


def test_whose_lpr_it_is_makes_another_curve():
    regular = a_result("lottery", H1, H1, 1)
    constrained = [a_result("lpr_constrained", H1, H1, 1, lpr_find=h) for h in (H1, H2)]
    found = curves([regular, *constrained])
    assert [(curve.key.kind, curve.key.lpr_find, curve.results) for curve in found] == [
        ("lottery", None, (regular,)),
        ("lpr_constrained", H1, (constrained[0],)),
        ("lpr_constrained", H2, (constrained[1],)),
    ]
    assert CurveKey("lottery", H1, H1, None) in mean_curves([regular])


def test_each_lpr_goes_to_every_other_h_find(sweep_of):
    lpr_from = "find:\n  lpr_from: [{lr: 0.5}, {lr: 0.1}]"
    text = SWEEP.replace("[0.1, 0.5]", "[0.1, 0.2, 0.5]", 1).replace("find:", lpr_from)
    pairs = lpr_pairs(sweep_of(text))
    assert [(find.lr, source.lr) for find, source in pairs] == [
        (0.1, 0.5),
        (0.2, 0.5),
        (0.2, 0.1),
        (0.5, 0.1),
    ]
    assert lpr_pairs(sweep_of()) == []


def test_the_deviation_is_the_sample_one_and_one_seed_has_none():
    three = Statistic.of([0.90, 0.92, 0.97])
    assert (three.mean, three.n) == (pytest.approx(0.93), 3)
    assert three.std == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert three.percent() == "93.0 ± 3.6 (3)"

    one = Statistic.of([0.9])
    assert math.isnan(one.std)
    assert one.percent() == "90.0 (1)"


def test_names():
    recipe = Recipe(
        lr=0.1,
        batch_size=64,
        weight_decay=0.0005,
        duration=Steps(16, "ep"),
        milestones=(Steps(8, "ep"), Steps(13, "ep")),
    )
    assert label(recipe, ["lr", "weight_decay"]) == "lr 0.1, weight_decay 0.0005"
    assert short(recipe, ["lr", "weight_decay"]) == "LR 0.1, WD 0.0005"
    assert short(recipe, ["lr", "duration"], "find") == "LR_find 0.1, duration_find 16ep"
    assert short(recipe, ["milestones"]) == "milestones 8ep 13ep"
    assert text({"conv": 0.25, "fc": 0.5}) == "conv 0.25, fc 0.5"


@pytest.mark.parametrize(
    ("left", "expected"),
    [(1, "0.0%"), (2, "50.0%"), (16, "93.8%"), (128, "99.22%"), (1024, "99.902%")],
)
def test_percent_pruned_tells_high_sparsities_apart(left, expected):
    assert percent_pruned(1 - 1 / left) == expected


def test_a_sparsity_is_the_measured_one_or_the_round():
    results = [
        replace(a_result("lottery", H1, H1, 1), sparsity=0.42),
        replace(a_result("lottery", H1, H1, 1, seed=1), sparsity=0.44),
        replace(a_result("preserve_lpr", H1, H1, 1), sparsity=0.45),
    ]
    means = mean_curves(results)
    assert means[CurveKey("lottery", H1, H1)][1].sparsity == pytest.approx(0.43)
    assert how_sparse(means, 1) == "44.0% pruned"
    assert how_sparse(means, 2) == "round 2"


@pytest.mark.parametrize(
    ("find", "eval_", "expected"),
    [
        ("lr: {values: [0.1, 0.5]}", "lr: {values: [0.1, 0.5]}", ("lr",)),
        ("lr: {values: [0.1]}", "weight_decay: {values: [0.1]}", ("weight_decay",)),
        ("duration: {values: [1ep, 2ep]}", "lr: {values: [0.5]}", ("lr", "duration")),
        ("lr: {values: [0.1]}", "lr: {values: [0.1]}", ("lr", "batch_size", "weight_decay")),
    ],
)
def test_varied_is_what_recipes_differ_in(sweep_of, find, eval_, expected):
    head, middle, tail = SWEEP.split("lr: {values: [0.1, 0.5]}")
    assert varied_fields(sweep_of(head + find + middle + eval_ + tail)) == expected


def test_a_mean_counts_the_seeds_that_are_there():
    found = mean_curves(
        [
            a_result("lottery", H1, H1, 0, seed=0, test=0.9),
            a_result("lottery", H1, H1, 1, seed=0, test=0.8),
            a_result("lottery", H1, H1, 1, seed=1, test=0.6),
        ]
    )
    assert found.keys() == {CurveKey("lottery", H1, H1)}
    [points] = found.values()
    assert [(r, p.test.mean, p.test.n) for r, p in points.items()] == [
        (0, 0.9, 1),
        (1, pytest.approx(0.7), 2),
    ]
    assert points[1].validation.mean == pytest.approx(0.69)
    assert points[1].sparsity == 0.5


def test_dense_points_need_no_pruned_network():
    results = [a_result("lottery", H1, H1, 0, seed, 0.9 + 0.02 * seed) for seed in (0, 1)]
    assert mean_curves(results) == {}
    assert dense_points(results)[H1].test.mean == pytest.approx(0.91)


GRID = {(0.1, 0.1): 0.90, (0.1, 0.5): 0.94, (0.5, 0.1): 0.94, (0.5, 0.5): 0.92}


def by_lr(kind, find, eval_, round):
    return GRID[find.lr, eval_.lr] if kind == "lottery" and round else 0.5


def test_comparisons_take_the_first_of_the_best_coupled_and_decoupled(sweep_of):
    sweep = sweep_of()
    pairs = comparisons(sweep, mean_curves(synthetic_results(sweep, by_lr)))
    assert [(c.point.round, c.find.lr, c.eval.lr) for c, _ in pairs] == [
        (2, 0.5, 0.5),
        (4, 0.5, 0.5),
    ]
    assert [(d.find.lr, d.eval.lr) for _, d in pairs] == [(0.1, 0.5), (0.1, 0.5)]  # a tie


@pytest.mark.parametrize(("select_on", "expected"), [("validation", 0.1), ("test", 0.5)])
def test_the_sweep_says_what_selects(sweep_of, select_on, expected):
    sweep = sweep_of(f"{SWEEP}select_on: {select_on}\n")
    results = [
        replace(r, val_accuracy=0.99) if r.find == r.eval and r.eval.lr == 0.1 else r
        for r in synthetic_results(sweep, by_lr)
    ]
    found = [c for c in cells(sweep, mean_curves(results), 4) if c.coupled]
    assert best(sweep, found).eval.lr == expected


def is_cell(result, find_lr, eval_lr):
    return result.kind == "lottery" and (result.find.lr, result.eval.lr) == (find_lr, eval_lr)


def test_a_configuration_that_lacks_results_is_left_out(sweep_of):
    sweep = sweep_of()
    results = synthetic_results(sweep, by_lr)
    results = [r for r in results if not (r.round == 4 and is_cell(r, 0.1, 0.5))]
    means = mean_curves(results)
    assert len(cells(sweep, means, 4)) == 3
    pairs = comparisons(sweep, means)
    assert [(d.point.round, d.find.lr) for _, d in pairs] == [(2, 0.1), (4, 0.5)]


def test_no_round_is_compared_without_one_of_both_kinds(sweep_of):
    sweep = sweep_of()
    results = synthetic_results(sweep, by_lr)
    results = [r for r in results if r.round != 4 or r.find == r.eval]
    assert [c.point.round for c, _ in comparisons(sweep, mean_curves(results))] == [2]


def test_a_configuration_that_lacks_a_seed_is_not_the_best(sweep_of):
    sweep = sweep_of()
    results = synthetic_results(sweep, by_lr)
    lucky = [r for r in results if not (r.seed == 0 and is_cell(r, 0.1, 0.5))]
    found = cells(sweep, mean_curves(lucky), 4)
    assert best(sweep, found).find.lr == 0.5
    assert best(sweep, cells(sweep, mean_curves(results), 4)).find.lr == 0.1


def test_importing_curves_is_light():
    code = "import sys, tune_app.results.curves; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "tune_app.results.curves" in loaded.split()
    assert not {"matplotlib", "torch", "ray", "mlflow"} & set(loaded.split())
