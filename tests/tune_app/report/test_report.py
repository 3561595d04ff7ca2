import json
import re
import subprocess
import sys

import pytest
from mlflow import MlflowClient
from synthetic_run import SWEEP, synthetic_results, write_run

from tune_app.report.__main__ import main
from tune_app.report.write import write_report

LR = "lr: {values: [0.1, 0.5]}"

# Test accuracy of a ticket by LR_find and LR_eval; seeds lie 1% apart around it.
CLEAR = {(0.1, 0.1): 0.90, (0.1, 0.5): 0.94, (0.5, 0.1): 0.86, (0.5, 0.5): 0.91}


def results_at(grid, **measured):
    """All results of a sweep, with the same accuracies at every round."""

    def accuracy(kind, find, eval_, round):
        if round == 0:
            return 0.98
        if kind == "lottery":
            return grid[find.lr, eval_.lr]
        of_kind = {"lpr_constrained": 0.85, "preserve_lpr": 0.8, "reinit": 0.7}
        return of_kind.get(kind, 0.3)

    return lambda sweep: synthetic_results(sweep, accuracy, **measured)


@pytest.fixture
def run_dir(tmp_path):
    return write_run(tmp_path / "run", SWEEP, results_at(CLEAR))


def no_store(run_dir):
    """The note where no tickets are, only results by formula."""
    return f"The masks are not compared: there is no store at {run_dir.parent}/_store."


def keep(run_dir, wanted):
    """Keep the results that are wanted."""
    path = run_dir / "results.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if wanted(json.loads(line))))


def change(run_dir, change_one):
    path = run_dir / "results.jsonl"
    results = [json.loads(line) for line in path.read_text().splitlines()]
    for result in results:
        change_one(result)
    path.write_text("".join(json.dumps(result) + "\n" for result in results))


def is_cell(result, find_lr, eval_lr):
    return (
        result["kind"] == "lottery"
        and result["round"] > 0
        and (result["find"]["lr"], result["eval"]["lr"]) == (find_lr, eval_lr)
    )


def test_the_answer_of_a_grid_of_one(tmp_path):
    text = SWEEP.replace(LR, "lr: {values: [0.1]}")
    report = write_report(write_run(tmp_path, text, results_at(CLEAR)))
    assert report.answer == (
        "At 93.8% pruned, the only configuration, found and trained at LR 0.1, BS 64, WD 0.005, "
        "reaches test 90.0 ± 1.0% (n=3)."
    )
    assert [path.stem for path in report.paths if path.suffix == ".png"] == ["fig1", "fig6"]
    assert report.notes == (
        "fig2 is not drawn: the grid is one configuration, so nothing to compare.",
        "fig3 is not drawn: the grid is one coupled configuration.",
        no_store(tmp_path),
    )

    keep(tmp_path, lambda result: result["round"] == 0)
    report = write_report(tmp_path)
    assert report.answer == "No answer yet: no configuration has a result of a ticket."
    assert "round 4 (0 of 1 configuration has results)." in report.notes[1]


def test_the_dense_networks_alone_make_a_report(run_dir):
    keep(run_dir, lambda result: result["round"] == 0)
    report = write_report(run_dir)
    assert report.answer.startswith("No answer yet: ")
    *_, last = report.table.splitlines()
    assert re.fullmatch(r"not pruned +98.0 ± 1.0 \(3\)  98.0 ± 1.0 \(3\)", last)
    assert [path.name for path in report.paths] == [
        "accuracy.csv",
        "report.html",
        "report.md",
    ]


