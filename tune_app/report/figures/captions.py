"""Captions: what a figure shows, how it was made, and what is missing."""

from collections.abc import Collection, Iterable, Sequence

from matplotlib.figure import Figure

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
        figure: gets the caption.
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
    set_caption(figure, parts)


def set_caption(figure: Figure, sentences: Iterable[str]) -> None:
    """Make them the figure's label: a paper has captions of its own, so none is in the picture."""
    figure.set_label(" ".join(sentences))
