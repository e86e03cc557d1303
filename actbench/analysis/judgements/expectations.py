"""A study's ``expect`` entries, judged by its runs: supported, contradicted or undecided.

Each entry is one or more *parts*: a sample, a number, and the side of the number on which its mean has to lie.

    A < B          the paired differences A − B lie below 0
    A <= B         they lie below +δ (without a δ: below 0, or A and B are identical)
    A = B          they lie above −δ and below +δ
    > c            the mean of each cell lies above c
    = c ± t        the mean of each cell lies above c − t and below c + t

An outcome is judged like a metric that is 1 for each run that ended so and 0 for others: two cells by the signs of
their paired differences (of one combination: McNemar's exact test), a bound by the binomial distribution, since each
cell has one run a seed. ``when tuned`` judges the runs that the tuned table has (``own_values``).

An entry is supported when all its parts are: its p is the largest of theirs. It is contradicted when one part is: its p
is then the smallest of the parts on the wrong side, times the number of cells. These p are adjusted over all entries of
the study by Holm's method. Where an entry asks for the very difference that a table tests, the table's adjusted p
counts if it is the larger one (``tables_beside``), so that no hypothesis is called supported that a table beside it
leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from actbench.analysis.judgements.evidence import Evidence, Side, evidence_of, evidence_of_share, too_few
from actbench.analysis.judgements.families import family_size
from actbench.analysis.judgements.formatting import CAUTIONS, fewest_in_words, p_value, short
from actbench.analysis.judgements.lost_runs import left_out_of
from actbench.analysis.judgements.own_values import (
    all_known,
    at_own_values,
    none_to_pick,
    picked_in_words,
    picked_of,
    without_value,
)
from actbench.analysis.judgements.tables_beside import HypothesesData, OwnValues, p_in_a_table
from actbench.analysis.pairs_needed import MAX_USEFUL_PAIRS
from actbench.analysis.statistics import MAX_RUNS, MIN_VALUES, holm, smallest_p_of, smallest_share_p
from actbench.analysis.table.contrasts import seed_differences
from actbench.analysis.table.factors import CONTEXT, Value, row_name, show, show_all
from actbench.analysis.table.grouping import Filter, Group, Run, as_run_values, fits, grouped
from actbench.analysis.table.result import Expectation, OwnRows, PickedCell, Tuned
from actbench.analysis.table.rules import Rules
from actbench.config.hypotheses import TUNED, Bound, Operator, Ordering, parse_expectation
from actbench.errors import UsageError
from actbench.schema.metrics import described
from actbench.schema.record import OUTCOMES

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class Part:
    """One number beside which a sample's mean has to lie.

    Args:
        cell: The name of the sample, for a sentence.
        evidence: Where the sample lies.
        wanted: The sides of the number that support the entry.
        border: The number.
        count: For an outcome, how many of the cell's runs ended so.
        picked: The cell with its own values of the tuned factors; empty at common values.
    """

    cell: str
    evidence: Evidence
    wanted: tuple[Side, ...]
    border: float = 0.0
    count: int | None = None
    picked: tuple[PickedCell, ...] = ()

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
        counts: For an outcome, how many runs of each side ended so, and how many there are.
        waiting: Runs that are planned or begun and have no outcome yet.
        own: How the cells got their own values of the tuned factors; None at common values.
        sides: The settings of each side with its cells, where each has its own value.
    """

    claim: Ordering | Bound
    parts: tuple[Part, ...]
    cells: int = 1
    averaged: tuple[str, ...] = ()
    left_out: str = ""
    is_of_survivors: bool = False
    notes: tuple[str, ...] = ()
    table_p: tuple[float, int] | None = None
    counts: tuple[tuple[int, int], ...] = ()
    waiting: int = 0
    own: OwnValues | None = None
    sides: tuple[tuple[Filter, tuple[PickedCell, ...]], ...] = ()

    @property
    def deciding(self) -> Part:
        """Return the part on which the verdict rests: the surest of those on the wrong side, else the least sure."""
        wrong = [part for part in self.parts if part.evidence.p is not None and not part.is_kept]
        return min(wrong, key=lambda part: part.p) if wrong else max(self.parts, key=lambda part: part.p)

    @property
    def cells_at_own(self) -> tuple[PickedCell, ...]:
        """Return the cells by which the entry is judged, where each has its own value of the tuned factors."""
        found = [cell for _, cells in self.sides for cell in cells] or [
            cell for part in self.parts for cell in part.picked
        ]
        return tuple(one for index, one in enumerate(found) if one not in found[:index])

    @property
    def p(self) -> float:
        """Return the p of the verdict to which the means point; 1 while runs are missing that could point elsewhere."""
        if self.waiting:
            return 1.0
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
    claims = [parse_expectation(text) for text in texts]
    entries = [_tested(claim, data) for claim in claims]
    # An entry without a test counts in the family nevertheless: the reader sees it, and its runs may come. So does each
    # further table in which an entry is judged, as p = 1: its verdict there is one more chance to be wrong, and the
    # verdicts here shall not depend on which tables are shown.
    ps = [entry.p if isinstance(entry, TestedEntry) else 1.0 for entry in entries]
    ps += [1.0] * (family_size(claims, data.contexts) - len(claims))
    adjusted = holm(ps)
    several = f" in {len(data.contexts)} tables" if len(ps) > len(claims) else ""
    found: list[Expectation] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, TestedEntry):
            others = [*ps[:index], *ps[index + 1 :]]
            found.append(_judged(entry, adjusted[index], others, data.rules, several))
        elif entry is not None:
            found.append(entry)
    return found


