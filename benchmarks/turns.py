"""Taking turns, and what it tells: the order of measurements, ratios to the neighbours in time, their spread.

Machines drift: they heat up, and others use them too. So actbench is measured again and again between its peers, and
each peer is divided by the mean of the actbench measurements just before and just after it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing.

    Args:
        median: The middle one.
        low: The smallest.
        high: The largest.
        n: How many.
    """

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values), len(values))


def order(subject: str, peers: Sequence[str], *, rounds: int, together: int) -> list[str]:
    """Who is measured when: the subject first, last, and between any ``together`` peers.

    Every other round takes the peers backwards, so that none is always late in a round.

    >>> order("A", ["b", "c"], rounds=2, together=1)
    ['A', 'b', 'A', 'c', 'A', 'c', 'A', 'b', 'A']

    Raises:
        ValueError: When ``together`` is below 1.
    """
    if together < 1:
        raise ValueError(f"at least one peer stands between two measurements of {subject}, not {together}")
    found = [subject]
    for index in range(rounds):
        turn = list(peers) if index % 2 == 0 else list(reversed(peers))
        for start in range(0, len(turn), together):
            found += [*turn[start : start + together], subject]
    return found


def ratios(subject: str, measured: Sequence[tuple[str, float]]) -> Mapping[str, list[float]]:
    """Each peer's times over the mean of the subject's before and after it, in the order of measurement.

    Args:
        subject: Who the others are compared with.
        measured: (name, seconds) in the order of measurement.

    >>> ratios("A", [("A", 1.0), ("b", 6.0), ("A", 2.0)])
    {'b': [4.0]}

    Raises:
        ValueError: When the first or the last measurement is not the subject's.
    """
    own = [place for place, (name, _) in enumerate(measured) if name == subject]
    if not own or own[0] != 0 or own[-1] != len(measured) - 1:
        raise ValueError(f"the first and the last measurement must be of {subject}")
    found: dict[str, list[float]] = {}
    for place, (name, seconds) in enumerate(measured):
        if name != subject:
            before = max(one for one in own if one < place)
            after = min(one for one in own if one > place)
            found.setdefault(name, []).append(2 * seconds / (measured[before][1] + measured[after][1]))
    return found


def disagreement(own: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Other's mean accuracy less one's own over the runs that both have trained; None when they share none."""
    shared = sorted(own.keys() & other.keys())
    if not shared:
        return None
    return statistics.fmean(other[run] for run in shared) - statistics.fmean(own[run] for run in shared)
