"""Completion of `key=value` in a shell, from the schema of a sweep file."""

from collections.abc import Iterator

from tune_app.sweep.schema import JsonSchema, alternatives, json_schema, referred


def keys(start: str) -> Iterator[tuple[str, str]]:
    """The keys that begin so, with their meaning: `train.lr=`."""
    schema = json_schema()
    for key, mapping in _below(schema, schema):
        if f"{key}=".startswith(start):
            yield f"{key}=", mapping.get("description", "").partition(". ")[0]


def values(key: str, start: str) -> Iterator[str]:
    """The values of a key that begin so, where it takes one of a few."""
    schema = json_schema()
    for name, mapping in _below(schema, schema):
        if name == key:
            # As alternatives it also has those of a list of values.
            options = dict.fromkeys(
                each for leaf in alternatives(mapping) for each in _options(leaf)
            )
            yield from (option for option in options if option.startswith(start))


def _below(
    schema: JsonSchema, mapping: JsonSchema, before: str = ""
) -> Iterator[tuple[str, JsonSchema]]:
    """Every key that takes a value, by its whole name."""
    for name, field in mapping.get("properties", {}).items():
        if name == "extends":  # of a file alone
            continue
        inner = [schema["$defs"][type_] for type_ in referred(field)]
        if not inner:
            yield before + name, field
        for below in inner:
            yield from _below(schema, below, f"{before}{name}.")


def _options(leaf: JsonSchema) -> list[str]:
    if leaf.get("type") == "boolean":
        return ["true", "false"]
    given = leaf.get("enum", [leaf["const"]] if "const" in leaf else [])
    return [str(each) for each in given]