def _tested(claim: Ordering | Bound, data: HypothesesData) -> TestedEntry | Expectation | None:
    """Return an entry with its test; its judgement where no run fits it, None where it is about another table."""
    try:
        data = _at_own_values(claim, data) if claim.is_tuned else data
        return _ordering(claim, data) if isinstance(claim, Ordering) else _bound(claim, data)
    except UsageError as error:  # no run has these settings: not yet trained, or in another table
        if any(key.split(".")[0] in CONTEXT for key in claim.where):
            return None
        return Expectation(claim.text, UNDECIDED, None, 0, str(error))


def _at_own_values(claim: Ordering | Bound, data: HypothesesData) -> HypothesesData:
    """Return the runs of the tuned table.

    Raises:
        UsageError: When there is none, or the entry holds a tuned factor at one value.
    """
    named = (*claim.where, *((*claim.left, *claim.right) if isinstance(claim, Ordering) else ()))
    for key in data.tune:
        if held := next((one for one in named if _overlap(key, one)), None):
            raise UsageError(f"'{held}' is tuned, so an entry '{TUNED}' can't name one value of it")
    return at_own_values(data)


def _ordering(claim: Ordering, data: HypothesesData) -> TestedEntry:
    """Test left − right, paired by seed, and averaged over the other factors' combinations that both sides have."""
    known = all_known(data)
    metric, where = claim.metric, as_run_values(claim.where, known)
    known = [run for run in known if fits(run[1], where)]
    runs = [run for run in data.runs if fits(run[1], where)]
    # A factor that the entry names, as a whole or by option, is not averaged over.
    named = (*claim.left, *claim.right, *where)
    rest = tuple(key for key in data.factors if not any(_overlap(key, own) for own in named))
    own_settings = [as_run_values(settings, known) for settings in (claim.left, claim.right)]
    sides = [{**where, **settings} for settings in own_settings]
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
    is_outcome, rules = metric in OUTCOMES, data.rules
    if found.difference.note == "identical" and is_outcome:
        # If all these seeds end alike in both cells, others may still differ.
        can_decide = smallest_p_of(rules.test(metric), len(seeds)) < rules.alpha
        nothing = replace(parts[0].evidence, interval=None, can_decide=can_decide, test=rules.test(metric))
        parts = [replace(parts[0], evidence=replace(nothing, p=1.0 if len(seeds) >= MIN_VALUES else None))]
    elif found.difference.note == "identical" and len(differences) >= MIN_VALUES:
        # Certain, and inside the border of ``<=`` and ``=``; on that of ``<``, where it decides nothing.
        notes.append("identical in every seed")
        p = 0.0 if _may_equal(claim.operator) else 1.0
        point = (0.0, 0.0)
        parts = [replace(one, evidence=replace(one.evidence, interval=point, p=p, can_decide=True)) for one in parts]
    averaged = tuple(key for i, key in enumerate(rest) if len({values[i] for values in common}) > 1)
    if averaged and len(common) < max(map(len, cells)):
        notes.append(f"over the {len(common)} combinations that both sides have")
    notes += _unknown_plan(claim, data)
    if room:
        notes.append(f"{'within ±' if claim.operator == '=' else 'allowing '}{short(metric, room)}")
    lost = [group.lost(metric) for group in groups]
    without = [without_value(data, side) for side in sides]
    left_out = [left_out_of([*lost[0], *lost[1]], sum(len(group.runs) for group in groups))]
    if data.at_own is not None:
        left_out.append(none_to_pick([*without[0], *without[1]], data.at_own, sum(map(len, (*cells, *without)))))
    return TestedEntry(
        claim,
        tuple(parts),
        averaged=averaged,
        left_out=", ".join(filter(None, left_out)),
        is_of_survivors=_is_of_survivors(claim, bool(lost[0] or without[0]), bool(lost[1] or without[1])),
        notes=tuple(notes),
        table_p=None if room else p_in_a_table(data, metric, rest, sides, values),
        counts=tuple(_count(group, metric) for group in groups) if is_outcome and common else (),
        waiting=sum(_waiting(data, side) for side in sides) if is_outcome else 0,
        own=data.at_own,
        sides=tuple((own, picked_of(group.runs, data)) for own, group in zip(own_settings, groups, strict=True)),
    )


