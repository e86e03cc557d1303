"""How often the further tables, and hypotheses on how runs end, err on data whose truth is known.

    python -m benchmarks.calibration_further [--replicates 10000]

Every entry is a share of replicates with its Monte-Carlo standard error, √(p(1 − p) / replicates).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from actbench.analysis.statistics import max_t, share_interval, share_p, sign_flip_p
from actbench.analysis.statistics.blocks import all_pairs_p
from actbench.analysis.statistics.unpaired import Summary, welch_difference
from actbench.analysis.statistics.variance_components import variance_components
from benchmarks.calibration import print_table, shown

Floats = NDArray[np.float64]

ALPHA = 0.05
SIDES = (
    ((3, 1.0), (3, 1.0)),
    ((5, 1.0), (5, 1.0)),
    ((5, 1.0), (5, 4.0)),
    ((3, 4.0), (10, 1.0)),
    ((10, 1.0), (10, 1.0)),
)
"""n and standard deviation of each side."""
EFFECTS = (0.0, 1.0, 3.0)
"""True d."""
SHAPES = ((3, 3), (5, 5), (10, 5), (10, 10))
"""Seeds of the weights and of the batches."""
SOURCES = {"equal": (1.0, 1.0, 1.0), "weights alone": (1.0, 0.0, 0.2), "rest alone": (0.0, 0.0, 1.0)}
"""Standard deviations by weights, by batches and by the rest."""
BLOCKS, ROWS = (5, 6, 8, 12), 5
DATASETS = {"equal scatter": 0.0, "datasets scatter unequally": 1.0}
"""Standard deviation of the logarithm of a dataset's scatter."""
EFFECT = 1.5
"""What one row has over the others, in standard deviations of a difference over datasets of equal scatter."""


SHARES = (0.02, 0.1, 0.5, 0.9)
"""True shares of runs that diverge."""
ENDINGS = ("one combination", "two combinations of a seed alike", "two that differ")
"""How runs of two cells end where both have the same share."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--datasets-replicates", type=int, default=2000, help="for rows across datasets")
    arguments = parser.parse_args()
    print(f"{arguments.replicates:,} replicates an entry, each ± its Monte-Carlo standard error.\n")
    print_table(
        ("n and sd", "Welch's p < .05", "interval misses", "Student's pooled p < .05"), welch_rows(arguments.replicates)
    )
    print_table(("n", *(f"true d {effect:g}" for effect in EFFECTS)), effect_rows(arguments.replicates))
    print_table(("seeds", "truth", "weights", "batches", "rest"), component_rows(arguments.replicates))
    print(f"{arguments.datasets_replicates:,} replicates an entry.\n")
    head = ("datasets", "n", "false: to the baseline", "false: any pair", "true difference found")
    print_table(head, dataset_rows(arguments.datasets_replicates))
    print_table(
        ("share", "n", "bound: p < .05", "interval misses", "anytime, at any n"), bound_rows(arguments.replicates)
    )
    print_table(("runs", "n", "two cells: p < .05"), ending_rows(arguments.datasets_replicates))


def welch_rows(replicates: int) -> Iterator[list[str]]:
    """Rows of false findings and misses without any difference."""
    for sides in SIDES:
        shares = welch_errors(sides, replicates)
        words = " and ".join(f"{n} (sd {sd:g})" for n, sd in sides)
        yield [words, *(shown(share, replicates) for share in shares)]


def welch_errors(sides: tuple[tuple[int, float], tuple[int, float]], replicates: int) -> tuple[float, float, float]:
    """Shares of studies of equal sides where Welch finds a difference, his interval misses 0, or Student finds one."""
    import scipy.stats

    generator = np.random.default_rng(replicates)
    found = misses = pooled = 0
    for _ in range(replicates):
        values = [sd * generator.normal(size=n) for n, sd in sides]
        one = welch_difference(*map(summary, values))
        found += one.p is not None and one.p < ALPHA
        misses += one.low is not None and one.high is not None and not one.low <= 0 <= one.high
        pooled += bool(scipy.stats.ttest_ind(*values).pvalue < ALPHA)
    return found / replicates, misses / replicates, pooled / replicates


def effect_rows(replicates: int) -> Iterator[list[str]]:
    """Rows of how often the interval of d holds the true one."""
    for n in (3, 5, 10, 30):
        yield [f"{n} and {n}", *(shown(effect_coverage(n, effect, replicates), replicates) for effect in EFFECTS)]


def effect_coverage(n: int, effect: float, replicates: int) -> float:
    """Share of studies in which the interval of Cohen's d holds the true d."""
    generator = np.random.default_rng(n)
    held = 0
    for _ in range(replicates):
        one = welch_difference(summary(generator.normal(size=n) + effect), summary(generator.normal(size=n)))
        held += one.d_low is not None and one.d_high is not None and one.d_low <= effect <= one.d_high
    return held / replicates


