"""The record of a finished run, as ``result.json`` holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from actbench.schema.health_measures import DYNAMICS, HEALTH_MEASURES, LAYER_SIGNALS, RECYCLED
from actbench.schema.histograms import HISTOGRAMS, check_histogram
from actbench.schema.metrics import METRICS, OUTCOME_SHARES
from actbench.schema.spec import RunSpec

SCHEMA = 1
"""Version of ``result.json``; a reader refuses newer ones."""

MAX_INITIAL_EXAMPLES = 2000
"""Training examples that epoch 0 is evaluated on: the first in a fixed random order.

All 54,000 of MNIST took a fifth of a one-epoch study, and these give the loss of an untrained network to a percent.
"""

MAX_MAGNITUDE = 1e300
"""Numbers of this size are in no record: their sum may overflow, and a loss so large has diverged."""

Outcome = Literal["ok", "collapsed", "diverged", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "collapsed", "diverged", "failed")


_LAYER_NUMBERS = ("units", *HEALTH_MEASURES, *DYNAMICS, RECYCLED, *LAYER_SIGNALS)
"""Fields of a layer that hold a number or None."""

_NUMBERS = (float, int)


@dataclass(frozen=True)
class RunRecord:
    """Hold everything that a finished run reports.

    Args:
        spec: The run.
        outcome: ``ok``; ``collapsed`` (more inert units than ``health.collapse_at``); ``diverged`` (a loss or a
            parameter is not a finite number below 1e300); ``failed`` (an error, whose traceback lies in ``error.txt``).
        curves: One row per epoch, as in ``metrics.jsonl``; row 0 is the network at initialisation.
        final: Name of a metric -> value at the reported epoch, in the unit that ``METRICS`` gives; None where there is
            none (a diverged loss).
        health: Totals and one row per layer, at the reported epoch; units are counted.
        environment: Versions, device, threads, command line, git commit.
        timing: ``cohort_runs``, ``cohort_seconds`` (wall clock), ``seconds`` (their quotient), ``training_seconds``
            (the part of ``seconds`` that training steps took).
        message: Why the outcome is not ``ok``, in words.
        study: Name of the study that the run was trained for.
        folder: Name of the run's folder; empty for a record that was not read from one.
        traceback: Of a failed run that was read with its curve: where it happened.

    Examples:
        >>> record = RunRecord(RunSpec(), "ok", final={"test.accuracy": 0.93})
        >>> RunRecord.from_json(record.to_json()) == record
        True
    """

    spec: RunSpec
    outcome: Outcome
    curves: Sequence[Mapping[str, Any]] = ()
    final: Mapping[str, float | None] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    study: str = ""
    folder: str = field(default="", compare=False)
    traceback: str = field(default="", compare=False)

    @property
    def run_id(self) -> str:
        """The run's id: the name of its folder, which says what varies in its study."""
        return self.folder or self.spec.run_id

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.spec.seed

    @property
    def digest(self) -> str:
        """The run's identity, ``RunSpec.digest``."""
        return self.spec.digest

    @property
    def selected_epoch(self) -> int | None:
        """The epoch that the run reports, if validation chose it or the run's end; None for the last of all."""
        found = self.final.get("selected_epoch")
        return None if found is None else int(found)

    @property
    def epochs_trained(self) -> int:
        """The epochs after which the run ended; those that it was to train, unless it ran out of patience."""
        return _epochs_trained(self)

    def with_spec(self, spec: RunSpec) -> RunRecord:
        """Return the record with these settings."""
        return replace(self, spec=spec)

    @property
    def lacks_curve(self) -> bool:
        """Return whether a run that was read with its curve has none beside its result.

        One that failed may have done so before its first epoch had ended.
        """
        return not self.curves and self.outcome != "failed"

    def value(self, metric: str) -> float | None:
        """Return a final metric, or 1 or 0 for an outcome that the run has or has not; None where there is none.

        A run that selected no epoch reports its last one, which only its settings say.
        """
        if metric in ("selected_epoch", "epochs_trained") and metric not in self.final:
            return float(self.spec.training.epochs) if self.outcome in ("ok", "collapsed") else None
        return float(self.outcome == metric) if metric in OUTCOME_SHARES else self.final.get(metric)

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``result.json``; the curves lie beside it, in ``metrics.jsonl``."""
        return {
            "schema": SCHEMA,
            "outcome": self.outcome,
            "message": self.message,
            "study": self.study,
            "digest": self.spec.digest,
            "spec": self.spec.to_json(),
            "final": recorded(self.final),
            "metrics": {name: METRICS[name].to_json() for name in self.final if name in METRICS},
            "health": recorded(self.health),
            "environment": dict(self.environment),
            "timing": recorded(self.timing),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], curves: Sequence[Mapping[str, Any]] = ()) -> RunRecord:
        """Rebuild a record from ``result.json``.

        Args:
            content: The file's content.
            curves: The rows of ``metrics.jsonl``; empty where they are not needed.

        Raises:
            ValueError: When the content has another schema, or a part is missing or malformed.
        """
        if content.get("schema") != SCHEMA:
            raise ValueError(f"schema {content.get('schema')!r}; this version reads {SCHEMA}")
        if content.get("outcome") not in OUTCOMES:
            raise ValueError(f"unknown outcome {content.get('outcome')!r}")
        parts = {key: content.get(key, {}) for key in ("final", "health", "environment", "timing")}
        for key, part in parts.items():
            if not isinstance(part, Mapping):
                raise ValueError(f"'{key}' in result.json is not a mapping")
        for key in ("final", "timing"):
            _check_numbers(f"'{key}.{{}}' in result.json", parts[key])
        _check_health("'health.{}' in result.json", parts["health"])
        return cls(
            spec=RunSpec.model_validate(content.get("spec", {})),
            outcome=content["outcome"],
            curves=tuple(curves),
            message=str(content.get("message", "")),
            study=str(content.get("study", "")),
            **parts,
        )


class RunOutline(NamedTuple):
    """What a list says of a run: made in a tenth of the time that its record takes, and called the same.

    Args:
        study: Name of its study.
        folder: Name of its folder.
        spec: Its settings; the seed in them may be another.
        seed: Its seed.
        outcome: As in its record, and so are the others.
        final: Its final metrics.
        environment: Versions, device, command line.
        message: Why the outcome is not ``ok``.
    """

    study: str
    folder: str
    spec: RunSpec
    seed: int
    outcome: Outcome
    final: Mapping[str, float | None]
    environment: Mapping[str, Any]
    message: str

    @classmethod
    def of(cls, record: RunRecord) -> RunOutline:
        """Return the outline of a record that was read from a folder."""
        return cls(
            record.study,
            record.folder,
            record.spec,
            record.seed,
            record.outcome,
            record.final,
            record.environment,
            record.message,
        )

    def with_spec(self, spec: RunSpec) -> RunOutline:
        """Return the outline with these settings."""
        return self._replace(spec=spec)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder

    @property
    def digest(self) -> str:
        """The run's identity, ``RunSpec.digest``."""
        return self.spec.with_seed(self.seed).digest

    @property
    def epochs_trained(self) -> int:
        """As ``RunRecord`` has it."""
        return _epochs_trained(self)


