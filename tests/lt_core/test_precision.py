import pytest
import torch

from lt_core import models, precision, prune, seeds
from lt_core.config import Recipe
from lt_core.evaluation import evaluate
from lt_core.mask import dense, flatten, prunable_weights

RECIPE = Recipe(lr=0.1, batch_size=64, duration="4it", weight_decay=5e-4)
IN_BF16 = RECIPE.model_copy(update={"precision": "bf16"})


@pytest.fixture(scope="module")
def mask():
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    return prune.global_random(dense(network), 4_866, seeds.generator(0, "test"))


def built_for(monkeypatch, *, amx=False, avx512=False):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)


def test_auto_is_bf16_where_the_processor_is_built_for_it(monkeypatch):
    built_for(monkeypatch)
    assert precision.chosen("auto", "cpu") == "fp32"
    built_for(monkeypatch, amx=True)
    assert precision.chosen("auto", "cpu") == "bf16"
    built_for(monkeypatch, avx512=True)
    assert precision.chosen("auto", "cpu") == "bf16"


def test_the_processor_of_this_machine_can_be_asked():
    assert precision.chosen("auto", "cpu") in ("fp32", "bf16")


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_what_is_asked_for_is_not_substituted(monkeypatch, wanted):
    built_for(monkeypatch, avx512=wanted == "fp32")
    assert precision.chosen(wanted, "cpu") == wanted


@pytest.mark.parametrize(("recipe", "dtype"), [(RECIPE, torch.float32), (IN_BF16, torch.bfloat16)])
def test_passes_are_in_it_and_what_is_kept_and_measured_is_in_fp32(digits, mask, recipe, dtype):
    seen = set()

    def note(module, _, output):
        if isinstance(module, torch.nn.Conv2d):
            seen.add((module.training, output.dtype))

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        evaluation = evaluate("small_resnet", digits, mask, recipe, seed=0)
    finally:
        hook.remove()
    assert seen == {(True, dtype), (False, torch.float32)}
    assert {parameter.dtype for parameter in evaluation.model.parameters()} == {torch.float32}
    assert evaluation.precision == recipe.precision


def test_in_bf16_what_is_pruned_stays_0_and_two_trainings_are_the_same(digits, mask):
    first, second = (evaluate("small_resnet", digits, mask, IN_BF16, seed=0) for _ in range(2))
    weights = flatten(prunable_weights(first.model))
    assert (weights[~flatten(mask)] == 0).all() and (weights[flatten(mask)] != 0).all()
    assert torch.equal(weights, flatten(prunable_weights(second.model)))
    assert first.train_loss == second.train_loss


def test_bf16_is_fp32_but_for_rounding(digits, mask):
    a, b = (evaluate("small_resnet", digits, mask, r, seed=0) for r in (RECIPE, IN_BF16))
    assert a.train_loss != b.train_loss
    assert a.train_loss == pytest.approx(b.train_loss, rel=0.02)