def test_the_table_of_a_grid_of_nine_fits_a_terminal(tmp_path):
    values = {0.02: 0, 0.1: 0.05, 0.5: 0.02}
    grid = {(f, e): 0.9 + values[f] + values[e] / 2 for f in values for e in values}
    text = SWEEP.replace(LR, "lr: {values: [0.02, 0.1, 0.5]}")
    table = write_report(write_run(tmp_path, text, results_at(grid))).table
    assert table == (
        """\
test accuracy (%) at 93.8% pruned, mean ± std (seeds); * best on validation
                              LR_eval 0.02      LR_eval 0.1     LR_eval 0.5
LR_find 0.02                90.0 ± 1.0 (3)   92.5 ± 1.0 (3)  91.0 ± 1.0 (3)
LR_find 0.1                 95.0 ± 1.0 (3)  *97.5 ± 1.0 (3)  96.0 ± 1.0 (3)
LR_find 0.5                 92.0 ± 1.0 (3)   94.5 ± 1.0 (3)  93.0 ± 1.0 (3)
preserve LPR, LR_find 0.02  80.0 ± 1.0 (3)   80.0 ± 1.0 (3)  80.0 ± 1.0 (3)
preserve LPR, LR_find 0.1   80.0 ± 1.0 (3)   80.0 ± 1.0 (3)  80.0 ± 1.0 (3)
preserve LPR, LR_find 0.5   80.0 ± 1.0 (3)   80.0 ± 1.0 (3)  80.0 ± 1.0 (3)
global random               30.0 ± 1.0 (3)   30.0 ± 1.0 (3)  30.0 ± 1.0 (3)
not pruned                  98.0 ± 1.0 (3)   98.0 ± 1.0 (3)  98.0 ± 1.0 (3)"""
    )


LPR_FROM = SWEEP.replace("find:\n", "find:\n  lpr_from: [{lr: 0.5}]\n").replace(
    "[global_random, preserve_lpr]", "[reinit]"
)


def test_whose_lpr_and_new_weights_have_lines_of_their_own(tmp_path):
    run_dir = write_run(tmp_path, LPR_FROM, results_at(CLEAR))
    gone = {("lpr_constrained", 2, 0.1), ("reinit", 4, 0.5)}
    keep(run_dir, lambda r: (r["kind"], r["round"], r["eval"]["lr"]) not in gone or r["seed"] < 1)
    report = write_report(run_dir)
    assert report.table.splitlines()[1:] == [
        "                               LR_eval 0.1      LR_eval 0.5",
        "LR_find 0.1                 90.0 ± 1.0 (3)  *94.0 ± 1.0 (3)",
        "LR_find 0.5                 86.0 ± 1.0 (3)   91.0 ± 1.0 (3)",
        "LR_find 0.1, LPR of LR 0.5  85.0 ± 1.0 (3)   85.0 ± 1.0 (3)",
        "random reinit, LR_find 0.1  70.0 ± 1.0 (3)         69.0 (1)",
        "random reinit, LR_find 0.5  70.0 ± 1.0 (3)         69.0 (1)",
        "not pruned                  98.0 ± 1.0 (3)   98.0 ± 1.0 (3)",
    ]
    page = (tmp_path / "report.md").read_text()
    constrained = "LPR-constrained, LR_find 0.1, LPR of LR 0.5, LR_eval 0.1"
    assert f"- {constrained}: round 2 (seed 1, 2)\n" in page
    assert "- random reinit, LR_find 0.1, LR_eval 0.5: round 4 (seed 1, 2)\n" in page
    assert "\nRandom reinit is the ticket's mask on new weights" in page
    assert "![The LPR of one H_find, the weights of another](figures/fig7.png)" in page

    lines = (tmp_path / "tables" / "accuracy.csv").read_text().splitlines()
    assert lines[0].startswith("kind,find_lr,eval_lr,lpr_find_lr,round,sparsity,n,")
    rows = [line.split(",")[:5] for line in lines]
    assert [row for row in rows if row[0] in ("dense", "lpr_constrained")][:4] == [
        ["dense", "", "0.1", "", "0"],
        ["dense", "", "0.5", "", "0"],
        ["lpr_constrained", "0.1", "0.1", "0.5", "1"],
        ["lpr_constrained", "0.1", "0.1", "0.5", "2"],
    ]
    assert ["reinit", "0.5", "0.1", "", "2"] in rows


