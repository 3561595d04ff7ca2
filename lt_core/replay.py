"""Steps on a GPU: captured once as a CUDA graph, which replays all their kernels at one call, and
each training on a stream of its own, so that the kernels of several overlap."""

import random
from collections import defaultdict
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import numpy as np
import torch

from lt_core.config import Recipe
from lt_core.step import Step

WARM_UP = 3
"""Steps that are taken one by one, before one is captured: kernels are loaded, momentum begins."""

AT_ONCE = 4
"""Replays before another training has its turn: a stream takes in a few dozen, then the host waits
for it and leaves the others idle."""

Y = TypeVar("Y")
R = TypeVar("R")


class Replay:
    """Takes steps, on a GPU by replays once they have been captured."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.why_not = _untried(step.recipe) if step.device.type == "cuda" else ""
        """Why the steps of a GPU are not captured, in words; empty where they are or will be."""

        self._num_taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._generator: torch.Generator | None = None

    def begin_epoch(self, count: int) -> int:
        """Take those of `count` steps that cannot be replayed, and prepare for the others.

        The generators are to be seeded for the epoch; replays do not depend on them any more.

        Returns:
            The number of steps that are left to replay.
        """
        is_cuda = self.step.device.type == "cuda"
        while is_cuda and count and not self.why_not and self._graph is None:
            if self._num_taken < WARM_UP:
                self._warm_up()
                count -= 1
            else:
                self._capture()
        if self._graph is None:
            for _ in range(count):
                self.step()
            return 0
        assert self._generator is not None  # it comes with the graph
        self._generator.set_state(_default_generator(self.step).get_state())
        return count

    def replay(self, count: int) -> Iterator[None]:
        """Have the GPU take steps; yields whenever another training may have its turn."""
        for i in range(count):
            assert self._graph is not None  # else there is nothing to replay
            self._graph.replay()
            if (i + 1) % AT_ONCE == 0:
                yield

    def _warm_up(self) -> None:
        before = _host_generators()
        self.step()
        self._num_taken += 1
        if _host_generators() != before:
            self.why_not = "it draws random numbers on the host, which a replay would not repeat"

    def _capture(self) -> None:
        # Its draws on the GPU are from a generator of its own, since others draw in between.
        default, own = _default_generator(self.step), torch.Generator(self.step.device)
        shared = default.graphsafe_get_state()
        graph = torch.cuda.CUDAGraph()
        default.graphsafe_set_state(own)
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                self.step()
        except RuntimeError as error:
            first = error.__context__ or error  # the end of the capture fails of it too
            self.why_not = " ".join(str(first).partition("\n")[0].split())
            self.step.optimizer.zero_grad()
        else:
            self._graph, self._generator = graph, own
        finally:
            default.graphsafe_set_state(shared)

    def close(self) -> None:
        """Give the memory of the graph back."""
        if self._graph is not None:
            torch.cuda.current_stream().synchronize()
            self._graph.reset()
            self._graph = None
            torch.cuda.empty_cache()  # no other graph takes it


def _untried(recipe: Recipe) -> str:
    """Which kernels that `recipe` asks for no GPU has captured yet, in words; empty if none."""
    others = {
        f"`optimizer: {recipe.optimizer}`": recipe.optimizer != "sgd",
        "`clip_norm`": recipe.clip_norm is not None,
        "`label_smoothing`": recipe.label_smoothing > 0,
        "`ema`": recipe.ema is not None,
        "`micro_batch`": recipe.micro_batch is not None,
    }
    untried = ", ".join(name for name, is_asked in others.items() if is_asked)
    return f"not yet tried with {untried}" if untried else ""


def _default_generator(step: Step) -> torch.Generator:
    index = step.device.index
    return torch.cuda.default_generators[torch.cuda.current_device() if index is None else index]


def _host_generators() -> tuple[Any, ...]:
    of_numpy = np.random.get_state(legacy=False)["state"]
    of_torch = torch.get_rng_state().numpy().tobytes()
    return random.getstate(), of_numpy["key"].tobytes(), of_numpy["pos"], of_torch


_free_streams: dict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)
"""A new training takes one that another is done with: each keeps memory of its own."""


def on_own_stream(steps: Generator[Y, None, R], device: torch.device) -> Generator[Y, None, R]:
    """Run a generator on a CUDA stream that no other such generator uses meanwhile.

    When it ends, and whenever it has itself waited for the device before it yields, the caller's
    stream has what it computed.
    """
    if device.type != "cuda":
        return (yield from steps)
    free = _free_streams[device]
    stream = free.pop() if free else torch.cuda.Stream(device)
    try:
        while True:
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                try:
                    yielded = next(steps)
                except StopIteration as end:
                    returned: R = end.value
                    break
            yield yielded
        torch.cuda.current_stream(device).wait_stream(stream)
        return returned
    finally:
        with torch.cuda.stream(stream):
            steps.close()
        free.append(stream)
