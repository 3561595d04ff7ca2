import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from synthetic_run import SWEEP, synthetic_results

from tune_app.report.figures.best_pair import fig3
from tune_app.report.figures.grid_curves import fig1, fig2, fig9, fig_a3
from tune_app.report.figures.lpr import fig6, fig7
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.paper import FIGURES
from tune_app.results.curves import Results
from tune_app.sweep.load import load_sweep

LR = "lr: {values: [0.1, 0.5]}"
ACCURACY = {(0.1, 0.1): 0.90, (0.1, 0.5): 0.94, (0.5, 0.1): 0.86, (0.5, 0.5): 0.92}


def accuracy(kind, find, eval_, round):
    if round == 0:
        return 0.98
    if kind == "lottery":
        return ACCURACY[find.lr, eval_.lr] - 0.01 * round
    of_kind = {"lpr_constrained": 0.85, "preserve_lpr": 0.8, "reinit": 0.7, "global_random": 0.3}
    return of_kind[kind] - 0.01 * round


@pytest.fixture
def run_of(tmp_path):
    def load(text=SWEEP, accuracy=accuracy, **layers):
        (tmp_path / "sweep.yaml").write_text(text)
        sweep = load_sweep(tmp_path / "sweep.yaml")
        return sweep, Results(synthetic_results(sweep, accuracy, **layers))

    return load


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def panel(figure, title):
    [found] = [axes for axes in figure.axes if axes.get_title(loc="left") == title]
    return found


def curve(axes, label):
    """The points of a line as (x, y), rounded."""
    [line] = [line for line in axes.get_lines() if line.get_label() == label]
    return [(round(float(x), 4), round(float(y), 2)) for x, y in line.get_xydata()]


def legends(figure):
    found = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [[text.get_text() for text in legend.get_texts()] for legend in found]


def caption(figure):
    return figure.get_label().replace("\u00a0", " ")


def test_fig1_has_a_panel_for_each_h_in_both_spaces(run_of):
    sweep, results = run_of(SWEEP.replace(LR, "lr: {values: [0.5, 0.1]}", 1))
    figure = fig1(sweep, results, "abc")
    assert titles(figure) == ["(a)  LR 0.5", "(b)  LR 0.1"]
    assert legends(figure) == [["lottery", "global random", "preserve LPR"]]

    axes = panel(figure, "(b)  LR 0.1")
    # Chains know every round, baselines the evaluated ones; x is the fraction left.
    assert curve(axes, "lottery") == [(1, 98), (0.5, 89), (0.25, 88), (0.125, 87), (0.0625, 86)]
    assert curve(axes, "global random") == [(1, 98), (0.25, 28), (0.0625, 26)]
    assert curve(axes, "preserve LPR") == [(1, 98), (0.25, 78), (0.0625, 76)]


def test_fig1_shows_the_ticket_on_new_weights(run_of):
    baselines = "[global_random, preserve_lpr]"
    sweep, results = run_of(SWEEP.replace(baselines, "[reinit]"))
    figure = fig1(sweep, results, None)
    assert legends(figure) == [["lottery", "random reinit"]]
    axes = panel(figure, "(a)  LR 0.1")
    assert curve(axes, "random reinit") == [(1, 98), (0.25, 68), (0.0625, 66)]
    assert "Random reinit is the ticket's mask on new weights" in caption(figure)


def test_bands_are_one_sample_deviation(run_of):
    axes = panel(fig1(*run_of(), None), "(a)  LR 0.1")
    corners = axes.collections[0].get_paths()[0].vertices
    at_last_round = sorted({round(float(y), 2) for x, y in corners if x == 0.0625})
    assert at_last_round == [85, 87]  # 86 ± 1


def test_bands_end_at_100_percent(run_of):
    sweep, results = run_of()
    # 100, 100 and 85%: mean 95, deviation sqrt(2 x 25 + 100 / 2) = 8.66.
    of_seed = {0: 1.0, 1: 1.0, 2: 0.85}
    results = Results(replace(r, test_accuracy=of_seed[r.seed]) for r in results)
    axes = panel(fig1(sweep, results, None), "(a)  LR 0.1")
    corners = axes.collections[0].get_paths()[0].vertices
    assert sorted({round(float(y), 2) for x, y in corners if x == 0.0625}) == [86.34, 100]
    lone = SWEEP.replace("at_sparsity: [0.75, 0.94]", "at_sparsity: [0.75]")
    sweep, results = run_of(lone)
    results = Results(replace(r, test_accuracy=of_seed[r.seed]) for r in results)
    [[bar]] = [line.get_segments() for line in fig3(sweep, results, None).axes[0].collections[:1]]
    assert [round(float(y), 2) for _, y in bar] == [86.34, 100]