def _count(group: Group, outcome: str) -> tuple[int, int]:
    """Return how many of a group's runs ended so, and how many there are."""
    return sum(record.outcome == outcome for record, _ in group.runs), len(group.runs)


def _unknown_plan(claim: Ordering | Bound, data: HypothesesData) -> list[str]:
    """Return that runs may be missing which end in another way, where nobody knows what was planned."""
    is_unknown = claim.metric in OUTCOMES and data.unfinished is None
    return ["whether all planned runs have ended is not known"] if is_unknown else []


def _waiting(data: HypothesesData, where: Filter) -> int:
    """Return how many runs with these settings have not ended, as far as that is known."""
    return sum(fits(one, where) for one in data.unfinished or ())


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
    metric, where = claim.metric, as_run_values(claim.where, all_known(data))
    runs = [run for run in data.runs if fits(run[1], where)]
    groups, without = grouped(runs, data.factors), without_value(data, where)
    room = 0.0 if claim.operator != "=" else data.delta if claim.tolerance is None else claim.tolerance
    parts: list[Part] = []
    for group in groups:
        values, name = list(group.values(metric).values()), row_name(group.factors)
        count = round(sum(values)) if metric in OUTCOMES else None
        for bound, wanted in _borders(claim.operator, claim.number, room):
            evidence = (
                evidence_of(values, bound, metric, data.rules)
                if count is None
                else evidence_of_share(count, len(values), bound, data.rules)
            )
            parts.append(Part(name, evidence, wanted, bound, count, picked_of(group.runs, data)))
    for cell in without:  # it may keep no bound, so the others alone can't support the entry
        parts.append(Part(row_name(cell.factors), Evidence(None, None, None, 0, note="no value to pick"), ()))
    lost = [record for group in groups for record in group.lost(metric)]
    total = len(groups) + len(without)
    within = [f"within ±{short(metric, room)}"] if room and claim.tolerance is None else []
    left_out = [left_out_of(lost, len(runs)), none_to_pick(without, data.at_own, total) if data.at_own else ""]
    return TestedEntry(
        claim,
        tuple(parts),
        cells=total,
        left_out=", ".join(filter(None, left_out)),
        is_of_survivors=bool(lost or without),
        notes=(*within, *_unknown_plan(claim, data)),
        waiting=_waiting(data, where) if metric in OUTCOMES else 0,
        own=data.at_own,
    )


