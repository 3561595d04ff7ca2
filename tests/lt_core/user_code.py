"""Networks as users write them, each with what its name says."""

import itertools
import random
import sys
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from lt_core.data import DataSet, Split


def layers(channels, classes, image_size):
    height, width = image_size
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 16),
        nn.ReLU(),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Linear(16, classes),
    )


plain = layers


class Around(nn.Module):
    """A network of layers, and what a forward pass does besides."""

    def __init__(self, **shape):
        super().__init__()
        self.net = layers(**shape)

    def forward(self, x):
        return self.net(x)


def view_flatten(channels, classes, image_size):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(channels, 8, 3, padding=1)
            self.fc = nn.Linear(8 * image_size[0] * image_size[1], classes)

        def forward(self, x):
            return self.fc(F.relu(self.conv(x)).view(len(x), -1))

    return Net()


def reshape_flatten(**shape):
    net = view_flatten(**shape)
    net.forward = lambda x: net.fc(F.relu(net.conv(x)).flatten(1))
    return net


def class_ruled_out(**shape):
    class Net(Around):
        def forward(self, x):
            logits = super().forward(x)
            return F.pad(logits, (0, 1), value=-torch.inf) if self.training else logits

    return Net(**shape)


def fp32_in_forward(**shape):
    class Net(Around):
        def forward(self, x):
            logits = self.net(x)
            if logits.dtype != torch.float32:
                raise TypeError(f"made for float32, not {logits.dtype}")
            return logits

    return Net(**shape)


def tied(**shape):
    net = layers(**shape)
    net[5].weight = net[3].weight
    return net


def weight_norm(**shape):
    net = layers(**shape)
    parametrizations.weight_norm(net[3])
    return net


