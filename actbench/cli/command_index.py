"""The commands with their options as a file, which completion reads in place of importing them.

After a change of an option: python -m actbench.cli.command_index > actbench/completion/commands.json
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

from typer.main import get_command

from actbench.cli import app
from actbench.cli.check import FORMATS
from actbench.cli.help_pages import summary
from actbench.cli.list_ import KINDS
from actbench.cli.run import Kernels, Products
from actbench.completion.shells import SHELLS
from actbench.diagnostics.verification import GROUPS
from actbench.execution.engines import Engine
from actbench.schema import registry
from actbench.schema.attribute_texts import attribute_texts

CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("check", "form"): FORMATS,
    ("list", "kind"): tuple(KINDS),
    ("verify", "groups"): GROUPS,
    ("run", "products"): get_args(get_args(Products)[0]),
    ("run", "kernels"): get_args(get_args(Kernels)[0]),
    ("completion", "shell"): SHELLS,
}
"""Command and parameter -> the values that there are."""


def index_text() -> str:
    """Return the text of the file: the program under an empty name, then each command under its own."""
    found: Any = get_command(app)
    commands = {"": found, **{name: one for name, one in found.commands.items() if not one.hidden}}
    content = {
        name: {
            "text": summary(one),
            "parameters": [_parameter(name, each) for each in one.params if not each.hidden],
        }
        for name, one in commands.items()
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _parameter(command: str, one: Any) -> dict[str, Any]:
    is_option = one.param_type_name == "option"
    entries = {
        "name": one.name,
        "names": [*one.opts, *one.secondary_opts] if is_option else [],
        "metavar": one.metavar or "",
        "text": one.help or "",
        "is_flag": is_option and bool(one.is_flag),
        "is_repeated": one.nargs == -1 or (is_option and bool(one.multiple)),
        "choices": list(CHOICES.get((command, one.name), ())),
        "keys": _cluster_keys() if one.name == "cluster" else {},
    }
    return {key: value for key, value in entries.items() if value}


def _cluster_keys() -> dict[str, dict[str, str]]:
    """Return engine -> the keys of its ``--cluster``, each with its meaning in a few words."""
    found = {}
    for name in registry.names("engines"):
        engine: type[Engine] = registry.load("engines", name)
        texts = attribute_texts(engine.options)
        found[name] = {key.replace("_", "-"): re.split("[;.]", texts[key])[0] for key in engine.options.model_fields}
    return {name: keys for name, keys in found.items() if keys}


if __name__ == "__main__":
    print(index_text(), end="")
