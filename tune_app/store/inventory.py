"""What a store holds, as ids."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stored:
    """What is there already, as ids."""

    results: frozenset[str] = frozenset()
    tickets: frozenset[str] = frozenset()
    weights: frozenset[str] = frozenset()
    """Kept weights: of dense networks, for every way of pruning them, and what pruned networks
    start from."""

    def keeps_weights(self, id: str) -> bool:
        """Whether a training is done and can be pruned in another way without repeating it."""
        return id in self.results and id in self.weights
