import dataclasses
import math

import pytest
import torch
from torch import nn

from lt_core.barrier import between, worst_between
from lt_core.config import Recipe
from lt_core.data import DataSet, Split
from lt_core.evaluation import evaluate, evaluating
from lt_core.mask import dense
from lt_core.movement import Movement
from lt_core.rewind import to_initialization
from lt_core.training_loop import drained

RECIPE = Recipe(lr=0.1, batch_size=100, duration="4it")


def test_what_counts_is_not_interpolated():
    start = {"weight": torch.tensor([1.0, -2.0]), "num_batches_tracked": torch.tensor(3)}
    end = {"weight": torch.tensor([2.0, 2.0]), "num_batches_tracked": torch.tensor(7)}
    found = between(start, end, 0.25)
    # A quarter of the way: 1 + 1/4, -2 + 4/4.
    assert found["weight"].tolist() == [1.25, -1.0]
    assert found["num_batches_tracked"] == 7


class Bowl(nn.Module):
    """Class 1 where (weight + brightness)^2 is more than 0.05, else class 0."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x):
        found = (self.weight + x.flatten(1)[:, :1]) ** 2 - 0.05
        return torch.cat((torch.zeros_like(found), found), 1)


def test_the_worst_on_validation_is_found_and_measured_on_test(digits):
    pixels = torch.zeros(2, 1, 1, 1, dtype=torch.uint8).numpy()
    both = Split(pixels, torch.tensor([1, 0]).numpy())
    ones = Split(pixels, torch.tensor([1, 1]).numpy())
    data = DataSet("made", both, ones, both, 2, augment=False)
    vars(data)["mean_and_std"] = tuple(torch.full((1, 1, 1), v).numpy() for v in (0.0, 1.0))
    given, orders = iter([-1.0, 0.5]), []

    def train(recipe, checkpoints):
        orders.append((recipe.order_seed, checkpoints))
        yield None
        plain = evaluate("small_resnet", digits, mask, RECIPE, seed=0)
        return dataclasses.replace(plain, model=Bowl(next(given)), seconds=1.0)

    mask = dense(to_initialization("small_resnet", digits, seed=0))
    found = drained(worst_between(train, RECIPE, data, "kept", seed=0))
    # At both ends the square, 1 and 0.25, is more than 0.05: class 1 is right for both images of
    # validation. Between, at weight -1 + 1.5 share, it is less at shares 0.6 (-0.1), 0.7 (0.05) and
    # 0.8 (0.2): no image is right. Of test images, one of each class, one is, wherever.
    assert (found.val_accuracy, found.test_accuracy) == (0.0, 0.5)
    assert found.model.weight.item() == pytest.approx(-0.1)  # the first of the worst
    assert found.seconds > 2.0
    assert [kept for _, kept in orders] == [None, "kept"]
    assert orders[0][0] is None and orders[1][0] not in (None, 0)


def test_trainings_that_draw_alike_have_no_barrier(digits):
    everything = dense(to_initialization("small_resnet", digits, seed=3))

    def train(recipe, checkpoints):  # whatever the order
        at = recipe.model_copy(update={"order_seed": None})
        return evaluating("small_resnet", digits, everything, at, seed=3, watched=False)

    alone = evaluate("small_resnet", digits, everything, RECIPE, seed=3)
    found = drained(worst_between(train, RECIPE, digits, seed=3))
    same = ("val_accuracy", "test_accuracy", "train_loss", "movement", "sparsity")
    assert all(getattr(found, name) == getattr(alone, name) for name in same)
    assert isinstance(found.movement, Movement) and math.isfinite(found.movement.distance)


def test_another_order_is_the_same_each_time(digits):
    everything = dense(to_initialization("small_resnet", digits, seed=3))

    def train(recipe, checkpoints):
        return evaluating("small_resnet", digits, everything, recipe, seed=3, watched=False)

    one, other = (drained(worst_between(train, RECIPE, digits, seed=3)) for _ in range(2))
    assert one.val_accuracy == other.val_accuracy
    assert one.train_loss == other.train_loss
    assert one.train_loss != evaluate("small_resnet", digits, everything, RECIPE, seed=3).train_loss
