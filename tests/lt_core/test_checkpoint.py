"""A training that is killed goes on to the same bits."""

import hashlib

import pytest
import safetensors.torch
import torch
from torch import nn

from lt_core import models, optimizer, prune, seeds
from lt_core.checkpoint import Checkpoint
from lt_core.config import Recipe
from lt_core.data.batches import Batches
from lt_core.mask import dense, flatten, prunable_weights
from lt_core.steps import Steps
from lt_core.training_loop import train, training

# 15 steps an epoch.
RECIPE = Recipe(lr=0.1, batch_size=64, weight_decay=5e-4, duration="50it", milestones=("2ep",))


class Killed(Exception):
    pass


class InMemory:
    """Keeps the state after every epoch, and kills the training after one of them."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.kept: bytes | None = None
        self.steps: list[int] = []

    def is_due(self) -> bool:
        return True

    def save(self, checkpoint: Checkpoint) -> None:
        self.kept = checkpoint.to_bytes()
        self.steps.append(checkpoint.step)
        if checkpoint.step == self.kill_at:
            raise Killed

    def load(self) -> Checkpoint | None:
        return None if self.kept is None else Checkpoint.from_bytes(self.kept)


@pytest.fixture
def images(digits):
    return Batches(digits, digits.train, "cpu")


def network() -> nn.Module:
    model = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    return model.to(memory_format=torch.channels_last)


MASK = prune.global_random(dense(network()), 4_866, seeds.generator(0, "test"))


def trained(images, recipe, checkpoints=None, begin="0ep") -> tuple[nn.Module, float]:
    model = network()
    loss = train(
        model, MASK, images, recipe, seed=0, begin=Steps.parse(begin), checkpoints=checkpoints
    )
    return model, loss


def digest(model: nn.Module) -> str:
    tensors = model.state_dict().values()
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


@pytest.mark.parametrize(
    ("begin", "kill_at"),
    [
        ("20it", 30),
        ("20it", 45),
        pytest.param("0ep", 30, marks=pytest.mark.nightly),
        pytest.param("0ep", 45, marks=pytest.mark.nightly),
    ],
)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"momentum": 0.0},
        {"precision": "bf16"},
        {"optimizer": "nesterov"},
        {"optimizer": "adamw", "lr": 0.01},
        {"ema": 0.9},
        {"optimizer": "adamw", "lr": 0.01, "ema": 0.9, "clip_norm": 1.0, "label_smoothing": 0.1},
    ],
    ids=str,
)
def test_killed_after_an_epoch_it_goes_on_bit_for_bit(images, begin, kill_at, changes):
    recipe = RECIPE.model_copy(update=changes)
    undisturbed, loss = trained(images, recipe, begin=begin)
    checkpoints = InMemory(kill_at)
    with pytest.raises(Killed):
        trained(images, recipe, checkpoints, begin)
    torch.manual_seed(1)
    resumed, same_loss = trained(images, recipe, checkpoints, begin)
    assert digest(resumed) == digest(undisturbed)
    assert same_loss == loss
    assert (flatten(prunable_weights(resumed))[~flatten(MASK)] == 0).all()


def test_what_a_network_drops_out_follows_from_the_seed_too(images):
    def with_dropout(checkpoints=None, seed=0):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Dropout(0.5), nn.Linear(32, 10))
        torch.seed()
        state = torch.get_rng_state()
        train(model, dense(model), images, RECIPE, seed=seed, checkpoints=checkpoints)
        assert torch.equal(torch.get_rng_state(), state)
        return digest(model)

    undisturbed = with_dropout()
    assert with_dropout() == undisturbed != with_dropout(seed=1)
    checkpoints = InMemory(30)
    with pytest.raises(Killed):
        with_dropout(checkpoints)
    assert with_dropout(checkpoints) == undisturbed


def test_what_is_kept_is_not_trained_again(images, monkeypatch):
    checkpoints = InMemory(30)
    with pytest.raises(Killed):
        trained(images, RECIPE, checkpoints)
    taken = []
    step = optimizer.SGD.step
    monkeypatch.setattr(
        optimizer.SGD, "step", lambda self, *a, **k: taken.append(1) or step(self, *a, **k)
    )
    trained(images, RECIPE, checkpoints)
    assert len(taken) == 20
    assert checkpoints.steps == [15, 30, 45]


def test_what_is_given_up_after_an_epoch_goes_on_from_it(images):
    undisturbed, _ = trained(images, RECIPE)
    checkpoints = InMemory()
    given_up = training(network(), MASK, images, RECIPE, seed=0, checkpoints=checkpoints)
    assert [next(given_up), next(given_up)] == [1, 2]
    given_up.close()
    assert checkpoints.steps == [15, 30]
    resumed = network()
    rest = training(resumed, MASK, images, RECIPE, seed=0, checkpoints=checkpoints)
    assert list(rest) == [3]
    assert digest(resumed) == digest(undisturbed)


def test_keeping_its_state_changes_nothing_and_the_last_epoch_keeps_none(images):
    checkpoints = InMemory()
    model, loss = trained(images, RECIPE, checkpoints)
    plain, same_loss = trained(images, RECIPE)
    assert (digest(model), loss) == (digest(plain), same_loss)
    assert checkpoints.steps == [15, 30, 45]
    two_epochs = InMemory()
    trained(images, RECIPE.model_copy(update={"stop": Steps(2, "ep")}), two_epochs)
    assert two_epochs.steps == [15]


def test_only_what_is_due_is_kept(images, monkeypatch):
    checkpoints = InMemory()
    due = iter([False, True, False])
    monkeypatch.setattr(checkpoints, "is_due", lambda: next(due))
    trained(images, RECIPE, checkpoints)
    assert checkpoints.steps == [30]


def test_a_file_of_sgd_has_what_it_always_had(images):
    checkpoints = InMemory()
    model, _ = trained(images, RECIPE, checkpoints)
    kept = safetensors.torch.load(checkpoints.kept)
    parameters = [name for name, _ in model.named_parameters()]
    assert kept.keys() == {
        "step",
        *(f"network/{name}" for name in model.state_dict()),
        *(f"momentum/{name}" for name in parameters),
    }
    assert kept["step"] == 45


def test_moments_of_adamw_and_the_average_are_kept_under_names_of_their_own(images):
    checkpoints = InMemory()
    recipe = RECIPE.model_copy(update={"optimizer": "adamw", "lr": 0.01, "ema": 0.9})
    model, _ = trained(images, recipe, checkpoints)
    kept = safetensors.torch.load(checkpoints.kept)
    parameters = [name for name, _ in model.named_parameters()]
    assert kept.keys() == {
        "step",
        *(f"network/{name}" for name in model.state_dict()),
        *(
            f"adamw/{key}/{name}"
            for key in ("exp_avg", "exp_avg_sq", "step")
            for name in parameters
        ),
        *(f"average/{name}" for name in parameters),
    }
    assert {float(kept[f"adamw/step/{name}"]) for name in parameters} == {45.0}


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_truncated_file_is_refused(images, cut):
    checkpoints = InMemory()
    trained(images, RECIPE, checkpoints)
    with pytest.raises(ValueError, match="not a checkpoint"):
        Checkpoint.from_bytes(checkpoints.kept[:cut])
