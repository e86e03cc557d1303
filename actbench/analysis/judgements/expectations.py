"""A study's ``expect`` entries, judged by its runs: supported, contradicted or undecided.

Each entry is one or more *parts*: a sample, a number, and the side of the number on which its mean has to lie.

    A < B          the paired differences A − B lie below 0
    A <= B         they lie below +δ (without a δ: below 0, or A and B are identical)
    A = B          they lie above −δ and below +δ
    > c            the mean of each cell lies above c
    = c ± t        the mean of each cell lies above c − t and below c + t

An entry is supported when all its parts are: its p is the largest of theirs. It is contradicted when one part is: its p
is then the smallest of the parts on the wrong side, times the number of cells. These p are adjusted over all entries of
the study by Holm's method. Where an entry asks for the very difference that a table tests, the table's adjusted p
counts if it is the larger one, so that no hypothesis is called supported that a table beside it leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actbench.analysis.judgements.evidence import Evidence, Side, evidence_of, too_few
from actbench.analysis.judgements.formatting import CAUTIONS, p_value, short
from actbench.analysis.judgements.lost_runs import left_out_of
from actbench.analysis.pairs_needed import MAX_USEFUL_PAIRS
from actbench.analysis.statistics import MIN_VALUES, holm, smallest_p
from actbench.analysis.table.baselines import baseline_of, counterpart
from actbench.analysis.table.contrasts import Values, against_baseline, seed_differences
from actbench.analysis.table.factors import CONTEXT, Value, row_name, show, show_all
from actbench.analysis.table.grouping import Filter, Group, Run, as_run_values, fits, grouped
from actbench.analysis.table.result import Expectation
from actbench.config.hypotheses import Bound, Operator, Ordering, parse_expectation
from actbench.errors import UsageError
from actbench.schema.metrics import METRICS

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class TableBeside:
    """A table whose tests hypotheses must not contradict: the study's own, and the one that is shown.

    Args:
        baseline: Factor -> value as the study or the caller wrote it; empty for the default one.
        metrics: The metrics that it tests.
        factors: The factors of its rows; None for the study's own, which has those of the hypothesis at hand.
        is_explicit: Whether the caller named the baseline.
    """

    baseline: Mapping[str, Any]
    metrics: Sequence[str]
    factors: tuple[str, ...] | None = None
    is_explicit: bool = False


@dataclass(frozen=True)
class Data:
    """The runs by which hypotheses are judged, and how.

    Args:
        runs: All runs of one table, whatever the view shows of it.
        factors: All factors in which the runs differ.
        alpha: Level of the family of all hypotheses, and one minus the coverage of the intervals.
        delta: Two values of a fraction that are less apart than this are the same; itself a fraction.
        beside: The tables that may test the same differences.
    """

    runs: Sequence[Run]
    factors: tuple[str, ...]
    alpha: float
    delta: float
    beside: Sequence[TableBeside] = ()


@dataclass(frozen=True)
class Part:
    """One number beside which a sample's mean has to lie.

    Args:
        cell: The name of the sample, for a sentence.
        evidence: Where the sample lies.
        wanted: The sides of the number that support the entry.
    """

    cell: str
    evidence: Evidence
    wanted: tuple[Side, ...]

    @property
    def is_kept(self) -> bool:
        """Return whether the sample's own mean lies on a wanted side."""
        return self.evidence.observed in self.wanted

    @property
    def p(self) -> float:
        """Return the p of the sample's mean; 1 where it has no test."""
        return 1.0 if self.evidence.p is None else self.evidence.p


@dataclass(frozen=True)
class Case:
    """One entry with its test, before it is adjusted over the others.

    Args:
        claim: The entry.
        parts: At least one.
        cells: Number of samples.
        averaged: Factors over which each seed's values are averaged.
        left_out: How many of its runs have no value, in words.
        is_of_survivors: Whether those are runs that would speak against the entry.
        notes: Further facts.
        table_p: The largest adjusted p of the same difference in a table, and the size of that table's family.
    """

    claim: Ordering | Bound
    parts: tuple[Part, ...]
    cells: int = 1
    averaged: tuple[str, ...] = ()
    left_out: str = ""
    is_of_survivors: bool = False
    notes: tuple[str, ...] = ()
    table_p: tuple[float, int] | None = None

    @property
    def deciding(self) -> Part:
        """Return the part on which the verdict rests: the surest of those on the wrong side, else the least sure."""
        wrong = [part for part in self.parts if part.evidence.p is not None and not part.is_kept]
        return min(wrong, key=lambda part: part.p) if wrong else max(self.parts, key=lambda part: part.p)

    @property
    def p(self) -> float:
        """Return the p of the verdict to which the means point."""
        deciding = self.deciding
        return deciding.p if deciding.is_kept else min(1.0, self.cells * deciding.p)


