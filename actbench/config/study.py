"""A study: the checked content of a config, and the runs that it stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, PrivateAttr

from actbench.config.bases import with_bases
from actbench.config.checking import RUN_KEYS, CheckedStudy, check_study
from actbench.config.design import Design
from actbench.config.excluding import fitted
from actbench.config.nodes import read_config, read_text, write
from actbench.config.overrides import apply_overrides
from actbench.config.places import SourceText
from actbench.config.shipped import config_file
from actbench.config.smoke import smoke_content
from actbench.errors import ConfigError, KeyPath, Problem, UsageError
from actbench.schema.bias_init import BiasInit
from actbench.schema.components import Component
from actbench.schema.runtime import Cadence, KeepWeights
from actbench.schema.spec import CASE, RunSettings, RunSpec
from actbench.system import session
from actbench.system.text import printable, storable

_UNNAMED = "<text>"


class Study(Design, RunSettings):
    """A checked config: the design of a study, and the settings of its runs where the sweep sets nothing else.

    Raises:
        ConfigError: With every problem, each at its dotted key.

    Examples:
        >>> study = Study(study="depth", activation="relu", sweep={"bias_init": [0.0, 0.01]}, seeds=3)
        >>> len(study.specs()), study.factors
        (6, ('bias_init',))
    """

    _content: dict[str, Any] = PrivateAttr()
    _text: str = PrivateAttr()
    _heading: str = PrivateAttr()
    _cells: tuple[RunSpec, ...] = PrivateAttr()
    _checkpoint_every: Cadence = PrivateAttr()
    _keep_weights: KeepWeights | None = PrivateAttr()

    def __init__(self, /, **fields: Any) -> None:
        content = _as_content(fields)
        try:
            checked = check_study(content)
        except ConfigError as error:
            raise ConfigError(replace(one, path=_written_part(one.path, content)) for one in error.problems) from error
        self._fill(content, checked, write(content), heading="")

    @classmethod
    def from_yaml(cls, path: str | Path, overrides: Sequence[str] = ()) -> Study:
        """Read a config file.

        Args:
            path: The file, or the name of a shipped config; its stem names the study unless the config does.
            overrides: ``KEY=VALUE`` arguments, the later over the earlier; a string is one of them.

        Raises:
            ConfigError: With every problem, each with file, line and column.
        """
        return cls.from_text(read_text(config_file(Path(path))), overrides, str(path))

    @classmethod
    def from_text(cls, text: str, overrides: Sequence[str] = (), source: str = _UNNAMED) -> Study:
        """Read a config from a string.

        Args:
            text: YAML.
            overrides: ``KEY=VALUE`` arguments, the later over the earlier; a string is one of them.
            source: The text's name in problems; when it is a path, its stem names the study unless the config does.

        Raises:
            ConfigError: With every problem, each with source, line and column.

        Examples:
            >>> Study.from_text("sweep: {activation: [relu, elu]}", ["seeds=3"]).seeds
            (0, 1, 2)
        """
        overrides = [overrides] if isinstance(overrides, str) else overrides
        written = SourceText(source, text)
        folder = Path() if source == _UNNAMED else Path(source).parent
        document, extended = with_bases(read_config(written), written, folder)
        before = document.content
        document = apply_overrides(document, overrides)
        name = "study" if source == _UNNAMED else Path(source).stem
        content = {"study": name, **document.content}
        if overrides:
            content = fitted(content, before)
        try:
            checked = check_study(content, document.left_out)
        except ConfigError as error:
            raise document.rejection(error) from error
        if document.problems:
            raise document.rejection()
        study = cls.__new__(cls)
        heading = _heading(source, extended, overrides)
        study._fill(content, checked, heading + write(content) if heading else text, heading)
        return study

    @property
    def name(self) -> str:
        """The name of the study, and of its folder under ``results/``."""
        return self.study

    @property
    def text(self) -> str:
        """The config: verbatim, or written anew when overrides or a base changed it, below comments that list them.

        It needs no other file, so the results stay whole wherever they are copied.

        Read again it gives the same runs and the same comparison.
        """
        return self._text

    @property
    def factors(self) -> tuple[str, ...]:
        """The keys that vary: ``case``, those of ``sweep`` in the order written, then those of ``zip``."""
        return tuple(self.levels)

    @property
    def levels(self) -> Mapping[str, tuple[Any, ...]]:
        """Factor -> its values, as they are written; those of ``case`` are the names of the cases."""
        return {**({CASE: self.case or tuple(self.cases)} if self.cases else {}), **self.sweep, **self.zip}

    @property
    def checkpoint_every(self) -> Cadence:
        """How often runs in training are saved: ``training.checkpoint_every``, which belongs to no run."""
        return self._checkpoint_every

    @property
    def keep_weights(self) -> KeepWeights | None:
        """Which networks of each run are stored: ``training.keep_weights``, which belongs to no run."""
        return self._keep_weights

    @property
    def cells(self) -> tuple[RunSpec, ...]:
        """One run for each combination of the levels: its seed is none of the study's, as ``specs`` sets those."""
        return self._cells

    def specs(self) -> tuple[RunSpec, ...]:
        """Return every run, each once: seeds vary slowest, so a partly finished study covers the whole sweep.

        Within a seed the sweep's first key varies slowest.
        """
        return tuple(cell.with_seed(seed) for seed in self.seeds for cell in self._cells)

    def smoke(self) -> Study:
        """Return the same study cut to seconds: one epoch, two seeds, at most 512 examples of each part."""
        study = Study(**smoke_content(self._content, name=self.name, seeds=self.seeds))
        study._heading = self._heading
        study._text = self._heading + study._text
        return study

    def _fill(self, content: dict[str, Any], checked: CheckedStudy, text: str, heading: str) -> None:
        settings = {name: getattr(checked.base, name) for name in RUN_KEYS}
        super().__init__(**settings, **dict(checked.design))
        self._content, self._text, self._heading, self._cells = content, text, heading, checked.cells
        self._checkpoint_every, self._keep_weights = checked.checkpoint_every, checked.keep_weights


