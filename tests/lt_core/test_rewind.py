import torch

from lt_core import models, rewind
from lt_core.config import Recipe
from lt_core.data.batches import Batches
from lt_core.mask import dense
from lt_core.train import train


def test_it_is_the_network_of_that_seed_for_that_data(digits):
    network = rewind.to_initialization("small_resnet", digits, seed=3)
    fresh = models.build(
        "small_resnet", channels=1, classes=10, image_size=(8, 8), seed=3
    ).state_dict()
    assert network.state_dict().keys() == fresh.keys()
    for name, value in network.state_dict().items():
        assert torch.equal(value, fresh[name]), name


def test_weights_biases_and_batch_norm_are_as_before_a_training(digits):
    before = rewind.to_initialization("small_resnet", digits, seed=0).state_dict()
    trained = rewind.to_initialization("small_resnet", digits, seed=0)
    recipe = Recipe(lr=0.1, batch_size=64, duration="2it")
    train(trained, dense(trained), Batches(digits, digits.train, "cpu"), recipe, seed=0)
    after = rewind.to_initialization("small_resnet", digits, seed=0).state_dict()
    for name, value in trained.state_dict().items():
        assert not torch.equal(value, before[name]), name  # training moved each of them
        assert torch.equal(after[name], before[name]), name
