"""The commands of the program with their options, read from the file that lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("commands.json")


@dataclass(frozen=True)
class Parameter:
    """An option or an argument.

    Args:
        name: Of the function's parameter, such as ``as_json``.
        names: As they are typed, such as ``-o`` and ``--output``; none for an argument.
        metavar: What its value is called.
        text: Its meaning.
        is_flag: Whether it takes no value.
        is_repeated: Whether it may be given several times.
        choices: All values that there are, where these are few and known.
        keys: Of ``--cluster``, engine -> the keys that may be set, each with its meaning.
    """

    name: str
    names: tuple[str, ...] = ()
    metavar: str = ""
    text: str = ""
    is_flag: bool = False
    is_repeated: bool = False
    choices: tuple[str, ...] = ()
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def is_option(self) -> bool:
        """Whether it is named on the command line."""
        return bool(self.names)


@dataclass(frozen=True)
class Command:
    """A command, or the program itself.

    Args:
        text: What it does, in a sentence.
        parameters: Its options and arguments, the latter in order.
    """

    text: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Program:
    """The program: its own options, and its commands by name."""

    own: Command
    commands: Mapping[str, Command] = field(default_factory=dict)


def program() -> Program:
    """Return the commands that the file lists."""
    content = json.loads(FILE.read_bytes())
    commands = {name: _command(one) for name, one in content.items()}
    return Program(commands.pop(""), commands)


def _command(content: Mapping[str, Any]) -> Command:
    return Command(content["text"], tuple(map(_parameter, content["parameters"])))


def _parameter(content: Mapping[str, Any]) -> Parameter:
    entries: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in content.items()}
    return Parameter(**entries)
