import math
from dataclasses import replace

import pytest
from synthetic_run import COST, SWEEP, synthetic_results

from tune_app.report.costs import equal_rows
from tune_app.report.equal_macs import at_equal_macs
from tune_app.results.curves import mean_curves
from tune_app.sweep.load import load_sweep

MACS = {0.1: {2: 400, 4: 100}, 0.5: {2: 200, 4: 50}}
"""By LR_find and round, of 1,000."""

TEST = {
    (0.1, 0.1): {2: 0.96, 4: 0.90},
    (0.5, 0.5): {2: 0.90, 4: 0.60},
    (0.1, 0.5): {2: 0.50, 4: 0.40},
    (0.5, 0.1): {2: 0.95, 4: 0.70},
}


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return load_sweep(path)


def results(sweep, counted=lambda result: True):
    found = []
    for result in synthetic_results(sweep, lambda kind, find, eval_, round: 0.5):
        if result.kind == "lottery" and result.round in (2, 4):
            test = TEST[result.find.lr, result.eval.lr][result.round] + 0.01 * result.seed
            cost = replace(COST, macs=MACS[result.find.lr][result.round], dense_macs=1_000)
            result = replace(result, test_accuracy=test, val_accuracy=test, cost=cost)
        found.append(result if counted(result) else replace(result, cost=None))
    return found


def test_accuracies_are_interpolated_to_the_most_that_any_mask_leaves(sweep):
    """At round 4 masks of LR 0.1 leave 10%, those of 0.5 5% and at round 2 20%: halfway in the
    logarithm, 0.825 for (0.5, 0.1) and 0.75 for (0.5, 0.5)."""
    equal = at_equal_macs(sweep, mean_curves(results(sweep)), 4)
    assert equal.macs_left == 0.1
    assert [recipe.lr for recipe in (*equal.coupled, *equal.decoupled)] == [0.1, 0.1, 0.5, 0.1]
    assert equal.coupled_test.mean == pytest.approx(0.90 + 0.01)
    assert equal.decoupled_test.mean == pytest.approx(0.825 + 0.01)
    assert equal.difference.mean == pytest.approx(-0.075)
    assert equal.difference.n == 3


def test_the_share_is_that_of_logarithms(sweep):
    changed = [
        replace(r, cost=replace(r.cost, macs=150)) if r.cost and r.cost.macs == 200 else r
        for r in results(sweep)
    ]
    equal = at_equal_macs(sweep, mean_curves(changed), 4)
    share = math.log(100 / 50) / math.log(150 / 50)
    assert equal.decoupled_test.mean == pytest.approx(0.70 + share * 0.25 + 0.01)


def test_the_choice_is_made_at_equal_compute(sweep):
    """By sparsity the best decoupled pair at round 4 is (0.5, 0.1), and so it is here; but a pair
    that wins only with more multiply-adds does not."""
    better = [
        replace(r, val_accuracy=0.99)
        if r.kind == "lottery" and r.round == 4 and (r.find.lr, r.eval.lr) == (0.1, 0.5)
        else r
        for r in results(sweep)
    ]
    equal = at_equal_macs(sweep, mean_curves(better), 4)
    assert [recipe.lr for recipe in equal.decoupled] == [0.1, 0.5]
    assert equal.decoupled_test.mean == pytest.approx(0.41)


def test_at_a_fraction_that_is_asked_for(sweep):
    """At 14.1% of the multiply-adds masks of LR 0.1 are a quarter of the way from 10 to 40%, in the
    logarithm, and those of LR 0.5 three quarters of that from 5 to 20%."""
    macs_left = 0.1 * 4**0.25
    equal = at_equal_macs(sweep, mean_curves(results(sweep)), 4, macs_left)
    assert equal.macs_left == macs_left
    assert equal.coupled_test.mean == pytest.approx(0.90 + 0.25 * 0.06 + 0.01)
    assert equal.decoupled_test.mean == pytest.approx(0.70 + 0.75 * 0.25 + 0.01)
    assert at_equal_macs(sweep, mean_curves(results(sweep)), 4, 0.01) is None
    # Only masks of LR 0.1 leave as much.
    most = at_equal_macs(sweep, mean_curves(results(sweep)), 4, 0.3)
    assert {recipe.lr for recipe in (most.decoupled[0], most.coupled[0])} == {0.1}


def test_the_table_has_a_line_for_each_fraction_that_is_asked_for(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.replace("eval:\n", "eval:\n  at_macs: [0.15, 0.3]\n"))
    sweep = load_sweep(path)
    rows = equal_rows(sweep, mean_curves(results(sweep)))
    assert [row[0] for row in rows[1:]] == ["40.00%", "30.00%", "15.00%", "10.00%"]


def test_nothing_is_extrapolated(sweep):
    """At round 2 the masks of LR 0.5 leave less than those of LR 0.1, with no round before."""
    equal = at_equal_macs(sweep, mean_curves(results(sweep)), 2)
    assert equal is not None
    assert [recipe.lr for recipe in (*equal.coupled, *equal.decoupled)] == [0.1, 0.1, 0.1, 0.5]


def test_costs_that_were_not_counted(sweep):
    early = results(sweep, lambda result: result.round != 4 or result.seed != 1)
    assert at_equal_macs(sweep, mean_curves(early), 4) is None