def test_a_lone_point_has_a_bar_where_a_band_would_have_no_width(run_of):
    text = SWEEP.replace("at_sparsity: [0.75, 0.94]", "at_sparsity: [0.75]")
    axes = fig3(*run_of(text), None).axes[0]
    [[bar]] = [line.get_segments() for line in axes.collections[:1]]
    assert [round(float(y), 2) for _, y in bar] == [89, 91]


def test_x_is_read_as_the_fraction_pruned(run_of):
    axes = panel(fig1(*run_of(), None), "(a)  LR 0.1")
    ticks = axes.xaxis.get_major_formatter().format_ticks(axes.get_xticks())
    assert ticks == ["0", "0.5", "0.8", "0.9"]
    left, right = axes.get_xlim()
    assert left > right
    assert axes.get_xlabel() == "fraction of weights pruned\n(log scale of what is left)"


def test_x_can_be_read_where_no_round_number_is(run_of):
    figure = fig3(*run_of(SWEEP.replace("at_sparsity: [0.75, 0.94]", "at_sparsity: [0.94]")), None)
    bottom = figure.axes[1]
    ticks = bottom.xaxis.get_major_formatter().format_ticks(bottom.get_xticks())
    assert ticks == ["0.938"]


def test_fig2_has_both_families_in_the_papers_order(run_of):
    sweep, results = run_of()
    figure = fig2(sweep, results, None)
    evals, finds = r"LR$_\mathrm{eval}$", r"LR$_\mathrm{find}$"
    assert titles(figure) == [
        f"(a)  {evals} 0.1",
        f"(b)  {evals} 0.5",
        f"(c)  {finds} 0.1",
        f"(d)  {finds} 0.5",
    ]
    assert legends(figure) == [
        [f"{finds} 0.1", f"{finds} 0.5", "global random"],
        [f"{evals} 0.1", f"{evals} 0.5"],
    ]
    by_eval, by_find = panel(figure, f"(b)  {evals} 0.5"), panel(figure, f"(c)  {finds} 0.1")
    same = [(1, 98), (0.25, 92), (0.0625, 90)]
    assert curve(by_eval, "LR_find 0.1") == same
    assert curve(by_find, "LR_eval 0.5") == same


def look(axes, label):
    [line] = [line for line in axes.get_lines() if line.get_label() == label]
    return line.get_color(), line.get_marker(), line.get_linestyle()


def test_fig_a3_has_all_in_one_panel(run_of):
    figure = fig_a3(*run_of(), "abc")
    axes = figure.axes[0]
    assert curve(axes, "LR_find 0.1, LR_eval 0.1") == [(1, 98), (0.25, 88), (0.0625, 86)]
    assert curve(axes, "LR_find 0.1, LR_eval 0.5") == [(1, 98), (0.25, 92), (0.0625, 90)]
    assert curve(axes, "LR_find 0.5, LR_eval 0.1") == [(1, 98), (0.25, 84), (0.0625, 82)]
    blue, orange = fig2(*run_of(), None).axes[0].get_lines()[:2]  # the two H_find
    assert {
        label: look(axes, label)
        for find in (0.1, 0.5)
        for eval_ in (0.1, 0.5)
        if (label := f"LR_find {find}, LR_eval {eval_}")
    } == {
        "LR_find 0.1, LR_eval 0.1": (blue.get_color(), "o", "-"),
        "LR_find 0.1, LR_eval 0.5": (blue.get_color(), "s", "--"),
        "LR_find 0.5, LR_eval 0.1": (orange.get_color(), "o", "-"),
        "LR_find 0.5, LR_eval 0.5": (orange.get_color(), "s", "--"),
    }
    assert legends(figure) == [
        ["found at", "LR 0.1", "LR 0.5", "global random", "trained at", "LR 0.1", "LR 0.5"]
    ]
    random = [line for line in axes.get_lines() if line.get_label() == "global random"]
    assert [line.get_linestyle() for line in random] == ["-", "--"]
    assert "their line leaves the panel" in caption(figure)


