import hashlib
from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from lt_core import models, prune, seeds, training_loop
from lt_core.config import Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.mask import dense, prunable_weights
from lt_core.optimizer import masked_optimizer
from lt_core.steps import Steps
from lt_core.training_loop import Diverged, accuracy, misfits, train, training


def recipe(**changes) -> Recipe:
    usual = {"lr": 0.1, "batch_size": 64, "weight_decay": 0.01, "duration": "4it"}
    return Recipe(**(usual | changes))


def network(seed: int = 0, memory_format=torch.channels_last) -> nn.Module:
    model = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=seed)
    return model.to(memory_format=memory_format)


def random_mask(num_alive: int):
    return prune.global_random(dense(network()), num_alive, seeds.generator(0, "test"))


def digest(model: nn.Module) -> str:
    tensors = model.state_dict().values()
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


class Recording(Batches):
    """Remembers which images were asked for."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(torch.arange(len(self))[index].tolist())
        return super().__getitem__(index)


@pytest.fixture
def images(digits):
    return Recording(digits, digits.train, "cpu")


@pytest.fixture
def after_each_step():
    """Have a function called with the optimizer after each of its steps."""
    handles = []

    def register(function):
        hook = register_optimizer_step_post_hook(lambda optimizer, *_: function(optimizer))
        handles.append(hook)

    yield register
    for handle in handles:
        handle.remove()


# ---- what is pruned


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_what_is_pruned_and_its_momentum_are_0_after_every_step(
    images, after_each_step, memory_format
):
    model, mask = network(memory_format=memory_format), random_mask(6_000)
    nonzero, momenta, moved = [], [], []
    before = {name: w.detach().clone() for name, w in prunable_weights(model).items()}

    def check(optimizer):
        for name, weight in prunable_weights(model).items():
            momentum = optimizer.state[weight]["momentum_buffer"]
            assert (weight[~mask[name]] == 0).all(), name
            assert (momentum[~mask[name]] == 0).all(), name
            moved.append(int((weight[mask[name]] != before[name][mask[name]]).sum()))
            before[name] = weight.detach().clone()
        nonzero.append(sum(int((w != 0).sum()) for w in prunable_weights(model).values()))
        momenta.append(
            sum(
                int((optimizer.state[w]["momentum_buffer"] != 0).sum())
                for w in prunable_weights(model).values()
            )
        )

    after_each_step(check)
    train(model, mask, images, recipe(lr=0.5, weight_decay=0.1, duration="5it"), seed=0)
    assert nonzero == momenta == [6_000] * 5  # every other weight is alive and has moved
    assert [sum(moved[i : i + 10]) for i in range(0, 50, 10)] == [6_000] * 5


def test_the_first_batch_already_sees_no_pruned_weight(images):
    model, mask, seen = network(), random_mask(6_000), []
    model.register_forward_pre_hook(
        lambda *_: seen.append(sum(int((w != 0).sum()) for w in prunable_weights(model).values()))
    )
    train(model, mask, images, recipe(duration="3it"), seed=0)
    assert seen == [6_000, 6_000, 6_000]


def test_momentum_does_not_revive_what_an_earlier_training_moved(images):
    model, mask = network(), random_mask(6_000)
    train(model, dense(model), images, recipe(), seed=0)
    train(model, mask, images, recipe(), seed=0)
    assert sum(int((w != 0).sum()) for w in prunable_weights(model).values()) == 6_000


def test_a_layer_may_be_pruned_whole(images):
    model, mask = network(), dense(network())
    mask["blocks.1.conv2"] = torch.zeros_like(mask["blocks.1.conv2"])
    train(model, mask, images, recipe(), seed=0)
    assert (model.blocks[1].conv2.weight == 0).all()


def test_the_mask_given_is_not_written_to(images):
    mask = random_mask(6_000)
    before = {name: layer.clone() for name, layer in mask.items()}
    train(network(), mask, images, recipe(), seed=0)
    assert all(torch.equal(mask[name], before[name]) for name in mask)


# ---- the training itself, against a loop as plain as can be


class Double(Batches):
    """Double precision, so that only a real difference shows."""

    def __getitem__(self, index):
        inputs, labels = super().__getitem__(index)
        return inputs.double(), labels


def reference(model, mask, images, *, rates, momentum, weight_decay, batch_size, seed):
    """Plain PyTorch: the weights are multiplied with the mask before each step and at the end."""
    pixels, labels = images[:]
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1.0, momentum=momentum, weight_decay=weight_decay, foreach=False
    )
    generator = seeds.generator(seed, "data order")
    num_batches = len(labels) // batch_size
    criterion, losses = nn.CrossEntropyLoss(), []
    model.train()
    for step, rate in enumerate(rates):
        if step % num_batches == 0:
            order = torch.randperm(len(labels), generator=generator)
        start = step % num_batches * batch_size
        batch = order[start : start + batch_size]
        for name, module in model.named_modules():
            if name in mask:
                module.weight.data *= mask[name]
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = criterion(model(pixels[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for name, module in model.named_modules():
        if name in mask:
            module.weight.data *= mask[name]
    return losses


@pytest.mark.parametrize("num_alive", [19_464, 3_000])
def test_training_is_plain_sgd_under_the_mask(digits, num_alive):
    images, mask = Double(digits, digits.train, "cpu"), random_mask(num_alive)
    trained = network().double()
    plain = network(memory_format=torch.contiguous_format).double()
    schedule = {"warmup": "2it", "milestones": ("1ep", "5it"), "gamma": 0.5}
    loss = train(
        trained,
        mask,
        images,
        recipe(lr=0.2, batch_size=300, weight_decay=0.05, duration="7it", **schedule),
        seed=5,
    )
    losses = reference(
        plain,
        mask,
        images,
        rates=[0.1, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05],  # three steps are an epoch
        momentum=0.9,
        weight_decay=0.05,
        batch_size=300,
        seed=5,
    )
    assert loss == pytest.approx(losses[6], rel=1e-9)
    expected = plain.state_dict()
    assert trained.state_dict().keys() == expected.keys()
    for name, value in trained.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-12), name


def test_the_loss_is_the_mean_of_the_last_epoch(digits):
    images = Double(digits, digits.train, "cpu")
    setting = {"momentum": 0.5, "weight_decay": 0.0, "batch_size": 300, "seed": 0}
    losses = reference(network().double(), {}, images, rates=[0.1] * 5, **setting)
    by = {"batch_size": 300, "momentum": 0.5, "weight_decay": 0.0}
    for duration, mean in [
        ("3it", sum(losses[0:3]) / 3),
        ("1ep", sum(losses[0:3]) / 3),
        ("4it", losses[3]),
        ("5it", (losses[3] + losses[4]) / 2),
    ]:
        model = network().double()
        got = train(model, dense(model), images, recipe(duration=duration, **by), seed=0)
        assert got == pytest.approx(mean, rel=1e-9)


def test_the_learning_rate_of_every_step(images, after_each_step):
    rates = []
    after_each_step(lambda optimizer: rates.append(float(optimizer.param_groups[0]["lr"])))
    model = network()
    train(
        model,
        dense(model),
        images,
        recipe(lr=0.4, batch_size=500, duration="4ep", warmup="1ep", milestones=("3it", "3ep")),
        seed=0,
    )
    assert rates == pytest.approx([0.2, 0.4, 0.4, 0.04, 0.04, 0.04, 0.004, 0.004])


def test_it_trains_in_training_mode_whatever_mode_it_was_given(images):
    model = network().eval()
    train(model, dense(model), images, recipe(), seed=0)
    assert model.bn.num_batches_tracked == 4


def test_it_learns(digits, images):
    model = network()
    loss = train(model, dense(model), images, recipe(duration="3ep", weight_decay=5e-4), seed=0)
    assert loss < 0.2
    assert accuracy(model, Batches(digits, digits.test, "cpu")) > 0.9


# ---- which images


def test_each_epoch_is_a_new_order_without_its_last_partial_batch(images):
    model = network()
    train(model, dense(model), images, recipe(batch_size=300, duration="2ep"), seed=0)
    assert [len(batch) for batch in images.asked] == [300] * 6
    first, second = (list(chain(*images.asked[i : i + 3])) for i in (0, 3))
    assert len(set(first)) == len(set(second)) == 900  # no image twice
    assert first != second
    assert set(first) != set(second)  # other images are left out


def test_a_batch_size_that_divides_the_images_leaves_none_out(images):
    model = network()
    train(model, dense(model), images, recipe(batch_size=500, duration="1ep"), seed=0)
    assert sorted(chain(*images.asked)) == list(range(1000))


@pytest.mark.parametrize(("duration", "steps"), [("1it", 1), ("17it", 17), ("1ep", 15)])
def test_a_duration_in_iterations_needs_no_whole_epoch(images, duration, steps):
    model = network()
    train(model, dense(model), images, recipe(duration=duration), seed=0)
    assert len(images.asked) == steps == model.bn.num_batches_tracked


def test_stopping_early_is_the_longer_training_cut_off(images):
    def trained(**lengths):
        images.asked = []
        model = network()
        rates = recipe(warmup="3it", decay="cosine", **lengths)
        train(model, dense(model), images, rates, seed=0)
        return images.asked, digest(model)

    batches, stopped = trained(duration="20it", stop="16it")
    all_batches, _ = trained(duration="20it")
    assert (len(batches), len(all_batches)) == (16, 20)
    assert all_batches[:16] == batches
    # A cosine that has 16 steps falls faster than the first 16 of 20.
    assert trained(duration="16it")[1] != stopped
    assert trained(duration="20it", stop="16it")[1] == stopped


def test_the_order_depends_on_the_seed_and_on_nothing_else(images):
    def order(seed, mask, **changes):
        images.asked = []
        train(network(), mask, images, recipe(duration="16it", **changes), seed=seed)
        return images.asked

    everything, few = dense(network()), random_mask(3_000)
    first = order(0, everything)
    torch.manual_seed(1)
    assert order(0, few, lr=0.01, momentum=0.0) == first
    assert order(1, everything) != first


# ---- the same seed, the same bits


def trained(images: Batches, seed: int = 3) -> str:
    model = network()
    train(model, random_mask(6_000), images, recipe(duration="17it"), seed=seed)
    return digest(model)


def test_the_same_seed_gives_the_same_bits_whatever_was_trained_before(
    digits, images, in_another_process
):
    first = trained(images)
    trained(images, seed=4)
    torch.manual_seed(1)
    assert trained(images) == first != trained(images, seed=4)
    code = (
        "import torch; torch.set_num_threads(1); import test_training_loop as t;"
        "from lt_core.data import load;"
        "d = load('digits'); print(t.trained(t.Batches(d, d.train, 'cpu')))"
    )
    assert in_another_process(code) == first


def test_training_does_not_move_the_global_generator(images):
    torch.manual_seed(0)
    trained(images)
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(0).get_state())


def test_training_on_the_cpu_leaves_the_generators_of_gpus_alone(images, monkeypatch):
    def touched(*_):
        raise AssertionError

    for name in ("manual_seed", "manual_seed_all", "set_rng_state", "set_rng_state_all"):
        monkeypatch.setattr(torch.cuda, name, touched)
    model = with_dropout()
    train(model, dense(model), images, recipe(duration="16it"), seed=0)
    with pytest.raises(AssertionError):
        torch.manual_seed(0)  # as a training on the CPU once did


# ---- watched


def with_dropout() -> nn.Module:
    """It has all that a pass in the wrong mode, or another's draw, would change."""
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Dropout(0.5), nn.Linear(32, 10)
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    return model


