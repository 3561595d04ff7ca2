"""The contents of a store, as ids."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stored:
    """Ids of the files of a store, by kind."""

    results: frozenset[str] = frozenset()
    tickets: frozenset[str] = frozenset()
    weights: frozenset[str] = frozenset()
    """Kept weights: those of trained dense networks, which can be pruned in any way, and those
    that pruned networks start from."""

    def keeps_weights(self, id: str) -> bool:
        """Whether a training is done and can be pruned in another way without repeating it."""
        return id in self.results and id in self.weights