def test_fig_a3_needs_no_random_masks(run_of):
    figure = fig_a3(*run_of(SWEEP.replace("[global_random, preserve_lpr]", "[]")), None)
    assert legends(figure) == [["found at", "LR 0.1", "LR 0.5", "trained at", "LR 0.1", "LR 0.5"]]
    assert "leaves the panel" not in caption(figure)


LPR_FROM = SWEEP.replace("find:\n", "find:\n  lpr_from: [{lr: 0.5}, {lr: 0.1}]\n")


def test_fig7_has_constrained_beside_regular_tickets(run_of):
    sweep, results = run_of(LPR_FROM)
    results = Results(
        replace(result, test_accuracy=result.test_accuracy - 0.1)
        if result.lpr_find == sweep.find_recipes[1]
        else result
        for result in results
    )
    figure = fig7(sweep, results, None)
    eval_ = r"LR$_\mathrm{eval}$"
    assert titles(figure) == [f"(a)  {eval_} 0.1", f"(b)  {eval_} 0.5"]
    axes = panel(figure, f"(b)  {eval_} 0.5")
    drawn = {line.get_label(): line for line in axes.get_lines()}
    assert list(drawn) == [
        "LR_find 0.1",
        "LR_find 0.5",
        "LR_find 0.1, LPR of LR 0.5",
        "LR_find 0.5, LPR of LR 0.1",
    ]
    assert curve(axes, "LR_find 0.1") == [(1, 98), (0.25, 92), (0.0625, 90)]
    assert curve(axes, "LR_find 0.5, LPR of LR 0.1") == [(1, 98), (0.25, 83), (0.0625, 81)]
    assert curve(axes, "LR_find 0.1, LPR of LR 0.5") == [(1, 98), (0.25, 73), (0.0625, 71)]
    blue, orange = drawn["LR_find 0.1"].get_color(), drawn["LR_find 0.5"].get_color()
    assert look(axes, "LR_find 0.1, LPR of LR 0.5") == (blue, "s", "--")
    assert look(axes, "LR_find 0.5, LPR of LR 0.1") == (orange, "^", ":")
    assert legends(figure) == [
        ["within layers by", "LR 0.1", "LR 0.5", "LPR of", "the same", "LR 0.5", "LR 0.1"]
    ]


def test_fig7_is_not_drawn_where_colours_run_out(run_of):
    values = ", ".join(f"0.{i}" for i in range(1, 9))
    text = LPR_FROM.replace(LR, f"lr: {{values: [{values}]}}", 1)
    with pytest.raises(NotDrawn, match="of 8 H_find cannot be told apart"):
        fig7(*run_of(text, accuracy=lambda *_: 0.9), None)


EARLY = SWEEP.replace(LR, "stop: {values: [1ep, null]}", 1)


def test_fig9_begins_with_the_dense_network_of_h_find(run_of):
    def accuracy(kind, find, eval_, round):
        if round == 0:
            return 0.6 if eval_.stop else 0.9 + 0.1 * eval_.lr
        return (0.7 if find.stop else 0.8) if kind == "lottery" else 0.1

    sweep, results = run_of(EARLY, accuracy=accuracy)
    figure = fig9(sweep, results, None)
    assert titles(figure) == [
        rf"({letter})  LR$_\mathrm{{eval}}$ {lr}, stop$_\mathrm{{eval}}$ none"
        for letter, lr in (("a", 0.1), ("b", 0.5))
    ]
    axes = figure.axes[1]  # LR_eval 0.5, whose own dense network reaches 95%
    assert curve(axes, "LR_find 0.1, stop_find 1ep") == [(1, 60), (0.25, 70), (0.0625, 70)]
    assert curve(axes, "LR_find 0.1, stop_find none") == [(1, 91), (0.25, 80), (0.0625, 80)]
    assert "points at 0 are dense networks trained at H_find" in caption(figure)

    # Without that dense network the curve begins with the first ticket.
    short = Results(r for r in results if r.round > 0 or r.eval.stop is None)
    axes = fig9(sweep, short, None).axes[1]
    assert curve(axes, "LR_find 0.1, stop_find 1ep") == [(0.25, 70), (0.0625, 70)]


