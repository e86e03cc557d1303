"""How often intervals miss and tests err, on data whose truth is known: the tables of docs/statistics.md.

    python benchmarks/calibration.py [--replicates 10000]

Every entry is a share of replicates with its Monte-Carlo standard error, √(p(1 − p) / replicates).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from actbench.analysis.statistics import (
    chance_of_more,
    family_p,
    holm,
    interaction_p,
    max_t,
    mean_interval,
    prediction_interval,
    t_p,
    two_stage_ends,
    two_stage_p,
    two_stage_size,
    wilson_interval,
)
from actbench.analysis.statistics.anytime import anytime_t
from actbench.analysis.statistics.sign_flips import sign_patterns

Floats = NDArray[np.float64]

ALPHA = 0.05
DEPTH = 20.0
"""How far below the others a collapsed run ends, in standard deviations of a run."""

CONTRASTS = 6
"""Seven methods: a baseline and six others."""

LEVELS = (6, 2)
"""The interaction's table: six activations, two biases."""

EFFECT = 1.5
"""d of the one true difference: its mean over the standard deviation of paired differences, equal variances."""


@dataclass(frozen=True)
class World:
    """How runs vary. What all runs of a seed share leaves no trace in paired differences, so it is not drawn.

    Args:
        noisy: Standard deviation of the last cell; the others have 1.
        collapse: Chance that a run collapses.
        better: What the second cell has over the others, in standard deviations of a run.
        zeros: Chance that a run is exactly 0; the others are then positive, as shares of dead units are.
    """

    noisy: float = 1.0
    collapse: float = 0.0
    better: float = 0.0
    zeros: float = 0.0

    def draw(self, replicates: int, seeds: int, cells: int) -> Floats:
        """Runs, (replicates, seeds, cells); every cell's true mean is 0, but for ``better`` and collapses."""
        generator = np.random.default_rng(seeds)
        sds = np.append(np.ones(cells - 1), self.noisy)
        own = sds * generator.normal(size=(replicates, seeds, cells))
        collapsed = generator.random(size=(replicates, seeds, cells)) < self.collapse
        if self.zeros:
            own = np.where(generator.random(size=own.shape) < self.zeros, 0.0, np.abs(own))
        runs: Floats = own - DEPTH * collapsed + self.better * (np.arange(cells) == 1)
        return runs


WORLDS = {
    "equal variances": World(),
    "one cell 4 × noisier": World(noisy=4.0),
    "5 % of runs collapse": World(collapse=0.05),
    "both": World(noisy=4.0, collapse=0.05),
}

SHARES = World(zeros=0.5)

PAIRS = {
    "one row with 3 pairs of 6": (6, 6, 6, 6, 6, 3),
    "one row with 3 pairs of 10": (10, 10, 10, 10, 10, 3),
    "half with 5 pairs of 10": (10, 10, 10, 5, 5, 5),
    "all but one with 5 pairs of 10": (10, 5, 5, 5, 5, 5),
    "7 to 12 pairs": (12, 11, 10, 9, 8, 7),
}
"""Pairs of each contrast."""

PILOTS, WIDTHS = (3, 5, 8), (0.3, 0.6, 1.0)
"""Seeds of a first stage; wanted half-widths, in standard deviations of a paired difference."""

SPREADS = (1.0, 0.5, 0.25)
"""Standard deviations of the paired differences of a table's rows."""

LOOKS = 30
"""Most seeds of a study that is looked at after each one."""

ADDED = 500
"""Seeds beyond which those who add them one by one have all stopped."""

CASES = (0.0, 0.7)
"""True means of the paired differences over their standard deviation."""

RELATIVE_WIDTHS = (3, 4, 5, 8, 10, 20, 30)
"""Seeds at which the anytime interval is compared to Student's."""

