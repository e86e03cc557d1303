"""Intervals, paired differences, multiplicity, interaction and power: pure functions on numbers, one idea a file.

- ``intervals``: Student's t for a mean and for one further value, Wilson's for a count.
- ``anytime``: intervals and tests that hold at every look while seeds are added.
- ``two_stage``: Stein's rule for the number of seeds, its interval and its test.
- ``chance``: the chance that one side beats the other on a new seed.
- ``binomial``: the share of runs that end in one way.
- ``one_sample``: the tests, and the interval and the p of a mean by each; the paired t test.
- ``paired``: the difference of two sides that share seeds, its interval, its test, the gain of pairing.
- ``sign_flips``: the patterns of signs, the sign-flip test of one sample.
- ``westfall_young``: Westfall and Young's step-down max-T by sign flips.
- ``multiplicity``: adjusted p of a whole table, whose rows may have different numbers of pairs; Holm, Benjamini and
  Hochberg.
- ``interaction``: sign flips of double-centred residuals.
- ``power``: the power of the paired t test and of sign flips, seeds needed, equivalence.
- ``unpaired``: Welch's test and Cohen's d of two sides that share no seeds, from means and standard deviations.
- ``blocks``: ranks and pairs of rows across blocks, such as datasets.
- ``variance_components``: the variance of a table of crossed seeds, by rows, columns and the rest.
- ``samples``: mean and standard deviation that neither rounding nor overflow spoils.

An unknown number is None, never NaN: a mean of nothing, an interval from fewer than three values, a test of differences
that do not vary. How often each method errs is measured in ``docs/statistics.md``.
"""

from actbench.analysis.pairs_needed import MAX_RUNS, MIN_VALUES, fewest_pairs, smallest_p
from actbench.analysis.statistics.anytime import anytime_ends, anytime_p, anytime_sign_p, smallest_anytime_p
from actbench.analysis.statistics.binomial import share_interval, share_p, smallest_share_p
from actbench.analysis.statistics.chance import Chance, chance_of_more, chances_within, exact_interval
from actbench.analysis.statistics.interaction import interaction_p
from actbench.analysis.statistics.intervals import Interval, mean_interval, prediction_interval, wilson_interval
from actbench.analysis.statistics.multiplicity import (
    Part,
    benjamini_hochberg,
    family_p,
    family_parts,
    holm,
    holm_with_gaps,
    min_pairs_for_max_t,
    smallest_adjusted_p,
)
from actbench.analysis.statistics.one_sample import (
    BY_HOLM,
    BY_SIGNS,
    Test,
    ends_of,
    fewest_values,
    p_of,
    smallest_p_of,
    t_p,
)
from actbench.analysis.statistics.paired import Difference, paired_difference
from actbench.analysis.statistics.power import is_equivalent, seeds_needed, seeds_needed_by_flips, t_power
from actbench.analysis.statistics.sign_flips import sign_flip_p
from actbench.analysis.statistics.two_stage import two_stage_ends, two_stage_p, two_stage_size
from actbench.analysis.statistics.westfall_young import max_t

__all__ = [
    "BY_HOLM",
    "BY_SIGNS",
    "MAX_RUNS",
    "MIN_VALUES",
    "Chance",
    "Difference",
    "Interval",
    "Part",
    "Test",
    "anytime_ends",
    "anytime_p",
    "anytime_sign_p",
    "benjamini_hochberg",
    "chance_of_more",
    "chances_within",
    "ends_of",
    "exact_interval",
    "family_p",
    "family_parts",
    "fewest_pairs",
    "fewest_values",
    "holm",
    "holm_with_gaps",
    "interaction_p",
    "is_equivalent",
    "max_t",
    "mean_interval",
    "min_pairs_for_max_t",
    "p_of",
    "paired_difference",
    "prediction_interval",
    "seeds_needed",
    "seeds_needed_by_flips",
    "share_interval",
    "share_p",
    "sign_flip_p",
    "smallest_adjusted_p",
    "smallest_anytime_p",
    "smallest_p",
    "smallest_p_of",
    "smallest_share_p",
    "t_p",
    "t_power",
    "two_stage_ends",
    "two_stage_p",
    "two_stage_size",
    "wilson_interval",
]
