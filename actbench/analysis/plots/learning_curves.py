"""Learning curves: mean over seeds with its band, every seed faint behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actbench.analysis.leading_metric import learns_numbers
from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, baseline_activation, seed_curves, series_of
from actbench.analysis.plots._labels import Label, key_of, label_ends, legend_inches
from actbench.analysis.plots._style import Look, pens
from actbench.analysis.statistics import mean_interval
from actbench.analysis.table.result import Comparison
from actbench.schema.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_SEEDS = 20
"""More faint lines than these are a grey area."""

MAX_BANDS = 12
"""With more rows their seeds and bands hide the means."""

MANY_ROWS = 4
"""The legend of more needs room of its own."""

LOG_FROM = 20
"""A loss that falls by more than this factor is drawn on a logarithmic axis."""

PANELS = (("val.accuracy", "validation accuracy"), ("train.loss", "training loss (nats)"))
"""The test set is read once, at the last epoch, so no curve shows it."""

ERROR = ("train.mse", "training error (mean square)")
PANELS_OF_NUMBERS = (("val.r2", "R² on validation examples"), ERROR)
"""Of runs that learn numbers, which have no accuracy."""

LOSSES = ("train.loss", "train.mse")


class LearningCurves(Chart):
    """Validation accuracy (of numbers R²) and training loss by epoch, epoch 0 being the network before training."""

    title = "Learning curves"
    question = "How fast do the networks learn, and how far do the seeds lie apart?"
    order = 20

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return a mean with its interval for each epoch and row, and each seed's values where they are few."""
        marks: list[Mark] = []
        shown = _panels(comparison)
        most = max((len(row.records) for row in comparison.rows), default=0)
        has_seeds = most <= MAX_SEEDS and len(comparison.rows) <= MAX_BANDS
        for panel, (metric, _) in enumerate(shown):
            for series, curves in enumerate(_trained([seed_curves(row, metric) for row in comparison.rows], metric)):
                marks += _means(series, panel, curves, comparison.alpha)
                if has_seeds:
                    for seed, curve in curves.items():
                        for epoch, value in curve.items():
                            marks.append(Mark(series, epoch, value, panel=panel, kind="seed", note=f"seed {seed}"))
        if not any(mark.kind == "mean" and mark.x != 0 for mark in marks):
            return None
        bands = f"band: its {100 * (1 - comparison.alpha):g} % Student-t interval at each epoch by itself"
        if len(comparison.rows) > MAX_BANDS:
            bands = f"no bands, as there are more than {MAX_BANDS} rows"
        return ChartData(
            panels=tuple(Panel(text, Axis("epoch"), Axis(text, metric)) for metric, text in shown),
            series=series_of(comparison),
            marks=tuple(marks),
            caption=f"Line: mean over seeds; {bands}{'; thin: each seed' if has_seeds else ''}. A mean ends where a "
            "run's values end: one that diverged, or stopped. Epoch 0 is the network before training.",
            baseline=baseline_activation(comparison),
            columns=2,
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a line, a band and the thin lines of the seeds for each row, and name the lines at their ends."""
        drawn_with = pens(data)
        for panel, ax in enumerate(axes):
            labels = []
            for series, pen in enumerate(drawn_with):
                gid = data.series_gid(series)
                for seed, points in _by_seed(data, panel, series).items():
                    ax.plot(
                        *points, color=pen.color, linewidth=look.line * 0.35, alpha=0.35, gid=f"{gid}.{seed}.p{panel}"
                    )
                means = list(data.in_panel(panel, "mean", series))
                if not means:
                    continue
                x, y = [one.x for _, one in means], [one.y for _, one in means]
                ax.plot(x, y, color=pen.color, linestyle=pen.dash, gid=f"{gid}.line.p{panel}")
                band = [(one.x, one.low, one.high) for _, one in means if one.low is not None]
                if band and len(data.series) <= MAX_BANDS:
                    ax.fill_between(
                        *zip(*band, strict=True), color=pen.color, alpha=0.15, linewidth=0, gid=f"{gid}.band.p{panel}"
                    )
                for index, one in means:
                    ax.plot(
                        [one.x], [one.y], pen.marker, color=pen.color, markersize=look.marker * 0.6, gid=data.gid(index)
                    )
                labels.append(Label(data.names[series], float(y[-1] or 0), pen.color, key_of(pen, look), gid))
            values = [one.y for _, one in data.in_panel(panel) if one.y is not None]
            _finish(ax, data.panels[panel], values, labels, look)

    def below(self, data: ChartData, look: Look) -> float:
        """Return the inches of the legend; a short one fits into the height of the panels."""
        names = data.names
        return legend_inches(names, look) if len(names) > MANY_ROWS else 0.0


def _panels(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Return metric and title of each panel, by what the runs learn and the loss that they have."""
    finals = [record.final for row in comparison.rows for record in row.records]
    if learns_numbers(finals):
        return PANELS_OF_NUMBERS
    has_error = any("train.mse" in final for final in finals) and not any("train.loss" in final for final in finals)
    return (PANELS[0], ERROR) if has_error else PANELS


def _finish(ax: Axes, panel: Panel, values: Sequence[float], labels: Sequence[Label], look: Look) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    ax.set_xlabel(panel.x.label)
    ax.set_ylabel(panel.y.label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if panel.y.is_fraction:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    lowest, highest = min(values, default=0.0), max(values, default=0.0)
    if panel.y.metric in LOSSES and lowest > 0 and highest > LOG_FROM * lowest:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low, high = ax.get_ylim()
    least, most = METRICS[panel.y.metric].scale()
    if ax.get_yscale() == "linear":
        ax.set_ylim(max(low, least - 0.02 * (high - low)), min(high, most + 0.02 * (high - low)))
    ax.margins(x=0.02)
    first, last = ax.get_xlim()
    if last - first < 1:  # a single epoch, as where every run diverged in its first
        ax.set_xlim(first - 0.5, last + 0.5)
    label_ends(ax, labels, look)


def _trained(rows: Sequence[dict[int, dict[int, float]]], metric: str) -> list[dict[int, dict[int, float]]]:
    """Return the seeds' curves of each row without the accuracy of epoch 0.

    It is that of chance, beside which all others look alike. It stays where nothing was trained for more than an
    epoch.
    """
    longest = max((len(curve) for curves in rows for curve in curves.values()), default=0)
    first = 1 if metric in ("val.accuracy", "val.r2") and longest > 2 else 0
    return [
        {seed: {epoch: value for epoch, value in curve.items() if epoch >= first} for seed, curve in curves.items()}
        for curves in rows
    ]


def _means(series: int, panel: int, curves: dict[int, dict[int, float]], alpha: float) -> list[Mark]:
    """Return the means of those epochs at which every seed has a value: a mean of survivors would flatter."""
    epochs = sorted(set().union(*curves.values())) if curves else []
    found = []
    for epoch in epochs:
        values = [curve[epoch] for curve in curves.values() if epoch in curve]
        if len(values) == len(curves):
            mean = mean_interval(values, alpha)
            found.append(Mark(series, epoch, mean.mean, mean.low, mean.high, panel, note=f"n = {mean.n}"))
    return found


def _by_seed(data: ChartData, panel: int, series: int) -> dict[str, tuple[list[float], list[float]]]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for _, one in data.in_panel(panel, "seed", series):
        if one.y is not None:
            x, y = found.setdefault(one.note.replace(" ", ""), ([], []))
            x.append(float(one.x))
            y.append(one.y)
    return found


plugin = LearningCurves()
