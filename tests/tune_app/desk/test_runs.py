"""Runs of one name that ask different things: kept apart, and listed."""

import json
import sqlite3

from tiny_sweep import read_results, run_here

from tune_app.__main__ import main as lottery


def test_an_override_keeps_the_results_of_the_run_before(variants):
    # 6 rounds of chains, 4 decoupled, 4 random and 8 preserve LPR, for 2 seeds.
    first, second = read_results(variants, "tiny"), read_results(variants, "tiny-2")
    assert len(first) == len(second) == 44
    assert {result["eval"]["weight_decay"] for result in first} == {5e-4}
    assert {result["eval"]["weight_decay"] for result in second} == {5e-3}
    said = (variants.parent / "said").read_text()
    assert (
        f"{variants}/tiny-2: kept apart from {variants}/tiny, where train.weight_decay was 0.0005, "
        "now 0.005\n"
    ) in said
    with sqlite3.connect(variants / "mlflow.db") as database:
        names = {name for (name,) in database.execute("select name from experiments")}
    assert names == {"Default", "tiny", "tiny-2"}


def test_runs_are_listed_with_what_differs_and_the_answer(variants, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = run_here(lottery, "runs", "--out", variants)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    starts = [line.split("  ")[0] for line in lines if line and not line.startswith(" ")]
    assert starts == ["tiny", "tiny-2", f"store: {lines[-1].split(': ')[1].split('  ')[0]}"]
    assert [line.split("  ")[-1] for line in lines if "trained" in line][:1] == ["44 of 44 trained"]
    after = lines[[line.split("  ")[0] for line in lines].index("tiny-2") + 1]
    assert after == "  train.weight_decay was 0.0005, now 0.005"
    assert sum(line.startswith("  At 75.0% pruned, masks found") for line in lines) == 2
    assert lines[-1].startswith("store: ") and "tickets" in lines[-1]


def test_a_run_that_cannot_be_read_is_listed_with_the_reason(variants, tmp_path):
    for name in ("whole", "damaged"):
        (tmp_path / name).mkdir()
        for file in ("sweep.yaml", "run.json"):
            (tmp_path / name / file).write_bytes((variants / "tiny" / file).read_bytes())
    (tmp_path / "damaged" / "sweep.yaml").write_text("name: [")
    done = run_here(lottery, "runs", "--out", tmp_path)
    assert done.returncode == 0
    # A run that has just begun: nothing is trained yet.
    assert "0 of 44 trained" in done.stdout
    assert f"{tmp_path / 'damaged' / 'sweep.yaml'}:1" in done.stdout.replace("\n  ", "")


def test_results_are_a_flat_table_too(variants):
    table = (variants / "tiny" / "results.csv").read_text().splitlines()
    columns = table[0].split(",")
    lines = read_results(variants)
    rows = [dict(zip(columns, _cells(line), strict=True)) for line in table[1:]]
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert rows[0]["eval.batch_size"] == rows[0]["find.batch_size"] == "64"
    [*_, random] = [row for row in rows if row["kind"] == "global_random"]
    assert random["find.lr"] == ""  # its masks no chain found
    for row, line in zip(rows, lines, strict=True):
        assert float(row["test_accuracy"]) == line["test_accuracy"]
        assert float(row["eval.lr"]) == line["eval"]["lr"]


def _cells(line: str) -> list[str]:
    return json.loads(f"[{line}]") if line.startswith('"') else line.split(",")
