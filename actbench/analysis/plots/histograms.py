"""Distributions of pre-activations and outputs, layer by layer, before training and after the last epoch.

Drawn is the density, a bin's share over its width: the bins widen away from 0, so that the shares themselves would show
a normal distribution as two humps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from actbench.analysis.judgements.formatting import quantity
from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, baseline_activation, series_of
from actbench.analysis.plots._labels import Label, key_of, legend_below
from actbench.analysis.plots._style import Look, pens
from actbench.analysis.table.result import Comparison, Row
from actbench.schema.histograms import BINS, edges, unpacked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 5
"""More outlines than these can't be told apart in one panel."""

MAX_LAYERS = 3
"""The first, the middle and the last of more layers."""

MERGED = 2
"""Neighbouring bins of the record that make one of the chart; 0 stays an edge."""

KINDS = (("z_histogram", "z"), ("a_histogram", "f(z)"))


class Histograms(Chart):
    """The density of a layer's numbers, over the probe, its units and the seeds."""

    title = "Pre-activations and outputs"
    question = "Where do the pre-activations lie, and what does the activation make of them?"
    order = 40

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return the density in each bin, of each row and layer, at epoch 0 and at the last epoch."""
        rows = list(enumerate(comparison.rows))
        counted = {series: _counts(row) for series, row in rows}
        shown = [series for series, found in counted.items() if found][:MAX_ROWS]
        if not shown:
            return None
        layers = list(dict.fromkeys(layer for series in shown for _, layer, _ in counted[series]))
        layers = _thinned(layers)
        panels, marks = [], []
        for layer in layers:
            for kind, name in KINDS:
                for epoch in ("0", "last"):
                    when = "before training" if epoch == "0" else "last epoch"
                    panels.append(Panel(f"{layer}: {name}, {when}", Axis(name), Axis("density")))
                    for series in shown:
                        marks += _densities(series, len(panels) - 1, counted[series].get((epoch, layer, kind)))
        left_out = sum(bool(found) for found in counted.values()) - len(shown)
        more = f" {left_out} further rows have histograms; --where chooses others." if left_out else ""
        return ChartData(
            panels=tuple(panels),
            series=series_of(comparison),
            marks=tuple(marks),
            caption="Density of a layer's values over probe images, units and seeds; of f(z) on a log axis, since "
            f"many of them may be equal. Values beyond ±{edges()[-1]:.0f} count in the outermost bin.{more}",
            baseline=baseline_activation(comparison),
            columns=2,
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw each row's outline, with a point in each bin that holds anything."""
        drawn_with, centers = pens(data), _centers()
        labels: dict[int, Label] = {}
        for panel, ax in enumerate(axes):
            ax.set_xscale("asinh", linear_width=0.5)
            ax.set_title(data.panels[panel].title)
            ax.set_ylabel(data.panels[panel].y.label)
            if data.panels[panel].x.label != "z":
                ax.set_yscale("log")
            for series, pen in enumerate(drawn_with):
                own = list(data.in_panel(panel, series=series))
                if not own:
                    continue
                densities = [math.nan if ax.get_yscale() == "log" else 0.0] * len(centers)
                for index, mark in own:
                    densities[centers.index(float(mark.x))] = mark.y or 0.0
                    ax.plot([mark.x], [mark.y], ".", color=pen.color, markersize=look.marker * 0.4, gid=data.gid(index))
                gid = data.series_gid(series)
                every = {"marker": pen.marker, "markersize": look.marker * 0.8, "markevery": (series % 8, 8)}
                ax.plot(centers, densities, color=pen.color, linestyle=pen.dash, gid=f"{gid}.outline.p{panel}", **every)
                labels.setdefault(series, Label(data.names[series], 0.0, pen.color, key_of(pen, look), gid))
            # The panels before and after training stand side by side and share their range.
            places = [float(mark.x) for part in (panel, panel ^ 1) for _, mark in data.in_panel(part)]
            reach = max(map(abs, places), default=1.0)
            ax.set_xlim(-1.3 * reach, 1.3 * reach)
            ticks = [tick for tick in (1, 10, 100) if tick <= 1.3 * reach]
            ax.set_xticks([*(-tick for tick in reversed(ticks)), 0, *ticks], minor=False)
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
            ax.minorticks_off()
        if labels:
            legend_below(axes[0], list(labels.values()))

    def height(self, data: ChartData, look: Look) -> float:
        """Return less than other charts have: many panels stand one below the other."""
        return look.height * 0.62


def _counts(row: Row) -> dict[tuple[str, str, str], list[int]]:
    """Return (epoch, layer, kind) -> counts in all bins, summed over the runs that have them; empty without any."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for record in row.records:
        curve = [one for one in record.curves if one.get("layers")]
        if len(curve) < 2:
            continue
        reported = next((one for one in curve if one["epoch"] == record.selected_epoch), curve[-1])
        for epoch, one in (("0", curve[0]), ("last", reported)):
            for layer in one["layers"]:
                for kind, _ in KINDS:
                    _add(found, (epoch, str(layer["name"]), kind), layer)
    return found


def _add(found: dict[tuple[str, str, str], list[int]], key: tuple[str, str, str], layer: Mapping[str, Any]) -> None:
    if layer.get(key[2]) is not None:
        counts = unpacked(layer[key[2]])
        found[key] = [a + b for a, b in zip(found.get(key, [0] * BINS), counts, strict=True)]


def _densities(series: int, panel: int, counts: Sequence[int] | None) -> list[Mark]:
    total = sum(counts or ())
    if not counts or not total:
        return []
    limits, centers = _limits(), _centers()
    found = []
    for k in range(len(centers)):
        count = sum(counts[k * MERGED : (k + 1) * MERGED])
        if count:
            low, high, share = limits[k], limits[k + 1], count / total
            note = f"{quantity('health.sparsity', share)} from {low:.3g} to {high:.3g}"
            found.append(Mark(series, centers[k], share / (high - low), panel=panel, note=note))
    return found


def _limits() -> list[float]:
    return edges()[::MERGED]


def _centers() -> list[float]:
    return [(low + high) / 2 for low, high in pairwise(_limits())]


def _thinned(layers: Sequence[str]) -> list[str]:
    if len(layers) <= MAX_LAYERS:
        return list(layers)
    return [layers[0], layers[len(layers) // 2], layers[-1]]


plugin = Histograms()
