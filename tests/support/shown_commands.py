"""The commands that a text shows, and the files that it asks the reader to save, in their order.

A comment above a block of commands says what a reader does not need to know::

    <!-- not run: REASON -->      no test can, for one of ``REASONS``
    <!-- exit code 1 -->          how its last command ends
    <!-- as shown -->             trained in full, not cut to seconds

A block whose first line is a comment with the name of a file is that file.
"""

from __future__ import annotations

import glob
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

REASONS = {
    "installs": "changes an installation",
    "downloads": "fetches a dataset",
    "needs Slurm": "a cluster's scheduler",
    "needs Ray": "a cluster that runs, or the time to start one; tests/execution/test_ray.py does",
    "needs a GPU": "a device that the tests lack",
    "needs a server": "a service that listens, or an account",
    "never ends": "goes on until it is stopped",
}
"""Why commands are not run -> what that means."""

_BLOCK = re.compile(r"^(?:<!-- (?P<note>[^>]*) -->\n+)?```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#!.*\n)?# (?:config: )?([\w./-]+\.(?:py|yaml|yml|sh))$", re.MULTILINE)

CUT = {"training.epochs": "1", "dataset.max_examples": "200", "health.probe_size": "100", "seeds": "3"}
"""Keys that cut a training to seconds, where the command does not set them itself."""


@dataclass(frozen=True)
class Step:
    """A command, or a file to write.

    Args:
        words: Of the command; empty for a file.
        settings: Variables that stand before the command.
        code: How it ends.
        reason: Why it can't be run here; empty if it can.
        is_full: Whether it trains as it is shown.
        file: The name of the file.
        text: What stands in it.
    """

    words: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    code: int = 0
    reason: str = ""
    is_full: bool = False
    file: str = ""
    text: str = ""

    @property
    def line(self) -> str:
        return shlex.join(self.words)


def steps_of(path: Path) -> list[Step]:
    """All commands and files of a text."""
    found: list[Step] = []
    for block in _BLOCK.finditer(path.read_text("utf-8")):
        note, code = block["note"] or "", block["code"]
        name = _FILE.match(code)
        if block["kind"] == "sh":
            found += _commands(code, note)
        elif name:
            found.append(Step(file=name[1], text=code))
    return found


def _commands(code: str, note: str) -> list[Step]:
    reason = note.removeprefix("not run: ") if note.startswith("not run: ") else ""
    steps = []
    for line in code.replace("\\\n", " ").splitlines():
        command: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word != "&&":
                command.append(word)
            elif command:
                steps.append(_step(command, reason, is_full=note == "as shown"))
                command = []
    if steps and (code_shown := re.fullmatch(r"exit code (\d+)", note)):
        last = steps[-1]
        steps[-1] = Step(last.words, last.settings, int(code_shown[1]))
    return steps


def _step(command: list[str], reason: str, *, is_full: bool) -> Step:
    settings = []
    while re.fullmatch(r"[A-Z_]+=.*", command[0]):
        name, _, value = command.pop(0).partition("=")
        settings.append((name, value))
    if command[:3] == ["python", "-m", "actbench"]:
        command = ["actbench", *command[3:]]
    return Step(tuple(command), tuple(settings), reason=reason, is_full=is_full)


def cut_short(step: Step) -> list[str]:
    """The words of a command, with its training cut to seconds where the text does not need all of it."""
    words = step.words
    if words[1] != "run" or "--smoke" in words or step.is_full:
        return [*words]
    given = {word.partition("=")[0] for word in words[2:] if "=" in word and not word.startswith("-")}
    return [*words, *(f"{key}={value}" for key, value in CUT.items() if key not in given)]


def expanded(words: list[str], folder: Path) -> list[str]:
    """Words with ``*`` replaced by the files that they match, as a shell does."""
    found: list[str] = []
    for word in words:
        matches = sorted(glob.glob(word, root_dir=folder)) if "*" in word and " " not in word else []
        found += matches or [word]
    return found
