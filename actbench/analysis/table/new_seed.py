"""What a new seed may bring: the chance that a row beats its baseline, and by more than does matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actbench.analysis.statistics import Chance, chance_of_more, chances_within
from actbench.schema.metrics import METRICS, is_bounded


@dataclass(frozen=True)
class NewSeed:
    """The chances of a row against its baseline on a new seed, counted on the paired seeds.

    Args:
        better: The chance that the row is the better one, or the higher one where neither direction is better; equal
            ones count half.
        delta: The largest difference that does not matter; None for a metric that has none.
        within: The chances that the row is worse by more than delta, the same within it, and better by more; None
            without a delta.
    """

    better: Chance
    delta: float | None = None
    within: tuple[Chance, Chance, Chance] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the chances as in the JSON."""
        found: dict[str, Any] = {**_ends(self.better), "within_delta": None}
        if self.within is not None:
            parts = zip(("worse", "same", "better"), self.within, strict=True)
            found["within_delta"] = {"delta": self.delta, **{name: _ends(one) for name, one in parts}}
        return found


def new_seed(values: Sequence[float], metric: str, alpha: float, delta: float) -> NewSeed | None:
    """Return the chances on a new seed; None for fewer than three pairs.

    Args:
        values: The paired differences, row − baseline.
        metric: A name of METRICS.
        alpha: One minus the coverage of each interval.
        delta: The largest difference that does not matter, of metrics that are fractions but no health shares.
    """
    sign = -1.0 if METRICS[metric].higher_is_better is False else 1.0
    ahead = [sign * value for value in values]
    better = chance_of_more([float(value > 0) - float(value < 0) for value in ahead], alpha)  # of any size
    if better is None or METRICS[metric].unit != "fraction" or is_bounded(metric):
        return None if better is None else NewSeed(better)
    return NewSeed(better, delta, chances_within(ahead, delta, alpha))


def _ends(chance: Chance) -> Mapping[str, float]:
    return {"share": chance.share, "low": chance.low, "high": chance.high}
