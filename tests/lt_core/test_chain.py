import dataclasses
import hashlib
import itertools

import pytest
import torch

from lt_core import models, rewind
from lt_core.chain import Round, find, prune_trained
from lt_core.config import Pruning, Recipe, Rewinding
from lt_core.evaluation import Evaluation, evaluate, evaluating
from lt_core.lpr import layerwise_pruning_ratios
from lt_core.mask import alive_by_layer, flatten, num_alive, pack, prunable_weights, unpack
from lt_core.models.cifar_resnet import CifarResNet
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1
from lt_core.training_loop import Diverged

RECIPE = Recipe(lr=0.1, batch_size=64, duration="2it", weight_decay=5e-4)
PRUNING = Pruning(fraction=0.3)


def chain(digits, *, recipe=RECIPE, pruning=PRUNING, rounds=3, seed=0, **changes) -> list[Round]:
    found = find("small_resnet", digits, recipe, pruning, rounds=rounds, seed=seed, **changes)
    return list(found)


def digest(round: Round) -> dict:
    """All of a round that must be the same twice, bit for bit."""
    return measured(round.evaluation) | {
        "number": round.number,
        "mask": pack(round.mask).to_bytes(),
        "next_mask": pack(round.next_mask).to_bytes(),
    }


def measured(evaluation: Evaluation) -> dict:
    fields = {f.name: getattr(evaluation, f.name) for f in dataclasses.fields(evaluation)}
    del fields["seconds"]
    state = fields.pop("model").state_dict().values()
    bits = b"".join(tensor.contiguous().numpy().tobytes() for tensor in state)
    return fields | {"model": hashlib.sha256(bits).hexdigest()}


@pytest.fixture(scope="module")
def starts():
    """The whole state of every network as its training begins, filled as `rounds` runs."""
    return []


@pytest.fixture(scope="module")
def rounds(digits, starts) -> list[Round]:
    """Rounds 0 to 3, two iterations each."""

    def keep(module, _):
        if isinstance(module, CifarResNet) and module.bn.num_batches_tracked == 0:
            starts.append({name: t.detach().clone() for name, t in module.state_dict().items()})

    hook = torch.nn.modules.module.register_module_forward_pre_hook(keep)
    try:
        return chain(digits)
    finally:
        hook.remove()


def test_each_round_prunes_its_share_of_what_is_left_rounded_up(rounds):
    assert [round.number for round in rounds] == [0, 1, 2, 3]
    # 19464 - 5840 (5839.2), - 4088 (4087.2), - 2861 (2860.8), - 2003 (2002.5)
    assert [num_alive(round.mask) for round in rounds] == [19_464, 13_624, 9_536, 6_675]
    assert [num_alive(round.next_mask) for round in rounds] == [13_624, 9_536, 6_675, 4_672]


def test_each_round_hands_its_mask_to_the_next_and_revives_nothing(rounds):
    for before, after in itertools.pairwise(rounds):
        assert pack(before.next_mask).to_bytes() == pack(after.mask).to_bytes()
    for round in rounds:
        assert list(round.next_mask) == list(round.mask)
        assert not (flatten(round.next_mask) & ~flatten(round.mask)).any()


def test_what_goes_is_the_smallest_of_the_trained_weights_over_all_layers(rounds):
    for round in rounds:
        magnitude = flatten(prunable_weights(round.evaluation.model)).detach().abs()
        kept = flatten(round.next_mask)
        gone = flatten(round.mask) & ~kept
        assert magnitude[gone].max() <= magnitude[kept].min()


def test_each_round_starts_from_the_masked_initialization(rounds, starts):
    fresh = models.build(
        "small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0
    ).state_dict()
    assert len(starts) == 4
    for round, start in zip(rounds, starts, strict=True):
        assert start.keys() == fresh.keys()
        for name, value in start.items():
            layer = round.mask.get(name.removesuffix(".weight"))
            expected = fresh[name] if layer is None else fresh[name] * layer
            assert torch.equal(value, expected), name


