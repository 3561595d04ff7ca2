"""A result and its line: what is written is read again, by this and by other versions."""

import dataclasses
import json
import math

import pytest
from pydantic import ValidationError
from synthetic_run import result_of

from lt_core.config import Recipe
from lt_core.steps import Steps
from tune_app.plan.trainings import Training
from tune_app.results.result import CurveKey, Result, described, parser

H1, H2 = (Recipe(lr=lr, batch_size=64, duration=Steps(2, "ep")) for lr in (0.1, 0.5))
TRAINING = Training("3f0c", "lottery", H1, H2, 1, 4, "8a41")
RANDOM = Training("1c07", "global_random", None, H2, 1, 4, None)

RECIPE = (
    '"batch_size":64,"weight_decay":0.0,"momentum":0.9,"duration":"2ep","stop":null,'
    '"warmup":"0ep","decay":"milestones","milestones":[],"gamma":0.1,"precision":"fp32"}'
)
LINE = (
    '{"id":"3f0c","kind":"lottery","find":{"lr":0.1,' + RECIPE + ',"lpr_find":null,'
    '"eval":{"lr":0.5,' + RECIPE + ',"seed":1,"round":4,"sparsity":0.5,"val_accuracy":0.5,'
    '"test_accuracy":0.5,"train_loss":0.1,"lpr":{"conv":0.5,"fc":0.5},'
    '"cost":{"weights":100,"alive":50,"live":40,"macs":600,"dense_macs":1000,"dense_bytes":440,'
    '"bitmask_bytes":253,"csr_bytes":480},"distance":0.25,"sign_changes":0.125,"precision":"fp32",'
    '"seconds":1.5,"finished_at":1760000000.0,"commit":"c0ffee"}'
).encode()


def changed(**keys) -> bytes:
    """The line with other values; without the keys that are None here."""
    line = json.loads(LINE) | keys
    return json.dumps({key: value for key, value in line.items() if value is not None}).encode()


def test_a_line_stays_as_it_is_byte_for_byte():
    assert result_of(TRAINING).to_line() == LINE


def test_what_is_written_is_read_again():
    for training in (TRAINING, RANDOM, dataclasses.replace(TRAINING, lpr_find=H2)):
        result = result_of(training)
        assert Result.from_line(result.to_line()) == result
        assert Result.from_line(result.to_line()).to_line() == result.to_line()


def test_a_loss_that_is_no_number_is_read_again():
    line = result_of(TRAINING, train_loss=math.nan).to_line()
    assert b'"train_loss":NaN' in line
    assert math.isnan(Result.from_line(line).train_loss)


def test_recipes_of_lines_are_shared_whatever_the_order_of_their_keys():
    reordered = changed(eval=dict(reversed(json.loads(LINE)["eval"].items())))
    one, other, again = map(Result.from_line, (LINE, LINE, reordered))
    assert one.find is other.find and one.eval is other.eval
    assert again == one


def test_the_result_of_a_planned_training_has_its_recipes():
    result = Result.from_line(LINE, {"3f0c": TRAINING})
    assert result == result_of(TRAINING)
    assert result.find is H1 and result.eval is H2
    assert Result.from_line(LINE, {"1c07": RANDOM}) == result
    assert parser({"3f0c": TRAINING})(LINE) == result


def test_lines_of_an_older_version_lack_keys_and_fields_of_recipes():
    few = {"lr": 0.5, "batch_size": 64, "duration": "2ep"}
    absent = dict.fromkeys(("cost", "distance", "sign_changes", "precision", "commit"))
    line = changed(lpr_find=None, eval=few, **absent)
    for trainings in (None, {"3f0c": TRAINING}):
        assert Result.from_line(line, trainings) == result_of(TRAINING, **absent)


def test_a_newer_version_may_write_more():
    newer = {"lr": 0.5, "batch_size": 64, "duration": "2ep", "nesterov": False}
    line = changed(eval=newer, energy=3.5)
    assert Result.from_line(line, {"3f0c": TRAINING}) == result_of(TRAINING)
    with pytest.raises(ValidationError, match="nesterov"):
        Result.from_line(line)


@pytest.mark.parametrize(
    "key", ["id", "kind", "find", "eval", "seed", "round", "sparsity", "test_accuracy", "lpr"]
)
def test_a_line_without_what_every_version_wrote_is_damaged(key):
    line = json.loads(LINE)
    del line[key]
    with pytest.raises(ValidationError, match=rf"\n{key}\n"):
        Result.from_line(json.dumps(line).encode(), {"3f0c": TRAINING})


@pytest.mark.parametrize("line", [b"", b"[]", LINE[:50], changed(val_accuracy=97.5)])
def test_what_is_no_result_is_damaged(line):
    with pytest.raises(ValidationError):
        Result.from_line(line, {"3f0c": TRAINING})


def test_a_result_is_light_and_stays_as_it_is():
    result = result_of(TRAINING)
    assert not hasattr(result, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.val_accuracy = 1.0


def test_a_line_begins_with_what_was_trained():
    line = json.loads(LINE)
    first = ("id", "kind", "find", "lpr_find", "eval", "seed", "round")
    assert list(described(TRAINING).items()) == [(key, line[key]) for key in first]
    assert described(result_of(TRAINING)) == described(TRAINING)
    assert described(RANDOM)["find"] is None


def test_equal_recipes_make_one_curve_of_all_seeds():
    other = dataclasses.replace(TRAINING, id="2b", find=H1.model_copy(), seed=2, round=3)
    assert {result_of(t).curve for t in (TRAINING, other)} == {CurveKey("lottery", H1, H2)}
    assert result_of(TRAINING).curve != CurveKey("lottery", H1, H2, lpr_find=H2)
    coupled = {key: key.coupled for key in (CurveKey("lottery", H1, H1), result_of(RANDOM).curve)}
    assert all(coupled.values())
    assert not CurveKey("lottery", H1, H2).coupled
    assert not CurveKey("lpr_constrained", H1, H1, H2).coupled