def _epochs_trained(run: RunRecord | RunOutline) -> int:
    found = run.final.get("epochs_trained")
    return run.spec.training.epochs if found is None else int(found)


def may_be_recorded(value: float) -> bool:
    """Return whether a number may stand in a record: it is finite and below ``MAX_MAGNITUDE``.

    Writers and readers both ask here, so that nothing is written that can't be read again.

    >>> [may_be_recorded(value) for value in (0.5, -9.9e299, 1e300, float("inf"), float("nan"))]
    [True, True, False, False, False]
    """
    return abs(value) < MAX_MAGNITUDE  # also False for NaN, and for an integer that no float can hold


def recorded(content: Any) -> Any:
    """Return a part of a record as it is written: with None for each number that may not stand there."""
    if isinstance(content, float):
        return content if may_be_recorded(content) else None
    if isinstance(content, Mapping):
        return {key: recorded(value) for key, value in content.items()}
    return [recorded(value) for value in content] if isinstance(content, (list, tuple)) else content


def check_row(row: Any) -> Mapping[str, Any]:
    """Return a row of ``metrics.jsonl`` as it was parsed.

    Raises:
        ValueError: When it is no mapping with an epoch, numbers and layers.
    """
    if not isinstance(row, Mapping):
        raise ValueError("it is no mapping")
    epoch = row.get("epoch")
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < MAX_MAGNITUDE:
        raise ValueError("'epoch' is not a count")
    _check_numbers("'{}'", row, [key for key in row if key != "layers"])
    _check_layers("'layers.{}'", row.get("layers"))
    return row


def _check_health(name: str, content: Mapping[str, Any]) -> None:
    keys = [key for key, value in content.items() if key in ("units", "probe_size") or isinstance(value, (int, float))]
    _check_numbers(name, content, keys)
    _check_layers(name.format("layers.{}"), content.get("layers"))
    diagnosis = content.get("diagnosis", ())
    if not isinstance(diagnosis, (list, tuple)) or not all(isinstance(sentence, str) for sentence in diagnosis):
        raise ValueError(f"{name.format('diagnosis')} is not a list of sentences")


def _check_layers(name: str, layers: Any) -> None:
    """Refuse layers that are not a list of mappings with a name and numbers where numbers are expected."""
    if layers is None:
        return
    if not isinstance(layers, (list, tuple)):
        raise ValueError(f"{name.format('*')} is not a list")
    for layer in layers:
        if not isinstance(layer, Mapping) or not isinstance(layer.get("name"), str):
            raise ValueError(f"{name.format('*')} is not a layer with a name")
        for histogram in HISTOGRAMS:
            try:
                check_histogram(layer.get(histogram))
            except ValueError as error:
                raise ValueError(f"{name.format(histogram)}: {error}") from error
        _check_numbers(name, layer, _LAYER_NUMBERS)


def _check_numbers(name: str, content: Mapping[str, Any], keys: Iterable[str] | None = None) -> None:
    """Refuse a value that is neither None nor a number that can be computed with.

    Args:
        name: How a message names a value, with ``{}`` in place of its key.
        content: Key -> value.
        keys: The keys to look at, as far as they are there; None for all.
    """
    for key in content if keys is None else keys:
        value = content.get(key)
        # The usual case first: a run has hundreds of numbers.
        if value is None or (type(value) in _NUMBERS and -MAX_MAGNITUDE < value < MAX_MAGNITUDE):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name.format(key)} is not a number: {_shortened(value)}")
        if not may_be_recorded(value):
            raise ValueError(f"{name.format(key)} is not a number below 1e300: {_shortened(value)}")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
