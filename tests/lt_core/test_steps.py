import dataclasses

import pytest
from pydantic import TypeAdapter

from lt_core.steps import Steps, StepsField


@pytest.mark.parametrize(
    ("text", "count", "unit"),
    [
        ("160ep", 160, "ep"),
        ("500it", 500, "it"),
        ("0ep", 0, "ep"),
        ("007it", 7, "it"),
        ("999999999999it", 999_999_999_999, "it"),
    ],
)
def test_count_and_unit_are_read(text, count, unit):
    assert Steps.parse(text) == Steps(count, unit)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (160, "160"),
        (1.5, "1.5"),
        (True, "True"),
        (None, "None"),
        ("", "''"),
        ("160", "'160'"),
        ("ep", "'ep'"),
        ("160 ep", "'160 ep'"),
        ("160ep ", "'160ep '"),
        ("160ep\n", r"'160ep\n'"),
        ("160EP", "'160EP'"),
        ("160epochs", "'160epochs'"),
        ("-1ep", "'-1ep'"),
        ("+1ep", "'+1ep'"),
        ("1.5ep", "'1.5ep'"),
        ("1_000it", "'1_000it'"),
        ("٣ep", "'٣ep'"),
        (["16ep"], "['16ep']"),
        ("9" * 5000 + "ep", "'999999999999...99999999999ep'"),
    ],
)
def test_anything_else_is_refused_with_an_example_of_what_to_write(value, got):
    with pytest.raises(ValueError) as error:
        Steps.parse(value)
    expected = f"expected epochs or iterations, such as 160ep or 500it, got {got}"
    assert str(error.value) == expected


def test_epochs_become_iterations_by_the_size_of_the_data_set_and_iterations_stay():
    assert Steps(16, "ep").iterations(20) == 320
    assert Steps(16, "it").iterations(20) == 16
    assert Steps(0, "ep").iterations(20) == 0


def test_the_unit_is_part_of_the_value():
    assert Steps(0, "ep") != Steps(0, "it")
    assert len({Steps(8, "ep"), Steps(8, "ep"), Steps(8, "it")}) == 2


def test_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Steps(8, "ep").count = 9


def test_is_written_as_it_is_read():
    field = TypeAdapter(StepsField)
    assert str(Steps(160, "ep")) == "160ep"
    assert field.dump_json(Steps(500, "it")) == b'"500it"'
    assert field.validate_python("500it") == Steps(500, "it")
    assert field.validate_python(Steps(500, "it")) == Steps(500, "it")
