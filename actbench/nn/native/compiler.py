"""Find a C compiler, and let it make a shared library of C sources within a time limit."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES = ("cc", "gcc", "clang")
"""Programs that are looked for, in this order, where the environment variable CC names none."""

FLAGS = (
    "-O3",
    "-std=c11",
    "-fPIC",
    "-shared",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
)
"""No flag that lets the compiler reorder sums or forget about NaN; products and sums are fused where asked."""

PROCESSOR_FLAGS = ("-march=native", "-mcpu=native", "")
"""Flags for all instructions of this processor, tried in this order: some compilers for ARM know the second alone."""

SECONDS = 180.0
"""Time limit of all attempts together. An idle machine takes three seconds, a busy one has taken fifty."""

VERSION_SECONDS = 10.0
"""Time limit of a compiler that is asked for its version."""

MAX_REASON = 200
"""Characters of a compiler's message that are shown."""


class CompilerError(Exception):
    """No compiler can be used: there is none, or it failed. The text says why."""


@dataclass(frozen=True)
class Compiler:
    """Name a C compiler.

    Args:
        command: The words that call it; more than one where CC holds several, such as ``ccache gcc -m64``.
        programs: Path, size and time of change of each program among them, by which a changed one is known. Asking for
            the version would start a process every time, and a compiler that hangs could not be remembered.
    """

    command: tuple[str, ...]
    programs: tuple[tuple[str, int, int], ...]

    def version(self, folder: Path) -> str:
        """Return the first line of its version.

        Args:
            folder: Where its output may lie meanwhile.

        Raises:
            CompilerError: When it fails or takes too long.
        """
        return _output([*self.command, "--version"], folder, seconds=VERSION_SECONDS).partition("\n")[0].strip()

    def compile(self, sources: Sequence[Path], target: Path) -> list[str]:
        """Make a shared library and return the flags with which that worked.

        Args:
            sources: Files in C.
            target: The library; other files may be left beside it.

        Raises:
            CompilerError: When it fails with all ``PROCESSOR_FLAGS``, or takes too long.
        """
        ends, failure = time.monotonic() + SECONDS, CompilerError("")
        for processor in PROCESSOR_FLAGS:
            flags = [*FLAGS, processor] if processor else [*FLAGS]
            command = [*self.command, *flags, "-o", str(target), *map(str, sources), "-lm"]
            try:
                _output(command, target.parent, seconds=ends - time.monotonic())
                return flags
            except CompilerError as error:
                failure = error
            if time.monotonic() >= ends:
                break
        raise failure


def find_compiler() -> Compiler:
    """Return the compiler that CC names, else the first of ``NAMES`` that is there.

    Raises:
        CompilerError: When there is none, or CC names none that is there.
    """
    try:
        asked = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise CompilerError(f"CC can't be read: {error}") from error
    for command in [asked] if asked else [[name] for name in NAMES]:
        if shutil.which(command[0]):
            return Compiler(tuple(command), tuple(_programs(command)))
    if asked:
        raise CompilerError(f"CC names the compiler {asked[0]}, which is not there")
    raise CompilerError(f"no C compiler was found ({', '.join(NAMES)})")


def _programs(command: Sequence[str]) -> list[tuple[str, int, int]]:
    found = []
    for word in command:
        if not word.startswith("-") and (path := shutil.which(word)):
            program = Path(path).resolve()
            seen = program.stat()
            found.append((str(program), seen.st_size, seen.st_mtime_ns))
    return found


def _output(command: Sequence[str], folder: Path, *, seconds: float) -> str:
    """Return what a command prints.

    Raises:
        CompilerError: When it can't be started, fails, or takes too long.
    """
    printed = folder / "output.txt"
    # English messages; and what a compiler that is killed leaves of its own goes away with the folder.
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(folder)}
    # A file, not a pipe: a process that the compiler started could keep a pipe open, and a pipe has to be emptied.
    with printed.open("wb") as target:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a compiler is several processes, which are ended as one group
            )
        except OSError as error:
            raise CompilerError(f"{command[0]} can't be started: {error.strerror or error}") from error
        try:
            code = process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired as error:
            raise CompilerError(f"{command[0]} took longer than {seconds:.1f} s") from error
        finally:
            if process.poll() is None:  # also after an interruption from the keyboard
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    text = printed.read_text("utf-8", errors="replace")
    if code:
        raise CompilerError(f"{command[0]} failed with code {code}{_first_error(text)}")
    return text


def _first_error(text: str) -> str:
    """Return a colon and the first line that names an error, else the last line; nothing where nothing was printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    chosen = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
    chosen = re.sub(r"\S*/(?=[^\s/]+\.[ch]:)", "", chosen)  # the folder of a source, which lengthens each line
    return f": {chosen[:MAX_REASON]}" if chosen else ""
