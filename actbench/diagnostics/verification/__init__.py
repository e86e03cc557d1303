"""Reproduce published numbers and closed forms: the expected number, the measured one, and the tolerance.

One file per group of checks, named as the group, with a function ``checks(folders)`` that yields ``Check``s; a file is
imported only when its group is asked for. To add a group, add the file and its name to ``GROUPS``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from actbench.errors import UnknownNameError

GROUPS = ("constants", "silence", "signal", "units", "cohort", "published")

STANDARD_ERRORS = 4
"""A simulation may be this many standard errors off: by chance in 6 of 100,000 draws, and the seeds are fixed."""


@dataclass(frozen=True)
class Folders:
    """The folders that checks read data from.

    Args:
        data: The data folder.
        fashion_mnist: A folder with the four IDX files; None for the folders of Debian and torchvision.
    """

    data: Path
    fashion_mnist: Path | None = None


@dataclass(frozen=True)
class Check:
    """One comparison.

    Args:
        name: The quantity that is compared.
        expected: One or more numbers; of a check between bounds, the two bounds.
        measured: As many, or the one number between the bounds; empty where the check was skipped.
        tolerance: Largest absolute difference, number by number; of a check between bounds, how far beyond them.
        source: The origin of the expectation.
        skipped: The reason for a missing measurement, and the way to get one; empty where there is one.
        between: Whether the expectation is a lower and an upper bound.
    """

    name: str
    expected: tuple[float, ...]
    measured: tuple[float, ...]
    tolerance: float
    source: str
    skipped: str = ""
    between: bool = False

    @property
    def verdict(self) -> Literal["ok", "MISS", "skipped"]:
        """``MISS`` for any difference beyond the tolerance, a NaN included."""
        if self.skipped:
            return "skipped"
        if self.between:
            (low, high), (measured,) = self.expected, self.measured
            return "ok" if low - self.tolerance <= measured <= high + self.tolerance else "MISS"
        pairs = zip(self.expected, self.measured, strict=True)
        return "ok" if all(abs(one - other) <= self.tolerance for one, other in pairs) else "MISS"

    def to_json(self) -> dict[str, Any]:
        """Return the check for JSON; null for a measured number that is not finite."""
        return {
            "check": self.name,
            "expected": list(self.expected),
            "between": self.between,
            "measured": [value if math.isfinite(value) else None for value in self.measured],
            "tolerance": self.tolerance,
            "source": self.source,
            "verdict": self.verdict,
            "skipped": self.skipped,
        }


def run_checks(groups: Iterable[str], folders: Folders) -> Iterator[Check]:
    """Run groups of checks, in the order given; each check as it is done.

    Raises:
        UnknownNameError: For a group that does not exist, before any check runs.
        DatasetError: For a folder of Fashion-MNIST that lacks its files or holds something else, likewise.
    """
    chosen = list(groups)
    for name in chosen:
        if name not in GROUPS:
            raise UnknownNameError("group of checks", name, GROUPS)
    if folders.fashion_mnist is not None and "published" in chosen:
        _load("published").training_images(folders.fashion_mnist)
    return (check for name in chosen for check in _load(name).checks(folders))


def share_check(name: str, expected: float, hits: Sequence[bool] | Any, source: str) -> Check:
    """Return a check of a probability against the share of independent trials that hit, within 4 standard errors.

    Args:
        name: The quantity that is compared.
        expected: The probability p; the standard error of the share is √(p(1−p)/trials).
        hits: One truth value a trial.
        source: Of the expectation.
    """
    trials = len(hits)
    tolerance = STANDARD_ERRORS * math.sqrt(expected * (1 - expected) / trials)
    return Check(name, (expected,), (float(sum(hits)) / trials,), tolerance, source)


def bounds_check(name: str, low: float, high: float, hits: Sequence[bool] | Any, source: str) -> Check:
    """Return a check that a probability lies between two bounds, of the share that hit, within 4 standard errors.

    Arguments are those of ``share_check``, with a lower and an upper bound of p in place of p; the standard error is
    that of the share itself.
    """
    trials = len(hits)
    share = float(sum(hits)) / trials
    tolerance = STANDARD_ERRORS * math.sqrt(share * (1 - share) / trials)
    return Check(name, (low, high), (share,), tolerance, source, between=True)


def mean_check(name: str, expected: float, measured: Sequence[float], source: str) -> Check:
    """Return a check of an expectation against the mean of independent measurements, within 4 standard errors."""
    tolerance = STANDARD_ERRORS * stdev(measured) / math.sqrt(len(measured))
    return Check(name, (expected,), (fmean(measured),), tolerance, source)


def _load(group: str) -> Any:
    return importlib.import_module(f"actbench.diagnostics.verification.{group}")