def judge_expectations(texts: Sequence[str], data: Data) -> list[Expectation]:
    """Judge the hypotheses about these runs, in their order; those about another dataset or model are left out.

    Args:
        texts: As the config has them.
        data: The runs, and how to judge by them.

    Raises:
        UsageError: For a text that is not an expectation.
    """
    cases = [_case(parse_expectation(text), data) for text in texts]
    # An entry without a test counts in the family nevertheless: the reader sees it, and its runs may come.
    ps = [case.p if isinstance(case, Case) else 1.0 for case in cases]
    adjusted = holm(ps)
    found: list[Expectation] = []
    for index, case in enumerate(cases):
        if isinstance(case, Case):
            found.append(_judged(case, adjusted[index], [*ps[:index], *ps[index + 1 :]], data.alpha))
        elif case is not None:
            found.append(case)
    return found


def _case(claim: Ordering | Bound, data: Data) -> Case | Expectation | None:
    """Return an entry with its test; its judgement where no run fits it, None where it is about another table."""
    try:
        return _ordering(claim, data) if isinstance(claim, Ordering) else _bound(claim, data)
    except UsageError as error:  # no run has these settings: not yet trained, or in another table
        if any(key.split(".")[0] in CONTEXT for key in claim.where):
            return None
        return Expectation(claim.text, UNDECIDED, None, 0, str(error))


def _ordering(claim: Ordering, data: Data) -> Case:
    """Test left − right, paired by seed, and averaged over the other factors' combinations that both sides have."""
    metric, where = claim.metric, as_run_values(claim.where, data.runs)
    runs = [run for run in data.runs if fits(run[1], where)]
    # A factor that the entry names, as a whole or by option, is not averaged over.
    named = (*claim.left, *claim.right, *where)
    rest = tuple(key for key in data.factors if not any(_overlap(key, own) for own in named))
    sides = [{**where, **as_run_values(settings, runs)} for settings in (claim.left, claim.right)]
    for side in sides:
        _refuse_several_rows(side, runs, tuple(key for key in data.factors if key not in rest))
    cells = [_cells(runs, side, rest) for side in sides]
    common = [key for key in cells[0] if key in cells[1]]
    groups = [Group(side, [run for key in common for run in cell[key]], rest)
              for side, cell in zip(sides, cells, strict=True)]  # fmt: skip
    values = [group.values(metric) for group in groups]
    found = seed_differences(values[0], values[1], metric, data.alpha)
    room = _room(claim, data.delta)
    differences = list(found.by_seed.values())
    parts = [
        Part("", evidence_of(differences, bound, metric, data.alpha, of_differences=True), wanted)
        for bound, wanted in _borders(claim.operator, 0.0, room)
    ]
    notes = ["the same difference in every seed"] if found.difference.note == "constant" else []
    if found.difference.note == "identical" and len(differences) >= MIN_VALUES:
        # Certain, and inside the border of ``<=`` and ``=``; on that of ``<``, where it decides nothing.
        notes.append("identical in every seed")
        p = 0.0 if _may_equal(claim.operator) else 1.0
        point = (0.0, 0.0)
        parts = [replace(one, evidence=replace(one.evidence, interval=point, p=p, can_decide=True)) for one in parts]
    averaged = tuple(key for i, key in enumerate(rest) if len({values[i] for values in common}) > 1)
    if averaged and len(common) < max(map(len, cells)):
        notes.append(f"over the {len(common)} combinations that both sides have")
    if room:
        notes.append(f"{'within ±' if claim.operator == '=' else 'allowing '}{short(metric, room)}")
    lost = [group.lost(metric) for group in groups]
    return Case(
        claim,
        tuple(parts),
        averaged=averaged,
        left_out=left_out_of([*lost[0], *lost[1]], sum(len(group.runs) for group in groups)),
        is_of_survivors=_is_of_survivors(claim, bool(lost[0]), bool(lost[1])),
        notes=tuple(notes),
        table_p=None if room else _table_p(data, metric, rest, sides, values),
    )


