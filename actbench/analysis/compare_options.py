"""The options of ``compare``, which describes them: each option of ``actbench compare`` that changes the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.errors import UsageError

if TYPE_CHECKING:
    from actbench.schema.record import RunRecord

DEFAULT_ALPHA = 0.05

DEFAULT_DELTA = 0.1
"""Percentage points: the test set of MNIST has 10,000 images, of which this is ten."""


@dataclass(frozen=True)
class CompareOptions:
    """Hold the keywords of ``compare``, each with its default and described there.

    Raises:
        UsageError: For an alpha or a delta out of range.
    """

    by: Sequence[str] = ()
    baseline: Mapping[str, Any] | None = None
    metric: str | Sequence[str] = ()
    where: Mapping[str, Any] | None = None
    alpha: float = DEFAULT_ALPHA
    delta: float = DEFAULT_DELTA
    fail_if: Sequence[str] = ()
    against: Sequence[RunRecord] | None = None
    tune: Sequence[str] = ()
    methods: bool = False
    reach: float | None = None
    all_pairs: bool = False
    anytime: bool = False
    prediction: bool = False
    chance: bool = False

    def __post_init__(self) -> None:
        """Refuse levels that no interval can have."""
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha should lie between 0 and 1, not {self.alpha:g}")
        if not 0 < self.delta < 100:
            raise UsageError(f"delta should lie between 0 and 100 percentage points, not {self.delta:g}")
