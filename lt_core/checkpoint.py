"""The state of a running training, to go on from bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn


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
    """Momentum buffers by parameter name, on the CPU."""

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        tensors = {f"network/{name}": tensor for name, tensor in self.network.items()}
        tensors |= {f"momentum/{name}": tensor for name, tensor in self.momentum.items()}
        return safetensors.torch.save(tensors | {"step": torch.tensor(self.step)})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Read what `to_bytes` wrote; executes no code.

        Raises:
            ValueError: when `data` is something else.
        """
        try:
            tensors = safetensors.torch.load(data)
            step = int(tensors.pop("step"))
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"not a checkpoint: {error}") from None
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "momentum": {}}
        for name, tensor in tensors.items():
            part, _, name = name.partition("/")
            parts[part][name] = tensor
        return cls(step, **parts)


class Checkpoints(Protocol):
    """Storage for the state of one training."""

    def is_due(self) -> bool:
        """Whether to save now; called after each epoch but the last."""

    def save(self, checkpoint: Checkpoint) -> None: ...

    def load(self) -> Checkpoint | None:
        """The latest checkpoint; None if there is none, so that the training starts from step 0."""


def take(network: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> Checkpoint:
    """The state of a training before `step`."""
    momentum = {
        name: optimizer.state[parameter]["momentum_buffer"]
        for name, parameter in network.named_parameters()
        if optimizer.state[parameter].get("momentum_buffer") is not None
    }
    return Checkpoint(step, copied(network.state_dict()), copied(momentum))


def restore(checkpoint: Checkpoint, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load a checkpoint into a network and an optimizer that have taken no step."""
    network.load_state_dict(checkpoint.network)
    for name, parameter in network.named_parameters():
        if name in checkpoint.momentum:
            # In the memory format of the parameter, as the optimizer itself makes it.
            momentum = torch.empty_like(parameter, requires_grad=False)
            optimizer.state[parameter]["momentum_buffer"] = momentum.copy_(
                checkpoint.momentum[name]
            )


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, in row-major order whatever the memory format."""
    return {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
