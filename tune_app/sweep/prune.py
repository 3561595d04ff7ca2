"""How far and how fast a sweep prunes: its rounds and their sparsities."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from lt_core.config import Pruning, RuleErrors
from lt_core.names import kept_of
from tune_app.sweep.spaces import NonEmpty, in_words

MAX_ROUNDS = 1000

Fraction = Annotated[float, Field(gt=0, lt=1)]
Sparsities = Annotated[NonEmpty[Fraction], Field(max_length=MAX_ROUNDS)]


class Prune(Pruning):
    """How far and how fast to prune; exactly one of `pattern` and the three keys below."""

    rounds: int | None = Field(default=None, ge=1, le=MAX_ROUNDS)
    """Prunings in a chain; round 0 is the dense network."""

    final_sparsity: Fraction | None = None
    """Prune until at least this fraction of the weights is gone."""

    one_shot: Sparsities | None = None
    """Prune the dense network at once: a ticket for each of these in place of `fraction`, which
    count as rounds 1, 2, ..."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        targets = ("rounds", "final_sparsity", "one_shot", "pattern")
        given = [name for name in targets if getattr(self, name) is not None]
        if len(given) != 1:
            got = f"{' and '.join(given)} (null unsets one)" if given else "none"
            text = f"needs one of `rounds`, `final_sparsity`, `one_shot` and `pattern`, got {got}"
            raise RuleErrors([((), text)])
        problems = []
        if not self.is_one_shot and self.num_rounds > MAX_ROUNDS:
            text = f"takes more than {MAX_ROUNDS} rounds at `fraction` {self.fraction:g}"
            problems.append((("final_sparsity",), text))
        if self.one_shot is None and self.strategy == "filter_l1":
            text = "prunes once: needs `one_shot`, the shares of the filters to remove"
            problems.append((("strategy",), text))
        if self.one_shot is not None and list(self.one_shot) != sorted(self.one_shot):
            problems.append((("one_shot",), f"must rise, got {in_words(self.one_shot)}"))
        if problems:
            raise RuleErrors(problems)
        return self

    @property
    def is_one_shot(self) -> bool:
        """Whether all tickets are of the dense network."""
        return self.one_shot is not None or self.pattern is not None

    @property
    def num_rounds(self) -> int:
        """The last round: the prunings of a chain, or the tickets of `one_shot`."""
        if self.pattern is not None:
            return 1
        if self.one_shot is not None:
            return len(self.one_shot)
        if self.rounds is not None:
            return self.rounds
        assert self.final_sparsity is not None  # _one_target
        rounds = math.log1p(-self.final_sparsity) / math.log1p(-self.fraction)
        return max(1, math.ceil(min(rounds - 1e-9, MAX_ROUNDS + 1)))

    def of_round(self, round: int) -> Pruning:
        """The pruning that finds the ticket of a round."""
        return self.model_copy(update={"fraction": self.fractions(round)[-1]})

    def fractions(self, round: int) -> tuple[float, ...]:
        """The nominal share of the remaining weights that each pruning up to a round removes."""
        if self.pattern is not None:
            keep, of = kept_of(self.pattern)
            return (1 - keep / of,) if round else ()
        if self.one_shot is not None:
            return (self.one_shot[round - 1],) if round else ()
        return (self.fraction,) * round

    def sparsity(self, round: int) -> float:
        """Nominal sparsity of a round: without rounding up to whole weights and without
        `layer_fractions`; the share of the filters for `filter_l1`."""
        return 1 - math.prod(1 - fraction for fraction in self.fractions(round))
