"""Hold the measured costs of activations and derive intervals, ratios and verdicts; without torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Pass = Literal["forward", "forward_backward"]
PASSES: tuple[Pass, ...] = ("forward", "forward_backward")

TITLES: Mapping[Pass, str] = {"forward": "forward", "forward_backward": "forward+backward"}

WRITTEN, RELU = "identity (written)", "relu"
REFERENCES: Mapping[str, str] = {"identity": WRITTEN, "relu": RELU}
"""The references that costs are divided by. ``identity`` itself touches no memory, so that any ratio to it would be
huge and mean nothing; z·1 reads and writes every element once in each direction: a pass over memory and hardly any
arithmetic."""

CONFIDENCE = 0.95
SMALLEST_SHOWN = 0.01


@dataclass(frozen=True)
class Size:
    """The tensors that an activation is measured on.

    Args:
        name: ``cache`` or ``memory``.
        batch: Examples.
        units: Units of the layer.
        layers: Layers that one way back goes through. Starting it costs as much as many small layers do, and a network
            pays that once, not once a layer.
    """

    name: str
    batch: int
    units: int
    layers: int

    @property
    def elements(self) -> int:
        """Numbers in one tensor; each has 4 bytes."""
        return self.batch * self.units


SIZES = (Size("cache", 128, 256, layers=16), Size("memory", 32_768, 256, layers=1))
"""128 KiB: a hidden layer of the standard MLP, which fits a core's cache; and 32 MiB, so that the bytes of one call
exceed the caches of all but a few processors."""


@dataclass(frozen=True)
class MedianInterval:
    """A median over rounds, and the two of the sorted rounds between which the true one lies with 95 %."""

    median: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return the figures for JSON."""
        return {"median": self.median, "low": self.low, "high": self.high}


def median_interval(values: Sequence[float]) -> MedianInterval:
    """Return the median with its order-statistic interval, d-th smallest to d-th largest; d as in ``interval_rank``.

    >>> median_interval([3.0, 1.0, 2.0, 5.0, 4.0])
    MedianInterval(median=3.0, low=1.0, high=5.0)
    """
    ordered, d = sorted(values), interval_rank(len(values))
    return MedianInterval(statistics.median(ordered), ordered[d - 1], ordered[-d])


def interval_rank(n: int) -> int:
    """Return the largest d for which the interval still holds the true median with 95 %; 1 where none does.

    >>> interval_rank(8), interval_rank(9)
    (1, 2)
    """
    return max((d for d in range(1, n // 2 + 1) if coverage(n, d) >= CONFIDENCE), default=1)


def coverage(n: int, d: int) -> float:
    """Return 1 − 2·P(Binomial(n, ½) < d), the probability that the median lies within the interval.

    Of n independent values of any continuous distribution, from the d-th smallest to the d-th largest.

    Reference: Thompson (1936), On confidence ranges for the median, Annals of Mathematical Statistics 7.

    >>> coverage(5, 1), round(coverage(9, 2), 3)
    (0.9375, 0.961)
    """
    return 1 - 2 * sum(math.comb(n, k) for k in range(d)) / 2.0**n


@dataclass(frozen=True)
class CostRow:
    """One activation at one size.

    Args:
        activation: Its label.
        size: The tensors.
        times: Nanoseconds per element, one per round.
        saved_bytes: Bytes per element that autograd keeps for the way back; learned parameters don't count.
        kept_bytes: The same and the output, which the next layer keeps: each storage once.
    """

    activation: str
    size: Size
    times: Mapping[Pass, tuple[float, ...]]
    saved_bytes: float
    kept_bytes: float


@dataclass(frozen=True)
class Costs:
    """The costs of several activations.

    Args:
        rows: By size, then in the order asked for.
        rounds: How often each was measured.
        machine: Processor, versions, device, threads, and the clock that was read.
    """

    rows: tuple[CostRow, ...]
    rounds: int
    machine: Mapping[str, Any]

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes of the rows, each once."""
        return tuple(dict.fromkeys(row.size for row in self.rows))

    def ratio(self, row: CostRow, reference: str, measured: Pass) -> MedianInterval:
        """Return a row's time over that of a reference at the same size (a value of ``REFERENCES``), round by round."""
        (other,) = (one for one in self.rows if one.size == row.size and one.activation == reference)
        return median_interval([a / b for a, b in zip(row.times[measured], other.times[measured], strict=True)])

    def to_json(self) -> dict[str, Any]:
        """Return all of it for JSON; times in nanoseconds per element."""
        return {
            "schema": 1,
            "machine": dict(self.machine),
            "rounds": self.rounds,
            "coverage": coverage(self.rounds, interval_rank(self.rounds)),
            "references": dict(REFERENCES),
            "sizes": [{"name": size.name, "elements": size.elements, "layers": size.layers} for size in self.sizes],
            "rows": [self._row(row) for row in self.rows],
            "verdicts": verdicts(self),
        }

    def _row(self, row: CostRow) -> dict[str, Any]:
        passes: dict[str, Any] = {
            measured: {
                **median_interval(row.times[measured]).to_json(),
                **{f"ratio_to_{key}": self.ratio(row, name, measured).to_json() for key, name in REFERENCES.items()},
                "values": list(row.times[measured]),
            }
            for measured in PASSES
        }
        memory = {"bytes_per_element": row.kept_bytes, "saved_bytes_per_element": row.saved_bytes}
        return {"activation": row.activation, "size": row.size.name, **passes, **memory}


def verdicts(costs: Costs) -> list[str]:
    """Return, for each pass and size, a sentence on the activations that cost more than ReLU, less, or neither.

    Dearest first. An activation is not told apart from ReLU where the interval of the ratio holds 1.
    """
    return [_verdict(costs, measured, size) for measured in PASSES for size in costs.sizes]


def _verdict(costs: Costs, measured: Pass, size: Size) -> str:
    rows = [row for row in costs.rows if row.size == size and row.activation != RELU]
    ratios = {row.activation: costs.ratio(row, RELU, measured) for row in rows}
    groups: dict[str, list[str]] = {"costs more": [], "not told apart": [], "costs less": []}
    for label in sorted(ratios, key=lambda label: -ratios[label].median):
        found = ratios[label]
        group = "costs more" if found.low > 1 else "costs less" if found.high < 1 else "not told apart"
        groups[group].append(f"{label} {with_interval(found)}")
    parts = [f"{group}: {', '.join(members)}" for group, members in groups.items() if members]
    return f"{TITLES[measured]} in {size.name}, × relu: {'; '.join(parts)}"


def with_interval(found: MedianInterval) -> str:
    """Return a median with its interval, three digits each; more where these would make it 1.

    >>> with_interval(MedianInterval(3.1234, 2.9, 3.3))
    '3.12 [2.90, 3.30]'
    >>> with_interval(MedianInterval(1.0, 0.9981, 1.0002))
    '1.00 [0.998, 1.0002]'
    >>> with_interval(MedianInterval(0.002, 0.001, 1234.0))
    '<0.01 [<0.01, 1,234]'
    """
    return f"{digits(found.median)} [{digits(found.low)}, {digits(found.high)}]"


def digits(value: float) -> str:
    """Return a positive number with three digits, never in powers of ten.

    1 is the border between less and more than a reference, so a number beside it has the first digit that differs.
    """
    if value < SMALLEST_SHOWN:
        return f"<{SMALLEST_SHOWN:g}"
    decimals = max(0, 2 - max(0, math.floor(math.log10(value))))
    if value != 1 and f"{value:.2f}" == "1.00":
        decimals = -math.floor(math.log10(abs(value - 1)))
    return f"{value:,.{decimals}f}"