BETS = (1.0, 2.0, 4.0, 8.0, 50.0)
"""Variances of the effects over which the anytime test spreads its bet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--mixed-replicates", type=int, default=2000, help="for rows with different numbers of pairs")
    arguments = parser.parse_args()
    replicates, mixed = arguments.replicates, arguments.mixed_replicates
    print(f"{replicates:,} replicates an entry, each ± its Monte-Carlo standard error.\n")
    print_table(("values", "n", *INTERVALS), coverage_rows(replicates))
    print_table(("runs", "seeds", *FAMILIES), family_rows(replicates, better=0.0))
    print_table(("runs", "seeds", *FAMILIES), family_rows(replicates, better=EFFECT * math.sqrt(2)))
    print_table(("runs", "seeds", *INTERACTIONS), interaction_rows(replicates))
    print(f"{mixed:,} replicates an entry.\n")
    print_table(("runs", "pairs", *MIXED), mixed_rows(mixed, better=0.0))
    print_table(("runs", "pairs", *MIXED), mixed_rows(mixed, better=EFFECT * math.sqrt(2)))
    many = 4 * replicates
    print(f"{many:,} replicates an entry.\n")
    print_table(("first seeds", "±", *WIDTH_RULES, "mean N", "largest N of 99 %"), width_rows(many))
    print_table(("first seeds", *(f"sd {one:g}" for one in SPREADS), "any star", "by t of all N"), table_rows(many))
    print_table(("differences", "looks", *SEQUENCES), look_rows(many))
    print_table(("looks", "anytime", "paired t"), star_rows(many))
    print_table(("g", "ever missed", *(f"width at {n}" for n in RELATIVE_WIDTHS)), bet_rows(many))
    print(f"{replicates:,} replicates an entry.\n")
    print_table(("values", "n", "t", "mean ± 2 sd", "range"), prediction_rows(replicates))
    print_table(("differences", "d", "n", *CHANCES), chance_rows(replicates))


def print_table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def shown(share: float, replicates: int) -> str:
    return f"{share:.3f} ± {math.sqrt(share * (1 - share) / replicates):.3f}"


def coverage_rows(replicates: int) -> Iterator[list[str]]:
    for name, collapse in (("normal", 0.0), ("5 % of runs collapse", 0.05)):
        for n in (3, 5, 10, 20):
            shares = [coverage(interval, n, collapse, replicates) for interval in INTERVALS.values()]
            yield [name, str(n), *(shown(share, replicates) for share in shares)]


def family_rows(replicates: int, better: float) -> Iterator[list[str]]:
    measured = family_wise_error if better == 0 else power
    for name, world in WORLDS.items():
        for seeds in (5, 6, 8, 10):
            own = replace(world, better=better)
            shares = [measured(family, own, seeds, replicates) for family in FAMILIES.values()]
            yield [name, str(seeds), *(shown(share, replicates) for share in shares)]


def interaction_rows(replicates: int) -> Iterator[list[str]]:
    for name, world in WORLDS.items():
        for seeds in (6, 8, 10):
            shares = [interaction_error(test, world, seeds, replicates) for test in INTERACTIONS.values()]
            yield [name, str(seeds), *(shown(share, replicates) for share in shares)]


def mixed_rows(replicates: int, better: float) -> Iterator[list[str]]:
    for name, world in {**WORLDS, "half of the runs are 0": SHARES}.items():
        own = replace(world, better=better)
        for words, pairs in PAIRS.items():
            found = mixed(own, pairs, replicates)
            shares = [
                float((ps < ALPHA).any(axis=1).mean() if better == 0 else (ps < ALPHA)[:, 0].mean())
                for ps in (family(found) for family in MIXED.values())
            ]
            yield [name, words, *(shown(share, replicates) for share in shares)]


def mixed(world: World, pairs: Sequence[int], replicates: int) -> Floats:
    """Differences, (replicates, seeds, contrasts), NaN where a contrast lacks a seed: a different one in each row."""
    found = differences(world.draw(replicates, max(pairs), len(pairs) + 1))
    for index, count in enumerate(pairs):
        missing = [(index + step) % max(pairs) for step in range(max(pairs) - count)]
        found[:, missing, index] = np.nan
    return found


def coverage(interval: Callable[[Floats], Floats], n: int, collapse: float, replicates: int) -> float:
    """Share of intervals of the mean of n runs that hold the true mean."""
    ends = interval(World(collapse=collapse).draw(replicates, n, 1)[:, :, 0])
    truth = -DEPTH * collapse
    return float(((ends[0] <= truth) & (truth <= ends[1])).mean())


def family_wise_error(family: Callable[[Floats], Floats], world: World, seeds: int, replicates: int) -> float:
    """Share of tables without any true difference in which one is found."""
    return float((family(world.draw(replicates, seeds, CONTRASTS + 1)) < ALPHA).any(axis=1).mean())


def power(family: Callable[[Floats], Floats], world: World, seeds: int, replicates: int) -> float:
    """Share of tables in which the one true difference is found."""
    return float((family(world.draw(replicates, seeds, CONTRASTS + 1)) < ALPHA)[:, 0].mean())


def interaction_error(test: Callable[[Floats], Floats], world: World, seeds: int, replicates: int) -> float:
    """Share of tables without an interaction in which one is found."""
    runs = world.draw(replicates, seeds, math.prod(LEVELS))
    return float((test(runs.reshape(replicates, seeds, *LEVELS)) < ALPHA).mean())


def draw_differences(kind: str, shape: tuple[int, ...]) -> Floats:
    """Paired differences of standard deviation 1 (but for collapses) and mean 0."""
    generator = np.random.default_rng(len(kind) + sum(shape))
    found: Floats
    if kind == "normal":
        found = generator.normal(size=shape)
    elif kind == "heavy tails":
        found = generator.standard_t(3, size=shape) / math.sqrt(3)
    elif kind == "lop-sided":
        found = generator.exponential(size=shape) - 1
    else:  # either run of a pair collapses in 5 % of cases
        fallen = (generator.random((2, *shape)) < 0.05).astype(float)
        found = generator.normal(size=shape) + DEPTH / math.sqrt(2) * (fallen[0] - fallen[1])
    return found


def width_rows(replicates: int) -> Iterator[list[str]]:
    for pilot in PILOTS:
        for width in WIDTHS:
            found = {name: rule(pilot, width, replicates) for name, rule in WIDTH_RULES.items()}
            sizes = found["Stein"][1]
            counts = (f"{sizes.mean():.0f}", f"{np.quantile(sizes, 0.99):.0f}")
            yield [
                str(pilot),
                f"{width:g}",
                *(shown(float(held.mean()), replicates) for held, _ in found.values()),
                *counts,
            ]


def stein(pilot: int, width: float, replicates: int) -> tuple[Floats, Floats]:
    """Whether each study's interval holds the truth, and its number of seeds: the two-stage rule."""
    held, sizes, _ = two_stages(pilot, width, replicates)
    return held, sizes


