"""A user's own network: what goes is trained, what does not is told before anything starts."""

import pytest
import torch
import user_code

from lt_core import prune, seeds
from lt_core.config import Pruning, Recipe
from lt_core.evaluation import evaluate
from lt_core.mask import dense, never_pruned, num_weights, prunable_weights
from lt_core.optimizer import masked_optimizer
from lt_core.rehearsal import rehearse
from lt_core.rewind import to_initialization

RECIPE = Recipe(lr=0.05, batch_size=50, duration="10ep")


@pytest.fixture(scope="module")
def images():
    return user_code.four_kinds(None)


def told(name, images, *, recipe=RECIPE, **pruning) -> list[str]:
    return rehearse(f"user_code:{name}", images, [recipe], Pruning(**pruning))


GOES = [
    *("plain", "view_flatten", "tied", "attention", "in_one_dimension", "scaled"),
    *("numpy_weights", "python_weights", "numpy_in_forward", "python_in_forward"),
    *("counts_in_a_buffer", "plain_product", "gated", "stochastic_depth", "ghost_norm"),
    *("scaled_in_evaluation", "unset_buffer", "shared_by_a_list", "low_rank", "wrong_repr"),
    *("late_view", "copied_weights"),
]


@pytest.mark.parametrize("name", GOES)
def test_what_can_be_trained_is_trained(name, images):
    assert told(name, images) == []
    mask = dense(to_initialization(f"user_code:{name}", images, seed=0))
    evaluation = evaluate(f"user_code:{name}", images, mask, RECIPE, seed=0)
    assert evaluation.test_accuracy > 0.4  # chance is 0.25


SKIP = '`prune.skip: ["{}"]` leaves it out of the pruning'


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("frozen", ["layer 1 is frozen (requires_grad=False); " + SKIP.format(1)]),
        ("unused", ["layer spare_head takes no part in a training: its weight gets no gradient; "]),
        ("detached", ["layer net.1 takes no part in a training"]),
        ("weight_norm", ["layer 3 is worked out from other parameters (bias, parametrizations."]),
        (
            "old_weight_norm",
            ["layer 3 is worked out from other parameters (bias, weight_g, weight"],
        ),
        ("spectral_norm", ["layer 5 is worked out from other parameters"]),
        ("standardized", ["layer 0 computes with another weight than its own, which is not 0"]),
        ("centred", ["layer 5 computes with another weight than its own, which is not 0 where"]),
        ("extra_state", ["state_dict()['0._extra_state'] is of type dict: only tensors are kept"]),
        ("two_outputs_in_training", ["must return its logits alone", "returns tuple"]),
        ("counts_its_steps", ["goes on from a checkpoint gives another", "register_buffer"]),
        ("keeps_from_one_to_the_next", ["two trainings of one seed give another net.1.weight"]),
        ("unseeded_in_forward", ["two trainings of one seed give another net.1.weight"]),
        ("infinite", ["a training in fp32 fails: Diverged: loss is nan at step 1 of 2"]),
        ("tied_by_transposition", ["after two steps, pruned weights of middle, second are not 0"]),
        ("centred_by_a_hook", ["after two steps, pruned weights of middle are not 0: a hook cha"]),
        ("standardized_product", ["layer middle computes with another weight than its own, which"]),
        ("standardized_outside", ["layer middle computes with another weight than its own, which"]),
        ("straight_through", ["layer middle computes with another weight than its own, which is"]),
        ("dropout_in_evaluation", ["it draws random numbers in evaluation", "self.training"]),
        ("average_in_an_attribute", ["loaded into a new network it evaluates otherwise: it keeps"]),
        ("statistics_of_evaluation", ["evaluation changes mean, so that what is validated is tr"]),
        ("sparse_buffer", ["graph is sparse or complex: checkpoints keep dense, real tensors"]),
        ("exits_in_training", ["a training step fails: SystemExit: no licence (", "user_code.py:"]),
        ("fails_in_training", ["a training step fails: AttributeError: 'Net' object has no attri"]),
    ],
)
def test_what_cannot_be_trained_is_told(name, problems, images):
    [problem] = told(name, images)
    for part in problems:
        assert part in problem


def test_all_layers_that_cannot_be_pruned_are_told_at_once(images):
    layers = [text.split(" is frozen")[0] for text in told("all_frozen", images)]
    assert layers == [f"the weight of layer {name}" for name in (1, 3, 5, 7)]


