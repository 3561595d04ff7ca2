"""Tables and figure of what tickets cost, and of how far weights moved."""

import math
from dataclasses import replace

import pytest
from synthetic_run import COST, SWEEP, synthetic_results

from tune_app.report.costs import cost_csv, cost_lines
from tune_app.report.figures.costs import fig_costs
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.movement import movement_lines
from tune_app.results.costs import left, mean_left
from tune_app.results.curves import Results
from tune_app.sweep.load import load_sweep

ACCURACY = {(0.1, 0.1): 0.90, (0.1, 0.5): 0.94, (0.5, 0.1): 0.86, (0.5, 0.5): 0.91}


def accuracy(kind, find, eval_, round):
    return ACCURACY[find.lr, eval_.lr] if kind == "lottery" and round else 0.5


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return load_sweep(path)


@pytest.fixture
def results(sweep):
    return Results(synthetic_results(sweep, accuracy))


def test_what_is_left_is_a_fraction_of_the_dense_network(results):
    one = replace(results[0], cost=COST)
    assert [left(one, axis) for axis in ("weights", "macs", "live")] == [0.5, 0.6, 0.4]
    assert [left(one, axis) for axis in ("bitmask", "csr")] == [253 / 440, 480 / 440]
    assert left(replace(one, cost=None), "macs") is None
    unknown = replace(one, cost=replace(COST, live=None))
    assert left(unknown, "live") is None
    assert mean_left([one, one], "macs").mean == 0.6
    assert mean_left([one, unknown], "live") is None


def test_the_table_has_a_line_for_each_kind_of_mask(sweep, results):
    page = "\n".join(cost_lines(sweep, results))
    assert "the dense network's 100 weights, 1,000 multiply-adds for an image and 440 bytes" in page
    table = page[page.index("### 93.8% pruned: what is left") :].splitlines()[2:9]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0] == [
        "",
        "weights",
        "multiply-adds",
        "live weights",
        "bytes, bitmask and values",
        "bytes, CSR",
        "live, of the weights left",
    ]
    # 6.25% of 100 weights are 6, of 90 live ones 6, of 1,000 multiply-adds 62 or, of masks of the
    # second H_find, 47; bytes are the same for all here.
    numbers = ["57.50 (3)", "109.09 (3)", "100.00 (3)"]
    assert cells[2:] == [
        ["LR_find 0.1", "6.00 (3)", "6.20 (3)", "6.00 (3)", *numbers],
        ["LR_find 0.5", "6.00 (3)", "4.70 (3)", "6.00 (3)", *numbers],
        ["global random", "6.00 (3)", "4.70 (3)", "6.00 (3)", *numbers],
        ["preserve LPR, LR_find 0.1", "6.00 (3)", "6.20 (3)", "6.00 (3)", *numbers],
        ["preserve LPR, LR_find 0.5", "6.00 (3)", "4.70 (3)", "6.00 (3)", *numbers],
    ]
    equal = page[page.index("### Coupled against decoupled at equal compute") :]
    assert "| 6.20% | LR 0.5 | " in equal


def test_the_csv_is_tidy(sweep, results):
    head, *rows = cost_csv(sweep, results)
    assert head[:4] == ["kind", "find_lr", "round", "n"]
    assert head[4:8] == ["weights_mean", "weights_std", "macs_mean", "macs_std"]
    assert [row[:4] for row in rows] == [
        [kind, lr, round, 3]
        for round in (2, 4)
        for kind, lr in (
            ("lottery", "0.1"),
            ("lottery", "0.5"),
            ("global_random", ""),
            ("preserve_lpr", "0.1"),
            ("preserve_lpr", "0.5"),
        )
    ]
    assert rows[0][6] == 0.25


def test_results_of_early_versions_have_no_section(sweep, results):
    early = Results(replace(r, cost=None, distance=None, sign_changes=None) for r in results)
    assert cost_lines(sweep, early) == []
    assert cost_csv(sweep, early)[1:] == []
    assert movement_lines(sweep, early) == []
    with pytest.raises(NotDrawn, match="at 4 of 4 points costs are not counted"):
        fig_costs(sweep, early, None)


def test_the_figure_has_a_panel_for_each_cost_that_tells_masks_apart(sweep, results):
    figure = fig_costs(sweep, results, "c0ffee")
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.lines}
    assert list(panels) == ["(a)  weights", "(b)  multiply-adds"]
    curves = {
        line.get_label(): line.get_xydata().tolist() for line in panels["(b)  multiply-adds"].lines
    }
    assert curves == {
        "LR 0.1 → LR 0.5": [pytest.approx([0.25, 94]), pytest.approx([0.062, 94])],
        "LR 0.5 → LR 0.5": [pytest.approx([0.188, 91]), pytest.approx([0.047, 91])],
    }


def test_masks_that_cost_the_same_are_not_drawn_over_it(sweep, results):
    same = Results(replace(r, cost=COST) for r in results)
    with pytest.raises(NotDrawn, match="tickets of one sparsity cost the same"):
        fig_costs(sweep, same, None)


def test_how_far_weights_moved_is_of_the_training_that_found_the_mask(sweep, results):
    moved = Results(replace(r, distance=r.round + r.seed / 10, sign_changes=0.1) for r in results)
    *_, table = movement_lines(sweep, moved)
    lines = table.splitlines()
    assert lines[2] == "| LR_find 0.1 | 75.0% pruned | 1.10 ± 0.10 (3) | 10.0 ± 0.0 (3) |"
    assert lines[3] == "| LR_find 0.1 | 93.8% pruned | 3.10 ± 0.10 (3) | 10.0 ± 0.0 (3) |"


def test_a_distance_from_nothing_is_no_number(sweep, results):
    moved = Results(replace(r, distance=math.nan) for r in results)
    assert "| nan ± nan (3) |" in movement_lines(sweep, moved)[-1]
