"""Recipes other than SGD: optimizers, clipping, smoothed labels, an average of the weights."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from lt_core import models, prune, rewind, seeds
from lt_core.checkpoint import Checkpoint
from lt_core.config import Recipe
from lt_core.data.batches import Batches
from lt_core.mask import Mask, dense
from lt_core.moving_average import MovingAverage
from lt_core.optimizer import masked_optimizer
from lt_core.replay import Replay
from lt_core.step import Step, loss
from lt_core.steps import Steps
from lt_core.training_loop import train, training

RECIPES = {
    "sgd": {},
    "nesterov": {"optimizer": "nesterov"},
    "adamw": {"optimizer": "adamw", "lr": 0.01},
    "clip_norm": {"clip_norm": 0.5},
    "label_smoothing": {"label_smoothing": 0.2},
    "ema": {"ema": 0.8},
    "micro_batch": {"micro_batch": 128},
    "order_seed": {"order_seed": 5},
    "all": {
        "optimizer": "adamw",
        "lr": 0.01,
        "clip_norm": 0.5,
        "label_smoothing": 0.2,
        "ema": 0.8,
    },
}


def recipe(**changes) -> Recipe:
    usual = {"lr": 0.1, "batch_size": 300, "weight_decay": 0.05, "duration": "7it"}
    return Recipe(**(usual | changes))


def network(memory_format=torch.channels_last) -> nn.Module:
    model = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    return model.to(memory_format=memory_format)


MASK = prune.global_random(dense(network()), 6_000, seeds.generator(0, "test"))
PRUNED = {f"{name}.weight": ~alive for name, alive in MASK.items()}


class Double(Batches):
    """Double precision, so that only a real difference shows."""

    def __getitem__(self, index):
        inputs, labels = super().__getitem__(index)
        return inputs.double(), labels


def two_layers() -> tuple[nn.Module, Mask]:
    """Two layers of two weights of 1 each; the second one of the first layer is pruned."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    for layer in model:
        nn.init.ones_(layer.weight)
    return model, {"0": torch.tensor([[True, False]]), "1": torch.ones(1, 2, dtype=torch.bool)}


def stepped(gradients: list[list[list[float]]], **changes) -> list[list[list[float]]]:
    """The weights of both layers after each step, by the layers' gradients; [] is none."""
    model, mask = two_layers()
    optimizer = masked_optimizer(model, mask, recipe(**changes))
    after = []
    for step in gradients:
        for layer, gradient in zip(model, step, strict=True):
            if gradient:
                layer.weight.grad = torch.tensor([gradient])
        optimizer.step()
        optimizer.zero_grad()
        after.append([layer.weight.detach().flatten().tolist() for layer in model])
    return after


def flat(weights: list[list[list[float]]]) -> list[float]:
    return [weight for step in weights for layer in step for weight in layer]


# ---- by hand


def test_two_steps_of_adamw():
    got = stepped(
        [[[0.5, 7.0], [0.5, 0.5]], [[-1.0, 7.0], [0.5, 0.5]]],
        optimizer="adamw",
        lr=0.1,
        weight_decay=0.1,
    )
    # Decay takes off 0.1 x 0.1: 0.99. m is 0.1 x 0.5, over 1 - 0.9: 0.5; v is 0.001 x 0.25, over
    # 1 - 0.999: 0.25. So 0.1 x 0.5 / 0.5 = 0.1 comes off too.
    first = 0.99 - 0.1
    # m is 0.9 x 0.05 - 0.1 = -0.055, over 1 - 0.81; v is 0.999 x 0.00025 + 0.001 = 0.00124975, over
    # 1 - 0.998001.
    turned = 0.99 * first + 0.1 * (0.055 / 0.19) / math.sqrt(0.00124975 / 0.001999)
    assert turned == pytest.approx(0.9177103, rel=1e-6)
    # The same gradient again, the same step again.
    same = 0.99 * first - 0.1
    expected = [[[first, 0], [first, first]], [[turned, 0], [same, same]]]
    assert flat(got) == pytest.approx(flat(expected), rel=1e-6, abs=0)


def test_adamw_counts_the_steps_of_each_weight_by_itself():
    # Whatever its size, a gradient that stays the same makes a step of the learning rate; had a
    # layer's steps without a gradient counted, its first would be smaller.
    got = stepped(
        [[[3.0, 3.0], []], [[3.0, 3.0], [0.2, 0.2]], [[], [0.2, 0.2]]],
        optimizer="adamw",
        lr=0.25,
        weight_decay=0.0,
    )
    expected = [[[0.75, 0], [1, 1]], [[0.5, 0], [0.75, 0.75]], [[0.5, 0], [0.5, 0.5]]]
    assert flat(got) == pytest.approx(flat(expected), rel=1e-6, abs=0)


