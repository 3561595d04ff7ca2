"""The learning rate at a step."""

from lt_core.config import Recipe


def learning_rate(recipe: Recipe, step: int, iterations_per_epoch: int) -> float:
    """The learning rate of optimizer step `step`, counted from 0.

    During warmup of w steps it is lr * (step + 1) / w (Goyal et al. 2017, arXiv:1706.02677,
    section 2.2), so that no step is wasted at 0. From each milestone on it is multiplied by
    gamma once more.
    """
    warmup = recipe.warmup.iterations(iterations_per_epoch)
    passed = sum(step >= m.iterations(iterations_per_epoch) for m in recipe.milestones)
    rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return recipe.lr * rising * recipe.gamma**passed
