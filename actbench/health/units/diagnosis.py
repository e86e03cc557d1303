"""What happened to a run, in words: where, since when, and what usually helps. Pure functions on a run's own rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actbench.schema.spec import RunSpec

Row = Mapping[str, Any]

NOTEWORTHY = 0.1
"""Share of a layer's units from which on their death is worth a sentence."""

VANISHING, EXPLODING = 1e-3, 1e3
"""First-to-last gradient ratios beyond which the first layers learn on another time scale than the last."""

SATURATING = ("tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid")


def diagnose(spec: RunSpec, curves: Sequence[Row], diverged_at: int | None = None) -> tuple[str, ...]:
    """Sentences on all that went wrong; none for a healthy run.

    Args:
        spec: What was run; learning rate and activation enter the advice.
        curves: One row an epoch, as in ``metrics.jsonl``.
        diverged_at: The epoch in which a loss or a parameter ceased to be a finite number.
    """
    found = [] if diverged_at is None else [_divergence(spec, diverged_at)]
    measured = [row for row in curves if row["layers"]]
    if measured:
        found += [text for index in range(len(measured[-1]["layers"])) for text in _layer(spec, measured, index)]
        found += _gradients(measured[-1])
    return tuple(found)


def _divergence(spec: RunSpec, epoch: int) -> str:
    rate = spec.training.optimizer.options.get("lr")
    return (
        f"a loss or a parameter is no finite number since epoch {epoch}, at lr {rate:g}; "
        "a lower learning rate, training.clip_norm, a warm-up or batch_norm usually helps"
    )


def _layer(spec: RunSpec, rows: Sequence[Row], index: int) -> Iterator[str]:
    last = rows[-1]["layers"][index]
    name, units = last["name"], last["units"]
    if last["dead"] >= NOTEWORTHY * units:
        since = _since(rows, index, "dead")
        born = f", {last['born_dead'] / units:.0%} from birth" if last.get("born_dead") else ""
        yield f"{name}: {last['dead'] / units:.0%} dead {since}{born}; {_advice(spec, last, since)}"
    silent = last["inert"] - last["dead"]
    if silent >= NOTEWORTHY * units:
        what = "the whole layer" if last["inert"] == units else f"{silent / units:.0%}"
        yield (
            f"{name}: {what} constant though not dead {_since(rows, index, 'constant')}: the signal does not pass; "
            "weight_init matched, batch_norm, fewer layers or an activation that is not bounded usually helps"
        )


def _since(rows: Sequence[Row], index: int, measure: str) -> str:
    """The first epoch of the final stretch in which at least half of the final count was reached."""
    final = rows[-1]["layers"][index][measure]
    epoch = rows[-1]["epoch"]
    for row in reversed(rows):
        if row["layers"][index][measure] * 2 < final:
            break
        epoch = row["epoch"]
    return "since initialisation" if epoch == 0 else f"since epoch {epoch}"


def _advice(spec: RunSpec, layer: Row, since: str) -> str:
    rate = spec.training.optimizer.options.get("lr")
    if since == "since initialisation":
        return "another weight_init or bias_init, or batch_norm, usually helps"
    if spec.activation.name in SATURATING:
        return f"at lr {rate:g}; a lower learning rate, weight_init xavier_normal or batch_norm usually helps"
    return f"at lr {rate:g}; a lower learning rate, leaky_relu or elu (no flat side), or batch_norm usually helps"


def _gradients(row: Row) -> Iterator[str]:
    ratio = row.get("health.gradient_ratio")
    if ratio is None or VANISHING <= ratio <= EXPLODING:
        return
    verb, cure = ("vanish", "he or matched") if ratio < VANISHING else ("explode", "smaller")
    yield (
        f"gradients {verb}: the first hidden layer's is {ratio:.1g} of the last one's; {cure} initial weights, "
        "batch_norm or fewer layers usually help"
    )