ONE_SHOT = (
    SWEEP.replace(
        "{fraction: 0.5, rounds: 4}", "{strategy: filter_l1, one_shot: [0.3, 0.5, 0.7], skip: [fc]}"
    )
    .replace("  at_sparsity: [0.75, 0.94]\n", "")
    .replace(", preserve_lpr", "")
)
MEASURED = (0, 0.5, 0.75, 0.91).__getitem__


def test_x_is_the_measured_fraction_of_weights(run_of):
    sweep, results = run_of(ONE_SHOT, sparsity_of=MEASURED)
    for draw in (fig1, fig2, fig_a3):
        axes = draw(sweep, results, None).axes[0]
        assert [round(float(x), 4) for x in axes.get_lines()[0].get_xdata()] == [1, 0.5, 0.25, 0.09]
        assert 0.07 < axes.get_xlim()[1] < 0.09
    top = fig3(sweep, results, None).axes[0]
    assert [x for x, _ in curve(top, "best coupled")] == [0.5, 0.25, 0.09]


def test_x_has_ticks_where_a_third_is_left(run_of):
    axes = fig2(*run_of(ONE_SHOT.replace("strategy: filter_l1, ", "")), None).axes[0]
    ticks = axes.xaxis.get_major_formatter().format_ticks(axes.get_xticks())
    assert ticks == ["0", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]


def test_fig6_of_one_shot_shows_measured_sparsities(run_of):
    text = ONE_SHOT.replace("strategy: filter_l1, ", "")
    figure = fig6(*run_of(text, sparsity_of=MEASURED), None)
    assert titles(figure) == ["(a)  75.0% pruned", "(b)  91.0% pruned"]


def test_captions_say_how_it_was_pruned_and_rewound(run_of):
    text = SWEEP + "rewind: {to: 1it}\n"
    first = caption(fig1(*run_of(text), None))
    assert "Rewound to 1it, to the weights of H_find. Preserve LPR starts as its ticket" in first
    assert "starts from the weights at H_eval" in first
    shows_random = caption(fig2(*run_of(text), None))
    assert "starts from the weights at H_eval" in shows_random
    assert "Preserve LPR" not in shows_random
    assert "starts" not in caption(fig3(*run_of(text), None))
    assert "ewound" not in caption(fig1(*run_of(), None))
    one_shot = caption(fig3(*run_of(ONE_SHOT, sparsity_of=MEASURED), None))
    assert "Pruned one-shot, whole filters by L1 norm, layer by layer." in one_shot


FIVE, SIX, EIGHT = (
    f"lr: {{values: [{', '.join(f'0.{i + 1}' for i in range(n))}]}}" for n in (5, 6, 8)
)


@pytest.mark.parametrize(
    ("text", "further"),
    [
        (SWEEP, ["figA3", "fig6", "costs"]),
        (SWEEP.replace(LR, "lr: {values: [0.1]}", 1), ["fig6"]),
        (SWEEP.replace(LR, FIVE), ["figA3", "fig6", "costs"]),
        (SWEEP.replace(LR, SIX), ["fig6", "costs"]),  # 36 curves
        (SWEEP.replace(LR, EIGHT, 1), ["fig6", "costs"]),  # more than there are colours
        (ONE_SHOT, ["figA3", "costs"]),
        (LPR_FROM, ["figA3", "fig6", "fig7", "costs"]),
        (LPR_FROM.replace(LR, "lr: {values: [0.1]}", 1).replace("{lr: 0.5}, ", ""), ["fig6"]),
        (EARLY, ["figA3", "fig6", "fig9", "costs"]),
    ],
)
def test_the_figures_that_a_sweep_asks_for(run_of, text, further):
    sweep, _ = run_of(text, accuracy=lambda *_: 0.9)
    asked = [name for name, figure in FIGURES.items() if figure.is_asked(sweep)]
    assert sorted(asked) == sorted(["fig1", "fig2", "fig3", *further])


def test_fig2_draws_only_what_compares_something(run_of):
    figure = fig2(*run_of(SWEEP.replace(LR, "lr: {values: [0.1]}", 1)), None)
    assert titles(figure) == [r"LR$_\mathrm{find}$ 0.1"]


