"""Real searches, of seconds; some of them in this process, without Ray."""

import json
import pickle
import shutil
import statistics
import subprocess

import pytest
from tiny_search import SEARCH, Taken
from tiny_sweep import (
    environment,
    impatient,
    num_stored,
    num_trained,
    read_results,
    started,
    wait_until,
)

from tune_app.run.events import Failed
from tune_app.run.plan_words import search_text
from tune_app.search import agenda
from tune_app.store.store import Store


def samples(runs, name="best"):
    return json.loads((runs / name / "search.json").read_text())


@pytest.fixture(scope="module")
def path(shared):
    return shared("search", lambda folder: (folder / "best.yaml").write_text(SEARCH)) / "best.yaml"


@pytest.fixture(scope="module")
def found(path, launch, shared):
    """A search that ended, and its `--out`; not to be changed."""

    def make(folder):
        done = launch(path, "--out", folder / "runs")
        (folder / "done").write_bytes(pickle.dumps(done))

    folder = shared("found", make)
    return pickle.loads((folder / "done").read_bytes()), folder / "runs"


def test_it_tries_as_many_configurations_as_it_may_and_compares_the_best(found):
    done, runs = found
    assert done.returncode == 0, done.stderr
    tried = samples(runs)
    assert [sample["state"] for sample in tried] == ["complete"] * 5
    by_configuration = {}
    for result in read_results(runs, "best"):
        if result["round"] == 2:
            key = (result["find"]["lr"], result["eval"]["lr"])
            by_configuration.setdefault(key, []).append(result["val_accuracy"])
    for sample in tried:
        accuracies = by_configuration.pop((sample["find"]["lr"], sample["eval"]["lr"]))
        assert len(accuracies) == 2
        assert sample["value"] == pytest.approx(statistics.fmean(accuracies))
    assert by_configuration == {}

    coupled, decoupled = (
        max((s for s in tried if (s["find"] == s["eval"]) == is_coupled), key=lambda s: s["value"])
        for is_coupled in (True, False)
    )
    compared = read_results(runs, "best-best")
    assert {result["seed"] for result in compared} == {10, 11}
    pairs = {(r["find"]["lr"], r["eval"]["lr"]) for r in compared if r["round"] == 2}
    assert {(s["find"]["lr"], s["eval"]["lr"]) for s in (coupled, decoupled)} <= pairs


def test_what_it_trained_is_counted(found):
    done, runs = found
    chains = {sample["find"]["lr"] for sample in samples(runs)}
    assert num_trained(done.stderr) == 4 * len(chains) + 2 * 5
    assert samples(runs)[-1]["trainings"] <= num_trained(done.stderr)
    assert max(sample["trainings"] for sample in samples(runs)) == num_trained(done.stderr)


