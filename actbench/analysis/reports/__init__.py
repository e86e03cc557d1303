"""Comparisons as text: one file per format, each with a ``plugin`` that follows the ``Report`` protocol.

``_cells`` makes a cell of each number, ``_columns`` the columns of a table, ``_sentences`` captions and lists; the
formats that people read render these. CSV and JSON write the result's own numbers.
"""

from __future__ import annotations

from typing import Protocol, TextIO

from actbench.analysis.table.result import Comparisons


class Report(Protocol):
    """A format: it lays out the result of ``compare`` and computes no statistic of its own."""

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write all tables and warnings to ``target``."""
        ...
