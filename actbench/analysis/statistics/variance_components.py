"""What moves a result: the variance of crossed factors, such as the seed of the weights and that of the batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.samples import Floats, checked, size, varies


@dataclass(frozen=True)
class Component:
    """One part of the variance.

    Args:
        variance: Its estimate, at least 0.
        low: Lower end of its interval, at least 0.
        high: Upper end.
        share: The estimate over the sum of all; 0 where nothing varies.
    """

    variance: float
    low: float
    high: float
    share: float


@dataclass(frozen=True)
class VarianceComponents:
    """The variance of a table of values, by rows, columns, and what is left.

    Args:
        rows: Of the rows' effects.
        columns: Of the columns' effects.
        rest: What neither explains: their interaction, and chance within a cell.
        shape: (rows, columns) of the table.
    """

    rows: Component
    columns: Component
    rest: Component
    shape: tuple[int, int]


def variance_components(table: Floats, alpha: float = 0.05) -> VarianceComponents | None:
    """Split the variance of a table with one value in each cell: y_ij = μ + row_i + column_j + rest_ij.

    From the mean squares of the two-way analysis of variance, with I rows and J columns: the rest is MS_rest, that of
    the rows (MS_rows − MS_rest)/J, that of the columns (MS_columns − MS_rest)/I, each at least 0. The interval of the
    rest is that of χ²; the others are modified large-sample intervals of a difference of mean squares, which hold the
    truth in .94 to .98 of cases for normal effects (``docs/statistics.md``). Few rows leave wide intervals: with five,
    the upper end is about eight times the estimate.

    Args:
        table: (I, J), finite; at least three rows and three columns.
        alpha: One minus the coverage of each interval.

    Returns:
        The components; None for a smaller table.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    Reference: Burdick and Graybill (1992), Confidence Intervals on Variance Components, chapters 3 and 5.

    >>> found = variance_components(np.array([[1.0, 1.1, 1.2], [2.0, 2.1, 2.2], [4.0, 4.1, 4.2]]))
    >>> round(found.rows.variance, 3), round(found.columns.variance, 3), round(found.rest.variance, 3)
    (2.333, 0.01, 0.0)
    """
    data = checked(table)
    count, width = data.shape
    if min(count, width) < MIN_VALUES:
        return None
    scale = size(data)
    if not varies(data, scale):
        nothing = Component(0.0, 0.0, 0.0, 0.0)
        return VarianceComponents(nothing, nothing, nothing, (count, width))
    data = data / scale
    mean, of_rows, of_columns = data.mean(), data.mean(axis=1), data.mean(axis=0)
    left = data - of_rows[:, None] - of_columns + mean
    freedom = (count - 1) * (width - 1)
    ms_rows, ms_columns = width * float(of_rows.var(ddof=1)), count * float(of_columns.var(ddof=1))
    ms_rest = float(np.square(left).sum()) / freedom

    rest = (ms_rest, *_scaled_interval(ms_rest, freedom, alpha))
    rows = _difference(ms_rows, count - 1, ms_rest, freedom, alpha, width)
    columns = _difference(ms_columns, width - 1, ms_rest, freedom, alpha, count)
    total = rows[0] + columns[0] + rest[0]

    def part(estimate: float, low: float, high: float) -> Component:
        return Component(scale**2 * estimate, scale**2 * low, scale**2 * high, estimate / total)

    return VarianceComponents(part(*rows), part(*columns), part(*rest), (count, width))


def _scaled_interval(mean_square: float, freedom: int, alpha: float) -> tuple[float, float]:
    from scipy.special import chdtri

    return (
        mean_square * freedom / float(chdtri(freedom, alpha / 2)),
        mean_square * freedom / float(chdtri(freedom, 1 - alpha / 2)),
    )


def _difference(
    larger: float, freedom: int, rest: float, rest_freedom: int, alpha: float, replicates: int
) -> tuple[float, float, float]:
    """Return the estimate (larger − rest)/replicates, and the ends of its modified large-sample interval.

    The interval is the estimate ± the root of a quadratic form in the two mean squares, whose coefficients make it
    exact where one of the two is 0, and where the estimate is.
    """
    from scipy.special import chdtri, fdtri

    def over(freedom: int, upper: float) -> float:  # the quantile of χ²/freedom with this chance above
        return float(chdtri(freedom, upper)) / freedom

    tail = alpha / 2
    g1, h1 = 1 - 1 / over(freedom, tail), 1 / over(freedom, 1 - tail) - 1
    g2, h2 = 1 - 1 / over(rest_freedom, tail), 1 / over(rest_freedom, 1 - tail) - 1
    f_high, f_low = float(fdtri(freedom, rest_freedom, 1 - tail)), float(fdtri(freedom, rest_freedom, tail))
    g12 = ((f_high - 1) ** 2 - g1**2 * f_high**2 - h2**2) / f_high
    h12 = ((1 - f_low) ** 2 - h1**2 * f_low**2 - g2**2) / f_low
    estimate = larger - rest
    below = g1**2 * larger**2 + h2**2 * rest**2 + g12 * larger * rest
    above = h1**2 * larger**2 + g2**2 * rest**2 + h12 * larger * rest
    low, high = estimate - max(below, 0.0) ** 0.5, estimate + max(above, 0.0) ** 0.5
    return max(estimate, 0.0) / replicates, max(low, 0.0) / replicates, max(high, 0.0) / replicates