def test_sparsities_are_the_measured_ones(tmp_path):
    prune = "{strategy: filter_l1, one_shot: [0.3, 0.6]}"
    text = SWEEP.replace("{fraction: 0.5, rounds: 4}", prune).replace(", preserve_lpr", "")
    text = text.replace("  at_sparsity: [0.75, 0.94]\n", "")
    measured = results_at(CLEAR, sparsity_of=(0, 0.512, 0.8431).__getitem__)
    report = write_report(write_run(tmp_path, text, measured))
    assert report.answer.startswith("At 84.3% pruned, masks found at LR 0.1 and trained at LR 0.5")
    assert report.table.startswith("test accuracy (%) at 84.3% pruned")
    page = (tmp_path / "report.md").read_text()
    assert "\nPruned one-shot, whole filters by L1 norm, layer by layer. Global random" in page
    assert re.findall(r"### (.*) \(round", page) == ["51.2% pruned", "84.3% pruned"]
    assert re.findall(r"^\| (.*?) \| LR 0.5 \|", page, re.MULTILINE) == ["51.2%", "84.3%", "15.70%"]

    # What has no result yet has no measured sparsity.
    keep(tmp_path, lambda result: result["round"] < 2)
    report = write_report(tmp_path)
    assert "Not compared: round 2 (0 of 4 configurations have results)." in report.notes
    assert re.findall(r"### (.*) \(round", (tmp_path / "report.md").read_text()) == ["51.2% pruned"]


def test_missing_seeds_and_cells_show_in_the_table(run_dir):
    keep(
        run_dir,
        lambda result: (
            not (result["seed"] > 0 and is_cell(result, 0.1, 0.5))
            and not (result["kind"] == "global_random" and result["eval"]["lr"] == 0.1)
        ),
    )
    report = write_report(run_dir)
    lines = [line.split("  ") for line in report.table.splitlines()]
    rows = {cells[0]: [cell.strip() for cell in cells[1:] if cell] for cells in lines}
    assert rows["LR_find 0.1"] == ["90.0 ± 1.0 (3)", "93.0 (1)"]
    assert rows["global random"] == ["–", "30.0 ± 1.0 (3)"]
    # 2 chains of 5 rounds, 2 decoupled cells, 4 of preserve LPR and 2 random ones at 2 rounds
    # each, times 3 seeds; gone are 2 seeds of one cell and 3 of a baseline, at 2 rounds each.
    assert report.notes == (
        "10 of 78 trainings without a result: listed in report.md under Missing.",
        no_store(run_dir),
    )
    page = report.paths[-1].read_text()
    assert "- lottery, LR_find 0.1, LR_eval 0.5: round 2 (seed 1, 2); round 4 (seed 1, 2)\n" in page
    assert "- global random, LR_eval 0.1: round 2 (seed 0, 1, 2)" in page


def test_results_of_no_training_of_the_sweep_are_left_out(run_dir):
    before = write_report(run_dir)
    with open(run_dir / "results.jsonl", "a") as file:
        lines = (run_dir / "results.jsonl").read_text().splitlines()
        result = json.loads(lines[-1]) | {"test_accuracy": 0.0}
        file.write(json.dumps(result | {"id": "another"}) + "\n")
        file.write(lines[0] + "\n")
    after = write_report(run_dir)
    assert (after.answer, after.table) == (before.answer, before.table)
    assert after.notes == (
        "1 result of a training that has a later one: left out.",
        "1 result of no training of sweep.yaml: left out.",
        no_store(run_dir),
    )


def test_the_files(run_dir, rendered):
    report = write_report(run_dir)
    assert [str(path.relative_to(run_dir)) for path in report.paths] == [
        "figures/fig1.png",
        "figures/fig2.png",
        "figures/figA3.png",
        "figures/fig3.png",
        "figures/fig6.png",
        "figures/costs.png",
        "tables/accuracy.csv",
        "tables/best.csv",
        "tables/costs.csv",
        "report.html",
        "report.md",
    ]
    there = {path for path in run_dir.rglob("*") if path.is_file()}
    inputs = {run_dir / name for name in ("sweep.yaml", "results.jsonl", "run.json")}
    inputs.add(run_dir / "results.csv")
    figures = [path for path in report.paths if path.suffix == ".png"]
    for_a_paper = {figure.with_suffix(suffix) for figure in figures for suffix in (".pdf", ".svg")}
    assert there == {*report.paths, *inputs, *for_a_paper}

    page = (run_dir / "report.md").read_text()
    assert [(run_dir / link).exists() for link in re.findall(r"\]\((.*?)\)", page)] == [True] * 6
    assert report.answer in page
    for line in (
        "does the learning rate that finds the best mask also train it best?",
        "| 93.8% | LR 0.5 | 91.0 ± 1.0 (3) | LR_find 0.1 → LR_eval 0.5 | 94.0 ± 1.0 (3) | +3.0 |",
        "| 93.8% | LR 0.5 → LR 0.5 | +7.0 | +11.0 | not known |",
        "### 75.0% pruned (round 2)",
        "| LR_find 0.1 | 90.0 ± 1.0 (3) | **94.0 ± 1.0 (3)** |",
        "- command: `python -m tune_app.launch sweeps/lr_grid.yaml`",
        "- commit: a83d773f0000-dirty",
        "- started: 2025-10-09 08:53 UTC",
        "- hardware: 2 cores, 24 GB, no GPU",
        "- versions: python 3.11.2, torch 2.6.0",
        "- trainings: 78, 1m57s in total",
    ):
        assert line in page.splitlines()


