"""Load the compiled kernels, which are compiled once per machine, and say which kernels this process computes with.

In the cache folder of the user, by a key of all that decides about them (``_key``):

```text
kernels.lock           held by the process that compiles; the others wait, and then load
kernels-KEY.so         the library, moved there when it is whole
kernels-KEY.json       its checksum, compiler and times; or why there is none, so that nobody tries again
```

All processes of a machine have to choose alike, since torch's kernels round differently. Whatever fails, the reason is
kept, shown by ``actbench doctor``, and torch's own kernels are used.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from actbench._version import __version__
from actbench.errors import ActbenchError, UsageError
from actbench.nn.machine_cache import cache_folder, locked
from actbench.nn.native import compiler
from actbench.nn.native.compiler import Compiler, CompilerError
from actbench.system import devices, torch_settings
from actbench.system.files import json_text, read_file, read_json, write_atomically

_log = logging.getLogger("actbench.nn.native")

FOLDER = Path(__file__).parent

SOURCES = ("kernels.c", "units.c")
"""Files that are compiled into the library; any header beside them counts too."""

_I, _F, _P = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
SIGNATURES: dict[str, list[Any]] = {
    "activate": [_I, _F, _I, _P, _P, _I],
    "activate_backward": [_I, _F, _I, _P, _P, _P, _I],
    "column_sums": [_I, _P, _P, _I, _I],
    "cross_entropy": [_P, _P, _P, _P, _I, _I],
    "max_pool": [_I, _P, _P, _P, _I, _I, _I, _I, _I],
    "max_pool_backward": [_I, _P, _P, _P, _I, _I, _I, _I, _I],
    "observe_units": [_I, _F, _F, _P, _I, _I, _I, _I, _I, _I, _I, _I, _P, _P, _I, _P, _P],
}
"""Function of the library -> the types of its arguments."""

LOCK_SECONDS = compiler.SECONDS + 60
"""How long to wait for another process that compiles: longer than it can take."""

ROOM = 2**19
"""Bytes that have to be free for the library, several times its size."""

_BUILDING = "building-"

_UNFINISHED = "a process ended while it tried them out"

Kernels = dict[str, Callable[..., None]]

_in_use: Kernels | None = None


@dataclass(frozen=True)
class Choice:
    """Name the kernels that are used, and why.

    Args:
        kernels: ``native`` or ``torch``.
        reason: Why, in words.
        seconds: ``native`` and ``torch`` -> seconds of ``comparison.measure``; empty if not measured.
        functions: The native ones by name; None where torch's are used.
    """

    kernels: str
    reason: str
    seconds: dict[str, float] = field(default_factory=dict)
    functions: Kernels | None = field(default=None, compare=False, repr=False)


class _Unusable(Exception):
    """The native kernels can't be used; the text says why."""


def choose(asked: str = "auto") -> Choice:
    """Return the kernels asked for: ``torch``, ``native``, or ``auto`` for native ones wherever they can be had.

    Raises:
        UsageError: When native ones are asked for and can't be had.
    """
    if asked == "torch":
        return Choice("torch", "asked for")
    found = remembered()
    if asked == "native" and found.functions is None:
        raise UsageError(f"--kernels native: {found.reason}; choose auto or torch")
    return found


def load() -> Kernels | None:
    """Return the native kernels by name; None where they can't be had."""
    return remembered().functions


@cache
def remembered() -> Choice:
    """Return what this machine has found out about the native kernels; the first process of all compiles them."""
    if os.name != "posix":
        return Choice("torch", "native kernels are not compiled on this system")
    folder = cache_folder()
    try:
        found = compiler.find_compiler()
        key = _key(found)
        facts = _read(folder, key)
        if facts is None:
            with locked(folder / "kernels.lock", seconds=LOCK_SECONDS):
                facts = _read(folder, key) or _compiled_and_written(found, folder, key)
        if facts["refused"]:
            raise _Unusable(f"{facts['refused']} (to try again, remove {folder / f'kernels-{key}.json'})")
        functions = _opened(folder / f"kernels-{key}.so")
    except (CompilerError, _Unusable) as error:
        return Choice("torch", str(error))
    except (OSError, ActbenchError) as error:
        _log.warning("can't keep compiled kernels in %s (%s): torch's own are used", folder, error)
        return Choice("torch", f"nothing can be kept in {folder}")
    return Choice("native", f"compiled by {facts['compiler']}", facts["seconds"], functions)