def test_each_round_is_the_evaluation_of_its_mask_at_h_find(digits, rounds):
    for round in rounds:
        alone = evaluate("small_resnet", digits, round.mask, RECIPE, seed=0)
        assert measured(alone) == measured(round.evaluation)


def test_sparsity_and_ratios_are_those_of_the_mask_it_trained_under(rounds):
    assert [round.evaluation.sparsity for round in rounds] == [
        0,
        5_840 / 19_464,
        9_928 / 19_464,
        12_789 / 19_464,
    ]
    for round in rounds:
        assert round.evaluation.lpr == layerwise_pruning_ratios(round.mask)
        pruned = flatten(prunable_weights(round.evaluation.model))[~flatten(round.mask)]
        assert (pruned == 0).all()


@pytest.mark.parametrize("start", [1, 3])
def test_a_chain_that_goes_on_from_a_stored_mask_is_the_same_bit_for_bit(digits, rounds, start):
    stored = unpack(pack(rounds[start - 1].next_mask))
    torch.manual_seed(1)
    resumed = chain(digits, start=start, mask=stored)
    assert [digest(round) for round in resumed] == [digest(round) for round in rounds[start:]]


def test_fewer_rounds_are_the_first_of_more(digits, rounds):
    torch.manual_seed(2)
    assert [digest(round) for round in chain(digits, rounds=1)] == [
        digest(round) for round in rounds[:2]
    ]


def test_the_dense_round_is_the_same_whatever_is_pruned_after_it(digits, rounds):
    (dense,) = chain(digits, pruning=Pruning(fraction=0.9), rounds=0)
    assert measured(dense.evaluation) == measured(rounds[0].evaluation)
    assert num_alive(dense.mask) == 19_464
    assert num_alive(dense.next_mask) == 1_946  # 17517.6 go, rounded up


def test_another_seed_or_recipe_finds_another_mask(digits, rounds):
    found = pack(rounds[0].next_mask).bits.tolist()
    hotter = RECIPE.model_copy(update={"lr": 0.5})
    for changes in ({"seed": 1}, {"recipe": hotter}):
        (other,) = chain(digits, rounds=0, **changes)
        assert pack(other.next_mask).bits.tolist() != found


def test_a_round_is_handed_out_before_the_next_one_trains(digits, monkeypatch):
    trained = []

    def counted(*args, **settings):
        trained.append(args)
        return evaluating(*args, **settings)

    monkeypatch.setattr("lt_core.chain.evaluating", counted)
    rounds = find("small_resnet", digits, RECIPE, PRUNING, rounds=3, seed=0)
    assert (next(rounds).number, len(trained)) == (0, 1)
    assert (next(rounds).number, len(trained)) == (1, 2)


def test_a_chain_that_is_finished_trains_nothing(digits, rounds):
    assert chain(digits, start=4, mask=rounds[-1].next_mask) == []


def test_a_round_that_diverges_ends_the_chain(digits):
    recipe = RECIPE.model_copy(update={"lr": 1e20, "weight_decay": 1e20})
    with pytest.raises(Diverged):
        chain(digits, recipe=recipe)


def test_to_go_on_it_needs_the_mask(digits):
    with pytest.raises(ValueError, match="to go on at round 2, find needs that round's mask"):
        chain(digits, start=2)


LATE = Rewinding(to="1it")
GOES_ON = Rewinding(method="learning_rate")


def state_of(round: Round) -> dict:
    return round.evaluation.model.state_dict()


def test_late_rewinding_starts_every_round_from_the_same_early_weights(digits):
    early = rewind.to_step("small_resnet", digits, RECIPE, LATE.to, seed=0)
    rounds = chain(digits, rewinding=LATE)
    for round in rounds:
        assert round.next_start.step == LATE.to
        assert all(torch.equal(round.next_start.weights[name], early[name]) for name in early)
    start = rewind.after_pruning(LATE, early)
    for round in rounds[1:]:
        alone = evaluate("small_resnet", digits, round.mask, RECIPE, seed=0, start=start)
        assert measured(alone) == measured(round.evaluation)


