"""Which trial may start now."""

from ray.tune.search import Searcher
from tiny_sweep import TINY

from tune_app.plan.left import what_is_left
from tune_app.plan.plan import make_plan
from tune_app.plan.trainings import Chain
from tune_app.run import trial_queue
from tune_app.run.trial_queue import TrialQueue
from tune_app.store.inventory import Stored
from tune_app.store.store import StoreError
from tune_app.sweep.load import load_sweep
from tune_app.trial.report import Failure, Order, Report


def planned(tiny, stored=None):
    plan = make_plan(load_sweep(tiny))
    return plan, what_is_left(plan, stored or Stored())


class Once:
    """An agenda of one answer."""

    def __init__(self, to_do):
        self.to_do = to_do

    def next(self, tickets):
        to_do, self.to_do = self.to_do, None
        return to_do

    def order(self, work, needed):
        return Order(work, needed)


def queue_of(to_do, tickets, max_failures, **options) -> TrialQueue:
    queue = TrialQueue(Once(to_do), max_failures, **options)
    queue.found(tickets)
    return queue


def take(search: TrialQueue, *, prefix: str = "t") -> list:
    """All that is handed out until the search says wait or finished; that answer last."""
    answers = []
    while isinstance(answer := search.suggest(f"{prefix}{len(answers)}"), dict):
        answers += [order.work for order in answer["orders"]]
    return [*answers, answer]


def test_chains_come_first_then_what_needs_no_ticket_then_it_waits(tiny):
    plan, to_do = planned(tiny)
    *handed_out, answer = take(queue_of(to_do, (), max_failures=1))
    assert handed_out[:4] == list(plan.chains)
    assert [work.kind for work in handed_out[4:]] == ["global_random"] * 8
    assert answer is None


def test_a_ticket_frees_exactly_its_evaluations(tiny):
    plan, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1)
    take(search)
    ticket = plan.chains[0].tickets[0]
    search.on_trial_result("t0", {"report": Report(tickets=(ticket,))})
    *freed, answer = take(search, prefix="u")
    # One decoupled lottery evaluation, and preserve LPR at both H_eval.
    assert sorted(work.kind for work in freed) == ["lottery", "preserve_lpr", "preserve_lpr"]
    assert {work.ticket for work in freed} == {ticket}
    assert answer is None
    search.on_trial_result(
        "t0", {"report": Report(tickets=(ticket,))}
    )  # a restarted chain reports it again
    assert take(search, prefix="v") == [None]


def test_it_ends_when_all_chains_have_ended(tiny):
    plan, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1)
    take(search)
    for number, chain in enumerate(plan.chains):
        assert search.suggest("wait") is None
        for ticket in chain.tickets:
            search.on_trial_result(f"t{number}", {"report": Report(tickets=(ticket,))})
        search.on_trial_complete(f"t{number}", {"report": Report(done=True)})
        take(search, prefix=f"u{number}-")
    end(search)
    assert search.suggest("end") == Searcher.FINISHED


def end(search: TrialQueue, *, error: bool = False, told: str | None = None) -> list[bool]:
    """Every trial that runs ends; of each that fails, with `told`, whether it is tried again."""
    again = []
    for trial_id, works in list(search.running.items()):
        search.on_trial_complete(trial_id, error=error)
        if error:
            again += [search.try_again(work, told) for work in works]
    return again


def test_a_trial_that_fails_is_handed_out_again_but_not_endlessly(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=2)
    *first, _ = take(search)
    for attempt in ("u", "v"):
        assert all(end(search, error=True))
        *again, answer = take(search, prefix=attempt)
        assert again == first
        assert answer is None
    assert not any(end(search, error=True))
    assert search.suggest("end") == Searcher.FINISHED


def test_a_trial_that_crashes_twice_alike_is_not_handed_out_a_third_time(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=5)
    first = take(search)
    assert all(end(search, error=True, told="OSError: a"))
    take(search, prefix="u")
    assert all(end(search, error=True, told="OSError: b"))
    take(search, prefix="v")
    assert all(end(search, error=True))  # a lost worker says nothing of the error before
    assert take(search, prefix="w") == first
    assert not any(end(search, error=True, told="OSError: b"))
    assert search.suggest("end") == Searcher.FINISHED


def test_where_the_store_refuses_nothing_more_is_handed_out(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1)
    search.suggest("t0")
    search.suggest("t1")
    full = Failure("a1", "StoreError: full", "store")
    search.on_trial_complete("t0", {"report": Report(failure=full, done=True)})
    assert search.suggest("t2") is None  # the other may still store what it does
    search.on_trial_complete("t1", {"report": Report(done=True)})
    assert search.suggest("t2") == Searcher.FINISHED


def test_nothing_is_tried_again_where_that_is_not_wanted(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=0)
    take(search)
    end(search, error=True)
    assert search.suggest("end") == Searcher.FINISHED


