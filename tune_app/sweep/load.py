"""Loading a sweep file: every mistake in it is one line with file, line and key."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lt_core.config import RuleErrors
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import Loc, SpecError, YamlSource, read_yaml


def load_sweep(path: str | Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep file.

    Args:
        path: the file.
        overrides: `key.below=value` assignments that replace what the file says.

    Raises:
        SpecError: with one line per problem, all of them.
    """
    source = read_yaml(Path(path))
    for assignment in overrides:
        source.override(assignment)
    try:
        return Sweep.model_validate(source.data)
    except ValidationError as error:
        raise SpecError(_explain_all(source, error)) from None


# The names of these keys in other tools; difflib alone cannot get from `learning_rate` to `lr`.
_ALIASES = {
    "learning_rate": "lr",
    "wd": "weight_decay",
    "bs": "batch_size",
    "epochs": "duration",
    "max_epochs": "duration",
    "steps": "duration",
    "seed": "seeds",
    "replicates": "seeds",
    "network": "model",
    "arch": "model",
    "data": "dataset",
    "levels": "rounds",
    "iterations": "rounds",
    "pruning_fraction": "fraction",
    "pruning": "prune",
    "sparsity": "final_sparsity",
    "sparsities": "at_sparsity",
    "resources": "resources_per_trial",
    "num_cpus": "cpu",
    "num_gpus": "gpu",
    "max_restarts": "max_failures",
    "retries": "max_failures",
    "params": "parameters",
    "vals": "values",
    "value": "values",
    "grid": "values",
}

_PLAIN = {
    "float_type": "must be a number",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "finite_number": "must be a finite number",
}


def _explain_all(source: YamlSource, error: ValidationError) -> list[str]:
    """One line per mistake, in the order of the file."""
    found: list[tuple[Loc, str]] = []
    errors = [(_in_data(e, source.data), e) for e in error.errors()]
    misspelt_in = {loc[:-1] for loc, e in errors if e["type"] == "extra_forbidden"}
    for loc, e in errors:
        if e["type"] == "missing" and loc[:-1] in misspelt_in:
            continue  # most likely the same mistake
        found.extend(_explain(loc, e))
    order = {place: i for i, place in enumerate(dict.fromkeys(source.origins.values()))}
    found.sort(key=lambda problem: order[source.origin(problem[0])])
    return [f"{source.origin(loc)}: {text}" for loc, text in found]


def _in_data(error: ErrorDetails, data: Any) -> Loc:
    """The place of an error in the file: pydantic's `loc` without the parts that data lacks."""
    loc: Loc = ()
    for part in error["loc"]:
        missing = error["type"] == "missing" and part == error["loc"][-1]
        if missing or (isinstance(data, dict) and part in data):
            loc, data = (*loc, part), None if missing else data[part]
        elif isinstance(data, tuple) and isinstance(part, int) and part < len(data):
            loc, data = (*loc, part), data[part]
    return loc


def _explain(loc: Loc, e: ErrorDetails) -> Iterator[tuple[Loc, str]]:
    """One error of pydantic in our words; of a rule one line for each of its problems."""
    key = _key(loc)
    match e["type"]:
        case "extra_forbidden":
            yield loc, f"unknown key {key}; {_known_instead(loc)}"
        case "missing":
            yield loc, f"{key} is required"
        case "model_type":
            known = ", ".join(f"{name}: .." for name in _keys_at(Sweep, loc))
            yield loc, f"{key} must be a mapping {{{known}}}, {_got(e)}"
        case "literal_error":
            options = re.findall(r"'([^']*)'", e["ctx"]["expected"])
            near = difflib.get_close_matches(str(e["input"]), options, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield loc, f"{key} must be one of {', '.join(options)}, {_got(e)}{hint}"
        case "value_error":
            cause = e["ctx"]["error"]
            if isinstance(cause, RuleErrors):
                for below, text in cause.problems:
                    yield (*loc, *below), f"{_key((*loc, *below))}: {text}"
            else:
                yield loc, f"{key}: {cause}"
        case "string_pattern_mismatch":
            yield (
                loc,
                (
                    f"{key} must be letters, digits, `_`, `.` and `-`, at most 100, "
                    f"and start with a letter or digit, {_got(e)}"
                ),
            )
        case "too_long":
            yield loc, f"{key} must be at most {e['ctx']['max_length']} long, {_got(e)}"
        case other:
            rule = _PLAIN.get(other, e["msg"].replace("Input should", "must"))
            yield loc, f"{key} {rule}, {_got(e)}"


def _key(loc: Loc) -> str:
    return f"`{'.'.join(map(str, loc))}`"


def _got(error: ErrorDetails) -> str:
    text = json.dumps(error["input"], ensure_ascii=False)
    return "got " + (text if len(text) <= 60 else text[:57] + "...")


def _known_instead(loc: Loc) -> str:
    """The key that was most likely meant, or all that are known in its place."""
    known = _keys_at(Sweep, loc[:-1])
    alias = _ALIASES.get(str(loc[-1]))
    if alias in known:
        return f"did you mean `{alias}`?"
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean `{near[0]}`?" if near else "known here: " + ", ".join(known)


def _keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that the mapping at `loc` may have."""
    models = [model]
    for part in loc:
        fields = [_fields(m)[str(part)] for m in models if part in _fields(m)]
        models = [
            leaf
            for field in fields
            for leaf in _leaves(field.annotation)
            if isinstance(leaf, type) and issubclass(leaf, BaseModel)
        ]
    return [name for m in models for name in _fields(m)]


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a mapping by their keys in a sweep file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _leaves(annotation: Any) -> list[Any]:
    """The types in a type: of `tuple[Stage, ...] | None` Stage, `...` and None."""
    args = get_args(annotation)
    return [leaf for arg in args for leaf in _leaves(arg)] if args else [annotation]
