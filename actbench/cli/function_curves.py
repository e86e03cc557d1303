"""Evaluate activations for their picture: f, f′, dead slopes, kinks and limits, as plain numbers.

f′ is autograd's of f itself, as in a run's health, so that formulas and a user's own functions are covered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, inf, isfinite
from typing import TYPE_CHECKING

from actbench.schema.spec import HealthSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from actbench.analysis.plots._functions import FunctionCurve
    from actbench.schema.components import Component

    Floats = NDArray[np.float64]
    Evaluate = Callable[[Floats], tuple[Floats, Floats]]

SEARCHED = 20.0
"""Breaks and edges of dead slopes are looked for on −20 … 20, at steps of 1/128; sigmoid's lie near ±7."""

STEPS = 128
"""Per unit of z; a power of two, so that whole z are met exactly."""

FAR = (25.0, 40.0, 100.0, 1e3, 1e6)
"""A slope that is dead at the end of the search and at all of these is dead up to infinity."""

DRAWN = (4.0, 12.0)
"""The smallest and the largest range of a picture, either side of 0."""

DRAWN_STEPS = 32
"""Per unit of z, of the curves of a picture."""

GAP = 1e-9
"""On either side of a break, where the curves are evaluated in its place."""

HALVINGS = 40
"""Of a step: 1/128 becomes 7e-15."""

LIMITS_AT = ((1e6, 3e7, 1e9), (60.0, 120.0, 250.0))
"""Where f has to be the same for a limit: far away, or nearer where exp overflows there."""


def function_curves(
    components: Sequence[Component], dead_slope: float = HealthSettings().dead_slope
) -> tuple[FunctionCurve, ...]:
    """Evaluate activations on a common range, which shows each one's dead slopes, minimum and kinks up to |z| = 12.

    In float64, in evaluation mode, with learned options at their start. The function of a component with a ``path`` is
    imported and called.

    Args:
        components: Of kind ``activations``, at least one.
        dead_slope: The |f′(z)| at or below which a unit is dead.

    Raises:
        UsageError: When a user's own function can't be had.
    """
    evaluated = [_evaluated(one) for one in components]
    breaks = [_breaks(one) for one in evaluated]
    dead = [_dead(one, own, dead_slope) for one, own in zip(evaluated, breaks, strict=True)]
    minima = [lowest(one) for one in components]
    places = [place for regions in dead for region in regions for place in region]
    places += [place for own in breaks for place in own]
    places += [minimum["minimum_at"] for minimum in minima if minimum]
    reach = _reach(places)
    from actbench.analysis.plots._functions import FunctionCurve
    from actbench.nn.chosen_activations import curve_of

    found = []
    for component, evaluate, own, regions, minimum in zip(components, evaluated, breaks, dead, minima, strict=True):
        z = _drawn_at(reach, own)
        values, slopes = evaluate(z)
        found.append(
            FunctionCurve(
                component.label,
                tuple(z.tolist()),
                tuple(values.tolist()),
                tuple(slopes.tolist()),
                dead_slope,
                regions,
                tuple(place for place in own if abs(place) < reach),
                (minimum["minimum_at"], minimum["minimum"]) if minimum else None,
                _limits(evaluate),
                curve_of(component)[1],
            )
        )
    return tuple(found)


def drawn_label(component: Component) -> str:
    """Return an activation's label in a picture: with what is fixed where it is a function of several numbers."""
    from actbench.nn.chosen_activations import curve_of

    return f"{component.label} {curve_of(component)[1]}".rstrip()


