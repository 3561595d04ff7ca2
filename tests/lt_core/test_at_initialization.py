import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lt_core import at_initialization, data, rewind, scores
from lt_core.at_initialization import GRASP_TEMPERATURE, grasp, snip, synflow
from lt_core.mask import Mask, alive_by_layer, dense, num_alive


def two_layers() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -4.0]]))
        network[2].weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 0.5]]))
    return network


def kept(mask: Mask) -> dict[str, list[list[bool]]]:
    return {name: layer.tolist() for name, layer in mask.items()}


def test_snip_keeps_the_largest_of_gradient_times_weight():
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0, 0.0], [-2.0, 3.0]]))
    # Logits 1 and 1 of the image (1, 1), so that the gradient is -1/2 and 1/2 of it: times the
    # weights -1/2, 0, -1 and 3/2.
    mask = snip(network, dense(network), 2, torch.ones(1, 1, 1, 2), torch.tensor([0]))
    assert kept(mask) == {"1": [[False, False], [True, True]]}


def test_synflow_keeps_the_largest_flow_through_magnitudes():
    network = two_layers()
    # Of magnitudes, by an image of ones, the first layer gives 3 and 7. The flow of a weight of it
    # is its magnitude times the sum of the column that it goes on by, 1 and 1.5: 1, 2, 4.5, 6. That
    # of the second is its magnitude times what comes in, 3 and 7: 3, 7, 0, 3.5.
    mask = synflow(network, dense(network), 4, (1, 1, 2), steps=1)
    assert kept(mask) == {
        "1": [[False, False], [True, True]],
        "2": [[False, True], [False, True]],
    }
    assert network[1].weight.tolist() == [[1.0, 2.0], [3.0, -4.0]]


def test_synflow_prunes_bit_by_bit_what_one_pruning_would_keep():
    network = two_layers()
    # Without the first neuron, whose weights go first, nothing is left of the first column.
    mask = synflow(network, dense(network), 2, (1, 1, 2))
    assert kept(mask) == {
        "1": [[False, False], [False, True]],
        "2": [[False, True], [False, False]],
    }


def test_grasp_is_the_weight_times_the_hessian_times_the_gradient():
    network = two_layers()
    images = torch.randn(8, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 2
    weights = torch.cat([network[1].weight.flatten(), network[2].weight.flatten()]).detach()

    def loss(flat):
        logits = images.flatten(1) @ flat[:4].view(2, 2).T @ flat[4:].view(2, 2).T
        return F.cross_entropy(logits / GRASP_TEMPERATURE, labels)

    weights.requires_grad_()
    [gradient] = torch.autograd.grad(loss(weights), weights)
    hessian = torch.autograd.functional.hessian(loss, weights.detach())
    wanted = (weights.detach() * (hessian @ gradient)).topk(5).indices
    mask = grasp(network, dense(network), 5, images, labels)
    flat = torch.cat([layer.flatten() for layer in mask.values()])
    assert sorted(flat.nonzero().flatten().tolist()) == sorted(wanted.tolist())


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def found(digits, kind: str, left: int, seed: int = 0) -> Mask:
    network = rewind.to_initialization("small_resnet", digits, seed=seed)
    before = rewind.state(network)
    drawn = scores.draw_images(digits, seed)
    mask = at_initialization.found(kind, network, dense(network), left, *drawn)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert network.training
    return mask


@pytest.mark.parametrize("kind", ["snip", "grasp", "synflow"])
def test_counts_are_exact_and_masks_are_the_seed_s(digits, kind):
    first, again = found(digits, kind, 973), found(digits, kind, 973)
    assert num_alive(first) == 973  # of 19,464, 95% pruned
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = found(digits, kind, 973, seed=1)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_synflow_empties_no_layer_on_the_only_path(digits):
    network = rewind.to_initialization("lenet_300_100", digits, seed=0)
    mask = synflow(network, dense(network), 100, digits.image_shape)  # 99.8% pruned
    assert num_alive(mask) == 100 and min(alive_by_layer(mask).values()) > 0


def test_images_to_score_by_are_the_seed_s(digits):
    images, labels = scores.draw_images(digits, 0)
    assert len(images) == len(labels) == 512
    assert torch.equal(scores.draw_images(digits, 0)[0], images)
    assert not torch.equal(scores.draw_images(digits, 1)[0], images)


def test_the_flow_of_a_deep_network_overflows_no_float(digits):
    network = rewind.to_initialization("resnet56", digits, seed=0)
    everything = dense(network)
    left = num_alive(everything) // 50
    assert num_alive(synflow(network, everything, left, digits.image_shape, steps=4)) == left


class Attention(nn.Module):
    """With a buffer that has no magnitude."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.fc = nn.Linear(8, 10)
        self.register_buffer("flag", torch.tensor(True))

    def forward(self, x):
        return self.fc(self.layer(self.embed(x[:, 0])).mean(1))


@pytest.mark.parametrize("kind", ["snip", "grasp", "synflow"])
def test_networks_with_attention_are_pruned_too(digits, kind):
    torch.manual_seed(0)
    network = Attention()
    everything = dense(network)
    drawn = scores.draw_images(digits, 0)
    mask = at_initialization.found(kind, network, everything, 100, *drawn)
    assert num_alive(mask) == 100
