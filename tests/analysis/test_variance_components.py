"""The variance of crossed seeds: estimates by hand, and intervals against simulated tables."""

import numpy as np
import pytest

from actbench.analysis.statistics.variance_components import variance_components


def table(generator, shape, rows, columns, rest):
    draw = generator.normal
    return rows * draw(size=(shape[0], 1)) + columns * draw(size=(1, shape[1])) + rest * draw(size=shape)


def test_rows_and_columns_that_add_up_leave_nothing():
    rows, columns = np.array([0.0, 1.0, 5.0]), np.array([0.0, 2.0, 4.0, 9.0])
    found = variance_components(rows[:, None] + columns)

    assert found.rows.variance == pytest.approx(rows.var(ddof=1))
    assert found.columns.variance == pytest.approx(columns.var(ddof=1))
    assert found.rest.variance == pytest.approx(0, abs=1e-12)
    assert found.rows.share + found.columns.share + found.rest.share == pytest.approx(1)


def test_the_estimates_are_those_of_the_mean_squares():
    data = np.random.default_rng(3).normal(size=(4, 6))
    grand, of_rows, of_columns = data.mean(), data.mean(1), data.mean(0)
    ms_rows = 6 * ((of_rows - grand) ** 2).sum() / 3
    ms_columns = 4 * ((of_columns - grand) ** 2).sum() / 5
    rest = ((data - of_rows[:, None] - of_columns + grand) ** 2).sum() / 15
    found = variance_components(data)

    assert found.rest.variance == pytest.approx(rest)
    assert found.rows.variance == pytest.approx(max((ms_rows - rest) / 6, 0))
    assert found.columns.variance == pytest.approx(max((ms_columns - rest) / 4, 0))


@pytest.mark.parametrize(
    ("shape", "sds"), [((3, 5), (1.0, 0.5, 0.2)), ((6, 6), (0.0, 1.0, 1.0)), ((8, 4), (0.3, 0.3, 1))]
)
def test_the_intervals_hold_the_truth_as_often_as_they_say(shape, sds):
    generator, replicates = np.random.default_rng(len(shape) + shape[0]), 1500
    held = np.zeros(3)
    for _ in range(replicates):
        found = variance_components(table(generator, shape, *sds))
        for index, (part, sd) in enumerate(zip((found.rows, found.columns, found.rest), sds, strict=True)):
            held[index] += part.low <= sd**2 <= part.high

    assert (held / replicates).min() > 0.95 - 4 * (0.95 * 0.05 / replicates) ** 0.5
    assert (held / replicates).max() < 0.995


def test_the_unit_of_the_values_does_not_matter():
    data = np.random.default_rng(1).normal(size=(3, 3)) + 100
    one, huge = variance_components(data), variance_components(1e120 * data)

    assert huge.rows.high == pytest.approx(1e240 * one.rows.high)
    assert huge.rest.share == pytest.approx(one.rest.share)


def test_a_constant_table_has_no_variance_and_a_small_one_no_components():
    found = variance_components(np.full((3, 4), 0.7))

    assert (found.rows.variance, found.rest.high, found.rows.share) == (0.0, 0.0, 0.0)
    assert variance_components(np.ones((2, 9))) is None
    with pytest.raises(ValueError, match="finite numbers"):
        variance_components(np.array([[1.0, np.nan, 1.0]] * 3))
