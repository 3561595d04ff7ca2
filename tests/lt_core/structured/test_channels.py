import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lt_core import models
from lt_core.mask import prunable_weights
from lt_core.names import MODELS
from lt_core.structured.channels import Group, channel_groups

FUZZ = settings(max_examples=60, derandomize=True, deadline=None, database=None)


class Net(nn.Module):
    """A network of these layers and this forward function."""

    def __init__(self, run, **layers):
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.run(self, x)


def conv(before, after, **options):
    return nn.Conv2d(before, after, 3, padding=1, **options)


def groups_of(name, channels=3, size=32):
    network = models.build(
        name, channels=channels, classes=10, image_size=(size, size), seed=0
    ).train()
    return channel_groups(network, (channels, size, size))


# ---- the networks of the experiments


def test_small_resnet():
    assert groups_of("small_resnet", channels=1, size=8) == (
        Group(  # the stream of the first stage, through an identity shortcut
            size=8,
            writers=("conv", "blocks.0.conv2"),
            norms=("bn", "blocks.0.bn2"),
            readers=("blocks.0.conv1", "blocks.1.conv1", "blocks.1.shortcut.0"),
        ),
        Group(8, ("blocks.0.conv1",), ("blocks.0.bn1",), ("blocks.0.conv2",)),
        Group(16, ("blocks.1.conv1",), ("blocks.1.bn1",), ("blocks.1.conv2",)),
        Group(  # the second, begun by a projection shortcut
            size=16,
            writers=("blocks.1.conv2", "blocks.1.shortcut.0"),
            norms=("blocks.1.bn2", "blocks.1.shortcut.1"),
            readers=("blocks.2.conv1", "blocks.2.shortcut.0"),
        ),
        Group(32, ("blocks.2.conv1",), ("blocks.2.bn1",), ("blocks.2.conv2",)),
        Group(
            size=32,
            writers=("blocks.2.conv2", "blocks.2.shortcut.0"),
            norms=("blocks.2.bn2", "blocks.2.shortcut.1"),
            readers=("fc",),
        ),
    )


def test_the_stem_and_the_first_stage_of_resnet50():
    groups = groups_of("resnet50")
    assert groups[:7] == (
        Group(64, ("conv1",), ("bn1",), ("layer1.0.conv1", "layer1.0.downsample.0")),
        Group(64, ("layer1.0.conv1",), ("layer1.0.bn1",), ("layer1.0.conv2",)),
        Group(64, ("layer1.0.conv2",), ("layer1.0.bn2",), ("layer1.0.conv3",)),
        Group(
            size=256,
            writers=("layer1.0.conv3", "layer1.0.downsample.0", "layer1.1.conv3", "layer1.2.conv3"),
            norms=("layer1.0.bn3", "layer1.0.downsample.1", "layer1.1.bn3", "layer1.2.bn3"),
            readers=("layer1.1.conv1", "layer1.2.conv1", "layer2.0.conv1", "layer2.0.downsample.0"),
        ),
        Group(64, ("layer1.1.conv1",), ("layer1.1.bn1",), ("layer1.1.conv2",)),
        Group(64, ("layer1.1.conv2",), ("layer1.1.bn2",), ("layer1.1.conv3",)),
        Group(64, ("layer1.2.conv1",), ("layer1.2.bn1",), ("layer1.2.conv2",)),
    )
    # two inside each of 16 blocks, a stream for each of 4 stages, and the stem
    assert len(groups) == 16 * 2 + 4 + 1


def test_vgg16():
    sizes = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    at = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    readers = [f"features.{i}" for i in at[1:]] + ["fc"]
    assert groups_of("vgg16") == tuple(
        Group(size, (f"features.{i}",), (f"features.{i + 1}",), (reader,))
        for size, i, reader in zip(sizes, at, readers, strict=True)
    )


