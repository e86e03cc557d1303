"""Intervals, tests and how they are adjusted."""

from __future__ import annotations

from actbench.schema.words.word import Word

STATISTICS = (
    Word(
        "interval",
        "Of a mean or a difference over seeds: Student's t interval, which holds the true value in 95 of 100 studies "
        "at alpha 0.05. A mean of fewer than three seeds has none. Narrow tables give half of it behind ±.",
        formula="mean ± t · sd / √n",
        spellings=("intervals", "confidence interval", "ci", "Student-t interval", "[ ]", "±", "low", "high"),
        see=("alpha", "sd", "beyond_scale"),
        page="statistics.md",
    ),
    Word(
        "Wilson interval",
        "Of a share of runs, such as those that went wrong: it stays between 0 and 100 %.",
        where="compare",
        spellings=("Wilson", "failure_rate"),
        see=("outcome",),
        page="statistics.md",
    ),
    Word(
        "beyond_scale",
        "Which ends of an interval lie where its metric can't be, such as above 100 %: low, high or both. Tables cut "
        "them at the end of the scale and say so; JSON and CSV keep Student's numbers.",
        where="compare",
        spellings=("cut at the end of the scale",),
        see=("interval",),
        page="statistics.md",
    ),
    Word(
        "sd",
        "Standard deviation over seeds: how much single runs scatter.",
        formula="√(Σ (xᵢ − mean)² / (n − 1))",
        where="compare --json, CSV",
        spellings=("standard deviation",),
        see=("interval",),
    ),
    Word(
        "range",
        "The smallest and the largest value over seeds, in parentheses; health shares have it instead of an interval, "
        "since they are bounded and mostly zero.",
        where="compare",
        spellings=("min", "max"),
        see=("mean",),
    ),
    Word(
        "paired",
        "Runs of equal seed start from the same numbers and see the same batches, so each row's value is subtracted "
        "from the baseline's of the same seed; what both share cancels.",
        spellings=("paired by seed", "paired difference", "paired seeds", "n_pairs", "paired seed", "pairing"),
        see=("Δ", "pairing_gain"),
        page="statistics.md",
    ),
    Word(
        "pairing_gain",
        "By what factor pairing multiplies the worth of the seeds: with 4, five paired seeds tell as much as twenty "
        "unpaired ones. Below 1 pairing did not help.",
        formula="(var row + var baseline) / var difference",
        where="compare --json, CSV",
        see=("paired",),
        page="statistics.md",
    ),
    Word(
        "p",
        "The chance of a difference at least as large if there were none; two-sided, of this one difference alone. "
        "Judge by the adjusted p.",
        spellings=("p-value",),
        see=("adjusted p", "paired t test", "sign flips"),
        page="statistics.md",
    ),
    Word(
        "adjusted p",
        "The chance of a difference at least as large anywhere in the column if there were none at all. It counts how "
        "many differences were looked at; below alpha a difference is marked *.",
        spellings=("p_adjusted", "adjusted", "adjustment"),
        see=("max-T", "Holm", "family", "alpha"),
        page="statistics.md",
    ),
    Word(
        "smallest possible p",
        "With n paired seeds no sign-flip test gets below it, however clear the data: 5 seeds 0.0625, 6 seeds 0.031. "
        "A table that can show nothing says so above its first row.",
        formula="2^(1 − n)",
        spellings=("smallest p", "exact test", "nothing can be shown"),
        see=("sign flips",),
        page="statistics.md",
    ),
    Word(
        "alpha",
        "The level: how often, at most, a table without any difference shows one (0.05). Intervals cover 1 − alpha.",
        spellings=("level of the test", "α"),
        see=("adjusted p", "interval"),
        page="statistics.md",
    ),
    Word(
        "paired t test",
        "Whether the mean of the paired differences is 0, if they scatter like a bell curve. Used for metrics other "
        "than health shares, in rows with fewer than eight pairs.",
        formula="t = mean / (sd / √n)",
        spellings=("t test", "Student"),
        see=("paired", "Holm"),
        page="statistics.md",
    ),
    Word(
        "sign flips",
        "A test that assumes only that a seed's difference could as well have had the other sign.",
        spellings=("sign flip", "sign-flip", "sign-flip test"),
        see=("max-T", "smallest possible p"),
        page="statistics.md",
    ),
    Word(
        "max-T",
        "Westfall and Young's adjustment: the signs of each seed's differences are flipped for all rows together. It "
        "is used for health shares, and for other metrics from eight paired seeds on.",
        spellings=("Westfall and Young", "max T"),
        see=("adjusted p", "Holm"),
        page="statistics.md",
    ),
    Word(
        "Holm",
        "Holm's step-down adjustment of p, used where a row has too few pairs for max-T.",
        formula="smallest p · m, next p · (m − 1), …",
        spellings=("Holm-adjusted",),
        see=("adjusted p", "max-T"),
        page="statistics.md",
    ),
    Word(
        "Benjamini–Hochberg",
        "The adjustment over all pairs of rows: of what is found at .05, about 5 % is expected to be false. It "
        "promises less than Holm and max-T, so it is for looking around.",
        where="compare --all-pairs",
        spellings=("Benjamini-Hochberg", "false discovery rate"),
        see=("all pairs",),
        page="statistics.md",
    ),
    Word(
        "family",
        "The differences that are adjusted together: all of one metric in the table, those of hidden rows included.",
        see=("adjusted p",),
        page="statistics.md",
    ),
    Word(
        "interaction",
        "Whether the effect of one factor depends on the other, tested by sign flips of what two separate effects "
        "leave over. `largest` is the largest such effect: `at` two values, counted `from` two others.",
        where="compare",
        spellings=("largest", "at", "from", "depends on"),
        see=("factor", "sign flips"),
        page="statistics.md",
    ),
    Word(
        "seeds needed",
        "About how many seeds find a difference of delta in four studies of five, by the test in use. It follows from "
        "the spread seen so far, so it is rough when there are few.",
        where="compare",
        spellings=("needs about", "telling apart", "power"),
        see=("delta", "until"),
        page="statistics.md",
    ),
    Word(
        "until",
        "Adds seeds until every difference to the baseline is known that well: `--until 'test.accuracy ci < 0.2pp'` "
        "looks at half the width of the intervals, never at p, and ends at --max-seeds. With --exact it adds them at "
        "once, by the two-stage rule.",
        where="run, plan",
        spellings=("max_seeds", "condition", "interim look"),
        see=("seeds needed", "two-stage rule", "anytime"),
        page="configuration.md",
    ),
    Word(
        "anytime",
        "Intervals and p that hold at every look at a growing study, whatever was decided by what was seen: in 95 of "
        "100 studies none of its looks misses the truth. They are 1.7 to 2.3 times as wide as Student's, from four "
        "seeds on. Health shares are judged by which side is ahead in each seed.",
        where="compare --anytime, report --anytime",
        spellings=("anytime-valid", "anytime-valid interval", "confidence sequence", "peeking", "every look"),
        see=("interval", "until", "two-stage rule"),
        page="statistics.md",
    ),
    Word(
        "one more run",
        "The prediction interval: one further run of the row has its value in it in 95 of 100 studies. It is wider "
        "than the interval of the mean, since runs go on varying. Health shares have none.",
        formula="mean ± t · sd · √(1 + 1/n)",
        where="compare --prediction, compare --json, CSV",
        spellings=(
            "prediction",
            "prediction interval",
            "prediction_low",
            "prediction_high",
            "further run",
            "further_runs",
        ),
        see=("interval", "new seed"),
        page="statistics.md",
    ),
    Word(
        "new seed",
        "The chance that the row beats its baseline on a new seed: the share of paired seeds in which it does, equal "
        "ones counted half, with Clopper and Pearson's interval. `worse / same / better` cuts it at ±delta. The CSV "
        "columns are versus_chance, versus_chance_low, versus_chance_high, versus_worse, versus_same, versus_better.",
        where="compare --chance, compare --json, CSV",
        spellings=(
            *("new_seed", "new_seeds", "chance", "better on a new seed", "higher on a new seed", "better anew"),
            *("higher anew", "worse / same / better", "worse", "same", "better", "share", "within_delta", "chance_low"),
            *("chance_high", "Clopper–Pearson"),
        ),
        see=("wins", "delta", "one more run"),
        page="statistics.md",
    ),
    Word(
        "two-stage rule",
        "Stein's: the spread of the first seeds, and nothing else, chooses how many there are in all, so that "
        "intervals are as narrow as wanted and hold the true value in exactly 95 of 100 studies. They have the mean of "
        "all seeds, with the spread and the t of the first ones.",
        formula="N = max(n₀, ⌈(t(n₀ − 1) · s₀ / w)²⌉)",
        where="run --until … --exact, compare",
        spellings=("exact", "is_exact", "two_stage", "pilot", "Stein", "first stage"),
        see=("until", "interval"),
        page="statistics.md",
    ),
    Word(
        "Cohen's d",
        "The difference of two means over the standard deviation of single runs, pooled from both sides.",
        formula="(mean a − mean b) / √(((n_a − 1)·sd_a² + (n_b − 1)·sd_b²) / (n_a + n_b − 2))",
        where="compare --summary",
        spellings=("d", "d_low", "d_high", "Cohen d"),
        see=("Welch's test", "sd"),
        page="statistics.md",
    ),
    Word(
        "Welch's test",
        "Of two sides whose runs share no seeds and whose variances may differ: published figures.",
        where="compare --summary",
        spellings=("Welch", "df", "published figures", "name", "group"),
        see=("Cohen's d", "paired"),
        page="statistics.md",
    ),
    Word(
        "mean rank",
        "A row's rank among the rows of each dataset, 1 the best, averaged over the datasets. Rows that share a letter "
        "of `group` are not told apart.",
        where="compare --across",
        spellings=("mean_rank", "groups", "blocks", "by_block", "critical difference", "critical-difference picture"),
        see=("max-T",),
        page="statistics.md",
    ),
    Word(
        "sd by weights",
        "Standard deviation that the seed of the initial weights gives to a metric, all else equal; `sd by batches` is "
        "that of `order_seed`, `sd by the rest` what a pair of both seeds does beyond, `shares` their parts of the "
        "variance.",
        where="compare --components",
        spellings=(
            "sd by batches",
            "sd by the rest",
            "shares",
            "variance components",
            "components",
            "sources",
            "weights",
            "batches",
            "rest",
            "variance",
            "share",
        ),
        see=("order_seed", "sd"),
        page="statistics.md",
    ),
)
