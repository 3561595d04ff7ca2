"""The state of a running training, to go on from bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from lt_core.moving_average import MovingAverage


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training between two epochs.

    Order and augmentation of the images are drawn from the seed and the step, and the learning rate
    follows from the step: none of them has a state of its own.
    """

    step: int
    """Next step of the schedule."""

    network: Mapping[str, Tensor]
    """Parameters and buffers by name, on the CPU."""

    momentum: Mapping[str, Tensor]
    """Momentum buffers of SGD by parameter name, on the CPU."""

    adamw: Mapping[str, Tensor] = field(default_factory=dict)
    """State of AdamW by its key and the parameter name (`exp_avg/fc.weight`), on the CPU."""

    average: Mapping[str, Tensor] = field(default_factory=dict)
    """Moving average of the weights by parameter name, on the CPU."""

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        tensors = {"step": torch.tensor(self.step)}
        for part in _PARTS:
            tensors |= {f"{part}/{name}": t for name, t in getattr(self, part).items()}
        return safetensors.torch.save(tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Read what `to_bytes` wrote; executes no code.

        Raises:
            ValueError: when `data` is something else.
        """
        try:
            tensors = safetensors.torch.load(data)
            step = int(tensors.pop("step"))
            parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
            for path, tensor in tensors.items():
                part, _, name = path.partition("/")
                parts[part][name] = tensor
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"not a checkpoint: {error}") from None
        return cls(step, **parts)


_MOMENTUM = "momentum_buffer"
_PARTS = ("network", "momentum", "adamw", "average")


class Checkpoints(Protocol):
    """Storage for the state of one training."""

    def is_due(self) -> bool:
        """Whether to save now; called after each epoch but the last."""

    def save(self, checkpoint: Checkpoint) -> None: ...

    def load(self) -> Checkpoint | None:
        """The latest checkpoint; None if there is none, so that the training starts from step 0."""


def take(
    network: nn.Module, optimizer: torch.optim.Optimizer, average: MovingAverage, step: int
) -> Checkpoint:
    """The state of a training before `step`."""
    state = {
        (key, name): tensor
        for name, parameter in network.named_parameters()
        for key, tensor in optimizer.state[parameter].items()
        if tensor is not None
    }
    momentum = {name: t for (key, name), t in state.items() if key == _MOMENTUM}
    adamw = {f"{key}/{name}": t for (key, name), t in state.items() if key != _MOMENTUM}
    parts = (network.state_dict(), momentum, adamw, average.weights)
    return Checkpoint(step, *map(copied, parts))


def restore(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage,
) -> None:
    """Load a checkpoint into a network, optimizer and average that have taken no step."""
    network.load_state_dict(checkpoint.network)
    parameters = dict(network.named_parameters())
    for name, kept in checkpoint.momentum.items():
        parameter = parameters[name]
        optimizer.state[parameter][_MOMENTUM] = _in_format_of(parameter, kept)
    for path, kept in checkpoint.adamw.items():
        key, _, name = path.partition("/")
        parameter = parameters[name]
        is_count = key == "step"  # of steps: a single number, whatever the parameter
        state = kept.to(parameter.device) if is_count else _in_format_of(parameter, kept)
        optimizer.state[parameter][key] = state
    for name, kept in checkpoint.average.items():
        average.weights[name] = _in_format_of(parameters[name], kept)


def _in_format_of(parameter: Tensor, kept: Tensor) -> Tensor:
    """`kept` in the memory format of the parameter, as the optimizer itself makes it."""
    return torch.empty_like(parameter, requires_grad=False).copy_(kept)


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, in row-major order whatever the memory format."""
    return {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
