"""What a table of `compare` shows: its rows, columns and marks, and the sentences below it."""

from __future__ import annotations

from actbench.schema.words.word import Word

TABLES = (
    Word(
        "row",
        "All runs that share one combination of the factors' values; they differ in their seeds.",
        spellings=("rows",),
        see=("factor", "n"),
    ),
    Word(
        "n",
        "Seeds with a value in the leading metric: the numbers behind the mean. Diverged and failed runs have none.",
        where="compare",
        see=("mean", "seed"),
    ),
    Word(
        "mean",
        "The average over seeds. The brackets behind it are its interval; for health shares, parentheses hold the "
        "range from the smallest to the largest seed.",
        formula="(x₁ + … + xₙ) / n",
        see=("interval", "n"),
        page="statistics.md",
    ),
    Word(
        "best",
        "The row with the best mean in the leading metric, among those that have a value from each run. It was chosen "
        "by the same numbers, so another row may truly be better: see the rows marked =.",
        spellings=("best first", "highest first"),
        see=("tied",),
    ),
    Word(
        "tied",
        "Of a row, marked =: its paired difference to the best row is not shown. That does not prove them equal.",
        where="compare",
        spellings=("=", "ties", "tied_with_best", "not distinguishable", "not distinguishable from the best"),
        see=("adjusted p", "practically the same"),
        page="statistics.md",
    ),
    Word(
        "baseline",
        "The row that the others are compared to. Without one in the config or --baseline: ReLU with bias 0 where "
        "there is one, else the first row. A factor that it leaves out is matched, each row against the baseline of "
        "its own value.",
        spellings=("matched",),
        see=("Δ", "compare.baseline"),
    ),
    Word(
        "Δ",
        "Difference: the row's value minus the baseline's, seed by seed, then averaged; in brackets its interval. In a "
        "table of all pairs, minus that of the row under `against`.",
        formula="mean over seeds of (row − baseline)",
        where="compare",
        spellings=("Δ baseline", "delta", "delta baseline", "difference", "differences", "vs_baseline", "B − A"),
        see=("paired", "points", "*"),
        page="statistics.md",
    ),
    Word(
        "points",
        "Percentage points: 95 % less 93 % is 2 points. Differences of percentages are given in them; configs and "
        "options write 2pp.",
        spellings=("pp", "percentage points"),
    ),
    Word(
        "*",
        "A difference whose adjusted p is below alpha (0.05): it is shown. Without a star it is not shown, which does "
        "not mean that there is none.",
        where="compare",
        spellings=("star", "stars", "significant", "versus_significant"),
        see=("adjusted p", "alpha"),
        page="statistics.md",
    ),
    Word(
        "better in",
        "In how many of the paired seeds the row is the better one: 9 of 10. `higher in` where neither direction is "
        "better.",
        where="compare",
        spellings=("higher in", "wins"),
        see=("paired",),
    ),
    Word(
        "–",
        "No value: no seed has one, or no test is possible.",
        spellings=("—",),
    ),
    Word(
        "identical",
        "Both sides have the same number in every seed.",
        where="compare",
    ),
    Word(
        "epochs to",
        "How fast a row learns (--reach): the first epoch after which validation accuracy is at least the level, as a "
        "mean over the seeds that got there; in parentheses how many did. Compare those counts first.",
        where="compare --reach",
        spellings=("reach", "reached", "level", "speed of convergence", "reach_epochs"),
        see=("val.accuracy",),
        page="results.md",
    ),
    Word(
        "picked",
        "The value of a tuned factor that stands in this row: the one with the row's best mean on validation.",
        where="compare --tune",
        see=("tune",),
    ),
    Word(
        "results",
        "The folder of results (-o). In a table of --against, the side that a row is from: `base` for the earlier "
        "results, which are the baseline of every row, `new` for the later ones.",
        where="compare --against, doctor",
        spellings=("base", "new"),
        see=("baseline",),
        page="results.md",
    ),
    Word(
        "averaged over",
        "Factors that do not show in the table (--by): each seed's values are averaged over them first.",
        where="compare --by",
        spellings=("averaged", "by"),
        see=("factor",),
    ),
    Word(
        "all pairs",
        "Every row against every other one (--all-pairs), paired by seed: exploratory, something to test with new "
        "seeds. `row` and `against` are the two sides, p that of this pair alone, `pairs` its common seeds.",
        where="compare --all-pairs",
        spellings=("all_pairs", "pairs", "against", "exploratory", "left", "right"),
        see=("Benjamini–Hochberg",),
        page="results.md",
    ),
    Word(
        "verdict",
        "A sentence below the table on a difference in the leading metric: beats, practically the same, not "
        "distinguishable. Five are shown; --verdicts all shows every one.",
        where="compare",
        spellings=("verdicts", "no verdict", "beats"),
        see=("practically the same", "seeds needed"),
        page="results.md",
    ),
    Word(
        "practically the same",
        "The whole interval of the difference lies within ±delta (0.1 points), so it is too small to matter.",
        where="compare",
        spellings=("within ±0.1 points",),
        see=("delta", "interval"),
        page="statistics.md",
    ),
    Word(
        "delta",
        "The largest difference that does not matter to you (--delta, 0.1 points): what `practically the same` and the "
        "seeds needed are judged by.",
        where="compare",
        spellings=("±δ", "δ"),
        see=("practically the same", "Δ"),
        page="statistics.md",
    ),
    Word(
        "expectation",
        "A hypothesis of the config (`expect`), judged by all runs of the study: ✓ supported, ✗ contradicted, ? "
        "undecided. Holm adjusts over all of them. `when tuned`: each cell at its own best value; on an outcome: the "
        "share of runs that end so.",
        where="compare",
        spellings=(
            "expectations",
            "hypothesis",
            "supported",
            "contradicted",
            "undecided",
            "✓",
            "✗",
            "?",
            "decides",
            "estimate",
            "when tuned",
        ),
        see=("expect", "Holm"),
        page="results.md",
    ),
    Word(
        "gate",
        "A condition of --fail-if. Where it is shown to hold, `compare` exits with code 1; where seeds leave it open, "
        "a warning says so; where runs have no value, it trips.",
        where="compare --fail-if",
        spellings=("gates", "trip", "trips", "tripped", "drop", "rise", "not decided", "fail-if"),
        see=("unfinished",),
        page="results.md",
    ),
    Word(
        "warning",
        "What to know before believing a table: lost runs, too few seeds, unreadable files.",
        spellings=("warnings",),
    ),
    Word(
        "methods",
        "A paragraph on how the numbers came about, ready for a paper (--methods).",
        where="compare --methods",
        page="results.md",
    ),
    Word(
        "val curve",
        "Validation accuracy by epoch in small bars, the mean over seeds; all rows share one scale. No bar where a run "
        "of the row has no value.",
        where="compare on a terminal",
        see=("val.accuracy",),
    ),
    Word(
        "dead curve",
        "The share of dead hidden units by epoch in small bars, from the untrained network on.",
        where="compare on a terminal",
        see=("dead", "epoch 0"),
    ),
)
