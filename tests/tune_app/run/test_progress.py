"""What the terminal shows while trials run."""

import io

from synthetic_run import result_of

from tune_app.plan.ids import Ids
from tune_app.plan.plan import make_plan
from tune_app.run.best_so_far import BestSoFar
from tune_app.run.estimate import Estimate
from tune_app.run.events import Failed, Finished, Found, Retried, Said, Started
from tune_app.run.progress import Progress
from tune_app.sweep.load import load_sweep


def test_away_from_a_terminal_each_training_is_a_plain_line(tiny):
    sweep = load_sweep(tiny)
    plan = make_plan(sweep)
    screen = io.StringIO()
    evaluation = plan.evaluations[0]
    result = result_of(evaluation, sparsity=0.75, val_accuracy=0.9, seconds=1.26)
    with Progress(sweep, lambda: 2, screen) as progress:
        for event in (
            Started(evaluation),
            Finished(result),
            Finished(result),  # a chain that goes on reports its earlier rounds too
            Failed(evaluation, "diverged", "Diverged: loss is nan", evaluation.id),
            Retried(plan.chains[0], "RuntimeError: its worker died"),
            Said("the store is full"),
        ):
            progress.on_event(event)
    first, second, third, fourth = screen.getvalue().splitlines()
    assert first.startswith(
        "[1/2] lottery find lr 0.05 eval lr 0.2 seed 0  75.0% pruned  val 90.0%  1.3s  eta "
    )
    assert second == "failed: lottery find lr 0.05 eval lr 0.2 seed 0: Diverged: loss is nan"
    again = "to be tried again: chain lr 0.05 seed 0: RuntimeError: its worker died"
    assert (third, fourth) == (again, "the store is full")
    assert "\x1b" not in screen.getvalue()


def test_the_end_is_told_by_what_is_expected_of_what_is_left(tiny, monkeypatch):
    sweep = load_sweep(tiny)
    first, second, third, fourth = make_plan(sweep).evaluations[:4]
    seconds = {first.id: 1.0, second.id: 2.0, third.id: 3.0, fourth.id: 30.0}
    estimate = Estimate(seconds, 0.0, 36.0, 0.0, "from 1 like training in the store")
    with Progress(sweep, lambda: 4, io.StringIO(), estimate) as progress:
        monkeypatch.setattr(progress, "elapsed", lambda: 20.0)
        assert progress.eta(4) == "?"
        progress.on_event(Finished(result_of(second)))
        assert progress.eta(4) == "5m40s"  # 34 s to come, each of which takes 20 / 2 s
        progress.on_event(Finished(result_of(second)))
        progress.on_event(Finished(result_of(third)))
        assert progress.eta(4) == "2m04s"  # 31 s x 20 / 5
        assert progress.eta(3) == "1m02s"  # one of the two, 15.5 s in the mean, is not to come
        progress.on_event(Found((result_of(fourth),)))  # another launch trained it
        assert progress.eta(3) == "4.0s"  # 1 s x 20 / 5


def test_the_end_is_told_by_the_mean_where_nothing_is_expected(tiny, monkeypatch):
    sweep = load_sweep(tiny)
    with Progress(sweep, lambda: 4, io.StringIO()) as progress:
        monkeypatch.setattr(progress, "elapsed", lambda: 20.0)
        progress.on_event(Finished(result_of(make_plan(sweep).evaluations[0])))
        assert progress.eta(4) == "1m00s"  # 3 x 20 s


def test_the_best_so_far_is_of_the_highest_sparsity_and_of_the_most_seeds(tiny):
    sweep = load_sweep(tiny)
    [low, high] = sweep.find_recipes
    best = BestSoFar(sweep)
    assert best.in_words() == ""

    def add(find, eval_, seed, round, val_accuracy):
        training = Ids(sweep).evaluation("lottery", find, eval_, seed, round)
        sparsity = sweep.prune.sparsity(round)
        best.add(result_of(training, sparsity=sparsity, val_accuracy=val_accuracy))

    add(low, low, 0, 1, 0.9)
    assert best.in_words() == (
        "best so far at 50.0% pruned: find lr 0.05 eval lr 0.05  val 90.0% (n=1)"
    )
    add(low, high, 0, 2, 0.5)
    add(low, high, 1, 2, 0.7)
    add(high, high, 0, 2, 0.99)  # of one seed only
    assert best.in_words() == (
        "best so far at 75.0% pruned: find lr 0.05 eval lr 0.2  val 60.0% (n=2)"
    )
