"""The metrics that a run reports: unit, direction and meaning of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from actbench.schema.health_measures import HEALTH_MEASURES


@dataclass(frozen=True)
class Metric:
    """Describe a number that a run reports.

    Args:
        unit: ``fraction`` (stored 0 … 1, shown as percent), ``nats``, ``squared`` (in the square of the targets' unit),
            ``seconds``, ``epochs``, ``count`` or ``ratio``.
        higher_is_better: The direction that is better; None where neither is.
        text: The meaning, one line.
        bounds: The smallest and the largest number that there can be, where it is not what the unit says.
    """

    unit: str
    higher_is_better: bool | None
    text: str
    bounds: tuple[float, float] | None = None

    def scale(self, *, differences: int = 0) -> tuple[float, float]:
        """Return the smallest and the largest possible number: ``bounds``, or 0 … 1 for a fraction, else 0 … ∞.

        Args:
            differences: 0 for the metric itself, 1 for the difference of two values, 2 for the difference of two
                differences; these lie between −2ᵏ⁻¹ and 2ᵏ⁻¹ for a fraction and have no bound otherwise.
        """
        if differences == 0 and self.bounds is not None:
            return self.bounds
        if differences == 0:
            return 0.0, 1.0 if self.unit == "fraction" else inf
        most = 2.0 ** (differences - 1) if self.unit == "fraction" else inf
        return -most, most

    def beyond_scale(self, low: float | None, high: float | None, *, differences: int = 0) -> list[str]:
        """Return which ends of an interval lie where the metric can't be: ``low``, ``high``, both or none.

        Student's interval knows no scale: of few or very different values it goes below 0 or beyond 100 %.

        Args:
            low: Lower end; None where there is no interval.
            high: Upper end.
            differences: As in ``scale``.

        >>> METRICS["test.accuracy"].beyond_scale(0.0872, 1.1628), METRICS["test.loss"].beyond_scale(0.1, 0.3)
        (['high'], [])
        """
        least, most = self.scale(differences=differences)
        ends = {"low": low is not None and low < least, "high": high is not None and high > most}
        return [name for name, is_beyond in ends.items() if is_beyond]

    def to_json(self) -> dict[str, Any]:
        """Return the part that ``result.json`` repeats, so that the file can be read without actbench."""
        return {"unit": self.unit, "higher_is_better": self.higher_is_better}


METRICS: dict[str, Metric] = {
    "test.accuracy": Metric("fraction", True, "correct test examples, last or selected epoch"),
    "test.loss": Metric("nats", False, "mean cross-entropy on the test set, last or selected epoch"),
    "val.accuracy": Metric("fraction", True, "correct validation examples, last or selected epoch"),
    "val.loss": Metric("nats", False, "mean cross-entropy on validation examples, last or selected epoch"),
    "train.accuracy": Metric(
        "fraction", True, "correct training examples, averaged over the last or selected epoch's steps"
    ),
    "train.loss": Metric("nats", False, "mean cross-entropy over the last or selected epoch's steps"),
    "test.mse": Metric("squared", False, "mean squared error on the test set, last or selected epoch"),
    "test.r2": Metric(
        "ratio", True, "1 − mean squared error / variance of the test targets, last or selected epoch", (-inf, 1.0)
    ),
    "val.mse": Metric("squared", False, "mean squared error on validation examples, last or selected epoch"),
    "val.r2": Metric(
        "ratio", True, "1 − mean squared error / variance of validation targets, last or selected epoch", (-inf, 1.0)
    ),
    "train.mse": Metric("squared", False, "mean squared error over the last or selected epoch's steps"),
    **{
        f"health.{measure.total(name)}": Metric("fraction", measure.higher_is_better, measure.metric)
        for name, measure in HEALTH_MEASURES.items()
        if measure.metric
    },
    "health.worst_layer_dead_fraction": Metric("fraction", False, "dead units in the layer that has most of them"),
    "health.gradient_ratio": Metric("ratio", None, "gradient norm at the first hidden layer's z over the last one's"),
    "health.born_dead_fraction": Metric("fraction", False, "hidden units dead at initialisation"),
    "selected_epoch": Metric(
        "epochs", None, "epoch whose weights the run reports; only with training.select: best or training.patience"
    ),
    "epochs_trained": Metric(
        "epochs", None, "epochs until the run ended; only with training.select: best or training.patience"
    ),
    "parameters": Metric("count", None, "trainable parameters of the run"),
    "seconds": Metric("seconds", None, "wall clock of the run's cohort, divided by its runs"),
}
"""Name -> metric, for every number in a record's ``final``: the names that ``compare --metric`` and ``expect`` take.

>>> METRICS["test.loss"].unit, METRICS["test.loss"].higher_is_better
('nats', False)
"""


OUTCOME_SHARES: dict[str, Metric] = {
    "ok": Metric("fraction", True, "runs that end well"),
    "collapsed": Metric("fraction", False, "runs that end with more inert units than health.collapse_at"),
    "diverged": Metric("fraction", False, "runs that end with a loss or a parameter that is not finite"),
    "failed": Metric("fraction", False, "runs that end with an error"),
}
"""Outcome -> the share of runs that end so, which ``expect`` judges like a metric: each run has 1 or 0."""


def described(name: str) -> Metric:
    """Return a metric, or the share of runs with an outcome.

    >>> described("diverged").unit
    'fraction'
    """
    return METRICS[name] if name in METRICS else OUTCOME_SHARES[name]


def monitored_metric(values: Mapping[str, Any], monitor: str) -> str:
    """Return the metric for which ``training.monitor`` stands in a run: the error where targets are numbers.

    >>> monitored_metric({"val.loss": 0.3, "val.accuracy": 0.9}, "val.accuracy")
    'val.accuracy'
    >>> monitored_metric({"val.mse": 0.3, "val.r2": 0.9}, "val.accuracy")
    'val.mse'
    """
    return monitor if monitor in values or "val.mse" not in values else "val.mse"


def is_bounded(metric: str) -> bool:
    """Return whether a metric is a bounded share with many zeros, whose mean has a range but no Student-t interval."""
    return metric in OUTCOME_SHARES or (metric.startswith("health.") and METRICS[metric].unit == "fraction")
