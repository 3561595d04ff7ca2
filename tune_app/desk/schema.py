"""The JSON schema of a sweep file, for editors: `python -m tune_app schema`."""

import click

from tune_app.command import examples
from tune_app.exit_codes import OK
from tune_app.sweep.schema import schema_text


def _run() -> int:
    print(schema_text(), end="")
    return OK


COMMAND = click.Command(
    "schema",
    callback=_run,
    help="Print the JSON schema of a sweep file. An editor with a YAML language server completes "
    "and checks a file with a line that names it: # yaml-language-server: $schema=schema.json",
    short_help="Print the JSON schema of a sweep file.",
    epilog=examples(
        "lottery schema > schema.json",
        "lottery schema | jq '.properties | keys'",
        "check-jsonschema --schemafile schema.json my_sweep.yaml",
    ),
)
