"""Variants of a sweep: launches of one name that ask different things have a directory each."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tune_app.plan.plan import make_plan
from tune_app.results.reading import RunError, read_sweep
from tune_app.results.run_directory import RunDirectory
from tune_app.run.identity import Identified
from tune_app.store.store import StoreError
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.words import first_few

_HOW = (
    "name",
    "description",
    "data_dir",
    "resources_per_trial",
    "find.resources",
    "eval.resources",
    "max_concurrent",
    "checkpoint_every",
    "max_failures",
    "search.num_samples",
    "search.trainings",
    "search.time_budget",
    "search.max_concurrent",
)
"""Keys that change how or how long a sweep runs, not what it asks."""

_MAX_STEM = 90
"""Of a name, so that `-2` and the `-best` of a search's comparison leave it one."""


def kept_apart(identified: Identified, out: Path) -> Identified:
    """A sweep under the name of its own variant, with a note where that is a new one."""
    sweep, sentence = variant_of(identified.sweep, out)
    notes = identified.notes if sentence is None else [*identified.notes, sentence]
    first = identified.sweep.name if sweep.name != identified.sweep.name else ""
    return replace(identified, sweep=sweep, notes=notes, variant_of=first)


def check_free(sweep: Sweep, run_dir: Path) -> None:
    """That nothing else is in the directory of a sweep.

    Another launch may have taken it since its name was chosen. A search replaces its comparison, by
    its description, as other configurations become the best.

    Raises:
        StoreError: when another sweep is there.
    """
    try:
        there = read_sweep(run_dir) if (run_dir / "sweep.yaml").exists() else sweep
    except (RunError, SpecError):
        return
    if _ask_alike(there, sweep):
        return
    is_comparison = sweep.name.endswith("-best")
    if there.description == sweep.description and is_comparison:
        return
    what_differs = first_few(differences(sweep, there), 3)
    if is_comparison:
        raise StoreError(
            f"{run_dir}: is another sweep's, where {what_differs}. A search has its comparison "
            "under NAME-best: give one of the two another name"
        )
    raise StoreError(
        f"{run_dir}: has just been taken by another launch, where {what_differs}; the same command "
        "again has a directory of its own"
    )


def variant_of(sweep: Sweep, out: Path) -> tuple[Sweep, str | None]:
    """The sweep under the name of its own variant, and a sentence where that is a new one.

    The first to be launched under a name has it; what asks something else, `NAME-2` and so on. The
    same sweep finds its directory again.

    Args:
        sweep: with the fingerprints of own code and data.
        out: holds the run directories.
    """
    variants = list(_variants(sweep.name, out))
    last = None
    for variant in variants:
        if variant.sweep is not None:
            if _ask_alike(variant.sweep, sweep):
                return _named(sweep, variant.name), None
            last = variant
    if not (out / sweep.name / "sweep.yaml").exists():
        return sweep, None
    name = _name(sweep.name, 1 + variants[-1].number)
    sentence = f"{out / name}: kept apart from {out / (last or variants[0]).name}"
    if last is not None and last.sweep is not None:
        sentence += f", where {first_few(differences(last.sweep, sweep), 6)}"
    return _named(sweep, name), sentence


def asked_by(sweep: Sweep) -> dict[str, str]:
    """What a sweep asks: values by key, as text."""
    leaves = _leaves(sweep.model_dump(mode="json", exclude_none=True))
    how = tuple(f"{key}." for key in _HOW)
    return {key: str(value) for key, value in leaves if not f"{key}.".startswith(how)}


_TRAINED = ("seeds", "train", "find", "eval")
"""Keys that say nothing more than what a grid trains: they may say it in another way."""


def _ask_alike(one: Sweep, other: Sweep) -> bool:
    """Whether two sweeps ask the same: grids of the same trainings may be written in two ways."""
    asked = [asked_by(sweep) for sweep in (one, other)]
    if asked[0] == asked[1]:
        return True
    if one.search or other.search:
        return False
    first, second = (
        {key: text for key, text in each.items() if key.split(".")[0] not in _TRAINED}
        for each in asked
    )
    return first == second and (
        make_plan(one).trainings.keys() == make_plan(other).trainings.keys()
    )


def differences(before: Sweep, after: Sweep) -> list[str]:
    """What the first of two sweeps asks otherwise, such as `train.lr was 0.1, now 0.2`."""
    old, new = asked_by(before), asked_by(after)
    return [
        f"{key} was {old.get(key, 'not given')}, now {new.get(key, 'not given')}"
        for key in dict.fromkeys((*new, *old))
        if old.get(key) != new.get(key)
    ]


class _Variant(NamedTuple):
    number: int
    """1 for the one that has the sweep's own name."""

    name: str
    sweep: Sweep | None
    """None where it cannot be read, or is another's."""


def _variants(name: str, out: Path) -> Iterator[_Variant]:
    """The variants of a name that have a directory, by number.

    Other sweeps may be named like one: run.json tells whose variant a run is.
    """
    stem = _name(name, 2).removesuffix("2")
    tails = [path.name.removeprefix(stem) for path in out.glob(f"{stem}*")]
    numbers = sorted(int(tail) for tail in tails if tail.isdecimal() and tail[0] != "0")
    for number, each in ((1, name), *((number, _name(name, number)) for number in numbers)):
        run_dir = out / each
        if not (run_dir / "sweep.yaml").exists():
            continue
        run = RunDirectory(run_dir).provenance()
        if number > 1 and run is not None and run.variant_of != name:
            yield _Variant(number, each, None)
            continue
        try:
            yield _Variant(number, each, read_sweep(run_dir))
        except (RunError, SpecError):  # of another version, or damaged
            yield _Variant(number, each, None)


def _name(name: str, number: int) -> str:
    return f"{name[:_MAX_STEM]}-{number}"


def _named(sweep: Sweep, name: str) -> Sweep:
    return sweep.model_copy(update={"name": name})


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _leaves(below, f"{key}.{name}" if key else name)
    else:
        yield key, value