def t_of_all(pilot: int, width: float, replicates: int) -> tuple[Floats, Floats]:
    """The same studies with Student's interval of all their values, as if N had been fixed."""
    _, sizes, held = two_stages(pilot, width, replicates)
    return held, sizes


@cache
def two_stages(pilot: int, width: float, replicates: int) -> tuple[Floats, Floats, Floats]:
    generator = np.random.default_rng(pilot)
    first = generator.normal(size=(replicates, pilot))
    sds, sizes = first.std(axis=1, ddof=1), np.empty(replicates)
    by_stein, by_student = np.empty(replicates, bool), np.empty(replicates, bool)
    for index, (values, sd) in enumerate(zip(first, sds, strict=True)):
        size = two_stage_size(float(sd), pilot, width, ALPHA)
        everything = np.concatenate([values, generator.normal(size=size - pilot)])
        low, high = two_stage_ends(float(everything.mean()), float(sd), pilot, size, ALPHA)
        sizes[index], by_stein[index] = size, low <= 0 <= high
        half = scipy.special.stdtrit(size - 1, 1 - ALPHA / 2) * everything.std(ddof=1) / math.sqrt(size)
        by_student[index] = abs(everything.mean()) <= half
    return by_stein, sizes, by_student


def one_by_one(pilot: int, width: float, replicates: int) -> tuple[Floats, Floats]:
    """Seeds are added singly until Student's interval of all of them is as narrow as wanted."""
    held, sizes = [], []
    for part in range(0, replicates, 1000):
        count = min(1000, replicates - part)
        values = np.random.default_rng((pilot, part)).normal(size=(count, ADDED))
        ns = np.arange(1, ADDED + 1)
        means = values.cumsum(axis=1) / ns
        spread = np.sqrt(np.maximum(np.square(values).cumsum(axis=1) - ns * means**2, 0) / np.maximum(ns - 1, 1))
        halves = scipy.special.stdtrit(np.maximum(ns - 1, 1), 1 - ALPHA / 2) * spread / np.sqrt(ns)
        stop = pilot - 1 + np.argmax(halves[:, pilot - 1 :] < width, axis=1)
        at = (np.arange(count), stop)
        held.append(np.abs(means[at]) <= halves[at])
        sizes.append(stop + 1)
    return np.concatenate(held), np.concatenate(sizes)


