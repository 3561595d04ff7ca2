"""What the README shows is true."""

import re
from pathlib import Path

from tune_app import write_report
from tune_app.plan.plan import make_plan
from tune_app.sweep.load import load_sweep

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_sweep_file_is_that_of_the_main_job(tmp_path):
    [shown] = re.findall(r"```yaml\n(name: .*?)```", README, re.DOTALL)
    path = tmp_path / "shown.yaml"
    path.write_text(shown)
    main_job = make_plan(load_sweep(ROOT / "sweeps" / "lr_grid.yaml"))
    assert make_plan(load_sweep(path)).trainings.keys() == main_job.trainings.keys()


def test_ci_runs_the_test_command():
    [shown] = re.findall(r"^    (pip install .*pytest)$", README, re.MULTILINE)
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    install, test = shown.split(" && ")
    assert lines.index(install) < lines.index(test)


def test_the_other_keys_are_keys_of_the_main_job(tmp_path):
    [shown] = re.findall(r"```yaml\n(prune:\n.*?)```", README, re.DOTALL)
    path = tmp_path / "shown.yaml"
    path.write_text(f"extends: {ROOT / 'sweeps' / 'lr_grid.yaml'}\n{shown}")
    sweep = load_sweep(path, ["prune.rounds=null"])
    assert (sweep.prune.num_rounds, str(sweep.rewind.to)) == (3, "2ep")


def test_the_engine_runs_without_ray_as_shown(capsys):
    [shown] = re.findall(r"```python\n(from lt_core.*?)```", README, re.DOTALL)
    assert len([line for line in shown.splitlines() if line]) <= 12
    exec(shown.replace("16ep", "2it").replace("rounds=5", "rounds=1"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" pruned: ")[0] for line in lines] == ["0.0%", "30.0%"]


def test_a_notebook_runs_a_sweep_and_reads_its_results_as_shown(
    tiny, tmp_path, ray_of_a_notebook, monkeypatch
):
    [shown] = re.findall(r"```python\n(from tune_app.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(shown.replace("sweeps/lr_grid.yaml", str(tiny)), names)
    ran, table = names["ran"], names["table"]
    # One seed of the tiny sweep: 6 rounds of chains, 4 decoupled, 4 random and 8 preserve LPR.
    assert ran.went_through and not ran.missing and len(ran.results) == 22
    assert table["id"].tolist() == [result.id for result in ran.results]
    [lines] = [axis.get_lines() for axis in [names["axes"]]]
    assert len(lines) == 4  # 2 H_find x 2 H_eval
    assert write_report(ran.run_dir).answer == ran.report.answer
    assert Path("runs", "tiny", "figures", "fig2.png").exists()


def test_every_sweep_is_listed_and_every_file_named_is_there():
    [table] = re.findall(r"\| file \| asks .*?\n\n", README, re.DOTALL)
    listed = set(re.findall(r"`(\w+\.yaml)`", table))
    assert listed == {path.name for path in (ROOT / "sweeps").glob("*.yaml")}
    for name in re.findall(r"`(\w+\.py)`", README):
        assert (ROOT / "tune_app" / name).exists() or (ROOT / "lt_core" / name).exists(), name


def test_the_search_is_one(tmp_path):
    [shown] = re.findall(r"```yaml\n(find:\n  method.*?)```", README, re.DOTALL)
    [base] = re.findall(r"```yaml\n(name: .*?)find:", README, re.DOTALL)
    path = tmp_path / "shown.yaml"
    path.write_text(base + shown)
    sweep = load_sweep(path)
    assert (sweep.find.method, len(sweep.eval_recipes)) == ("gp", 3)
    # 0.6^8 = 1.7% are left; 0.6^2 = 36% and 0.6^3 = 22% are nearest to 60% and 80% pruned.
    assert (sweep.search_rounds, sweep.probe_rounds) == ((8,), (2, 3))
