import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lt_core import data, rewind, scores
from lt_core.chain import find, prune_trained
from lt_core.config import Pruning, Recipe
from lt_core.erk import erk_counts
from lt_core.mask import alive_by_layer, dense, num_alive, prunable_weights
from lt_core.names import SCORES
from lt_core.scores import ToScore, to_score


class Line(nn.Module):
    """Two inputs, two classes."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.fc.weight.copy_(torch.eye(2))

    def forward(self, x):
        return self.fc(x.flatten(1))


def of_line() -> ToScore:
    mask = {"fc": torch.ones(2, 2, dtype=torch.bool)}
    started = {"fc": torch.tensor([[0.5, -2.0], [0.0, -1.0]])}
    image, label = torch.ones(1, 1, 1, 2), torch.tensor([0])
    return ToScore(Line(), mask, started, image, label, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def network(digits):
    return rewind.to_initialization("small_resnet", digits, seed=0)


def test_all_that_a_sweep_file_may_name_are_there():
    assert tuple(scores.SHIPPED) == SCORES


def test_the_increase_of_the_magnitude():
    # Trained 1, 0, 0, 1; from 0.5, -2, 0, -1.
    assert scores.magnitude_increase(of_line())["fc"].tolist() == [[0.5, -2.0], [0.0, 0.0]]


def test_taylor_is_the_magnitude_of_gradient_times_weight():
    # Both logits are 1 and both probabilities 1/2, so that the gradient of each row is
    # (p - y) x = -1/2 and 1/2 of (1, 1); times the weights 1, 0, 0, 1.
    of = of_line()
    loss = F.cross_entropy(of.network(of.images), of.labels)
    assert scores.gradient_times_weight(loss, of.weights)["fc"].tolist() == [
        [-0.5, 0.0],
        [0.0, 0.5],
    ]
    assert scores.taylor(of)["fc"].tolist() == [[0.5, 0.0], [0.0, 0.5]]


def test_random_scores_are_the_seed_s_and_another_draw_for_each_pruning(network, digits):
    mask, started = dense(network), {}

    def drawn(seed, mask):
        return scores.random(to_score(network, digits, mask, started, seed))["conv"]

    fewer = {name: layer.clone() for name, layer in mask.items()}
    fewer["conv"].view(-1)[0] = False
    assert torch.equal(drawn(0, mask), drawn(0, mask))
    assert not torch.equal(drawn(0, mask), drawn(1, mask))
    assert not torch.equal(drawn(0, mask), drawn(0, fewer))


def test_at_the_ratios_of_erk_the_largest_of_each_layer_stay(network, digits):
    everything = dense(network)
    pruning = Pruning(strategy="magnitude", scope="erk", fraction=0.3)
    once = prune_trained(network, digits, everything, pruning)
    twice = prune_trained(network, digits, once, pruning)
    shapes = {name: tuple(layer.shape) for name, layer in everything.items()}
    for mask, number in ((once, 13_624), (twice, 9_536)):  # as of all layers together
        assert alive_by_layer(mask) == erk_counts(shapes, number)
    for name, weight in prunable_weights(network).items():
        sizes = weight.detach().abs()
        if not once[name].all():
            assert sizes[once[name]].min() >= sizes[~once[name]].max()
        assert (twice[name] <= once[name]).all()


@pytest.mark.parametrize("strategy", ["random", "magnitude_increase", "taylor"])
def test_the_lowest_of_all_layers_go_and_the_counts_are_exact(network, digits, strategy):
    everything = dense(network)
    pruning = Pruning(strategy=strategy, fraction=0.3)
    once = prune_trained(network, digits, everything, pruning, seed=3)
    twice = prune_trained(network, digits, once, pruning, seed=3)
    # 19,464 weights less ceil(0.3 * 19,464) = 5,840, and 13,624 less ceil(0.3 * 13,624) = 4,088.
    assert (num_alive(once), num_alive(twice)) == (13_624, 9_536)
    assert all((twice[name] <= once[name]).all() for name in once)
    started = prunable_weights(network)
    found = scores.scored(strategy, to_score(network, digits, everything, started, 3))
    flat = torch.cat([s.flatten() for s in found.values()])
    kept = torch.cat([layer.flatten() for layer in once.values()])
    assert flat[~kept].max() <= flat[kept].min()


def test_each_layer_loses_its_share(network, digits):
    pruning = Pruning(
        strategy="taylor", scope="layerwise", fraction=0.5, layer_fractions={"conv": 0.25}
    )
    everything = dense(network)
    left = alive_by_layer(prune_trained(network, digits, everything, pruning))
    for name, layer in everything.items():
        share = 0.75 if name == "conv" else 0.5
        assert left[name] == int(layer.numel() * share)


@pytest.mark.parametrize("strategy", ["random", "magnitude_increase", "taylor"])
def test_scoring_changes_nothing_of_the_network(network, digits, strategy):
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    prune_trained(network, digits, dense(network), Pruning(strategy=strategy))
    assert network.training
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_chain_scores_by_what_each_round_started_from(digits):
    recipe = Recipe(lr=0.1, batch_size=64, duration="4it")
    pruning = Pruning(strategy="magnitude_increase", fraction=0.5)
    initial = prunable_weights(rewind.to_initialization("small_resnet", digits, seed=1))
    for round in find("small_resnet", digits, recipe, pruning, rounds=2, seed=1):
        trained = prunable_weights(round.evaluation.model)
        grown = torch.cat(
            [(trained[n].abs() - initial[n].abs()).detach().flatten() for n in round.mask]
        )
        kept, before = (
            torch.cat([layer.flatten() for layer in mask.values()])
            for mask in (round.next_mask, round.mask)
        )
        assert grown[before & ~kept].max() <= grown[kept].min()


# ---- a user's own


OWN = """
import torch