def test_lenet_300_100():
    assert groups_of("lenet_300_100", channels=1, size=28) == (
        Group(300, ("fc1",), (), ("fc2",)),
        Group(100, ("fc2",), (), ("fc",)),
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_but_the_first_reads_a_group_and_every_layer_but_the_last_writes_one(name):
    network = models.build(name, channels=3, classes=10, image_size=(32, 32), seed=0)
    groups = channel_groups(network, (3, 32, 32))
    layers = list(prunable_weights(network))
    norms = [n for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert sorted(name for g in groups for name in g.writers) == sorted(layers[:-1])
    assert sorted(name for g in groups for name in g.readers) == sorted(layers[1:])
    assert sorted(name for g in groups for name in g.norms) == sorted(norms)
    firsts = [layers.index(group.writers[0]) for group in groups]
    assert firsts == sorted(firsts)


# ---- networks of the user's own


def test_an_identity_shortcut_unites_what_its_branches_write():
    def run(net, x):
        x = net.stem(x)
        for block in net.blocks:
            x = x + block(x)  # before its activation: batch norms lie on the stream itself
        return net.fc(net.bn(x).relu().mean((2, 3)))

    def block():
        return nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), conv(4, 6), nn.ReLU6(), conv(6, 4))

    network = Net(
        run,
        stem=conv(3, 4),
        blocks=nn.ModuleList([block(), block()]),
        bn=nn.BatchNorm2d(4),
        fc=nn.Linear(4, 10),
    )
    assert channel_groups(network, (3, 8, 8)) == (
        Group(
            size=4,
            writers=("stem", "blocks.0.4", "blocks.1.4"),
            norms=("blocks.0.0", "blocks.1.0", "bn"),
            readers=("blocks.0.2", "blocks.1.2", "fc"),
        ),
        Group(6, ("blocks.0.2",), (), ("blocks.0.4",)),
        Group(6, ("blocks.1.2",), (), ("blocks.1.4",)),
    )


def test_streams_united_late_are_one_from_the_start():
    def run(net, x):
        a, b, c = net.a(x), net.b(x), net.c(x)
        read = net.read(a)
        return net.fc(torch.add(a, b + c).mean((2, 3))) + net.side(read.mean((2, 3)))

    network = Net(
        run,
        a=conv(3, 4),
        b=conv(3, 4),
        c=conv(3, 4),
        read=conv(4, 5),
        fc=nn.Linear(4, 10),
        side=nn.Linear(5, 10),
    )
    assert channel_groups(network, (3, 8, 8)) == (
        Group(4, ("a", "b", "c"), (), ("read", "fc")),
        Group(5, ("read",), (), ("side",)),
    )


def test_channels_added_to_themselves_are_named_once():
    def run(net, x):
        x = net.bn(net.conv(x))
        return net.fc((x + F.relu(x)).mean((2, 3)))

    network = Net(run, conv=conv(3, 4), bn=nn.BatchNorm2d(4), fc=nn.Linear(4, 10))
    assert channel_groups(network, (3, 8, 8)) == (Group(4, ("conv",), ("bn",), ("fc",)),)


def test_what_is_added_to_the_image_or_to_the_logits_is_never_pruned():
    def run(net, x):
        x = net.inner(net.image(x) + x)
        return net.one(x.mean((2, 3))) + net.two(x.mean((2, 3)))

    network = Net(run, image=conv(3, 3), inner=conv(3, 4), one=nn.Linear(4, 3), two=nn.Linear(4, 3))
    assert channel_groups(network, (3, 8, 8)) == (Group(4, ("inner",), (), ("one", "two")),)


def test_a_gate_lives_with_the_channels_it_multiplies():
    def run(net, x):
        x = net.conv(x)
        gate = torch.sigmoid(net.up(F.silu(net.down(F.adaptive_avg_pool2d(x, 1)))))
        return net.fc((x * gate).mean(dim=(-2, -1)))

    network = Net(
        run,
        conv=conv(3, 4),
        down=nn.Conv2d(4, 2, 1),
        up=nn.Conv2d(2, 4, 1),
        fc=nn.Linear(4, 10),
    )
    assert channel_groups(network, (3, 8, 8)) == (
        Group(4, ("conv", "up"), (), ("down", "fc")),
        Group(2, ("down",), (), ("up",)),
    )


FLATTENS = {
    "torch.flatten": lambda net, x: torch.flatten(x, 1),
    "flatten": lambda net, x: x.flatten(1),
    "nn.Flatten": lambda net, x: net.flat(x),
    "view": lambda net, x: x.view(x.size(0), -1),
    "view of a tuple": lambda net, x: x.view((x.shape[0], -1)),
    "view from sizes": lambda net, x: x.view(x.shape[0], x.shape[1] * x.shape[2] * x.shape[3]),
    "reshape": lambda net, x: torch.reshape(x, (x.size(0), -1)),
    "in two steps": lambda net, x: x.flatten(2).flatten(1),
}