def test_the_line_of_the_users_own_file_is_told(images):
    [problem] = told("fails_in_training", images)
    with open(user_code.__file__) as file:
        line = next(i for i, text in enumerate(file, 1) if "a slip" in text)
    assert f"user_code.py:{line}, in forward)" in problem


@pytest.mark.parametrize(
    ("name", "skip"),
    [
        *(("frozen", "1"), ("unused", "spare_head"), ("weight_norm", "3"), ("spectral_norm", "5")),
        *(("standardized", "0"), ("centred", "5"), ("detached", "net.1")),
    ],
)
def test_the_way_out_that_is_told_is_one(name, skip, images):
    assert told(name, images, skip=(skip,)) == []
    mask = dense(to_initialization(f"user_code:{name}", images, seed=0), (skip,))
    assert evaluate(f"user_code:{name}", images, mask, RECIPE, seed=0).test_accuracy > 0.4


def test_a_network_for_one_size_of_batch_is_trained_if_it_is_that_of_the_recipe(images):
    of_16 = RECIPE.model_copy(update={"batch_size": 16})
    assert told("for_batches_of_16", images, recipe=of_16) == []


def test_each_precision_that_is_asked_for_is_tried(images):
    fails = "a training in bf16 fails: TypeError: made for float32, not torch.bfloat16 ("
    in_both = [RECIPE, RECIPE.model_copy(update={"precision": "auto"})]
    assert rehearse("user_code:plain", images, in_both, Pruning()) == []
    [problem] = told("fp32_in_forward", images, recipe=in_both[1])
    assert problem.startswith(fails)
    assert told("fp32_in_forward", images) == []


def test_each_way_of_training_that_is_asked_for_is_tried(images):
    smoothed = RECIPE.model_copy(update={"label_smoothing": 0.1})
    assert told("class_ruled_out", images) == []
    [problem] = rehearse("user_code:class_ruled_out", images, [RECIPE, smoothed], Pruning())
    assert problem.startswith("a training in fp32 fails: Diverged: loss is inf at step 1 of 2")
    adamw = smoothed.model_copy(update={"optimizer": "adamw", "clip_norm": 1.0, "ema": 0.9})
    assert rehearse("user_code:plain", images, [RECIPE, adamw], Pruning()) == []


def test_whole_filters_are_rehearsed_without_them(images):
    assert rehearse("small_resnet", images, [RECIPE], Pruning(strategy="filter_l1")) == []


@pytest.mark.parametrize("name", ["small_resnet", "resnet20", "resnet18", "lenet_300_100"])
def test_our_own_networks_pass(name, images):
    assert rehearse(name, images, [RECIPE], Pruning()) == []


def test_nothing_is_left_of_a_rehearsal(images):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    before = images.train.images.copy()
    rehearse("user_code:plain", images, [RECIPE], Pruning())
    assert torch.equal(torch.get_rng_state(), state)
    assert (images.train.images == before).all()


# ---- tied weights


def test_a_weight_that_layers_share_is_pruned_once(images):
    network = to_initialization("user_code:tied", images, seed=0)
    # 3 x 12 x 12 inputs; 16 hidden, the third of whose layers has the weight of the second.
    sizes = {name: weight.numel() for name, weight in prunable_weights(network).items()}
    assert sizes == {"1": 432 * 16, "3": 256, "7": 64}
    everything = dense(network)
    assert num_weights(everything) == 7232
    # One bias for each of 16 + 16 + 16 + 4 outputs.
    assert never_pruned(network, everything) == {
        "1.bias": 16,
        "3.bias": 16,
        "5.bias": 16,
        "7.bias": 4,
    }
    half = prune.global_random(everything, 3616, seeds.generator(0, "test"))
    optimizer = masked_optimizer(network, half, RECIPE)
    network(torch.ones(2, 3, 12, 12)).sum().backward()
    optimizer.step()
    assert network[5].weight is network[3].weight
    assert (network[5].weight[~half["3"]] == 0).all()
    assert (network[5].weight[half["3"]] != 0).all()


# ---- memory format


def test_a_view_after_a_convolution_trains_to_the_numbers_of_a_flatten(images):
    recipe = Recipe(lr=1e-3, batch_size=50, duration="1ep")
    mask = dense(to_initialization("user_code:view_flatten", images, seed=0))
    viewed, flattened = (
        evaluate(f"user_code:{name}", images, mask, recipe, seed=0).model.state_dict()
        for name in ("view_flatten", "reshape_flatten")
    )
    for name, weight in viewed.items():
        torch.testing.assert_close(weight, flattened[name], rtol=1e-4, atol=1e-6)