def test_fig2_keeps_its_scale_for_the_tickets_and_says_so(run_of):
    figure = fig2(*run_of(), None)
    low, high = figure.axes[0].get_ylim()
    assert 75 < low < 81 and 99 < high < 101  # tickets from 82 - 1 to 98 + 1; random at 26
    assert "their line leaves the panel" in caption(figure)

    close = fig2(*run_of(accuracy=lambda *_: 0.9), None)
    assert "leaves the panel" not in caption(close)


def test_every_h_has_a_look_of_its_own(run_of):
    lrs = ", ".join(f"{0.01 * i:.2f}" for i in range(1, 21))
    head, middle, tail = SWEEP.split(LR)
    text = f"{head}lr: {{values: [{lrs}]}}{middle}lr: {{values: [0.1]}}{tail}"
    figure = fig2(*run_of(text, accuracy=lambda *_: 0.9), None)
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() != "None"]
    looks = {(line.get_color(), line.get_marker()) for line in lines}
    assert len(looks) == len(lines) == 20


def test_fig3_draws_the_best_of_both_and_which_they_are(run_of):
    def accuracy(kind, find, eval_, round):
        best_at_2 = {(0.5, 0.5): 0.95, (0.5, 0.1): 0.94}
        best_at_4 = {(0.1, 0.1): 0.85, (0.1, 0.5): 0.88}
        if kind != "lottery":
            return 0.1
        return {2: best_at_2, 4: best_at_4}.get(round, {}).get((find.lr, eval_.lr), 0.5)

    figure = fig3(*run_of(accuracy=accuracy), "abc")
    top, bottom = figure.axes[:2]
    assert curve(top, "best coupled") == [(0.25, 95), (0.0625, 85)]
    assert curve(top, "best decoupled") == [(0.25, 94), (0.0625, 88)]
    assert "on validation accuracy" in caption(figure)

    rows = [text.get_text() for text in bottom.get_yticklabels()]
    low, high = bottom.get_ylim()
    assert rows == ["LR 0.1", "LR 0.5"] and low < high  # upwards
    joined = [line.get_ydata() for line in bottom.get_lines() if len(line.get_xdata()) == 2]
    assert [(rows[int(find)], rows[int(eval_)]) for find, eval_ in joined] == [
        ("LR 0.5", "LR 0.5"),
        ("LR 0.1", "LR 0.1"),
        ("LR 0.5", "LR 0.1"),
        ("LR 0.1", "LR 0.5"),
    ]


def test_fig3_orders_numbers_whatever_the_order_of_the_file(run_of):
    fields = "{lr: {values: [0.5, 0.1]}, optimizer: {values: [sgd, nesterov]}}"
    text = SWEEP.replace(f"\n    {LR}", f" {fields}")
    bottom = fig3(*run_of(text, accuracy=lambda *_: 0.9), None).axes[1]
    assert [text.get_text() for text in bottom.get_yticklabels()] == [
        "LR 0.1, optimizer sgd",
        "LR 0.1, optimizer nesterov",
        "LR 0.5, optimizer sgd",
        "LR 0.5, optimizer nesterov",
    ]


def test_fig3_says_what_selects_and_what_is_not_compared(run_of):
    sweep, results = run_of(SWEEP + "select_on: test\n")
    results = Results(r for r in results if r.round != 4 or r.find == r.eval)
    figure = fig3(sweep, results, None)
    assert curve(figure.axes[0], "best coupled") == [(0.25, 90)]
    assert "on test accuracy" in caption(figure)
    assert "Not compared at 93.8%" in caption(figure)


def test_fig6_counts_each_seed_once(run_of):
    sweep, results = run_of(layers=("conv", "fc"))
    results = Results(
        replace(result, lpr={"conv": 0.5 + 0.1 * result.seed, "fc": 0.95}) for result in results
    )
    figure = fig6(sweep, results, None)
    assert titles(figure) == ["(a)  75.0% pruned", "(b)  93.8% pruned"]
    axes = panel(figure, "(b)  93.8% pruned")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["conv", "fc"]
    assert curve(axes, "LR_find 0.1") == [(0, 0.4), (1, 0.05)]  # 60% and 95% pruned
    assert "n = 3;" in caption(figure)


