"""The results of a run as a table."""

import pytest
from synthetic_run import SWEEP, synthetic_results, write_run

import tune_app
from tune_app.results.reading import RunError


def test_a_run_is_a_table_with_a_row_for_each_training(tmp_path):
    def mean(kind, find, eval_, round):
        return 0.9 if find is None else 0.8 + find.lr / 10

    run_dir = write_run(tmp_path / "tiny", SWEEP, lambda sweep: synthetic_results(sweep, mean))
    table = tune_app.read_results(run_dir)
    # Seeds lie 1% apart around the mean.
    tickets = table[(table["kind"] == "lottery") & (table["round"] == 4)]
    by_lr = tickets.groupby(["find.lr", "eval.lr"])["test_accuracy"].mean()
    assert by_lr.round(6).to_dict() == {
        (0.1, 0.1): 0.81,
        (0.1, 0.5): 0.81,
        (0.5, 0.1): 0.85,
        (0.5, 0.5): 0.85,
    }
    random = table[table["kind"] == "global_random"]
    assert random["find.lr"].isna().all() and set(random["eval.lr"]) == {0.1, 0.5}
    assert table["id"].is_unique
    assert set(table["precision"]) == {"fp32"} and set(table["commit"]) == {"c0ffee"}
    assert {"lpr.conv", "lpr.fc", "lpr.blocks.0.conv2"} <= set(table)


def test_a_line_that_is_none_is_told_by_its_number(tmp_path):
    (tmp_path / "results.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match=r"results\.jsonl:1: `id`: Field required"):
        tune_app.read_results(tmp_path)
