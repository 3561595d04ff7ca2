"""What training on a GPU takes: ours against bare torch, packs against processes sharing a card.

    PYTHONPATH=. python tests/benchmarks/gpu.py            # every row, in about five minutes
    PYTHONPATH=. python tests/benchmarks/gpu.py resnet50   # some

It needs no more than the engine does, which need not be installed. Each row is measured beside the
one that it is compared with.
"""

import contextlib
import functools
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator

import numpy as np
import torch
from measure import Row
from torch import nn
from torch.nn import functional as F

from lt_core import models, prune, replay, seeds
from lt_core.config import Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.kernels import deterministic
from lt_core.mask import dense, num_weights
from lt_core.training_loop import training

CUDA = torch.device("cuda")
SECONDS = 2.5
"""Of a measurement."""

PAPER_IMAGES = 900 * 110 * 90_000
"""That sweeps/paper/lr_grid.yaml trains on: trainings, epochs, images."""


def noise(num_images: int, size: int, classes: int = 10) -> DataSet:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (num_images, 3, size, size), np.uint8)
    split = Split(images, draw.integers(0, classes, num_images))
    return DataSet("noise", split, split, split, classes=classes, augment=True)


def network(name: str, of: DataSet) -> nn.Module:
    model = models.build(name, **vars(of.shape), seed=0)
    return model.to(CUDA, memory_format=torch.channels_last)


def ours(name: str, of: DataSet, batch_size: int, precision: str, seed: int = 0):
    """A training of `lt_core` with everything on, endless for our purposes."""
    model = network(name, of)
    everything = dense(model)
    mask = prune.global_random(
        everything, num_weights(everything) // 10, seeds.generator(0, "benchmark")
    )
    recipe = Recipe(
        lr=0.01, batch_size=batch_size, weight_decay=1e-4, duration="9999ep", precision=precision
    )
    return training(model, mask, Batches(of, of.train, "cuda"), recipe, seed=seed)


def steps_per_second(trainings: list, per_epoch: int, seconds: float = SECONDS) -> float:
    """Of trainings advanced in turn, all together, from the end of their first epoch on."""
    finished = [0] * len(trainings)
    begin = before = None
    while begin is None or time.perf_counter() < begin + seconds:
        for i, each in enumerate(trainings):
            finished[i] += next(each) is not None
        if begin is None and min(finished) >= 1:
            torch.cuda.synchronize()
            begin, before = time.perf_counter(), sum(finished)
    # Whole epochs, so that the clock is read as one ends.
    now = sum(finished)
    while sum(finished) == now:
        for i, each in enumerate(trainings):
            finished[i] += next(each) is not None
    elapsed = time.perf_counter() - begin
    done = sum(finished) - before
    for each in trainings:
        each.close()
    return done * per_epoch / elapsed


@contextlib.contextmanager
def one_by_one() -> Iterator[None]:
    """Steps are not captured."""
    before, replay.WARM_UP = replay.WARM_UP, 10**9
    try:
        yield
    finally:
        replay.WARM_UP = before


def bare(name: str, of: DataSet, batch_size: int, precision: str) -> Callable[[], None]:
    """A step as most people write it, on batches that lie ready on the device, and with cuDNN's
    kernels as timing chooses them."""
    torch.backends.cudnn.benchmark = True
    of_products = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cudnn.conv.fp32_precision = of_products
    torch.backends.cuda.matmul.fp32_precision = of_products
    model = network(name, of).train()
    optimizer = torch.optim.SGD(
        model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, fused=True
    )
    batches = Batches(of, of.train, "cuda")
    ready = [batches[i * batch_size : (i + 1) * batch_size] for i in range(4)]
    count = [0]

    def step() -> None:
        count[0] = (count[0] + 1) % 4
        inputs, labels = ready[count[0]]
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(inputs)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def bare_steps_per_second(step: Callable[[], None], seconds: float = SECONDS) -> float:
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    found = []
    for _ in range(5):
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds / 5:
            for _ in range(5):
                step()
            count += 5
            torch.cuda.synchronize()
        found.append(count / (time.perf_counter() - begin))
    torch.backends.cudnn.benchmark = False
    return statistics.median(found)


