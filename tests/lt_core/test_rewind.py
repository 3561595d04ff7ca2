"""What a training starts from."""

import pytest
import torch

from lt_core import models, optimizer, rewind
from lt_core.config import Recipe, Rewinding
from lt_core.data.batches import Batches
from lt_core.evaluation import evaluate
from lt_core.mask import dense
from lt_core.rewind import Start
from lt_core.schedule import learning_rate
from lt_core.steps import Steps
from lt_core.training_loop import Diverged, train

# 15 steps an epoch; momentum 0, so that nothing but the network carries over from step to step.
RECIPE = Recipe(
    lr=0.1,
    batch_size=64,
    weight_decay=5e-4,
    momentum=0,
    duration="2ep",
    warmup="4it",
    milestones=("20it",),
)


def initial(digits, seed=0):
    return rewind.to_initialization("small_resnet", digits, seed=seed)


def everything(digits):
    return dense(initial(digits))


def is_equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def rates(monkeypatch):
    """The learning rate of every step that is taken, in order."""
    taken = []
    step = optimizer.SGD.step

    def recorded(self, *args, **settings):
        taken.append(float(self.param_groups[0]["lr"]))
        return step(self, *args, **settings)

    monkeypatch.setattr(optimizer.SGD, "step", recorded)
    return taken


def test_it_is_the_network_of_that_seed_for_that_data(digits):
    fresh = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=3)
    assert is_equal(initial(digits, seed=3).state_dict(), fresh.state_dict())


def test_weights_biases_and_batch_norm_are_as_before_a_training(digits):
    before = initial(digits).state_dict()
    trained = initial(digits)
    recipe = Recipe(lr=0.1, batch_size=64, duration="2it")
    train(trained, dense(trained), Batches(digits, digits.train, "cpu"), recipe, seed=0)
    after = initial(digits).state_dict()
    for name, value in trained.state_dict().items():
        assert not torch.equal(value, before[name]), name  # training moved each of them
        assert torch.equal(after[name], before[name]), name


@pytest.mark.parametrize("step", ["1it", "4it", "1ep", "17it"])
def test_rewound_to_a_step_the_rest_of_the_training_is_the_same_bit_for_bit(digits, step):
    whole = evaluate("small_resnet", digits, everything(digits), RECIPE, seed=0)
    early = rewind.to_step("small_resnet", digits, RECIPE, Steps.parse(step), seed=0)
    rest = evaluate(
        "small_resnet",
        digits,
        everything(digits),
        RECIPE,
        seed=0,
        start=rewind.after_pruning(Rewinding(to=step), early),
    )
    assert is_equal(rest.model.state_dict(), whole.model.state_dict())
    assert not is_equal(early, whole.model.state_dict())


def test_a_rewound_state_has_moved_from_initialization_in_every_part(digits):
    fresh = initial(digits).state_dict()
    early = rewind.to_step("small_resnet", digits, RECIPE, Steps(1, "ep"), seed=0)
    for name, value in early.items():
        assert not torch.equal(value, fresh[name]), name
    assert early["bn.num_batches_tracked"] == 15


def test_warmup_is_neither_repeated_nor_lost_after_late_rewinding(digits, rates):
    early = rewind.to_step("small_resnet", digits, RECIPE, Steps(2, "it"), seed=0)
    assert rates == pytest.approx([0.025, 0.05])
    rates.clear()
    start = rewind.after_pruning(Rewinding(to="2it"), early)
    evaluate("small_resnet", digits, everything(digits), RECIPE, seed=0, start=start)
    assert rates == pytest.approx([0.075, 0.1, *[0.1] * 16, *[0.01] * 10])


def test_lr_rewinding_keeps_the_weights_and_restarts_the_schedule(digits, rates):
    trained = rewind.state(
        evaluate("small_resnet", digits, everything(digits), RECIPE, seed=0).model
    )
    rates.clear()
    still = RECIPE.model_copy(update={"lr": 1e-20, "weight_decay": 0.0})
    start = rewind.after_pruning(Rewinding(method="learning_rate"), trained)
    moved = evaluate("small_resnet", digits, everything(digits), still, seed=0, start=start)
    assert rates == [learning_rate(still, step, 15) for step in range(30)]
    for name, parameter in moved.model.named_parameters():
        assert torch.equal(parameter, trained[name]), name

    rates.clear()
    start = rewind.after_pruning(Rewinding(method="learning_rate", to="1ep"), trained)
    evaluate("small_resnet", digits, everything(digits), RECIPE, seed=0, start=start)
    assert rates == pytest.approx([*[0.1] * 5, *[0.01] * 10])


