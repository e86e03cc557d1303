"""Judge a finished run by its health: whether it collapsed, and in sentences the place, the time and the usual remedy.

Pure functions on rows that are already measured (``metrics.jsonl``, ``result.json``); no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actbench.nn.activations import ACTIVATIONS, SLOPED, Tail
from actbench.schema.spec import HealthSettings, RunSpec

Row = Mapping[str, Any]

NOTEWORTHY = 0.1
"""Share of a layer's units from which on their death is worth a sentence."""

VANISHING, EXPLODING = 1e-3, 1e3
"""First-to-last gradient ratios beyond which the first layers learn on another time scale than the last."""

LASTING = 0.9
"""Share of the final count that every epoch of a stretch must reach, so that the final state dates from its start."""

SATURATING = ("tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid", "sparse_sigmoid")
"""Activations that are flat on both sides, to which advice about the flat side of ReLU does not apply."""


_WITHOUT_DEATH = "; leaky_relu leaves none dead, which by itself need not help accuracy"
"""Where many of ReLU's units die and no whole layer, leaky ReLU at the same rate is better in some networks and worse
in others. Where a whole layer dies it nearly always is better (the runs of configs/claims/useless.yaml)."""


def is_collapsed(health: Row, settings: HealthSettings) -> bool:
    """Return whether more than ``collapse_at`` of the hidden units are inert, or every unit of one layer is.

    Args:
        health: One run's totals and layers, as ``UnitHealth.of_run`` returns them.
        settings: Holds ``collapse_at``.
    """
    if not health["units"]:
        return False
    share = health["inert_fraction"]  # None where no unit has finite numbers
    return bool(_inert_layers(health)) or (share is not None and bool(share > settings.collapse_at))


def collapse_in_words(health: Row) -> str:
    """Return the message of a collapsed run's record: the share of inert units, and the layers without any other.

    A layer of which no unit is left gives the same output for every input, and so does the network. A share alone does
    not decide: most networks with half of their units dead and more, but no whole layer, are accurate (docs/claims.md).
    """
    share = f"{_percent(health['inert_fraction'])} of the hidden units are inert (dead or constant)"
    silent = _inert_layers(health)
    if silent:
        return f"{share}; every unit of {', '.join(silent)} is"
    return f"{share}, yet no whole layer: the network may be accurate all the same"


def _inert_layers(health: Row) -> list[str]:
    return [layer["name"] for layer in health["layers"] if layer["inert"] == layer["units"]]


def diagnose(
    spec: RunSpec, curves: Sequence[Row], diverged_at: int | None = None, *, overflow: float | None = None
) -> tuple[str, ...]:
    """Return a sentence for everything that went wrong; none for a healthy run.

    Args:
        spec: The run's settings; learning rate and activation enter the advice.
        curves: One row per epoch, as in ``metrics.jsonl``.
        diverged_at: The epoch in which a loss or a parameter ceased to be a finite number below 1e300.
        overflow: A z at which the activation or its slope is not finite; None where there is none.
    """
    found = [] if diverged_at is None else [_divergence(spec, diverged_at, overflow)]
    measured = [row for row in curves if row["layers"]]  # rows of a diverged run have none
    if measured:
        names = [layer["name"] for layer in measured[-1]["layers"]]
        found += [text for name in names for text in _layer_sentences(spec, measured, name)]
        found += _layers_gone(measured, names)
        found += _gradient_sentences(spec, measured[-1])
    return tuple(found)


def _divergence(spec: RunSpec, epoch: int, overflow: float | None) -> str:
    what = "a loss or a parameter is not a finite number below 1e300"
    if overflow is not None:
        when = f"since epoch {epoch}" if epoch else "at initialisation"
        return (
            f"{what} {when}, and the activation or its slope overflows at z = {overflow:g}: write it so that no part "
            "overflows, such as exp(min(x, 0)) for exp(x), or take a built-in one"
        )
    if epoch == 0:  # no step was taken yet: the learning rate is not to blame
        return _advised(f"{what} at initialisation", "smaller initial weights", _normalisation(spec), "fewer layers")
    clipping = "" if spec.training.clip_norm else "training.clip_norm"
    warmup = "" if spec.training.schedule.options.get("warmup_epochs") else "a warm-up"
    found = f"{what} since epoch {epoch}, at lr {_rate(spec):g}"
    return _advised(found, "a lower learning rate", clipping, warmup, _normalisation(spec))


def _layer_sentences(spec: RunSpec, curve: Sequence[Row], name: str) -> Iterator[str]:
    # A user's own module may not call a layer in every epoch.
    found = [(row, layer) for row in curve for layer in row["layers"] if layer["name"] == name]
    rows, layers = [row for row, _ in found], [layer for _, layer in found]
    last = layers[-1]
    units = last["units"]
    if lost := last.get("not_finite"):  # records of earlier versions have no such count
        share = f"{lost} of {units} units are NaN or infinite on the probe"
        yield f"{name}: {share}; they count neither as dead nor as alive"
    if last["dead"] >= NOTEWORTHY * units:
        course = _Course.of(rows, [layer["dead"] for layer in layers])
        # Of those dead now; a unit that was born dead and came to life is not among them.
        born = last["dead"] - last["lost"] if course.began and not rows[0]["epoch"] else 0
        at_birth = f", {_percent(born / units)} already at initialisation" if born else ""
        state, why = _word_for_death(spec)
        is_trained, is_whole = course.began > 0, last["dead"] == units
        advised = _advised(
            f"{name}: {course.in_words(units, state)}{at_birth}{why}",
            *_remedies_for_death(spec, trained=is_trained, whole=is_whole),
        )
        yield advised + (_WITHOUT_DEATH if is_trained and not is_whole and _may_lose_units(spec) else "")
    silent = [layer["inert"] - layer["dead"] for layer in layers]
    if silent[-1] >= NOTEWORTHY * units:
        bounded = spec.activation.name in SATURATING
        yield _advised(
            f"{name}: {_Course.of(rows, silent).in_words(units, 'constant though not dead')}: the signal does not pass",
            "" if spec.weight_init.name == "matched" else "weight_init matched",
            _normalisation(spec),
            "fewer layers",
            "an activation that is not bounded" if bounded else "",
        )


