"""The agenda of a grid with a race: which trainings it hands out, and when."""

from types import SimpleNamespace

import pytest
from synthetic_run import result_of

from tune_app.plan.plan import make_plan
from tune_app.plan.trainings import Chain
from tune_app.results.racing import compared
from tune_app.results.run_directory import RunDirectory
from tune_app.run import grid
from tune_app.run.events import Failed, Finished, Found, Said
from tune_app.run.race import RaceAgenda
from tune_app.run.record import Record
from tune_app.store.claims import Claims
from tune_app.store.inventory import Stored
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep

RACE = "seeds={at_most: 5, until: 0.001}"
FIRST = "seeds=[0, 1, 2]"
GOOD_FIND = "find.parameters.lr.values=[0.05]"


def accuracy(training) -> float:
    """Masks of LR 0.05 are good, those of LR 0.2 are not; seeds differ a little."""
    wobble = (7 * training.seed + 3 * (training.eval.lr > 0.1)) % 5 / 500
    return (0.9 if training.find and training.find.lr < 0.1 else 0.5) + wobble


def result(training):
    return result_of(training, val_accuracy=accuracy(training))


class Launch:
    """An agenda, and what it said; trials end at once."""

    def __init__(self, sweep, store, results=(), failures=None):
        self.sweep, self.whole = sweep, make_plan(sweep)
        self.said = []
        known = {result.id: result for result in results}
        found = {training.ticket for id, training in self.whole.trainings.items() if id in known}
        self.agenda = RaceAgenda(
            sweep,
            self.whole,
            Stored(frozenset(known), frozenset(found - {None})),
            known,
            failures or {},
            Claims(store),
            self.tell,
        )
        self.results = known

    def tell(self, event):
        if isinstance(event, Said):
            self.said.append(event.text)
        else:
            self.agenda.on_event(event)

    def next(self):
        """The trainings that are handed out now; None where there are none."""
        to_do = self.agenda.next(frozenset())
        if to_do is None:
            return None
        work = (*to_do.chains, *to_do.evaluations)
        trainings = [t for w in work for t in (w.trainings if isinstance(w, Chain) else (w,))]
        return {t.id: t for t in trainings if t.id in to_do.trainings}

    def finish(self, trainings):
        for training in trainings:
            self.results[training.id] = result(training)
            self.agenda.on_event(Finished(self.results[training.id]))

    def run(self):
        """Train until nothing is handed out; the ids of what was."""
        trained = []
        while (handed_out := self.next()) is not None:
            self.finish(handed_out.values())
            trained += handed_out
        return trained


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


@pytest.fixture
def sweep(tiny):
    return load_sweep(tiny, [RACE])


@pytest.fixture
def launch(sweep, store):
    launch = Launch(sweep, store)
    yield launch
    launch.agenda._claims.release()


def ids(tiny, *overrides):
    return set(make_plan(load_sweep(tiny, overrides)).trainings)


def test_another_seed_begins_with_what_is_left_of_the_configurations(tiny, launch):
    first = launch.next()
    assert set(first) == ids(tiny, FIRST)
    assert launch.next() is None
    launch.finish(first.values())
    assert set(launch.next()) == ids(tiny, "seeds=[3]", GOOD_FIND)


def test_a_seed_does_not_wait_for_what_is_not_compared(tiny, launch, sweep):
    first = launch.next()
    asked = [t for t in compared(sweep, launch.whole).values() if t.id in first]
    assert len(asked) == 2 * 2 * 3
    launch.finish(asked[:-1])
    assert launch.next() is None
    launch.finish(asked[-1:])
    assert set(launch.next()) == ids(tiny, "seeds=[3]", GOOD_FIND)


def test_the_plan_shrinks_to_what_was_needed(tiny, launch, tmp_path):
    assert launch.agenda.total == len(launch.whole.trainings)
    trained = launch.run()
    needed = ids(tiny, FIRST) | ids(tiny, "seeds=[3, 4]", GOOD_FIND)
    assert len(trained) == len(set(trained))
    assert set(trained) == set(launch.agenda.plan.trainings) == needed
    assert launch.agenda.total == len(needed)
    record = Record(launch.agenda, RunDirectory(tmp_path), {}, pytest.fail)
    record.on_event(Found(tuple(launch.results.values())))
    assert list(record.missing()) == []


