"""Variants of a sweep: what asks something else has another directory."""

import shutil
from pathlib import Path

import pytest
from tiny_sweep import TINY

from tune_app.results.run_directory import RunDirectory, provenance
from tune_app.run.variants import check_free, variant_of
from tune_app.store.store import StoreError
from tune_app.sweep.load import load_sweep

ROOT = Path(__file__).parents[3]
WD = "train.weight_decay=0.3"


@pytest.fixture
def launched(tmp_path):
    """Give a sweep its variant's name, as a launch does; that, and what is said."""
    path = tmp_path / "tiny.yaml"

    def launch(*overrides: str, text: str = TINY) -> tuple[str, str | None]:
        path.write_text(text)
        out = tmp_path / "runs"
        asked = load_sweep(path, overrides)
        sweep, sentence = variant_of(asked, out)
        run_dir = RunDirectory(out / sweep.name)
        run_dir.create(sweep)
        is_first = sweep.name == asked.name
        run_dir.write_provenance(
            provenance("a test") | ({} if is_first else {"variant_of": asked.name})
        )
        return sweep.name, sentence and sentence.replace(f"{out}/", "")

    return launch


def test_what_asks_something_else_has_a_directory_of_its_own(launched):
    assert launched() == ("tiny", None)
    assert launched("train.weight_decay=5e-3") == (
        "tiny-2",
        "tiny-2: kept apart from tiny, where train.weight_decay was 0.0005, now 0.005",
    )
    assert launched("seeds=[0]", "baselines=[]") == (
        "tiny-3",
        "tiny-3: kept apart from tiny-2, where seeds was [0, 1], now [0], "
        "train.weight_decay was 0.005, now 0.0005, "
        "baselines was ['global_random', 'preserve_lpr'], now []",
    )


def test_the_same_sweep_finds_its_directory_again(launched):
    names = [launched(f"train.weight_decay={wd}")[0] for wd in ("0.1", "0.3", "0.5", "0.3", "0.1")]
    assert names == ["tiny", "tiny-2", "tiny-3", "tiny-2", "tiny"]


def test_what_trains_the_same_is_the_same_however_it_is_written(launched):
    assert launched() == ("tiny", None)
    assert launched("seeds=[1, 0]", "train.lr=0.3") == ("tiny", None)  # both stages have their LR
    find = "find.parameters={lr: {values: [0.2, 0.05]}}"
    assert launched(find, "train.lr=0.1") == ("tiny", None)
    # The same trainings, of which other things are asked.
    assert launched("select_on=test")[0] == "tiny-2"


def test_how_a_sweep_runs_is_not_what_it_asks(launched):
    assert launched() == ("tiny", None)
    how = ("max_concurrent=1", "resources_per_trial.cpu=2", "max_failures=0", "description=other")
    assert launched(*how, "find.resources={cpu: 2}", "checkpoint_every=1min") == ("tiny", None)


def test_a_search_with_a_larger_budget_goes_on(launched):
    from tiny_search import SEARCH

    assert launched(text=SEARCH) == ("best", None)
    assert launched("search.num_samples=9", text=SEARCH) == ("best", None)
    assert launched("search.at=0.5", text=SEARCH)[0] == "best-2"


def test_a_name_that_looks_like_a_variant_is_a_name(launched):
    other = TINY.replace("name: tiny", "name: tiny-2")
    assert launched(text=other) == ("tiny-2", None)
    assert launched() == ("tiny", None)
    assert launched(WD)[0] == "tiny-3"
    assert launched(WD, text=other)[0] == "tiny-2-2"


def test_a_variant_is_found_where_the_first_is_gone(launched, tmp_path):
    launched()
    launched(WD)
    shutil.rmtree(tmp_path / "runs" / "tiny")
    assert launched(WD) == ("tiny-2", None)
    assert launched() == ("tiny", None)


def test_what_another_launch_took_meanwhile_is_left_alone(launched, tmp_path):
    name, _ = launched(WD)  # of two launches at a time, the one that was first
    run_dir = tmp_path / "runs" / name
    mine = load_sweep(tmp_path / "tiny.yaml")
    what = r"taken by another launch, where train\.weight_decay was 0\.0005, now 0\.3"
    with pytest.raises(StoreError, match=what):
        check_free(mine, run_dir)
    check_free(load_sweep(tmp_path / "tiny.yaml", [WD, "max_concurrent=1"]), run_dir)
    check_free(mine, tmp_path / "runs" / "other")


def test_only_a_comparison_of_the_same_search_is_replaced(launched, tmp_path):
    grid = TINY.replace("name: tiny", "name: best-best")
    launched(text=grid)
    mine = load_sweep(tmp_path / "tiny.yaml", [WD])
    check_free(mine, tmp_path / "runs" / "best-best")
    other = mine.model_copy(update={"description": "the best of a search"})
    with pytest.raises(StoreError, match=r"is another sweep.s, where .*under NAME-best: give"):
        check_free(other, tmp_path / "runs" / "best-best")


def test_a_directory_that_cannot_be_read_is_left_alone(launched, tmp_path):
    launched()
    (tmp_path / "runs" / "tiny" / "sweep.yaml").write_text("name: [")
    assert launched() == ("tiny-2", "tiny-2: kept apart from tiny")


def test_the_longest_name_has_variants_that_can_be_read(launched, tmp_path):
    long = TINY.replace("name: tiny", f"name: {'a' * 100}")
    assert launched(text=long)[0] == "a" * 100
    name, _ = launched(WD, text=long)
    assert name == "a" * 90 + "-2"
    assert load_sweep(tmp_path / "runs" / name / "sweep.yaml").name == name
    assert launched(WD, text=long)[0] == name


@pytest.mark.parametrize(
    "path", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_shipped_sweep_is_the_same_as_its_resolved_file(path, tmp_path):
    sweep = load_sweep(path)
    RunDirectory(tmp_path / sweep.name).create(sweep)
    assert variant_of(sweep, tmp_path) == (sweep, None)
