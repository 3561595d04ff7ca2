"""Training on a GPU: the same bits, however its steps are taken. Skipped where there is none.

They need no more than the engine does, so that they also run where only torch is installed:

    python -m pytest --noconftest -o addopts= tests/gpu
"""

import gc
import hashlib
import random
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lt_core import models, prune, replay, rewind, seeds
from lt_core.chain import prune_trained
from lt_core.checkpoint import Checkpoint
from lt_core.config import Pruning, Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.evaluation import Evaluation, evaluate, evaluating
from lt_core.kernels import deterministic
from lt_core.mask import Mask, dense, flatten, num_weights, prunable_weights
from lt_core.training_loop import Diverged

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

CUDA = torch.device("cuda")
RECIPE = Recipe(  # 20 steps an epoch
    lr=0.1, batch_size=64, weight_decay=5e-4, duration="50it", milestones=("30it",), warmup="5it"
)
PRECISIONS = ("fp32", "tf32", "bf16")


def noise(num_images: int = 1280, size: int = 16) -> DataSet:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (num_images, 3, size, size), np.uint8)
    split = Split(images, draw.integers(0, 10, num_images))
    few = Split(images[:100], split.labels[:100])
    return DataSet("noise", split, few, few, classes=10, augment=True)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return noise()


class WithDropout(nn.Module):
    """Draws on the device in training."""

    def __init__(self, channels, classes, image_size):
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 3)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(self.changed(torch.relu(self.conv(x)).mean((2, 3))))

    def changed(self, x):
        return nn.functional.dropout(x, 0.5, self.training)


class DrawingOnTheHost(WithDropout):
    def changed(self, x):
        return x * random.random() if self.training else x


class WaitingForTheDevice(WithDropout):
    def changed(self, x):
        return x * 2 if float(x.detach().sum()) > 0 else x


class WithoutDeterministicKernel(WithDropout):
    def forward(self, x):
        return self.fc(nn.functional.adaptive_avg_pool2d(self.conv(x), 7).mean((2, 3)))