def _cells(runs: Sequence[Run], settings: Filter, rest: tuple[str, ...]) -> dict[tuple[Value, ...], Sequence[Run]]:
    """Return one side's runs by their values of the other factors."""
    own = [run for run in runs if fits(run[1], settings)]
    return {tuple(group.factors.values()): group.runs for group in grouped(own, rest)}


def _refuse_several_rows(side: Filter, runs: Sequence[Run], factors: tuple[str, ...]) -> None:
    """Refuse a side that leaves a factor open which the entry does not average over, since the other side names it.

    Raises:
        UsageError: With that factor.
    """
    own = [run for run in runs if fits(run[1], side)]
    for key in factors:
        values = dict.fromkeys(run[1].get(key) for run in own)
        if len(values) > 1:
            raise UsageError(
                f"{show_all(side)} is more than one row: say which {key} ({', '.join(map(show, values))}) is meant, as "
                "the other side does"
            )


def _bound(claim: Bound, data: Data) -> Case:
    """Test each combination of the factors; all have to keep the bound."""
    where = as_run_values(claim.where, data.runs)
    runs = [run for run in data.runs if fits(run[1], where)]
    groups = grouped(runs, data.factors)
    room = 0.0 if claim.operator != "=" else data.delta if claim.tolerance is None else claim.tolerance
    parts: list[Part] = []
    for group in groups:
        values = list(group.values(claim.metric).values())
        for bound, wanted in _borders(claim.operator, claim.number, room):
            parts.append(Part(row_name(group.factors), evidence_of(values, bound, claim.metric, data.alpha), wanted))
    lost = [record for group in groups for record in group.lost(claim.metric)]
    return Case(
        claim,
        tuple(parts),
        cells=len(groups),
        left_out=left_out_of(lost, len(runs)),
        is_of_survivors=bool(lost),
        notes=(f"within ±{short(claim.metric, room)}",) if room and claim.tolerance is None else (),
    )


def _judged(case: Case, holm_p: float, others: Sequence[float], alpha: float) -> Expectation:
    """Return the verdict by the larger p of the two families, with what a reader needs to understand it.

    Args:
        case: The entry.
        holm_p: Its p, adjusted over the entries of the study.
        others: The p of the other entries, not adjusted.
        alpha: Level of the family.
    """
    deciding, evidence = case.deciding, case.deciding.evidence
    # A point, and what is too few for a test, has no p that any family could adjust.
    is_tested = evidence.p is not None and not evidence.is_point
    in_table = case.table_p is not None and is_tested and case.table_p[0] > holm_p
    p = case.table_p[0] if in_table and case.table_p is not None else holm_p
    verdict = UNDECIDED if p >= alpha or evidence.p is None else SUPPORTED if deciding.is_kept else CONTRADICTED
    notes: list[str] = []
    if evidence.p is None:
        notes.append(evidence.note)
    elif is_tested:
        family = f"the table's {case.table_p[1]} differences" if in_table and case.table_p is not None else ""
        notes.append(_p_in_words(p, family, len(others) + 1))
        if verdict == UNDECIDED and evidence.interval is None:
            notes += _too_few_seeds(evidence.n, others, alpha)
    notes += case.notes
    if case.cells > 1:
        notes.append(f"of {case.cells} cells {deciding.cell} decides")
    if case.averaged:
        notes.append(f"averaged over {', '.join(case.averaged)}")
    notes += [text for text in (case.left_out, CAUTIONS.get(case.claim.metric)) if text]
    return Expectation(
        text=case.claim.text,
        verdict=verdict,
        interval=evidence.interval,
        n=evidence.n,
        note=", ".join(notes),
        p=evidence.p if is_tested else None,
        p_adjusted=p if is_tested else None,
        averaged=case.averaged,
        left_out=case.left_out,
        is_of_survivors=case.is_of_survivors,
        is_judged=evidence.can_decide,
    )


