"""One step of a training: batch, loss, gradients, optimizer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lt_core.config import Recipe
from lt_core.data.batches import Batches
from lt_core.precision import autocast


class Step:
    """The next step of a training, each time it is called.

    All that it reads the host has sent before the epoch, and what it finds stays on the device: a
    GPU need not wait for the host, and the step can be captured as a CUDA graph.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        images: Batches,
        recipe: Recipe,
        per_epoch: int,
    ) -> None:
        """Prepare.

        Args:
            model: in training mode whenever a step is taken; on the device of `images`.
            optimizer: of `masked_optimizer`; its learning rate is set here.
            images: to train on.
            recipe: for the size of its batches and their parts, precision and label smoothing.
            per_epoch: number of steps of an epoch.
        """
        self.model = model
        self.optimizer = optimizer
        self.images = images
        self.recipe = recipe
        self.device = images.labels.device
        # Fused optimizers read a rate as a double on a CPU and as a float on a GPU.
        of_rates = torch.float64 if self.device.type == "cpu" else torch.float32
        self._rate = torch.zeros((), dtype=of_rates, device=self.device)
        optimizer.param_groups[0]["lr"] = self._rate
        self._numbers = torch.arange(per_epoch, device=self.device)
        self._next = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._rates = torch.empty(per_epoch, dtype=of_rates, device=self.device)
        self._order = self._numbers.new_empty(per_epoch, recipe.batch_size)
        self._draws = (
            self._numbers.new_empty(per_epoch, 3, recipe.batch_size) if images.augments else None
        )
        self._losses: Tensor | None = None

    def begin_epoch(self, order: Tensor, draws: Tensor | None, rates: list[float]) -> None:
        """Send what the next steps are to read.

        Args:
            order: positions of their images, int64 [S, B], on the CPU.
            draws: of `Batches.draws`.
            rates: their learning rates.
        """
        count = len(rates)
        self._order[:count] = order
        self._rates[:count] = torch.tensor(rates, dtype=self._rates.dtype)
        if self._draws is not None:
            assert draws is not None  # both are as the data set says
            self._draws[:count] = draws
        self._next.zero_()

    def __call__(self) -> None:
        at = self._next
        self._rate.copy_(self._rates.index_select(0, at)[0])
        draws = None if self._draws is None else self._draws.index_select(0, at)[0]
        inputs, labels = self.images.for_training(self._order.index_select(0, at)[0], draws)
        step_loss = self._backward(inputs, labels)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._keep(step_loss)
        at += 1

    def _backward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Add up the gradients of the batch's mean loss, part by part; the loss."""
        most = self.recipe.micro_batch
        if most is None:
            step_loss = loss(self.model, inputs, labels, self.recipe)
            step_loss.backward()
            return step_loss.detach()
        total = torch.zeros((), device=self.device)
        for some, of_them in zip(inputs.split(most), labels.split(most), strict=True):
            part = loss(self.model, some, of_them, self.recipe) * (len(some) / len(inputs))
            part.backward()
            total = total + part.detach()
        return total

    def _keep(self, step_loss: Tensor) -> None:
        if self._losses is None:
            self._losses = step_loss.new_zeros(len(self._numbers))
        # Not by index: the deterministic kernel of that sorts.
        is_this = self._numbers == self._next
        torch.where(is_this, step_loss, self._losses, out=self._losses)

    def losses(self, count: int) -> Tensor:
        """The losses of the first steps of the epoch, on the CPU: this waits for the device."""
        assert self._losses is not None  # a step was taken
        return self._losses[:count].cpu()


def loss(model: nn.Module, inputs: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Cross-entropy of a batch, with the recipe's label smoothing; from the logits on in fp32 at
    least, whatever its precision."""
    with autocast(recipe.precision, inputs.device.type):
        logits = model(inputs)
    if not isinstance(logits, Tensor):
        raise ValueError(
            "in training the network must return its logits alone, as a tensor [batch, classes], "
            f"returns {type(logits).__name__}"
        )
    at_least_fp32 = torch.promote_types(logits.dtype, torch.float32)
    smoothing = recipe.label_smoothing
    return F.cross_entropy(logits.to(at_least_fp32), labels, label_smoothing=smoothing)
