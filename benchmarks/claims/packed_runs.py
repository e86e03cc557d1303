"""The runs of a packed study, read by the standard library and a YAML parser alone, and picked by their spec.

Nothing of actbench is imported: what a row of a table means is worked out anew from the words in the table.
"""

from __future__ import annotations

import json
import math
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

LOST = ("diverged", "failed")
OUTCOMES = ("ok", "collapsed", *LOST)
ENDINGS = (".tar.xz", ".zip")


@dataclass(frozen=True)
class Run:
    """One run of a study.

    Args:
        spec: Its ``spec.json``.
        outcome: ``ok``, ``collapsed``, ``diverged`` or ``failed``.
        final: Metric -> value at its end; empty for a failed run.
        classes: Number of classes of its dataset; None where the result does not say.
        higher_is_better: Metric -> which direction is better; None where neither is.
    """

    spec: Mapping[str, Any]
    outcome: str
    final: Mapping[str, float | None]
    classes: int | None
    higher_is_better: Mapping[str, bool | None]

    @property
    def seed(self) -> int:
        """Return the seed, by which runs are paired."""
        return int(self.spec["seed"])

    def value(self, metric: str) -> float | None:
        """Return a finite value, or None; of an outcome 1 or 0."""
        if metric in OUTCOMES:
            return float(self.outcome == metric)
        found = self.final.get(metric)
        return None if found is None or not math.isfinite(found) else float(found)


@dataclass(frozen=True)
class Study:
    """A packed study.

    Args:
        config: Its ``study.yaml``.
        runs: All runs that ended.
    """

    config: Mapping[str, Any]
    runs: tuple[Run, ...]

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read an archive ``<study>/study.yaml``, ``<study>/runs/<run>/{spec,result}.json``."""
        files = {name.split("/", 1)[1]: text for name, text in _entries(path) if "/" in name}
        runs = []
        for name in sorted(files):
            folder, _, last = name.rpartition("/")
            if last != "spec.json":
                continue
            result = json.loads(files.get(f"{folder}/result.json", b"null"))
            if result is not None:
                directions = {key: one["higher_is_better"] for key, one in result["metrics"].items()}
                classes = result["environment"].get("classes")
                runs.append(Run(json.loads(files[name]), result["outcome"], result["final"], classes, directions))
            elif f"{folder}/error.txt" in files:
                runs.append(Run(json.loads(files[name]), "failed", {}, None, {}))
        return cls(yaml.safe_load(files["study.yaml"]), tuple(runs))

    def rows(self, table: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> list[list[Run]]:
        """Return the runs of each row of one of actbench's tables, picked by what the row says.

        Args:
            table: An entry of ``comparisons`` in the JSON of ``actbench compare``.
            tables: All of them: ``mlp`` means another network where ``mlp(hidden=[9])`` has a table of its own.
        """
        contexts = {key: list({other["context"].get(key): 0 for other in tables}) for key in table["context"]}
        own = [
            run
            for run in self.runs
            if all(self.value_of(run, key, contexts[key]) == value for key, value in table["context"].items())
        ]
        known = {key: list({row["factors"][key]: 0 for row in table["rows"]}) for key in table["factors"]}
        named = [{key: self.value_of(run, key, values) for key, values in known.items()} for run in own]
        return [[run for run, one in zip(own, named, strict=True) if one == row["factors"]] for row in table["rows"]]

    def value_of(self, run: Run, key: str, known: Sequence[Any]) -> Any:
        """Return which of the values of a factor a run has: of several that fit, the one that says most.

        ``elu(alpha=0.2)`` and ``elu`` both fit a run of elu with alpha 0.2.
        """
        fitting = [one for one in known if self._is(run, key, one)]
        return max(fitting, key=lambda one: self._says(key, one), default=_NONE)

    def fits(self, run: Run, settings: Mapping[str, Any]) -> bool:
        """Return whether a run has all of these settings."""
        return all(self._is(run, key, value) for key, value in settings.items())

    def _is(self, run: Run, key: str, value: Any) -> bool:
        if key == "case":
            return all(self._is(run, own, one) for own, one in self._case(value).items())
        found = setting(run.spec, key)
        return equal(found, value) if not isinstance(found, dict) else _is_component(found, value)

    def _says(self, key: str, value: Any) -> int:
        """Return how many settings a value names."""
        if key == "case":
            return sum(self._says(own, one) for own, one in self._case(value).items())
        return 1 + (len(parsed_label(value)[1]) if isinstance(value, str) else len(value) if _is_map(value) else 0)

    def _case(self, name: Any) -> Mapping[str, Any]:
        """Return the settings of a named case."""
        found: Mapping[str, Any] = next(one or {} for own, one in self.config["cases"].items() if str(own) == str(name))
        return found


_NONE = object()
"""Equal to no value of a table."""


def setting(spec: Mapping[str, Any], key: str) -> Any:
    """Return a setting by its dotted key.

    >>> setting({"training": {"optimizer": {"name": "sgd", "lr": 0.1}}}, "training.optimizer.lr")
    0.1
    """
    found: Any = spec
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def equal(found: Any, wanted: Any) -> bool:
    """Return whether two settings are the same, whatever way a number is spelled."""
    if isinstance(found, bool) or isinstance(wanted, bool) or found is None or wanted is None:
        return bool(found == wanted) or WORDS.get(str(wanted).lower(), ...) is found
    if isinstance(found, (int, float)):
        try:
            return float(wanted) == float(found)
        except (TypeError, ValueError):
            return False
    if isinstance(found, list):
        return isinstance(wanted, list) and len(found) == len(wanted) and all(map(equal, found, wanted))
    return str(found) == str(wanted)


WORDS = {"null": None, "true": True, "false": False}
"""As a line of ``expect`` spells them."""


@lru_cache(maxsize=1000)
def parsed_label(label: str) -> tuple[str, dict[str, Any]]:
    """Return name and options of a component as tables print it.

    >>> parsed_label("mlp(hidden=[16,16])"), parsed_label("relu")
    (('mlp', {'hidden': [16, 16]}), ('relu', {}))
    >>> parsed_label("image_folder(root='my-images')")
    ('image_folder', {'root': 'my-images'})
    """
    name, bracket, rest = label.partition("(")
    if not bracket or not rest.endswith(")"):
        return label, {}
    options = {}
    for one in split(rest[:-1]):
        key, _, text = one.partition("=")
        try:
            options[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            options[key.strip()] = text.strip("'")  # a text with brackets or dots is printed in quotes
    return name, options


def split(text: str) -> list[str]:
    """Split at commas outside of brackets.

    >>> split("a=[1,2],b=elu(alpha=0.2)")
    ['a=[1,2]', 'b=elu(alpha=0.2)']
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def settings_of(text: str) -> dict[str, str]:
    """Return the settings of a cell, ``KEY=VALUE,…``.

    >>> settings_of("activation=relu, bias_init=0.01")
    {'activation': 'relu', 'bias_init': '0.01'}
    """
    return {key.strip(): value.strip() for key, _, value in (one.partition("=") for one in split(text))}


