"""The sentences of a grid's answer, on results by formula."""

import json
from dataclasses import replace

import pytest
from synthetic_run import SWEEP, synthetic_results, write_run

from tune_app.plan.plan import make_plan
from tune_app.report.grid_answer import answer
from tune_app.report.write import write_report
from tune_app.results.curves import mean_curves
from tune_app.sweep.load import load_sweep

LR = "lr: {values: [0.1, 0.5]}"

# Test accuracy of a ticket by LR_find and LR_eval; seeds lie 1% apart around it.
CLEAR = {(0.1, 0.1): 0.90, (0.1, 0.5): 0.94, (0.5, 0.1): 0.86, (0.5, 0.5): 0.91}

OWN = (-0.01, 0.0, 0.01)
"""What the seeds do to decoupled tickets beside what they do to all: a deviation of one point. The
interval of a mean over three seeds is 4.302653 / sqrt(3) of that to both sides: 2.484 points."""


def results_of(sweep, grid, own=OWN):
    """All results of a sweep; `grid` may depend on the round."""

    def accuracy(kind, find, eval_, round):
        if kind != "lottery" or round == 0:
            return 0.98 if round == 0 else 0.3
        value = grid[find.lr, eval_.lr]
        return value[round] if isinstance(value, dict) else value

    found = []
    for result in synthetic_results(sweep, accuracy):
        is_decoupled = result.kind == "lottery" and result.find != result.eval
        more = own[sweep.seeds.index(result.seed)] if is_decoupled else 0.0
        accuracies = {"val_accuracy", "test_accuracy"}
        found.append(replace(result, **{name: getattr(result, name) + more for name in accuracies}))
    return found


@pytest.fixture
def sweep_of(tmp_path):
    def load(text=SWEEP):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return load_sweep(path)

    return load


def said(sweep, results, failed=None):
    """The answer, sentence by sentence."""
    text = answer(sweep, mean_curves(results), failed or {})
    return (
        text.replace("Decoupled less", "\nDecoupled less")
        .replace(" Of ", "\nOf ")
        .replace(" At equal", "\nAt equal")
        .replace(" Not compared", "\nNot compared")
        .replace(" \n", "\n")
        .splitlines()
    )


def test_when_decoupled_is_better(sweep_of):
    sweep = sweep_of()
    assert said(sweep, results_of(sweep, CLEAR)) == [
        "At 93.8% pruned, masks found at LR 0.1 and trained at LR 0.5, another H, are best by "
        "validation accuracy: test 94.0 ± 2.0% (n=3), against 91.0 ± 1.0% (n=3) for the best "
        "coupled configuration, found and trained at LR 0.5.",
        "Decoupled less coupled, by seed: +3.0 points, 95% interval +0.5 to +5.5: decoupled is "
        "better.",
        "Of 2 sparsities, decoupled is better at 75.0% and 93.8%.",
        "At equal compute, 6.2% of the multiply-adds, the best decoupled masks, found at LR 0.1 "
        "and trained at LR 0.5, less the best coupled, found and trained at LR 0.5: +3.0 points, "
        "95% interval +0.5 to +5.5: decoupled is better.",
    ]


def test_when_coupled_is_better(sweep_of):
    sweep = sweep_of()
    first, second, third, _ = said(sweep, results_of(sweep, CLEAR | {(0.5, 0.5): 0.97}))
    assert first == (
        "At 93.8% pruned, masks found and trained at LR 0.5, the same H, are best by validation "
        "accuracy: test 97.0 ± 1.0% (n=3), against 94.0 ± 2.0% (n=3) for the best decoupled "
        "configuration, found at LR 0.1 and trained at LR 0.5."
    )
    assert second == (
        "Decoupled less coupled, by seed: -3.0 points, 95% interval -5.5 to -0.5: coupled is "
        "better."
    )
    assert third == "Of 2 sparsities, coupled is better at 75.0% and 93.8%."


