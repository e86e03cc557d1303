"""What a finished run leaves behind, what a running one reports, and what each metric means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from actbench.schema.metrics import METRICS
from actbench.schema.spec import RunSpec

SCHEMA = 1
"""Version of ``result.json``; a reader refuses newer ones."""

MAX_INITIAL_EXAMPLES = 2000
"""Training examples that epoch 0 is evaluated on; they lie in a fixed random order. All 54,000 of MNIST took a fifth of
a one-epoch study, and the loss of a network that has learned nothing is known to a percent from these."""

Outcome = Literal["ok", "collapsed", "diverged", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "collapsed", "diverged", "failed")


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
