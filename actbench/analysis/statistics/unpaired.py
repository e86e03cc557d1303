"""Two sides without common seeds, known by mean, standard deviation and number of runs: Welch's test, Cohen's d."""

from __future__ import annotations

import math
from dataclasses import dataclass

from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.intervals import t_ends
from actbench.analysis.statistics.samples import ROUNDING, checked


@dataclass(frozen=True)
class Summary:
    """A sample of which only its summary is known.

    Args:
        mean: Of the values.
        sd: Their standard deviation with n − 1, at least 0.
        n: Number of values, at least 2.
    """

    mean: float
    sd: float
    n: int

    def __post_init__(self) -> None:
        """Refuse what no sample has.

        Raises:
            ValueError: For a number that is not finite or beyond 1e300, sd below 0, or n below 2.
        """
        checked([self.mean, self.sd])
        if self.sd < 0:
            raise ValueError(f"a standard deviation is at least 0, not {self.sd:g}")
        if self.n < 2:
            raise ValueError(f"a standard deviation needs at least 2 values, not {self.n}")

    def interval(self, alpha: float = 0.05) -> tuple[float | None, float | None]:
        """Return the Student-t interval of the true mean; None twice for fewer than three values."""
        return t_ends(self.mean, self.sd, self.n, alpha)


@dataclass(frozen=True)
class UnpairedDifference:
    """The difference of two independent sides, a − b.

    Args:
        difference: Of the means.
        low: Lower end of its interval; None for fewer than three values on a side, or none of both varies.
        high: Upper end.
        p: Two-sided, of Welch's test; None likewise.
        df: Its degrees of freedom.
        d: Cohen's d, the difference over the pooled standard deviation; None where neither side varies.
        d_low: Lower end of the interval of the true d; None where ``p`` is.
        d_high: Upper end.
    """

    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    df: float | None = None
    d: float | None = None
    d_low: float | None = None
    d_high: float | None = None


def welch_difference(a: Summary, b: Summary, alpha: float = 0.05) -> UnpairedDifference:
    """Compare two independent sides whose variances may differ.

    t = (mean a − mean b)/√(va + vb) with va = sd²/n of each side, referred to Student's t with
    (va + vb)²/(va²/(n_a − 1) + vb²/(n_b − 1)) degrees of freedom. Cohen's d divides by the pooled standard deviation,
    √(((n_a − 1)·sd_a² + (n_b − 1)·sd_b²)/(n_a + n_b − 2)); its interval is exact for normal values of equal variances:
    the values of δ for which t = d·√(n_a·n_b/(n_a + n_b)) lies within the central 1 − α of the noncentral t
    distribution.

    For figures of papers, which have no seeds in common. Runs that do have are compared by ``paired_difference``, which
    needs a sixth to a hundredth of the seeds.

    Args:
        a: One side.
        b: The other.
        alpha: One minus the coverage of both intervals.

    References:
        Welch (1947), The generalization of 'Student's' problem when several different population variances are
        involved, Biometrika 34. Cohen (1988), Statistical Power Analysis. Steiger and Fouladi (1997), Noncentrality
        interval estimation.

    >>> found = welch_difference(Summary(20.6, 1.34, 10), Summary(22.13, 1.82, 10))
    >>> round(found.p, 4), round(found.d, 3)
    (0.0475, -0.957)
    """
    difference = a.mean - b.mean
    size = max(abs(a.mean), abs(b.mean), a.sd, b.sd)
    if max(a.sd, b.sd) <= ROUNDING * size:
        return UnpairedDifference(difference)
    # Free of scale, so that no square leaves the range of floats.
    sd_a, sd_b, scaled = a.sd / size, b.sd / size, difference / size
    va, vb = sd_a**2 / a.n, sd_b**2 / b.n
    pooled = math.sqrt(((a.n - 1) * sd_a**2 + (b.n - 1) * sd_b**2) / (a.n + b.n - 2))
    d = scaled / pooled
    if min(a.n, b.n) < MIN_VALUES:
        return UnpairedDifference(difference, d=d)
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import, this a tenth

    error = math.sqrt(va + vb)
    df = (va + vb) ** 2 / (va**2 / (a.n - 1) + vb**2 / (b.n - 1))
    p = float(2 * stdtr(df, -abs(scaled) / error))
    half = float(stdtrit(df, 1 - alpha / 2)) * error * size
    d_low, d_high = _interval_of_d(d, a.n, b.n, alpha)
    return UnpairedDifference(difference, difference - half, difference + half, p, df, d, d_low, d_high)


def _interval_of_d(d: float, n_a: int, n_b: int, alpha: float) -> tuple[float, float]:
    """Return the interval of the true d by turning the noncentral t distribution around, by bisection."""
    from scipy.special import nctdtr

    df, root = n_a + n_b - 2, math.sqrt(n_a * n_b / (n_a + n_b))
    t = d * root

    size, sign = abs(t), math.copysign(1.0, t)  # the interval of −d is the mirror image of that of d

    def noncentrality(level: float) -> float:
        """Return the noncentrality under which a t up to this has the chance ``level``, which falls with it."""
        # The distribution has mean about its noncentrality and spread about √(1 + t²/2df): this holds the root.
        reach = 12 * math.sqrt(1 + size**2 / (2 * df))
        low, high = size - reach, size + reach
        for _ in range(60):
            middle = (low + high) / 2
            # A t above 0 is out of reach of a mean 40 below it, where scipy's series has no value.
            below = 1.0 if middle < -40 else float(nctdtr(df, middle, size))
            low, high = (middle, high) if below > level else (low, middle)
        return (low + high) / 2

    ends = sorted(sign * noncentrality(level) / root for level in (1 - alpha / 2, alpha / 2))
    return ends[0], ends[1]