def two_stage_error(pilot: int, width: float, replicates: int) -> float:
    """Share of studies without a difference in which the two-stage test at level ALPHA finds one."""
    generator, found = np.random.default_rng(pilot), 0
    for _ in range(replicates):
        first = generator.normal(size=pilot)
        sd = float(first.std(ddof=1))
        size = two_stage_size(sd, pilot, width, ALPHA)
        mean = float(np.concatenate([first, generator.normal(size=size - pilot)]).mean())
        found += two_stage_p(mean, sd, pilot, size) < ALPHA
    return found / replicates


def table_rows(replicates: int) -> Iterator[list[str]]:
    for pilot in PILOTS:
        held, found, by_t = two_stage_tables(pilot, replicates)
        shares = [*held.mean(axis=0), found.mean(), by_t.mean()]
        yield [str(pilot), *(shown(float(share), replicates) for share in shares)]


def two_stage_tables(pilot: int, replicates: int) -> tuple[Floats, Floats, Floats]:
    """Tables without a difference, whose rows have the standard deviations SPREADS: the widest row chooses N for all.

    Returns:
        Whether each row's interval holds the truth, (replicates, rows); whether any row has a star, by the two-stage
        test with Holm's method, and by the usual t test with it.
    """
    generator, scale = np.random.default_rng(pilot), np.array(SPREADS)
    held = np.empty((replicates, len(SPREADS)), bool)
    found, by_t = np.empty(replicates, bool), np.empty(replicates, bool)
    for index in range(replicates):
        first = draw_table(generator, pilot, scale)
        sds = first.std(axis=0, ddof=1)
        size = max(two_stage_size(float(sd), pilot, 0.6, ALPHA) for sd in sds)
        everything = np.concatenate([first, draw_table(generator, size - pilot, scale)])
        means = everything.mean(axis=0)
        ends = [two_stage_ends(float(m), float(sd), pilot, size, ALPHA) for m, sd in zip(means, sds, strict=True)]
        held[index] = [low <= 0 <= high for low, high in ends]
        ps = [two_stage_p(float(mean), float(sd), pilot, size) for mean, sd in zip(means, sds, strict=True)]
        found[index] = min(holm(ps)) < ALPHA
        by_t[index] = min(holm([t_p(column) for column in everything.T])) < ALPHA
    return held, found, by_t


def draw_table(generator: np.random.Generator, seeds: int, scale: Floats) -> Floats:
    """Differences to one baseline, (seeds, rows), half of whose variance is the baseline's."""
    shared, own = generator.normal(size=(seeds, 1)), generator.normal(size=(seeds, len(scale)))
    found: Floats = scale * (shared + own) / math.sqrt(2)
    return found


def starred_ever(factor: Callable[[int, float], float], first: int, replicates: int) -> float:
    """Share of tables without a difference in which a row has a star at any look, by Holm's method over CONTRASTS.

    Args:
        factor: n, level -> |t| from which on a single difference is found.
        first: Seeds at the first look.
        replicates: Number of tables.
    """
    data = differences(World().draw(replicates, LOOKS, CONTRASTS + 1))
    found = np.zeros(replicates, bool)
    for n in range(first, LOOKS + 1):
        seen = data[:, :n]
        ts = np.abs(seen.mean(axis=1)) / seen.std(axis=1, ddof=1) * math.sqrt(n)
        found |= ts.max(axis=1) > factor(n, ALPHA / CONTRASTS)
    return float(found.mean())


