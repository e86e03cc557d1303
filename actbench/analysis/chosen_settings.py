"""The settings of a run that a reader has to know: the main ones, and the others where they leave their defaults."""

from __future__ import annotations

from functools import cache

from actbench.analysis.table.factors import FlatSpec, flat_spec, show
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec

MAIN = ("dataset", "model", "activation", "weight_init", "bias_init")


def chosen_settings(record: RunRecord) -> dict[str, str]:
    """Return the main settings, and the others where they differ from the defaults; the seed last."""
    usual, own = _defaults(), flat_spec(record.spec)
    chosen = {
        key: show(value)
        for key, value in own.items()
        if key in MAIN or (usual.get(key) != value and not _is_option(key, own))
    }
    return {**chosen, "seed": str(record.spec.seed)}


@cache
def _defaults() -> FlatSpec:
    return flat_spec(RunSpec())


def _is_option(key: str, own: FlatSpec) -> bool:
    """Return whether a key is an option of a component: the component's label shows it already."""
    return key.rpartition(".")[0] in own
