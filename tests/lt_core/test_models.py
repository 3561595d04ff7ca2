import hashlib
import math
from typing import get_args

import pytest
import torch
from torch import nn

from lt_core import models
from lt_core.config import ModelName
from lt_core.mask import dense, num_weights, prunable_weights
from lt_core.models.cifar_resnet import Block, CifarResNet


def build(name: str, seed: int = 0, channels: int = 3) -> nn.Module:
    return models.build(name, channels=channels, classes=10, seed=seed)


def digest(network: nn.Module) -> str:
    total = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        total.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


def test_every_name_that_a_sweep_may_say_is_built():
    assert set(models.BUILDERS) == set(get_args(ModelName))


@pytest.mark.parametrize(
    ("name", "parameters", "prunable", "depth"),
    [
        ("resnet20", 272_474, 270_896, 20),
        ("resnet32", 466_906, 464_432, 32),
        ("resnet56", 855_770, 851_504, 56),
    ],
)
def test_size_and_depth(name, parameters, prunable, depth):
    network = build(name)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert num_weights(dense(network)) == prunable
    main_path = [layer for layer in prunable_weights(network) if "shortcut" not in layer]
    assert len(main_path) == depth
    assert len(prunable_weights(network)) == depth + 2


def test_the_layers_of_small_resnet_in_order():
    network = build("small_resnet", channels=1)
    assert {name: tuple(w.shape) for name, w in prunable_weights(network).items()} == {
        "conv": (8, 1, 3, 3),
        "blocks.0.conv1": (8, 8, 3, 3),
        "blocks.0.conv2": (8, 8, 3, 3),
        "blocks.1.conv1": (16, 8, 3, 3),
        "blocks.1.conv2": (16, 16, 3, 3),
        "blocks.1.shortcut.0": (16, 8, 1, 1),
        "blocks.2.conv1": (32, 16, 3, 3),
        "blocks.2.conv2": (32, 32, 3, 3),
        "blocks.2.shortcut.0": (32, 16, 1, 1),
        "fc": (10, 32),
    }
    assert list(prunable_weights(network))[0::3] == [
        "conv",
        "blocks.1.conv1",
        "blocks.2.conv1",
        "fc",
    ]
    # 72 + 2 * 576 + 1152 + 2304 + 128 + 4608 + 9216 + 512 + 320
    assert num_weights(dense(network)) == 19_464
    # and 10 biases, and weight and bias of batch norm: 2 * (8 * 3 + 16 * 3 + 32 * 3)
    assert sum(p.numel() for p in network.parameters()) == 19_464 + 10 + 336


def test_resnet20_doubles_its_width_where_it_halves_the_image():
    shapes = []
    network = build("resnet20")
    for block in network.blocks:
        block.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape)))
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert shapes == [(2, 16, 32, 32)] * 3 + [(2, 32, 16, 16)] * 3 + [(2, 64, 8, 8)] * 3


@pytest.mark.parametrize("name", models.BUILDERS)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3)])
def test_any_image_size_gives_one_output_per_class(name, size, channels):
    network = models.build(name, channels=channels, classes=7, seed=0)
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_every_batch_norm_and_the_mean_over_the_image_are_on_the_path():
    network, last = build("small_resnet"), []
    network.blocks.register_forward_hook(lambda _, __, out: last.append(out))
    image = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = network(image)
    mean = nn.functional.adaptive_avg_pool2d(last[0], 1).flatten(1)
    assert torch.allclose(logits, network.fc(mean), atol=1e-5)
    used = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [int(norm.num_batches_tracked) for norm in used] == [1] * 9


def test_a_depth_that_is_no_resnet_is_refused():
    with pytest.raises(AssertionError, match="18"):
        CifarResNet(18, 16, 3, 10)


def test_a_block_adds_its_shortcut_before_the_last_relu():
    image = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    block = Block(8, 8, stride=1).eval()
    nn.init.zeros_(block.bn2.weight)  # the two convolutions now give nothing
    assert torch.equal(block(image), image.relu())
    block = Block(8, 16, stride=2).eval()
    nn.init.zeros_(block.bn2.weight)
    assert torch.equal(block(image), block.shortcut(image).relu())
    assert block(image).shape == (2, 16, 2, 2)


def test_a_block_has_two_convolutions_each_with_batch_norm_and_a_relu_between():
    image = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    block = Block(8, 8, stride=1)
    inner = torch.conv2d(image, block.conv1.weight, padding=1)
    inner = (inner - inner.mean((0, 2, 3), True)) / inner.var((0, 2, 3), False, keepdim=True).sqrt()
    inner = torch.conv2d(inner.relu(), block.conv2.weight, padding=1)
    inner = (inner - inner.mean((0, 2, 3), True)) / inner.var((0, 2, 3), False, keepdim=True).sqrt()
    assert torch.allclose(block(image), (inner + image).relu(), atol=1e-3)


def test_weights_start_normal_with_variance_two_over_fan_in():
    weights = prunable_weights(build("resnet20"))
    for name, fan_in in [("blocks.0.conv1", 144), ("blocks.8.conv2", 576), ("fc", 64)]:
        standard = weights[name].detach() / math.sqrt(2 / fan_in)
        assert float(standard.mean()) == pytest.approx(0, abs=0.1)
        assert float(standard.std()) == pytest.approx(1, abs=0.05)
        assert standard.abs().max() > 2.5  # a uniform distribution of that variance ends at 1.73


def test_batch_norm_starts_as_the_identity():
    for module in build("resnet20").modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first = build("small_resnet", seed=0)
    assert digest(build("small_resnet", seed=0)) == digest(first)
    other = prunable_weights(build("small_resnet", seed=1))
    for name, weight in prunable_weights(first).items():
        assert not torch.equal(weight, other[name]), name


def test_the_same_seed_gives_the_same_bits_in_another_process(in_another_process):
    code = "import torch, test_models as t; print(t.digest(t.build('small_resnet', seed=3)))"
    assert in_another_process(code) == digest(build("small_resnet", seed=3))


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(0)
    first, state = digest(build("small_resnet")), torch.get_rng_state()
    assert torch.equal(torch.manual_seed(0).get_state(), state)
    torch.manual_seed(1)
    assert digest(build("small_resnet")) == first


def test_the_generators_of_accelerators_are_not_moved_either(monkeypatch):
    moved = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", moved.append)
    build("small_resnet")
    assert moved == []
    torch.manual_seed(0)
    assert moved == [0]  # so the line before could have failed