def _p_in_words(p: float, table: str, expectations: int) -> str:
    """Return the p that decides and the family over which it is adjusted: ``adjusted p = .03 over 2 expectations``."""
    if table:
        return f"adjusted p {p_value(p)} over {table}"
    return f"adjusted p {p_value(p)} over {expectations} expectations" if expectations > 1 else f"p {p_value(p)}"


def _too_few_seeds(n: int, others: Sequence[float], alpha: float) -> list[str]:
    """Return that no values of so many seeds could have decided by sign flips, where that is so."""
    if smallest_p(n) >= alpha:
        return [too_few(n, alpha)]

    def smallest(count: int) -> float:
        return holm([smallest_p(count), *others])[0]

    if smallest(n) < alpha:
        return []
    enough = next((count for count in range(n, MAX_USEFUL_PAIRS + 1) if smallest(count) < alpha), None)
    more = "no number of seeds can" if enough is None else f"{enough} are the fewest that can"
    return [
        f"{n} seeds can't decide among {len(others) + 1} expectations: smallest possible adjusted p "
        f"{p_value(smallest(n))}, {more}"
    ]


def _borders(operator: Operator, number: float, room: float) -> Iterator[tuple[float, tuple[Side, ...]]]:
    """Yield each number beside which a mean has to lie, with the sides that support the claim."""
    if operator in ("<", "<="):
        yield number + room, ("below", "at") if operator == "<=" else ("below",)
    elif operator in (">", ">="):
        yield number - room, ("above", "at") if operator == ">=" else ("above",)
    else:
        yield number - room, ("above", "at")
        yield number + room, ("below", "at")


def _room(claim: Ordering, delta: float) -> float:
    """Return the difference that ``<=``, ``>=`` and ``=`` allow: the entry's own, else delta where there is one."""
    if not _may_equal(claim.operator):
        return 0.0
    if claim.tolerance is not None:
        return claim.tolerance
    return delta if METRICS[claim.metric].unit == "fraction" else 0.0


def _may_equal(operator: Operator) -> bool:
    return operator not in ("<", ">")


def _is_of_survivors(claim: Ordering, left_lost: bool, right_lost: bool) -> bool:
    """Return whether the side that the entry calls the better one lost runs; either side where none is better."""
    higher_is_better = METRICS[claim.metric].higher_is_better
    if higher_is_better is None or claim.operator == "=":
        return left_lost or right_lost
    return left_lost if claim.operator.startswith(">") == higher_is_better else right_lost


def _table_p(
    data: Data, metric: str, rest: tuple[str, ...], sides: Sequence[Filter], values: Sequence[Values]
) -> tuple[float, int] | None:
    """Return the largest adjusted p of the same difference in a table, and the number of differences adjusted with it.

    Args:
        data: All runs.
        metric: The entry's.
        rest: The factors over which it averages.
        sides: The settings of its two sides.
        values: Their values by seed.

    Returns:
        None where no table has this difference: neither side is the baseline, or a side is more or less than one row.
    """
    factors = tuple(key for key in data.factors if key not in rest)
    groups = grouped(data.runs, factors, rest)
    rows = [group for side in sides for group in groups if fits(group.runs[0][1], side)]
    if [row.values(metric) for row in rows] != list(values):
        return None
    by_factors = {tuple(group.factors.values()): group for group in groups}
    wanted = {id(row) for row in rows}
    found: list[tuple[float, int]] = []
    baselines: list[Mapping[str, Value]] = []
    for table in data.beside:
        if metric in table.metrics and (table.factors is None or {*table.factors} == {*factors}):
            baseline, _ = baseline_of(groups, table.baseline, explicit=table.is_explicit)
            if baseline is not None and baseline not in baselines:
                baselines.append(baseline)
    for baseline in baselines:
        # The row of the two that is not the baseline's, if they are compared in this table.
        row = next((one for one in rows if {id(one), id(counterpart(one, baseline, by_factors))} == wanted), None)
        if row is not None:
            contrasts, family = against_baseline(groups, baseline, metric, data.alpha)
            p = next(contrasts[index].p_adjusted for index, group in enumerate(groups) if group is row)
            found.append((1.0 if p is None else p, family.size))  # without a p the table leaves the difference open
    return max(found, default=None)


def _overlap(key: str, other: str) -> bool:
    """Return whether one of the keys is the other or an option of it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