def test_two_steps_of_nesterov():
    got = stepped(
        [[[1.0, 1.0], [2.0, 0.0]]] * 2, optimizer="nesterov", lr=1, momentum=0.5, weight_decay=0
    )
    # The momentum of a gradient of 1 is 1, then 1 + 1/2; the step is the gradient and half of that.
    assert got == [[[-0.5, 0], [-2, 1]], [[-2.25, 0], [-5.5, 1]]]


@pytest.mark.parametrize(
    ("clip_norm", "expected"),
    [
        # The norm of 3 and 4 is 5; with the pruned weight's 12 it would be 13. Weight decay of a
        # half comes after that: 1 - 3/5 - 1/2.
        (1.0, [[-0.1, 0], [-0.3, 0.5]]),
        (2.5, [[-1.0, 0], [-1.5, 0.5]]),
        (5.5, [[-2.5, 0], [-3.5, 0.5]]),
    ],
)
def test_longer_gradients_are_scaled_to_the_norm_and_shorter_ones_left(clip_norm, expected):
    given = [[[3.0, 12.0], [4.0, 0.0]]]
    [got] = stepped(given, lr=1, momentum=0, weight_decay=0.5, clip_norm=clip_norm)
    assert flat([got]) == pytest.approx(flat([expected]), rel=1e-5, abs=0)


class Logits(nn.Module):
    """Probabilities of 3/4 and 1/4."""

    def forward(self, x):
        return torch.tensor([[math.log(3), 0.0]], dtype=x.dtype)


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [
        (0.0, -math.log(0.75)),
        # Of the label 0.9 are left, the other class has 0.1.
        (0.2, 0.39754330),
    ],
)
def test_a_smoothed_label_counts_a_share_of_every_class(smoothing, expected):
    assert pytest.approx(0.39754330) == -0.9 * math.log(0.75) - 0.1 * math.log(0.25)
    at = recipe(label_smoothing=smoothing)
    got = loss(Logits(), torch.zeros(1, 1, dtype=torch.float64), torch.tensor([0]), at)
    assert float(got) == pytest.approx(expected, rel=1e-7)


def test_the_average_begins_with_the_weights_of_the_first_step():
    model, everything = nn.Linear(1, 1, bias=False), {"weight": torch.ones(1, 1)}
    nn.init.ones_(model.weight)
    optimizer = masked_optimizer(model, everything, recipe(lr=1, momentum=0, weight_decay=0))
    average = MovingAverage(model, optimizer, 0.75)
    weights, averages = [], []
    for _ in range(3):
        model.weight.grad = torch.ones(1, 1)
        optimizer.step()
        with average.in_network():
            averages.append(model.weight.item())
        weights.append(model.weight.item())
    assert weights == [0, -1, -2]
    # 3/4 of 0 and 1/4 of -1; 3/4 of that and 1/4 of -2.
    assert averages == [0, -0.25, -0.6875]