def _layers_gone(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    met = {layer["name"]: row["epoch"] for row in rows for layer in row["layers"]}
    for name, epoch in met.items():
        if name not in names:
            yield f"{name}: not called on the probe since epoch {epoch + 1}; its units are in no count from there on"


@dataclass(frozen=True)
class _Course:
    """The final stretch of epochs in which a count has about been at its last value.

    Args:
        final: The last count.
        least: The smallest count of the stretch.
        began: The epoch at which the stretch begins.
    """

    final: int
    least: int
    began: int

    @classmethod
    def of(cls, rows: Sequence[Row], counts: Sequence[int]) -> _Course:
        """Return the stretch, found backwards: units that were dead early and came back do not date it."""
        final = least = counts[-1]
        began = rows[-1]["epoch"]
        for row, count in zip(reversed(rows), reversed(counts), strict=True):
            if count < LASTING * final:
                break
            began, least = row["epoch"], min(least, count)
        return cls(final, least, began)

    def in_words(self, units: int, state: str) -> str:
        """Return, for example, ``61% dead since epoch 3``, or ``61% dead, at least 56% since epoch 3``."""
        now, before = _percent(self.final / units), _percent(self.least / units)
        since = f"since epoch {self.began}" if self.began else "since initialisation"
        share = "all units" if self.final == units else now
        if before == now:
            return f"{share} {state} {since}"
        least = before if before.startswith(">") else f"at least {before}"
        return f"{share} {state}, {least} {since}"


def _percent(share: float) -> str:
    """Return a share in whole percent; 0% and 100% stand for none and all alone.

    >>> _percent(0.004), _percent(0.4), _percent(0.996), _percent(1)
    ('<1%', '40%', '>99%', '100%')
    """
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def _word_for_death(spec: RunSpec) -> tuple[str, str]:
    """Return what a unit is called whose slope never exceeds ``dead_slope``, and what has to be known beside it.

    Where f′ is 0 from some z on, as that of ReLU, no gradient comes through: such a unit is dead. In a tail that only
    fades it is saturated. That of golu is below 1e-3 from z = −2.3 on, where ReLU's units have long been dead.
    """
    tails = _tails(spec)
    if tails is None or "zero" in tails or "fading" not in tails:
        return "dead", ""
    slope = f"{spec.health.dead_slope:g}"
    return (
        "saturated",
        f" (slope at most {slope}, yet not 0, in the tail of {spec.activation.name}: they may come back)",
    )


def _tails(spec: RunSpec) -> tuple[Tail, Tail] | None:
    """Return what the slope of a run's activation does far out; None for a formula and a user's own function."""
    row = ACTIVATIONS.get(spec.activation.name)
    return None if row is None or spec.activation.path else row.tails


def _remedies_for_death(spec: RunSpec, *, trained: bool, whole: bool) -> tuple[str, ...]:
    if not trained:  # it was so before the first step: the learning rate is not to blame
        return "another weight_init", "another bias_init", _normalisation(spec)
    if spec.activation.name in SATURATING:
        scheme = "" if spec.weight_init.name == "xavier_normal" else "weight_init xavier_normal"
        return f"a lower learning rate (here {_rate(spec):g})", scheme, _normalisation(spec)
    another = "leaky_relu (it has a slope on both sides)" if whole and _may_lose_units(spec) else ""
    return f"a lower learning rate (here {_rate(spec):g})", another, _normalisation(spec)


def _may_lose_units(spec: RunSpec) -> bool:
    """Return whether units can lose their slope that would keep it under an activation with a slope on both sides."""
    return spec.activation.name not in SATURATING and _tails(spec) != SLOPED


def _gradient_sentences(spec: RunSpec, row: Row) -> Iterator[str]:
    ratio = row.get("health.gradient_ratio")
    if ratio is None or VANISHING <= ratio <= EXPLODING:
        return
    found = f"the first hidden layer's is {ratio:.1g} of the last one's"
    if ratio < VANISHING:
        scheme = "" if spec.weight_init.name == "matched" else "weight_init matched"
        yield _advised(f"gradients vanish: {found}", scheme, _normalisation(spec), "fewer layers")
    else:
        yield _advised(f"gradients explode: {found}", "smaller initial weights", _normalisation(spec), "fewer layers")


def _advised(finding: str, *remedies: str) -> str:
    """Return a finding and the remedies that usually help; those that the run already has are given as ""."""
    left = [remedy for remedy in remedies if remedy]
    if not left:
        return finding
    listed = left[0] if len(left) == 1 else f"{', '.join(left[:-1])} or {left[-1]}"
    return f"{finding}; {listed} usually helps"


def _rate(spec: RunSpec) -> float:
    return float(spec.training.optimizer.options["lr"])


def _normalisation(spec: RunSpec) -> str:
    """Return batch normalisation as a remedy; "" where z is normalised already.

    DyT and Derf bound z but set neither its mean nor its scale.
    """
    if spec.model.path is not None:
        return "batch norm"
    return "" if spec.model.options["norm"] in ("batch", "layer") else "model.norm batch"
