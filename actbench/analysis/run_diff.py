"""Two runs side by side: settings that differ, final metrics, and the epoch at which their curves part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actbench.analysis.table.factors import flat_spec
from actbench.schema.health_measures import HEALTH_MEASURES
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord

RELATIVE_ROUNDING = 1e-6
"""A larger relative difference of two losses is more than rounding: float32 sums in another order stay below it."""

COMPARED_CURVES = ("train.loss", "train.mse", "val.loss", "val.mse")
"""Metrics that are followed epoch by epoch: a loss moves with every weight, an accuracy only when a class changes."""

LAYER_FIELDS = ("units", *(name for name, measure in HEALTH_MEASURES.items() if measure.metric))
"""Health fields that are set side by side, layer by layer, at the epoch at which the curves part."""

ValuePair = tuple[Any, Any]
"""The first run's value and the second's; None where a run has none."""

NEITHER: ValuePair = (None, None)


@dataclass(frozen=True)
class Divergence:
    """Where the curves of two runs part.

    Args:
        compared: Epochs that both runs have a row for.
        bits: The first of them at which a loss differs at all; None when none does.
        epoch: The first at which one differs by more than rounding; None when none does.
        losses: Curve -> the two values at ``epoch``; empty without one.
        layers: Layer -> field -> the two values at ``epoch``; empty without one.
        curves: Those of ``COMPARED_CURVES`` of which either run has a number there; one without validation has no
            ``val.loss``.
    """

    compared: tuple[int, ...]
    bits: int | None
    epoch: int | None
    losses: Mapping[str, ValuePair]
    layers: Mapping[str, Mapping[str, ValuePair]]
    curves: tuple[str, ...]


@dataclass(frozen=True)
class Differences:
    """Everything in which two runs differ, and their final metrics.

    Args:
        runs: ``study / run id`` of each.
        outcomes: The outcome of each.
        settings: Dotted key -> the two values, for keys that differ; a component by its label.
        environment: Entry -> the two values, for entries that differ.
        final: Metric -> the two final values, equal ones included.
        divergence: Where the curves part.
        lacking_curves: Whether each has no curve, though it has a result.
    """

    runs: tuple[str, str]
    outcomes: tuple[str, str]
    settings: Mapping[str, ValuePair]
    environment: Mapping[str, ValuePair]
    final: Mapping[str, ValuePair]
    divergence: Divergence
    lacking_curves: tuple[bool, bool] = (False, False)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the JSON: pairs become lists, and each final metric has the second − the first."""
        divergence = self.divergence
        return {
            "runs": list(self.runs),
            "outcomes": list(self.outcomes),
            "settings": _lists(self.settings),
            "environment": _lists(self.environment),
            "final": {
                name: {"values": list(pair), "difference": difference(pair)} for name, pair in self.final.items()
            },
            "curves": {
                "epochs_compared": list(divergence.compared),
                "curves_compared": list(divergence.curves),
                "first_epoch_with_other_bits": divergence.bits,
                "parting_epoch": divergence.epoch,
                "relative_rounding": RELATIVE_ROUNDING,
                "losses": _lists(divergence.losses),
                "layers": {name: _lists(fields) for name, fields in divergence.layers.items()},
            },
        }


def differences(first: RunRecord, second: RunRecord) -> Differences:
    """Set two runs side by side.

    Args:
        first: A record with its curve, as ``find_run`` returns it.
        second: Likewise; every difference is ``second − first``.
    """
    return Differences(
        runs=(f"{first.study} / {first.run_id}", f"{second.study} / {second.run_id}"),
        outcomes=(first.outcome, second.outcome),
        settings=_settings(first, second),
        environment=_unequal(first.environment, second.environment),
        final={name: pair for name, pair in _pairs(first.final, second.final).items() if name in METRICS},
        divergence=find_divergence(first.curves, second.curves),
        lacking_curves=(first.lacks_curve, second.lacks_curve),
    )


def difference(pair: ValuePair) -> float | None:
    """Return the second value minus the first; None unless both are there.

    >>> difference((0.5, 0.75)), difference((0.5, None))
    (0.25, None)
    """
    first, second = pair
    return None if first is None or second is None else float(second - first)


def find_divergence(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> Divergence:
    """Find where two curves part, over the epochs that both have.

    Two losses have parted when |a − b| > 1e-6 · max(|a|, |b|), or when only one of them is a number.

    Args:
        first: The rows of one run's ``metrics.jsonl``.
        second: The rows of the other run's.
    """
    rows, others = ({row["epoch"]: row for row in curve} for curve in (first, second))
    both = tuple(sorted(rows.keys() & others.keys()))

    def at(epoch: int) -> dict[str, ValuePair]:
        row, other = rows[epoch], others[epoch]
        return {name: (row.get(name), other.get(name)) for name in COMPARED_CURVES if name in row or name in other}

    bits = next((epoch for epoch in both if any(a != b for a, b in at(epoch).values())), None)
    epoch = next((epoch for epoch in both if any(_beyond_rounding(*pair) for pair in at(epoch).values())), None)
    found = [at(epoch) for epoch in both]
    there = tuple(name for name in COMPARED_CURVES if any(one.get(name, NEITHER) != NEITHER for one in found))
    if epoch is None:
        return Divergence(both, bits, None, {}, {}, there)
    return Divergence(both, bits, epoch, at(epoch), _layers(rows[epoch], others[epoch]), there)


def _beyond_rounding(a: float | None, b: float | None) -> bool:
    if a is None or b is None:  # no loss is a diverged epoch: a difference unless both runs have none
        return a is not b
    return abs(a - b) > RELATIVE_ROUNDING * max(abs(a), abs(b))


def _layers(row: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, ValuePair]]:
    """Return layer -> field -> the two values; None for the fields of a layer that a run lacks."""
    left, right = ({layer["name"]: layer for layer in one.get("layers") or ()} for one in (row, other))
    nothing = dict.fromkeys(LAYER_FIELDS)
    found: dict[str, dict[str, ValuePair]] = {}
    for name in dict.fromkeys((*left, *right)):
        pairs = _pairs(left.get(name, nothing), right.get(name, nothing))
        found[name] = {field: pairs[field] for field in LAYER_FIELDS if field in pairs}
    return found


def _settings(first: RunRecord, second: RunRecord) -> dict[str, ValuePair]:
    """Return the settings that differ, the seed and the study among them.

    Where a component's label differs, its options are left out, since the label shows those that left their default.
    """
    chosen = [{"study": record.study, **flat_spec(record.spec), "seed": record.spec.seed} for record in (first, second)]
    found = _unequal(*chosen)
    return {key: pair for key, pair in found.items() if key.rpartition(".")[0] not in found}


def _unequal(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, ValuePair]:
    return {key: pair for key, pair in _pairs(first, second).items() if pair[0] != pair[1]}


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, ValuePair]:
    """Return key -> the two values, in the first one's order, then the second one's."""
    return {key: (first.get(key), second.get(key)) for key in dict.fromkeys((*first, *second))}


def _lists(pairs: Mapping[str, ValuePair]) -> dict[str, list[Any]]:
    return {key: list(pair) for key, pair in pairs.items()}