def _judged(entry: TestedEntry, holm_p: float, others: Sequence[float], rules: Rules, several: str = "") -> Expectation:
    """Return the verdict by the larger p of the two families, with what a reader needs to understand it.

    Args:
        entry: The entry.
        holm_p: Its p, adjusted over the entries of the study.
        others: The p of the other entries, not adjusted, and 1 for each further table of an entry.
        rules: Of which the level is that of the family.
        several: `` in 2 tables`` where entries count for each.
    """
    alpha = rules.alpha
    deciding, evidence = entry.deciding, entry.deciding.evidence
    # A point, and what is too few for a test, has no p that any family could adjust.
    is_tested = evidence.p is not None and not evidence.is_point
    p, family = holm_p, f"{len(others) + 1} expectations{several}" if others else ""
    if is_tested and entry.table_p is not None and entry.table_p[0] > holm_p:
        p, family = entry.table_p[0], f"the table's {entry.table_p[1]} differences"
    verdict = UNDECIDED if p >= alpha or evidence.p is None else SUPPORTED if deciding.is_kept else CONTRADICTED
    notes: list[str] = []
    if evidence.p is None:
        notes.append(evidence.note)
    elif is_tested:
        notes.append(f"adjusted p {p_value(p)} over {family}" if family else f"p {p_value(p)}")
        if verdict == UNDECIDED and entry.waiting == 0:
            notes += (
                _too_few(deciding, others, rules) if evidence.interval is None or deciding.count is not None else []
            )
    notes += entry.notes
    if entry.waiting:
        notes.append(
            f"{entry.waiting} planned runs have not ended" if entry.waiting > 1 else "1 planned run has not ended"
        )
    counts = entry.counts if deciding.count is None else ((deciding.count, evidence.n),)
    if counts:
        (count, runs), *other = counts
        notes.append(" against ".join([f"{count} of {runs} runs", *(f"{count} of {runs}" for count, runs in other)]))
    if entry.cells > 1:
        notes.append(f"of {entry.cells} cells {deciding.cell} decides")
    if entry.own is not None:
        sides = entry.sides or ((deciding.picked[0].factors if deciding.picked else {}, deciding.picked),)
        notes.append(picked_in_words(sides, entry.own))
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
        is_judged=evidence.can_decide and not entry.waiting,
        estimate=evidence.mean,
        counts=counts,
        own=None if entry.own is None else OwnRows(Tuned(entry.own.keys, entry.own.by), entry.cells_at_own),
    )


def _too_few(part: Part, others: Sequence[float], rules: Rules) -> list[str]:
    """Return that no values of so many seeds could have decided by the test in use, where that is so."""
    n, test, alpha = part.evidence.n, part.evidence.test, rules.alpha
    if test == "binomial":
        return _too_few_runs(part, others, rules)
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


def _too_few_runs(part: Part, others: Sequence[float], rules: Rules) -> list[str]:
    """Return that so many runs couldn't have supported a bound on a share, however they ended, where that is so."""
    above = "above" in part.wanted

    def smallest(count: int) -> float:
        own = smallest_share_p(count, part.border, above=above, anytime=rules.anytime)
        return holm([own, *others])[0]

    n = part.evidence.n
    if smallest(n) < rules.alpha:
        return []
    enough = next((count for count in range(n, MAX_RUNS + 1) if smallest(count) < rules.alpha), None)
    adjusted = "adjusted " if others else ""
    return [
        f"{n} seeds can't support it: smallest possible {adjusted}p {p_value(smallest(n))}, "
        f"{fewest_in_words(enough, noun='')}"
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
    return delta if described(claim.metric).unit == "fraction" else 0.0


def _may_equal(operator: Operator) -> bool:
    return operator not in ("<", ">")


def _is_of_survivors(claim: Ordering, left_lost: bool, right_lost: bool) -> bool:
    """Return whether the side that the entry calls the better one lost runs; either side where none is better."""
    higher_is_better = described(claim.metric).higher_is_better
    if higher_is_better is None or claim.operator == "=":
        return left_lost or right_lost
    return left_lost if claim.operator.startswith(">") == higher_is_better else right_lost


def _overlap(key: str, other: str) -> bool:
    """Return whether one of the keys is the other or an option of it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
