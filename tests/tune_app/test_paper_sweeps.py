"""The sweeps at the paper's scale: what each asks for is its laptop sibling's question."""

from pathlib import Path

import pytest

from lt_core.steps import Steps
from tune_app.plan.plan import make_plan
from tune_app.sweep.load import load_sweep
from tune_app.sweep.spaces import dimensions
from tune_app.sweep.sweep import Sweep

SWEEPS = Path(__file__).parents[2] / "sweeps"
GRIDS = [path for path in SWEEPS.glob("*.yaml") if load_sweep(path).search is None]
LAPTOP = {path.stem: path for path in GRIDS}
PAPER = {path.stem: path for path in (SWEEPS / "paper").glob("*.yaml")}

# Everything else is ResNet-50 on Tiny ImageNet.
OTHERS = {
    "other_data": ("resnet50", "miniplaces"),
    "other_network": ("resnet18", "tiny_imagenet"),
}


@pytest.fixture(params=sorted(PAPER))
def name(request) -> str:
    return request.param


@pytest.fixture
def sweep(name) -> Sweep:
    return load_sweep(PAPER[name])


def test_every_laptop_sweep_has_one():
    # Of which the paper has no figure.
    ours = {"adamw", "criteria", "given_masks", "lr_wd_pairs", "n_of_m", "strong_decay"}
    ours |= {"tabular", "text", "two_rewindings"}
    assert PAPER.keys() == LAPTOP.keys() - ours


def test_it_has_the_scale_of_the_paper(name, sweep):
    assert (sweep.model, sweep.dataset) == OTHERS.get(name, ("resnet50", "tiny_imagenet"))
    for recipe in (*sweep.find_recipes, *sweep.eval_recipes):
        assert recipe.duration == Steps(110, "ep")
        assert (recipe.milestones, recipe.gamma) == ((Steps(55, "ep"), Steps(83, "ep")), 0.1)
    assert sweep.resources_per_trial.gpu == 1
    assert len(sweep.seeds) > 1


def test_it_prunes_as_the_paper_does(name, sweep):
    if name.startswith("structured"):
        # Of the 64 channels of the narrowest group whole ones.
        assert all(64 * share == int(64 * share) for share in sweep.prune.one_shot)
        assert sweep.eval_rounds == (0, 1, 2, 3, 4)
    else:
        assert (sweep.prune.fraction, sweep.prune.num_rounds) == (0.2, 18)
        # 0.8^5 = 32.8% and 0.8^10 = 10.7% are left: the 67% and 89% of the paper's figures.
        assert sweep.eval_rounds == (0, 2, 5, 8, 10, 13, 16, 18)


def test_it_asks_what_the_laptop_sweep_asks(name, sweep):
    laptop = load_sweep(LAPTOP[name])
    assert sweep.name == f"paper_{laptop.name}"
    for same in ("description", "rewind", "select_on"):
        assert getattr(sweep, same) == getattr(laptop, same)
    # The paper's, which a laptop has only in its fair form.
    more = {"preserve_lpr"} if name == "lr_grid" else set()
    assert {*sweep.baselines} == {*laptop.baselines} | more
    assert sweep.prune.strategy == laptop.prune.strategy
    assert (sweep.prune.one_shot is None) == (laptop.prune.one_shot is None)
    assert sweep.eval.rewind_from == laptop.eval.rewind_from
    assert len(sweep.find.lpr_from) == len(laptop.find.lpr_from)
    assert bool(sweep.train.warmup.count) == bool(laptop.train.warmup.count)
    for stage in ("find", "eval"):
        at_paper, at_laptop = (dimensions(getattr(s, stage).parameters) for s in (sweep, laptop))
        assert at_paper.keys() == at_laptop.keys()


def test_its_head_says_how_to_run_it_and_how_many_trainings_that_is(name, sweep):
    head = PAPER[name].read_text().partition("\n\n")[0]
    assert f"python -m tune_app.launch sweeps/paper/{name}.yaml\n" in head
    assert f"# Cost: {len(make_plan(sweep).trainings):,} trainings of " in head