def peak() -> str:
    found = torch.cuda.max_memory_allocated() / 2**20
    torch.cuda.reset_peak_memory_stats()
    return f"peak {found:,.0f} MiB"


# ---- small networks

STEPS = 100
"""Of an epoch of 128 images a step."""


@functools.cache
def small_images() -> DataSet:
    return noise(STEPS * 128, 32)


def small(precision: str = "bf16", seed: int = 0):
    return ours("resnet20", small_images(), 128, precision, seed)


def resnet20() -> Iterator[Row]:
    """Steps of one training."""
    for precision in ("bf16", "tf32", "fp32"):
        alone = bare_steps_per_second(bare("resnet20", small_images(), 128, precision))
        with one_by_one():
            eager = steps_per_second([small(precision)], STEPS)
        torch.cuda.reset_peak_memory_stats()
        captured = steps_per_second([small(precision)], STEPS)
        yield Row(
            f"ResNet-20, 32x32, batch 128, {precision}: steps/s captured, against bare torch eager",
            f"{captured / alone:.2f} ({captured:,.0f} and {alone:,.0f}; ours one by one "
            f"{eager:,.0f}; {peak()})",
            "at least 3" if precision == "bf16" else "-",
            captured / alone >= 3 if precision == "bf16" else None,
        )


def packs() -> Iterator[Row]:
    """K trainings at a time in one process."""
    base = steps_per_second([small()], STEPS)
    for k in (2, 4, 8, 16):
        torch.cuda.reset_peak_memory_stats()
        packed = steps_per_second([small(seed=i) for i in range(k)], STEPS)
        yield Row(
            f"{k} trainings of ResNet-20 packed, bf16: steps/s of all, against one",
            f"{packed / base:.2f} ({packed:,.0f} and {base:,.0f}; {peak()})",
            "-",
        )


def processes() -> Iterator[Row]:
    """A pack against processes that share the card, as trials with a fraction of it do."""
    packed = steps_per_second([small(seed=i) for i in range(8)], STEPS)
    sliced = together(8)
    yield Row(
        "8 trainings of ResNet-20 packed, against 8 processes that share the card by time slices",
        f"{packed / sliced:.2f} ({packed:,.0f} and {sliced:,.0f} steps/s)",
        "at least 3",
        packed / sliced >= 3,
    )
    with mps() as is_there:
        if is_there:
            shared = together(8)
            yield Row(
                "the same, against 8 processes under MPS",
                f"{packed / shared:.2f} ({packed:,.0f} and {shared:,.0f} steps/s)",
                "at least 1.2",
                packed / shared >= 1.2,
            )


def together(k: int) -> float:
    """Steps per second of K processes, all together."""
    context = multiprocessing.get_context("spawn")
    ready, go, out = context.Semaphore(0), context.Event(), context.Queue()
    all_ = [context.Process(target=_process, args=(ready, go, out)) for _ in range(k)]
    for each in all_:
        each.start()
    for _ in all_:
        ready.acquire(timeout=120)
    go.set()
    found = [out.get(timeout=60 + 20 * SECONDS) for _ in all_]
    for each in all_:
        each.join(30)
    if bad := [one for one in found if isinstance(one, str)]:
        raise RuntimeError(bad[0])
    return sum(found)


