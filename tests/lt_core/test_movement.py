import math

import torch

from lt_core.movement import Movement, moved

MASK = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True])}


def test_of_the_weights_alive():
    start = {"a": torch.tensor([3.0, 4.0, 9.0]), "b": torch.tensor([0.0])}
    end = {"a": torch.tensor([-1.0, 4.0, 0.0]), "b": torch.tensor([3.0])}
    # 4 and 3 away, the start is 5 long; one of three has another sign
    assert moved(start, end, MASK) == Movement(distance=1.0, sign_changes=1 / 3)


def test_nothing_moves():
    start = {"a": torch.tensor([3.0, -4.0, 9.0]), "b": torch.tensor([1.0])}
    assert moved(start, start, MASK) == Movement(0.0, 0.0)


def test_from_nothing_there_is_no_distance():
    zero = {"a": torch.zeros(3), "b": torch.zeros(1)}
    one = {"a": torch.ones(3), "b": torch.ones(1)}
    found = moved(zero, one, MASK)
    assert math.isnan(found.distance)
    assert found.sign_changes == 0


def test_of_no_weights():
    nothing = {"a": torch.tensor([False] * 3), "b": torch.tensor([False])}
    one = {"a": torch.ones(3), "b": torch.ones(1)}
    found = moved(one, one, nothing)
    assert math.isnan(found.distance)
    assert math.isnan(found.sign_changes)