# H_find, then H_eval where it varies or is not what the overlay says; {} for the overlay's.
LR_2, LR_4 = {"lr": (0.2, 0.5)}, {"lr": (0.05, 0.1, 0.2, 0.5)}
BS_4, WD_3 = {"batch_size": (128, 256, 512, 1024)}, {"weight_decay": (1e-4, 2e-4, 5e-4)}
STOPS = (Steps(20, "ep"), Steps(50, "ep"), Steps(70, "ep"), None)
SPACES = {
    "bs_grid": (BS_4, BS_4),
    "early_pruning": ({"lr": (0.05, 0.2), "stop": STOPS}, {}),
    "late_rewinding": (LR_2, LR_2),
    "lpr_constrained": ({"lr": (0.1, 0.5)}, {}),
    "lr_grid": (LR_4, LR_4),
    "lr_rewinding": (LR_2, LR_2),
    "no_weight_decay": ({"lr": (0.05, 0.1, 0.2, 0.5, 1, 2), "weight_decay": (0,)}, {}),
    "other_data": ({"lr": (0.02, 0.1, 0.5)}, {"lr": (0.02, 0.1, 0.5)}),
    "other_network": ({"lr": (0.05, 0.2, 0.8)}, {"lr": (0.5, 0.8)}),
    "structured_bs": ({"batch_size": (256, 512)}, {"batch_size": (256, 512)}),
    "structured_lr": (LR_2, LR_2),
    "structured_wd": ({"weight_decay": (1e-4, 5e-4)}, {"weight_decay": (1e-4, 5e-4)}),
    "warmup": (LR_2, LR_2),
    "wd_grid": (WD_3, WD_3),
}


def test_what_varies(name, sweep):
    spaces = (sweep.find.parameters, sweep.eval.parameters)
    assert tuple(map(dimensions, spaces)) == SPACES[name]


def test_what_does_not_vary(name, sweep):
    # fig8 and fig9 are evaluated at LR 0.5.
    lr = 0.5 if name in ("no_weight_decay", "early_pruning") else 0.2
    train = sweep.train
    assert (train.lr, train.batch_size, train.weight_decay) == (lr, 256, 1e-4)
    assert (train.momentum, train.stop) == (0.9, None)
    assert train.warmup == Steps(5 if name == "warmup" else 0, "ep")
    assert sweep.rewind.to == Steps(2 if name == "late_rewinding" else 0, "ep")


# Trainings by hand, for three seeds. A chain is the dense network and 17 rounds, or 18 where its
# H_find is an H_eval too; a grid has 7 sparsities. Random masks belong to no H_find.
COUNTS = {
    # 4 chains of 19, 12 decoupled of 7, random 4 H_eval x 7, preserve LPR 4 x 4 x 7, live or not.
    "lr_grid": 3 * (4 * 19 + 12 * 7 + 4 * 7 + 2 * 16 * 7),
    "bs_grid": 3 * (4 * 19 + 12 * 7 + 4 * 7 + 16 * 7),
    "wd_grid": 3 * (3 * 19 + 6 * 7 + 3 * 7 + 9 * 7),
    # 2 chains of 19, 2 decoupled.
    "late_rewinding": 3 * (2 * 19 + 2 * 7),
    "lr_rewinding": 3 * (2 * 19 + 2 * 7),
    "warmup": 3 * (2 * 19 + 2 * 7),
    # 8 chains of 18, the dense network of H_eval, 8 H_find of 7, random.
    "early_pruning": 3 * (8 * 18 + 1 + 8 * 7 + 7),
    "no_weight_decay": 3 * (6 * 18 + 1 + 6 * 7 + 7),
    # 2 chains of 18, 2 constrained ones without their own dense network, dense, 4 masks, random.
    "lpr_constrained": 3 * (2 * 18 + 2 * 17 + 1 + 4 * 7 + 7),
    "other_data": 3 * (3 * 19 + 6 * 7 + 3 * 7),
    # LR 0.8 alone is in both: 19 + 2 * 18, dense 0.5, 5 decoupled, random at 2 H_eval.
    "other_network": 3 * (19 + 2 * 18 + 1 + 5 * 7 + 2 * 7),
    # Dense at 2 H, tickets of 4 shares at 2 x 2, random at 2 H_eval.
    "structured_lr": 3 * (2 + 4 * 4 + 2 * 4),
    "structured_bs": 3 * (2 + 4 * 4 + 2 * 4),
    "structured_wd": 3 * (2 + 4 * 4 + 2 * 4),
}


def test_the_trainings_are_those_counted_by_hand(name, sweep):
    assert len(make_plan(sweep).trainings) == COUNTS[name]


def test_good_and_bad_ratios_go_both_ways():
    sweep = load_sweep(PAPER["lpr_constrained"])
    assert [recipe.lr for recipe in sweep.lpr_sources] == [0.1, 0.5]
