"""Two runs against each other: `python -m tune_app compare RUN RUN`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click

from lt_core.config import Recipe
from tune_app.command import examples, out_option, path_argument, refused
from tune_app.exit_codes import OK
from tune_app.results.curves import Point, Results, percent_pruned
from tune_app.results.paired import Paired
from tune_app.results.reading import RunError, read_grid, read_sweep
from tune_app.results.result import CurveKey
from tune_app.results.words import field_name, kind_name, text
from tune_app.run.variants import differences
from tune_app.store.files import write_atomically
from tune_app.sweep.kinds import Kind
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.words import first_few, plural

_MAX_LINES = 12


@dataclass(frozen=True)
class Run:
    """A grid and its results."""

    name: str
    sweep: Sweep
    results: Results


def _run(first: Path, second: Path, out: Path | None) -> int:
    try:
        runs = _read(first), _read(second)
        found = list(compared(*runs))
        if not found:
            raise RunError(f"{first} and {second}: no configuration at one sparsity is in both")
        print("\n".join(in_words(*runs, found)))
        path = out or first.parent / f"{first.name}-vs-{second.name}.png"
        write_atomically(path, _drawn(*runs, format=path.suffix.removeprefix(".")))
        print(f"\n{path}")
    except (RunError, SpecError, OSError) as error:
        return refused(error)
    return OK


def _drawn(first: Run, second: Run, format: str) -> bytes:
    """The figure as a file."""
    from tune_app.report.figures.image_files import image_files  # matplotlib
    from tune_app.report.figures.two_runs import draw_two_runs

    curves = {str(configuration): both for configuration, both in pairs(first, second).items()}
    figure = draw_two_runs((first.name, second.name), curves)
    files = image_files(figure, f"{first.name} and {second.name}")
    if format not in files:
        raise RunError(f"--out: must end with one of .{', .'.join(files)}, got .{format}")
    return files[format]


def _read(run_dir: Path) -> Run:
    """Raises RunError, also for a search, whose configurations nobody else has."""
    sweep = read_sweep(run_dir)
    if sweep.search is not None:
        raise RunError(f"{run_dir}: is a search; its comparison, {run_dir}-best, is a grid")
    return Run(run_dir.name, sweep, read_grid(run_dir, sweep)[1])


Values = tuple[tuple[str, Any], ...]
"""Fields of a recipe with their values."""


class Configuration(NamedTuple):
    """A curve by the fields that either run varies; others may differ, which is what runs are
    compared for."""

    kind: Kind
    find: Values | None
    lpr_find: Values | None
    eval: Values

    def __str__(self) -> str:
        parts = [kind_name(self.kind)]
        for stage, values in zip(("find", "lpr_find", "eval"), self[1:], strict=True):
            parts += [f"{field_name(name, stage)} {text(value)}" for name, value in values or ()]
        return ", ".join(parts)


@dataclass(frozen=True)
class Difference:
    """One configuration at one sparsity, in both runs."""

    configuration: Configuration
    sparsity: float
    points: tuple[Point, Point]
    second_less_first: Paired | None
    """None where the runs have no seed in common."""


def pairs(
    first: Run, second: Run
) -> dict[Configuration, tuple[Mapping[int, Point], Mapping[int, Point]]]:
    """The curves that both runs have, by rising round."""
    sweeps = (first.sweep, second.sweep)
    find = dict.fromkeys(name for sweep in sweeps for name in sweep.find.varied)
    eval_ = dict.fromkeys(name for sweep in sweeps for name in sweep.eval.varied)

    def values(recipe: Recipe, names: Iterable[str]) -> Values:
        return tuple((name, getattr(recipe, name)) for name in names)

    def configuration(key: CurveKey) -> Configuration:
        return Configuration(
            key.kind,
            None if key.find is None else values(key.find, find),
            None if key.lpr_find is None else values(key.lpr_find, find),
            values(key.eval, eval_),
        )

    mine, theirs = (
        {configuration(key): points for key, points in run.results.means.items()}
        for run in (first, second)
    )
    return {each: (points, theirs[each]) for each, points in mine.items() if each in theirs}


def compared(first: Run, second: Run) -> Iterator[Difference]:
    """Every configuration at every sparsity that both runs have; once for a dense network, which is
    the first point of many curves."""
    dense: set[Values] = set()
    for configuration, (mine, theirs) in pairs(first, second).items():
        others = {round(point.sparsity, 3): point for point in theirs.values()}
        for point in mine.values():
            if point.round == 0 and configuration.eval in dense:
                continue
            if point.round == 0:
                dense.add(configuration.eval)
            other = others.get(round(point.sparsity, 3))
            if other is not None:
                difference = Paired.of(other.test_by_seed, point.test_by_seed)
                yield Difference(configuration, point.sparsity, (point, other), difference)


def in_words(first: Run, second: Run, found: list[Difference]) -> Iterator[str]:
    """What differs between two runs, in what they ask and in what came out."""
    asked = differences(first.sweep, second.sweep)
    yield f"{second.name} beside {first.name}: {first_few(asked, 6) or 'they ask the same'}."
    paired = [(each, each.second_less_first) for each in found if each.second_less_first]
    apart = [pair for pair in paired if pair[1].sign]
    apart.sort(key=lambda pair: -abs(pair[1].mean))
    yield (
        f"Of {plural(len(found), 'comparison')} of test accuracy, one configuration at one "
        f"sparsity each, {len(apart) or 'none'} differ beyond their 95% intervals, by seed; one "
        "in twenty does so by chance."
    )
    if without := len(found) - len(paired):
        yield f"{without} cannot be compared by seed: the runs have none in common."
    for each, difference in apart[:_MAX_LINES]:
        one, other = (point.test.percent() for point in each.points)
        at = "dense" if each.sparsity == 0 else f"{percent_pruned(each.sparsity)} pruned"
        yield (f"  {at}, {each.configuration}: {difference.points()}, from {one} to {other}")
    if len(apart) > _MAX_LINES:
        yield f"  and {len(apart) - _MAX_LINES} more, with smaller differences"


COMMAND = click.Command(
    "compare",
    callback=_run,
    help="Draw two grids in one figure, and say where they differ beyond their 95% intervals: the "
    "second less the first, by seed.",
    short_help="Draw two runs in one figure, and say where they differ.",
    epilog=examples(
        "lottery compare runs/lr_grid runs/lr_grid-2",
        "lottery compare runs/lr_grid runs/other_network --out networks.pdf",
        "lottery compare runs/best_ticket-best runs/lr_grid",
    ),
    params=[
        path_argument("first"),
        path_argument("second"),
        out_option("FILE", "The figure: .png, .pdf or .svg; beside the first run if not given."),
    ],
)
