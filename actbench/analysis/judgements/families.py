"""How many hypotheses a study judges: each counts once for each table in which it is judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actbench.analysis.table.factors import CONTEXT, FlatSpec, matching_value
from actbench.config.hypotheses import Bound, Ordering
from actbench.errors import UsageError


def family_size(claims: Iterable[Ordering | Bound], contexts: Sequence[Sequence[FlatSpec]]) -> int:
    """Return over how many judgements p is adjusted; a claim about a table that is not there yet counts once, too.

    Args:
        claims: The study's hypotheses.
        contexts: For each of its tables, the settings of its dataset and its model.
    """
    return sum(max(1, _tables_of(claim, contexts)) for claim in claims)


def context_settings(one: FlatSpec) -> FlatSpec:
    """Return the settings of a run's dataset and model."""
    return {key: value for key, value in one.items() if key.split(".")[0] in CONTEXT}


def _tables_of(claim: Ordering | Bound, contexts: Sequence[Sequence[FlatSpec]]) -> int:
    """Return in how many tables a claim is judged: in each, unless it names a dataset or a model."""
    named = {key: value for key, value in claim.where.items() if key.split(".")[0] in CONTEXT}
    return sum(all(_is_there(key, given, own) for key, given in named.items()) for own in contexts)


def _is_there(key: str, given: Any, runs: Sequence[FlatSpec]) -> bool:
    try:
        matching_value(key, given, [one.get(key) for one in runs])
    except UsageError:
        return False
    return True