def _as_content(value: Any, path: KeyPath = ()) -> Any:
    """Turn Python objects into the content that a YAML file would have held.

    Raises:
        ConfigError: For an object that no config could hold.
    """
    if isinstance(value, (Component, BiasInit)):
        return value.to_minimal()
    if isinstance(value, BaseModel):
        return {name: _as_content(getattr(value, name), (*path, name)) for name in value.model_fields_set}
    if isinstance(value, Mapping):
        return {_as_text(str(key), path): _as_content(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_as_content(item, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _as_text(value, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if callable(value) and (path[-1:] == ("path",) or _is_activation(path)):
        try:
            found = session.path_of(value)
        except UsageError as error:
            raise ConfigError([Problem(f"the function '{session.name_of(value)}' {error}", path)]) from error
        return found if path[-1:] == ("path",) else {"name": session.name_of(value), "path": found}
    text = "is not finite, or beyond 64 bits" if isinstance(value, (int, float)) else "is not plain data"
    raise ConfigError([Problem(f"a value of type {type(value).__name__} {text}", path)])


def _is_activation(path: KeyPath) -> bool:
    """Return whether a path leads to an activation, or to an item of a list of them."""
    keys = [step for step in path if isinstance(step, str)]
    return keys[-1:] == ["activation"] and len(path) - path.index("activation") <= 2


def _written_part(path: KeyPath, content: Any) -> KeyPath:
    """Return a path as far as it was written: ``activation`` for the name of ``activation="reluu"``."""
    for length, step in enumerate(path):
        try:
            content = content[step]
        except (LookupError, TypeError):
            return path[:length]
    return path


def _as_text(text: str, path: KeyPath) -> str:
    """Return a text that a file can hold.

    Raises:
        ConfigError: For one with half of a character, such as a byte of a file's name that is not UTF-8.
    """
    if storable(text) != text:
        raise ConfigError([Problem(f"'{storable(text)}' holds half of a character, or a byte that is not UTF-8", path)])
    return text


def _heading(source: str, extended: Sequence[str], overrides: Sequence[str]) -> str:
    """Return comment lines that list what was put into the config; empty where nothing was."""
    lines = [f"{source}, with what it extends put in: {', '.join(extended)}"] if extended else []
    if overrides:
        lines += [f"actbench run {source} with overrides:", *(f"  {override}" for override in overrides)]
    return "".join(f"# {printable(line)}\n" for line in lines)
