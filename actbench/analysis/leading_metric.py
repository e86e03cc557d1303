"""Choose the metric by which runs are judged where nobody has named one: the accuracy, where there are classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ACCURACY, ERROR, EXPLAINED = "test.accuracy", "test.mse", "test.r2"


def default_metric(finals: Iterable[Mapping[str, Any]]) -> str:
    """Return ``test.accuracy``; or ``test.mse`` where runs have that alone, since their targets are numbers.

    Args:
        finals: The runs' final metrics; a diverged run has their names without values, a failed one has none.

    >>> default_metric([{"test.mse": 0.1, "test.accuracy": 0.9}]), default_metric([{}, {"test.mse": None}])
    ('test.accuracy', 'test.mse')
    """
    return ERROR if learns_numbers(finals) else ACCURACY


def learns_numbers(finals: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether the targets of runs are numbers, not classes: they have a mean squared error and no accuracy."""
    known = [final for final in finals if ERROR in final or ACCURACY in final]
    return bool(known) and not any(ACCURACY in final for final in known)
