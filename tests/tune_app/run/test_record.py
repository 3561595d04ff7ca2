"""Results, failures, and the reasons of what has no result."""

import json
from types import SimpleNamespace

import pytest
from synthetic_run import result_of

from tune_app.plan.plan import make_plan
from tune_app.results.result import parser
from tune_app.results.run_directory import RunDirectory
from tune_app.run.crashes import in_a_line
from tune_app.run.events import Failed, Finished, Found, Retried, Stopped
from tune_app.run.record import Record
from tune_app.sweep.load import load_sweep


@pytest.fixture
def plan(tiny):
    return make_plan(load_sweep(tiny))


@pytest.fixture
def record(tiny, plan, tmp_path):
    run_dir = RunDirectory(tmp_path / "tiny")
    run_dir.create(load_sweep(tiny))
    return Record(SimpleNamespace(plan=plan), run_dir, {}, [].append)


def test_a_result_that_is_reported_again_counts_once(record, plan):
    result = result_of(plan.chains[0].trainings[0], seconds=2.0)
    record.on_event(Finished(result, 1))
    record.on_event(Finished(result))
    assert (record.num_trained, record.training_seconds, record.num_masks_from_disk) == (1, 2.0, 1)
    lines = (record.run_dir.path / "results.jsonl").read_bytes().splitlines()
    assert lines == [result.to_line()]


def test_results_are_ordered_by_the_plan_and_not_by_time(record, plan):
    first, second = (chain.trainings[0] for chain in plan.chains[:2])
    record.on_event(Finished(result_of(second)))
    record.on_event(Finished(result_of(first)))
    assert [result.id for result in record.in_plan_order()] == [first.id, second.id]


def test_what_hangs_on_a_failed_round_says_so(record, plan):
    chain = plan.chains[0]
    for training in plan.trainings.values():
        if training.id != chain.ids[1] and training.ticket not in chain.tickets[1:]:
            record.on_event(Finished(result_of(training)))
    record.on_event(Failed(chain, "diverged", "Diverged: loss is nan at step 1", chain.ids[1]))
    reasons = {failure["id"]: failure["reason"] for failure in record.missing()}
    # Round 1, round 2, and the decoupled and two LPR evaluations of the ticket of round 2.
    assert len(reasons) == 1 + 1 + 3
    assert reasons.pop(chain.ids[1]) == "Diverged: loss is nan at step 1"
    assert set(reasons.values()) == {
        "its mask was not found: round 1 of the chain failed: Diverged: loss is nan at step 1"
    }


def test_what_takes_the_ratios_of_a_failed_chain_says_so(tiny, tmp_path):
    sweep = load_sweep(tiny, ["find.lpr_from=[{lr: 0.05}]"])
    plan = make_plan(sweep)
    run_dir = RunDirectory(tmp_path / "tiny")
    run_dir.create(sweep)
    record = Record(SimpleNamespace(plan=plan), run_dir, {}, pytest.fail)
    source, waiting = plan.chains[0], plan.chains[4]
    record.on_event(Failed(source, "diverged", "Diverged: loss is nan at step 1", source.ids[1]))
    reasons = {failure["id"]: failure["reason"] for failure in record.missing()}
    why = "round 1 of the chain whose LPR it takes failed: Diverged: loss is nan at step 1"
    assert reasons[waiting.ids[1]] == f"its mask was not found: {why}"
    [evaluation] = [t for t in plan.evaluations if t.ticket == waiting.tickets[1]]
    assert reasons[evaluation.id] == f"its mask was not found: {why}"


def test_a_crash_counts_for_the_first_round_without_a_result(record, plan):
    chain = plan.chains[0]
    record.on_event(Finished(result_of(chain.trainings[0])))
    reason = "RuntimeError: its worker died"
    record.on_event(Failed(chain, "crashed", reason, traceback=f"Traceback ...\n{reason}"))
    assert record.failures == {chain.ids[1]: "RuntimeError: its worker died"}
    traceback = record.run_dir.path / "errors" / f"{chain.ids[1]}.txt"
    assert traceback.read_text().startswith("Traceback")


def test_what_is_tried_again_has_not_failed(record, plan):
    record.on_event(Retried(plan.chains[0], "RuntimeError: its worker died"))
    assert record.failures == {}


def test_what_is_stopped_says_where(record, plan):
    chain = plan.chains[0]
    record.on_event(Finished(result_of(chain.trainings[0])))
    record.on_event(Stopped(chain, 1, 0.5))
    assert record.failures == {chain.ids[1]: "stopped at round 1 with validation 50.0%"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("Traceback (most recent call last):\n ...\nValueError: a\n", "ValueError: a"),
        (
            "The actor died unexpectedly before finishing this task.\n\tpid: 9606\n"
            "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR",
            "its worker died: killed, out of memory, or crashed outside Python",
        ),
        (
            "The actor df5a is unavailable: The actor is temporarily unavailable: RPC error: "
            "Socket closed rpc_code: 14. The task may or may not have been executed.",
            "its worker or its node was lost",
        ),
        ("The actor died because its node has died. Node Id: 1f", "its node died"),
        (
            "1 worker(s) were killed due to the node running low on memory.\nConsider ...",
            "its node ran low on memory",
        ),
    ],
)
def test_a_failure_is_told_in_a_line(error, reason):
    assert in_a_line(error) == reason


def test_what_another_launch_trained_is_no_work_of_ours(record, plan):
    stored = result_of(plan.chains[0].trainings[0])
    record.on_event(Found((stored,)))
    assert record.in_plan_order() == [stored]
    assert record.num_trained == 0


def test_what_never_ran_says_so(record, plan):
    assert {failure["reason"] for failure in record.missing()} == {"was not run"}
    assert len(list(record.missing())) == 44


def test_results_that_cannot_be_written_down_now_are_not_lost(record, plan, tmp_path):
    for path in record.run_dir.path.iterdir():
        path.unlink()
    record.run_dir.path.rmdir()
    for chain in plan.chains[:2]:
        record.on_event(Finished(result_of(chain.trainings[0])))
    reason = "RuntimeError: its worker died"
    record.on_event(Failed(plan.chains[2], "crashed", reason, traceback=reason))
    assert len(record.in_plan_order()) == 2 and len(record.failures) == 1
    [said] = record.say.__self__
    assert said.startswith("cannot be written now") and "results.jsonl" in said


def test_recipes_stored_by_an_older_version_get_every_field(plan):
    first = plan.chains[0].trainings[0]
    old = json.loads(result_of(first).to_line())
    old["eval"] = {"lr": 0.05, "batch_size": 64, "duration": "4it"}
    assert parser(plan.trainings)(json.dumps(old).encode()) == result_of(first)


def test_stored_results_have_the_recipes_of_the_plan_and_none_of_their_own(plan):
    assert len(plan.trainings) == 44
    for training in plan.trainings.values():
        result = parser(plan.trainings)(result_of(training).to_line())
        assert result.find is training.find and result.eval is training.eval
