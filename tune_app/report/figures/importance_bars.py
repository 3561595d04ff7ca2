"""The importance of each hyperparameter of a search, as bars."""

from matplotlib.figure import Figure

from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import SMALL, TEXT, new_page, subscripts
from tune_app.report.figures.search_looks import add_search_caption
from tune_app.report.importances import Unknown, importances
from tune_app.report.search_words import complete
from tune_app.results.words import field_name
from tune_app.search.samples import Samples
from tune_app.sweep.sweep import Sweep


def draw_importances(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """The share of the variance of validation accuracy that each parameter explains by itself.

    Raises:
        NotDrawn: one parameter varies, or there are too few samples.
    """
    try:
        shares, n = importances(sweep, samples)
    except Unknown as reason:
        raise NotDrawn(str(reason)) from None
    figure, [([axes], _)] = new_page([1])
    figure.set_figheight(0.25 * len(shares) + 0.7)
    axes.grid(False)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(shares) - 0.4, -0.6)
    parameters = [name.split(".", 1) for name in shares]
    names = [subscripts(field_name(field, stage)) for stage, field in parameters]
    axes.set_yticks(range(len(shares)), names, fontsize=TEXT)
    axes.tick_params(axis="y", length=0)
    for row, (name, share) in enumerate(shares.items()):
        colour = "#56B4E9" if name.startswith("find.") else "#E69F00"
        axes.barh(row, 100 * share, height=0.6, color=colour)
        label_place = (100 * share, row)
        axes.annotate(
            f"{100 * share:.0f}%",
            label_place,
            xytext=(3 if share < 0.9 else -3, 0),
            textcoords="offset points",
            ha="left" if share < 0.9 else "right",
            va="center",
            fontsize=SMALL,
        )
    axes.set_xlabel("variance explained (%)", fontsize=TEXT)
    about = (
        "How much of the variance of validation accuracy over the search spaces each parameter "
        f"explains by itself: fANOVA, a random forest fitted to n = {n} complete samples. The rest "
        f"of 100%, {100 * max(0, 1 - sum(shares.values())):.0f}%, is due to several together."
    )
    if left_out := len(complete(samples)) - n:
        about += f" {left_out} more, with an H outside of its search space, are left out."
    add_search_caption(figure, sweep, commit, about)
    return figure
