"""The engine: a training step, precision, pruning. Everything on one thread of a CPU."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from measure import Row, ratio
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from lt_core import data, models, precision, prune, seeds
from lt_core.config import Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.evaluation import evaluate
from lt_core.mask import Mask, dense, num_weights
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1, with_dependents
from lt_core.structured.shrinking import shrink
from lt_core.training_loop import train


def recipe(steps: int, **changes: object) -> Recipe:
    usual = {"lr": 0.1, "batch_size": 128, "weight_decay": 1e-4, "warmup": "3it"}
    return Recipe(**usual | {"duration": f"{steps}it"} | changes)


def like_cifar(num_images: int) -> DataSet:
    """Noise of CIFAR-10's shape, cropped and mirrored."""
    return noise(num_images, (3, 32, 32), augment=True)


def like_mnist(num_images: int) -> DataSet:
    return noise(num_images, (1, 28, 28), augment=False)


def noise(num_images: int, shape: tuple[int, int, int], *, augment: bool) -> DataSet:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (num_images, *shape), np.uint8)
    split = Split(images, draw.integers(0, 10, num_images))
    return DataSet("noise", split, split, split, classes=10, augment=augment)


def network(name: str, of: DataSet) -> nn.Module:
    shape = {"channels": of.channels, "classes": of.classes, "image_size": of.image_size}
    return models.build(name, **shape, seed=0)


def sparse(name: str, of: DataSet) -> Mask:
    """A random mask with a tenth of the weights."""
    everything = dense(network(name, of))
    return prune.global_random(
        everything, num_weights(everything) // 10, seeds.generator(0, "benchmark")
    )


def ours(name: str, of: DataSet, how: Recipe) -> None:
    """Masks, schedule, augmentation and metrics, all on."""
    model = network(name, of).to(memory_format=torch.channels_last)
    train(model, sparse(name, of), Batches(of, of.train, "cpu"), how, seed=0)


def training_step() -> Iterator[Row]:
    """`lt_core`'s loop against nothing but forward, backward and an optimizer step."""
    for name, of, how, goal in (
        ("resnet20", like_cifar(12 * 128), recipe(12), 1.05),
        ("small_resnet", data.load("digits"), recipe(150, batch_size=64), 1.15),
    ):
        batches = Batches(of, of.train, "cpu")
        per_epoch = len(batches) // how.batch_size
        ready = [batches[i * how.batch_size : (i + 1) * how.batch_size] for i in range(per_epoch)]
        measured = ratio(partial(ours, name, of, how), partial(bare, name, of, how, ready))
        shape = "x".join(map(str, of.image_size))
        yield Row(
            f"training {name} on {shape}, against bare forward, backward and step",
            str(measured),
            f"at most {goal}",
            min(measured.wall, measured.cpu) <= goal,
        )


def bare(
    name: str,
    of: DataSet,
    how: Recipe,
    ready: list[tuple[Tensor, Tensor]],
    memory_format: torch.memory_format = torch.channels_last,
) -> None:
    model = network(name, of).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay
    )
    model.train()
    for step in range(how.duration.count):
        inputs, labels = ready[step % len(ready)]
        optimizer.zero_grad()
        with precision.autocast(how.precision, "cpu"):
            logits = model(inputs)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()


def usual_way() -> Iterator[Row]:
    """A DataLoader that transforms image by image, and masks multiplied in each forward."""
    for name, of, steps, goal, open_lth in (
        ("lenet_300_100", like_mnist(40 * 128), 40, 5.0, 90),
        ("resnet20", like_cifar(6 * 128), 6, 1.3, 1.8),
    ):
        shape = "x".join(map(str, of.image_size))
        for wanted in ("fp32", "auto"):
            how, images = recipe(steps, precision=wanted), Images(of)
            measured = ratio(partial(usual, name, of, how, images), partial(ours, name, of, how))
            yield Row(
                f"training {name} on {shape} the usual way, against ours, `precision: {wanted}`",
                str(measured),
                f"at least {goal}",
                max(measured.wall, measured.cpu) >= goal,
            )
            yield Row(
                f"steps per second of {name}, batch 128, one thread",
                f"{steps / measured.seconds[1]:.1f} ours, {steps / measured.seconds[0]:.1f} usual",
                f"{open_lth} by OpenLTH's loop, as measured elsewhere",
            )


class Images(Dataset):
    """As torchvision's data sets: a PIL image at a time, transformed when it is asked for."""

    def __init__(self, of: DataSet) -> None:
        self.images, self.labels = of.train.images.transpose(0, 2, 3, 1), of.train.labels
        mean, std = (value.ravel() / 255 for value in of.mean_and_std)
        random = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
        steps = [*(random if of.augment else []), transforms.ToTensor()]
        steps.append(transforms.Normalize(mean, std))
        self.to_pil, self.transform = transforms.ToPILImage(), transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.to_pil(self.images[index])), int(self.labels[index])


