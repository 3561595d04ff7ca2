"""The learning rate at a step."""

import math

from lt_core.config import Recipe


def learning_rate(recipe: Recipe, step: int, iterations_per_epoch: int) -> float:
    """The learning rate of optimizer step `step`, counted from 0.

    During warmup of w steps it is lr * (step + 1) / w (Goyal et al. 2017, arXiv:1706.02677,
    section 2.2), so that no step is wasted at 0. From each milestone on it is multiplied by
    gamma once more; or from the end of warmup to that of `duration` it follows half a cosine
    (Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5, without restarts), or a line to 0.
    """
    warmup = recipe.warmup.iterations(iterations_per_epoch)
    rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if recipe.decay != "milestones":
        rest = recipe.duration.iterations(iterations_per_epoch) - warmup
        share = (step - warmup) / rest if step > warmup else 0.0
        if recipe.decay == "linear":
            return recipe.lr * rising * (1 - share)
        return recipe.lr * rising * (1 + math.cos(math.pi * share)) / 2
    passed = sum(step >= m.iterations(iterations_per_epoch) for m in recipe.milestones)
    return recipe.lr * rising * recipe.gamma**passed