def test_an_interval_with_0_shows_nothing(sweep_of):
    sweep = sweep_of()
    _, second, third, _ = said(sweep, results_of(sweep, CLEAR | {(0.5, 0.5): 0.93}))
    assert second == (
        "Decoupled less coupled, by seed: +1.0 points, 95% interval -1.5 to +3.5: neither is shown "
        "to be better."
    )
    assert third == "Of 2 sparsities, neither is shown to be better at any."


def test_where_the_sign_changes(sweep_of):
    sweep = sweep_of()
    grid = CLEAR | {(0.5, 0.5): {1: 0.9, 2: 0.96, 3: 0.9, 4: 0.91}}
    assert said(sweep, results_of(sweep, grid))[2] == (
        "Of 2 sparsities, decoupled is better at 93.8%; neither is shown to be at 75.0%; the mean "
        "difference changes its sign between 75.0% and 93.8%."
    )


def test_where_the_sign_changes_often(sweep_of):
    sweep = sweep_of(SWEEP.replace("  at_sparsity: [0.75, 0.94]\n", ""))
    swing = {1: 0.91, 2: 0.97, 3: 0.91, 4: 0.97}
    assert said(sweep, results_of(sweep, CLEAR | {(0.5, 0.5): swing}))[2] == (
        "Of 4 sparsities, decoupled is better at 50.0% and 87.5%; coupled is better at 75.0% and "
        "93.8%; the mean difference changes its sign 3 times."
    )


def test_when_test_contradicts_validation(sweep_of):
    sweep = sweep_of()
    misled = [
        replace(r, val_accuracy=r.val_accuracy + 0.11)
        if r.kind == "lottery" and (r.find.lr, r.eval.lr) == (0.5, 0.1)
        else r
        for r in results_of(sweep, CLEAR)
    ]
    first, second, *_ = said(sweep, misled)
    assert "masks found at LR 0.5 and trained at LR 0.1, another H, are best by validation" in first
    assert "test 86.0 ± 2.0% (n=3), against 91.0 ± 1.0% (n=3)" in first
    assert second.endswith(": -5.0 points, 95% interval -7.5 to -2.5: coupled is better.")


def test_when_the_sweep_selects_on_test(sweep_of):
    sweep = sweep_of(SWEEP + "select_on: test\n")
    assert "are best by test accuracy: test 94.0" in said(sweep, results_of(sweep, CLEAR))[0]


def test_one_seed_claims_nothing(sweep_of):
    sweep = sweep_of(SWEEP.replace("[0, 1, 2]", "[7]"))
    first, second, *_ = said(sweep, results_of(sweep, CLEAR, own=(0.0,)))
    assert "test 94.0% (n=1), against 91.0% (n=1)" in first
    assert second == (
        "Decoupled less coupled, by seed: +3.0 points; one seed has no spread, so it may be chance."
    )


def test_without_a_coupled_configuration(sweep_of):
    text = SWEEP.replace(LR, "lr: {values: [0.1, 0.2]}", 1).replace(LR, "lr: {values: [0.5]}")
    grid = {(0.1, 0.5): 0.94, (0.2, 0.5): 0.90, (0.1, 0.1): 0.99, (0.2, 0.2): 0.99}
    sweep = sweep_of(text)
    assert answer(sweep, mean_curves(results_of(sweep, grid)), {}) == (
        "At 93.8% pruned, masks found at LR 0.1 and trained at LR 0.5, another H, are best by "
        "validation accuracy: test 94.0 ± 2.0% (n=3), against 90.0 ± 2.0% (n=3) for the next best "
        "configuration (there is no coupled one), found at LR 0.2 and trained at LR 0.5. The first "
        "less the next, by seed: +4.0 points in each of 3 seeds, which leaves no interval to work "
        "out."
    )