def test_watched_it_trains_to_the_same_bits(digits, images):
    plain = with_dropout()
    loss = train(plain, dense(plain), images, recipe(duration="50it"), seed=0)
    model, epochs = with_dropout(), []
    generator = training(model, dense(model), images, recipe(duration="50it"), seed=0)
    while True:
        try:
            epochs.append(next(generator))
        except StopIteration as end:
            assert end.value.loss == loss
            break
        accuracy(model, Batches(digits, digits.validation, "cpu"))
        torch.manual_seed(epochs[-1])
    assert epochs == [1, 2, 3]
    assert digest(model) == digest(plain)


def test_whoever_watches_draws_what_is_drawn_without_a_training(images):
    model = with_dropout()
    torch.manual_seed(0)
    undisturbed = torch.rand(4)
    torch.manual_seed(0)
    generator = training(model, dense(model), images, recipe(duration="3ep"), seed=0)
    drawn = [torch.rand(1)]
    for _ in range(2):
        next(generator)
        drawn.append(torch.rand(1))
    generator.close()
    drawn.append(torch.rand(1))
    assert torch.cat(drawn).tolist() == undisturbed.tolist()


@pytest.mark.parametrize(
    ("duration", "begin", "epochs"),
    [
        ("15it", "0ep", []),
        ("17it", "0ep", [1]),
        ("3ep", "0ep", [1, 2]),
        ("50it", "20it", [2, 3]),
        ("3ep", "1ep", [2]),
    ],
)
def test_what_is_told_are_the_epochs_of_the_schedule(images, duration, begin, epochs):
    model, how = network(), {"seed": 0, "begin": Steps.parse(begin)}
    told = training(model, dense(model), images, recipe(duration=duration), **how)
    assert list(told) == epochs