def lowest(component: Component) -> dict[str, float]:
    """Return the minimum and its place, of a function that falls and rises again within [-10, 10].

    Empty for a function without such a dip, or with values that are no numbers there.
    """
    import torch

    from actbench.nn.chosen_activations import curve_of, learned_parameters

    starts = {key: torch.tensor(start) for key, (_, start) in learned_parameters(component, 1).items()}
    z = torch.linspace(-10, 10, 200_001, dtype=torch.float64)
    values = curve_of(component)[0](z, **starts)
    lowest = int(values.argmin())
    # No dip: the lowest value lies at an end of the range, or only touches zero, as that of ReLU does.
    if values.isnan().any() or values[lowest] >= min(values[0], values[-1]) - 1e-3 or values[lowest] >= 0:
        return {}
    return {"minimum": float(values[lowest]), "minimum_at": float(z[lowest])}


def limits(component: Component) -> tuple[float | None, float | None]:
    """Return the limits of f for z → −∞ and z → ∞, to six digits; None where it has no finite one."""
    return _limits(_evaluated(component))


def _evaluated(component: Component) -> Evaluate:
    """Return z -> f(z) and f′(z) on float64 arrays; NaN for what is no finite number."""
    import numpy as np
    import torch

    from actbench.nn.chosen_activations import curve_of, learned_parameters
    from actbench.system import user_code

    starts = {key: torch.tensor(start) for key, (_, start) in learned_parameters(component, 1).items()}
    function, _ = curve_of(component)

    def evaluate(z: Floats) -> tuple[Floats, Floats]:
        leaf = torch.from_numpy(z.copy()).reshape(1, 1, -1).requires_grad_()  # (R, B, U), as in a layer
        with torch.enable_grad():
            a = function(leaf, **starts)
            slope = user_code.slope(a, leaf)
        both = np.stack([a.detach().numpy().ravel(), slope.detach().numpy().ravel()])
        both[~np.isfinite(both)] = np.nan
        return both[0], both[1]

    return evaluate


def _breaks(evaluate: Evaluate) -> tuple[float, ...]:
    """Return where f or f′ jumps: what changes by a hundred-thousandth over a distance of 1e-14 is no slope.

    A break at a point of the grid, such as 0, is found from both of its sides.
    """
    import numpy as np

    z = _grid()
    both = np.stack([z, *evaluate(z)])
    low, high = both[:, :-1], both[:, 1:]  # (3, intervals): z, f and f′ at the ends
    for _ in range(HALVINGS):
        z = (low[0] + high[0]) / 2
        middle = np.stack([z, *evaluate(z)])
        goes_left = _change(low, middle) >= _change(middle, high)
        low, high = np.where(goes_left, low, middle), np.where(goes_left, middle, high)
    jumps = _change(low, high) > 1e-5
    found: list[float] = []
    for place in ((low[0] + high[0]) / 2)[jumps].tolist():
        nearest = round(place, 9) + 0.0
        if not found or nearest - found[-1] > GAP:
            found.append(nearest)
    return tuple(found)


def _change(low: Floats, high: Floats) -> Floats:
    """Return how much f and f′ change from one end to the other, whichever more, relative to their size above 1.

    0 where one of them is no finite number.

    Args:
        low: z, f and f′ at one end, (3, intervals).
        high: The same at the other.
    """
    import numpy as np

    a, b = low[1:], high[1:]
    change = (abs(b - a) / np.maximum(1.0, np.maximum(abs(a), abs(b)))).max(0)
    return np.where(np.isnan(change), 0.0, change)