def by_place(of):
    return {n: torch.arange(layer.numel()).view(layer.shape) for n, layer in of.mask.items()}

def without_conv(of):
    return {name: score for name, score in by_place(of).items() if name != "conv"}

def turned(of):
    return {name: score.flatten() for name, score in by_place(of).items()}

def not_finite(of):
    return {name: score / 0 for name, score in by_place(of).items()}

def a_list(of):
    return list(by_place(of).values())

def failing(of):
    return of.wheights

def leaving(of):
    raise SystemExit(0)

def careless(of):
    for layer in of.mask.values():
        layer.zero_()
    for weight in of.started.values():
        weight.zero_()
    of.mask.clear()
    of.network.fc.weight.data.zero_()
    return {n: w.detach().abs() for n, w in of.network.named_parameters() if n.endswith("weight")}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "lt_scores.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lt_scores", raising=False)
    return lambda name: Pruning(strategy=f"lt_scores:{name}", scope="layerwise", fraction=0.25)


def test_a_user_s_own_score_says_what_goes(network, digits, own):
    mask = prune_trained(network, digits, dense(network), own("by_place"))
    for layer in mask.values():
        gone = layer.numel() // 4
        assert not layer.flatten()[:gone].any() and layer.flatten()[gone:].all()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("without_conv", "returned no scores of layer conv, only of: blocks.0.conv1, "),
        ("turned", r"the scores of layer conv must be a tensor \[8, 1, 3, 3\], .*, got \[72\]"),
        ("not_finite", "some scores of layer conv are not finite"),
        ("a_list", "must return a mapping, returned list"),
        (
            "failing",
            r"fails: AttributeError: .*wheights.* \(.*lt_scores.py:\d+, in failing\)",
        ),
        ("leaving", "fails: SystemExit: 0"),
        ("absent", "absent"),
    ],
)
def test_what_it_returns_is_looked_at(network, digits, own, name, says):
    with pytest.raises(ValueError, match=f"(?s)lt_scores:{name}.*{says}"):
        prune_trained(network, digits, dense(network), own(name))


def test_a_score_may_change_what_it_is_given_and_nothing_else(network, digits, own):
    mask = dense(network)
    started = rewind.state(rewind.to_initialization("small_resnet", digits, seed=5))
    before = [t.clone() for t in (*mask.values(), *started.values(), *network.parameters())]
    with pytest.raises(ValueError, match="returned no scores of layer conv"):
        prune_trained(network, digits, mask, own("careless"), started=started)
    after = (*mask.values(), *started.values(), *network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"strategy": "tailor"}, "must be one of .*, or an import path .* did you mean taylor?"),
        ({"scope": "layerwise"}, "goes with a score such as taylor"),
        ({"scope": "erk"}, "goes with a score such as taylor"),
        ({"strategy": "magnitude"}, "magnitude goes with `scope: erk`; .* is global_magnitude"),
        ({"strategy": "taylor", "scope": "erk", "layer_fractions": {"a": 0.1}}, "not with taylor"),
        ({"strategy": "taylor", "layer_fractions": {"conv": 0.1}}, "`scope: layerwise`"),
    ],
)
def test_keys_that_do_not_go_together(given, says):
    with pytest.raises(ValueError, match=says):
        Pruning(**given)
