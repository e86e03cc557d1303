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
counts if it is the larger one (``tables_beside``), so that no hypothesis is called supported that a table beside it
leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from actbench.analysis.judgements.evidence import Evidence, Side, evidence_of, too_few
from actbench.analysis.judgements.formatting import CAUTIONS, fewest_in_words, p_value, short
from actbench.analysis.judgements.lost_runs import left_out_of
from actbench.analysis.judgements.tables_beside import HypothesesData, p_in_a_table
from actbench.analysis.pairs_needed import MAX_USEFUL_PAIRS
from actbench.analysis.statistics import MIN_VALUES, holm, smallest_p_of
from actbench.analysis.table.contrasts import seed_differences
from actbench.analysis.table.factors import CONTEXT, Value, row_name, show, show_all
from actbench.analysis.table.grouping import Filter, Group, Run, as_run_values, fits, grouped
from actbench.analysis.table.result import Expectation
from actbench.config.hypotheses import Bound, Operator, Ordering, parse_expectation
from actbench.errors import UsageError
from actbench.schema.metrics import METRICS

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


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
class TestedEntry:
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


def judge_expectations(texts: Sequence[str], data: HypothesesData) -> list[Expectation]:
    """Judge the hypotheses about these runs, in their order; those about another dataset or model are left out.

    Args:
        texts: As the config has them.
        data: The runs, and how to judge by them.

    Raises:
        UsageError: For a text that is not an expectation.
    """
    entries = [_tested(parse_expectation(text), data) for text in texts]
    # An entry without a test counts in the family nevertheless: the reader sees it, and its runs may come.
    ps = [entry.p if isinstance(entry, TestedEntry) else 1.0 for entry in entries]
    adjusted = holm(ps)
    found: list[Expectation] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, TestedEntry):
            found.append(_judged(entry, adjusted[index], [*ps[:index], *ps[index + 1 :]], data.rules.alpha))
        elif entry is not None:
            found.append(entry)
    return found


def _tested(claim: Ordering | Bound, data: HypothesesData) -> TestedEntry | Expectation | None:
    """Return an entry with its test; its judgement where no run fits it, None where it is about another table."""
    try:
        return _ordering(claim, data) if isinstance(claim, Ordering) else _bound(claim, data)
    except UsageError as error:  # no run has these settings: not yet trained, or in another table
        if any(key.split(".")[0] in CONTEXT for key in claim.where):
            return None
        return Expectation(claim.text, UNDECIDED, None, 0, str(error))


def _ordering(claim: Ordering, data: HypothesesData) -> TestedEntry:
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
    found = seed_differences(values[0], values[1], metric, data.rules)
    room = _room(claim, data.delta)
    seeds, differences = list(found.by_seed), list(found.by_seed.values())
    parts = [
        Part("", evidence_of(differences, bound, metric, data.rules, seeds=seeds, of_differences=True), wanted)
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
    return TestedEntry(
        claim,
        tuple(parts),
        averaged=averaged,
        left_out=left_out_of([*lost[0], *lost[1]], sum(len(group.runs) for group in groups)),
        is_of_survivors=_is_of_survivors(claim, bool(lost[0]), bool(lost[1])),
        notes=tuple(notes),
        table_p=None if room else p_in_a_table(data, metric, rest, sides, values),
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


def _bound(claim: Bound, data: HypothesesData) -> TestedEntry:
    """Test each combination of the factors; all have to keep the bound."""
    where = as_run_values(claim.where, data.runs)
    runs = [run for run in data.runs if fits(run[1], where)]
    groups = grouped(runs, data.factors)
    room = 0.0 if claim.operator != "=" else data.delta if claim.tolerance is None else claim.tolerance
    parts: list[Part] = []
    for group in groups:
        values = list(group.values(claim.metric).values())
        for bound, wanted in _borders(claim.operator, claim.number, room):
            parts.append(Part(row_name(group.factors), evidence_of(values, bound, claim.metric, data.rules), wanted))
    lost = [record for group in groups for record in group.lost(claim.metric)]
    return TestedEntry(
        claim,
        tuple(parts),
        cells=len(groups),
        left_out=left_out_of(lost, len(runs)),
        is_of_survivors=bool(lost),
        notes=(f"within ±{short(claim.metric, room)}",) if room and claim.tolerance is None else (),
    )


def _judged(entry: TestedEntry, holm_p: float, others: Sequence[float], alpha: float) -> Expectation:
    """Return the verdict by the larger p of the two families, with what a reader needs to understand it.

    Args:
        entry: The entry.
        holm_p: Its p, adjusted over the entries of the study.
        others: The p of the other entries, not adjusted.
        alpha: Level of the family.
    """
    deciding, evidence = entry.deciding, entry.deciding.evidence
    # A point, and what is too few for a test, has no p that any family could adjust.
    is_tested = evidence.p is not None and not evidence.is_point
    p, family = holm_p, f"{len(others) + 1} expectations" if others else ""
    if is_tested and entry.table_p is not None and entry.table_p[0] > holm_p:
        p, family = entry.table_p[0], f"the table's {entry.table_p[1]} differences"
    verdict = UNDECIDED if p >= alpha or evidence.p is None else SUPPORTED if deciding.is_kept else CONTRADICTED
    notes: list[str] = []
    if evidence.p is None:
        notes.append(evidence.note)
    elif is_tested:
        notes.append(f"adjusted p {p_value(p)} over {family}" if family else f"p {p_value(p)}")
        if verdict == UNDECIDED and evidence.interval is None:
            notes += _too_few_seeds(evidence, others, alpha)
    notes += entry.notes
    if entry.cells > 1:
        notes.append(f"of {entry.cells} cells {deciding.cell} decides")
    if entry.averaged:
        notes.append(f"averaged over {', '.join(entry.averaged)}")
    notes += [text for text in (entry.left_out, CAUTIONS.get(entry.claim.metric)) if text]
    return Expectation(
        text=entry.claim.text,
        verdict=verdict,
        interval=evidence.interval,
        n=evidence.n,
        note=", ".join(notes),
        p=evidence.p if is_tested else None,
        p_adjusted=p if is_tested else None,
        averaged=entry.averaged,
        left_out=entry.left_out,
        is_of_survivors=entry.is_of_survivors,
        is_judged=evidence.can_decide,
    )


def _too_few_seeds(evidence: Evidence, others: Sequence[float], alpha: float) -> list[str]:
    """Return that no values of so many seeds could have decided by the test in use, where that is so."""
    n, test = evidence.n, evidence.test
    if smallest_p_of(test, n) >= alpha:
        return [too_few(n, alpha, test)]

    def smallest(count: int) -> float:
        return holm([smallest_p_of(test, count), *others])[0]

    if smallest(n) < alpha:
        return []
    enough = next((count for count in range(n, MAX_USEFUL_PAIRS + 1) if smallest(count) < alpha), None)
    return [
        f"{n} seeds can't decide among {len(others) + 1} expectations: smallest possible adjusted p "
        f"{p_value(smallest(n))}, {fewest_in_words(enough, noun='')}"
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


def _overlap(key: str, other: str) -> bool:
    """Return whether one of the keys is the other or an option of it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
