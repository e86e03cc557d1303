"""Judge a finished run by its health: whether it collapsed, and in sentences the place, the time and the usual remedy.

Pure functions on rows that are already measured (``metrics.jsonl``, ``result.json``); no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actbench.schema.spec import HealthSettings, RunSpec

Row = Mapping[str, Any]

NOTEWORTHY = 0.1
"""Share of a layer's units from which on their death is worth a sentence."""

VANISHING, EXPLODING = 1e-3, 1e3
"""First-to-last gradient ratios beyond which the first layers learn on another time scale than the last."""

SATURATING = ("tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid")
"""Activations that are flat on both sides, to which advice about the flat side of ReLU does not apply."""


def is_collapsed(health: Row, settings: HealthSettings) -> bool:
    """Return whether more than ``collapse_at`` of the hidden units are inert, or every unit of one layer is.

    Args:
        health: One run's totals and layers, as ``UnitHealth.of_run`` returns them.
        settings: Holds ``collapse_at``.
    """
    if not health["units"]:
        return False
    return bool(_inert_layers(health)) or bool(health["inert_fraction"] > settings.collapse_at)


def collapse_in_words(health: Row) -> str:
    """Return the message of a collapsed run's record: the share of inert units, and the layers without any other."""
    share = f"{health['inert_fraction']:.0%} of the hidden units are inert (dead or constant)"
    silent = _inert_layers(health)
    return f"{share}; every unit of {', '.join(silent)} is" if silent else share


def _inert_layers(health: Row) -> list[str]:
    return [layer["name"] for layer in health["layers"] if layer["inert"] == layer["units"]]


def diagnose(spec: RunSpec, curves: Sequence[Row], diverged_at: int | None = None) -> tuple[str, ...]:
    """Return a sentence for everything that went wrong; none for a healthy run.

    Args:
        spec: The run's settings; learning rate and activation enter the advice.
        curves: One row per epoch, as in ``metrics.jsonl``.
        diverged_at: The epoch in which a loss or a parameter ceased to be a finite number.
    """
    found = [] if diverged_at is None else [_divergence(spec, diverged_at)]
    measured = [row for row in curves if row["layers"]]  # rows of a diverged run have none
    if measured:
        layers = len(measured[-1]["layers"])
        found += [text for index in range(layers) for text in _layer_sentences(spec, measured, index)]
        found += _gradient_sentences(measured[-1])
    return tuple(found)


def _divergence(spec: RunSpec, epoch: int) -> str:
    rate = spec.training.optimizer.options.get("lr")
    return (
        f"a loss or a parameter is no finite number since epoch {epoch}, at lr {rate:g}; "
        "a lower learning rate, training.clip_norm, a warm-up or batch_norm usually helps"
    )


def _layer_sentences(spec: RunSpec, rows: Sequence[Row], index: int) -> Iterator[str]:
    last = rows[-1]["layers"][index]
    name, units = last["name"], last["units"]
    if last["dead"] >= NOTEWORTHY * units:
        since = _since(rows, index, "dead")
        born = f", {last['born_dead'] / units:.0%} from birth" if last.get("born_dead") else ""
        yield f"{name}: {last['dead'] / units:.0%} dead {since}{born}; {_advice(spec, since)}"
    constant_only = last["inert"] - last["dead"]
    if constant_only >= NOTEWORTHY * units:
        share = "the whole layer" if last["inert"] == units else f"{constant_only / units:.0%}"
        yield (
            f"{name}: {share} constant though not dead {_since(rows, index, 'constant')}: the signal does not pass; "
            "weight_init matched, batch_norm, fewer layers or an activation that is not bounded usually helps"
        )


def _since(rows: Sequence[Row], index: int, measure: str) -> str:
    """Return the first epoch of the final stretch in which at least half of the final count was reached, in words.

    Walked backwards, so that units which were dead early and came back do not date the sentence.
    """
    final = rows[-1]["layers"][index][measure]
    epoch = rows[-1]["epoch"]
    for row in reversed(rows):
        if row["layers"][index][measure] * 2 < final:
            break
        epoch = row["epoch"]
    return "since initialisation" if epoch == 0 else f"since epoch {epoch}"


def _advice(spec: RunSpec, since: str) -> str:
    rate = spec.training.optimizer.options.get("lr")
    if since == "since initialisation":  # no step was taken yet: the learning rate is not to blame
        return "another weight_init or bias_init, or batch_norm, usually helps"
    if spec.activation.name in SATURATING:
        return f"at lr {rate:g}; a lower learning rate, weight_init xavier_normal or batch_norm usually helps"
    return f"at lr {rate:g}; a lower learning rate, leaky_relu or elu (no flat side), or batch_norm usually helps"


def _gradient_sentences(row: Row) -> Iterator[str]:
    ratio = row.get("health.gradient_ratio")
    if ratio is None or VANISHING <= ratio <= EXPLODING:
        return
    verb, cure = ("vanish", "he or matched") if ratio < VANISHING else ("explode", "smaller")
    yield (
        f"gradients {verb}: the first hidden layer's is {ratio:.1g} of the last one's; {cure} initial weights, "
        "batch_norm or fewer layers usually help"
    )
