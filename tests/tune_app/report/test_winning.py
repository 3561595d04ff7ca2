from dataclasses import replace

import pytest
from synthetic_run import SWEEP, synthetic_results

from tune_app.report.winning import winning_rows
from tune_app.results.curves import Results
from tune_app.sweep.load import load_sweep

SPREAD = {
    "dense": (0, 0, 0),
    "lottery": (-1, 0, 1),
    "reinit": (1, -1, 0),
    "preserve_lpr": (0, 1, -1),
}
"""What the seeds 0, 1 and 2 do to each kind, in tenths of a point."""


def verdicts(
    tmp_path, dense, ticket, reinit, baselines="[preserve_lpr, reinit]", seeds="[0, 1, 2]"
):
    """The rows of the last sparsity."""
    path = tmp_path / "sweep.yaml"
    text = SWEEP.replace("[global_random, preserve_lpr]", baselines)
    path.write_text(text.replace("[0, 1, 2]", seeds))
    sweep = load_sweep(path)
    of = {"lottery": ticket, "reinit": reinit, "preserve_lpr": 0.5}
    found = []
    for result in synthetic_results(sweep, lambda *_: 0.5):
        kind = "dense" if result.round == 0 else result.kind
        test = (dense if kind == "dense" else of.get(kind, 0.1)) + SPREAD.get(kind, (0, 0, 0))[
            result.seed
        ] / 1_000
        found.append(replace(result, test_accuracy=test, val_accuracy=test))
    results = Results(found)
    return [row for row in winning_rows(sweep, results.means, results.dense) if row[0] == "93.8%"]


def test_a_winning_ticket_is_as_good_as_the_dense_network_and_better_than_reinit(tmp_path):
    # Seeds 0, 1, 2: dense less ticket 1, 0 and -1 tenths of a point: deviation 0.1, interval
    # 4.303 / sqrt(3) of it. Ticket less reinit 50 less 2, -1, -1 tenths.
    coupled, decoupled = verdicts(tmp_path, dense=0.95, ticket=0.95, reinit=0.90)
    assert coupled == [
        "93.8%",
        "LR 0.1 → LR 0.1",
        "+0.0 (-0.2 to +0.2)",
        "+45.0 (+44.6 to +45.4)",
        "+5.0 (+4.6 to +5.4)",
        "yes, as far as it is not shown to be worse than dense",
    ]
    assert decoupled[1] == "LR 0.1 → LR 0.5"


@pytest.mark.parametrize(
    ("dense", "ticket", "reinit", "verdict"),
    [
        (0.95, 0.96, 0.90, "yes"),
        (0.95, 0.94, 0.90, "no: worse than dense"),
        (0.95, 0.95, 0.95, "no: not shown to be better than reinit"),
        (0.95, 0.95, 0.97, "no: not shown to be better than reinit"),
    ],
)
def test_verdicts(tmp_path, dense, ticket, reinit, verdict):
    assert {row[-1] for row in verdicts(tmp_path, dense, ticket, reinit)} == {verdict}


def test_without_reinit_half_of_it_is_said(tmp_path):
    rows = verdicts(tmp_path, 0.95, 0.95, 0.9, baselines="[global_random]")
    assert {tuple(row[2:]) for row in rows} == {
        ("+0.0 (-0.2 to +0.2)", "not shown to be worse than dense; no reinit to compare")
    }


def test_one_seed_allows_no_verdict(tmp_path):
    rows = verdicts(tmp_path, 0.95, 0.90, 0.5, seeds="[0]")
    assert {row[-1] for row in rows} == {"not known"}
