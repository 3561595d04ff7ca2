"""From a sweep to its report."""

import shutil
import subprocess
import sys
from types import SimpleNamespace

from tiny_sweep import num_trained, same_results

from tune_app.plan.plan import make_plan
from tune_app.run import grid
from tune_app.store.claims import Claims
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep


def test_what_trains_nothing_loads_neither_torch_nor_ray():
    code = (
        "import sys, tune_app.conduct; "
        "print({'torch', 'ray', 'optuna', 'scipy', 'sklearn'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_another_launch_trained_is_written_down_where_this_one_trained_nothing(
    tiny, finished, launch, tmp_path, monkeypatch
):
    runs = tmp_path / "runs"
    store = Store(str(runs / "_store"))
    store.create()
    other = Claims(store)
    other.take(make_plan(load_sweep(tiny)).trainings)

    def finish_the_other(seconds: float) -> None:
        shutil.copytree(finished[1] / "_store", runs / "_store", dirs_exist_ok=True)
        other.release()

    monkeypatch.setattr(grid, "time", SimpleNamespace(sleep=finish_the_other))
    done = launch(tiny, "--out", runs)
    assert done.returncode == 0, done.stderr
    assert num_trained(done.stderr) == 0
    assert same_results(runs, finished[1])
