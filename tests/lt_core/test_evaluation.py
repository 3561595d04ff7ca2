import dataclasses
import hashlib

import pytest
import torch
from torch import nn

from lt_core import models, prune, seeds, training_loop
from lt_core.config import Pruning, Recipe
from lt_core.evaluation import Evaluation, Progress, evaluate, evaluating
from lt_core.lpr import layerwise_pruning_ratios
from lt_core.mask import dense, prunable_weights, sparsity
from lt_core.steps import Steps
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1
from lt_core.training_loop import Diverged, Trained

RECIPE = Recipe(lr=0.1, batch_size=64, duration="2it", weight_decay=5e-4)


def everything():
    return dense(models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0))


@pytest.fixture(scope="module")
def mask():
    return prune.global_random(everything(), 4_866, seeds.generator(0, "test"))


def digest(model: nn.Module) -> str:
    tensors = model.state_dict().values()
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


def measured(evaluation: Evaluation) -> dict:
    """All of it that must be the same twice."""
    fields = {f.name: getattr(evaluation, f.name) for f in dataclasses.fields(evaluation)}
    del fields["seconds"]
    return fields | {"model": digest(evaluation.model)}


def fraction_right(model: nn.Module, digits, split) -> float:
    pixels = torch.tensor(split.images, dtype=torch.float32)
    train = torch.tensor(digits.train.images, dtype=torch.float32)
    pixels = (pixels - train.mean()) / train.std(correction=0)
    with torch.no_grad():
        right = model.eval()(pixels).argmax(1) == torch.tensor(split.labels)
    return int(right.sum()) / len(right)


def test_each_accuracy_is_of_its_own_split(digits, mask):
    evaluation = evaluate(
        "small_resnet", digits, mask, RECIPE.model_copy(update={"lr": 0.03}), seed=0
    )
    validation = fraction_right(evaluation.model, digits, digits.validation)
    test = fraction_right(evaluation.model, digits, digits.test)
    assert validation != test
    assert evaluation.val_accuracy == validation
    assert evaluation.test_accuracy == test


def test_sparsity_and_ratios_are_those_of_the_mask(digits, mask):
    evaluation = evaluate("small_resnet", digits, mask, RECIPE, seed=0)
    assert evaluation.sparsity == 0.75  # 4,866 of 19,464 alive
    assert evaluation.lpr == layerwise_pruning_ratios(mask)
    alive = {name: int((w != 0).sum()) for name, w in prunable_weights(evaluation.model).items()}
    assert alive == {name: int(layer.sum()) for name, layer in mask.items()}


def test_it_starts_from_the_initialization_of_its_seed(digits, mask, monkeypatch):
    starts = []

    def no_training(model, mask, images, recipe, *, seed, begin, at_last_rate, checkpoints):
        starts.append((digest(model), len(images), recipe, seed, begin.count, at_last_rate))
        yield from ()
        return Trained(0.0, frozenset(), "")

    monkeypatch.setattr("lt_core.evaluation.training", no_training)
    evaluate("small_resnet", digits, mask, RECIPE, seed=3)
    fresh = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=3)
    assert starts == [(digest(fresh), 1000, RECIPE, 3, 0, False)]


def test_the_same_twice_and_another_for_another_seed_recipe_or_mask(digits, mask):
    first = measured(evaluate("small_resnet", digits, mask, RECIPE, seed=0))
    torch.manual_seed(1)
    assert measured(evaluate("small_resnet", digits, mask, RECIPE, seed=0)) == first
    for changed in (
        evaluate("small_resnet", digits, mask, RECIPE, seed=1),
        evaluate("small_resnet", digits, everything(), RECIPE, seed=0),
        evaluate("small_resnet", digits, mask, RECIPE.model_copy(update={"lr": 0.2}), seed=0),
    ):
        assert digest(changed.model) != first["model"]
        assert changed.train_loss != first["train_loss"]


def test_whole_epochs_in_iterations_are_the_same_training(digits, mask):
    iterations, epochs = (
        RECIPE.model_copy(update={"duration": Steps.parse(text)}) for text in ("15it", "1ep")
    )
    one, other = (evaluate("small_resnet", digits, mask, h, seed=0) for h in (iterations, epochs))
    assert measured(one) == measured(other)


def test_the_size_of_the_evaluation_batch_changes_no_accuracy(digits, mask, monkeypatch):
    whole = evaluate("small_resnet", digits, mask, RECIPE, seed=0)
    monkeypatch.setattr(training_loop, "EVALUATION_BATCH", 64)  # divides neither 297 nor 500
    parts = evaluate("small_resnet", digits, mask, RECIPE, seed=0)
    assert parts.val_accuracy == whole.val_accuracy
    assert parts.test_accuracy == whole.test_accuracy


