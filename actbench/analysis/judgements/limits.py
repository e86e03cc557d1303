"""What no values could show with so few seeds: said at the head of a table, and by ``plan`` before anything is trained.

Whether a difference can get a star depends on the test in use, the number of pairs and alpha alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from actbench.analysis.judgements.families import family_size
from actbench.analysis.judgements.formatting import fewest_in_words, p_value, series
from actbench.analysis.pairs_needed import MAX_RUNS, MIN_VALUES, fewest_pairs, smallest_p
from actbench.analysis.table.factors import FlatSpec, flat_specs, matching_value
from actbench.config.hypotheses import Bound, Ordering, parse_expectation
from actbench.errors import UsageError
from actbench.schema.metrics import is_bounded
from actbench.schema.record import OUTCOMES

if TYPE_CHECKING:
    from actbench.analysis.table.result import Comparison
    from actbench.schema.spec import RunSpec


def limits_of(comparison: Comparison) -> tuple[str, ...]:
    """Return the metrics of a table in which nothing can be shown with its pairs of seeds, one sentence a reason.

    Rows that are hidden count in the family, but what is said is about the rows that are shown.
    """
    found: dict[str, list[str]] = {}
    for metric in comparison.metrics:
        contrasts = [row.vs_baseline[metric] for row in comparison.rows if metric in row.vs_baseline]
        pairs = max((one.difference.n_pairs for one in contrasts), default=0)
        least = min((one.smallest_p for one in contrasts), default=0.0)
        if least >= comparison.alpha:
            enough = comparison.rules.fewest_seeds(metric, comparison.families[metric].size)
            reason = _reason(pairs, "paired seeds", least, comparison.alpha, enough)
            found.setdefault(reason, []).append(metric)
    return tuple(_sentences(found, len(comparison.metrics)))


def limits_of_plan(
    metrics: Sequence[str],
    expect: Sequence[str],
    seeds: int,
    *,
    alpha: float,
    contexts: Sequence[Sequence[FlatSpec]] = (),
) -> tuple[str, ...]:
    """Return what so many seeds will not show, one sentence each, before they are trained.

    Args:
        metrics: The metrics that the study compares; none where its runs differ in the seed alone.
        expect: Its hypotheses.
        seeds: Its number of seeds.
        alpha: Level of the tests.
        contexts: The settings of dataset and model in each table, for each of which an entry counts.
    """
    found: dict[str, list[str]] = {}
    for metric in metrics:
        # t tests can reach any p, and max-T is used in their place only where it can reach alpha.
        least = 1.0 if seeds < MIN_VALUES else smallest_p(seeds) if is_bounded(metric) else 0.0
        if least >= alpha:
            found.setdefault(_reason(seeds, "seeds", least, alpha, fewest_pairs(alpha)), []).append(metric)
    claims = [parse_expectation(text) for text in expect]
    bounds = [claim for claim in claims if isinstance(claim, Bound) and claim.metric in OUTCOMES]
    pairs = [claim for claim in claims if is_bounded(claim.metric) and claim not in bounds]
    outcomes = sum(claim.metric in OUTCOMES for claim in pairs)
    family = family_size(claims, contexts)
    # At best the other entries of a table come first; those of other tables count as p = 1 there.
    beside = len(claims) - len(pairs)
    undecided = _undecided(family - beside, len(pairs), outcomes, seeds, alpha) if pairs else []
    unsupported = [text for claim in bounds for text in _unsupported(claim, seeds, alpha, family)]
    return (*_sentences(found, len(metrics)), *undecided, *unsupported)


def unjudged_of_plan(expect: Sequence[str], specs: Sequence[RunSpec]) -> tuple[str, ...]:
    """Return the hypotheses that no results of these runs could decide, since none has a value that they name.

    The config is not wrong for that: with other overrides it may train such runs into the same folder.

    Args:
        expect: The study's hypotheses.
        specs: Its runs.
    """
    cells = flat_specs(list(dict.fromkeys(spec.with_seed(0) for spec in specs))) if expect else []
    found = []
    for text in expect:
        claim = parse_expectation(text)
        sides = [claim.left, claim.right] if isinstance(claim, Ordering) else [{}]
        try:
            for side in sides:
                _refuse_absent({**claim.where, **side}, cells)
        except UsageError as error:
            found.append(f"expect: '{text}' can't be judged by these runs: {error}")
    return tuple(found)


def _refuse_absent(settings: Mapping[str, Any], cells: Sequence[FlatSpec]) -> None:
    """Raise where no run has all of these settings, as the comparison will."""
    for key, given in settings.items():
        value = matching_value(key, given, [cell.get(key) for cell in cells])
        cells = [cell for cell in cells if cell.get(key) == value]


def _undecided(family: int, shares: int, outcomes: int, seeds: int, alpha: float) -> list[str]:
    """Return that so many hypotheses about shares, some of them about outcomes, can't be decided by sign flips.

    They are adjusted by Holm's method: if each had the smallest p that there is, the first would be multiplied by their
    number.
    """
    least = min(1.0, family * smallest_p(seeds))
    if least < alpha:
        return []
    entries = "1 entry" if shares == 1 else f"{shares} entries"
    what = "health shares" if not outcomes else "outcomes" if outcomes == shares else "health shares and outcomes"
    return [
        f"expect: with {seeds} seeds sign flips can't decide {entries} on {what} (smallest possible adjusted p "
        f"{p_value(least)}); {fewest_in_words(fewest_pairs(alpha / family))}"
    ]


def _unsupported(claim: Bound, seeds: int, alpha: float, entries: int) -> list[str]:
    """Return that so many runs can't support a bound on the share of runs, adjusted over all entries as the first."""
    if claim.operator == "=":
        return []
    above = claim.operator.startswith(">")

    def smallest(count: int) -> float:
        # Runs that all end on the bound's side; p is two-sided. See share_p, for which numpy would be loaded.
        return min(1.0, 2 * entries * (claim.number if above else 1 - claim.number) ** count)

    if smallest(seeds) < alpha and seeds >= MIN_VALUES:
        return []
    enough = next((count for count in range(max(seeds, MIN_VALUES), MAX_RUNS + 1) if smallest(count) < alpha), None)
    return [
        f"expect: {seeds} seeds can't support '{claim.text}', however their runs end (smallest possible adjusted p "
        f"{p_value(smallest(seeds))}); {fewest_in_words(enough)}"
    ]


def _reason(count: int, noun: str, least: float, alpha: float, enough: int | None) -> str:
    if count < MIN_VALUES:
        return f"fewer than {MIN_VALUES} {noun}"
    return (
        f"with {count} {noun} no p can be below {alpha:g} (smallest possible adjusted p {p_value(least)}); "
        f"{fewest_in_words(enough)}"
    )


def _sentences(found: dict[str, list[str]], metrics: int) -> Iterator[str]:
    for reason, own in found.items():
        where = "" if len(own) == metrics and metrics > 1 else f" in {series(own)}"
        yield f"nothing can be shown{where}: {reason}"