def old_weight_norm(**shape):
    net = layers(**shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is deprecated, and in use
        nn.utils.weight_norm(net[3])
    return net


def spectral_norm(**shape):
    net = layers(**shape)
    parametrizations.spectral_norm(net[5])
    return net


def frozen(**shape):
    net = layers(**shape)
    net[1].requires_grad_(False)
    return net


def all_frozen(**shape):
    return layers(**shape).requires_grad_(False)


def unused(**shape):
    net = Around(**shape)
    net.spare_head = nn.Linear(16, shape["classes"])
    return net


def detached(**shape):
    class Net(Around):
        def forward(self, x):
            return self.net[3:](self.net[:3](x).detach())

    return Net(**shape)


class _Auxiliary(Around):
    def __init__(self, **shape):
        super().__init__(**shape)
        height, width = shape["image_size"]
        self.aux = nn.Linear(shape["channels"] * height * width, shape["classes"])

    def forward(self, x):
        logits = self.net(x)
        return (logits, self.aux(x.flatten(1))) if self.training else logits


def two_outputs_in_training(**shape):
    return _Auxiliary(**shape)


def numpy_weights(**shape):
    net = layers(**shape)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                drawn = np.random.normal(0, 0.1, layer.weight.shape)
                layer.weight.copy_(torch.from_numpy(drawn))
    return net


def python_weights(**shape):
    net = layers(**shape)
    nn.init.constant_(net[7].bias, random.random())
    return net


def unseeded_weights(**shape):
    net = layers(**shape)
    drawn = np.random.default_rng().normal(0, 0.1, net[1].weight.shape)
    net[1].weight.data = torch.from_numpy(drawn).float()
    return net


_built = {}


def one_object(**shape):
    return _built.setdefault("net", layers(**shape))


def one_backbone(**shape):
    body = _built.setdefault("body", layers(**shape)[:7])
    return nn.Sequential(*body, nn.Linear(16, shape["classes"]))


def seeds_torch(**shape):
    torch.manual_seed(0)
    return layers(**shape)


def extra_state(**shape):
    class Flatten(nn.Flatten):
        def get_extra_state(self):
            return {"version": 1}

        def set_extra_state(self, state):
            pass

    net = layers(**shape)
    net[0] = Flatten()
    return net


def numpy_in_forward(**shape):
    class Net(Around):
        def forward(self, x):
            noise = np.random.normal(0, 0.1, x.shape) if self.training else 0.0
            return self.net(x + torch.as_tensor(noise, dtype=x.dtype))

    return Net(**shape)


def python_in_forward(**shape):
    class Net(Around):
        def forward(self, x):
            return self.net(x * (random.random() if self.training else 1.0))

    return Net(**shape)


def unseeded_in_forward(**shape):
    generator = np.random.default_rng()

    class Net(Around):
        def forward(self, x):
            return self.net(x * (generator.random() if self.training else 1.0))

    return Net(**shape)


def counts_its_steps(**shape):
    class Net(Around):
        steps = 0

        def forward(self, x):
            self.steps += self.training
            return self.net(x / (1 + self.steps))

    return Net(**shape)


def counts_in_a_buffer(**shape):
    class Net(Around):
        def __init__(self, **shape):
            super().__init__(**shape)
            self.register_buffer("steps", torch.tensor(0.0))

        def forward(self, x):
            if self.training:
                self.steps += 1
            return self.net(x / (1 + self.steps))

    return Net(**shape)


_calls = itertools.count()


def keeps_from_one_to_the_next(**shape):
    class Net(Around):
        def forward(self, x):
            return self.net(x / (1 + next(_calls)) if self.training else x)

    return Net(**shape)


def attention(channels, classes, image_size):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(channels, 32, 2, stride=2)
            self.encoder = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
            self.head = nn.Linear(32, classes)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(self.encoder(x).mean(1))

    return Net()


def in_one_dimension(channels, classes, image_size):
    height, width = image_size
    return nn.Sequential(
        nn.Flatten(2),
        nn.Conv1d(channels, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * (height * width - 2), classes),
    )


class StandardizedConv(nn.Conv2d):
    def forward(self, x):
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        std = self.weight.std((1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / (std + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def _with_convolution(conv, channels, classes, image_size):
    height, width = image_size
    return nn.Sequential(
        conv(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * height * width, classes),
    )


def standardized(**shape):
    return _with_convolution(StandardizedConv, **shape)


class ScaledConv(nn.Conv2d):
    """An equalized learning rate (Karras et al. 2018): what is 0 stays 0."""

    def forward(self, x):
        return F.conv2d(x, 0.5 * self.weight, self.bias, self.stride, self.padding)


def scaled(**shape):
    return _with_convolution(ScaledConv, **shape)


class CentredLinear(nn.Linear):
    def forward(self, x):
        return F.linear(input=x, weight=self.weight - self.weight.mean(), bias=self.bias)


def centred(**shape):
    net = layers(**shape)
    net[5] = CentredLinear(16, 16)
    return net


def _with_dropout(activation=F.relu, rate=0.5, scale=1.0, first=0, **shape):
    class Net(Around):
        def __init__(self, **shape):
            super().__init__(**shape)
            self.drop = nn.Dropout(rate)

        def forward(self, x):
            x = activation(self.net[1](self.net[0](x)))
            for layer in (self.net[3], self.net[5])[first:]:
                x = activation(layer(x))
            return self.net[7](self.drop(scale * x))

    return Net(**shape)


def with_dropout(**shape):
    return _with_dropout(**shape)


def with_dropout_gelu(**shape):
    return _with_dropout(F.gelu, **shape)


def with_dropout_without_a_layer(**shape):
    return _with_dropout(first=1, **shape)


def with_dropout_less_dropout(**shape):
    return _with_dropout(rate=0.4, **shape)


def with_dropout_half_the_signal(**shape):
    return _with_dropout(scale=0.5, **shape)


def with_dropout_less_function(**shape):
    """Of a function, which no layer shows."""
    net = _with_dropout(**shape)
    net.drop.forward = lambda x: F.dropout(x, 0.4, net.training)
    return net


def zero_head(activation=F.relu, **shape):
    net = _with_dropout(activation, **shape)
    nn.init.zeros_(net.net[7].weight)
    nn.init.zeros_(net.net[7].bias)
    return net


def zero_head_of_gelu(**shape):
    return zero_head(F.gelu, **shape)


def for_batches_of_16(channels, classes, image_size):
    class Net(Around):
        def forward(self, x):
            return self.net(x.reshape(16 if self.training else len(x), -1, *image_size))

    return Net(channels=channels, classes=classes, image_size=image_size)


def in_doubles(**shape):
    return layers(**shape).double()


def infinite(**shape):
    class Net(Around):
        def forward(self, x):
            return self.net(x) / (0.0 if self.training else 1.0)

    return Net(**shape)


def fails_in_training(**shape):
    class Net(Around):
        def forward(self, x):
            if self.training:
                return self.nets(x)  # a slip
            return self.net(x)

    return Net(**shape)


def exits_in_training(**shape):
    class Net(Around):
        def forward(self, x):
            return sys.exit("no licence") if self.training else self.net(x)

    return Net(**shape)


class _Three(nn.Module):
    """Three layers whose forward pass subclasses change."""

    def __init__(self, channels, classes, image_size):
        super().__init__()
        self.first = nn.Linear(channels * image_size[0] * image_size[1], 16)
        self.middle = nn.Linear(16, 16)
        self.last = nn.Linear(16, classes)

    def through(self, x):
        return F.relu(self.middle(x))

    def forward(self, x):
        return self.last(self.through(F.relu(self.first(x.flatten(1)))))


def _three(through, **shape):
    return type("Net", (_Three,), {"through": through})(**shape)


PRETRAINED = torch.linspace(-0.1, 0.1, 256).view(16, 16)


def shared_memory(**shape):
    net = _Three(**shape)
    net.middle.weight = nn.Parameter(PRETRAINED)
    return net


def copied_weights(**shape):
    net = _Three(**shape)
    net.middle.weight = nn.Parameter(PRETRAINED.clone())
    return net


def tied_by_transposition(**shape):
    net = _Three(**shape)
    net.second = nn.Linear(16, 16)
    net.second.weight = nn.Parameter(net.middle.weight.data.t())
    net.through = lambda x: F.relu(net.second(F.relu(net.middle(x))))
    return net


def centred_by_a_hook(**shape):
    net = _Three(**shape)

    def centre(layer, inputs, output):
        layer.weight.data -= layer.weight.data.mean()

    net.middle.register_forward_hook(centre)
    return net


def _standardized(weight):
    return (weight - weight.mean(1, keepdim=True)) / (weight.std(1, keepdim=True) + 1e-5)


def standardized_product(**shape):
    return _three(lambda self, x: F.relu(x @ _standardized(self.middle.weight).t()), **shape)


def standardized_outside(**shape):
    return _three(lambda self, x: F.relu(F.linear(x, _standardized(self.middle.weight))), **shape)


def straight_through(**shape):
    def through(self, x):
        weight = self.middle.weight
        binary = torch.where(weight >= 0, 0.1, -0.1)
        return F.relu(F.linear(x, weight + (binary - weight).detach()))

    return _three(through, **shape)


def plain_product(**shape):
    return _three(lambda self, x: F.relu(x @ self.middle.weight.t() + self.middle.bias), **shape)


def gated(**shape):
    def through(self, x):
        return F.linear(x, self.middle.weight) * torch.sigmoid(F.linear(x, self.gate))

    net = _three(through, **shape)
    net.gate = nn.Parameter(torch.randn(16, 16) / 16)
    return net


def dropout_in_evaluation(**shape):
    return _three(lambda self, x: F.dropout(F.relu(self.middle(x)), 0.5), **shape)


def average_in_an_attribute(**shape):
    def through(self, x):
        x = F.relu(self.middle(x))
        if self.training:
            self.average = 0.9 * getattr(self, "average", 0.0) + 0.1 * x.detach().mean(0)
            return x
        return x - getattr(self, "average", 0.0)

    return _three(through, **shape)


def statistics_of_evaluation(**shape):
    def through(self, x):
        x = F.relu(self.middle(x))
        self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
        return x - self.mean

    net = _three(through, **shape)
    net.register_buffer("mean", torch.zeros(16))
    return net


def stochastic_depth(**shape):
    def through(self, x):
        if self.training and torch.rand(()) < 0.5:
            return x
        return x + F.relu(self.middle(x))

    return _three(through, **shape)


def ghost_norm(**shape):
    def through(self, x):
        x = self.middle(x)
        if self.training:
            parts = x.view(-1, 25, 16)
            x = (parts - parts.mean(1, keepdim=True)).reshape(-1, 16)
        return F.relu(x)

    return _three(through, **shape)


def scaled_in_evaluation(**shape):
    def through(self, x):
        x = F.relu(self.middle(x))
        if not self.training:
            x *= 0.5
        return x

    return _three(through, **shape)


def unset_buffer(**shape):
    net = _Three(**shape)
    net.register_buffer("unset", torch.full((3,), float("nan")))
    return net


def shared_by_a_list(**shape):
    net = _Three(**shape)
    weight = net.middle.weight
    del net.middle, net.last
    net.shared = nn.ParameterList([weight])
    net.middle = nn.Linear(16, 16)
    net.middle.weight = net.shared[0]
    net.last = nn.Linear(16, shape["classes"])
    return net


class _LowRank(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        del self.weight
        self.left = nn.Parameter(torch.randn(outputs, 4) / 4)
        self.right = nn.Parameter(torch.randn(4, inputs) / 4)

    def forward(self, x):
        return x @ (self.left @ self.right).t() + self.bias


def low_rank(**shape):
    net = _Three(**shape)
    net.middle = _LowRank(16, 16)
    return net


class _WrongRepr(nn.ReLU):
    def extra_repr(self):
        return self.no_such_name


def wrong_repr(**shape):
    net = _Three(**shape)
    net.act = _WrongRepr()
    return net


def lazy_in_training(**shape):
    net = _Three(**shape)
    net.aux = nn.LazyLinear(3)
    return net


def sparse_buffer(**shape):
    net = _Three(**shape)
    net.register_buffer("graph", torch.eye(4).to_sparse())
    return net


def late_view(**shape):
    net = view_flatten(**shape)
    conv, fc = net.conv, net.fc
    net = nn.Sequential(conv, nn.Identity(), fc)
    net[1].forward = lambda x: F.relu(x).view(len(x), -1)
    return net


# ---- data sets


def _made(channels=3):
    labels = np.arange(400) % 4
    noise = np.random.RandomState(0).randint(0, 60, (400, channels, 12, 12))
    return (noise + 40 * labels[:, None, None, None]).astype(np.uint8), labels.astype(np.int64)


def split(images, labels, order=None):
    order = np.arange(400) if order is None else np.asarray(order)
    parts = order[:300], order[300:350], order[350:]
    return DataSet("mine", *(Split(images[part], labels[part]) for part in parts), classes=4)


def four_kinds(data_dir):
    return split(*_made())


def constant_channel(data_dir):
    images, labels = _made(4)
    images[:, 3] = 255
    return split(images, labels)


def all_equal(data_dir):
    images, labels = _made()
    return split(np.full_like(images, 7), labels)


def bgr_to_rgb(data_dir):
    images, labels = _made()
    return split(images[:, ::-1], labels)


def split_by_numpy(data_dir):
    return split(*_made(), order=np.random.permutation(400))


def split_by_torch(data_dir):
    return split(*_made(), order=torch.randperm(400).numpy())


def split_by_python(data_dir):
    order = list(range(400))
    random.shuffle(order)
    return split(*_made(), order=order)


def split_anew(data_dir):
    return split(*_made(), order=np.random.default_rng().permutation(400))


def split_by_a_set(data_dir):
    """As where names of files go through a set: another order in each process."""
    order = [int(name) for name in {str(i) for i in range(400)}]
    return split(*_made(), order=order)


def other_pixels(data_dir):
    """What lies in `data_dir` decides, as in most people's."""
    images, labels = _made()
    images[0, 0, 0, 0] = int((data_dir / "pixel.txt").read_text())
    return split(images, labels)


def lacks_a_file(data_dir):
    return split(np.load(data_dir / "nothing.npy"), None)


def strings_as_labels(data_dir):
    images, labels = _made()
    return split(images, labels.astype(str))