def test_tables_are_tidy(run_dir):
    keep(run_dir, lambda r: not (r["seed"] > 0 and r["round"] == 4 and is_cell(r, 0.1, 0.1)))
    write_report(run_dir)
    lines = (run_dir / "tables" / "accuracy.csv").read_text().splitlines()
    assert lines[0] == (
        "kind,find_lr,eval_lr,round,sparsity,n,test_mean,test_std,validation_mean,validation_std"
    )
    rows = [line.split(",") for line in lines[1:]]
    assert [row[:5] for row in rows if row[0] == "dense"] == [
        ["dense", "", "0.1", "0", "0.0"],
        ["dense", "", "0.5", "0", "0.0"],
    ]
    # Coupled cells have rounds 1 to 4, decoupled ones and baselines 2 and 4.
    assert len(rows) == 2 + 2 * 4 + 2 * 2 + 4 * 2 + 2 * 2
    [cell] = [row for row in rows if row[:4] == ["lottery", "0.1", "0.5", "4"]]
    assert [float(value) for value in cell[4:]] == pytest.approx(
        [0.9375, 3, 0.94, 0.01, 0.935, 0.01]
    )
    [one] = [row for row in rows if row[:4] == ["lottery", "0.1", "0.1", "4"]]
    assert (one[5], one[7], one[9]) == ("1", "", "")

    best = (run_dir / "tables" / "best.csv").read_text().splitlines()
    assert [line.split(",")[:6] for line in best[1:]] == [
        ["2", "0.75", "coupled", "validation", "0.5", "0.5"],
        ["2", "0.75", "decoupled", "validation", "0.1", "0.5"],
        ["4", "0.9375", "coupled", "validation", "0.5", "0.5"],
        ["4", "0.9375", "decoupled", "validation", "0.1", "0.5"],
    ]


@pytest.mark.nightly
def test_drawing_again_changes_nothing_but_what_the_results_change(run_dir, rendered):
    report = write_report(run_dir)
    first = [path.read_bytes() for path in report.paths]
    assert write_report(run_dir) == report
    assert [path.read_bytes() for path in report.paths] == first

    keep(run_dir, lambda r: r["kind"] != "lottery" or r["find"] == r["eval"])
    write_report(run_dir)
    assert not [*run_dir.glob("figures/fig3.*")]
    assert not (run_dir / "tables" / "best.csv").exists()

    # Nor does a figure stay, or a word on it, that the sweep does not ask for any more.
    assert (run_dir / "figures" / "figA3.png").exists()
    (run_dir / "sweep.yaml").write_text(SWEEP.replace(LR, "lr: {values: [0.1]}", 1))
    report = write_report(run_dir)
    assert not [*run_dir.glob("figures/figA3.*")]
    assert not any("figA3" in note or "fig7" in note or "fig9" in note for note in report.notes)


def test_the_command_prints_what_it_found(run_dir, capsys):
    assert main([str(run_dir)]) == 0
    out, err = capsys.readouterr()
    answer, table, files = out.split("\n\n")
    assert answer.startswith("At 93.8% pruned, masks found at LR 0.1")
    assert table.startswith("test accuracy (%) at 93.8% pruned")
    assert files.splitlines()[-1] == str(run_dir / "report.md")
    assert err == ""


