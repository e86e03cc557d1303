"""The record of a finished run, as ``result.json`` holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from actbench.schema.metrics import METRICS
from actbench.schema.spec import RunSpec

SCHEMA = 1
"""Version of ``result.json``; a reader refuses newer ones."""

MAX_INITIAL_EXAMPLES = 2000
"""Training examples that epoch 0 is evaluated on: the first in a fixed random order.

All 54,000 of MNIST took a fifth of a one-epoch study, and these give the loss of an untrained network to a percent.
"""

Outcome = Literal["ok", "collapsed", "diverged", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "collapsed", "diverged", "failed")


@dataclass(frozen=True)
class RunRecord:
    """Hold everything that a finished run reports.

    Args:
        spec: The run.
        outcome: ``ok``; ``collapsed`` (more inert units than ``health.collapse_at``); ``diverged`` (the loss is NaN or
            infinite); ``failed`` (an error, whose traceback lies in ``error.txt``).
        curves: One row per epoch, as in ``metrics.jsonl``; row 0 is the network at initialisation.
        final: Name of a metric -> value at the last epoch, in the unit that ``METRICS`` gives; None where there is
            none (a diverged loss).
        health: Totals and one row per layer, at the last epoch; units are counted.
        environment: Versions, device, threads, command line, git commit.
        timing: ``cohort_runs``, ``cohort_seconds`` (wall clock), ``seconds`` (their quotient), ``training_seconds``
            (the part of ``seconds`` that training steps took).
        message: Why the outcome is not ``ok``, in words.
        study: Name of the study that the run was trained for.

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

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``result.json``; the curves lie beside it, in ``metrics.jsonl``."""
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
            raise ValueError(f"'{part}.{name}' in result.json is not a number: {value!r}")