def best_on_validation(runs: Sequence[Run], keys: Sequence[str], by: str) -> tuple[dict[str, Any], list[Run]] | None:
    """Return the values of some settings with the best mean of a validation metric, and the runs that have them.

    A value of which a run has no value, or diverged or failed, is not taken. Of equal means the first counts, which has
    the smallest numbers.

    Args:
        runs: Of one row.
        keys: The settings.
        by: The metric.
    """
    is_less = any(run.higher_is_better.get(by) is False for run in runs)
    best: tuple[float, dict[str, Any], list[Run]] | None = None
    for values in product(*(sorted({setting(run.spec, key) for run in runs}) for key in keys)):
        at = dict(zip(keys, values, strict=True))
        own = [run for run in runs if all(setting(run.spec, key) == one for key, one in at.items())]
        scores = list(by_seed(own, by).values())
        if not scores or any(run.outcome in LOST for run in own):
            continue
        mean = sum(scores) / len(scores) * (-1 if is_less else 1)
        if best is None or mean > best[0]:
            best = (mean, at, own)
    return None if best is None else best[1:]


def by_seed(runs: Iterable[Run], metric: str) -> dict[int, float]:
    """Return seed -> value, without runs that have none.

    Raises:
        ValueError: Where two runs have one seed.
    """
    found: dict[int, float] = {}
    for run in runs:
        value = run.value(metric)
        if value is not None:
            if run.seed in found:
                raise ValueError(f"two runs of seed {run.seed} in one row")
            found[run.seed] = value
    return dict(sorted(found.items()))


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_component(found: Mapping[str, Any], wanted: Any) -> bool:
    """Return whether a component of a spec is the one that a label or a mapping names."""
    if isinstance(wanted, Mapping):
        name, options = str(wanted.get("name")), {key: one for key, one in wanted.items() if key != "name"}
    else:
        name, options = parsed_label(str(wanted))
    name = re.sub(r" from .*", "", name)  # the place of a user's own part
    return found.get("name") == name and all(key in found and equal(found[key], one) for key, one in options.items())


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each JSON and text file that is asked about below."""
    wanted = ("spec.json", "result.json", "error.txt", "study.yaml")
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                if name.endswith(wanted):
                    yield name, packed.read(name)
        return
    with tarfile.open(path) as packed_tar:
        for member in packed_tar:
            content = packed_tar.extractfile(member) if member.name.endswith(wanted) else None
            if content is not None:
                yield member.name, content.read()