def star_rows(replicates: int) -> Iterator[list[str]]:
    for first in (3, 5):
        shares = [starred_ever(factor, first, replicates) for factor in (anytime_t, student_t)]
        yield [f"{first} to {LOOKS}", *(shown(share, replicates) for share in shares)]


def student_t(n: int, alpha: float) -> float:
    return float(scipy.special.stdtrit(n - 1, 1 - alpha / 2))


def look_rows(replicates: int) -> Iterator[list[str]]:
    for kind in KINDS:
        for first in (3, 5):
            shares = [ever_missed(ends, kind, first, replicates) for ends in SEQUENCES.values()]
            yield [kind, f"{first} to {LOOKS}", *(shown(share, replicates) for share in shares)]


def ever_missed(factor: Callable[[int], float], kind: str, first: int, replicates: int) -> float:
    """Share of studies of which an interval misses the true mean at any look from ``first`` to LOOKS seeds.

    Args:
        factor: n -> half-width of the interval over the standard error.
        kind: How differences vary.
        first: Seeds at the first look.
        replicates: Number of studies.
    """
    data = draw_differences(kind, (replicates, LOOKS))
    missed = np.zeros(replicates, bool)
    for n in range(first, LOOKS + 1):
        seen = data[:, :n]
        missed |= np.abs(seen.mean(axis=1)) > factor(n) * seen.std(axis=1, ddof=1) / math.sqrt(n)
    return float(missed.mean())


def bet_rows(replicates: int) -> Iterator[list[str]]:
    for variance in BETS:
        factor = partial(anytime_t, alpha=ALPHA, effect_variance=variance)
        missed = shown(ever_missed(factor, "normal", 3, replicates), replicates)
        widths = (factor(n) / student_factor(n) for n in RELATIVE_WIDTHS)
        yield [f"{variance:g}", missed, *("none" if math.isinf(width) else f"{width:.2f}" for width in widths)]


def prediction_rows(replicates: int) -> Iterator[list[str]]:
    for kind in KINDS:
        for n in (3, 5, 10, 20):
            data = draw_differences(kind, (replicates, n + 1))
            shares = [predicted(ends, data) for ends in PREDICTIONS]
            yield [kind, str(n), *(shown(share, replicates) for share in shares)]


def predicted(ends: Callable[[Floats], tuple[float, float]], data: Floats) -> float:
    """Share of studies, (replicates, n + 1), in which the ends of n values hold the next one."""
    found = np.array([ends(row[:-1]) for row in data])
    return float(((found[:, 0] <= data[:, -1]) & (data[:, -1] <= found[:, 1])).mean())


def two_sds(values: Floats) -> tuple[float, float]:
    return float(values.mean() - 2 * values.std(ddof=1)), float(values.mean() + 2 * values.std(ddof=1))