def _dead(evaluate: Evaluate, breaks: Sequence[float], dead_slope: float) -> tuple[tuple[float, float], ...]:
    """Return the intervals where |f′(z)| ≤ ``dead_slope``, to 1e-12 at their ends."""
    import numpy as np

    def is_dead(z: Floats) -> NDArray[np.bool_]:
        return abs(evaluate(z)[1]) <= dead_slope

    z = np.unique(np.concatenate([_grid(), _zeros(evaluate), *([[place - GAP, place + GAP] for place in breaks])]))
    z = z[~np.isin(z, breaks)]  # at a kink f′ is a convention: 0 for ReLU, half for max(x, 0)
    dead = is_dead(z)
    (edges,) = np.nonzero(dead[1:] != dead[:-1])
    low, high, starts_dead = z[edges], z[edges + 1], dead[edges]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        as_below = is_dead(middle) == starts_dead
        low, high = np.where(as_below, middle, low), np.where(as_below, high, middle)
    ends = [round(place, 12) + 0.0 for place in ((low + high) / 2).tolist()]
    # An edge within the gap of a break is the break itself.
    ends = [next((place for place in breaks if abs(place - end) <= GAP), end) for end in ends]
    if dead[0]:
        ends.insert(0, -inf if _stays_dead(evaluate, -1.0, dead_slope) else -SEARCHED)
    if dead[-1]:
        ends.append(inf if _stays_dead(evaluate, 1.0, dead_slope) else SEARCHED)
    regions = list(zip(ends[::2], ends[1::2], strict=True))
    return tuple(_joined(regions))


def _stays_dead(evaluate: Evaluate, side: float, dead_slope: float) -> bool:
    """Return whether the slope is dead at all of ``FAR`` on one side, as far as a formula does not overflow there."""
    import numpy as np

    slopes = abs(evaluate(side * np.array(FAR))[1])
    return bool(slopes[0] <= dead_slope and (np.isnan(slopes) | (slopes <= dead_slope)).all())


def _joined(regions: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return regions with those made one that touch, as on both sides of a jump of a step."""
    found: list[tuple[float, float]] = []
    for low, high in regions:
        if found and found[-1][1] >= low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def _zeros(evaluate: Evaluate) -> Floats:
    """Return where f′ crosses zero: around the minimum of a dip the dead slopes are narrower than the grid."""
    import numpy as np

    z = _grid()
    signs = np.sign(evaluate(z)[1])
    (before,) = np.nonzero(signs[:-1] * signs[1:] < 0)
    low, high, sign = z[before], z[before + 1], signs[before]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        as_below = np.sign(evaluate(middle)[1]) == sign
        low, high = np.where(as_below, middle, low), np.where(as_below, high, middle)
    return (low + high) / 2


def _limits(evaluate: Evaluate) -> tuple[float | None, float | None]:
    return _limit(evaluate, -1.0), _limit(evaluate, 1.0)


def _limit(evaluate: Evaluate, side: float) -> float | None:
    """Return the limit of f on one side, to six digits; None where it has no finite one."""
    import numpy as np

    for places in LIMITS_AT:
        values = evaluate(side * np.array(places))[0]
        if np.isfinite(values).all():
            is_same = abs(values - values[-1]).max() <= 2e-6 * max(1.0, abs(values[-1]))
            return round(float(values[-1]), 6) + 0.0 if is_same else None
    return None


def _reach(places: Sequence[float]) -> float:
    """Return the range of a picture: a quarter more than the places to be seen.

    >>> _reach([0.0, -inf]), _reach([-6.9078]), _reach([-200.0])
    (4.0, 9.0, 4.0)
    """
    smallest, largest = DRAWN
    seen = [abs(place) for place in places if isfinite(place) and abs(place) < largest]
    return float(min(max(smallest, ceil(1.25 * max(seen, default=0.0))), largest))


def _grid() -> Floats:
    import numpy as np

    steps = round(SEARCHED * STEPS)
    return np.arange(-steps, steps + 1) / STEPS


def _drawn_at(reach: float, breaks: Sequence[float]) -> Floats:
    """Return where a curve is evaluated: at equal steps, and just beside a break in place of it."""
    import numpy as np

    steps = round(reach * DRAWN_STEPS)
    beside = [place + gap for place in breaks if abs(place) < reach for gap in (-GAP, GAP)]
    z = np.unique(np.concatenate([np.arange(-steps, steps + 1) / DRAWN_STEPS, beside]))
    far = [place for place in z.tolist() if all(abs(place - one) >= GAP / 2 for one in breaks)]
    return np.array(far)
