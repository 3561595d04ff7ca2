"""The paper's figures: which a report draws, in which order, of which sweeps."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure

from tune_app.report.figures.best_pair import fig3
from tune_app.report.figures.costs import fig_costs
from tune_app.report.figures.grid_curves import fig1, fig2, fig9, fig_a3
from tune_app.report.figures.looks import COLOURS, MARKERS
from tune_app.report.figures.lpr import fig6, fig7
from tune_app.results.curves import Results, lpr_pairs
from tune_app.sweep.sweep import Sweep

_MAX_IN_ONE = 25  # curves


class PaperFigure(NamedTuple):
    """A figure of the paper, drawn from the results of one sweep."""

    draw: Callable[[Sweep, Results, str | None], Figure]
    """From a sweep, its results and the commit that made them (None if unknown) to a figure that
    belongs to no window. Raises NotDrawn where the results have nothing to show."""

    title: str
    is_asked: Callable[[Sweep], bool]
    """Whether the sweep asks for the figure, whatever its results."""


def _always(sweep: Sweep) -> bool:
    return True


def _fits_in_one(sweep: Sweep) -> bool:
    finds, evals = len(sweep.find_recipes), len(sweep.eval_recipes)
    told_apart = 1 < finds <= len(COLOURS) and 1 < evals <= len(MARKERS)
    return told_apart and finds * evals <= _MAX_IN_ONE


def _has_masks(sweep: Sweep) -> bool:
    return len(sweep.find_recipes) > 1


def _finds_lprs(sweep: Sweep) -> bool:
    """Whether the LPR come from training; otherwise the sweep file gives them."""
    prune = sweep.prune
    return not (prune.is_layerwise or prune.scope == "erk" or prune.strategy == "filter_l1")


def _takes_lprs(sweep: Sweep) -> bool:
    return bool(lpr_pairs(sweep))


def _stops_early(sweep: Sweep) -> bool:
    return len({recipe.stop for recipe in sweep.find_recipes}) > 1


FIGURES = {
    "fig1": PaperFigure(fig1, "Coupled runs: lottery tickets against baselines", _always),
    "fig2": PaperFigure(fig2, "Every H_find with every H_eval", _always),
    "figA3": PaperFigure(fig_a3, "Every H_find with every H_eval, all in one", _fits_in_one),
    "fig3": PaperFigure(fig3, "The best coupled against the best decoupled configuration", _always),
    "fig6": PaperFigure(fig6, "The fraction pruned of each layer", _finds_lprs),
    "fig7": PaperFigure(fig7, "The LPR of one H_find, the weights of another", _takes_lprs),
    "fig9": PaperFigure(fig9, "Pruned before convergence", _stops_early),
    "costs": PaperFigure(
        fig_costs, "The same tickets over what is left of the network", _has_masks
    ),
}
"""Figures by name, in the order of a report."""
