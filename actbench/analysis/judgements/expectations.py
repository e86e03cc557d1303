"""A study's ``expect`` entries, judged by its runs: supported, contradicted or undecided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actbench.analysis.judgements.evidence import evidence_of
from actbench.analysis.table.factors import CONTEXT, Value, row_name
from actbench.analysis.table.grouping import Run, as_run_values, by_seed, fits, grouped
from actbench.analysis.table.result import Expectation
from actbench.config.hypotheses import Bound, Ordering, parse_expectation
from actbench.errors import UsageError

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


def judge_expectations(
    texts: Sequence[str], runs: Sequence[Run], factors: tuple[str, ...], alpha: float
) -> list[Expectation]:
    """Judge the hypotheses about these runs, in their order; those about another dataset or model are left out.

    Args:
        texts: As the config has them.
        runs: All runs of one table, whatever the view shows of it.
        factors: All factors in which the runs differ.
        alpha: One minus the coverage of the intervals that decide.

    Raises:
        UsageError: For a text that is not an expectation.
    """
    found = [_judge(parse_expectation(text), runs, factors, alpha) for text in texts]
    return [one for one in found if one is not None]


def _judge(claim: Ordering | Bound, runs: Sequence[Run], factors: tuple[str, ...], alpha: float) -> Expectation | None:
    try:
        where = as_run_values(claim.where, runs)
        runs = [run for run in runs if fits(run[1], where)]
        if isinstance(claim, Ordering):
            return _ordering(claim, runs, factors, alpha)
        return _bound(claim, runs, factors, alpha)
    except UsageError as error:  # no run has these settings: not yet trained, or in another table
        if any(key.split(".")[0] in CONTEXT for key in claim.where):
            return None
        return Expectation(claim.text, UNDECIDED, None, 0, str(error))


def _ordering(claim: Ordering, runs: Sequence[Run], factors: tuple[str, ...], alpha: float) -> Expectation:
    """Judge left − right, paired by seed, and averaged over the other factors' combinations that both sides have."""
    # A factor that either side names, as a whole or by option, is not averaged over.
    rest = tuple(key for key in factors if not any(_overlap(key, own) for own in (*claim.left, *claim.right)))
    sides = [_cells(runs, as_run_values(settings, runs), rest) for settings in (claim.left, claim.right)]
    common = sides[0].keys() & sides[1].keys()
    left, right = (
        by_seed([run for key, cell in side.items() if key in common for run in cell], rest, claim.metric)
        for side in sides
    )
    differences = [left[seed] - right[seed] for seed in sorted(left.keys() & right.keys())]
    evidence = evidence_of(differences, 0.0, claim.metric, alpha)
    wanted, opposite = ("below", "above") if claim.operator == "<" else ("above", "below")
    verdict = {wanted: SUPPORTED, opposite: CONTRADICTED}.get(evidence.side or "", UNDECIDED)
    note = "identical in every seed" if evidence.side == "at" else evidence.note
    return Expectation(claim.text, verdict, evidence.interval, evidence.n, note)


def _cells(
    runs: Sequence[Run], settings: Mapping[str, Value], rest: tuple[str, ...]
) -> dict[tuple[Value, ...], Sequence[Run]]:
    """Return one side's runs by their values of the other factors."""
    own = [run for run in runs if fits(run[1], settings)]
    return {tuple(group.factors.values()): group.runs for group in grouped(own, rest)}


def _bound(claim: Bound, runs: Sequence[Run], factors: tuple[str, ...], alpha: float) -> Expectation:
    """Judge each combination of the factors; all have to keep the bound, so the one that keeps it least decides."""
    groups = grouped(runs, factors)
    found = [
        evidence_of(list(group.values(claim.metric).values()), claim.number, claim.metric, alpha) for group in groups
    ]
    wanted = "above" if claim.operator == ">" else "below"
    verdicts = [
        UNDECIDED if evidence.side is None else SUPPORTED if evidence.side == wanted else CONTRADICTED
        for evidence in found
    ]
    # One contradicted combination contradicts the claim, and one undecided leaves it open.
    worst = next(one for one in (CONTRADICTED, UNDECIDED, SUPPORTED) if one in verdicts)
    sign = 1 if claim.operator == ">" else -1
    index = min(
        (i for i, verdict in enumerate(verdicts) if verdict == worst), key=lambda i: sign * (found[i].mean or 0.0)
    )
    evidence = found[index]
    name = "" if len(groups) == 1 else f"of {len(groups)} cells {row_name(groups[index].factors)} decides"
    return Expectation(claim.text, worst, evidence.interval, evidence.n, ", ".join(filter(None, (evidence.note, name))))


def _overlap(key: str, other: str) -> bool:
    """Return whether one of the keys is the other or an option of it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