def test_fig6_tells_apart_layers_that_are_nearly_empty(run_of):
    sweep, results = run_of(layers=("conv", "fc"))
    pruned = {0.1: {"conv": 0.99, "fc": 0.999}, 0.5: {"conv": 0.9, "fc": 1.0}}
    results = Results(
        replace(result, lpr=pruned[result.find.lr] if result.find else {}) for result in results
    )
    figure = fig6(sweep, results, None)
    upper, lower = (panel(figure, title) for title in titles(figure))
    # Between 99% and 99.9% is the same way as between 90% and 99%.
    fc, conv, other_conv = (upper.transData.transform((0, y))[1] for y in (0.001, 0.01, 0.1))
    assert fc - conv == pytest.approx(conv - other_conv)
    assert fc > conv
    ticks = lower.yaxis.get_major_formatter().format_ticks(lower.get_yticks())
    assert {"90", "99", "99.9"} <= {*ticks}
    # The names of the layers are there once.
    assert [axes.xaxis.get_tick_params()["labelbottom"] for axes in (upper, lower)] == [False, True]
    # Nothing is left of `fc` at LR 0.5: at the edge, half of the least that is left elsewhere.
    triangles = [line for line in lower.get_lines() if line.get_marker() == "^"]
    [at] = [line.get_xydata()[0] for line in triangles if len(line.get_xdata()) == 1]
    assert at == pytest.approx((1, 0.0005))
    assert lower.get_ylim()[1] < 0.0005
    assert "Triangles at the upper edge: nothing is left" in caption(figure)
    assert "Triangles" not in caption(fig6(*run_of(), None))


@pytest.mark.parametrize(
    ("sparsities", "expected"),
    [
        ("", ["96.9%", "98.4%", "99.61%", "99.80%"]),  # rounds 5, 6, 8 and 9
        ("at_sparsity: [0.5, 0.97]", ["96.9%"]),
    ],
)
def test_fig6_shows_at_most_four_rounds_of_the_later_half(run_of, sparsities, expected):
    text = SWEEP.replace("rounds: 4", "rounds: 9").replace("at_sparsity: [0.75, 0.94]", sparsities)
    shown = [title.split()[-2] for title in titles(fig6(*run_of(text), None))]
    assert shown == expected


@pytest.mark.parametrize(
    ("draw", "replaced", "reason"),
    [
        (fig1, ("lr: {values: [0.1]}", "lr: {values: [0.5]}"), "no H is in both search spaces"),
        (fig3, ("lr: {values: [0.1]}", "lr: {values: [0.5]}"), "no H is in both search spaces"),
        (fig2, ("lr: {values: [0.1]}", "lr: {values: [0.1]}"), "one configuration"),
        (fig3, ("lr: {values: [0.1]}", "lr: {values: [0.1]}"), "one coupled configuration"),
    ],
)
def test_a_figure_without_a_point_is_not_drawn(run_of, draw, replaced, reason):
    find, eval_ = replaced
    head, middle, tail = SWEEP.split(LR)
    with pytest.raises(NotDrawn, match=reason):
        draw(*run_of(head + find + middle + eval_ + tail), None)


@pytest.mark.parametrize("draw", [figure.draw for figure in FIGURES.values()])
def test_dense_networks_alone_are_no_figure(run_of, draw):
    sweep, results = run_of()
    with pytest.raises(NotDrawn, match=r"no results|no tickets|no sparsity"):
        draw(sweep, Results(r for r in results if r.round == 0), None)


def test_the_caption_says_where_the_results_are_from_and_what_is_missing(run_of):
    sweep, results = run_of()
    complete = caption(fig1(sweep, results, "abc123"))
    assert "small_resnet on digits; mean ± sample standard deviation over seeds" in complete
    assert "n = 3; commit abc123." in complete
    assert "Incomplete" not in complete

    # One seed of the baselines at all three points of both panels, minus the shared dense one.
    results = Results(r for r in results if r.kind != "global_random" or r.seed == 0)
    results = Results(r for r in results if r.kind != "preserve_lpr" or r.round != 4)
    partial = caption(fig1(sweep, results, None))
    assert "n = 1 to 3; commit unknown." in partial
    assert "of 22 points 2 are missing and 6 have fewer than 3 seeds" in partial


