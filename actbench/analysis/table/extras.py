"""What a comparison has only when it is asked for: the methods in prose, speed of convergence, all pairs of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.analysis.statistics import Difference

if TYPE_CHECKING:
    from actbench.analysis.table.factors import Value

REACH_METRIC = "val.accuracy"
"""How fast a run learns is judged on validation examples, the only ones that are looked at after every epoch."""


def difference_numbers(found: Difference, p_adjusted: float | None) -> dict[str, Any]:
    """What the JSON says of any paired difference."""
    return {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "p_adjusted": p_adjusted,
        "n_pairs": found.n_pairs,
        "wins": found.wins,
    }


@dataclass(frozen=True)
class CompareOptions:
    """What to add to every table.

    Args:
        methods: A paragraph on how its numbers came about.
        reach: How many epochs the runs need to this validation accuracy, 0 … 1; needs records with curves.
        all_pairs: The difference of every two rows in the leading metric.
    """

    methods: bool = False
    reach: float | None = None
    all_pairs: bool = False


@dataclass(frozen=True)
class Reach:
    """How fast one row learns.

    Args:
        level: Validation accuracy to be reached, a fraction.
        epochs: Mean number of epochs over the seeds that reached it; None when none did.
        reached: Number of those seeds.
        n: Seeds that could have reached it: all that have a curve.
    """

    level: float
    epochs: float | None
    reached: int
    n: int

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON."""
        return {
            "metric": REACH_METRIC,
            "level": self.level,
            "epochs": self.epochs,
            "reached": self.reached,
            "n": self.n,
        }


@dataclass(frozen=True)
class RowPair:
    """One pair of rows.

    Args:
        left: Factors of the row with the better mean.
        right: Factors of the other one.
        difference: left − right, paired by seed.
        p_adjusted: Benjamini and Hochberg's, over all pairs of the table, those of hidden rows included; None where
            there is no p.
    """

    left: Mapping[str, Value]
    right: Mapping[str, Value]
    difference: Difference
    p_adjusted: float | None

    def numbers(self) -> dict[str, Any]:
        """All but the factors, as in the JSON."""
        return difference_numbers(self.difference, self.p_adjusted)


@dataclass(frozen=True)
class Pairs:
    """Every pair of rows in one metric: to explore, not to conclude.

    Args:
        metric: The leading metric.
        pairs: Those of which both rows are shown, smallest p first.
        family: Number of pairs that are adjusted together, those of hidden rows included.
    """

    metric: str
    pairs: tuple[RowPair, ...]
    family: int

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON."""
        return {
            "exploratory": True,
            "metric": self.metric,
            "adjustment": "Benjamini-Hochberg",
            "family": self.family,
            "pairs": [{"left": dict(one.left), "right": dict(one.right), **one.numbers()} for one in self.pairs],
        }
