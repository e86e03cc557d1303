"""The pictures of ``actbench show``: activations with their derivatives, and a run's curves with its dead units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from actbench.analysis.pictures.lines import Line
    from actbench.schema.components import Component
    from actbench.schema.record import RunRecord

MAX_LINES = 4
"""Curves in one picture; more are not told apart."""

MIN_PANEL, MAX_PANEL = 36, 64
"""Characters of one field: two stand beside each other where each can have the least."""

HALF_RANGE = 4.0
"""Pre-activations are drawn from −4 to 4, or as far as the outermost kink and a quarter beyond."""

SAMPLES = 512
NEAR = 1e-9
"""Distance from a kink at which the values on either side of it are taken."""

CURVES = (
    ("loss by epoch", (("train.loss", "training"), ("val.loss", "validation"))),
    ("mean squared error by epoch", (("train.mse", "training"), ("val.mse", "validation"))),
    ("accuracy by epoch", (("train.accuracy", "training"), ("val.accuracy", "validation"))),
)


def print_functions(console: Console, components: Sequence[Component]) -> None:
    """Draw each function and its derivative; at most four share a picture, each with a letter of its own."""
    for first in range(0, len(components), MAX_LINES):
        if first:
            console.print()
        _print_functions(console, components[first : first + MAX_LINES], is_alone=len(components) == 1)


def _print_functions(console: Console, components: Sequence[Component], *, is_alone: bool) -> None:
    from actbench.analysis.pictures.lines import COLOURS, MARKS, Line
    from actbench.cli.function_curves import drawn_label

    kinks = [_kinks(component) for component in components]
    reach = max([HALF_RANGE, *(1.25 * abs(place) for own in kinks for place in own)])
    drawn = [function_and_slope(one, own, reach) for one, own in zip(components, kinks, strict=True)]
    panels = [
        (
            title,
            [
                Line(points[which], "" if is_alone else mark, "" if is_alone else colour)
                for points, mark, colour in zip(drawn, MARKS, COLOURS, strict=False)
            ],
        )
        for which, title in enumerate(("f(z)", "f′(z)"))
    ]
    _print_panels(console, panels, [drawn_label(component) for component in components])


def _kinks(component: Component) -> tuple[float, ...]:
    from actbench.nn.chosen_activations import kinks_of

    return kinks_of(component)


def function_and_slope(
    component: Component, kinks: Sequence[float], reach: float
) -> tuple[list[tuple[float, float | None]], list[tuple[float, float | None]]]:
    """Return the points (z, f(z)) and (z, f′(z)) between −reach and reach; no point at a kink where the value jumps.

    Args:
        component: The activation; learned options have their values at initialisation.
        kinks: Where f′ may jump.
        reach: Largest |z|.
    """
    import torch

    from actbench.nn.chosen_activations import curve_of, learned_parameters
    from actbench.system import user_code

    inside = [place for place in kinks if -reach < place < reach]
    places = sorted({*torch.linspace(-reach, reach, SAMPLES, dtype=torch.float64).tolist()} - {*inside})
    places = sorted([*places, *(place + side for place in inside for side in (-NEAR, NEAR))])
    z = torch.tensor(places, dtype=torch.float64, requires_grad=True)
    starts = {name: torch.tensor(start, dtype=z.dtype) for name, (_, start) in learned_parameters(component, 1).items()}
    f = curve_of(component)[0](z, **starts)
    slope = user_code.slope(f, z)
    return _with_gaps(places, f.tolist(), inside), _with_gaps(places, slope.tolist(), inside)


def _with_gaps(
    places: Sequence[float], values: Sequence[float], kinks: Sequence[float]
) -> list[tuple[float, float | None]]:
    """Return the points, with an interruption at each kink across which the value jumps."""
    points: list[tuple[float, float | None]] = []
    for index, (place, value) in enumerate(zip(places, values, strict=True)):
        before = values[index - 1] if index else value
        if index and abs(value - before) > 1e-6 and any(places[index - 1] < kink < place for kink in kinks):
            points.append(((places[index - 1] + place) / 2, None))
        points.append((place, value))
    return points


def print_run_pictures(console: Console, record: RunRecord) -> None:
    """Draw a run's loss and accuracy by epoch, and each layer's share of dead units; nothing of a single epoch."""
    from actbench.analysis.pictures.lines import COLOURS, Line

    panels, names = [], list[str]()
    for title, keys in CURVES:
        lines = []
        for (key, name), mark, colour in zip(keys, "tv", COLOURS, strict=False):
            points = [(float(row["epoch"]), _finite(row.get(key))) for row in record.curves]
            if sum(value is not None for _, value in points) > 1:
                lines.append(Line(points, mark, colour))
                names = list(dict.fromkeys([*names, name]))
        if lines:
            panels.append((title, lines))
    if panels:
        console.print()
        _print_panels(console, panels, names)
    print_dead_strip(console, record.curves)


def print_dead_strip(console: Console, curves: Sequence[Mapping[str, Any]]) -> None:
    """Draw a row of bars for each layer, one bar an epoch: which share of its units is dead."""
    from actbench.analysis.judgements.formatting import quantity
    from actbench.analysis.pictures.blocks import ASCII_NONE, BLOCKS, DIGITS, NONE, bars, scale_of, spread_indices
    from actbench.system.console import has_unicode
    from actbench.system.text import printable

    rows = [row for row in curves if row.get("layers")]
    shares = {
        str(layer["name"]): [_dead_share(row, str(layer["name"])) for row in rows]
        for layer in (rows[-1]["layers"] if rows else ())
    }
    scale = scale_of((value for own in shares.values() for value in own), has_none=True)
    if scale is None or len(rows) < 2:
        return
    epochs = [row["epoch"] for row in rows]
    console.print(f"\nDead units of each layer, epochs {epochs[0]} to {epochs[-1]}\n", style="bold")
    if scale.high == 0:
        console.print("no dead unit in any layer at any epoch")
        return
    is_unicode = has_unicode(console)
    width = max(len(printable(name)) for name in shares)
    kept = spread_indices(len(rows), max(console.width - width - len("  100.00 % → 100.00 %") - 2, 2))
    for name, own in shares.items():
        first, last = (quantity("health.dead_fraction", value) for value in (own[0], own[-1]))
        strip = bars([own[index] for index in kept], scale, is_unicode=is_unicode)
        arrow = "→" if is_unicode else "->"
        console.print(f"{printable(name):<{width}}  {strip}  {first} {arrow} {last}", soft_wrap=True)
    none, low, high = (NONE, BLOCKS[0], BLOCKS[-1]) if is_unicode else (ASCII_NONE, DIGITS[0], DIGITS[-1])
    eighth, most = (quantity("health.dead_fraction", value) for value in (scale.high / 8, scale.high))
    text = f"{none} none, {low} up to {eighth}, {high} up to {most} of the layer's units"
    if len(kept) < len(rows):
        text += f"; {len(kept)} of {len(rows)} epochs are shown"
    console.print(f"\n{text}", style="dim")


def _dead_share(row: Mapping[str, Any], name: str) -> float | None:
    """Return dead/units of a layer in one epoch's row; None where the row has no such layer."""
    for layer in row["layers"]:
        if layer.get("name") == name and layer.get("units"):
            return _finite(layer["dead"] / layer["units"]) if isinstance(layer.get("dead"), int) else None
    return None


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and isfinite(value) else None


def _print_panels(console: Console, panels: Sequence[tuple[str, Sequence[Line]]], names: Sequence[str]) -> None:
    """Print fields beside or below each other, then which letter is which curve where there are several."""
    from rich.text import Text

    from actbench.analysis.pictures.lines import Frame, beside, line_picture
    from actbench.system.console import has_unicode
    from actbench.system.text import printable

    is_unicode = has_unicode(console)
    gap = 2
    half = (console.width - gap) // 2
    width = min(half if half >= MIN_PANEL else console.width, MAX_PANEL)
    pictures = []
    for title, lines in panels:
        shown = title if is_unicode else title.replace("′", "'")
        frame = Frame(shown, width, is_fraction="accuracy" in title, is_unicode=is_unicode)
        pictures.append(line_picture(lines, frame))
    for text in beside(pictures, console.width, gap):
        text.rstrip()
        console.print(text, no_wrap=True)
    marked = {line.mark: line.colour for _, lines in panels for line in lines if line.mark}
    if marked:
        console.print()
        for (mark, colour), name in zip(marked.items(), names, strict=True):
            console.print(Text.assemble("  ", (mark, f"bold {colour}"), f"  {printable(name)}"), soft_wrap=True)
