"""N:M patterns in a sweep: planned, pruned, held, and refused where they cannot be."""

from pathlib import Path

import pytest
from tiny_sweep import TINY, Files

from lt_core import data
from lt_core.mask import pack, unpack
from lt_core.patterns import broken
from tune_app.plan.plan import make_plan
from tune_app.results.method import method
from tune_app.run.identity import Identified
from tune_app.run.preflight import load_fitting
from tune_app.store.store import Missing, Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.trial.worker import Setting, Worker


def sweep_of(folder: Path, *changes: str):
    path = folder / "pattern.yaml"
    path.write_text(TINY.replace("{fraction: 0.5, rounds: 2}", "{pattern: 2:4, skip: [conv]}"))
    return load_sweep(path, changes)


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


def test_a_sweep_prunes_once_to_the_pattern_and_what_breaks_it_is_found_again(tmp_path, store):
    sweep = sweep_of(tmp_path, "seeds=[0]")
    assert (sweep.prune.num_rounds, sweep.sparsities) == (1, {0: 0.0, 1: 0.5})
    plan = make_plan(sweep)
    # 2 dense networks, 2 x 2 tickets, as many shuffled, 2 random masks.
    assert len(plan.trainings) == 2 + 4 + 4 + 2
    setting = Setting(sweep.model, sweep.prune, "1ep", store, None)
    worker = Worker(setting, data.load("digits"), Files(store), "cpu")
    ticket = plan.chains[0].tickets[0]
    list(worker.find(plan.chains[0], needed={ticket}))
    mask = unpack(worker.tickets.get(ticket))
    assert broken(mask, "2:4") == [] and "conv" not in mask
    [tuned, random] = (
        next(t for t in plan.evaluations if t.kind == kind and t.ticket in (None, ticket))
        for kind in ("lottery", "global_random")
    )
    for training in (tuned, random):
        [report] = worker.evaluate(training)
        # Half of 19,464 weights without the 72 of the first layer.
        assert (report.result.sparsity, report.result.cost.alive) == (0.5, 19_392 // 2)
        assert broken(worker.trainer.mask(training), "2:4") == []

    # As many weights in another order are no such ticket.
    shuffled = next(t for t in plan.evaluations if (t.kind, t.ticket) == ("preserve_lpr", ticket))
    of_shuffled = worker.trainer.mask(shuffled)
    assert broken(of_shuffled, "2:4")
    store.put_ticket(ticket, pack(of_shuffled).to_bytes())
    with pytest.raises(Missing, match=f"the ticket {ticket} was damaged"):
        worker.trainer.mask(tuned)
    assert "have not the pattern 2:4" in store.notes[-1]


def test_ids_have_the_pattern_and_not_the_fraction(tmp_path):
    def ids(*changes):
        plan = make_plan(sweep_of(tmp_path, *changes))
        return {t.id for t in plan.trainings.values() if t.round > 0}

    assert ids() == ids("prune.fraction=0.3")
    assert ids().isdisjoint(ids("prune.pattern=1:4"))
    assert ids().isdisjoint(ids("prune.pattern=null", "prune.one_shot=[0.5]"))
    assert method(sweep_of(tmp_path), ["global_random"]) == [
        "Pruned one-shot to 2:4: of each 4 weights in a row along a layer's inputs 2 stay, by "
        "magnitude.",
        "Never pruned and not counted: conv.",
        "Global random is random, of the pattern 2:4 too.",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["prune.rounds=2"], "needs one of `rounds`, `final_sparsity`, `one_shot` and `pattern`, "),
        (
            ["prune.pattern=4:2"],
            "`prune.pattern`: must be how many weights stay of how many",
        ),
        (["prune.strategy=layerwise_magnitude"], "`prune.pattern`: goes with `strategy: global_m"),
        (["find.lpr_from=[{lr: 0.05}]"], "not with `prune.pattern: 2:4`"),
    ],
)
def test_what_a_pattern_does_not_go_with_is_refused(tmp_path, changes, problem):
    with pytest.raises(SpecError) as error:
        sweep_of(tmp_path, *changes)
    assert problem in str(error.value)


def test_a_layer_without_the_pattern_is_refused_before_ray_starts(tmp_path, store):
    sweep = sweep_of(tmp_path, "prune.skip=[]")
    with pytest.raises(SpecError) as error:
        load_fitting(Identified(sweep), store, tmp_path / "pattern.yaml")
    assert "`prune`: pattern 2:4 needs layers whose number of inputs is a multiple of 4, not " in (
        said := str(error.value)
    )
    assert said.endswith("conv (1); `prune.skip: [conv]` leaves out what is none")