def component_rows(replicates: int) -> Iterator[list[str]]:
    """Rows of how often the interval of each component holds the true variance."""
    for shape in SHAPES:
        for words, sds in SOURCES.items():
            shares = component_coverage(shape, sds, replicates)
            yield [f"{shape[0]} × {shape[1]}", words, *(shown(share, replicates) for share in shares)]


def component_coverage(shape: tuple[int, int], sds: tuple[float, float, float], replicates: int) -> list[float]:
    """Shares of studies in which the interval of each component holds the true variance."""
    generator = np.random.default_rng(sum(shape))
    held = np.zeros(3)
    for _ in range(replicates):
        rows, columns = generator.normal(size=(shape[0], 1)), generator.normal(size=(1, shape[1]))
        found = variance_components(sds[0] * rows + sds[1] * columns + sds[2] * generator.normal(size=shape), ALPHA)
        assert found is not None
        parts = (found.rows, found.columns, found.rest)
        held += [part.low <= sd**2 <= part.high for part, sd in zip(parts, sds, strict=True)]
    return [float(share) for share in held / replicates]


def bound_rows(replicates: int) -> Iterator[list[str]]:
    """Rows of how often a bound that equals the true share is called wrong."""
    for share in SHARES:
        for n in (5, 10, 36):
            yield [f"{share:g}", str(n), *(shown(one, replicates) for one in bound_errors(share, n, replicates))]


def bound_errors(share: float, n: int, replicates: int) -> tuple[float, float, float]:
    """Shares of studies with p < .05, with an interval that misses the truth, and with anytime p < .05 at any look."""
    generator = np.random.default_rng(n)
    runs = generator.random((replicates, n)) < share
    counts = runs.cumsum(axis=1)
    p = np.array([share_p(count, n, share) < ALPHA for count in range(n + 1)])
    ends = [share_interval(count, n, ALPHA) for count in range(n + 1)]
    misses = np.array([not low <= share <= high for low, high in ends])
    looks = [
        np.array([share_p(count, size, share, anytime=True) < ALPHA for count in range(size + 1)])[counts[:, size - 1]]
        for size in range(3, n + 1)
    ]
    last = counts[:, -1]
    return float(p[last].mean()), float(misses[last].mean()), float(np.any(looks, axis=0).mean())


def ending_rows(replicates: int) -> Iterator[list[str]]:
    """Return rows that say how often two cells with the same true share are told apart."""
    for words in ENDINGS:
        for n in (6, 10, 20):
            yield [words, str(n), shown(ending_errors(words, n, replicates), replicates)]


def ending_errors(words: str, n: int, replicates: int) -> float:
    """Share of studies in which p < .05 for two cells of which as many runs diverge, paired by seed.

    In half of the seeds both cells end alike, since they share weights and batches.
    """
    generator = np.random.default_rng(n)
    shape = (replicates, n, 1 if words == ENDINGS[0] else 2)
    rates = np.array([0.5, 0.5] if words != ENDINGS[2] else [0.2, 0.8])[: shape[2]]
    common = generator.random(shape)
    draws = [np.where(generator.random(shape) < 0.5, common, generator.random(shape)) for _ in range(2)]
    if words == ENDINGS[1]:
        draws = [np.broadcast_to(one[:, :, :1], shape) for one in draws]
    # What the one cell does in the first combination, the other does in the second, so that both have the same mean.
    left, right = draws[0] < rates, draws[1] < rates[::-1]
    differences = (left.astype(float) - right).mean(axis=2)
    return float(np.mean([sign_flip_p(one) < ALPHA for one in differences]))


def dataset_rows(replicates: int) -> Iterator[list[str]]:
    """Rows of false and true findings across datasets."""
    for words, spread in DATASETS.items():
        for blocks in BLOCKS:
            shares = dataset_errors(blocks, spread, replicates)
            yield [words, str(blocks), *(shown(share, replicates) for share in shares)]


def dataset_errors(blocks: int, spread: float, replicates: int) -> tuple[float, float, float]:
    """Shares of tables in which a difference to the baseline, or any, is found where none is; and where one is."""
    generator = np.random.default_rng(blocks)
    to_baseline = any_pair = found = 0
    for _ in range(replicates):
        scatter = np.exp(spread * generator.normal(size=(blocks, 1)))
        table = scatter * generator.normal(size=(blocks, ROWS))
        to_baseline += any(p is not None and p < ALPHA for p in max_t(table[:, 1:] - table[:, :1]))
        any_pair += any(p is not None and p < ALPHA for p in all_pairs_p(table).values())
        better = table[:, 1:] - table[:, :1]
        better[:, 0] += EFFECT * 2**0.5
        p = max_t(better)[0]
        found += p is not None and p < ALPHA
    return to_baseline / replicates, any_pair / replicates, found / replicates


def summary(values: Floats) -> Summary:
    return Summary(float(values.mean()), float(values.std(ddof=1)), len(values))


if __name__ == "__main__":
    main()
