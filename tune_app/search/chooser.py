"""What a search has tried, whichever way it chooses what to try next."""

from dataclasses import dataclass

from lt_core.config import Recipe


@dataclass(frozen=True)
class Configuration:
    """What a search tries."""

    find: Recipe
    eval: Recipe

    @property
    def coupled(self) -> bool:
        return self.find == self.eval


class Chooser:
    """Decides what to try next; a subclass says how."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.found: dict[Recipe, bool] = {}
        """For each H_find that was chosen, whether its mask is there."""

        self.values: dict[Configuration, float | None] = {}
        """Of each configuration that was chosen; None while it is not known."""

    def ask(self) -> Configuration | None:
        """What to try next; None where nothing is left, or all that is left waits for results."""
        choice = self._choose()
        if choice is not None:
            self.found.setdefault(choice.find, False)
            self.values[choice] = None
        return choice

    def tell(self, configuration: Configuration, value: float, is_whole: bool) -> None:
        """The value of a configuration; of one that failed or was stopped it is what is left."""
        self.values[configuration] = value

    def _choose(self) -> Configuration | None:
        raise NotImplementedError