class Masked(nn.Module):
    def __init__(self, alive: Tensor) -> None:
        super().__init__()
        self.register_buffer("alive", alive)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.alive


def usual(name: str, of: DataSet, how: Recipe, images: Images) -> None:
    model = network(name, of)
    layers = dict(model.named_modules())
    for layer, alive in sparse(name, of).items():
        parametrize.register_parametrization(layers[layer], "weight", Masked(alive.float()))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [80, 120])
    model.train()
    for inputs, labels in DataLoader(images, how.batch_size, shuffle=True, drop_last=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        loss.item()
    schedule.step()


def bf16() -> Iterator[Row]:
    """What `precision: auto` and channels_last gain, and that accuracies are the same."""
    chosen = precision.chosen("auto", "cpu")
    of = like_cifar(6 * 128)
    batches = Batches(of, of.train, "cpu")
    fast = [batches[i * 128 : (i + 1) * 128] for i in range(6)]
    plain = [(images.contiguous(), labels) for images, labels in fast]
    rows = (
        ("channels_last", "fp32", "-", None),
        (f"channels_last and `precision: auto`, {chosen} here", "auto", "at least 1.5", 1.5),
    )
    for what, wanted, goal, least in rows:
        measured = ratio(
            partial(bare, "resnet20", of, recipe(6), plain, torch.contiguous_format),
            partial(bare, "resnet20", of, recipe(6, precision=wanted), fast),
        )
        yield Row(
            f"a step of ResNet-20 with torch's defaults, against {what}",
            str(measured),
            goal,
            None if least is None else max(measured.wall, measured.cpu) >= least,
        )

    digits = data.load("digits")
    mask = sparse("small_resnet", digits)
    accuracies = {}
    for name in ("fp32", "bf16"):
        how = recipe(240, batch_size=64, precision=name)
        accuracies[name] = [
            100 * evaluate("small_resnet", digits, mask, how, seed=seed).test_accuracy
            for seed in range(5)
        ]
    means, spreads = (
        [function(values) for values in accuracies.values()]
        for function in (statistics.fmean, statistics.stdev)
    )
    yield Row(
        "test accuracy on digits, 90% pruned, fp32 and bf16, 5 seeds",
        " and ".join(f"{m:.1f} ± {s:.1f}%" for m, s in zip(means, spreads, strict=True)),
        "equal within the spread over seeds",
        abs(means[0] - means[1]) <= max(spreads),
    )


PRUNE_25_MILLION = """
import re, time, torch
from lt_core import prune

def most_memory():  # KiB of this process; getrusage tells that of its parent if that had more
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])

def weights(n):
    return {str(i): torch.randn(n // 10, generator=draw) for i in range(10)}

def ones(of):
    return {name: torch.ones(w.shape, dtype=torch.bool) for name, w in of.items()}

torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
few, many = weights(1000), weights(25_000_000)
mask = ones(many)
prune.global_magnitude(few, ones(few), 0.2)
before, begin = most_memory(), time.perf_counter()
prune.global_magnitude(many, mask, 0.2)
print(time.perf_counter() - begin, most_memory() - before)
"""


def pruning() -> Iterator[Row]:
    """Exact global magnitude pruning of 25 million weights, in a process of its own."""
    runs = [
        subprocess.run([sys.executable, "-c", PRUNE_25_MILLION], capture_output=True, check=True)
        for _ in range(5)
    ]
    seconds, kib = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
    copies = statistics.median(kib) * 1024 / 100e6
    yield Row(
        "exact global pruning of 25 million weights",
        f"{statistics.median(seconds):.2f} s, {copies:.1f} copies of the weights more",
        "under 1 s, at most 3 copies in memory",
        statistics.median(seconds) < 1 and copies <= 3,
    )


def structured() -> Iterator[Row]:
    """Half of ResNet-20's filters: the smaller network against the same one masked."""
    of = like_cifar(8 * 128)
    whole, how, images = network("resnet20", of), recipe(8), Batches(of, of.train, "cpu")
    groups = channel_groups(whole, of.image_shape)
    mask = filter_l1(whole, groups, 0.5)

    def masked() -> None:
        model = network("resnet20", of)
        alive = with_dependents(model, groups, mask)
        train(model.to(memory_format=torch.channels_last), alive, images, how, seed=0)

    def smaller() -> None:
        model = shrink(network("resnet20", of), groups, mask)
        train(model.to(memory_format=torch.channels_last), dense(model), images, how, seed=0)

    measured = ratio(masked, smaller)
    yield Row(
        "training ResNet-20 with half its filters masked, against the smaller network",
        str(measured),
        "at least 1.8",
        max(measured.wall, measured.cpu) >= 1.8,
    )


BENCHMARKS = [training_step, usual_way, bf16, pruning, structured]
torch.set_num_threads(1)