# ---- what goes wrong


class Linear(nn.Module):
    """From pixels to classes; every weight 0.01, every bias 0."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        nn.init.constant_(self.fc.weight, 0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        return self.fc(x.flatten(1))


EXPLODING = {
    # the decay alone multiplies a weight by 1 - 1e6 * 1e6 = -1e12 a step: 0.01, 1e10, 1e22, 1e34,
    # and after the fourth step more than the 3.4e38 that a float can hold
    "lr": 1e6,
    "weight_decay": 1e6,
    "momentum": 0.0,
    "batch_size": 500,
}


def test_divergence_says_at_which_step_and_epoch_and_learning_rate(images):
    losses = reference(
        Linear(),
        {},
        images,
        rates=[1e6] * 4 + [1e5] * 2,
        momentum=0.0,
        weight_decay=1e6,
        batch_size=500,
        seed=0,
    )
    assert np.isfinite(losses).tolist() == [True, True, True, True, False, False]
    model = Linear()
    with pytest.raises(Diverged) as error:
        train(
            model,
            dense(model),
            images,
            recipe(duration="4ep", milestones=("2ep",), **EXPLODING),
            seed=0,
        )
    assert str(error.value) == "loss is nan at step 5 of 8 (epoch 3, LR 100000)"


def test_divergence_in_the_last_step_is_seen_in_the_weights(images):
    model = Linear()
    with pytest.raises(Diverged) as error:
        train(model, dense(model), images, recipe(duration="4it", **EXPLODING), seed=0)
    assert str(error.value) == "weights are not finite after the last of 4 steps"


def test_what_is_still_finite_has_not_diverged(images):
    model = Linear()
    assert np.isfinite(
        train(model, dense(model), images, recipe(duration="3it", **EXPLODING), seed=0)
    )


def test_the_first_of_several_bad_steps_is_named(images):
    model = Linear()
    nn.init.constant_(model.fc.weight, float("inf"))
    with pytest.raises(Diverged, match=r"loss is nan at step 1 of 17 \(epoch 1, LR 0\.1\)"):
        train(model, dense(model), images, recipe(duration="17it"), seed=0)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, []),
        ({"batch_size": 1000}, []),
        (
            {"batch_size": 1001, "warmup": "4it"},
            ["batch_size must be at most the 1,000 training images, got 1,001"],
        ),
        ({"duration": "1ep", "warmup": "15it"}, []),
        (
            {"duration": "1ep", "warmup": "16it"},
            ["warmup 16it is longer than duration 1ep (an epoch is 15 iterations)"],
        ),
        ({"duration": "15it", "warmup": "1ep"}, []),
        (
            {"duration": "14it", "warmup": "1ep"},
            ["warmup 1ep is longer than duration 14it (an epoch is 15 iterations)"],
        ),
        ({"duration": "1ep", "stop": "15it"}, []),
        (
            {"duration": "1ep", "stop": "16it"},
            ["stop 16it is after the end of duration 1ep (an epoch is 15 iterations)"],
        ),
        ({"duration": "1ep", "milestones": ("14it",)}, []),
        (
            {"duration": "1ep", "milestones": ("15it",)},
            ["milestone 15it is not before the end of duration 1ep (an epoch is 15 iterations)"],
        ),
        (
            {"duration": "16it", "warmup": "2ep", "milestones": ("1ep", "2ep", "3ep")},
            [
                "warmup 2ep is longer than duration 16it (an epoch is 15 iterations)",
                "milestone 2ep is not before the end of duration 16it (an epoch is 15 iterations)",
                "milestone 3ep is not before the end of duration 16it (an epoch is 15 iterations)",
            ],
        ),
        (
            {"batch_size": 1, "duration": "999it", "warmup": "1ep"},
            ["warmup 1ep is longer than duration 999it (an epoch is 1,000 iterations)"],
        ),
    ],
)
def test_what_does_not_go_with_a_thousand_images(changes, sentences):
    assert misfits(recipe(**changes), 1000) == sentences


def test_a_recipe_that_does_not_fit_is_refused_before_anything_is_touched(images):
    model = network()
    before = digest(model)
    with pytest.raises(ValueError) as error:
        train(
            model,
            random_mask(3_000),
            images,
            recipe(duration="15it", warmup="2ep", milestones=("1ep",)),
            seed=0,
        )
    assert str(error.value) == (
        "warmup 2ep is longer than duration 15it (an epoch is 15 iterations); "
        "milestone 1ep is not before the end of duration 15it (an epoch is 15 iterations)"
    )
    assert digest(model) == before


# ---- accuracy


class Pixel(nn.Module):
    """Says the class that the first pixel says."""

    def forward(self, x):
        return nn.functional.one_hot(x[:, 0, 0, 0].round().long().clamp(0, 1), 2).float()


def one_pixel(pixels: list[int], labels: list[int]) -> Batches:
    split = Split(np.array(pixels, np.uint8).reshape(-1, 1, 1, 1), np.array(labels))
    # one image 0 and one image 2: mean 1, standard deviation 1; so 1 becomes 0 and 2 becomes 1
    train = Split(np.array([0, 2], np.uint8).reshape(2, 1, 1, 1), np.array([0, 1]))
    return Batches(DataSet("pixels", train, split, split, 2), split, "cpu")


@pytest.mark.parametrize("evaluation_batch", [1, 2, 3, 7, 1000])
def test_accuracy_counts_images_not_batches(monkeypatch, evaluation_batch):
    monkeypatch.setattr(training_loop, "EVALUATION_BATCH", evaluation_batch)
    # right, right, right, wrong, wrong, wrong, right; the mean over batches of three is 2/3
    batches = one_pixel([1, 2, 1, 2, 1, 2, 2], [0, 1, 0, 0, 1, 0, 1])
    assert accuracy(Pixel(), batches) == 4 / 7


def test_accuracy_of_everything_and_nothing():
    assert accuracy(Pixel(), one_pixel([1, 2], [0, 1])) == 1.0
    assert accuracy(Pixel(), one_pixel([1, 2], [1, 0])) == 0.0


def test_accuracy_is_measured_in_evaluation_mode_and_changes_nothing(digits, monkeypatch):
    model = network()
    train(model, dense(model), Batches(digits, digits.train, "cpu"), recipe(), seed=0)
    before = digest(model)
    batches = Batches(digits, digits.test, "cpu")
    inputs, labels = batches[:]
    monkeypatch.setattr(training_loop, "EVALUATION_BATCH", 7)
    got = accuracy(model.train(), batches)
    assert digest(model) == before
    with torch.no_grad():
        right = model.eval()(inputs).argmax(1) == labels
        wrong_mode = model.train()(inputs).argmax(1) == labels
    assert got == int(right.sum()) / 500 != int(wrong_mode.sum()) / 500


def test_accuracy_builds_no_graph(digits):
    grads = []
    model = network()
    model.register_forward_hook(lambda _, __, out: grads.append(out.requires_grad))
    accuracy(model, Batches(digits, digits.test, "cpu"))
    assert grads == [False]


class Logits(nn.Module):
    """The same logits for every image but the second, which has those given."""

    def __init__(self, *logits: float):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x):
        logits = torch.tensor([1.0, 0.0, 0.0]).repeat(len(x), 1)
        logits[1] = self.logits
        return logits


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 2])
def test_logits_that_are_not_finite_name_no_class(bad, place):
    logits = [0.0, 0.0, 0.0]
    logits[place] = bad
    with pytest.raises(Diverged, match=r"^logits are not finite in evaluation, for 1 of 4 images"):
        accuracy(Logits(*logits), one_pixel([1, 2, 1, 2], [0, 0, 0, 0]))


def test_a_norm_whose_buffers_overflowed_is_a_divergence_and_no_accuracy(digits):
    model = network()
    model.bn.running_var.fill_(torch.nan)  # training mode takes no notice of it
    with pytest.raises(Diverged, match="for 500 of 500 images"):
        accuracy(model, Batches(digits, digits.test, "cpu"))


def test_a_class_that_the_network_rules_out_is_no_divergence():
    ruled_out = Logits(0.0, 1.0, -torch.inf)
    assert accuracy(ruled_out, one_pixel([1, 2, 1, 2], [0, 1, 0, 1])) == 3 / 4


def test_a_layer_that_a_step_leaves_out_stays_as_it_is_and_goes_on_with_its_momentum():
    """As stochastic depth does: by hand, with a gradient of 1 where there is one."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    mask = {"0": torch.tensor([[True, False]]), "1": torch.ones(1, 2, dtype=torch.bool)}
    for layer in model:
        nn.init.ones_(layer.weight)
    optimizer = masked_optimizer(
        model, mask, Recipe(lr=1.0, batch_size=1, momentum=0.5, duration="1it")
    )
    weights = []
    for used in ([0], [0, 1], [1]):
        for layer in used:
            model[layer].weight.grad = torch.ones(1, 2)
        optimizer.step()
        optimizer.zero_grad()
        weights.append([layer.weight.detach().flatten().tolist() for layer in model])
    # Of 0: 1 - 1, then - (1 + 1/2). Of 1: nothing, then 1 - 1, then - (1 + 1/2).
    assert weights == [[[0, 0], [1, 1]], [[-1.5, 0], [0, 0]], [[-1.5, 0], [-1.5, -1.5]]]