def test_nothing_pruned_is_the_dense_network(digits):
    evaluation = evaluate("small_resnet", digits, everything(), RECIPE, seed=0)
    assert evaluation.sparsity == 0
    assert set(evaluation.lpr.values()) == {0}


def test_a_training_that_diverges_is_no_evaluation(digits, mask):
    recipe = RECIPE.model_copy(update={"lr": 1e20, "weight_decay": 1e20})
    with pytest.raises(Diverged):
        evaluate("small_resnet", digits, mask, recipe, seed=0)


@pytest.fixture(scope="module")
def half_the_filters():
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    return filter_l1(network, channel_groups(network, (1, 8, 8)), 0.5)


def test_the_smaller_network_is_trained_as_the_same_one_masked(digits, half_the_filters):
    smaller, masked = (
        evaluate(
            "small_resnet",
            digits,
            half_the_filters,
            RECIPE,
            seed=0,
            pruning=Pruning(strategy="filter_l1", shrink=shrink),
        )
        for shrink in (True, False)
    )
    assert smaller.train_loss == pytest.approx(masked.train_loss, rel=1e-4)
    assert smaller.sparsity == masked.sparsity == sparsity(half_the_filters)
    assert smaller.lpr == masked.lpr == layerwise_pruning_ratios(half_the_filters)
    # conv1 of block 0 has 8 filters of 8 channels, and 4 of 4 when half of all are gone.
    assert masked.model.blocks[0].conv1.weight.shape == (8, 8, 3, 3)
    assert smaller.model.blocks[0].conv1.weight.shape == (4, 4, 3, 3)
    left = [int((p != 0).sum()) for p in masked.model.parameters()]
    assert sum(left) == sum(p.numel() for p in smaller.model.parameters())


def test_without_a_filter_less_it_is_the_same_bit_for_bit(digits):
    plain = evaluate("small_resnet", digits, everything(), RECIPE, seed=0)
    for shrink in (True, False):
        pruning = Pruning(strategy="filter_l1", shrink=shrink)
        same = evaluate("small_resnet", digits, everything(), RECIPE, seed=0, pruning=pruning)
        assert measured(same) == measured(plain)


# ---- watched


THREE_EPOCHS = RECIPE.model_copy(update={"lr": 0.01, "duration": Steps(3, "ep")})


def watched(*args, **settings) -> tuple[list[Progress], Evaluation]:
    generator, seen = evaluating(*args, **settings), []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as end:
            return seen, end.value


def test_watched_it_is_the_same_evaluation(digits, mask):
    seen, evaluation = watched("small_resnet", digits, mask, THREE_EPOCHS, seed=0)
    assert measured(evaluation) == measured(
        evaluate("small_resnet", digits, mask, THREE_EPOCHS, seed=0)
    )
    assert [progress.epoch for progress in seen] == [1, 2]


def test_between_epochs_it_is_as_good_as_a_training_that_stops_there(digits, mask):
    seen, _ = watched("small_resnet", digits, mask, THREE_EPOCHS, seed=0)
    for progress in seen:
        until = THREE_EPOCHS.model_copy(update={"stop": Steps(progress.epoch, "ep")})
        stopped = evaluate("small_resnet", digits, mask, until, seed=0)
        assert progress.val_accuracy == stopped.val_accuracy
    assert seen[0].val_accuracy < seen[1].val_accuracy


def test_unwatched_it_is_measured_only_at_its_end(digits, mask, monkeypatch):
    counts = []
    monkeypatch.setattr("lt_core.evaluation.accuracy", lambda _, images: counts.append(len(images)))
    evaluate("small_resnet", digits, mask, THREE_EPOCHS, seed=0)
    assert counts == [297, 500]
    counts.clear()
    watched("small_resnet", digits, mask, THREE_EPOCHS, seed=0)
    assert counts == [297, 297, 297, 500]


def test_the_seconds_are_without_the_turns_of_others(digits, mask, monkeypatch):
    longer = RECIPE.model_copy(update={"duration": Steps(2, "ep")})
    now = [0.0]
    monkeypatch.setattr("lt_core.evaluation.time.perf_counter", lambda: now[0])
    steps = evaluating("small_resnet", digits, mask, longer, seed=0, watched=False)
    now[0] += 1.0
    assert next(steps) is None  # one epoch of two: all before it is its own
    now[0] += 100.0
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value.seconds == 0.0
