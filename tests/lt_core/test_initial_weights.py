"""Networks that start from given weights."""

import pytest
import safetensors.torch
import torch
import user_code
from torch import nn

from lt_core import evaluate, find, models, rewind
from lt_core.config import Pruning, Recipe, Rewinding
from lt_core.initial_weights import put_into
from lt_core.mask import prunable_weights
from lt_core.own_network import equal
from lt_core.pretrained import Pretrained, fingerprint

NAME = "user_code:plain"  # linear layers 1, 3, 5 and 7, the last of them the logits


@pytest.fixture(scope="module")
def images():
    return user_code.four_kinds(None)


@pytest.fixture
def weights(images):
    """Others than those of the seeds that are used here."""
    return dict(rewind.state(rewind.to_initialization(NAME, images, seed=77)))


@pytest.fixture
def saved(tmp_path):
    def save(tensors, name="given.safetensors") -> str:
        safetensors.torch.save_file(tensors, tmp_path / name)
        return str(tmp_path / name)

    return save


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_every_training_and_ticket_starts_from_them(images, weights, saved):
    given = Pretrained(NAME, saved(weights))
    assert_same(rewind.state(rewind.to_initialization(given, images, seed=0)), weights)
    # A learning rate that changes no float: what is trained is what it started from.
    recipe = Recipe(lr=1e-30, batch_size=50, duration="1ep")
    first, second = find(given, images, recipe, Pruning(fraction=0.5), rounds=1, seed=0)
    assert_same(rewind.state(first.evaluation.model), weights)
    for trained in (second.evaluation, evaluate(given, images, second.mask, recipe, seed=3)):
        for name, weight in prunable_weights(trained.model).items():
            assert torch.equal(weight, weights[f"{name}.weight"] * second.mask[name])
    late = rewind.to_step(given, images, recipe, Rewinding(to="1it").to, seed=0)
    assert_same(late, weights)


def test_another_initialization_is_none_of_them(images, weights, saved):
    given = Pretrained(NAME, saved(weights))
    for seed in (0, 1):
        ours = rewind.to_another_initialization(NAME, images, seed=seed).weights
        assert_same(rewind.to_another_initialization(given, images, seed=seed).weights, ours)
    signed = rewind.to_another_initialization(given, images, seed=0, keeps_signs=True).weights
    assert equal(signed["1.weight"].sign(), weights["1.weight"].sign())


def test_fresh_layers_are_those_of_the_seed(images, weights, saved):
    weights["7.weight"], weights["7.bias"] = torch.ones(1000, 16), torch.ones(1000)
    given = Pretrained(NAME, saved(weights), fresh=("7", "5.bias"))
    for seed in (0, 1):
        ours = rewind.state(rewind.to_initialization(NAME, images, seed=seed))
        fresh = {name: ours[name] for name in ("7.weight", "7.bias", "5.bias")}
        found = rewind.state(rewind.to_initialization(given, images, seed=seed))
        assert_same(found, weights | fresh)


def test_all_that_does_not_fit_is_told_at_once(images, weights, saved):
    del weights["3.bias"]
    weights |= {
        "7.weight": torch.ones(1000, 16),
        "5.bias": torch.full((16,), torch.nan),
        "9.weight": torch.ones(2, 2),
    }
    path = saved(weights)
    with pytest.raises(ValueError, match="do not fit") as error:
        rewind.to_initialization(Pretrained(NAME, path, fresh=("head",)), images, seed=0)
    assert str(error.value) == (
        f"the weights of {path} do not fit {NAME}: `fresh` names head, which the network does not "
        "have; 3.bias is not there; 5.bias is not finite; 7.weight is [1000, 16] there, [4, 16] in "
        "the network; 9.weight is there, and not in the network. `initial_weights.fresh: [LAYER]` "
        "leaves a layer as the seed initializes it, such as a head for another number of classes"
    )
    with pytest.raises(ValueError, match=r"1\.weight is not there; .*and 8 more\. "):
        others = {f"other.{i}": torch.ones(1) for i in range(10)}
        rewind.to_initialization(Pretrained(NAME, saved(others, "b")), images, seed=0)


def test_what_is_no_such_file_is_told(images, weights, saved, tmp_path):
    def build(**named):
        rewind.to_initialization(Pretrained(NAME, **named), images, seed=0)

    with pytest.raises(ValueError, match=r"missing cannot be read: No such file or directory$"):
        build(file=str(tmp_path / "missing"))
    (tmp_path / "pickled.pt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match=r"pickled\.pt is no safetensors file \(.*\): safetensors"):
        build(file=str(tmp_path / "pickled.pt"))
    path = saved(weights)
    its = fingerprint((tmp_path / "given.safetensors").read_bytes(), ())
    build(file=path, fingerprint=its)
    with pytest.raises(ValueError, match=r"given\.safetensors was changed since the launch$"):
        build(file=path, fingerprint="0" * 20)
    assert fingerprint(b"a", ["x", "y"]) == fingerprint(b"a", ["y", "x"])
    assert len({fingerprint(b"a", []), fingerprint(b"b", []), fingerprint(b"a", ["x"])}) == 3


def test_weights_of_less_precision_and_shared_ones(saved):
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2, bias=False))
    network[2].weight = network[0].weight
    half = {
        "0.weight": torch.tensor([[0.5, 1.5], [2.5, 3.5]], dtype=torch.bfloat16),
        "0.bias": torch.zeros(2),
        **{f"1.{name}": torch.ones(2) for name in ("weight", "bias", "running_mean")},
        "1.running_var": torch.ones(2, dtype=torch.float64),
    }
    put_into(network, Pretrained("shared", saved(half)))
    assert network[2].weight.tolist() == [[0.5, 1.5], [2.5, 3.5]]
    assert network[2].weight.dtype == network[1].running_var.dtype == torch.float32


def test_a_network_of_ours_too(saved):
    sizes = {"channels": 1, "classes": 10, "image_size": (8, 8)}
    weights = models.build("small_resnet", **sizes, seed=77).state_dict()
    given = Pretrained("small_resnet", saved(dict(weights)))
    assert_same(models.build(given, **sizes, seed=0).state_dict(), weights)