def test_the_dense_round_is_the_same_however_is_rewound(digits, rounds):
    for rewinding in (LATE, GOES_ON, Rewinding(method="fine_tuning")):
        (dense,) = chain(digits, rewinding=rewinding, rounds=0)
        assert measured(dense.evaluation) == measured(rounds[0].evaluation)


@pytest.mark.parametrize("method", ["learning_rate", "fine_tuning"])
def test_weights_that_go_on_are_those_of_the_round_before(digits, method):
    rewinding = Rewinding(method=method)
    rounds = chain(digits, rewinding=rewinding)
    for before, after in itertools.pairwise(rounds):
        trained = before.next_start.weights
        assert all(torch.equal(trained[name], value) for name, value in state_of(before).items())
        start = rewind.after_pruning(rewinding, trained)
        alone = evaluate("small_resnet", digits, after.mask, RECIPE, seed=0, start=start)
        assert measured(alone) == measured(after.evaluation)


@pytest.mark.parametrize("rewinding", [LATE, GOES_ON], ids=["late", "goes_on"])
def test_a_chain_goes_on_from_stored_weights_bit_for_bit(digits, rewinding):
    rounds = chain(digits, rewinding=rewinding)
    before = rounds[1]
    resumed = chain(
        digits,
        rewinding=rewinding,
        start=2,
        mask=before.next_mask,
        weights=before.next_start.weights,
    )
    assert [digest(round) for round in resumed] == [digest(round) for round in rounds[2:]]


def test_to_go_on_with_its_weights_it_needs_them(digits, rounds):
    with pytest.raises(ValueError, match="to go on at round 2, find needs the weights of round 1"):
        chain(digits, rewinding=GOES_ON, start=2, mask=rounds[1].next_mask)


def test_lpr_constrained_rounds_have_the_ratios_of_the_other_chain(digits, rounds):
    hotter = RECIPE.model_copy(update={"lr": 0.5})
    other = chain(digits, recipe=hotter)
    num_alive = {r.number + 1: alive_by_layer(r.next_mask) for r in other}
    constrained = chain(digits, num_alive=num_alive)
    for round, theirs, free in zip(constrained, other, rounds, strict=True):
        ratios = layerwise_pruning_ratios(round.next_mask)
        assert ratios == layerwise_pruning_ratios(theirs.next_mask)
        assert ratios != layerwise_pruning_ratios(free.next_mask)
        assert not torch.equal(flatten(round.next_mask), flatten(theirs.next_mask))


def test_a_constrained_chain_ends_where_the_other_does(digits, rounds):
    num_alive = {r.number + 1: alive_by_layer(r.next_mask) for r in rounds[:2]}
    _, second, last = chain(digits, num_alive=num_alive, rounds=2)
    assert num_alive[2] == alive_by_layer(second.next_mask) == alive_by_layer(last.mask)
    assert pack(last.next_mask).to_bytes() == pack(last.mask).to_bytes()


def test_constrained_to_its_own_ratios_a_chain_is_the_same(digits, rounds):
    num_alive = {r.number + 1: alive_by_layer(r.next_mask) for r in rounds}
    same = chain(digits, num_alive=num_alive)
    assert [digest(round) for round in same] == [digest(round) for round in rounds]


def test_layerwise_pruning_takes_its_share_of_each_layer(digits):
    pruning = Pruning(strategy="layerwise_magnitude", fraction=0.3, layer_fractions={"fc": 0.1})
    first, second = chain(digits, pruning=pruning, rounds=1)
    # 72 - 22 (21.6) - 15; 320 - 32 - 29 (28.8).
    assert int(first.next_mask["conv"].sum()) == 50
    assert int(first.next_mask["fc"].sum()) == 288
    assert int(second.next_mask["conv"].sum()) == 35
    assert int(second.next_mask["fc"].sum()) == 259


