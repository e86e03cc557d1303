"""Comparisons -> something to read: one file a format, each with a ``plugin`` that follows the ``Report`` protocol."""

from __future__ import annotations

from typing import Protocol, TextIO

from actbench.analysis.table.result import Comparisons


class Report(Protocol):
    """A format. It lays out what ``compare`` found and computes no statistic of its own."""

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write all tables and warnings to ``target``."""
        ...