def test_fine_tuning_stays_at_the_last_learning_rate(digits, rates):
    trained = rewind.state(initial(digits))
    start = rewind.after_pruning(Rewinding(method="fine_tuning", to="20it"), trained)
    evaluate("small_resnet", digits, everything(digits), RECIPE, seed=0, start=start)
    assert rates == pytest.approx([0.01] * 10)
    rates.clear()
    # The last that is trained at: this recipe stops before its milestone.
    short = RECIPE.model_copy(update={"stop": Steps(18, "it")})
    start = rewind.after_pruning(Rewinding(method="fine_tuning"), trained)
    evaluate("small_resnet", digits, everything(digits), short, seed=0, start=start)
    assert rates == pytest.approx([0.1] * 18)


def test_momentum_starts_at_0_wherever_a_training_starts(digits):
    recipe = Recipe(lr=0.1, batch_size=64, momentum=0.9, duration="2it")
    early = rewind.to_step("small_resnet", digits, recipe, Steps(1, "it"), seed=0)
    start = rewind.after_pruning(Rewinding(to="1it"), early)
    one_step = evaluate("small_resnet", digits, everything(digits), recipe, seed=0, start=start)
    without = recipe.model_copy(update={"momentum": 0.0})
    same = evaluate("small_resnet", digits, everything(digits), without, seed=0, start=start)
    assert is_equal(one_step.model.state_dict(), same.model.state_dict())


def test_reinitialization_is_another_draw_of_the_same_seed(digits):
    again = rewind.to_another_initialization("small_resnet", digits, seed=0)
    fresh = initial(digits).state_dict()
    assert (again.step, again.at_last_rate) == (Steps(0, "ep"), False)
    assert not torch.equal(again.weights["conv.weight"], fresh["conv.weight"])
    assert is_equal(
        again.weights, rewind.to_another_initialization("small_resnet", digits, seed=0).weights
    )
    other = rewind.to_another_initialization("small_resnet", digits, seed=1).weights
    assert not torch.equal(again.weights["conv.weight"], other["conv.weight"])


def test_rewinding_that_leaves_nothing_to_train_is_told(digits):
    start = Start(step=Steps(30, "it"))
    with pytest.raises(ValueError, match=r"rewinding to 30it leaves nothing to train of 2ep \(an"):
        evaluate("small_resnet", digits, everything(digits), RECIPE, seed=0, start=start)


def test_a_late_training_that_diverges_tells_the_step_of_its_schedule(digits):
    recipe = RECIPE.model_copy(update={"lr": 1e20, "weight_decay": 1e20})
    start = Start(step=Steps(18, "it"))
    with pytest.raises(Diverged, match=r"at step 20 of 30 \(epoch 2, LR 1e\+20\)"):
        evaluate("small_resnet", digits, everything(digits), recipe, seed=0, start=start)


def test_a_state_is_a_copy(digits):
    network = initial(digits)
    before = rewind.state(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert is_equal(before, initial(digits).state_dict())


def test_a_reinitialization_may_keep_the_signs(digits):
    fresh, new = initial(digits).state_dict(), {}
    for keeps_signs in (False, True):
        start = rewind.to_another_initialization(
            "small_resnet", digits, seed=0, keeps_signs=keeps_signs
        )
        new[keeps_signs] = start.weights
        assert start.step == Steps(0, "ep")
    for name in everything(digits):
        own, drawn, kept = (w[f"{name}.weight"] for w in (fresh, new[False], new[True]))
        assert torch.equal(kept.sign(), own.sign())
        assert torch.equal(kept.abs(), drawn.abs())
        assert not torch.equal(drawn.sign(), own.sign())
