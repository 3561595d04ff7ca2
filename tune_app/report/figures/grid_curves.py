"""Curves of a grid: coupled runs, every H_find with every H_eval, early pruning."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lt_core.config import Recipe
from tune_app.report.figures.captions import add_caption
from tune_app.report.figures.legends import add_legend, add_split_legend
from tune_app.report.figures.lines import BAND, FAINT_BAND, draw_curve, draw_thin_line
from tune_app.report.figures.looks import looks_of_kinds, recipe_looks, styles_of
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import GREY, new_page, set_title
from tune_app.report.figures.readable import configurations_shown
from tune_app.report.figures.scales import scale_accuracy_over_sparsity
from tune_app.results.curves import Means, Results, Statistic
from tune_app.results.result import CurveKey
from tune_app.results.words import KIND_NAMES, kind_name, short, varied_fields
from tune_app.sweep.kinds import Kind, has_find, is_file
from tune_app.sweep.sweep import Sweep


def fig1(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Coupled runs, a panel per H: lottery tickets against random masks.

    Raises:
        NotDrawn: no H is in both search spaces, or none of those has results.
    """
    means, varied = results.means, varied_fields(sweep)
    evals = sweep.eval_recipes
    coupled = [recipe for recipe in sweep.find_recipes if recipe in evals]
    if not coupled:
        raise NotDrawn("no H is in both search spaces")

    figure, [(panels, corner)] = new_page([len(coupled)])
    last = sweep.eval_rounds[-1]
    kinds: list[Kind] = ["lottery", *sweep.controls]
    shown: list[Statistic | None] = []
    for axes, recipe in zip(panels, coupled, strict=True):
        set_title(axes, panels, short(recipe, varied))
        for kind in kinds:
            find = recipe if has_find(kind) else None
            points = means.get(CurveKey(kind, find, recipe), {})
            # Of a file there is one mask, and no curve.
            rounds = sweep.eval_rounds[-1:] if is_file(kind) else sweep.eval_rounds
            if kind == "lottery" and sweep.rewinds_alike:
                rounds = tuple(range(last + 1))
            look = looks_of_kinds(sweep)[kind]
            shown += draw_curve(axes, points, rounds, label=kind_name(kind), **look)
    scale_accuracy_over_sparsity(panels, shown, means)
    add_legend(corner, panels)
    about = f"Coupled runs, found and trained at the same H; {configurations_shown(sweep)}"
    add_caption(figure, sweep, commit, about, shown, sweep.controls)
    return figure


