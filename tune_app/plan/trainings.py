"""The two kinds of work in a plan: single trainings, and the chains that find tickets."""

from dataclasses import dataclass

from lt_core.config import Recipe, Rewinding
from tune_app.sweep.kinds import Kind


@dataclass(frozen=True, slots=True)
class Training:
    """One network to train under one mask."""

    id: str
    kind: Kind
    find: Recipe | None
    """H_find of its mask; None for a mask that no training found."""

    eval: Recipe
    seed: int
    round: int
    """Of the mask of a file, which is of no round, the last that the sweep evaluates."""

    ticket: str | None
    """The ticket whose mask it needs; None where the seed alone gives the mask."""

    weights: str | None = None
    """The kept weights that it starts from; None where the seed alone gives them."""

    rewound_at: Recipe | None = None
    """H of the dense training that `weights` are a step of; None where a chain trained them."""

    lpr_find: Recipe | None = None
    """H_find of the chain whose LPR its mask has, where that is another."""

    rewind: Rewinding = Rewinding()
    """What it does with `weights`."""

    given: str | None = None
    """The id that its mask is kept under, where it is a given one."""

    @property
    def ids(self) -> tuple[str]:
        """Its own; a chain's are those of its rounds."""
        return (self.id,)


@dataclass(frozen=True, slots=True)
class Chain:
    """All rounds of one H_find and seed: train, prune, rewind, again."""

    trainings: tuple[Training, ...]
    """Round 0, 1, ...; each but round 0 under the ticket of its number. One-shot: round 0."""

    found: tuple[tuple[str, ...], ...]
    """The tickets that each training finds: that of the next round; one-shot: of every round.
    Empty for a last round that the chain whose LPR it takes has no more ticket for."""

    weights: tuple[str, ...] = ()
    """Ids under which the trained weights of each round are kept; empty where nothing goes on from
    them."""

    lpr_tickets: tuple[str, ...] = ()
    """The tickets of another chain whose LPR its own tickets get, one for each; or none."""

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(training.id for training in self.trainings)

    @property
    def tickets(self) -> tuple[str, ...]:
        """The tickets of rounds 1, 2, ..."""
        return tuple(ticket for tickets in self.found for ticket in tickets)

    @property
    def find(self) -> Recipe:
        return self.trainings[0].eval

    @property
    def seed(self) -> int:
        return self.trainings[0].seed
