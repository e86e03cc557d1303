"""What a finished run leaves behind, what a running one reports, and what each metric means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from actbench.schema.spec import Cohort, RunSpec

SCHEMA = 1
"""Version of ``result.json``; a reader refuses newer ones."""

FIRST_LOOK = 2000
"""Training examples that epoch 0 is evaluated on; they lie in a fixed random order. All 54,000 of MNIST took a fifth of
a one-epoch study, and the loss of a network that has learned nothing is known to a percent from these."""

Outcome = Literal["ok", "collapsed", "diverged", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "collapsed", "diverged", "failed")


@dataclass(frozen=True)
class Metric:
    """A number that a run reports.

    Args:
        unit: ``fraction`` (stored 0 … 1, shown as percent), ``nats``, ``seconds``, ``count`` or ``ratio``.
        higher_is_better: None where neither direction is better.
        text: What it measures, one line.
    """

    unit: str
    higher_is_better: bool | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """As written to ``result.json``."""
        return {"unit": self.unit, "higher_is_better": self.higher_is_better}


METRICS: dict[str, Metric] = {
    "test.accuracy": Metric("fraction", True, "correct test examples, last epoch"),
    "test.loss": Metric("nats", False, "mean cross-entropy on the test set, last epoch"),
    "val.accuracy": Metric("fraction", True, "correct validation examples, last epoch"),
    "val.loss": Metric("nats", False, "mean cross-entropy on validation examples, last epoch"),
    "train.accuracy": Metric("fraction", True, "correct training examples, averaged over the last epoch's steps"),
    "train.loss": Metric("nats", False, "mean cross-entropy over the last epoch's steps"),
    "health.dead_fraction": Metric("fraction", False, "hidden units that no gradient reaches on the probe"),
    "health.constant_fraction": Metric("fraction", False, "hidden units whose output does not vary on the probe"),
    "health.inert_fraction": Metric("fraction", False, "hidden units that are dead or constant"),
    "health.sparsity": Metric("fraction", None, "zeros among the hidden outputs on the probe"),
    "health.saturation": Metric("fraction", None, "hidden outputs at a slope at or below dead_slope"),
    "health.worst_layer_dead_fraction": Metric("fraction", False, "dead units in the layer that has most of them"),
    "health.gradient_ratio": Metric("ratio", None, "gradient norm at the first hidden layer's z over the last one's"),
    "health.born_dead_fraction": Metric("fraction", False, "hidden units dead at initialisation"),
    "parameters": Metric("count", None, "trained numbers that this run owns"),
    "seconds": Metric("seconds", None, "wall clock of the run's cohort, divided by its runs"),
}


@dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Args:
        spec: What was run.
        outcome: ``ok``; ``collapsed`` (too many inert units); ``diverged`` (a loss that is no number); ``failed``.
        curves: One row an epoch, as in ``metrics.jsonl``; row 0 is the network at initialisation.
        final: Metric name -> value at the last epoch; None where there is none (a diverged loss).
        health: Totals and one row a layer, at the last epoch.
        environment: Versions, device, threads, command line, git commit.
        timing: ``cohort_runs``, ``cohort_seconds``, ``seconds`` (their quotient), ``training_seconds``
            (of those, the ones in training steps).
        message: Why the outcome is not ``ok``, in words.
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

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json``; the curves lie beside it."""
        return {
            "schema": SCHEMA,
            "outcome": self.outcome,
            "message": self.message,
            "study": self.study,
            "digest": self.spec.digest,
            "spec": self.spec.to_json(),
            "final": dict(self.final),
            "metrics": {name: METRICS[name].to_json() for name in self.final if name in METRICS},
            "health": dict(self.health),
            "environment": dict(self.environment),
            "timing": dict(self.timing),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], curves: Sequence[Mapping[str, Any]] = ()) -> RunRecord:
        """Rebuild a record from ``result.json``.

        Raises:
            ValueError: When it was written by a newer schema, or a part is missing or malformed.
        """
        if content.get("schema") != SCHEMA:
            raise ValueError(f"schema {content.get('schema')!r}; this version reads {SCHEMA}")
        if content.get("outcome") not in OUTCOMES:
            raise ValueError(f"unknown outcome {content.get('outcome')!r}")
        parts = {key: content.get(key, {}) for key in ("final", "health", "environment", "timing")}
        for key, part in parts.items():
            if not isinstance(part, Mapping):
                raise ValueError(f"'{key}' in result.json is no mapping")
        for key in ("final", "timing"):
            _check_numbers(key, parts[key])
        _check_numbers("health", {key: parts["health"].get(key) for key in ("units", "probe_size")})
        return cls(
            spec=RunSpec.model_validate(content.get("spec", {})),
            outcome=content["outcome"],
            curves=tuple(curves),
            message=str(content.get("message", "")),
            study=str(content.get("study", "")),
            **parts,
        )


def _check_numbers(part: str, content: Mapping[str, Any]) -> None:
    for name, value in content.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ValueError(f"'{part}.{name}' in result.json is no number: {value!r}")


@dataclass(frozen=True)
class Started:
    """A worker took up a cohort.

    Args:
        cohort: The runs.
        refused: Why the state that came with it is not used, so that it starts from the beginning; empty if it is.
    """

    cohort: Cohort
    refused: str = ""


@dataclass(frozen=True)
class EpochDone:
    """An epoch of a cohort ended.

    Args:
        cohort: The runs.
        rows: A row of ``metrics.jsonl`` for each of the runs, in their order; None for one that diverged before.
    """

    cohort: Cohort
    rows: Sequence[Mapping[str, Any] | None]


@dataclass(frozen=True)
class Saved:
    """A cohort in training can be taken up again from here.

    Args:
        cohort: The runs.
        state: What ``Cohort.state`` is to be for that.
    """

    cohort: Cohort
    state: bytes = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """A run ended and this is its record."""

    record: RunRecord


@dataclass(frozen=True)
class Failed:
    """A cohort ended with an error.

    Args:
        cohort: The runs that have no result.
        message: One line for the reader.
        traceback: The whole story, for ``error.txt``.
        usage: Whether the user can mend it (then the whole command ends with exit code 2).
    """

    cohort: Cohort
    message: str
    traceback: str
    usage: bool = False


Event = Started | EpochDone | Saved | Finished | Failed