class Sum(nn.Module):
    """Two logits: the weight times the input, and 0."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.fc.weight)
        self.sizes: list[int] = []

    def forward(self, x):
        self.sizes.append(len(x))
        return torch.cat((self.fc(x), torch.zeros_like(x)), 1)


@pytest.mark.parametrize(("micro_batch", "sizes"), [(None, [5]), (2, [2, 2, 1]), (4, [4, 1])])
def test_the_parts_of_a_batch_count_by_their_images(micro_batch, sizes):
    model, at = Sum(), recipe(batch_size=5, micro_batch=micro_batch, momentum=0, weight_decay=0)
    optimizer = masked_optimizer(model, dense(model), at)
    features = torch.tensor([[1.0], [2.0], [3.0], [4.0], [10.0]])
    images = SimpleNamespace(
        augments=False,
        labels=torch.zeros(5, dtype=torch.int64),
        for_training=lambda index, draws: (features[index], images.labels[index]),
    )
    step = Step(model, optimizer, images, at, per_epoch=1)
    step.begin_epoch(torch.arange(5).view(1, 5), None, [1.0])
    step()
    assert model.sizes == sizes
    # Both classes are as likely: a loss of log 2, and -1/2 of the mean input, 4, as the gradient.
    assert step.losses(1).item() == pytest.approx(math.log(2))
    assert model.fc.weight.item() == pytest.approx(2.0)


def test_an_order_of_its_own_changes_the_order_and_not_the_initialization(digits):
    def trained(seed: int, order_seed: int | None) -> float:
        at = recipe(order_seed=order_seed)
        model = rewind.to_initialization("small_resnet", digits, seed=seed)
        return train(model, dense(model), Batches(digits, digits.train, "cpu"), at, seed=seed)

    assert trained(1, 1) == trained(1, None) != trained(1, 2)
    assert trained(2, 1) != trained(1, 1)


# ---- what is pruned


class EveryStep:
    """Keeps the state after every step, where an epoch is one; never begins with any."""

    def __init__(self) -> None:
        self.kept: list[Checkpoint] = []

    def is_due(self) -> bool:
        return True

    def save(self, checkpoint: Checkpoint) -> None:
        self.kept.append(Checkpoint.from_bytes(checkpoint.to_bytes()))

    def load(self) -> None:
        return None


def alive_and_pruned(tensors: dict[str, Tensor]) -> tuple[int, int]:
    """How many numbers are not 0 where weights are alive, and where they are pruned."""
    alive = sum(int((tensors[name][~pruned] != 0).sum()) for name, pruned in PRUNED.items())
    return alive, sum(int((tensors[name][pruned] != 0).sum()) for name, pruned in PRUNED.items())


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("changes", RECIPES.values(), ids=RECIPES)
def test_what_is_pruned_is_0_after_every_step_and_so_is_all_that_is_kept_of_it(
    digits, changes, memory_format
):
    model, every = network(memory_format), EveryStep()
    images = Batches(digits, digits.train, "cpu")
    at = recipe(**(changes | {"batch_size": 1000, "duration": "4it"}))
    train(model, MASK, images, at, seed=0, checkpoints=every)
    assert [kept.step for kept in every.kept] == [1, 2, 3]
    assert alive_and_pruned(model.state_dict()) == (6_000, 0)
    for kept in every.kept:
        for tensors in (kept.network, *([kept.average] if at.ema is not None else [])):
            assert alive_and_pruned(tensors) == (6_000, 0)
        if at.optimizer == "adamw":
            for moment in ("exp_avg", "exp_avg_sq"):
                tensors = {name: kept.adamw[f"{moment}/{name}"] for name in PRUNED}
                num_alive, num_pruned = alive_and_pruned(tensors)
                # Some weights see no image but black ones.
                assert (num_alive > 5_500, num_pruned) == (True, 0)
        else:
            assert alive_and_pruned(kept.momentum) == (6_000, 0)
        is_asked = at.optimizer != "adamw", at.optimizer == "adamw", at.ema is not None
        assert (bool(kept.momentum), bool(kept.adamw), bool(kept.average)) == is_asked


# ---- against a loop as plain as can be


def by_formulas(model: nn.Module, mask: Mask, images: Batches, rates: list[float], at: Recipe):
    """Each formula as its paper has it, weight by weight, in the order of seed 5."""
    pixels, labels = images[:]
    generator = seeds.generator(5, "data order")
    num_batches = len(labels) // at.batch_size
    weights = dict(model.named_parameters())
    alive = {f"{name}.weight": layer for name, layer in mask.items()}
    first, second, average = {}, {}, {}
    model.train()
    for step, rate in enumerate(rates):
        if step % num_batches == 0:
            order = torch.randperm(len(labels), generator=generator)
        start = step % num_batches * at.batch_size
        batch = order[start : start + at.batch_size]
        for name in alive:
            weights[name].data *= alive[name]
        targets = nn.functional.one_hot(labels[batch], 10).double()
        targets = (1 - at.label_smoothing) * targets + at.label_smoothing / 10
        logits = [model(pixels[part]) for part in batch.split(at.micro_batch or len(batch))]
        found = -(targets * torch.log_softmax(torch.cat(logits), 1)).sum(1).mean()
        gradients = dict(zip(weights, torch.autograd.grad(found, weights.values()), strict=True))
        for name in alive:
            gradients[name] = gradients[name] * alive[name]
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
        for name, weight in weights.items():
            gradient = gradients[name]
            if at.clip_norm is not None and norm > at.clip_norm:
                gradient = gradient * at.clip_norm / (norm + 1e-6)  # the 1e-6 is torch's
            if at.optimizer == "adamw":
                weight.data *= 1 - rate * at.weight_decay
                first[name] = 0.9 * first.get(name, 0) + 0.1 * gradient
                second[name] = 0.999 * second.get(name, 0) + 0.001 * gradient**2
                unbiased = first[name] / (1 - 0.9 ** (step + 1))
                spread = torch.sqrt(second[name] / (1 - 0.999 ** (step + 1)))
                weight.data -= rate * unbiased / (spread + 1e-8)
            else:
                gradient = gradient + at.weight_decay * weight.data
                first[name] = at.momentum * first.get(name, 0) + gradient
                ahead = gradient + at.momentum * first[name]
                weight.data -= rate * (ahead if at.optimizer == "nesterov" else first[name])
            if at.ema is not None:
                before = average.get(name, weight.data)
                average[name] = at.ema * before + (1 - at.ema) * weight.data
    for name, weight in average.items():
        weights[name].data = weight
    return found.item()


@pytest.mark.parametrize("changes", RECIPES.values(), ids=RECIPES)
def test_training_is_what_the_formulas_say(digits, changes):
    images = Double(digits, digits.train, "cpu")
    trained, plain = network().double(), network(torch.contiguous_format).double()
    at = recipe(warmup="2it", decay="linear", **changes)
    last = train(trained, MASK, images, at, seed=5 if at.order_seed is None else 1)
    # Two steps up, then five down; three steps are an epoch.
    shares = [0.5, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert last == pytest.approx(
        by_formulas(plain, MASK, images, [at.lr * share for share in shares], at), rel=1e-8
    )
    expected = plain.state_dict()
    for name, value in trained.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-8, atol=1e-11), name


# ---- the average


@pytest.mark.parametrize("ema", [None, 0.8])
def test_between_epochs_a_network_is_that_of_a_training_that_ends_there(digits, ema):
    images = Batches(digits, digits.train, "cpu")

    def stopped(at: int) -> dict[str, Tensor]:
        model = network()
        end = {} if at == 4 else {"stop": f"{at}ep"}
        train(model, MASK, images, recipe(duration="4ep", ema=ema, **end), seed=0)
        return model.state_dict()

    model = network()
    for epoch in training(model, MASK, images, recipe(duration="4ep", ema=ema), seed=0):
        assert same(model.state_dict(), stopped(epoch))
        model.eval()(images[:10][0])
    assert same(model.state_dict(), stopped(4))


def test_an_average_changes_no_step_and_has_the_latest_statistics_of_batch_norm(digits):
    images = Batches(digits, digits.train, "cpu")
    plain, averaged = network(), network()
    losses = [
        train(model, MASK, images, recipe(ema=ema), seed=0)
        for model, ema in ((plain, None), (averaged, 0.8))
    ]
    assert losses[0] == losses[1]
    assert same(dict(averaged.named_buffers()), dict(plain.named_buffers()))
    others = zip(averaged.parameters(), plain.parameters(), strict=True)
    assert not any(torch.equal(mean, last) for mean, last in others)


def test_late_rewinding_is_to_the_weights_and_not_to_their_average(digits):
    def at_second(ema: float | None) -> rewind.State:
        at = recipe(ema=ema)
        return rewind.to_step("small_resnet", digits, at, Steps(2, "it"), seed=0)

    assert same(at_second(0.8), at_second(None))


def same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[n], others[n]) for n in some)


# ---- on a GPU


class OnGpu:
    """Counts steps, as if a GPU took them."""

    device = torch.device("cuda")

    def __init__(self, at: Recipe) -> None:
        self.recipe = at
        self.num_taken = 0

    def __call__(self) -> None:
        self.num_taken += 1


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"optimizer": "nesterov"}, "not yet tried with `optimizer: nesterov`"),
        ({"optimizer": "adamw"}, "not yet tried with `optimizer: adamw`"),
        ({"clip_norm": 1.0}, "not yet tried with `clip_norm`"),
        ({"label_smoothing": 0.1}, "not yet tried with `label_smoothing`"),
        ({"ema": 0.9, "clip_norm": 1.0}, "not yet tried with `clip_norm`, `ema`"),
        ({"micro_batch": 1}, "not yet tried with `micro_batch`"),
    ],
)
def test_a_gpu_takes_the_steps_of_what_was_never_captured_one_by_one(changes, why_not):
    step = OnGpu(recipe(**changes))
    replay = Replay(step)
    assert replay.why_not == why_not
    assert replay.begin_epoch(9) == 0
    assert step.num_taken == 9


def test_what_was_captured_before_still_is_and_a_cpu_has_nothing_to_say():
    for changes in ({}, {"momentum": 0.0}, {"decay": "linear"}, {"precision": "bf16"}):
        assert Replay(OnGpu(recipe(**changes))).why_not == ""
    on_cpu = SimpleNamespace(device=torch.device("cpu"), recipe=recipe(optimizer="adamw"))
    assert Replay(on_cpu).why_not == ""
