"""Read ``--cluster``: ``KEY=VALUE`` texts and YAML files of such, the later over the earlier."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from actbench.errors import UsageError
from actbench.system.files import read_file

ENDINGS = (".yaml", ".yml")


def read_cluster(arguments: Iterable[str]) -> dict[str, Any]:
    """Return key -> text, or a list of texts, as the arguments of ``--cluster`` give them.

    Args:
        arguments: Each ``KEY=VALUE``, or the path of a YAML file that maps keys to values.

    Raises:
        UsageError: When an argument is neither, or a file can't be read.

    >>> read_cluster(["partition=gpu", "time=2:00:00", "partition=cpu"])
    {'partition': 'cpu', 'time': '2:00:00'}
    """
    found: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key.strip():
            found[key.strip()] = value.strip()
        elif argument.endswith(ENDINGS):
            found |= _of_file(Path(argument))
        else:
            raise UsageError(f"--cluster: '{argument}' is neither KEY=VALUE nor a file that ends in .yaml")
    return found


def _of_file(path: Path) -> dict[str, Any]:
    """Return a file's keys and values; all scalars stay the texts that they are: ``2:00:00`` is no number here."""
    try:
        content = yaml.load(read_file(path).decode(), yaml.BaseLoader)
    except OSError as error:
        raise UsageError(f"--cluster: can't read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).partition("\n")[0]
        raise UsageError(f"--cluster: {path} is not YAML: {first}") from error
    if content in (None, ""):
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"--cluster: {path} holds no keys with values, such as `partition: gpu`")
    for key, value in content.items():
        is_list = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not (isinstance(key, str) and (isinstance(value, str) or is_list)):
            raise UsageError(f"--cluster: {path}: {key}: expected one value or a list of values")
    return content
