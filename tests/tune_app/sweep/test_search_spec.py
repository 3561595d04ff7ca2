"""The `search` block of a sweep file, and the stages that go with it."""

import pytest

from tune_app.sweep.load import load_sweep
from tune_app.sweep.yaml_source import SpecError

TEXT = """\
name: best
model: small_resnet
dataset: digits
seeds: [0, 1]
train: {lr: 0.1, batch_size: 64, weight_decay: 5e-4, duration: 4it}
prune: {fraction: 0.5, rounds: 4}
find:
  method: tpe
  parameters:
    lr: {min: 0.01, max: 1.0, log: true}
eval:
  parameters:
    lr: {values: [0.05, 0.2]}
  at_sparsity: [0.5]
search:
  at: 0.9
  num_samples: 5
  report_seeds: [10, 11]
"""


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "best.yaml"
    path.write_text(TEXT)
    return path


def problems(path, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        load_sweep(path, overrides)
    return [line[line.index("`") :] for line in str(error.value).splitlines()]


def test_a_search_is_read(path):
    sweep = load_sweep(path)
    assert sweep.search.at == (0.9,)
    # 0.5^3 leaves 12.5%, 0.5^4 6.25%: 87.5% is nearer to 90% than 93.75%.
    assert sweep.search_rounds == (3,)
    assert sweep.eval_rounds == (0, 1, 3)
    assert [recipe.lr for recipe in sweep.find_recipes] == [0.01, 1.0]


def test_without_at_the_curve_counts(path):
    assert load_sweep(path, ["search.at=null"]).search_rounds == (1,)
    whole = load_sweep(path, ["search.at=null", "eval.at_sparsity=null"])
    assert whole.search_rounds == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "search.metric=test_accuracy",
            "`search.metric`: must be val_accuracy, got 'test_accuracy'; a search that selects on "
            "test reports what it overfits",
        ),
        (
            "search.num_samples=null",
            "`search`: needs an end: `num_samples`, `trainings` or `time_budget`",
        ),
        (
            "search.report_seeds=[1, 2]",
            "`search.report_seeds`: must be others than `seeds`, got [1] again",
        ),
        (
            "search.time_budget=soon",
            "`search.time_budget`: must be minutes or hours, such as 90min or 2h, got 'soon'",
        ),
        ("search.at=1.5", "`search.at` must be less than 1, got 1.5"),
        (
            "search=null",
            "`find.method`: needs a `search`, which says what is best and when to end",
        ),
        (
            "find.method=grid",
            "`find.parameters.lr`: a range needs `method: gp`, `tpe` or `random`; a grid needs "
            "`values`",
        ),
        (
            "find.method=bayes",
            '`find.method` must be one of grid, gp, random, tpe, got "bayes"',
        ),
        (
            "eval.method=gp",
            "`find.method`: must be gp or grid where the other stage is gp, got tpe",
        ),
        (
            "find.parameters.lr.max=0.001",
            "`find.parameters.lr.max`: must be more than `min` (0.01)",
        ),
        ("find.parameters.lr.max=null", "`find.parameters.lr`: needs `values`, or `min` and `max`"),
        (
            "find.parameters.lr.values=[0.1]",
            "`find.parameters.lr.min`: goes with a range, not with",
        ),
        ("find.parameters.lr.min=-1.0", "`find.parameters.lr.min` must be greater than 0"),
        (
            "find.parameters={duration: {min: 2it, max: 4it}}",
            "`find.parameters.duration.min`: a range is of numbers, got 2it",
        ),
        (
            "find.parameters={weight_decay: {min: 0.0, max: 0.1, log: true}}",
            "`find.parameters.weight_decay.min`: must be more than 0 with `log`, got 0",
        ),
        ("find.parameters={}", "`find.method`: tpe needs `parameters` to draw from"),
        (
            "eval.points=[{lr: 0.3}]",
            "`eval.points`: stands in place of `parameters`; give one of them",
        ),
        ("name=" + 96 * "a", "`name`: of a search must be at most 95 long: its best are NAME-best"),
        (
            "find.parameters={stop: {values: [null, 2it]}}",
            "`find.parameters.stop`: null cannot be searched",
        ),
        ("select_on=test", "`select_on`: must be validation in a search"),
        ("find.lpr_from=[{lr: 0.01}]", "`find.lpr_from`: does not go with a search"),
    ],
)
def test_what_does_not_go_is_told(path, override, problem):
    first, *more = problems(path, override)
    assert first.startswith(problem)
    assert not more


def test_a_search_without_anything_to_draw_is_a_grid(path):
    lr = "find.parameters.lr"
    overrides = ("find.method=grid", f"{lr}.min=null", f"{lr}.max=null", f"{lr}.values=[0.1]")
    [problem] = problems(path, *overrides, f"{lr}.log=false")
    assert "a grid is run whole" in problem


def test_ranges_are_searched_by_the_model_unless_a_method_is_given(path):
    without = path.with_name("without.yaml")
    without.write_text(TEXT.replace("  method: tpe\n", ""))
    assert load_sweep(path).find.method == "tpe"
    assert load_sweep(without).find.method == "gp"
    assert load_sweep(without).eval.method == "grid"  # of values
    [problem] = problems(without, "search=null")
    assert problem.startswith("`find.method`: needs a `search`, which says what is best")


def test_points_are_a_grid_of_their_own(path):
    overrides = ["search=null", "find={points: [{lr: 0.2, weight_decay: 0.0}, {lr: 0.3}]}"]
    sweep = load_sweep(path, overrides)
    assert [(r.lr, r.weight_decay) for r in sweep.find_recipes] == [(0.2, 0.0), (0.3, 5e-4)]
    assert sweep.find.varied == ("lr", "weight_decay")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "search.stop={chains: median}",
            "`search.stop`: `chains` and `probe_at` go together",
        ),
        (
            "search.stop={chains: median, probe_at: 0.9}",
            "`search.stop.probe_at`: must be sparsities of rounds before that of `at`, 87.5%",
        ),
        ("search.stop={grace_epochs: 2}", "`search.stop.grace_epochs`: goes with `evaluations`"),
        (
            "search.stop={evaluations: hyperband}",
            '`search.stop.evaluations` must be one of asha, median, got "hyperband"',
        ),
    ],
)
def test_what_cannot_be_stopped_is_told(path, override, problem):
    assert problems(path, override) == [problem]


def test_chains_are_probed_at_the_nearest_rounds(path):
    sweep = load_sweep(path, ["search.stop={chains: asha, probe_at: [0.55, 0.8]}"])
    assert sweep.probe_rounds == (1, 2)