def test_after_a_race_a_point_is_complete_with_the_seeds_of_every_configuration(run_of):
    sweep, results = run_of(SWEEP.replace("[0, 1, 2]", "{at_most: 4, until: 1}"))
    results = Results(r for r in results if r.seed < 3 or r.kind == "lottery")
    raced = caption(fig1(sweep, results, None))
    assert "n = 3 to 4; commit unknown." in raced
    assert "Incomplete" not in raced
    results = Results(r for r in results if r.seed != 1 or r.kind == "lottery")
    assert "have fewer than 3 seeds" in caption(fig1(sweep, results, None))


def test_one_seed_at_one_sparsity(run_of):
    text = SWEEP.replace("at_sparsity: [0.75, 0.94]", "at_sparsity: [0.75]")
    sweep, results = run_of(text.replace("[0, 1, 2]", "[7]"))
    for draw in (fig1, fig2, fig_a3, fig3, fig6):
        figure = draw(sweep, results, None)
        FigureCanvasAgg(figure).draw()
        assert "mean over seeds, n = 1;" in caption(figure)
    assert curve(fig3(sweep, results, None).axes[0], "best coupled") == [(0.25, 90)]


FOUR = "lr: {values: [0.02, 0.1, 0.2, 0.5]}"
FINDS = "lr: {values: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]}"
THREE = f"{LR}\n    batch_size: {{values: [64, 256]}}\n    weight_decay: {{values: [5e-4, 5e-3]}}"
TWO = f"{FOUR}\n    optimizer: {{values: [nesterov, sgd]}}"
FEW = ["conv", "blocks.0.conv1", "fc"]
MANY = [f"blocks.{i}.{name}" for i in range(9) for name in ("conv1", "conv2", "shortcut.0")]


ONE_POINT = SWEEP.replace(LR, "lr: {values: [0.1]}")
DEEP = SWEEP.replace("rounds: 4", "rounds: 14").replace("at_sparsity: [0.75, 0.94]", "")
EARLY_AND_LATE = EARLY.replace(LR, "lr: {values: [0.1]}") + "rewind: {to: 1it}\n"


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        pytest.param(SWEEP, FEW, id="grid", marks=pytest.mark.nightly),
        pytest.param(SWEEP, MANY, id="many layers"),
        pytest.param(SWEEP.replace(LR, FINDS, 1), FEW, id="six finds", marks=pytest.mark.nightly),
        pytest.param(SWEEP.replace(LR, THREE, 1), FEW, id="three fields"),
        pytest.param(SWEEP.replace(LR, TWO, 1), FEW, id="two fields", marks=pytest.mark.nightly),
        pytest.param(ONE_POINT, FEW, id="one point"),
        pytest.param(DEEP, FEW, id="deep", marks=pytest.mark.nightly),
        pytest.param(SWEEP.replace(LR, FOUR), FEW, id="four by four"),
        pytest.param(LPR_FROM.replace(LR, FOUR, 1), FEW, id="whose LPR", marks=pytest.mark.nightly),
        pytest.param(EARLY_AND_LATE, FEW, id="early and late"),
        pytest.param(ONE_SHOT, FEW, id="one-shot", marks=pytest.mark.nightly),
    ],
)
def test_nothing_overlaps_or_leaves_the_page(run_of, text, layers):
    sweep, results = run_of(text, accuracy=lambda *_: 0.9, layers=layers)
    for name, (draw, _, is_asked) in FIGURES.items():
        if not is_asked(sweep):
            continue
        try:
            figure = draw(sweep, results, "a83d773f0000-dirty")
        except NotDrawn:
            continue
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        parts = [axes.get_tightbbox(canvas.get_renderer()) for axes in figure.axes]
        for part in parts:
            assert part.x0 >= 0 and part.x1 <= figure.bbox.x1, name
            assert part.y0 >= 0 and part.y1 <= figure.bbox.y1, name
        for a, b in combinations(parts, 2):
            wide = min(a.x1, b.x1) - max(a.x0, b.x0)
            high = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert wide <= 1 or high <= 1, (name, a, b)


def test_threads_draw_what_one_draws_alone(run_of):
    sweep, results = run_of()

    def image(draw):
        file = io.BytesIO()
        draw(sweep, results, None).savefig(file, format="png")
        return file.getvalue()

    alone = [image(draw) for draw in (fig1, fig2, fig3, fig6)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(image, (fig1, fig2, fig3, fig6))) == alone
