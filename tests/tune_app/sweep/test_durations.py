"""Durations of the service are read with their units."""

import math

import pytest

from tune_app.sweep.durations import parse


@pytest.mark.parametrize(
    ("text", "seconds", "epochs"),
    [("10min", 600, None), ("1min", 60, None), ("2h", 7200, None), ("5ep", math.inf, 5)],
)
def test_a_duration_is_wall_time_or_epochs(text, seconds, epochs):
    assert (parse(text).seconds, parse(text).epochs) == (seconds, epochs)


@pytest.mark.parametrize(
    "text", ["10", "min", "0min", "-1h", "1.5h", "5it", "5 ep", "5ep ", "1000000h", "1٣h", ""]
)
def test_anything_else_is_refused_with_the_known_units(text):
    with pytest.raises(ValueError, match=r"^must be minutes, hours or epochs, got ") as error:
        parse(text)
    assert str(error.value).endswith(repr(text))


def test_a_unit_that_is_not_taken_is_refused():
    with pytest.raises(ValueError, match=r"^must be minutes, got '2h'$"):
        parse("2h", ("min",), "minutes")
