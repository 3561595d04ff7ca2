"""Figures of a grid that is too large to be read whole."""

from synthetic_run import SWEEP, synthetic_results

from tune_app.report.figures import readable as parts
from tune_app.report.figures.grid_curves import fig1, fig2
from tune_app.report.figures.readable import configurations_shown, readable
from tune_app.results.curves import Results
from tune_app.sweep.load import load_sweep


def test_a_large_grid_shows_recipes_evenly_spread_and_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MOST", 4)
    lrs = [round(0.1 * i, 1) for i in range(1, 11)]
    text = SWEEP.replace("lr: {values: [0.1, 0.5]}", f"lr: {{values: {lrs}}}")
    (tmp_path / "large.yaml").write_text(text.replace("seeds: [0, 1, 2]", "seeds: [0]"))
    sweep = load_sweep(tmp_path / "large.yaml")

    def accuracy(kind, find, eval_, round):
        if find is None:
            return 0.1
        return {(0.3, 0.9): 0.9, (0.6, 0.6): 0.8}.get((find.lr, eval_.lr), 0.5)

    results = Results(synthetic_results(sweep, accuracy))
    shown, sentence = readable(sweep, results.means)
    # Of ten, the 1st, 4th, 7th and 10th; 0.3 and 0.9 are the best pair, 0.6 the best coupled.
    expected = [0.1, 0.3, 0.4, 0.6, 0.7, 0.9, 1.0]
    assert [recipe.lr for recipe in shown.find_recipes] == expected
    assert [recipe.lr for recipe in shown.eval_recipes] == expected
    some = "7 of 10 H_find and 7 of 10 H_eval are shown, evenly spread and with the best."
    assert sentence == f"Of curves and tables, but for tables/*.csv, {some}"
    assert configurations_shown(shown) == some
    assert configurations_shown(sweep) == "every configuration is shown."
    assert len(sweep.find_recipes) == 10
    assert len(fig1(shown, results, None).axes) == 7 + 1  # a panel for each, and the legend
    assert len(fig2(shown, results, None).axes) == 2 * (7 + 1)


def test_a_grid_that_can_be_read_is_shown_whole(tmp_path):
    (tmp_path / "small.yaml").write_text(SWEEP)
    sweep = load_sweep(tmp_path / "small.yaml")
    assert readable(sweep, {}) == (sweep, "")
