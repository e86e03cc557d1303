"""What a comparison has only when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass


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