def fig2(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Every H_find with every H_eval: a panel per H_eval, and again a panel per H_find.

    Raises:
        NotDrawn: the grid is one configuration, or none has results.
    """
    means, varied = results.means, varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    looks = recipe_looks([*finds, *evals])
    by_eval, by_find = (("eval", evals), ("find", finds)), (("find", finds), ("eval", evals))
    # A family of panels: the recipe that each panel fixes, then those that its curves vary. A
    # family whose panels have one curve each would compare nothing.
    families = [family for family in (by_eval, by_find) if len(family[1][1]) > 1]
    if not families:
        raise NotDrawn("the grid is one configuration, so nothing to compare")

    figure, pages = new_page([len(recipes) for (_, recipes), _ in families])
    everywhere = [axes for panels, _ in pages for axes in panels]
    shown: list[Statistic | None] = []
    random: list[Statistic | None] = []
    for ((stage, fixed), (other, varying)), (panels, corner) in zip(families, pages, strict=True):
        for axes, recipe in zip(panels, fixed, strict=True):
            set_title(axes, everywhere, short(recipe, varied, stage))
            for curve in varying:
                find, eval_ = (curve, recipe) if stage == "eval" else (recipe, curve)
                points = means.get(CurveKey("lottery", find, eval_), {})
                name, look = short(curve, varied, other), looks[curve]
                shown += draw_curve(axes, points, sweep.eval_rounds, label=name, **look)
            if stage == "eval":
                random += _draw_random(axes, sweep, means, recipe)
        add_legend(corner, panels)
    floor = scale_accuracy_over_sparsity(everywhere, shown, means)
    about = f"Tickets found at H_find and trained at H_eval; {configurations_shown(sweep)}"
    about += _left_panel(random, floor)
    add_caption(figure, sweep, commit, about, [*shown, *random], ["global_random"] * bool(random))
    return figure


def fig_a3(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Every H_find with every H_eval in one panel.

    Raises:
        NotDrawn: there are no results of pruned networks.
    """
    means, varied = results.means, varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    looks, styles = recipe_looks(finds), styles_of(evals)
    # Many bands on top of each other hide the curves.
    band = BAND if len(finds) * len(evals) <= 4 else FAINT_BAND

    figure, [([axes], corner)] = new_page([1])
    shown: list[Statistic | None] = []
    random: list[Statistic | None] = []
    for eval_, style in zip(evals, styles, strict=True):
        for find in finds:
            points = means.get(CurveKey("lottery", find, eval_), {})
            name = f"{short(find, varied, 'find')}, {short(eval_, varied, 'eval')}"
            look = looks[find] | style
            shown += draw_curve(axes, points, sweep.eval_rounds, band, label=name, **look)
        random += _draw_random(axes, sweep, means, eval_, style["linestyle"])
    floor = scale_accuracy_over_sparsity([axes], shown, means)
    found_at = {short(find, varied): looks[find]["color"] for find in finds}
    if random:
        found_at[KIND_NAMES["global_random"]] = GREY
    trained_at = dict(zip((short(eval_, varied) for eval_ in evals), styles, strict=True))
    add_split_legend(corner, "found at", found_at, "trained at", trained_at)
    about = "Every H_find (colour) with every H_eval (marker and line)."
    about += _left_panel(random, floor)
    add_caption(figure, sweep, commit, about, [*shown, *random], ["global_random"] * bool(random))
    return figure


def fig9(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Early pruning: a panel per H_eval, a curve per H_find that begins with its own dense network.

    Raises:
        NotDrawn: there are no results of pruned networks.
    """
    means, dense, varied = results.means, results.dense, varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    looks = recipe_looks([*finds, *evals])

    figure, [(panels, corner)] = new_page([len(evals)])
    shown: list[Statistic | None] = []
    for axes, eval_ in zip(panels, evals, strict=True):
        set_title(axes, panels, short(eval_, varied, "eval"))
        for find in finds:
            tickets = means.get(CurveKey("lottery", find, eval_), {})
            points = {round: point for round, point in tickets.items() if round > 0}
            if points and find in dense:
                points[0] = dense[find]
            name, look = short(find, varied, "find"), looks[find]
            shown += draw_curve(axes, points, sweep.eval_rounds, label=name, **look)
    scale_accuracy_over_sparsity(panels, shown, means)
    add_legend(corner, panels)
    about = (
        "Tickets found at H_find and trained at H_eval. The points at 0 are dense networks trained "
        "at H_find, for as long as its chains train before they prune."
    )
    add_caption(figure, sweep, commit, about, shown)
    return figure


def _draw_random(
    axes: Axes, sweep: Sweep, means: Means, eval_: Recipe, style: str = "--"
) -> list[Statistic | None]:
    """The curve of global random masks; none where they are no baseline of the sweep."""
    if "global_random" not in sweep.baselines:
        return []
    points = means.get(CurveKey("global_random", None, eval_), {})
    return draw_thin_line(axes, points, sweep.eval_rounds, KIND_NAMES["global_random"], style)


def _left_panel(random: Iterable[Statistic | None], floor: float) -> str:
    """A sentence for the caption where the random masks lie below `floor`, in percent."""
    if any(statistic and 100 * statistic.mean < floor for statistic in random):
        return " Where random masks are worse than all tickets, their line leaves the panel."
    return ""
