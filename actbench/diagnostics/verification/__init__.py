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
        expected: One or more numbers.
        measured: As many; empty where the check was skipped.
        tolerance: Largest absolute difference, number by number.
        source: The origin of the expectation.
        skipped: The reason for a missing measurement, and the way to get one; empty where there is one.
    """

    name: str
    expected: tuple[float, ...]
    measured: tuple[float, ...]
    tolerance: float
    source: str
    skipped: str = ""

    @property
    def verdict(self) -> Literal["ok", "MISS", "skipped"]:
        """``MISS`` for any difference beyond the tolerance, a NaN included."""
        if self.skipped:
            return "skipped"
        pairs = zip(self.expected, self.measured, strict=True)
        return "ok" if all(abs(one - other) <= self.tolerance for one, other in pairs) else "MISS"

    def to_json(self) -> dict[str, Any]:
        """Return the check for JSON; null for a measured number that is not finite."""
        return {
            "check": self.name,
            "expected": list(self.expected),
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
    """
    chosen = list(groups)
    for name in chosen:
        if name not in GROUPS:
            raise UnknownNameError("group of checks", name, GROUPS)
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


def _load(group: str) -> Any:
    return importlib.import_module(f"actbench.diagnostics.verification.{group}")
