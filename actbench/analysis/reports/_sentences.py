"""The sentences around a table: captions that explain its figures, verdicts, judged hypotheses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from actbench.analysis.judgements.formatting import CAUTIONS, interval_in_words
from actbench.analysis.judgements.methods_text import methods_in_words
from actbench.analysis.reports._cells import Role
from actbench.analysis.reports._columns import MAX_PAIRS_SHOWN, common_parameters, has_ties
from actbench.analysis.table.factors import show_all
from actbench.analysis.table.result import (
    REACH_METRIC,
    Comparison,
    Comparisons,
    Contrast,
    Expectation,
    Pairs,
    has_intervals_beyond_scale,
)
from actbench.analysis.table.rows import is_partial
from actbench.config import hypotheses
from actbench.schema.metrics import METRICS, is_bounded

PAIR_TESTS = {
    "t": "paired t test",
    "sign-flip": "sign flips",
    "two-stage t": "Stein's two-stage t test",
    "anytime t": "anytime-valid t test",
    "anytime signs": "anytime-valid test of signs",
}
"""A test -> its name in a caption."""

VERDICT_MARKS = {"supported": "✓", "contradicted": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Shown:
    """What a format has of a table, as far as its caption depends on it.

    Args:
        has_range: Whether it has the range of dead units, as ``has_range`` returns it.
        is_brief: Whether an interval is written as ``±`` half of it.
        left_out: Roles of the columns that it leaves out.
        renamed: Short head -> metric.
    """

    has_range: bool = True
    is_brief: bool = False
    left_out: Collection[Role] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


EVERYTHING = Shown()


def caption(comparison: Comparison, shown: Shown = EVERYTHING, *, tie_mark: str = "=") -> list[str]:
    """Return the meaning of the table's figures, one statement each.

    Args:
        comparison: The table.
        shown: What the format has of it.
        tie_mark: How the format marks the rows that can't be told from the best.
    """
    any_interval = any(row.metrics[metric].low is not None for row in comparison.rows for metric in comparison.metrics)
    words = f"{comparison.level} {comparison.rules.interval_name}"
    interval = "" if not any_interval else f" ± half of its {words}" if shown.is_brief else f" [{words}]"
    lines = [f"mean{interval} over n seeds, {_order(comparison)}"]
    counts = {row.metrics[comparison.metrics[0]].n for row in comparison.rows}
    if "n" in shown.left_out and len(counts) == 1:
        lines.append(f"n = {counts.pop()} in each row")
    lines += [f"{short}: {metric}" for short, metric in shown.renamed.items()]
    if has_intervals_beyond_scale(comparison):
        lines.append(
            "an interval ends where its metric's scale does, whatever its ±" if shown.is_brief
            else "an interval that would pass the end of its metric's scale is cut there"
        )  # fmt: skip
    if has_ties(comparison.rows):
        is_hidden = comparison.best is not None and comparison.rows[0].factors != comparison.best
        hidden = f" ({show_all(comparison.best or {})}, not shown)" if is_hidden else ""
        lines.append(f"{tie_mark} not distinguishable from the best{hidden}")
    has_differences = any(row.vs_baseline for row in comparison.rows) and "difference" not in shown.left_out
    if has_differences and comparison.baseline is not None:
        equal = f" with equal {', '.join(comparison.matched)}" if comparison.matched else ""
        lines += [
            f"Δ = row − baseline ({show_all(comparison.baseline)}{equal}), paired by seed",
            f"* p < {comparison.alpha:g}, {_adjustment(comparison)}",
            *_mismatches(comparison),
        ]
        lines += [note] if (note := comparison.rules.interval_note(comparison.metrics)) else []
        lines += ["intervals and p hold at every look at a growing study"] if comparison.rules.anytime else []
    if any(is_bounded(metric) for metric in comparison.metrics):
        test = "the anytime test of signs" if comparison.rules.anytime else "sign-flip"
        lines.append(f"health shares: mean{'' if shown.is_brief else ' (range)'}, p by {test}")
    is_predicted = comparison.has_prediction and not all(map(is_bounded, comparison.metrics))
    if is_predicted and "prediction" not in shown.left_out:
        lines.append(f"one more run: {comparison.level} prediction interval, mean ± t · sd · √(1 + 1/n)")
    if comparison.has_chance and has_differences and "chance" not in shown.left_out:
        lines.append(
            f"on a new seed: the share of paired seeds, equal ones half, with its {comparison.level} Clopper–Pearson "
            "interval"
        )
    if comparison.reach is not None and "epochs" not in shown.left_out:
        level = f"{100 * comparison.reach.level:g} %"
        lines.append(
            f"epochs (to {level}): epochs to {REACH_METRIC} ≥ {level}, mean over the seeds that "
            "reached it (k of n reached; the others are in no mean)"
        )
    if comparison.tuned:
        lines.append(f"picked: the value with the row's best mean {comparison.tuned.by}")
    if "dead" not in shown.left_out or any(is_bounded(metric) for metric in comparison.metrics):
        range_of = " (range)" if shown.has_range else ""
        lines.append(f"dead: mean share{range_of} of hidden units with {comparison.dead}")
    if any(row.failure_rate for row in comparison.rows) and not shown.is_brief:
        lines.append("outcomes: Wilson interval of the share that went wrong")
    lines += [CAUTIONS[metric] for metric in comparison.metrics if metric in CAUTIONS]
    if comparison.averaged:
        lines.append(f"averaged over {', '.join(comparison.averaged)}")
    parameters = common_parameters(comparison)
    return [*lines, f"{parameters} parameters each"] if parameters else lines


def left_out(names: Sequence[str], width: int) -> str:
    """Return which columns a terminal has no room for, and where they are."""
    return (
        f"No room here for {', '.join(names)}: all columns take {width} letters a line; -o FILE.csv has every number."
    )


def lists(comparison: Comparison, comparisons: Comparisons) -> tuple[list[str], list[str]]:
    """Return the two lists below a table, one sentence an item: the verdicts, and the judged hypotheses."""
    most = comparisons.max_verdicts
    parts = (comparison.verdicts, comparison.further_runs, comparison.new_seeds)
    verdicts = [text for part in parts for text in _at_most(part, most)]
    return verdicts, [expectation(one) for one in comparison.expectations]


def _at_most(sentences: Sequence[str], most: int | None) -> list[str]:
    if most is None or len(sentences) <= most:
        return list(sentences)
    return [*sentences[:most], f"… and {len(sentences) - most} more (--verdicts all)"]


def expectation(found: Expectation) -> str:
    """Return a hypothesis with the interval that decides: ``✓ supported: … ([0.96, 0.97], 5 seeds)``."""
    claim = hypotheses.parse_expectation(found.text)
    is_difference = isinstance(claim, hypotheses.Ordering)
    parts: list[str] = []
    if found.interval:
        interval = interval_in_words(claim.metric, found.interval, of_difference=is_difference)
        parts.append(f"difference {interval}" if is_difference else interval)
    parts += [f"{found.n} seed{'' if found.n == 1 else 's'}"] if found.n else []
    parts += [found.note] if found.note else []
    return f"{VERDICT_MARKS[found.verdict]} {found.verdict}: {found.text} ({', '.join(parts)})"


def pairs_title(pairs: Pairs) -> str:
    """Return the title of a table of pairs."""
    return f"All pairs in {pairs.metric} (exploratory)"


def pairs_caption(pairs: Pairs, *, is_brief: bool = False) -> list[str]:
    """Return the number of pairs that the table leaves out, if any, and the meaning of its figures.

    Args:
        pairs: All of them.
        is_brief: Whether an interval is written as ``±`` half of it.
    """
    left_out = len(pairs.pairs) - MAX_PAIRS_SHOWN
    more = [f"… and {left_out:,} more (--format csv or json for all)"] if left_out > 0 else []
    test = PAIR_TESTS[pairs.test]
    half = " ± half of its interval" if is_brief else ""
    return [
        *more,
        f"exploratory, to be confirmed with new seeds: Δ = row − against{half}, paired by seed; p: {test}; adjusted p: "
        f"Benjamini–Hochberg over all pairs of the table ({pairs.family:,}), which bounds the share of false findings, "
        "not their chance",
    ]


def _mismatches(comparison: Comparison) -> Iterator[str]:
    """Yield why a star and the interval beside it seem to disagree, where they do."""
    contrasts = [contrast for row in comparison.rows for contrast in row.vs_baseline.values()]
    shown = [one for one in contrasts if one.difference.low != one.difference.high and one.p_adjusted is not None]
    without = [one for one in shown if not one.significant and not _includes_0(one)]
    if any(one.significant and _includes_0(one) for one in shown):
        yield "a * beside an interval that includes 0: p is from sign flips, the interval is Student's"
    if any((one.difference.p or 0.0) < comparison.alpha for one in without):
        yield "an interval that excludes 0 without a *: it is that of one difference alone, p is adjusted for all"
    if any((one.difference.p or 0.0) >= comparison.alpha for one in without):
        yield "an interval that excludes 0 without a *: it is Student's, p is from sign flips"


def _includes_0(contrast: Contrast) -> bool:
    low, high = contrast.difference.low, contrast.difference.high
    return low is not None and high is not None and low <= 0 <= high


def _order(comparison: Comparison) -> str:
    """Return the order of the rows in words."""
    leading = comparison.metrics[0]
    order = "highest first" if METRICS[leading].higher_is_better is None else "best first"
    partial = [is_partial(row, leading) for row in comparison.rows]
    if all(partial) and order == "best first":
        return f"{order}, none marked as best since each row has runs that diverged or have no value"
    is_mixed = any(partial) and not all(partial)
    return f"{order}, rows with runs that diverged or have no value last" if is_mixed else order


def one_sentence(statements: Sequence[str]) -> str:
    """Return statements of a caption as one sentence."""
    return f"{'; '.join(statements)}."


def _adjustment(comparison: Comparison) -> str:
    """Return how p is adjusted and over how many differences, those of hidden rows included."""
    families = list(comparison.families.values())
    sizes = " or ".join(dict.fromkeys(str(family.size) for family in families))
    over = f"over all differences of a column ({sizes})"
    found: dict[str, list[str]] = {}
    for metric, family in comparison.families.items():
        found.setdefault(methods_in_words(family), []).append(metric)
    if len(found) == 1 and all(len(family.parts) == 1 for family in families):
        return f"{families[0].parts[0].method}-adjusted {over}"
    methods = found if len(found) == 1 else [f"{words} in {', '.join(metrics)}" for words, metrics in found.items()]
    return f"adjusted {over} by {' and by '.join(methods)}"
