import random

import numpy as np
import pytest
import torch

from lt_core import seeds


def first_numbers(*seed_and_purpose, count: int = 10) -> list[int]:
    return torch.randperm(count, generator=seeds.generator(*seed_and_purpose)).tolist()


@pytest.mark.parametrize(
    ("seed", "purpose", "numbers"),
    [
        (0, ["initialization"], [6, 4, 9, 5, 1, 3, 8, 2, 7, 0]),
        (0, ["data order"], [1, 6, 3, 8, 4, 5, 2, 7, 9, 0]),
        (1, ["data order"], [0, 1, 8, 2, 9, 7, 6, 4, 3, 5]),
    ],
)
def test_the_numbers_of_a_seed_and_purpose_never_change(seed, purpose, numbers):
    assert first_numbers(seed, *purpose) == numbers


def test_every_seed_and_every_purpose_has_numbers_of_its_own():
    of = [
        *((seed, "data order") for seed in range(100)),
        (-1, "data order"),
        (2**64, "data order"),
        (0, "masks"),
        (0, "masks", 1),
        (0, "masks", "1"),
        (0, "masks", 11),
        (0, "masks", 1, 1),
        (0, "masks1"),
        (0,),
    ]
    assert len({seeds.generator(*each).initial_seed() for each in of}) == len(of) == 109


def test_drawing_for_one_purpose_does_not_move_another():
    one, other = seeds.generator(0, "initialization"), seeds.generator(0, "data order")
    torch.rand(1000, generator=one)
    assert torch.randperm(10, generator=other).tolist() == [1, 6, 3, 8, 4, 5, 2, 7, 9, 0]


def test_a_seed_from_numpy_is_the_same_seed():
    assert first_numbers(np.arange(2)[1], "data order") == [0, 1, 8, 2, 9, 7, 6, 4, 3, 5]


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert first_numbers(0, "initialization") == [6, 4, 9, 5, 1, 3, 8, 2, 7, 0]
    assert torch.equal(torch.get_rng_state(), before)


CPU = torch.device("cpu")


def test_seeded_torch_draws_the_same_numbers_each_time_and_is_then_as_before():
    torch.manual_seed(1)
    undisturbed = torch.rand(2).tolist()
    torch.manual_seed(1)
    before = torch.rand(1).tolist()
    drawn = []
    for _ in range(2):
        with seeds.seeded(CPU, 0, "dropout", 15):
            drawn.append(torch.randperm(10).tolist())
    assert drawn[0] == drawn[1] == first_numbers(0, "dropout", 15)
    assert before + torch.rand(1).tolist() == undisturbed


def test_numpy_and_python_draw_from_the_seed_too_and_are_then_as_before():
    random.seed(1)
    np.random.seed(1)
    undisturbed = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    drawn = []
    for seed in (0, 0, 1):
        with seeds.seeded(CPU, seed, "dropout", 15):
            drawn.append((random.random(), np.random.rand()))
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[2][0] and drawn[0][1] != drawn[2][1]
    assert (random.random(), np.random.rand()) == undisturbed


def test_torch_is_as_before_even_where_what_it_was_seeded_for_fails():
    before = torch.manual_seed(1).get_state()
    with pytest.raises(KeyError), seeds.seeded(CPU, 0, "dropout", 15):
        torch.rand(1)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
