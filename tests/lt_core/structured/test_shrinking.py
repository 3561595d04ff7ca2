import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lt_core import models, seeds
from lt_core.mask import dense, num_alive
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1, live_channels, random_filters, with_dependents
from lt_core.structured.shrinking import shrink


class Gated(nn.Module):
    """Biases, an identity shortcut before its activation, a gate, a flatten, batch norm behind."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.body = nn.Sequential(
            nn.Conv2d(6, 5, 3, padding=1),
            nn.GELU(),
            nn.BatchNorm2d(5, affine=False),
            nn.Conv2d(5, 6, 3, padding=1),
        )
        self.gate = nn.Conv2d(6, 6, 1)
        self.behind = nn.BatchNorm1d(6 * 16)
        self.fc1 = nn.Linear(6 * 16, 7)
        self.fc2 = nn.Linear(7, 10)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.body(F.leaky_relu(self.bn(x)))
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        x = self.behind(F.max_pool2d(x, 2).view(x.size(0), -1))
        return self.fc2(F.silu(self.fc1(x)))


def gated() -> nn.Module:
    return Gated()


def bottlenecks() -> nn.Module:
    from torchvision.models.resnet import Bottleneck, ResNet

    network = ResNet(Bottleneck, [2, 1, 1, 1], num_classes=10, width_per_group=4)
    network.conv1 = nn.Conv2d(1, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def vgg() -> nn.Module:
    """`vgg16` in miniature: convolutions with a bias, then batch norm."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )


def named(name: str):
    return lambda: models.build(name, channels=1, classes=10, image_size=(8, 8), seed=0)