def constrained(tiny):
    """A plan in which the chains of LR 0.2 also take the ratios of those of LR 0.05."""
    plan = make_plan(load_sweep(tiny, ["find.lpr_from=[{lr: 0.05}]"]))
    return plan, what_is_left(plan, Stored())


def test_a_chain_waits_for_all_the_tickets_whose_ratios_it_takes(tiny):
    plan, to_do = constrained(tiny)
    search = queue_of(to_do, (), max_failures=1)
    *handed_out, _ = take(search)
    assert handed_out[:4] == list(plan.chains[:4])
    assert not any(isinstance(work, Chain) for work in handed_out[4:])
    source, waiting = plan.chains[0], plan.chains[4]
    first, *rest = waiting.lpr_tickets
    search.on_trial_result("t0", {"report": Report(tickets=(first,))})
    assert not any(isinstance(work, Chain) for work in take(search, prefix="u"))
    assert rest == [source.tickets[1]]
    search.on_trial_result("t0", {"report": Report(tickets=tuple(rest))})
    assert take(search, prefix="v")[0] == waiting


def test_tickets_that_are_stored_hold_no_chain_back(tiny):
    plan, to_do = constrained(tiny)
    stored = [ticket for chain in plan.chains[:4] for ticket in chain.tickets]
    assert take(queue_of(to_do, stored, max_failures=1))[:6] == list(plan.chains)


def test_it_ends_when_a_chain_that_others_wait_for_has_failed(tiny):
    _, to_do = constrained(tiny)
    search = queue_of(to_do, (), max_failures=0)
    take(search)
    end(search, error=True)
    assert search.suggest("end") == Searcher.FINISHED


def test_a_failed_chain_does_not_hold_up_the_rest(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=0)
    *handed_out, _ = take(search)
    assert len(handed_out) == 4 + 8  # chains, and random masks that wait for none
    end(search, error=True)
    assert search.suggest("end") == Searcher.FINISHED


def test_tickets_that_are_stored_hold_nothing_back(tiny):
    plan = planned(tiny)[0]
    ids = frozenset(id for chain in plan.chains for id in chain.ids)
    tickets = frozenset(ticket for chain in plan.chains for ticket in chain.tickets)
    plan, to_do = planned(tiny, Stored(ids, tickets))
    search = queue_of(to_do, tickets, max_failures=1)
    *handed_out, answer = take(search)
    assert not any(isinstance(work, Chain) for work in handed_out)
    assert handed_out == list(plan.evaluations)
    assert answer is None
    end(search)
    assert search.suggest("end") == Searcher.FINISHED


def test_with_resources_of_their_own_evaluations_leave_room_to_chains_that_wait(tiny):
    plan, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, holds_evaluations=lambda: True)
    assert take(search) == [*plan.chains, None]
    for number in range(3):
        search.started(f"t{number}")
        assert search.suggest("wait") is None
    search.started("t3")
    *handed_out, answer = take(search, prefix="u")
    assert ([work.kind for work in handed_out], answer) == (["global_random"] * 8, None)


def test_a_chain_that_is_handed_out_again_is_waited_for_again(tiny):
    plan, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, holds_evaluations=lambda: True)
    take(search)
    search.on_trial_complete("t0", error=True)
    search.try_again(plan.chains[0], None)
    for number in range(1, 4):
        search.started(f"t{number}")
    assert take(search, prefix="u") == [plan.chains[0], None]
    search.on_trial_complete("u0", error=True)  # before it started, and for good
    assert not search.try_again(plan.chains[0], None)
    assert len(take(search, prefix="v")) == 8 + 1


def test_evaluations_that_are_in_no_chain_s_way_do_not_wait(tiny):
    plan, to_do = planned(tiny)
    has_idle_gpu = True
    search = queue_of(to_do, (), max_failures=1, holds_evaluations=lambda: has_idle_gpu)
    assert take(search) == [*plan.chains, None]
    has_idle_gpu = False
    assert len(take(search, prefix="u")) == 8 + 1


def test_chains_that_wait_leave_evaluations_a_part_of_what_may_wait(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text(TINY.replace("seeds: [0, 1]", "seeds: [0, 1, 2, 3, 4, 5]"))
    _, to_do = planned(path)
    assert len(to_do.chains) == 12
    search = queue_of(to_do, (), max_failures=1, holds_evaluations=lambda: False)
    handed_out = [search.suggest(f"t{number}")["orders"][0].work for number in range(16)]
    assert [isinstance(work, Chain) for work in handed_out] == [True] * 8 + [False] * 8
    search.started("t0")
    assert search.suggest("next")["orders"][0].work == to_do.chains[8]


def test_a_chain_is_told_which_of_its_tickets_are_needed(tiny):
    plan, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1)
    config = search.suggest("t0")
    assert config["orders"][0].needed == frozenset(plan.chains[0].tickets[:2])  # rounds 1 and 2


