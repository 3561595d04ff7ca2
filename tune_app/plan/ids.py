"""The ids of trainings and tickets.

An id is a hash of everything that determines a result and of nothing else, so that equal trainings
are one, whatever sweep asks for them. The hardware and the number of threads, which change a result
by no more than rounding, are not part of it.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from lt_core.config import Config, Recipe, Rewinding
from tune_app.plan.trainings import Training
from tune_app.sweep.kinds import (
    NEW_WEIGHTS,
    TICKETS,
    WITHOUT_TICKET,
    Kind,
    is_file,
    is_given,
    source,
)
from tune_app.sweep.spaces import in_epochs
from tune_app.sweep.sweep import Sweep

FORMAT = 1
"""Part of every id; to be raised when the same description comes to give another result."""


class Ids:
    """Ids of the trainings and tickets of one sweep; the part of a recipe is worked out once."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.tickets: dict[tuple[Recipe, int, int, Recipe | None], str] = {}
        self.setting: dict[str, Any] = {
            "format": FORMAT,
            "model": sweep.model,
            "dataset": sweep.dataset,
        }
        self.score: dict[str, Any] = {}
        """What an own score is by content: of tickets alone."""

        self.masks: Mapping[str, str] = {}
        """What given masks are by content, likewise of what is trained under them."""

        if sweep.fingerprints is not None:
            self.masks = sweep.fingerprints.masks or {}
            if own := _essence(sweep.fingerprints, {"score", "masks"}):
                self.setting["fingerprints"] = own
            self.score = sweep.fingerprints.model_dump(include={"score"}, exclude_none=True)
        self.recipes: dict[Recipe, dict[str, Any]] = {}
        self.find_rewinding = _rewinding(sweep.find_rewind)
        self.eval_rewinding = _rewinding(sweep.eval_rewind)
        # The prunings up to each round; a one-shot ticket is the first round of its fraction.
        targets = {"rounds", "final_sparsity", "one_shot"}
        if sweep.prune.pattern is not None:
            targets.add("fraction")
        if not sweep.prune.is_one_shot:
            pruning = _essence(sweep.prune, targets)
            rounds = range(1, sweep.prune.num_rounds + 2)
            self.pruned = {round: {"pruning": pruning, "round": round} for round in rounds}
        else:
            self.pruned = {
                round: {"pruning": _essence(sweep.prune.of_round(round), targets), "round": 1}
                for round in range(1, sweep.prune.num_rounds + 1)
            }

    def ticket(self, find: Recipe, seed: int, round: int, lpr_from: Recipe | None = None) -> str:
        """The id of a round's ticket; `lpr_from` is the H_find whose LPR the chain takes."""
        # Many trainings share a ticket.
        key = (find, seed, round, lpr_from)
        if key not in self.tickets:
            self.tickets[key] = self._ticket(*key)
        return self.tickets[key]

    def _ticket(self, find: Recipe, seed: int, round: int, lpr_from: Recipe | None) -> str:
        parts = {"find": self._recipe(find), **self.pruned[round], **self.score}
        if self.find_rewinding and not self._is_first(round):
            parts["rewind"] = self.find_rewinding
        if lpr_from is not None:
            parts["lpr_from"] = self._recipe(lpr_from)
        return self._hash(seed, **parts)

    def dense(self, eval_: Recipe, seed: int) -> Training:
        """The dense training at one H: round 0 of every chain at this H."""
        id = self._hash(seed, mask="dense", eval=self._recipe(eval_))
        return Training(id, "lottery", eval_, eval_, seed, 0, None)

    def evaluation(
        self,
        kind: Kind,
        find: Recipe,
        eval_: Recipe,
        seed: int,
        round: int,
        lpr_from: Recipe | None = None,
    ) -> Training:
        """The training under the mask of a round, or under the control `kind` of that mask."""
        mask: str | dict[str, object]
        given = None
        if is_given(kind):
            mask, given = self._given(kind, seed, round)
            found_at, ticket = None, None
        elif kind in WITHOUT_TICKET:
            mask = {"kind": kind, **self.pruned[round]}
            found_at, ticket = None, None
        else:
            found_at, ticket = find, self.ticket(find, seed, round, lpr_from)
            mask = ticket if kind in TICKETS else {"kind": kind, "ticket": ticket}

        weights, rewound_at, parts = None, None, {}
        rewind = self.sweep.rewind_of(kind)
        rewinding = self.find_rewinding if kind == "chain" else self.eval_rewinding
        if rewinding and kind not in NEW_WEIGHTS:
            if rewind.method == "weights":
                is_at_eval = self.sweep.eval.rewind_from == "eval"
                rewound_at = eval_ if found_at is None or is_at_eval else found_at
                weights = self._hash(seed, weights=self._recipe(rewound_at), **rewinding)
            else:
                weights = self.dense(find, seed).id if self._is_first(round) else ticket
            parts = {"start": weights, "rewind": rewinding}
        id = self._hash(seed, mask=mask, eval=self._recipe(eval_), **parts)
        return Training(
            id,
            kind,
            found_at,
            eval_,
            seed,
            round,
            ticket,
            weights,
            rewound_at,
            lpr_from,
            rewind,
            given,
        )

    def _given(self, kind: Kind, seed: int, round: int) -> tuple[dict[str, object], str]:
        """What a given mask is, and the id that it is kept under."""
        where = source(kind, seed)
        content = self.masks.get(where, where)
        if is_file(kind):
            return {"file": content}, content
        mask = {"kind": kind, "content": content, **self.pruned[round]}
        return mask, self._hash(seed, given=mask)

    def _is_first(self, round: int) -> bool:
        """Whether the ticket of a round is one of the dense network."""
        return round == 1 or self.sweep.prune.is_one_shot

    def _recipe(self, recipe: Recipe) -> dict[str, Any]:
        essence = self.recipes.get(recipe)
        if essence is None:
            essence = _essence(in_epochs(recipe, self.sweep.dataset))
            if recipe.micro_batch is not None and recipe.micro_batch >= recipe.batch_size:
                del essence["micro_batch"]  # then it does nothing
            self.recipes[recipe] = essence
        return essence

    def _hash(self, seed: int, **parts: Any) -> str:
        text = _SORTED.encode({**self.setting, "seed": seed, **parts})
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def _rewinding(rewind: Rewinding) -> dict[str, Any]:
    to = {"to": str(rewind.to)} if rewind.to.count else {}
    return _essence(rewind, {"to"}) | to


_SORTED = json.JSONEncoder(sort_keys=True)


def _essence(config: Config, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The fields that are not at their default: a new field that does nothing changes no id."""
    return config.model_dump(mode="json", exclude_defaults=True, exclude=set(leave_out))
