"""The JSON schema of a sweep file, for editors: from the types that check it."""

import ast
import inspect
import itertools
import json
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import ModelSchema

from lt_core.config import Config, Recipe
from lt_core.steps import Steps
from tune_app.sweep.spaces import Dimension, PointOfRecipe, Space
from tune_app.sweep.sweep import Sweep

JsonSchema = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest that all editors read."""

EXTENDS: JsonSchema = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
    ],
    "description": "Sweep files that this one is laid over, each over those before it, named "
    "relative to it. Mappings are merged, anything else is replaced.",
}


def json_schema() -> JsonSchema:
    """The schema of a sweep file as users write it.

    No key is required, since a file that this one extends may have it; the launch tells which are
    missing.
    """
    schema = documented()
    for mapping in (schema, *schema["$defs"].values()):
        mapping.pop("required", None)
    schema["properties"] = {"extends": EXTENDS, **schema["properties"]}
    return {"$schema": DIALECT, "title": "Sweep file", **schema}


def schema_text() -> str:
    """The same as a file."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def documented() -> JsonSchema:
    """The schema of a whole sweep, each key described by the docstring of its field."""
    schema = Sweep.model_json_schema(schema_generator=_Documented)
    return _renamed(schema)


class _Documented(GenerateJsonSchema):
    """Pydantic's schema, with docstrings. Pydantic reads them itself (`use_attribute_docstrings`),
    but as it defines the types, which would take each command a seventh of a second."""

    def model_schema(self, schema: ModelSchema) -> JsonSchema:
        found = super().model_schema(schema)
        found.pop("title", None)
        docstrings = _docstrings(schema["cls"])
        for name, field in schema["cls"].model_fields.items():
            key = found["properties"][field.alias or name]
            key["description"] = docstrings[name]
            if isinstance(field.default, Steps):
                key["default"] = str(field.default)
            elif key.get("default") is None or isinstance(key["default"], dict):
                key.pop("default", None)  # nothing, or the defaults of the keys below
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # the key again, in other letters


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring of each field of a type, in one line."""
    if model in (Space, PointOfRecipe):  # made of a recipe, without lines of their own
        model = Recipe
    elif issubclass(model, Dimension):
        model = Dimension
    bases = [base for base in reversed(model.__mro__) if issubclass(base, Config)]
    return {name: text for base in bases for name, text in _below_fields(base)}


@cache
def _below_fields(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """The fields that a type defines itself, each with the docstring below it."""
    found = []
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in itertools.pairwise(definition.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found.append((name, " ".join(text.split())))
    return tuple(found)


def _renamed(schema: JsonSchema) -> JsonSchema:
    """With a dimension named by the first field that it is of: the name of a generic type is spelt
    otherwise by each version of pydantic."""
    text = json.dumps(schema)
    for field, dimension in schema["$defs"]["Space"]["properties"].items():
        name = dimension["anyOf"][0]["$ref"].rpartition("/")[2]
        text = text.replace(f'/{name}"', f'/Dimension_{field}"')
        text = text.replace(f'"{name}": ', f'"Dimension_{field}": ')
    renamed: JsonSchema = json.loads(text, object_hook=_with_items)
    renamed["$defs"] = dict(sorted(renamed["$defs"].items()))
    return renamed


def _with_items(value: JsonSchema) -> JsonSchema:
    """A list with its length as one of items: of a tuple, pydantic gives it as one of text."""
    if value.get("type") == "array":
        for end in ("min", "max"):
            if f"{end}Length" in value:
                value[f"{end}Items"] = value.pop(f"{end}Length")
    return value


def alternatives(field: JsonSchema) -> Iterator[JsonSchema]:
    """The types of a key; one or more."""
    found = [each for kind in ("anyOf", "oneOf", "allOf") for each in field.get(kind, ())]
    for each in found:
        yield from alternatives(each)
    if not found:
        yield field


def referred(field: JsonSchema) -> Iterator[str]:
    """The mappings that a key takes, by their names in `$defs`."""
    for each in alternatives(field):
        if "$ref" in each:
            yield each["$ref"].rpartition("/")[2]
