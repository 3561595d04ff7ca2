"""Captions: what a figure shows, how it was made, and what is missing."""

import textwrap
from collections.abc import Collection, Iterable, Sequence

from matplotlib.figure import Figure

from tune_app.report.figures.panels import SMALL
from tune_app.results.curves import Statistic
from tune_app.results.method import method
from tune_app.results.racing import least_seeds
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


def add_caption(
    figure: Figure,
    sweep: Sweep,
    commit: str | None,
    about: str,
    shown: Sequence[Statistic | None],
    baselines: Collection[str] = (),
) -> None:
    """The caption of a figure of a grid.

    Args:
        figure: grows by the height of the text.
        sweep: the grid.
        commit: that made the results; None if unknown.
        about: sentences on the figure.
        shown: its points; None for the missing ones.
        baselines: the kinds of baseline in the figure.
    """
    counts = sorted({statistic.n for statistic in shown if statistic})
    n = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    spread = " ± sample standard deviation" if counts[-1] > 1 else ""
    parts = [
        about,
        *method(sweep, baselines),
        f"{sweep.model} on {sweep.dataset}; mean{spread} over seeds, n\u00a0=\u00a0{n}; "
        f"commit {commit or 'unknown'}.",
    ]
    none = sum(statistic is None for statistic in shown)
    least = least_seeds(sweep)
    fewer = sum(statistic is not None and statistic.n < least for statistic in shown)
    if none or fewer:
        parts.append(
            f"Incomplete: of {plural(len(shown), 'point')} {none} are missing and {fewer} have "
            f"fewer than {plural(least, 'seed')}."
        )
    place_caption(figure, parts)


def place_caption(figure: Figure, sentences: Iterable[str]) -> None:
    """Text below the panels; the figure grows by its height."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(" ".join(sentences), int(width * 19))
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=SMALL, color="#444444")
    figure.set_size_inches(width, height + 0.13 * len(lines))