def test_sync_rebuilds_an_experiment_that_was_lost(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_dir = write_run(tmp_path / "tiny", SWEEP, results_at(CLEAR))
    for logged in ("30 curves of 30", "0 curves of 30"):
        assert main([str(run_dir), "--sync"]) == 0
        assert f"\n{logged} had something new\n" in capsys.readouterr().out
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 31  # and the report
    assert any(name.startswith("mlflow.sharedViewState.") for name in experiment.tags)


def test_sync_says_that_mlflow_is_away(run_dir, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@127.0.0.1:1/mlflow")
    assert main([str(run_dir), "--sync"]) == 2
    out, err = capsys.readouterr()
    assert str(run_dir / "report.md") in out  # drawn all the same
    assert err.startswith("error: postgresql://***@127.0.0.1:1/mlflow: ")


def damage(name, text):
    return lambda run_dir: (run_dir / name).write_text(text)


def no(name):
    return lambda run_dir: (run_dir / name).unlink()


def damage_line_3(run_dir):
    lines = (run_dir / "results.jsonl").read_text().splitlines()
    lines[2] = lines[2][:50]
    (run_dir / "results.jsonl").write_text("\n".join(lines))


def above_one(run_dir):
    change(run_dir, lambda result: result.update(test_accuracy=97.5))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (no("sweep.yaml"), r"sweep.yaml: no such file"),
        (no("run.json"), r"run.json: no such file"),
        (no("results.jsonl"), r"results.jsonl: no such file"),
        (damage("sweep.yaml", SWEEP + "modle: x\n"), r"sweep.yaml:\d+: unknown key `modle`.*"),
        (damage("run.json", "{}"), r"run.json: `command`: Field required"),
        (damage("run.json", "{"), r"run.json: Invalid JSON.*"),
        (damage("results.jsonl", ""), r"results.jsonl: no results of this sweep"),
        (damage_line_3, r"results.jsonl:3: Invalid JSON.*"),
        (above_one, r"results.jsonl:1: `test_accuracy`: Input should be less than or equal to 1"),
        (damage("results.jsonl", "{}\n"), r"results.jsonl:1: `id`: Field required"),
    ],
)
def test_what_is_missing_or_damaged_is_one_line(run_dir, capsys, break_it, message):
    break_it(run_dir)
    assert main([str(run_dir)]) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"error: {re.escape(str(run_dir))}/{message}\n", err)
    assert out == ""


def test_no_such_run(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: no such directory\n"


def test_a_report_loads_neither_torch_nor_ray_nor_mlflow():
    code = "import sys, tune_app.report.write; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "tune_app.report.figures.paper" in loaded.split()
    assert not {"torch", "ray", "mlflow"} & set(loaded.split())


def test_a_layer_without_weights_is_told(run_dir):
    path = run_dir / "results.jsonl"
    results = [json.loads(line) for line in path.read_text().splitlines()]
    for result in results:
        if result["kind"] == "lottery" and result["round"] >= 3 and result["seed"] == 0:
            result["lpr"]["fc"] = 1.0
    path.write_text("".join(json.dumps(result) + "\n" for result in results))
    # 2 H_find x 3 seeds x 4 rounds; of seed 0 the rounds 3 (87.5%) and 4.
    assert write_report(run_dir).notes == (
        "Layer fc has no weight left in 4 of 24 tickets, from 87.5% pruned on.",
        no_store(run_dir),
    )


def test_a_layer_without_weights_is_told_of_constrained_tickets_too(tmp_path):
    run_dir = write_run(tmp_path, LPR_FROM, results_at(CLEAR))

    def empty_last(result):
        if result["kind"] == "lpr_constrained" and result["round"] == 4:
            result["lpr"]["fc"] = 1.0

    change(run_dir, empty_last)
    # 2 H_find and 1 with the LPR of another, x 3 seeds x 4 rounds; however often evaluated.
    assert write_report(run_dir).notes == (
        "Layer fc has no weight left in 3 of 36 tickets, from 93.8% pruned on.",
        no_store(run_dir),
    )
