"""The page of all keys of a sweep file: one table for each mapping.

python -m tune_app.sweep.keys_page > sweeps/KEYS.md
"""

import json
from collections import deque

from tune_app.sweep.schema import EXTENDS, JsonSchema, documented, referred

HEAD = """# Keys of a sweep file

Every key with its type, its default and its meaning, written from the types that check a file.
*required*: a file, or one that it extends, must have it. *none*: empty, off, or as the meaning
says. [README.md](README.md) shows what they are for.
"""

OF_TRAIN = {
    "PointOfRecipe": "mapping: keys of `train`, each with a value",
    "Space": "mapping: keys of `train`, each with its `values` or `min` and `max`",
}
"""Mappings with the keys of `train`, which have no table of their own."""

DIMENSION = {"values": "list of values of the key", "min": "number", "max": "number"}
"""Types of keys whose type is that of a key of `train`."""


def page() -> str:
    """The page, as Markdown; tables in the order of the file, those of keys in mappings last."""
    schema = documented()
    mappings = schema["$defs"]
    schema["properties"] = {"extends": EXTENDS, **schema["properties"]}
    tables = [HEAD, _table("The file", schema)]
    for name, places in _places(schema, mappings).items():
        tables.append(_table(", ".join(f"`{place}`" for place in places), mappings[name]))
    dimension = mappings["Dimension_lr"]
    tables.append(_table("`find.parameters.KEY`, `eval.parameters.KEY`", dimension, DIMENSION))
    return "\n".join(tables)


def _places(schema: JsonSchema, mappings: JsonSchema) -> dict[str, list[str]]:
    """The paths of each mapping in a file, outer ones first."""
    places: dict[str, list[str]] = {}
    ahead = deque([("", schema)])
    while ahead:
        path, mapping = ahead.popleft()
        for key, value in mapping["properties"].items():
            for name in [each for each in referred(value) if each not in OF_TRAIN]:
                places.setdefault(name, []).append(path + key)
                ahead.append((f"{path}{key}.", mappings[name]))
    return places


def _table(title: str, mapping: JsonSchema, types: dict[str, str] | None = None) -> str:
    lines = [f"## {title}", "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, value in mapping["properties"].items():
        type_ = (types or {}).get(key) or _type(value)
        default = "*required*" if key in mapping.get("required", ()) else _default(value)
        lines.append(f"| `{key}` | {type_} | {default} | {value['description']} |")
    return "\n".join(lines) + "\n"


def _default(value: JsonSchema) -> str:
    if value.get("default") in (None, "", []):
        return "those of its keys" if "$ref" in value else "*none*"
    default = value["default"]
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _type(value: JsonSchema) -> str:
    """In words; null, which is `none`, left out."""
    match value:
        case {"$ref": ref}:
            return OF_TRAIN.get(ref.rpartition("/")[2], "mapping")
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(_type(each) for each in options if each != {"type": "null"})
        case {"enum": names}:
            return ", ".join(f"`{name}`" for name in names)
        case {"examples": examples}:
            return " or ".join(f"`{example}`" for example in examples)
        case {"type": "array"}:
            return f"list of {_type(value['items'])}"
        case {"type": "object"}:
            return f"mapping to {_type(value['additionalProperties'])}"
        case {"type": "string"}:
            return "import path" if value.get("pattern") == ":" else "text"
        case {"type": "boolean"}:
            return "true or false"
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = [f"{sign} {value[name]:,}" for name, sign in signs.items() if name in value]
    return f"{value['type']} {', '.join(bounds)}".rstrip()


if __name__ == "__main__":
    print(page(), end="")