@pytest.mark.parametrize("flatten", FLATTENS.values(), ids=FLATTENS)
def test_a_flatten_keeps_the_channels(flatten):
    def run(net, x):
        x = F.max_pool2d(F.relu(net.conv(x)), 2)
        return net.fc(F.dropout(net.bn(flatten(net, x)), training=net.training))

    network = Net(
        run,
        conv=conv(3, 4),
        flat=nn.Flatten(),
        bn=nn.BatchNorm1d(4 * 3 * 5),
        fc=nn.Linear(4 * 3 * 5, 10),
    )
    assert channel_groups(network, (3, 6, 10)) == (Group(4, ("conv",), ("bn",), ("fc",)),)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: x.mean((2, 3)),
        lambda x: torch.mean(x, [3, 2]),
        lambda x: x.mean(-1).mean(-1),
        lambda x: x.mean((2, 3), keepdim=True).squeeze(),
        lambda x: torch.flatten(F.adaptive_avg_pool2d(x, 1), 1),
        lambda x: F.avg_pool2d(x, x.shape[2:]).flatten(1),
    ],
)
def test_a_mean_over_the_image_keeps_the_channels(pool):
    network = Net(lambda net, x: net.fc(pool(net.conv(x))), conv=conv(3, 4), fc=nn.Linear(4, 10))
    assert channel_groups(network, (3, 8, 8)) == (Group(4, ("conv",), (), ("fc",)),)


def test_images_may_be_flattened_by_number_and_logits_normalized():
    network = Net(
        lambda net, x: F.log_softmax(net.fc2((net.fc1(x.view(-1, 48)) * 2 + 1) / 3), dim=1),
        fc1=nn.Linear(48, 5),
        fc2=nn.Linear(5, 10),
    )
    assert channel_groups(network, (3, 4, 4)) == (Group(5, ("fc1",), (), ("fc2",)),)
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.Linear(5, 10), nn.LogSoftmax(1))
    assert channel_groups(module, (3, 4, 4)) == (Group(5, ("1",), (), ("2",)),)


@pytest.mark.parametrize(
    "normalize", [lambda net, x: net.log(x), lambda net, x: F.log_softmax(x, dim=1)]
)
def test_channels_that_are_normalized_over_are_not_pruned(normalize):
    network = Net(
        lambda net, x: net.fc2(normalize(net, net.fc1(x.flatten(1)))),
        fc1=nn.Linear(48, 5),
        log=nn.LogSoftmax(1),
        fc2=nn.Linear(5, 10),
    )
    assert channel_groups(network, (3, 4, 4)) == ()


def test_network_order_is_that_of_the_layers_not_of_their_calls():
    network = Net(
        lambda net, x: net.a(torch.flatten(net.b(net.c(x)) + net.d(x), 1)),
        a=nn.Linear(4 * 64, 10),
        b=conv(5, 4),
        c=conv(3, 5),
        d=conv(3, 4),
    )
    assert channel_groups(network, (3, 8, 8)) == (
        Group(4, ("b", "d"), (), ("a",)),
        Group(5, ("c",), (), ("b",)),
    )


def test_what_runs_only_in_training_counts_in_either_mode():
    def run(net, x):
        x = net.conv(x)
        logits = net.fc(x.mean((2, 3)))
        return logits + net.extra(x.mean((2, 3))) if net.training else logits

    network = Net(run, conv=conv(3, 4), fc=nn.Linear(4, 10), extra=nn.Linear(4, 10))
    for mode in (True, False):
        expected = (Group(4, ("conv",), (), ("fc", "extra")),)
        assert channel_groups(network.train(mode), (3, 8, 8)) == expected
        assert network.training is mode


def test_one_activation_may_be_called_twice():
    network = Net(
        lambda net, x: net.fc(net.relu(net.b(net.relu(net.a(x)))).mean((2, 3))),
        a=conv(3, 4),
        b=conv(4, 5),
        relu=nn.ReLU(inplace=True),
        fc=nn.Linear(5, 10),
    )
    assert channel_groups(network, (3, 8, 8)) == (
        Group(4, ("a",), (), ("b",)),
        Group(5, ("b",), (), ("fc",)),
    )


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3), st.booleans()), min_size=1, max_size=4)
)
@FUZZ
def test_any_chain_of_stages_has_a_stream_for_each_and_a_group_in_each_block(stages):
    """Of stages (width, blocks, whether a plain convolution or a projected block begins it)."""
    layers, expected, before, stream = [], 0, 3, []
    for width, blocks, projected in stages:
        if projected:
            layers.append(Block(before, width, nn.Conv2d(before, width, 1)))
        else:
            layers.append(conv(before, width))
        layers += [Block(width, width, nn.Identity()) for _ in range(blocks)]
        expected += 1 + blocks + projected
        stream.append((width, 1 + blocks + projected))
        before = width
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))
    groups = channel_groups(network, (3, 4, 4))
    assert len(groups) == expected
    inner = [g for g in groups if g.size == 7]
    assert [(len(g.writers), len(g.readers)) for g in inner] == [(1, 1)] * len(inner)
    assert [(g.size, len(g.writers)) for g in groups if g.size != 7] == stream


