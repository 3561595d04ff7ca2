"""Networks of torchvision and timm by name."""

import sys

import pytest
import torch

from lt_core import data, models
from lt_core.config import Pruning, Recipe
from lt_core.live_paths import LivePaths
from lt_core.mask import dense, num_weights
from lt_core.own_network import content
from lt_core.rehearsal import rehearse


def build(name, *, channels=3, classes=10, size=16, seed=0):
    sizes = {"channels": channels, "classes": classes, "image_size": (size, size)}
    return models.build(name, **sizes, seed=seed)


def test_a_network_of_torchvision():
    # Its 11,689,512 parameters less 9,600 of norms, 513,000 of 1,000 logits and 9,408 of a stem
    # for 3 channels; 64 x 7 x 7 of one for 1 channel, 512 x 10 of the logits.
    network = build("torchvision:resnet18", channels=1, size=8)
    assert num_weights(dense(network)) == 11_689_512 - 9_600 - 513_000 - 9_408 + 3_136 + 5_120
    assert network.conv1.stride == (2, 2) and network.conv1.bias is None
    again, other = (build("torchvision:resnet18", channels=1, size=8, seed=s) for s in (0, 1))
    weights = [net.conv1.weight for net in (network, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.fixture(scope="module")
def synthetic():
    return data.load("synthetic")


def test_a_network_of_timm(synthetic):
    """A small transformer of images: in 16x16 pixels it sees one patch."""
    network = build("timm:test_vit", classes=4)
    mask = dense(network)
    # 6 blocks of 64: 3 x 64 x 64 and 64 x 64 of attention, 2 x 64 x 192; the patch; the logits.
    block = 4 * 64 * 64 + 2 * 64 * 192
    assert num_weights(mask) == 6 * block + 3 * 16 * 16 * 64 + 64 * 4
    assert LivePaths(network, (3, 16, 16)).num_live(mask) == num_weights(mask)
    recipe = Recipe(lr=0.1, batch_size=50, duration="1ep")
    assert rehearse("timm:test_vit", synthetic, [recipe], Pruning()) == []
    here = content("timm:test_vit", synthetic.shape)
    assert here.is_seeded
    assert not here.is_like(content("timm:test_resnet", synthetic.shape))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "torchvision:resnet17",
            r"has no such network for images; did you mean torchvision:resnet",
        ),
        (
            "timm:resnet17",
            r"timm:resnet17: timm \d\S* has no such network for images; did you mean ",
        ),
        ("timm:zzz", r"timm:zzz: timm \S+ has no such network for images$"),
        ("timm:vit_tiny_patch16_224", r"^timm:vit_tiny_patch16_224: .*3.*8"),
    ],
)
def test_what_a_package_has_not_is_refused(name, problem):
    with pytest.raises(ValueError, match=problem):
        build(name, size=8)


def test_rows_of_a_table_are_refused():
    with pytest.raises(ValueError, match=r"^timm:resnet18 takes images, not a row Table\("):
        models.build("timm:resnet18", features=3, classes=2, seed=0)


def test_that_timm_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r'timm is not installed: pip install -e "\.\[timm\]"'):
        build("timm:resnet18")