def _process(ready, go, out) -> None:
    try:
        each = small()
        while next(each) is None:
            pass
        ready.release()
        go.wait()
        begin, steps = time.perf_counter(), 0
        while time.perf_counter() < begin + 2 * SECONDS:
            steps += replay.AT_ONCE * (next(each) is None)
        torch.cuda.synchronize()
        out.put(steps / (time.perf_counter() - begin))
    except Exception as error:  # told by the parent
        ready.release()
        out.put(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def mps() -> Iterator[bool]:
    """Whether CUDA's multi-process service could be started for processes begun within."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        yield False
        return
    with tempfile.TemporaryDirectory() as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": "pipe", "CUDA_MPS_LOG_DIRECTORY": "log"}
        os.environ.update({name: f"{folder}/{place}" for name, place in places.items()})
        subprocess.run([control, "-d"], check=False, timeout=20)
        try:
            yield True
        finally:
            subprocess.run([control], input="quit\n", text=True, check=False, timeout=20)
            for name in places:
                del os.environ[name]


# ---- a large network


def resnet50() -> Iterator[Row]:
    """That of the paper, which fills a GPU alone."""
    steps, batch_size = 25, 256
    of = noise(steps * batch_size, 64, classes=200)
    torch.cuda.reset_peak_memory_stats()
    captured = batch_size * steps_per_second([ours("resnet50", of, batch_size, "bf16")], steps)
    memory = peak()
    eager = batch_size * bare_steps_per_second(bare("resnet50", of, batch_size, "bf16"))
    with deterministic(CUDA, "bf16"):
        strict = batch_size * bare_steps_per_second(bare_strict(of, batch_size))
    packed = batch_size * steps_per_second(
        [ours("resnet50", of, batch_size, "bf16", seed=i) for i in range(2)], steps
    )
    yield Row(
        "ResNet-50, 64x64, batch 256, bf16: images/s captured, against bare torch eager",
        f"{captured / eager:.2f} ({captured:,.0f} and {eager:,.0f}; 2 packed {packed:,.0f}; "
        f"{memory})",
        "at least 0.95",
        captured / eager >= 0.95,
    )
    yield Row(
        "the same eager with deterministic kernels, against without",
        f"{strict / eager:.2f} ({strict:,.0f} images/s)",
        "-",
    )
    yield Row(
        "sweeps/paper/lr_grid.yaml on this card, from images/s captured",
        f"{PAPER_IMAGES / captured / 3600:,.0f} hours",
        "-",
    )


def bare_strict(of: DataSet, batch_size: int) -> Callable[[], None]:
    step = bare("resnet50", of, batch_size, "bf16")
    torch.backends.cudnn.benchmark = False
    return step


def large_data() -> Iterator[Row]:
    """Tiny ImageNet's size: sent to the device once in a worker."""
    draw = np.random.default_rng(0)
    images = np.frombuffer(draw.bytes(100_000 * 3 * 64 * 64), np.uint8).reshape(-1, 3, 64, 64)
    split = Split(images, np.zeros(len(images), np.int64))
    of = DataSet("large", split, Split(images[:1], split.labels[:1]), split, classes=1)
    vars(of)["mean_and_std"] = (np.zeros((3, 1, 1), np.float32), np.ones((3, 1, 1), np.float32))

    def send() -> float:
        begin = time.perf_counter()
        Batches(of, of.train, "cuda")
        torch.cuda.synchronize()
        return time.perf_counter() - begin

    first, again = send(), send()
    yield Row(
        f"a data set of {images.nbytes / 1e9:.1f} GB: seconds to send it, and the next time",
        f"{first:.2f} and {again:.4f}",
        "sent once",
        again < first / 10,
    )


BENCHMARKS = {each.__name__: each for each in (resnet20, packs, processes, resnet50, large_data)}


def main(names: list[str]) -> int:
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    missed = 0
    for name in names or BENCHMARKS:
        begin = time.monotonic()
        try:
            for row in BENCHMARKS[name]():
                verdict = {True: "met", False: "MISSED", None: "-"}[row.is_met]
                missed += row.is_met is False
                print(f"| {row.what} | {row.measured} | {row.goal} | {verdict} |", flush=True)
        except Exception:  # the other rows are of use without it
            traceback.print_exc()
            missed += 1
        print(f"({name}: {time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
