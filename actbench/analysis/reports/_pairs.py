"""All pairs of rows as columns of text, and the words that keep them from being taken for findings."""

from __future__ import annotations

from collections.abc import Sequence

from actbench.analysis.judgements.formatting import p_value, unit_of_difference
from actbench.analysis.reports import _text
from actbench.analysis.reports._layout import Column
from actbench.analysis.table.extras import Pairs, RowPair
from actbench.analysis.table.factors import named
from actbench.analysis.table.result import Contrast

MOST_PAIRS = 20
"""More lines than these are not read; CSV and JSON have all."""


def title(pairs: Pairs) -> str:
    """What a table of pairs is headed with."""
    return f"All pairs in {pairs.metric} (exploratory)"


def caption(pairs: Pairs) -> str:
    """What the figures mean and what they do not."""
    return (
        "exploratory, to be confirmed with new seeds: Δ = row − against, paired by seed; adjusted p: Benjamini–Hochberg"
        f" over all pairs of the table ({pairs.family:,}), which bounds the share of false findings, not their chance"
    )


def columns(pairs: Pairs) -> list[Column]:
    """The pairs with the smallest p, as a table."""
    shown = pairs.pairs[:MOST_PAIRS]
    return [
        Column("row", [named(one.left) for one in shown], numeric=False),
        Column("against", [named(one.right) for one in shown], numeric=False),
        Column(f"Δ ({unit_of_difference(pairs.metric)})", [_difference(pairs.metric, one) for one in shown]),
        Column("p", [_p(one.difference.p) for one in shown]),
        Column("adjusted p", [_p(one.p_adjusted) for one in shown]),
        Column("pairs", [str(one.difference.n_pairs) for one in shown]),
    ]


def remainder(pairs: Pairs) -> Sequence[str]:
    """How many pairs the table leaves out, as one line; none when it has all."""
    left = len(pairs.pairs) - MOST_PAIRS
    return [f"… and {left:,} more (--format csv or json for all)"] if left > 0 else []


def _difference(metric: str, one: RowPair) -> str:
    return _text.difference(metric, Contrast(one.difference, one.p_adjusted, significant=False))


def _p(p: float | None) -> str:
    return _text.NOTHING if p is None else p_value(p).removeprefix("= ")
