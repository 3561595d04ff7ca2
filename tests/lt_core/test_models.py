import hashlib
import math

import numpy as np
import pytest
import torch
from torch import nn

from lt_core import models
from lt_core.chain import find
from lt_core.config import Pruning, Recipe
from lt_core.data import DataSet, Split
from lt_core.evaluation import evaluate
from lt_core.mask import dense, num_weights, prunable_weights
from lt_core.models.cifar_resnet import Block, CifarResNet
from lt_core.names import MODELS


def build(
    name: str, seed: int = 0, channels: int = 3, classes: int = 10, size: int = 32
) -> nn.Module:
    return models.build(
        name, channels=channels, classes=classes, image_size=(size, size), seed=seed
    )


def digest(network: nn.Module) -> str:
    total = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        total.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


def test_every_name_that_a_sweep_may_say_is_built():
    assert set(models.BUILDERS) == set(MODELS)


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


@pytest.mark.parametrize(
    ("name", "channels", "classes", "size", "parameters", "prunable"),
    [
        # The counts that are published for CIFAR-10, less batch norm (two for each channel) and the
        # biases; resnet50 has 26,560 channels: 23,520,842 - 2 * 26,560 - 10.
        ("resnet18", 3, 10, 32, 11_173_962, 11_164_352),
        ("resnet34", 3, 10, 32, 21_282_122, 21_265_088),
        ("resnet50", 3, 10, 32, 23_520_842, 23_467_712),
        # Tiny ImageNet: 190 classes more, each with 512 or 2,048 weights and a bias.
        ("resnet18", 3, 200, 64, 11_173_962 + 190 * 513, 11_164_352 + 190 * 512),
        ("resnet50", 3, 200, 64, 23_520_842 + 190 * 2049, 23_467_712 + 190 * 2048),
        # Convolutions: 9 * (3 * 64 + 64**2 + 64 * 128 + 128**2 + 128 * 256 + 2 * 256**2
        # + 256 * 512 + 5 * 512**2) and 512 * 10; 4,224 channels, each with a bias and batch norm.
        ("vgg16", 3, 10, 32, 14_728_266, 14_715_584),
        ("lenet_300_100", 1, 10, 28, 266_610, 784 * 300 + 300 * 100 + 100 * 10),
    ],
)
def test_size_is_the_published_one(name, channels, classes, size, parameters, prunable):
    network = build(name, channels=channels, classes=classes, size=size)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert num_weights(dense(network)) == prunable


def test_the_first_convolution_keeps_the_whole_image_and_the_last_stage_an_eighth():
    shapes = {}
    network = build("resnet18", classes=200, size=64).eval()
    for name in ("maxpool", "layer1", "layer2", "layer3", "layer4"):
        network.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])})
        )
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 200)
    assert shapes == {
        "maxpool": (64, 64, 64),
        "layer1": (64, 64, 64),
        "layer2": (128, 32, 32),
        "layer3": (256, 16, 16),
        "layer4": (512, 8, 8),
    }


def test_vgg16_halves_the_image_four_times():
    network = build("vgg16").eval()
    assert network.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 2, 2)
    kinds = [type(layer).__name__ for layer in network.features]
    assert [kinds.count(kind) for kind in ("Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d")] == [
        13,
        13,
        13,
        4,
    ]


def test_the_layers_of_lenet():
    network = build("lenet_300_100", channels=1, size=28)
    assert {name: tuple(w.shape) for name, w in prunable_weights(network).items()} == {
        "fc1": (300, 784),
        "fc2": (100, 300),
        "fc": (10, 100),
    }
    image = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    hidden = network.fc1(image.reshape(2, 784)).clamp(min=0)
    assert torch.equal(network(image), network.fc(network.fc2(hidden).clamp(min=0)))


ANY_SIZE = ("small_resnet", "resnet20", "resnet32", "resnet56", "resnet18", "lenet_300_100")


@pytest.mark.parametrize("name", ANY_SIZE)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3)])
def test_any_image_size_gives_one_output_per_class(name, size, channels):
    network = build(name, channels=channels, classes=7, size=size)
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_vgg16_takes_16_pixels_and_says_so_for_fewer():
    network = build("vgg16", channels=1, size=16)
    assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    with pytest.raises(ValueError, match="needs 16x16 pixels or more, got 16x15"):
        models.build("vgg16", channels=1, classes=10, image_size=(16, 15), seed=0)


def test_images_need_not_be_square():
    for name in ("small_resnet", "lenet_300_100", "vgg16"):
        network = models.build(name, channels=1, classes=3, image_size=(16, 20), seed=0)
        assert network(torch.zeros(2, 1, 16, 20)).shape == (2, 3)


def test_a_name_that_is_not_known_is_told_with_those_that_are():
    with pytest.raises(ValueError, match=r"one of small_resnet, .*got 'vgg'; did you mean vgg16?"):
        build("vgg")


def noise(channels: int, classes: int, size: int) -> DataSet:
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (3, 2, channels, size, size)).astype(np.uint8)
    splits = (Split(images, np.array([0, classes - 1])) for images in pixels)
    return DataSet("noise", *splits, classes)


@pytest.mark.parametrize(
    ("name", "channels", "classes", "size"),
    [
        ("small_resnet", 1, 10, 8),
        ("resnet20", 1, 10, 8),
        pytest.param("resnet32", 1, 10, 8, marks=pytest.mark.nightly),
        pytest.param("resnet56", 1, 10, 8, marks=pytest.mark.nightly),
        ("resnet18", 3, 200, 64),
        pytest.param("resnet50", 3, 200, 16, marks=pytest.mark.nightly),  # 64 pixels take 10 s
        ("vgg16", 3, 10, 32),
        ("lenet_300_100", 1, 10, 28),
    ],
)
def test_every_network_trains_is_pruned_and_trains_again(name, channels, classes, size):
    recipe = Recipe(lr=0.01, batch_size=2, duration="2it")
    data = noise(channels, classes, size)
    found = next(find(name, data, recipe, Pruning(fraction=0.5), rounds=1, seed=0)).next_mask
    pruned = evaluate(name, data, found, recipe, seed=0)
    assert pruned.sparsity == pytest.approx(0.5, abs=1e-4)
    fresh = build(name, channels=channels, classes=classes, size=size)
    starts = prunable_weights(fresh)
    for layer, weight in prunable_weights(pruned.model).items():
        assert (weight[~found[layer]] == 0).all()
        assert not torch.equal(weight, starts[layer] * found[layer]), layer  # it trained


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


@pytest.mark.parametrize(
    ("network", "fan_ins"),
    [
        ("resnet20", {"blocks.0.conv1": 144, "blocks.8.conv2": 576, "fc": 64}),
        ("resnet18", {"conv1": 27, "layer4.0.conv1": 2304, "layer4.0.downsample.0": 256}),
        ("vgg16", {"features.0": 27, "features.40": 4608, "fc": 512}),
        ("lenet_300_100", {"fc1": 3072, "fc2": 300, "fc": 100}),
    ],
)
def test_weights_start_normal_with_variance_two_over_fan_in(network, fan_ins):
    weights = prunable_weights(build(network))
    for name, fan_in in fan_ins.items():
        standard = weights[name].detach() / math.sqrt(2 / fan_in)
        assert float(standard.mean()) == pytest.approx(0, abs=0.1)
        assert float(standard.std()) == pytest.approx(1, abs=0.05)
        assert standard.abs().max() > 2.5  # a uniform distribution of that variance ends at 1.73


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "vgg16"])
def test_batch_norm_starts_as_the_identity(name):
    for module in build(name).modules():
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
