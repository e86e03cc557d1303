"""``actbench schema``: the JSON Schema of a config, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = {
    "actbench schema": "print it",
    "actbench schema -o schema.json": "a file, and the line that makes a config use it",
}


def schema(
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to this file.")] = None,
) -> None:
    """Print the JSON Schema of a config, for editors.

    An editor that reads it completes keys and names, explains them and underlines mistakes: docs/editor.md.
    """
    from actbench.cli.output import as_json, print_result
    from actbench.config.json_schema import config_schema, config_schema_text
    from actbench.config.shipped import modeline
    from actbench.system.command_line import shown_path
    from actbench.system.files import write_output

    if output is None:
        print_result(as_json(config_schema()))
        return
    write_output(output, config_schema_text())
    print_result(f"{shown_path(output)}: a config beside it begins with\n{modeline(output.name)}")