def test_what_is_decided_is_said_as_it_happens(launch):
    launch.finish(launch.next().values())
    launch.next()
    # Of seeds 0, 1 and 2 the wobbles are 0, 0.4 and 0.8 points at LR_eval 0.05, mean 0.40, and 0.6,
    # 0 and 0.4 at LR_eval 0.2, mean 0.33.
    assert launch.said[:2] == [
        "LR_find 0.2, LR_eval 0.05 drops out after 3 seeds: 39.9 points below the best decoupled",
        "LR_find 0.2, LR_eval 0.2 drops out after 3 seeds: 40.1 points below the best coupled",
    ]
    assert launch.said[2].startswith(
        "after 3 of 5 seeds, the best decoupled less the best coupled: -0.1 points of validation "
        "accuracy, 95% interval ± "
    )


def test_a_race_that_is_sure_enough_ends(tiny, store):
    launch = Launch(load_sweep(tiny, ["seeds={at_most: 5, until: 50}"]), store)
    assert set(launch.run()) == ids(tiny, FIRST)
    assert launch.said[-1].endswith("which is sure enough")
    assert launch.agenda.wait() is None


def test_what_diverges_drops_out_and_is_told_as_missing(tiny, launch, tmp_path):
    first = launch.next()
    chain = next(c for c in launch.whole.chains if c.find.lr < 0.1 and c.seed == 1)
    lost = {t.id for t in first.values() if t.ticket in chain.tickets}
    launch.finish(t for t in first.values() if t.id not in lost)
    launch.agenda.on_event(Failed(chain, "diverged", "Diverged: loss is nan", chain.ids[1]))
    assert set(launch.next()) == ids(tiny, "seeds=[3]", "find.parameters.lr.values=[0.2]")
    reasons = [said for said in launch.said if "Diverged: loss is nan" in said]
    assert len(reasons) == 2  # at both H_eval
    record = Record(launch.agenda, RunDirectory(tmp_path), {}, pytest.fail)
    launch.run()
    record.on_event(Found(tuple(launch.results.values())))
    missing = {line["id"] for line in record.missing()}
    assert lost <= missing


def test_a_launch_goes_on_wherever_it_was_stopped(sweep, store, launch):
    everything, said = launch.run(), launch.said
    launch.agenda.wait()  # ends its claims
    for done in range(0, len(everything), 5):
        results = [launch.results[id] for id in everything[:done]]
        again = Launch(sweep, store, results)
        trained = again.run()
        assert set(again.agenda.plan.trainings) == set(everything)
        assert set(everything[done:]) <= set(trained)
        assert again.agenda.standing == launch.agenda.standing
        assert said[len(said) - len(again.said) :] == again.said
        again.agenda._claims.release()


def test_more_results_than_a_race_needs_change_nothing(sweep, store, launch):
    launch.run()
    everything = [result(training) for training in launch.whole.trainings.values()]
    again = Launch(sweep, store, everything)
    assert again.run() == []
    assert again.agenda.standing == launch.agenda.standing
    assert {known.id for known in again.agenda.known} == set(launch.agenda.plan.trainings)


def test_what_another_launch_trains_is_left_to_it_and_waited_for(tiny, launch, store, monkeypatch):
    other = Claims(store)
    first = make_plan(load_sweep(tiny, [FIRST])).trainings
    other.take(first)

    def finish_the_other(seconds):
        for training in first.values():
            store.put_result(training.id, result(training).to_line())
        other.release()

    monkeypatch.setattr(grid, "time", SimpleNamespace(sleep=finish_the_other))
    assert launch.next() is None
    assert launch.agenda.wait() is not None
    assert set(launch.next()) == ids(tiny, "seeds=[3]", GOOD_FIND)