def test_skipped_layers_are_no_part_of_the_mask_and_stay_whole(digits):
    first, second = chain(digits, pruning=Pruning(fraction=0.3, skip=("conv", "fc")), rounds=1)
    assert "conv" not in second.mask and "fc" not in second.mask
    assert num_alive(first.mask) == 19_464 - 72 - 320
    assert num_alive(first.next_mask) == 19_072 - 5_722  # 5721.6
    assert second.evaluation.sparsity == 5_722 / 19_072
    weights = prunable_weights(second.evaluation.model)
    assert (weights["conv"] != 0).all() and (weights["fc"] != 0).all()


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        (Pruning(skip=("fc1",)), "cannot skip fc1: the layers are conv, blocks.0.conv1,"),
        (
            Pruning(strategy="layerwise_magnitude", layer_fractions={"fc1": 0.1}),
            "no share can be lost by fc1: the layers are conv, blocks.0.conv1,",
        ),
    ],
)
def test_layers_that_do_not_exist_are_told(digits, pruning, message):
    with pytest.raises(ValueError, match=message):
        chain(digits, pruning=pruning)


WHOLE_FILTERS = Pruning(strategy="filter_l1", fraction=0.5)


def test_filter_l1_prunes_the_dense_network_once(digits):
    dense, pruned = chain(digits, pruning=WHOLE_FILTERS, rounds=1)
    network = dense.evaluation.model
    expected = pack(filter_l1(network, channel_groups(network, (1, 8, 8)), 0.5)).to_bytes()
    assert [pack(mask).to_bytes() for mask in (dense.next_mask, pruned.mask)] == [expected] * 2
    assert (pruned.number, pack(pruned.next_mask).to_bytes()) == (1, expected)


@pytest.mark.parametrize("method", ["weights", "learning_rate"])
@pytest.mark.parametrize("shrink", [True, False])
def test_a_round_without_filters_is_the_evaluation_of_its_ticket(digits, shrink, method):
    pruning = WHOLE_FILTERS.model_copy(update={"shrink": shrink})
    dense, pruned = chain(digits, pruning=pruning, rounds=1, rewinding=Rewinding(method=method))
    setting = {"seed": 0, "pruning": pruning}
    for round in (dense, pruned):  # nothing is pruned after the last: its next ticket is its own
        mask, start = round.next_mask, round.next_start
        alone = evaluate("small_resnet", digits, mask, RECIPE, start=start, **setting)
        assert measured(alone) == measured(pruned.evaluation)
    # conv1 of block 0 has 8 filters of 8 channels, and 4 of 4 when half of all are gone.
    weight = pruned.evaluation.model.blocks[0].conv1.weight
    assert (tuple(weight.shape[:2]), int((weight != 0).sum())) == (
        (4, 4) if shrink else (8, 8),
        4 * 4 * 9,
    )


def test_filter_l1_in_several_rounds_is_refused_before_anything_trains(digits, monkeypatch):
    monkeypatch.setattr("lt_core.chain.evaluating", None)
    message = "filter_l1 prunes the dense network once: rounds must be at most 1, got 2"
    with pytest.raises(ValueError, match=message):
        chain(digits, pruning=WHOLE_FILTERS, rounds=2)


def test_filter_l1_of_a_pruned_network_is_refused(digits, rounds):
    network, mask = rounds[1].evaluation.model, rounds[1].mask
    with pytest.raises(ValueError, match="filter_l1 prunes the dense network once, this one is"):
        prune_trained(network, digits, mask, WHOLE_FILTERS)


def test_a_constrained_chain_takes_no_whole_filters(digits, rounds):
    """Its ratios say how many weights go from each layer, `pruning` only what is skipped."""
    num_alive = {r.number + 1: alive_by_layer(r.next_mask) for r in rounds}
    same = chain(digits, pruning=WHOLE_FILTERS, num_alive=num_alive)
    assert [digest(round) for round in same] == [digest(round) for round in rounds]