def full_range(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def chance_rows(replicates: int) -> Iterator[list[str]]:
    for kind in KINDS:
        for mean in CASES:
            for n in (3, 5, 10, 20):
                shares = [chance_coverage(ends, kind, mean, n, replicates) for ends in CHANCES.values()]
                yield [kind, f"{mean:g}", str(n), *(shown(share, replicates) for share in shares)]


def chance_coverage(ends: Callable[[Floats], Floats], kind: str, mean: float, n: int, replicates: int) -> float:
    """Share of studies in which the interval of the chance of a win holds the true one."""
    truth = float((draw_differences(kind, (300_000,)) + mean > 0).mean())
    low, high = ends(draw_differences(kind, (replicates, n)) + mean)
    return float(((low <= truth) & (truth <= high)).mean())


def counted(data: Floats) -> Floats:
    """Ends of the intervals of P(d > 0), (2, replicates), like the others below."""
    found = [chance_of_more(row, ALPHA) for row in data]
    return np.array([[one.low for one in found], [one.high for one in found]])


def by_wilson(data: Floats) -> Floats:
    return np.array([wilson_interval(int((row > 0).sum()), len(row), ALPHA) for row in data]).T


def normal_model(data: Floats) -> Floats:
    """Φ of the ends of mean/sd that the noncentral t distribution gives, by bisection."""
    n = data.shape[1]
    nodes, weights = np.polynomial.legendre.leggauss(60)
    deviations = np.sqrt(2 * scipy.special.gammaincinv((n - 1) / 2, (nodes + 1) / 2) / (n - 1))
    ts = data.mean(axis=1) / data.std(axis=1, ddof=1) * math.sqrt(n)
    ends = []
    for level in (1 - ALPHA / 2, ALPHA / 2):
        low, high = np.full(ts.shape, -300.0), np.full(ts.shape, 300.0)
        for _ in range(40):
            middle = (low + high) / 2
            below = scipy.special.ndtr(ts[:, None] * deviations - middle[:, None]) @ weights / 2
            low, high = np.where(below > level, middle, low), np.where(below > level, high, middle)
        ends.append(scipy.special.ndtr((low + high) / 2 / math.sqrt(n)))
    return np.array(ends)


def anytime_factor(n: int) -> float:
    return anytime_t(n, ALPHA)


def student_factor(n: int) -> float:
    return student_t(n, ALPHA)


def student(data: Floats) -> Floats:
    """Ends of the intervals, (2, replicates), like the others below."""
    found = [mean_interval(list(row), ALPHA) for row in data]
    return np.array([[one.low for one in found], [one.high for one in found]], dtype=np.float64)


def normal_z(data: Floats) -> Floats:
    return around(data, float(scipy.stats.norm.isf(ALPHA / 2)) / math.sqrt(data.shape[1]))


def one_sd(data: Floats) -> Floats:
    return around(data, 1.0)


def around(data: Floats, factor: float) -> Floats:
    mean, half = data.mean(axis=1), factor * data.std(axis=1, ddof=1)
    return np.array([mean - half, mean + half])


def percentile_bootstrap(data: Floats) -> Floats:
    return bootstrap(data, "percentile")


def bca_bootstrap(data: Floats) -> Floats:
    return bootstrap(data, "BCa")


def bootstrap(data: Floats, method: str) -> Floats:
    options = {"axis": -1, "n_resamples": 2000, "batch": 50, "confidence_level": 1 - ALPHA, "method": method}
    found = scipy.stats.bootstrap((data,), np.mean, rng=np.random.default_rng(0), **options).confidence_interval
    return np.array([found.low, found.high])


def differences(runs: Floats) -> Floats:
    """To the baseline, the first cell: (replicates, seeds, CONTRASTS)."""
    return runs[:, :, 1:] - runs[:, :, :1]


def unadjusted(runs: Floats) -> Floats:
    """One p for each contrast, (replicates, CONTRASTS), like the others below."""
    return np.array([[t_p(column) for column in table.T] for table in differences(runs)], dtype=np.float64)


def holm_t(runs: Floats) -> Floats:
    return np.array([holm(list(ps)) for ps in unadjusted(runs)])


def westfall_young(runs: Floats) -> Floats:
    return np.array([max_t(table) for table in differences(runs)], dtype=np.float64)


def house_rule(runs: Floats) -> Floats:
    return np.array([family_p(table) for table in differences(runs)], dtype=np.float64)


def rule_for_values(tables: Floats) -> Floats:
    """One p for each contrast, (replicates, contrasts), of differences with gaps, like the others below."""
    return np.array([family_p(table) for table in tables], dtype=np.float64)


def rule_for_shares(tables: Floats) -> Floats:
    return np.array([family_p(table, "sign-flip") for table in tables], dtype=np.float64)


def holm_for_all(tables: Floats) -> Floats:
    single = [[t_p(column[~np.isnan(column)]) for column in table.T] for table in tables]
    return np.array([holm([1.0 if p is None else p for p in ps]) for ps in single])


def largest_t(tables: Floats) -> Floats:
    """Max-T by |t| alone, as in Westfall and Young's book; a missing seed is a difference of 0 that no flip changes."""
    return np.array([_largest_t(table) for table in tables])


def _largest_t(table: Floats) -> Floats:
    filled, counts = np.nan_to_num(table), (~np.isnan(table)).sum(axis=0)
    sums = sign_patterns(len(table)) @ filled
    squares = np.minimum(np.square(sums) / np.maximum(counts * np.square(filled).sum(axis=0), 1e-300), 1.0)
    scores = (counts - 1) * squares / (1 + (counts - 2) * squares)  # t² / (1 + t²), (patterns, contrasts)
    order = np.argsort(scores[0])
    largest = np.maximum.accumulate(scores[:, order], axis=1)
    ps = np.empty(len(order))
    ps[order] = np.maximum.accumulate((largest >= scores[0, order] - 1e-12).mean(axis=0)[::-1])[::-1]
    return ps


def holm_wilcoxon(runs: Floats) -> Floats:
    ps = scipy.stats.wilcoxon(differences(runs), axis=1, method="exact").pvalue
    return np.array([holm(list(row)) for row in ps])


def dunnett(runs: Floats) -> Floats:
    """Unpaired and with one pooled variance, by the simulated null distribution of its largest |t|."""
    null = null_of_dunnett(runs.shape[1])
    ps: Floats = 1 - np.searchsorted(null, pooled_t(runs)) / len(null)
    return ps


def pooled_t(runs: Floats) -> Floats:
    means, pooled = runs.mean(axis=1), runs.var(axis=1, ddof=1).mean(axis=1, keepdims=True)
    ts: Floats = np.abs(means[:, 1:] - means[:, :1]) / np.sqrt(2 * pooled / runs.shape[1])
    return ts


@cache
def null_of_dunnett(seeds: int) -> Floats:
    normal = np.random.default_rng(2).normal(size=(100_000, seeds, CONTRASTS + 1))
    return np.sort(pooled_t(normal).max(axis=1))


def sign_flips(runs: Floats) -> Floats:
    """One p for each table, (replicates,)."""
    return np.array([interaction_p(table) for table in runs], dtype=np.float64)


def anova(runs: Floats) -> Floats:
    """Repeated measures: interaction over interaction × seed."""
    _, seeds, rows, columns = runs.shape
    own = runs - runs.mean(axis=3, keepdims=True) - runs.mean(axis=2, keepdims=True)
    own += runs.mean(axis=(2, 3), keepdims=True)
    effect = own.mean(axis=1, keepdims=True)
    freedom = (rows - 1) * (columns - 1)
    explained = seeds * np.square(effect).sum(axis=(1, 2, 3)) / freedom
    rest = np.square(own - effect).sum(axis=(1, 2, 3)) / (freedom * (seeds - 1))
    ps: Floats = scipy.stats.f.sf(explained / rest, freedom, freedom * (seeds - 1))
    return ps


INTERVALS = {
    "Student t": student,
    "z": normal_z,
    "percentile bootstrap": percentile_bootstrap,
    "BCa bootstrap": bca_bootstrap,
    "mean ± 1 sd": one_sd,
}

FAMILIES = {
    "actbench": house_rule,
    "Holm + paired t": holm_t,
    "max-T": westfall_young,
    "paired t, unadjusted": unadjusted,
    "Holm + Wilcoxon": holm_wilcoxon,
    "unpaired Dunnett": dunnett,
}

MIXED = {
    "actbench": rule_for_values,
    "Holm + paired t": holm_for_all,
    "actbench, as shares": rule_for_shares,
    "max-T by t alone": largest_t,
}

KINDS = ("normal", "heavy tails", "lop-sided", "5 % of runs collapse")

WIDTH_RULES = {"Stein": stein, "t of all N": t_of_all, "one by one": one_by_one}

SEQUENCES = {"anytime": anytime_factor, "Student t": student_factor}

PREDICTIONS = (prediction_interval, two_sds, full_range)

CHANCES = {"by counting": counted, "Wilson": by_wilson, "normal model": normal_model}

INTERACTIONS = {"sign flips": sign_flips, "repeated-measures F": anova}

if __name__ == "__main__":
    main()
