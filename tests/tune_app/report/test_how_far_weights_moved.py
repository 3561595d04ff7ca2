"""How far the weights moved in the trainings that found masks."""

import pytest
from synthetic_run import SWEEP, result_of

from tune_app.plan.plan import make_plan
from tune_app.report.movement import movement_lines
from tune_app.results.curves import Results
from tune_app.sweep.load import load_sweep


@pytest.mark.parametrize("rewind", ["", "\n  rewind: {method: learning_rate}"])
def test_it_is_of_the_rounds_of_chains_and_not_of_evaluations(tmp_path, rewind):
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("find:", f"find:{rewind}"))
    sweep = load_sweep(tmp_path / "sweep.yaml")
    plan = make_plan(sweep)
    found = {training.id for chain in plan.chains for training in chain.trainings}
    results = Results(
        result_of(t, distance=0.25 if id in found else 0.75, sign_changes=0.125)
        for id, t in plan.trainings.items()
    )
    lines = "\n".join(movement_lines(sweep, results))
    assert "0.25" in lines and "0.75" not in lines
