"""What the terminal shows of a plan."""

from tune_app.plan.left import ToDo, what_is_left
from tune_app.plan.plan import make_plan
from tune_app.run.plan_words import plan_text
from tune_app.store.inventory import Stored
from tune_app.sweep.load import load_sweep


def test_the_plan_adds_up(tiny):
    sweep = load_sweep(tiny)
    plan = make_plan(sweep)
    stored = Stored(frozenset(plan.chains[0].ids), frozenset(plan.chains[0].tickets))
    lines = plan_text(sweep, plan, what_is_left(plan, stored)).splitlines()
    numbers = {line.split()[0]: [int(n) for n in line.split()[-4:]] for line in lines[3:9]}
    # requested, shared, done, to do
    assert numbers == {
        "find": [12, 0, 3, 9],
        "dense": [4, 4, 0, 0],
        "lottery": [16, 8, 0, 8],
        "global_random": [16, 8, 0, 8],
        "preserve_lpr": [16, 0, 0, 16],
        "total": [64, 20, 3, 41],
    }
    assert lines[-3:] == [
        "trials          35 to run: 3 chains that find masks, 32 evaluations",
        "seeds           2",
        "sparsities      dense, 50.0% (round 1), 75.0% (round 2)",
    ]
    assert max(map(len, lines)) <= 80


def test_a_plan_says_what_a_sparsity_snaps_to_and_that_nothing_is_left(tiny):
    sweep = load_sweep(tiny, ["eval.at_sparsity=[0.6, 0.75]", "baselines=[]"])
    plan = make_plan(sweep)
    done = ToDo((), (), frozenset(), frozenset())
    assert plan_text(sweep, plan, done).splitlines()[-3:] == [
        "trials          nothing to do: everything is trained",
        "seeds           2",
        # 0.6 is nearer to 0.5 than to 0.75; 0.75 is a round's own.
        "sparsities      dense, 50.0% (round 1, nearest to 0.6), 75.0% (round 2)",
    ]


def test_a_plan_of_one_of_each_is_in_the_singular(tiny):
    one = ("seeds=[0]", "prune.rounds=1", "baselines=[]")
    lrs = ("find.parameters.lr.values=[0.05]", "eval.parameters.lr.values=[0.2]")
    sweep = load_sweep(tiny, [*one, *lrs])
    plan = make_plan(sweep)
    text = plan_text(sweep, plan, what_is_left(plan, Stored()))
    assert [row.what for row in plan.rows] == [
        "1 H_find x 1 round",
        "1 H_eval",
        "1 H_find x 1 H_eval",
    ]
    assert "3 to run: 1 chain that finds masks, 2 evaluations\n" in text
    without_dense = what_is_left(plan, Stored(frozenset([plan.evaluations[0].id])))
    assert "that finds masks, 1 evaluation\n" in plan_text(sweep, plan, without_dense)
