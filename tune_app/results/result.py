"""The result of one training, and its line: in results.jsonl, in the store, from a worker."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationInfo

from lt_core.config import Recipe
from lt_core.cost import Cost
from tune_app.json_line import as_line
from tune_app.plan.trainings import Training
from tune_app.store.store import Store
from tune_app.sweep.kinds import Kind


def _shared(read: Any, info: ValidationInfo) -> Recipe | None:
    """The recipe of a line as an object that results share: a large sweep has few recipes."""
    if info.data.get("id") in (info.context or {}):
        recipe: Recipe | None = _planned(read, info)
        return recipe
    return read if read is None else _recipe(as_line(read))


def _planned(read: Any, info: ValidationInfo) -> Any:
    """As the plan has it. What prunes once, or is read from a file, may have another round or name
    in the sweep that trained it; a chain's own round is an evaluation in one sweep, and none in
    another, whose chains rewind otherwise."""
    training = (info.context or {}).get(info.data.get("id"))
    assert info.field_name is not None  # it belongs to fields
    return read if training is None else getattr(training, info.field_name)


@cache
def _recipe(text: bytes) -> Recipe:
    return Recipe.model_validate_json(text)


_Share = Annotated[float, Field(ge=0, le=1)]
_SHARED = BeforeValidator(_shared)
_PLANNED = BeforeValidator(_planned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was trained, and how well it does. The fields are the keys of a line, in its order."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True)

    id: str
    """Of the training."""

    kind: Annotated[Kind, _PLANNED]
    find: Annotated[Recipe | None, _SHARED]
    lpr_find: Annotated[Recipe | None, _SHARED] = None
    eval: Annotated[Recipe, _SHARED]
    seed: int
    round: Annotated[int, _PLANNED]

    sparsity: _Share
    """As measured."""

    val_accuracy: _Share
    test_accuracy: _Share
    train_loss: float
    """Of the last epoch."""

    lpr: dict[str, float]
    """The fraction pruned of each layer."""

    cost: Cost | None = None
    """Of its network; None in lines of early versions, until a launch counts it."""

    distance: float | None = None
    """How far its weights moved, as in `lt_core/movement.py`; lines of early versions have none."""

    sign_changes: float | None = None
    """The fraction of its weights that changed their sign, likewise."""

    precision: str | None = None
    """Of the training; lines of early versions have none."""

    seconds: float
    """How long the training took."""

    finished_at: float
    """Seconds since 1970."""

    commit: str | None = None
    """Of the program that trained; None where it is not known."""

    @classmethod
    def from_line(cls, line: bytes, trainings: Mapping[str, Training] | None = None) -> "Result":
        """Read a line.

        Args:
            line: JSON; keys that this version does not know are left out.
            trainings: by id. The result of one of them has its recipes, kind and round: another
                version may have written fewer or more fields.

        Raises:
            ValidationError: the line is damaged, or this version knows no such recipe.
        """
        return _ADAPTER.validate_json(line, context=trainings)

    @property
    def curve(self) -> "CurveKey":
        return CurveKey(self.kind, self.find, self.eval, self.lpr_find)

    def to_line(self) -> bytes:
        """The result as JSON on one line, without its end."""
        return as_line(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes it travels as its line, and shares its recipes where it arrives."""
        return Result.from_line, (self.to_line(),)


_ADAPTER = TypeAdapter(Result)


def read_stored(
    store: Store, ids: Iterable[str], trainings: Mapping[str, Training]
) -> dict[str, Result]:
    """The results of planned trainings in a store, by id; `trainings` too are by id."""
    return store.results(ids, parser(trainings))


def parser(trainings: Mapping[str, Training]) -> Callable[[bytes], Result]:
    """What reads the lines of planned trainings."""
    return partial(Result.from_line, trainings=trainings)


def described(what: Training | Result) -> dict[str, Any]:
    """How a line begins: what was trained, recipes as `Recipe` writes them.

    Equal recipes are one object.
    """
    return {
        "id": what.id,
        "kind": what.kind,
        "find": what.find and _in_full(what.find),
        "lpr_find": what.lpr_find and _in_full(what.lpr_find),
        "eval": _in_full(what.eval),
        "seed": what.seed,
        "round": what.round,
    }


@cache
def _in_full(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class CurveKey:
    """What the results of a curve share but for their seed."""

    kind: Kind
    find: Recipe | None
    """None for masks that no training found."""

    eval: Recipe
    lpr_find: Recipe | None = None
    """The H_find whose LPR the masks have, for kind `lpr_constrained`."""

    @property
    def coupled(self) -> bool:
        """Whether its networks have no other H than H_eval."""
        return self.lpr_find is None and self.find in (None, self.eval)
