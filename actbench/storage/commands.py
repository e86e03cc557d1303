"""The command that trains more of a stored study, from the current folder and wherever the results lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actbench.config import Study
from actbench.errors import ConfigError, UsageError
from actbench.schema.components import Component
from actbench.schema.spec import RunSpec
from actbench.system.command_line import shown_path
from actbench.system.files import expanded
from actbench.system.packed import is_packed

KEPT = (
    *("--device", "--engine", "--cluster", "--address", "--jobs", "-j", "--data-dir"),
    *("--cohort-size", "--products", "--kernels", "--timeout"),
)
"""Options of ``run`` with a value that a further command of the same study keeps: how and where it computes. Those that
choose runs (``--retry``, ``--until``, ``--smoke``, ``--force``) belong to one command alone."""

KEPT_FLAGS = ("--capture", "--no-capture")


def train_command(
    folder: Path, argv: Sequence[str] = (), *, overrides: Iterable[str] = (), needed: Iterable[RunSpec] = ()
) -> list[str]:
    """Return the words of a command that trains a stored study, by the config that is kept beside its runs.

    The config that the study was first run with may have changed or be gone, and its path was relative to the folder in
    which that command was given.

    Args:
        folder: The study's folder.
        argv: The command line that trained its runs, of which the device, the data folder and the like are kept.
        overrides: ``KEY=VALUE`` words to add.
        needed: Runs that the command has to be about, whatever their seeds.

    Raises:
        UsageError: When no command would work from the current folder, with the reason.
    """
    folder = folder.resolve()  # "." and ".." have no parent of their own
    config = folder / "study.yaml"
    if is_packed(folder):
        raise UsageError("the study is packed: unpack it to train more of it")
    if not os.path.isfile(config):
        raise UsageError(f"no config at {config}")
    study = Study.from_yaml(config)
    named, overrides = _name_words(study, config, folder.name), tuple(overrides)
    if named or overrides:
        study = Study.from_yaml(config, [*named, *overrides])
    cells = {spec.with_seed(0).digest for spec in study.cells}
    if not {spec.with_seed(0).digest for spec in needed} <= cells:
        raise UsageError(f"{config} no longer has all of these runs")
    for missing in _missing_parts(study.cells):
        raise UsageError(f"the study needs {missing}, which is not there from the current folder")
    results = ["--results", shown_path(folder.parent)]
    return ["run", shown_path(config), *named, *overrides, *results, *_kept_options(argv)]


def _name_words(study: Study, config: Path, name: str) -> list[str]:
    """Return the override by which the config's study gets the name of its folder; none where it has it already."""
    if study.name == name:
        return []
    for word in (f"study={name}", f"study={json.dumps(name)}"):  # in quotes if YAML would read it as a number
        try:
            if Study.from_yaml(config, [word]).name == name:
                return [word]
        except ConfigError:
            continue
    raise UsageError(f"'{name}' can't be the name of a study")


def _missing_parts(specs: Iterable[RunSpec]) -> Iterator[str]:
    """Yield the folders and modules of a study that can't be reached: both are looked up from the current folder."""
    for component in dict.fromkeys(one for spec in specs for one in _components(spec)):
        root = component.options.get("root")
        if isinstance(root, str) and not os.path.exists(expanded(root)):
            yield f"the folder {root}"
        # The top-level package alone: to look further would run the user's code.
        package = (component.path or "").partition(":")[0].partition(".")[0]
        if package and not _is_importable(package):
            yield f"the module {package}"


def _components(spec: RunSpec) -> Iterator[Component]:
    found: Iterable[Any] = (*dict(spec).values(), *dict(spec.training).values())
    yield from (value for value in found if isinstance(value, Component))


def _is_importable(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _kept_options(argv: Sequence[str]) -> list[str]:
    """Return the options that a further command keeps, as they were given.

    Raises:
        UsageError: When the data folder is not there from the current folder.
    """
    found: list[str] = []
    words = iter(argv)
    for word in words:
        name, has_value, value = word.partition("=")
        if word in KEPT_FLAGS:
            found.append(word)
        elif name in KEPT:
            value = value if has_value else next(words, "")
            if name == "--data-dir" and not os.path.isdir(expanded(value)):
                raise UsageError(f"the data folder {value} is not there from the current folder")
            found += [name, value]
        elif word.startswith("-j") and not word.startswith("--"):  # -j4
            found += ["-j", word[2:]]
    return found


def recorded_argv(environment: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words behind ``actbench run`` in a record's environment; none where the run came from elsewhere."""
    argv = environment.get("argv")
    if not isinstance(argv, (list, tuple)) or len(argv) < 3 or argv[1] != "run":
        return ()
    return tuple(str(word) for word in argv[2:])
