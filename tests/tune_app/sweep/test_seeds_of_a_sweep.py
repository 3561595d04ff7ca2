"""The seeds of a sweep file: a list, or a race."""

import pytest
from lr_grid import TEXT, load, problems

from tune_app.results.run_directory import resolved
from tune_app.sweep.seeds import SeedRace

RACE = "{from: 5, at_most: 8, until: 0.5}"


def test_a_list_is_all_of_them():
    sweep = load(TEXT, "seeds=[4, 2]")
    assert (sweep.seeds, sweep.race) == ((4, 2), None)


def test_a_race_has_seeds_in_a_row():
    sweep = load(TEXT, f"seeds={RACE}")
    assert sweep.seeds == (5, 6, 7, 8, 9, 10, 11, 12)
    assert (sweep.race.first, sweep.race.at_most, sweep.race.until) == (3, 8, 0.5)
    assert load(TEXT, "seeds={at_most: 3, until: 1}").seeds == (0, 1, 2)


def test_a_race_is_resolved_to_itself():
    sweep = load(TEXT, f"seeds={RACE}")
    again = load(resolved(sweep))
    assert again == sweep
    assert again.race == SeedRace.model_validate({"from": 5, "at_most": 8, "until": 0.5})


def test_the_command_line_replaces_a_part_or_all_of_a_race():
    text = TEXT.replace("seeds: [0, 1, 2]", f"seeds: {RACE}")
    assert load(text, "seeds.at_most=4").seeds == (5, 6, 7, 8)
    assert load(text, "seeds=[3]").race is None


MISTAKES = [
    ("{at_most: 8}", ["`seeds.until` is required"]),
    ("{}", ["`seeds.at_most` is required", "`seeds.until` is required"]),
    ("{at_most: 8, untill: 1}", ["unknown key `seeds.untill`; did you mean `until`?"]),
    (
        "{at_most: 8, until: 1, sure: yes}",
        ["unknown key `seeds.sure`; known here: from, first, at_most, until"],
    ),
    ("{at_most: 2, until: 1}", ["`seeds.at_most` must be greater than or equal to 3, got 2"]),
    ("{at_most: 101, until: 1}", ["`seeds.at_most` must be less than or equal to 100, got 101"]),
    ("{at_most: 8, until: 0}", ["`seeds.until` must be greater than 0, got 0"]),
    ("{at_most: 8, until: 101}", ["`seeds.until` must be less than or equal to 100, got 101"]),
    ("{at_most: 8, until: sure}", ['`seeds.until` must be a number, got "sure"']),
    ("{from: a, at_most: 8, until: 1}", ['`seeds.from` must be an integer, got "a"']),
    (
        "{first: 1, at_most: 8, until: 1}",
        ["`seeds.first` must be greater than or equal to 2, got 1"],
    ),
    (
        "{first: 5, at_most: 4, until: 1}",
        ["`seeds.first`: must be at most `at_most` (4), got 5"],
    ),
]


@pytest.mark.parametrize(("seeds", "messages"), MISTAKES)
def test_each_mistake_is_told_with_its_line(seeds, messages):
    text = TEXT.replace("seeds: [0, 1, 2]", f"seeds: {seeds}")
    assert problems(text) == [f"sweep.yaml:6: {message}" for message in messages]


LRS = "parameters.lr.values"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["eval.at_sparsity=[0.01]"],
            "`seeds`: a race compares tickets, and `eval` trains none; give a list",
        ),
        (
            [f"eval.{LRS}=[0.3]"],
            "`seeds`: a race compares coupled with decoupled, and no H_find is an H_eval; "
            "give a list",
        ),
        (
            [f"find.{LRS}=[0.3]", f"eval.{LRS}=[0.3]"],
            "`seeds`: a race compares configurations, and there is one; give a list",
        ),
        (
            ["find.method=random", "search={num_samples: 9, report_seeds: [20]}"],
            "`seeds`: must be a list in a search, which has `report_seeds` to be sure",
        ),
    ],
)
def test_a_race_needs_something_to_compare(overrides, message):
    text = TEXT.replace("seeds: [0, 1, 2]", f"seeds: {RACE}")
    assert problems(text, *overrides) == [f"sweep.yaml:6: {message}"]


def test_a_race_does_not_go_with_chains_that_need_others():
    override = "find.lpr_from=[{lr: 0.1}]"
    text = TEXT.replace("seeds: [0, 1, 2]", f"seeds: {RACE}")
    assert problems(text, override) == [
        f"command line ({override}): `find.lpr_from`: goes with a list of `seeds`, which are all "
        "trained"
    ]