NETWORKS = {
    "small_resnet": named("small_resnet"),
    "resnet20": named("resnet20"),
    "lenet_300_100": named("lenet_300_100"),
    "vgg": vgg,
    "bottlenecks": bottlenecks,
    "gated": gated,
}
every_network = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def built(build, dtype=torch.float64) -> nn.Module:
    """With batch norms that have seen data, as after a training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build().to(dtype)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                if module.affine:
                    module.weight.data.uniform_(0.5, 1.5)
                    module.bias.data.normal_()
        return network


def parameters_of(network, mask):
    """The parameters that a mask names, by layer or by full name, each with its mask."""
    parameters = dict(network.named_parameters())
    return [
        (parameters.get(name, parameters.get(f"{name}.weight")), alive)
        for name, alive in mask.items()
    ]


@torch.no_grad()
def prune(network, mask) -> None:
    for parameter, alive in parameters_of(network, mask):
        parameter *= alive


def train(network, mask, steps=5):
    """SGD on noise under `mask`; the logits of each step."""
    noise = seeds.generator(0, "noise")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-3)
    network.train()
    seen = []
    for _ in range(steps):
        images = torch.randn(8, 1, 8, 8, generator=noise, dtype=torch.float64)
        labels = torch.randint(10, (8,), generator=noise)
        logits = network(images)
        optimizer.zero_grad()
        F.cross_entropy(logits, labels).backward()
        for parameter, alive in parameters_of(network, mask):
            parameter.grad *= alive
        optimizer.step()
        seen.append(logits.detach())
    return torch.stack(seen)


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def assert_same_state(a, b):
    assert list(a.state_dict()) == list(b.state_dict())
    for name, value in a.state_dict().items():
        assert_close(value, b.state_dict()[name])


IMAGES = torch.randn(8, 1, 8, 8, generator=seeds.generator(1, "noise"), dtype=torch.float64)


@every_network
@pytest.mark.parametrize("dependents", [True, False])
def test_the_smaller_network_computes_and_trains_as_the_masked_one(build, dependents):
    network = built(build)
    groups = channel_groups(network, (1, 8, 8))
    mask = filter_l1(network, groups, 0.4)
    zeroed = with_dependents(network, groups, mask) if dependents else mask
    small = shrink(network, groups, mask)
    prune(network, zeroed)
    assert_close(small.eval()(IMAGES), network.eval()(IMAGES))

    masked_logits = train(network, zeroed)
    assert_close(train(small, {}), masked_logits)
    assert masked_logits.std(0).min() > 1e-3  # the steps moved something
    assert_close(small.eval()(IMAGES), network.eval()(IMAGES))
    assert_same_state(small, shrink(network, groups, mask))


@every_network
def test_gradients_are_those_of_what_lives(build):
    network = built(build)
    groups = channel_groups(network, (1, 8, 8))
    mask = random_filters(
        groups, filter_l1(network, groups, 0.4), seeds.generator(0, "structured test")
    )
    small = shrink(network, groups, mask)
    prune(network, mask)
    for model in (network, small):
        F.cross_entropy(model(IMAGES), torch.arange(8)).backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.grad)
    expected = shrink(network, groups, mask)
    for name, parameter in small.named_parameters():
        assert_close(parameter.grad, expected.get_parameter(name).detach())


@pytest.mark.parametrize("build", [named("small_resnet"), bottlenecks, vgg, gated])
def test_nothing_of_a_pruned_channel_is_left_after_training(build):
    """Fails where batch norm or a bias of a pruned channel is not pruned with it."""
    network = built(build)
    groups = channel_groups(network, (1, 8, 8))
    mask = filter_l1(network, groups, 0.4)
    everything = with_dependents(network, groups, mask)
    prune(network, everything)
    train(network, everything)
    seen = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out.clone()}))
    network(IMAGES)
    for group, channels in zip(groups, live_channels(groups, mask), strict=True):
        assert int(channels.sum()) < group.size
        for name in (*group.writers, *group.norms):
            out = seen[name].view(8, group.size, -1)
            assert not out[:, ~channels].any(), name
            assert out[:, channels].abs().amax((0, 2)).all(), name
    small = shrink(network, groups, mask)
    alive = sum(int((parameter != 0).sum()) for parameter in network.parameters())
    assert alive == sum(parameter.numel() for parameter in small.parameters())


def test_half_of_small_resnet_by_hand():
    network = named("small_resnet")()
    groups = channel_groups(network, (1, 8, 8))
    mask = filter_l1(network, groups, 0.5)
    small = shrink(network, groups, mask)
    assert {name: tuple(p.shape) for name, p in small.named_parameters() if p.ndim > 1} == {
        "conv.weight": (4, 1, 3, 3),
        "blocks.0.conv1.weight": (4, 4, 3, 3),
        "blocks.0.conv2.weight": (4, 4, 3, 3),
        "blocks.1.conv1.weight": (8, 4, 3, 3),
        "blocks.1.conv2.weight": (8, 8, 3, 3),
        "blocks.1.shortcut.0.weight": (8, 4, 1, 1),
        "blocks.2.conv1.weight": (16, 8, 3, 3),
        "blocks.2.conv2.weight": (16, 16, 3, 3),
        "blocks.2.shortcut.0.weight": (16, 8, 1, 1),
        "fc.weight": (10, 16),
    }
    # 36 + 144 + 144 + 288 + 576 + 32 + 1152 + 2304 + 128 + 160, 10 biases, and weight and bias of
    # batch norm: 2 * (4 * 3 + 8 * 3 + 16 * 3)
    assert sum(p.numel() for p in small.parameters()) == 4_964 + 10 + 168
    assert num_alive(dense(small)) == num_alive(mask) == 4_964
    assert repr(small.blocks[1].conv1).startswith("Conv2d(4, 8,")
    assert repr(small.blocks[1].bn1).startswith("BatchNorm2d(8,")
    assert repr(small.fc).startswith("Linear(in_features=16, out_features=10,")


def test_half_of_resnet20_by_hand():
    network = models.build("resnet20", channels=3, classes=10, image_size=(32, 32), seed=0)
    groups = channel_groups(network, (3, 32, 32))
    small = shrink(network, groups, filter_l1(network, groups, 0.5))
    # Widths 8, 16 and 32. Stem 216; stages 6 * 576, 1152 + 5 * 2304 + 128 and
    # 4608 + 5 * 9216 + 512; batch norms over 7 * 8, 7 * 16 and 7 * 32 channels; fc 330.
    expected = 216 + 3_456 + 12_800 + 51_200 + 2 * 392 + 330
    assert sum(p.numel() for p in small.parameters()) == expected == 68_786


def test_the_weights_are_those_of_the_live_channels():
    network = nn.Sequential(
        nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(6, 2, bias=False)
    )
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([3.0, 1.0, 2.0]).view(3, 1, 1, 1)
        network[0].bias[:] = torch.tensor([30.0, 10.0, 20.0])
        network[1].weight[:] = torch.tensor([300.0, 100.0, 200.0])
        network[1].bias[:] = torch.tensor([-3.0, -1.0, -2.0])
        network[1].running_mean[:] = torch.tensor([0.3, 0.1, 0.2])
        network[1].running_var[:] = torch.tensor([33.0, 11.0, 22.0])
        network[3].weight[:] = torch.arange(12).view(2, 6)
    groups = channel_groups(network, (1, 1, 2))
    small = shrink(network, groups, filter_l1(network, groups, 0.3))
    state = {name: value.flatten().tolist() for name, value in small.state_dict().items()}
    assert state == {
        "0.weight": [3, 2],
        "0.bias": [30, 20],
        "1.weight": [300, 200],
        "1.bias": [-3, -2],
        "1.running_mean": pytest.approx([0.3, 0.2]),
        "1.running_var": [33, 22],
        "1.num_batches_tracked": [0],
        "3.weight": [0, 1, 4, 5, 6, 7, 10, 11],
    }
    assert repr(small[3]) == "Linear(in_features=4, out_features=2, bias=False)"


def test_linear_layers_shrink_on_both_sides():
    network = named("lenet_300_100")()
    groups = channel_groups(network, (1, 8, 8))
    small = shrink(network, groups, filter_l1(network, groups, 0.2))
    assert repr(small.fc1) == "Linear(in_features=64, out_features=240, bias=True)"
    assert repr(small.fc2) == "Linear(in_features=240, out_features=80, bias=True)"
    assert repr(small.fc) == "Linear(in_features=80, out_features=10, bias=True)"
    assert [tuple(p.shape) for p in small.parameters()] == [
        *((240, 64), (240,)),
        *((80, 240), (80,)),
        *((10, 80), (10,)),
    ]


def test_the_network_given_is_left_as_it_is():
    network = named("small_resnet")().eval()
    network.conv.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    groups = channel_groups(network, (1, 8, 8))
    small = shrink(network, groups, filter_l1(network, groups, 0.5))
    with torch.no_grad():
        for value in small.state_dict().values():
            value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not small.training
    assert not small.conv.weight.requires_grad and small.fc.weight.requires_grad
    assert isinstance(small.fc.weight, nn.Parameter)


def test_nothing_pruned_is_the_same_network():
    network = built(gated)
    small = shrink(network, channel_groups(network, (1, 8, 8)), dense(network))
    assert_same_state(small, network)


def test_batch_norm_without_statistics_shrinks():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 1),
        nn.BatchNorm2d(4, affine=False, track_running_stats=False),
        nn.Conv2d(4, 2, 1),
        nn.Flatten(),
    ).double()
    groups = channel_groups(network, (1, 8, 8))
    mask = filter_l1(network, groups, 0.5)
    small = shrink(network, groups, mask)
    prune(network, mask)
    assert_close(small(IMAGES), network(IMAGES))


def test_a_smaller_network_can_be_pruned_again():
    network = built(named("small_resnet"))
    # the second time 18 + 2 * 36 + 72 + 144 + 8 + 288 + 576 + 32 + 80
    for size in (4_964, 1_290):
        groups = channel_groups(network, (1, 8, 8))
        network = shrink(network, groups, filter_l1(network, groups, 0.5))
        assert num_alive(dense(network)) == size
    assert network(IMAGES).shape == (8, 10)


def test_a_mask_of_single_weights_is_refused():
    network = named("small_resnet")()
    mask = dict(dense(network))
    mask["blocks.1.conv1"][0, 0, 0, 0] = False
    with pytest.raises(ValueError, match=r"not a mask of whole filters: blocks\.1\.conv1"):
        shrink(network, channel_groups(network, (1, 8, 8)), mask)