@contextmanager
def use_kernels(kernels: Kernels | None) -> Iterator[None]:
    """Compute with these kernels while the context lasts; with torch's own where there are none."""
    global _in_use
    before, _in_use = _in_use, kernels
    try:
        yield
    finally:
        _in_use = before


def in_use() -> Kernels | None:
    """Return the kernels in use, by name; None where torch's own are."""
    return _in_use


def name_in_use() -> str:
    """Return ``native`` or ``torch``, as records name the kernels in use."""
    return "torch" if _in_use is None else "native"


def _key(found: Compiler) -> str:
    """Return a digest of everything that decides whether there is a library, and which.

    The processor and its instructions are among it: a home folder may be shared by machines of several kinds, and a
    library with instructions that a processor lacks ends the process.
    """
    sources = [path.name for path in FOLDER.iterdir() if path.suffix in (".c", ".h")]
    content = [
        __version__,
        *((name, read_file(FOLDER / name).hex()) for name in sorted(sources)),
        (compiler.FLAGS, compiler.PROCESSOR_FLAGS, found.command, found.programs),
        (os.uname().sysname, os.uname().machine, devices.processor_name(), devices.instruction_sets()),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _read(folder: Path, key: str) -> dict[str, Any] | None:
    """Return what was found out earlier; None if nothing was, or the files are damaged."""
    try:
        facts = read_json(folder / f"kernels-{key}.json")
        refused, sha256 = facts["refused"], facts["sha256"]
        # A library that is cut off may end the process that loads it, so its bytes are compared first: 0.1 ms.
        if refused or _sha256(folder / f"kernels-{key}.so") == sha256:
            return {"refused": refused, "compiler": facts["compiler"], "seconds": dict(facts["seconds"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_file(path)).hexdigest()


def _compiled_and_written(found: Compiler, folder: Path, key: str) -> dict[str, Any]:
    """Compile, compare with torch and measure; write down how that went, and return it.

    Raises:
        OSError: When it can't be written.
        ActbenchError: Likewise.
    """
    target, about = folder / f"kernels-{key}.so", folder / f"kernels-{key}.json"
    facts: dict[str, Any] = {"refused": "", "compiler": "", "sha256": "", "seconds": {}}

    def write(**changes: Any) -> dict[str, Any]:
        facts.update(changes)
        write_atomically(about, json_text(facts, indent=2))
        return facts

    _log.info("compiling kernels with %s, once on this machine", found.command[0])
    for left in folder.glob(f"{_BUILDING}*"):  # by a process that was killed; nobody else compiles now
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=folder, ignore_cleanup_errors=True) as own:
        library = Path(own) / target.name
        # Where nothing can be kept no failure can be either: every process would compile, in vain.
        library.write_bytes(bytes(ROOM))
        try:
            facts["compiler"] = found.version(Path(own))
            found.compile([FOLDER / name for name in SOURCES], library)
        except CompilerError as error:
            return write(refused=str(error))
        os.replace(library, target)
    facts["sha256"] = _sha256(target)
    # If the kernels end this process, the next one must not try them again: until they have passed, they are refused.
    write(refused=_UNFINISHED)
    try:
        wrong, seconds = _tried_out(_opened(target))
    except _Unusable as error:
        return write(refused=str(error))
    except Exception as error:  # torch's own functions failed in the comparison: no reason to end a run
        return write(refused=f"they could not be compared with torch's: {type(error).__name__}: {error}")
    except BaseException:  # interrupted from the keyboard, say: that is nothing about the kernels
        about.unlink(missing_ok=True)
        raise
    if wrong:
        return write(refused=f"{facts['compiler']} compiles them wrongly: {wrong}")
    return write(refused="", seconds=seconds)


def _tried_out(kernels: Kernels) -> tuple[str, dict[str, float]]:
    """Return in which way the kernels are wrong, empty if in none, and the times of native and torch's kernels."""
    from actbench.nn.native import comparison

    before = torch_settings.read()
    torch_settings.write_standard()  # a notebook may have chosen another type or device
    try:
        wrong = next(comparison.differences(kernels), "")
        return wrong, {} if wrong else comparison.measure(kernels)
    finally:
        torch_settings.write(before)


def _opened(path: Path) -> Kernels:
    """Return the functions of a library.

    Raises:
        _Unusable: When it can't be loaded, as from a folder whose files may not be executed, or lacks one of them.
    """
    try:
        library = ctypes.CDLL(str(path))
        functions: Kernels = {}
        for name, arguments in SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
            functions[name] = function
    except (OSError, AttributeError) as error:
        raise _Unusable(f"the compiled library can't be loaded: {error}") from error
    return functions