class Block(nn.Module):
    def __init__(self, before, after, shortcut):
        super().__init__()
        self.shortcut = shortcut
        self.conv1 = conv(before, 7)
        self.conv2 = conv(7, after)

    def forward(self, x):
        return self.shortcut(x) + self.conv2(F.relu(self.conv1(x)))


# ---- what cannot be followed


class Odd(nn.Conv2d):
    def forward(self, x):
        return super().forward(x).flip(1)


def tied():
    a, b = nn.Linear(48, 48), nn.Linear(48, 48)
    b.weight = a.weight
    return nn.Sequential(nn.Flatten(), a, b)


def with_(run, **layers):
    """A convolution, `run` on what it gives and on the image, and a linear layer."""
    return Net(
        lambda net, x: net.fc(run(net, net.conv(x), x)),
        conv=conv(3, 4),
        fc=nn.Linear(4, 10),
        **layers,
    )


REFUSED = {
    "data-dependent": (
        with_(lambda net, y, x: y.mean((2, 3)) if y.sum() > 0 else y.amax((2, 3))),
        "TraceError: symbolically traced variables",
    ),
    "another image": (
        nn.Sequential(conv(1, 4), nn.ReLU()),
        "RuntimeError: ",
    ),
    "concatenation": (
        Net(
            lambda net, x: net.fc(torch.cat([net.a(x), net.b(x)], 1).mean((2, 3))),
            a=conv(3, 4),
            b=conv(3, 4),
            fc=nn.Linear(8, 10),
        ),
        r"cat\(\[a, b\], 1\) is not an operation it knows",
    ),
    "depthwise": (
        with_(lambda net, y, x: net.wise(y).mean((2, 3)), wise=conv(4, 4, groups=4)),
        r"wise \(Conv2d\) has groups=4",
    ),
    "called twice": (
        with_(lambda net, y, x: net.again(net.again(y)).mean((2, 3)), again=conv(4, 4)),
        r"again \(Conv2d\) is called twice",
    ),
    "batch norm called twice": (
        with_(lambda net, y, x: net.bn(net.bn(y)).mean((2, 3)), bn=nn.BatchNorm2d(4, affine=False)),
        r"bn \(BatchNorm2d\) is called twice",
    ),
    "tied": (tied(), "1 and 2 share a parameter"),
    "group norm": (
        with_(lambda net, y, x: net.norm(y).mean((2, 3)), norm=nn.GroupNorm(2, 4)),
        r"norm \(GroupNorm\) is not a layer it knows",
    ),
    "a weight for each channel": (
        with_(lambda net, y, x: net.act(y).mean((2, 3)), act=nn.PReLU(4)),
        r"act \(PReLU\) is not a layer it knows",
    ),
    "a subclass": (
        with_(lambda net, y, x: net.odd(y).mean((2, 3)), odd=Odd(4, 4, 1)),
        "odd.weight does not come from a layer",
    ),
    "parametrized": (
        with_(
            lambda net, y, x: net.spectral(y).mean((2, 3)),
            spectral=nn.utils.parametrizations.spectral_norm(conv(4, 4)),
        ),
        "",
    ),
    "a parameter of its own": (
        with_(lambda net, y, x: (y * net.scale).mean((2, 3)), scale=nn.Parameter(torch.ones(1))),
        "scale does not come from a layer",
    ),
    "linear over the width": (
        with_(lambda net, y, x: net.wide(y).mean((2, 3)), wide=nn.Linear(8, 8)),
        r"wide \(Linear\) gives 4 dimensions, not 2",
    ),
    "other axes": (
        with_(lambda net, y, x: y.transpose(1, 2).transpose(1, 2).mean((2, 3))),
        r"transpose\(conv, 1, 2\) is not an operation it knows",
    ),
    "a part": (
        with_(lambda net, y, x: y[:, :, ::2].mean((2, 3))),
        r"getitem\(conv, .*\) is not an operation it knows",
    ),
    "in parts": (
        with_(lambda net, y, x: y.chunk(2, 2)[0].mean((2, 3))),
        r"getitem\(chunk, 0\) does not come from a layer",
    ),
    "mean over channels": (
        with_(lambda net, y, x: (y + y.mean(1, keepdim=True)).mean((2, 3))),
        r"mean\(conv, 1\) is not a mean over the image alone",
    ),
    "mean over channels from behind": (
        with_(lambda net, y, x: (y + y.mean(dim=-3, keepdim=True)).mean((2, 3))),
        r"mean\(conv\) is not a mean over the image alone",
    ),
    "mean over all": (
        with_(lambda net, y, x: (y - y.mean()).mean((2, 3))),
        r"mean\(conv\) is not a mean over the image alone",
    ),
    "one channel added to all": (
        with_(lambda net, y, x: (y + net.one(x)).mean((2, 3)), one=conv(3, 1)),
        r"add\(conv, one\) joins channels of shapes \(4, 8, 8\) and \(1, 8, 8\)",
    ),
    "two layouts added": (
        Net(
            lambda net, x: net.fc(net.conv(x).flatten(1) + net.flat(x.flatten(1))),
            conv=conv(3, 4),
            flat=nn.Linear(192, 256),
            fc=nn.Linear(256, 10),
        ),
        r"add\(flatten, flat\) joins channels of shapes \(256,\) and \(256,\)",
    ),
    "one channel flattened": (
        Net(
            lambda net, x: net.fc(net.conv(x).flatten(1) + net.flat(x.flatten(1))),
            conv=conv(3, 1),
            flat=nn.Linear(192, 1),
            fc=nn.Linear(64, 10),
        ),
        r"add\(flatten, flat\) joins channels of shapes \(64,\) and \(1,\)",
    ),
    "division": (
        with_(lambda net, y, x: (y / (net.other(x) + 1)).mean((2, 3)), other=conv(3, 4)),
        r"truediv\(conv, add\) is not an operation it knows",
    ),
    "division of a number": (
        with_(lambda net, y, x: (1 / y).mean((2, 3))),
        r"truediv\(1, conv\) does not divide by a plain number",
    ),
    "number of channels": (
        with_(lambda net, y, x: (y * y.shape[1]).mean((2, 3))),
        r"mul\(conv, getitem\) takes a number that may depend on the number of channels",
    ),
    "fixed view": (
        with_(lambda net, y, x: F.adaptive_avg_pool2d(y, 1).view(-1, 4)),
        r"view\(adaptive_avg_pool2d, -1, 4\) fixes the number of channels; torch.flatten",
    ),
    "fixed reshape": (
        with_(lambda net, y, x: y.reshape(2, 4, 64).mean(2)),
        r"reshape\(conv, 2, 4, 64\) fixes the number of channels",
    ),
    "view that moves channels": (
        with_(lambda net, y, x: y.view(-1, y.size(2), 4, 8).mean((1, 3))),
        r"view\(.*\) makes \[8, 4, 8\] of \[4, 8, 8\]",
    ),
    "pooling over channels": (
        with_(
            lambda net, y, x: net.pool(y.flatten(2)).flatten(1),
            pool=nn.AdaptiveAvgPool2d(2),  # takes [batch, channels, pixels] for one image
        ),
        r"pool makes \[2, 2\] of \[4, 64\]",
    ),
    "two results": (
        Net(lambda net, x: (net.fc(x.flatten(1)), x), fc=nn.Linear(192, 10)),
        "it must return one tensor",
    ),
}


@pytest.mark.parametrize(("network", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused_by_name(network, reason):
    beginning = "^structured pruning cannot follow the channels of this network: "
    with pytest.raises(ValueError, match=f"{beginning}.*({reason})"):
        channel_groups(network, (3, 8, 8))


@pytest.mark.parametrize(
    "scale",
    [lambda net, x, y: net.flat(x.flatten(1)), lambda net, x, y: y.mean((2, 3))],
    ids=["of others", "of its own"],
)
def test_channels_that_meet_a_width_as_large_are_refused(scale):
    def run(net, x):
        y = net.conv(x)
        return net.fc((y * scale(net, x, y)).mean((2, 3)))

    network = Net(run, conv=conv(3, 4), flat=nn.Linear(24, 4), fc=nn.Linear(4, 10))
    with pytest.raises(ValueError, match=r"joins channels of shapes \(4, 2, 4\) and \(4,\)"):
        channel_groups(network, (3, 2, 4))


def test_the_network_is_not_changed():
    network = models.build("small_resnet", channels=3, classes=10, image_size=(8, 8), seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    channel_groups(network.eval(), (3, 8, 8))
    assert not network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