def mask_of(model: str, data: DataSet) -> Mask:
    everything = dense(rewind.to_initialization(model, data, seed=0))
    return prune.global_random(everything, num_weights(everything) // 5, seeds.generator(0, "test"))


def own(network: type[nn.Module]) -> str:
    return f"{Path(__file__).stem}:{network.__name__}"


@pytest.fixture(autouse=True)
def _found_here(monkeypatch):
    """So that networks of this file have an import path, in other processes too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def trained(data: DataSet, model: str = "resnet20", seed: int = 0, **changes) -> Evaluation:
    checkpoints = changes.pop("checkpoints", None)
    recipe = RECIPE.model_copy(update=changes)
    mask = mask_of(model, data)
    return evaluate(model, data, mask, recipe, seed=seed, checkpoints=checkpoints, device="cuda")


def digest(evaluation: Evaluation) -> str:
    state = rewind.state(evaluation.model).values()
    bits = b"".join(tensor.numpy().tobytes() for tensor in state)
    told = evaluation.train_loss, evaluation.val_accuracy, evaluation.test_accuracy
    return hashlib.sha256(bits + repr(told).encode()).hexdigest()


def in_turn(evaluations: Sequence[Generator[object, None, Evaluation]]) -> list[Evaluation]:
    ended: dict[int, Evaluation] = {}
    while len(ended) < len(evaluations):
        for i, evaluation in enumerate(evaluations):
            if i not in ended:
                try:
                    next(evaluation)
                except StopIteration as end:
                    ended[i] = end.value
    return [ended[i] for i in range(len(evaluations))]


@pytest.fixture
def one_by_one(monkeypatch):
    """Steps are not captured."""

    def set_it():
        monkeypatch.setattr(replay, "WARM_UP", 10**9)

    return set_it


# ---- the same bits


@pytest.mark.parametrize("precision", PRECISIONS)
def test_twice_and_in_another_process(data, precision):
    first = digest(trained(data, precision=precision))
    torch.cuda.manual_seed(1)
    assert digest(trained(data, precision=precision)) == first
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import test_gpu as t; "
        f"print(t.digest(t.trained(t.noise(), precision={precision!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == first, done.stderr


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", ["resnet20", "vgg16", own(WithDropout)])
def test_replayed_and_one_by_one(data, model, precision, one_by_one):
    replayed = trained(data, model, precision=precision)
    assert replayed.not_captured == ""
    one_by_one()
    assert digest(trained(data, model, precision=precision)) == digest(replayed)


@pytest.mark.parametrize("model", ["resnet20", own(WithDropout)])
def test_in_turn_with_others_and_alone(data, model):
    def evaluation(seed: int, **changes) -> Generator[object, None, Evaluation]:
        recipe = RECIPE.model_copy(update=changes)
        mask = mask_of(model, data)
        return evaluating(
            model, data, mask, recipe, seed=seed, device="cuda", watched=seed % 2 == 0
        )

    changes = [{}, {"precision": "bf16"}, {"batch_size": 32}, {"lr": 0.01, "precision": "tf32"}]
    together = in_turn([evaluation(seed, **each) for seed, each in enumerate(changes)])
    for seed, each in enumerate(changes):
        assert digest(together[seed]) == digest(trained(data, model, seed, **each)), each


class Killed(Exception):
    pass


class InMemory:
    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.kept: bytes | None = None

    def is_due(self) -> bool:
        return True

    def save(self, checkpoint: Checkpoint) -> None:
        self.kept = checkpoint.to_bytes()
        if checkpoint.step == self.kill_at:
            raise Killed

    def load(self) -> Checkpoint | None:
        return None if self.kept is None else Checkpoint.from_bytes(self.kept)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", ["resnet20", own(WithDropout)])
def test_killed_and_resumed(data, model, precision):
    undisturbed = digest(trained(data, model, precision=precision))
    checkpoints = InMemory(kill_at=40)
    with pytest.raises(Killed):
        trained(data, model, precision=precision, checkpoints=checkpoints)
    resumed = trained(data, model, precision=precision, checkpoints=checkpoints)
    assert digest(resumed) == undisturbed


def test_a_network_without_its_pruned_filters(data):
    everything = rewind.to_initialization("resnet20", data, seed=0)
    pruning = Pruning(strategy="filter_l1", fraction=0.5)
    mask = prune_trained(everything, data, dense(everything), pruning)
    setting = {"seed": 0, "pruning": pruning, "device": "cuda"}
    first, again = (digest(evaluate("resnet20", data, mask, RECIPE, **setting)) for _ in range(2))
    assert first == again


# ---- what does not depend on the device


def test_orders_crops_and_normalized_pixels_are_those_of_a_cpu(data):
    index = torch.randperm(1280)[:64]
    draws = Batches(data, data.train, "cpu").draws(3, range(7, 8), 64)[0]
    here, labels = Batches(data, data.train, "cpu").for_training(index, draws)
    there, same = Batches(data, data.train, "cuda").for_training(index.cuda(), draws.cuda())
    assert torch.equal(there.cpu(), here) and torch.equal(same.cpu(), labels)


@pytest.mark.parametrize("strategy", ["global_magnitude", "layerwise_magnitude", "filter_l1"])
def test_the_mask_of_given_weights_is_that_of_a_cpu(data, strategy):
    network = models.build("resnet20", channels=3, classes=10, image_size=(16, 16), seed=0)
    pruning, everything = Pruning(strategy=strategy), dense(network)
    here = prune_trained(network, data, everything, pruning)
    there = prune_trained(network.cuda(), data, everything, pruning)
    assert all(torch.equal(there[name].cpu(), here[name]) for name in here)


def test_the_first_steps_are_those_of_a_cpu_up_to_rounding(data):
    mask = mask_of("resnet20", data)
    few = RECIPE.model_copy(update={"duration": RECIPE.warmup, "milestones": ()})
    here = evaluate("resnet20", data, mask, few, seed=0)
    there = evaluate("resnet20", data, mask, few, seed=0, device="cuda")
    assert there.train_loss == pytest.approx(here.train_loss, rel=1e-4)


def test_what_is_pruned_stays_0(data):
    mask = flatten(mask_of("resnet20", data))
    weights = flatten(prunable_weights(trained(data).model)).cpu()
    assert (weights[~mask] == 0).all() and (weights[mask] != 0).all()


def test_divergence_names_the_step(data, one_by_one):
    def reason() -> str:
        with pytest.raises(Diverged) as error:
            trained(data, lr=1e30)
        return str(error.value)

    replayed = reason()
    assert "loss is" in replayed
    one_by_one()
    assert reason() == replayed


# ---- precision


@pytest.mark.parametrize("precision", PRECISIONS)
def test_fp32_is_ieee_and_tf32_is_not(precision):
    x = torch.randn(8, 64, 16, 16, device=CUDA)
    conv, linear = nn.Conv2d(64, 64, 3).cuda(), nn.Linear(1024, 1024).cuda()
    before = torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.deterministic
    with torch.no_grad():
        for layer, inputs in ((conv, x), (linear, x.flatten(1)[:, :1024])):
            exact = layer.double()(inputs.double())
            with deterministic(CUDA, precision):
                assert torch.backends.cudnn.deterministic
                error = (layer.float()(inputs) - exact).abs().max() / exact.abs().max()
            is_rounded = precision == "tf32"
            assert (error > 1e-5) == is_rounded and error < 1e-2, (layer, float(error))
    assert before == (
        torch.backends.cudnn.conv.fp32_precision,
        torch.backends.cudnn.deterministic,
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_it_trained_in_is_recorded(data, precision):
    few = {"duration": RECIPE.warmup, "milestones": ()}
    assert trained(data, precision=precision, **few).precision == precision


# ---- what a GPU cannot do, and says


def test_what_has_no_deterministic_kernel_is_told_and_trained_all_the_same(data):
    evaluation = trained(data, own(WithoutDeterministicKernel))
    assert evaluation.not_deterministic == {"adaptive_avg_pool2d_backward_cuda"}
    assert trained(data).not_deterministic == frozenset()


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (DrawingOnTheHost, "it draws random numbers on the host, which a replay would not repeat"),
        (WaitingForTheDevice, "operation not permitted when stream is capturing"),
    ],
)
def test_what_cannot_be_captured_is_told_and_trained_one_by_one(data, network, says, one_by_one):
    first = trained(data, own(network))
    assert says in first.not_captured
    one_by_one()
    assert digest(trained(data, own(network))) == digest(first)


# ---- the device is left as it was


def test_data_are_sent_once(data):
    first = Batches(data, data.train, "cuda")
    again = Batches(data, data.train, "cuda")
    assert first.images.data_ptr() == again.images.data_ptr()


def test_nothing_is_left_behind(data):
    def left() -> tuple[int, int]:
        trained(data)
        return torch.cuda.memory_allocated(), torch.cuda.memory_reserved()

    trained(data)
    gc.collect()  # torch keeps the first optimizer of a process in a cycle
    first = left()
    assert [left() for _ in range(3)] == [first] * 3


def test_the_generator_of_the_device_is_not_moved(data):
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    trained(data, own(WithDropout))
    assert torch.equal(torch.cuda.get_rng_state(), before)