def lacks(results, find_lr, eval_lr, seeds=(0, 1, 2), rounds=(1, 2, 3, 4)):
    """Results without those tickets of one configuration."""
    return [
        r
        for r in results
        if not (
            r.kind == "lottery"
            and (r.find.lr, r.eval.lr) == (find_lr, eval_lr)
            and r.seed in seeds
            and r.round in rounds
        )
    ]


def test_a_configuration_without_results_does_not_take_the_answer(sweep_of):
    sweep = sweep_of()
    results = lacks(results_of(sweep, CLEAR), 0.1, 0.5)
    first, *_, last = said(sweep, results)
    assert (
        "against 86.0 ± 2.0% (n=3) for the best decoupled configuration, found at LR 0.5" in first
    )
    assert last == "Not compared, 1 of 4: found at LR 0.1 and trained at LR 0.5 (no result yet)."


def test_the_most_complete_sparsity_is_answered_first(sweep_of):
    sweep = sweep_of()
    first, *_ = said(sweep, lacks(results_of(sweep, CLEAR), 0.1, 0.5, rounds=(4,)))
    assert first.startswith("At 75.0% pruned, masks found at LR 0.1 and trained at LR 0.5")


def test_a_configuration_that_failed_for_some_seeds_is_said_and_not_the_best(sweep_of):
    sweep = sweep_of()
    h1, h2 = sweep.find_recipes
    results = lacks(results_of(sweep, CLEAR), 0.1, 0.5, seeds=(2,))
    first, *_, last = said(sweep, results, {(h1, h2): "Diverged: loss is nan at step 1 of 30"})
    assert "for the best decoupled configuration, found at LR 0.5 and trained at LR 0.1" in first
    assert last == (
        "Not compared, 1 of 4: found at LR 0.1 and trained at LR 0.5 (Diverged: loss is nan at "
        "step 1 of 30)."
    )


def test_a_configuration_that_lacks_seeds_is_named(sweep_of):
    sweep = sweep_of()
    *_, last = said(sweep, lacks(results_of(sweep, CLEAR), 0.1, 0.5, seeds=(1, 2)))
    assert last == "Not compared, 1 of 4: found at LR 0.1 and trained at LR 0.5 (1 of 3 seeds)."


def test_no_ticket_is_no_answer(sweep_of):
    sweep = sweep_of()
    dense = [r for r in results_of(sweep, CLEAR) if r.round == 0]
    assert answer(sweep, mean_curves(dense), {}) == (
        "No answer yet: no configuration has a result of a ticket."
    )


def test_of_many_that_failed_some_are_named_with_what_failures_jsonl_says(tmp_path):
    run_dir = write_run(tmp_path, SWEEP, lambda sweep: results_of(sweep, CLEAR))
    sweep = load_sweep(run_dir / "sweep.yaml")
    lines = (run_dir / "results.jsonl").read_text().splitlines()
    left = [line for line in lines if _is_dense_or(json.loads(line), 0.5, 0.5)]
    (run_dir / "results.jsonl").write_text("\n".join(left) + "\n")
    there = {json.loads(line)["id"] for line in left}
    lost = [id for id in make_plan(sweep).trainings if id not in there]
    failures = [json.dumps({"id": id, "reason": "OSError: x"}) for id in lost]
    (run_dir / "failures.jsonl").write_text("\n".join([*failures, "{"]))
    told = write_report(run_dir).answer
    assert told.startswith(
        "At 93.8% pruned, the only configuration with results, found and trained"
    )
    assert told.endswith(
        " Not compared, 3 of 4: found and trained at LR 0.1 (OSError: x); found at LR 0.1 and "
        "trained at LR 0.5 (OSError: x) and 1 more."
    )


def _is_dense_or(line, find_lr, eval_lr):
    is_cell = line["kind"] == "lottery" and line["find"]["lr"] == find_lr
    return line["round"] == 0 or (is_cell and line["eval"]["lr"] == eval_lr)
