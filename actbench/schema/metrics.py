"""The metrics that a run reports: unit, direction and meaning of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actbench.schema.health_measures import HEALTH_MEASURES


@dataclass(frozen=True)
class Metric:
    """Describe a number that a run reports.

    Args:
        unit: ``fraction`` (stored 0 … 1, shown as percent), ``nats``, ``seconds``, ``count`` or ``ratio``.
        higher_is_better: The direction that is better; None where neither is.
        text: The meaning, one line.
    """

    unit: str
    higher_is_better: bool | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return the part that ``result.json`` repeats, so that the file can be read without actbench."""
        return {"unit": self.unit, "higher_is_better": self.higher_is_better}


METRICS: dict[str, Metric] = {
    "test.accuracy": Metric("fraction", True, "correct test examples, last epoch"),
    "test.loss": Metric("nats", False, "mean cross-entropy on the test set, last epoch"),
    "val.accuracy": Metric("fraction", True, "correct validation examples, last epoch"),
    "val.loss": Metric("nats", False, "mean cross-entropy on validation examples, last epoch"),
    "train.accuracy": Metric("fraction", True, "correct training examples, averaged over the last epoch's steps"),
    "train.loss": Metric("nats", False, "mean cross-entropy over the last epoch's steps"),
    **{
        f"health.{measure.total(name)}": Metric("fraction", measure.higher_is_better, measure.metric)
        for name, measure in HEALTH_MEASURES.items()
        if measure.metric
    },
    "health.worst_layer_dead_fraction": Metric("fraction", False, "dead units in the layer that has most of them"),
    "health.gradient_ratio": Metric("ratio", None, "gradient norm at the first hidden layer's z over the last one's"),
    "health.born_dead_fraction": Metric("fraction", False, "hidden units dead at initialisation"),
    "parameters": Metric("count", None, "trainable parameters of the run"),
    "seconds": Metric("seconds", None, "wall clock of the run's cohort, divided by its runs"),
}
"""Name -> metric, for every number in a record's ``final``: the names that ``compare --metric`` and ``expect`` take.

>>> METRICS["test.loss"].unit, METRICS["test.loss"].higher_is_better
('nats', False)
"""