def test_the_same_command_again_trains_nothing(found, path, launch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(found[1], runs)
    before, results = samples(runs), read_results(runs, "best")
    run, provenance = (runs / "best" / "run.json").read_text(), provenance_in_report(runs)
    again = launch(path, "--out", runs)
    assert again.returncode == 0, again.stderr
    assert "nothing new is tried: num_samples: 5 is spent" in again.stderr
    assert "trainings in" not in again.stderr
    assert samples(runs) == before
    assert sorted(r["id"] for r in read_results(runs, "best")) == sorted(r["id"] for r in results)
    assert (runs / "best" / "run.json").read_text() == run
    assert provenance_in_report(runs) == provenance


def provenance_in_report(runs):
    provenance = (runs / "best" / "report.md").read_text().partition("## Provenance")[2]
    assert "- started: " in provenance
    return provenance


@pytest.mark.nightly
def test_of_another_sweep_file_samples_do_not_count(found, path, launch, tmp_path):
    (tmp_path / "runs" / "best").mkdir(parents=True)
    shutil.copy(found[1] / "best" / "search.json", tmp_path / "runs" / "best")
    done = launch(path, "--out", tmp_path / "runs", "train.duration=3it", "search.num_samples=2")
    assert done.returncode == 0, done.stderr
    assert "5 samples are left out" in done.stderr
    assert {s["find"]["duration"] for s in samples(tmp_path / "runs")} == {"3it"}
    assert len(samples(tmp_path / "runs")) == 2


@pytest.mark.nightly
def test_a_search_that_was_killed_finishes_what_it_had_begun(path, launch, on_warm_ray, tmp_path):
    runs = tmp_path / "runs"
    with started(path, "--out", runs, env=on_warm_ray) as process:
        wait_until(lambda: num_stored(runs) >= 7, process)
        process.kill()
        process.wait()
    begun = [(s["find"], s["eval"]) for s in samples(runs)]
    stored = Store(str(runs / "_store")).stored().results
    done = launch(path, "--out", runs)
    assert done.returncode == 0, done.stderr
    tried = samples(runs)
    assert [sample["state"] for sample in tried] == ["complete"] * 5
    assert [(s["find"], s["eval"]) for s in tried][: len(begun)] == begun
    chains = {sample["find"]["lr"] for sample in tried}
    assert num_trained(done.stderr) <= 4 * len(chains) + 2 * 5 - len(stored)


@pytest.mark.nightly
def test_a_search_whose_store_goes_away_is_not_over(path, launch, tmp_path):
    runs = tmp_path / "runs"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(impatient(path, "--out", runs), env=environment(), **pipes) as process:
        wait_until(lambda: num_stored(runs) >= 5, process)
        shutil.move(runs / "_store", tmp_path / "away")
        _, err = process.communicate(timeout=300)
    assert process.returncode == 3
    assert "the search is not over; to go on: " in err
    assert "Traceback" not in err
    assert not (runs / "best-best").exists()
    shutil.move(tmp_path / "away", runs / "_store")
    again = launch(path, "--out", runs)
    assert again.returncode == 0, again.stderr
    assert [sample["state"] for sample in samples(runs)] == ["complete"] * 5


@pytest.mark.nightly
def test_it_begins_with_what_a_grid_has_trained(path, finished, launch, tmp_path):
    shutil.copytree(finished[1], tmp_path / "runs")
    done = launch(path, "--out", tmp_path / "runs", "search.num_samples=3")
    assert done.returncode == 0, done.stderr
    # The grid has 2 H_find at 2 H_eval; each mask's own H_find is among these.
    assert "4 configurations are known from what other sweeps trained" in done.stderr
    known = {0.05, 0.2}
    assert {sample["find"]["lr"] for sample in samples(tmp_path / "runs")} & known
    configurations = [(s["find"]["lr"], s["eval"]["lr"]) for s in samples(tmp_path / "runs")]
    assert not {(f, e) for f in known for e in known}.intersection(configurations)


@pytest.mark.nightly
def test_what_a_grid_has_trained_may_be_the_best(path, finished, launch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)
    values = "{lr: {values: [0.05, 0.2]}}"
    both = (f"find.parameters={values}", f"eval.parameters={values}")
    done = launch(path, "--out", runs, *both)
    assert done.returncode == 0, done.stderr
    assert "nothing new is tried: every configuration of the spaces has been" in done.stderr
    assert samples(runs) == []
    # 2 x 2 of the grid, for the comparison and for whoever reads the report later.
    assert "4 configurations of other sweeps" in done.stdout
    assert "other sweep" in done.stdout
    [name] = [each.name for each in runs.iterdir() if each.name.endswith("-best")]
    assert len(read_results(runs, name)) > 0


@pytest.mark.nightly
def test_a_budget_of_trainings_ends_it(path, launch, tmp_path):
    runs = tmp_path / "runs"
    overrides = ("search.num_samples=null", "search.trainings=13", "search.max_concurrent=1")
    done = launch(path, "--out", runs, *overrides)
    assert done.returncode == 0, done.stderr
    # 4 + 2 + 2, then 2 more of the same mask: 10. One more is begun before 13 are spent.
    assert 13 <= num_trained(done.stderr) <= 13 + 4 + 2 - 1
    assert (
        "nothing new is tried: trainings: 13 is spent"
        in launch(path, "--out", runs, *overrides).stderr
    )


@pytest.mark.nightly
def test_what_diverges_is_worth_nothing_and_the_search_goes_on(path, launch, tmp_path):
    lr = "find.parameters.lr"
    values = (f"{lr}.min=null", f"{lr}.max=null", f"{lr}.log=false", f"{lr}.values=[0.1, 1.0e+9]")
    done = launch(path, "--out", tmp_path / "runs", *values)
    assert done.returncode == 0, done.stderr
    tried = samples(tmp_path / "runs")
    failed = [sample for sample in tried if sample["find"]["lr"] == 1e9]
    assert failed
    assert {(sample["state"], sample["value"]) for sample in failed} == {("failed", 0.0)}
    assert all("Diverged" in sample["reason"] for sample in failed)
    assert any(sample["state"] == "complete" for sample in tried)


@pytest.mark.nightly
def test_chains_whose_tickets_are_worse_are_stopped_and_said_to_be(path, launch, tmp_path):
    """Of six H_find three train nothing, so that their masks are those of random weights."""
    lr = "find.parameters.lr"
    values = "values=[1.0e-7, 0.1, 2.0e-7, 0.12, 3.0e-7, 0.14]"
    done = launch(
        path,
        "--out",
        tmp_path / "runs",
        *(f"{lr}.min=null", f"{lr}.max=null", f"{lr}.log=false", f"{lr}.{values}"),
        *("seeds=[0]", "train.duration=2ep", "prune.rounds=3", "search.at=0.875"),
        *("search.num_samples=14", "search.max_concurrent=1"),
        "search.stop={chains: median, probe_at: 0.5}",
    )
    assert done.returncode == 0, done.stderr
    tried = samples(tmp_path / "runs")
    stopped = [sample for sample in tried if sample["state"] == "stopped"]
    assert stopped, done.stderr
    assert {sample["find"]["lr"] for sample in stopped} <= {1e-7, 2e-7, 3e-7}
    assert all(sample["reason"].startswith("at round 1 with") for sample in stopped)
    finds = {sample["find"]["lr"] for sample in stopped}
    results = read_results(tmp_path / "runs", "best")
    # Round 0 and the probe of round 1, at the H of `train`; never a later round.
    assert {r["round"] for r in results if r["find"]["lr"] in finds} == {0, 1}
    assert {r["eval"]["lr"] for r in results if r["find"]["lr"] in finds and r["round"]} == {0.1}


# Without Ray


def test_a_search_whose_spaces_hold_no_other_configuration_is_over(path, tmp_path):
    spaces = ("find.parameters.lr={values: [0.1]}", "eval.parameters.lr={values: [0.1, 0.2]}")
    search = Taken(tmp_path, path, *spaces)
    assert not search.agenda.is_over()
    assert len(list(search.train())) == 4  # rounds 0 and 1, and round 2 at each H_eval
    assert [sample["state"] for sample in samples(tmp_path)] == ["complete"] * 2  # it may try 5
    assert Taken(tmp_path, path, *spaces).agenda.is_over()


def test_the_model_searches_several_sparsities_and_seeds_and_goes_on(path, tmp_path):
    spaces = ("find.method=gp", "eval.method=gp", "search.at=[0.5, 0.75]", "seeds=[0, 1]")
    search = Taken(tmp_path, path, *spaces, "search.num_samples=3")
    # Two chains of rounds 0 and 1 for each of two seeds. Decoupled, rounds 1 and 2 are trained, and
    # coupled only round 2: the other is the chain's own. 8 + 2 x (4 + 2), or one without the last.
    trained = len(list(search.train()))
    tried = samples(tmp_path)
    assert [sample["state"] for sample in tried] == ["complete"] * 3
    assert [sample["find"] == sample["eval"] for sample in tried] == [False, True, False]
    assert tried[0]["find"] == tried[1]["find"] != tried[2]["find"]
    assert trained == 2 * 4 + 2 * 4 + 2
    again = Taken(tmp_path, path, *spaces, "search.num_samples=4")
    list(again.train())
    assert samples(tmp_path)[:3] == tried
    assert samples(tmp_path)[3]["find"] == samples(tmp_path)[3]["eval"] == tried[2]["find"]


def test_a_sample_that_failed_is_the_worst_to_the_model_after_a_restart_too(path, tmp_path):
    spaces = ("find.method=gp", "eval.method=gp", "search.num_samples=2")
    search = Taken(tmp_path, path, *spaces)
    trained = search.train()
    next(trained)
    [sample] = search.agenda.samples.all
    [evaluation] = search.agenda.plan.evaluations(sample.configuration)
    search.listeners.tell(Failed(evaluation, "diverged", "Diverged: loss", evaluation.id))
    search.interrupt()
    assert search.agenda._chooser.given_up == {sample.configuration}
    again = Taken(tmp_path, path, *spaces)
    assert again.agenda._chooser.given_up == {sample.configuration}


def test_a_search_with_an_interrupted_sample_is_not_over(path, tmp_path):
    search = Taken(tmp_path, path, "search.num_samples=1")
    next(search.train())
    search.interrupt()
    again = Taken(tmp_path, path, "search.num_samples=1")
    assert again.agenda.why_over() == "num_samples: 1" and not again.agenda.is_over()
    assert len(list(again.train())) == 3  # round 0 is reported once more
    assert Taken(tmp_path, path, "search.num_samples=1").agenda.is_over()


def test_a_search_of_one_of_each_is_told_in_the_singular(path, tmp_path):
    one = ("search.num_samples=1", "search.trainings=1", "search.report_seeds=[10]")
    search = Taken(tmp_path, path, *one, "prune.rounds=1")
    text = search_text(search.sweep, 0)
    assert max(map(len, text.splitlines())) <= 80
    assert "looks for       the highest val_accuracy at 50.0%, mean over 1 seed\n" in text
    assert "cost            1 training to find a mask, 1 to evaluate it\n" in text
    assert "ends after      1 sample (0 tried) or 1 training\n" in text
    assert " ".join(text.split()).endswith("configuration over 1 fresh seed")

    next(search.train())
    again = Taken(tmp_path, path, *one, "prune.rounds=1")
    assert next(again.agenda.about_the_start()) == (
        "1 sample is there, 1 of them begun and to be finished first"
    )
    edited = Taken(tmp_path, path, "train.duration=3it")
    assert list(edited.agenda.about_the_start()) == [
        "1 sample is left out: the sweep file was another when it was chosen"
    ]


def test_the_budget_counts_what_an_interrupted_sample_took(path, tmp_path):
    budget = ("search.num_samples=null", "search.trainings=2")
    search = Taken(tmp_path, path, *budget).train()
    trained = {next(search), next(search)}  # rounds 0 and 1; the sample lacks its evaluation
    results = read_results(tmp_path, "best")
    assert {result["id"] for result in results} == trained
    again = Taken(tmp_path, path, *budget)
    assert again.agenda.samples.spent.trainings == 2
    assert again.agenda.samples.spent.training_seconds == sum(
        result["seconds"] for result in results
    )
    assert again.agenda.samples.spent.seconds > again.agenda.samples.spent.training_seconds
    assert again.agenda.why_over() == "trainings: 2"
    assert again.agenda.total == 0
    larger = Taken(tmp_path, path, "search.num_samples=null", "search.trainings=5").agenda
    assert larger.total == 3  # what the bar of this launch goes up to
    assert Taken(tmp_path, path, "search.trainings=null").agenda.total is None


def test_the_budget_counts_what_ended_after_its_sample_had_failed(path, tmp_path):
    search = Taken(tmp_path, path, "search.num_samples=1")
    trained = search.train()
    next(trained)
    [sample] = search.agenda.samples.all
    [evaluation] = search.agenda.plan.evaluations(sample.configuration)
    reason = "Diverged: loss is nan at step 1"
    search.listeners.tell(Failed(evaluation, "diverged", reason, evaluation.id))
    assert (sample.state, sample.trainings) == ("failed", 1)
    next(trained)
    assert Taken(tmp_path, path, "search.num_samples=1").agenda.samples.spent.trainings == 2


def test_the_budget_does_not_count_what_another_sweep_file_took(path, tmp_path):
    next(Taken(tmp_path, path).train())
    edited = Taken(tmp_path, path, "train.duration=3it")
    assert edited.agenda._num_others == 1
    assert edited.agenda.samples.spent == (0, 0, 0)
    next(edited.train())
    assert Taken(tmp_path, path, "train.duration=3it").agenda.samples.spent.trainings == 1


def two_launches(path, tmp_path, monkeypatch):
    """Two launches of a search of one sample; the first has trained round 0 and is at the rest."""
    monkeypatch.setattr(agenda, "LOOK_S", 0.0)
    one, other = (Taken(tmp_path, path, "search.num_samples=1") for _ in range(2))
    trained = one.train()
    next(trained)
    to_do = other.agenda.next(frozenset())
    assert to_do.num_trials == 0  # all of its sample is claimed
    assert other.agenda.next(frozenset()) is None
    return one, trained, other


def test_what_another_launch_of_a_search_trains_is_waited_for(path, tmp_path, monkeypatch):
    one, trained, other = two_launches(path, tmp_path, monkeypatch)
    assert len(list(trained)) == 2  # round 1, and the evaluation of round 2
    tickets = other.agenda.wait()
    assert other.agenda.next(tickets).num_trials == 0
    assert other.agenda.next(tickets) is None and other.agenda.wait() is None
    [sample], [same] = one.agenda.samples.all, other.agenda.samples.all
    assert (same.state, same.value) == ("complete", sample.value)
    assert (one.record.num_trained, other.record.num_trained) == (3, 0)
    assert other.record.results.keys() == one.record.results.keys()


def test_what_another_launch_of_a_search_gave_up_is_taken_over(path, tmp_path, monkeypatch):
    one, _, other = two_launches(path, tmp_path, monkeypatch)
    one.interrupt()
    assert other.agenda.wait() is not None
    assert len(list(other.train())) == 3  # round 0 is reported once more
    assert other.agenda.samples.all[0].state == "complete"
    assert other.record.num_trained == 2