def test_a_tuner_has_its_number_of_trials_and_the_next_goes_on(tiny, monkeypatch):
    monkeypatch.setattr(trial_queue, "MAX_TRIALS", 5)
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1)
    *handed_out, answer = take(search)
    assert (len(handed_out), answer, search.is_cut_short()) == (5, None, True)
    end(search)
    assert search.suggest("end") == Searcher.FINISHED
    search.num_handed_out = 0  # as the next Tuner begins
    *handed_out, _ = take(search, prefix="u")
    assert [work.kind for work in handed_out] == ["global_random"] * 5
    end(search)
    search.num_handed_out = 0
    assert len(take(search, prefix="v")) == 2 + 1  # of 8 random ones; tickets did not come
    assert not search.is_cut_short()


def test_no_more_trials_run_at_a_time_than_may(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, max_concurrent=2)
    assert len(take(search)) == 2 + 1
    search.on_trial_complete("t0", {"report": Report(done=True)})
    assert len(take(search, prefix="u")) == 1 + 1


def test_an_agenda_whose_store_refuses_stops_it(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1)

    def refuse(tickets):
        raise StoreError("/gone: not there")

    search.agenda.next = refuse
    assert search.suggest("t0") == Searcher.FINISHED
    assert search.stopped_by == "/gone: not there"


# ---- packs


def packs(search: TrialQueue, prefix: str = "t") -> list[list]:
    """The trials that are handed out until the search says wait."""
    trials = []
    while isinstance(answer := search.suggest(f"{prefix}{len(trials)}"), dict):
        trials.append([order.work for order in answer["orders"]])
    return trials


def by(number: int):
    return lambda first, waiting: number


def test_a_trial_is_given_several_of_a_kind(tiny):
    plan, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, pack=by(3))
    trials = packs(search)
    assert [len(works) for works in trials] == [3, 1, 3, 3, 2]
    assert [work for works in trials[:2] for work in works] == list(plan.chains)
    assert {work.kind for works in trials[2:] for work in works} == {"global_random"}


def test_how_many_is_asked_with_how_many_wait(tiny):
    _, to_do = planned(tiny)
    asked = []
    search = queue_of(
        to_do, (), max_failures=1, pack=lambda first, waiting: asked.append(waiting) or 2
    )
    packs(search)
    assert asked == [4, 2, 8, 6, 4, 2]


def test_of_a_trial_that_fails_only_what_had_not_ended_is_tried_again_and_each_alone(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, pack=by(4))
    [chains, first, second] = packs(search)
    search.on_trial_result("t1", {"report": Report(done=True, of=2)})
    search.on_trial_complete("t1", error=True)
    unfinished = search.unfinished("t1")
    assert unfinished == {first[0], first[1], first[3]}
    assert search.unfinished("t1") == set()
    assert all(search.try_again(work, None) for work in unfinished)
    again = packs(search, "u")
    assert sorted(map(len, again)) == [1, 1, 1]
    assert {work for works in again for work in works} == unfinished
    # Any of them may have brought down the pack: each may fail once by itself.
    for number in range(3):
        search.on_trial_complete(f"u{number}", error=True)
        search.unfinished(f"u{number}")
    assert all(search.try_again(work, None) for work in unfinished)
    assert sorted(map(len, packs(search, "v"))) == [1, 1, 1]
    for number in range(3):
        search.on_trial_complete(f"v{number}", error=True)
    assert not any(search.try_again(work, None) for work in unfinished)
    assert len(chains) == len(second) == 4


def test_what_is_new_is_packed_beside_what_failed_and_not_with_it(tiny):
    plan, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, pack=by(3))
    [_, last, *_] = packs(search)
    search.on_trial_complete("t1", error=True)
    assert search.unfinished("t1") == set(last)
    search.try_again(last[0], None)
    search.chains.extend(plan.chains[:2])
    search.chains.rotate(1)
    assert packs(search, "u") == [[plan.chains[1]], [last[0]], [plan.chains[0]]]


def test_what_a_scheduler_compares_is_alone(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, pack=by(8))
    search.agenda.order = lambda work, needed: Order(work, watched=True)
    assert [len(works) for works in packs(search)] == [1] * 12


def test_no_more_run_at_a_time_than_may_however_they_are_packed(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, max_concurrent=3, pack=by(2))
    assert [len(works) for works in packs(search)] == [2, 1]
    search.on_trial_complete("t1", {"report": Report(done=True)})
    assert [len(works) for works in packs(search, "u")] == [1]


def test_a_store_that_refuses_one_of_a_pack_stops_what_comes(tiny):
    _, to_do = planned(tiny)
    search = queue_of(to_do, (), max_failures=1, pack=by(4))
    search.suggest("t0")
    full = Failure("a1", "StoreError: full", "store")
    search.on_trial_result("t0", {"report": Report(failure=full, done=True, of=1)})
    assert search.suggest("t1") is None
    search.on_trial_complete("t0", {"report": Report(done=True, of=0)})
    assert search.suggest("t1") == Searcher.FINISHED
