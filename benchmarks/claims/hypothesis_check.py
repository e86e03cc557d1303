"""A study's ``expect`` entries, judged anew from its runs; nothing of actbench is used.

The forms are those of docs/results.md: ``METRIC: CELL < CELL where CELL``, ``METRIC > NUMBER where CELL`` and the like,
with an outcome in the metric's place, or ``when tuned`` behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from typing import Any

import numpy as np

from benchmarks.claims.independent_statistics import (
    MIN_SEEDS,
    Floats,
    contrasts,
    differences_of,
    holm,
    is_constant,
    is_share,
    share_p,
    sign_flip_p,
    t_p,
)
from benchmarks.claims.packed_runs import OUTCOMES, Run, Study, best_on_validation, by_seed, equal, settings_of

ALPHA, DELTA = 0.05, 0.001
USUAL = {"activation": "relu", "bias_init": 0.0}
"""The baseline of a study that names none."""

WHEN_TUNED = " when tuned"

ORDERING = re.compile(r"(?P<metric>[\w.]+)\s*:\s*(?P<left>.+?)\s+(?P<operator><=|>=|<|>|=)\s+(?P<right>.+)")
BOUND = re.compile(r"(?P<metric>[\w.]+)\s*(?P<operator><=|>=|<|>|=)\s*(?P<right>.+)")
AMOUNT = re.compile(r"(?P<number>\d[\d.]*(?:e-?\d+)?)\s*(?P<unit>%|pp)?")


@dataclass(frozen=True)
class Judgement:
    """One entry with its test and its verdict.

    Args:
        metric: Its metric.
        p: Its own p; None for too few values.
        is_kept: Whether the means lie on the side that it names.
        is_bound: Whether it is about values, not differences.
        table_p: The adjusted p of the study's table that tests the same difference; 0 where there is none.
        p_adjusted: The larger one of Holm's p over all entries and the table's.
        family: Number of entries in all tables.
    """

    metric: str
    p: float | None
    is_kept: bool
    is_bound: bool
    table_p: float = 0.0
    p_adjusted: float = 1.0
    family: int = 1

    @property
    def verdict(self) -> str:
        """Return ``supported``, ``contradicted`` or ``undecided``."""
        if self.p is None or self.p_adjusted >= ALPHA:
            return "undecided"
        return "supported" if self.is_kept else "contradicted"


@dataclass(frozen=True)
class View:
    """The runs of one table with their factors.

    Args:
        study: Their study.
        runs: Each with its values of the table's factors.
        known: Factor -> the values that stand in the table.
    """

    study: Study
    runs: tuple[tuple[Run, Mapping[str, Any]], ...]
    known: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, study: Study, table: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> View:
        """Return the view of an entry of ``comparisons``, of which ``tables`` are all."""
        rows = [row["factors"] for row in table["rows"]]
        known = {key: list(dict.fromkeys(row[key] for row in rows)) for key in table["factors"]}
        placed = zip(rows, study.rows(table, tables), strict=True)
        return cls(study, tuple((run, factors) for factors, runs in placed for run in runs), known)

    def having(self, settings: Mapping[str, str]) -> list[tuple[Run, Mapping[str, Any]]]:
        """Return the runs that have these settings; a factor's value means that row: ``elu``, not elu(alpha=0.2)."""
        found = list(self.runs)
        for key, value in settings.items():
            meant = [one for one in self.known.get(key, ()) if equal(one, value)]
            found = [
                (run, own) for run, own in found if (own[key] in meant if meant else self.study.fits(run, {key: value}))
            ]
        return found

    def tuned(self, keys: Sequence[str], by: str) -> View:
        """Return the view in which each cell of the other factors has its best value of the tuned ones."""
        others = [key for key in self.known if key not in keys]
        cells: dict[tuple[Any, ...], list[Run]] = {}
        for run, own in self.runs:
            cells.setdefault(tuple(own[key] for key in others), []).append(run)
        found: list[tuple[Run, Mapping[str, Any]]] = []
        for cell, runs in cells.items():
            best = best_on_validation(runs, keys, by)
            found += [(run, dict(zip(others, cell, strict=True))) for run in (best[1] if best else ())]
        return View(self.study, tuple(found), {key: self.known[key] for key in others})

    def by_combination(
        self, runs: Sequence[tuple[Run, Mapping[str, Any]]], factors: Sequence[str], metric: str
    ) -> dict[tuple[Any, ...], dict[int, float]]:
        """Return combination of these factors -> seed -> value."""
        found: dict[tuple[Any, ...], list[Run]] = {}
        for run, own in runs:
            found.setdefault(tuple(own[key] for key in factors), []).append(run)
        return {key: by_seed(members, metric) for key, members in found.items()}


def judged(study: Study, table: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> dict[str, Judgement]:
    """Return the entries that are judged in a table, with their verdicts; Holm's family is that of all entries.

    Args:
        study: The runs.
        table: The table.
        tables: All tables of the study.

    Raises:
        ValueError: For a form that is not known here.
    """
    here = {one["text"] for one in table["expectations"]}
    texts = study.config.get("expect") or []
    if not here:
        return {}
    view = View.of(study, table, tables)
    entries = [_entry(view, text) if text in here else None for text in texts]
    # The family is that of all tables: an entry without a dataset is judged in each, and elsewhere counts as p = 1.
    plain = [study.rows(one, tables) for one in tables if not one.get("tuned")]
    size = sum(max(1, sum(_is_about(text, study, rows) for rows in plain)) for text in texts)
    ps = [1.0 if one is None or one.p is None else one.p for one in entries]
    adjusted = holm(ps + [1.0] * (size - len(ps)))[: len(ps)]
    return {
        text: replace(one, p_adjusted=max(p or 0.0, one.table_p), family=size)
        for text, one, p in zip(texts, entries, adjusted, strict=True)
        if one is not None
    }


def _is_about(text: str, study: Study, rows: Sequence[Sequence[Run]]) -> bool:
    """Return whether an entry is judged in a table, by the dataset and the model that it names, if any."""
    _, _, condition = text.replace(WHEN_TUNED, "").partition(" where ")
    named = {key: value for key, value in settings_of(condition).items() if key.split(".")[0] in ("dataset", "model")}
    return any(study.fits(run, named) for runs in rows for run in runs)


def _entry(view: View, text: str) -> Judgement:
    line, _, condition = text.replace(WHEN_TUNED, "").partition(" where ")
    where = settings_of(condition)
    if WHEN_TUNED in text:
        metrics = _metrics(view.study)
        view = view.tuned(view.study.config["tune"], "val.loss" if metrics[0].endswith("loss") else "val.accuracy")
    ordering = ORDERING.fullmatch(line)
    if ordering and not AMOUNT.match(ordering["right"]):
        return _ordering(view, ordering, where)
    match = ordering or BOUND.fullmatch(line)
    if match is None:
        raise ValueError(f"a form that is not known here: {text}")
    if ordering:
        where = {**where, **settings_of(ordering["left"])}
    right, tolerance = _with_tolerance(match["right"])
    room = 0.0 if match["operator"] != "=" else DELTA if tolerance is None else tolerance
    groups = view.by_combination(view.having(where), list(view.known), match["metric"])
    samples = [np.array(list(values.values())) for values in groups.values()]
    p, is_kept = _tested(samples, _borders(match["operator"], _amount(right), room), match["metric"])
    return Judgement(match["metric"], p, is_kept, is_bound=True)


def _metrics(study: Study) -> list[str]:
    """Return the metrics of a study's table, the leading one first."""
    found = (study.config.get("compare") or {}).get("metric", "test.accuracy")
    return [found] if isinstance(found, str) else list(found)


def _ordering(view: View, match: re.Match[str], where: Mapping[str, str]) -> Judgement:
    """Test the difference of two cells, averaged over the combinations of the other factors that both have."""
    metric, operator = match["metric"], match["operator"]
    right, tolerance = _with_tolerance(match["right"])
    sides = [{**where, **settings_of(text)} for text in (match["left"], right)]
    rest = [key for key in view.known if not any(_overlap(key, named) for side in sides for named in side)]
    cells = [view.by_combination(view.having(side), rest, metric) for side in sides]
    common = [key for key in cells[0] if key in cells[1]]
    a, b = (mean_over([cell[key] for key in common]) for cell in cells)
    sample = np.array(list(differences_of(a, b).values()))
    may_equal = operator not in ("<", ">")
    is_fraction = is_share(metric) or metric.endswith(".accuracy")
    room = 0.0 if not may_equal else tolerance if tolerance is not None else DELTA if is_fraction else 0.0
    if len(sample) >= MIN_SEEDS and not sample.any() and metric in OUTCOMES:  # which shows nothing of other seeds
        return Judgement(metric, 1.0, is_kept=False, is_bound=False)
    if len(sample) >= MIN_SEEDS and not sample.any():  # identical in every seed
        return Judgement(metric, 0.0 if may_equal else 1.0, is_kept=may_equal, is_bound=False)
    p, is_kept = _tested([sample], _borders(operator, 0.0, room), metric, of_differences=True)
    table_p = 0.0 if room else _table_p(view, sides, rest, [a, b], metric)
    return Judgement(metric, p, is_kept, is_bound=False, table_p=table_p)


def _table_p(
    view: View, sides: Sequence[Mapping[str, str]], rest: Sequence[str], values: Sequence[Any], metric: str
) -> float:
    """Return the adjusted p of two cells in the study's own table, averaged over ``rest``; 0 where it has none."""
    config = view.study.config.get("compare") or {}
    if metric not in _metrics(view.study):
        return 0.0
    kept = [key for key in view.known if key not in rest]
    groups: dict[tuple[Any, ...], list[tuple[Run, Mapping[str, Any]]]] = {}
    for run, own in view.runs:
        groups.setdefault(tuple(own[key] for key in kept), []).append((run, own))
    factors = [dict(zip(kept, key, strict=True)) for key in groups]
    means = [mean_over(list(view.by_combination(runs, rest, metric).values())) for runs in groups.values()]
    baseline = _baseline(view, factors, config.get("baseline") or {})
    chosen = [[place for place, own in enumerate(factors) if _is_of(own, side)] for side in sides]
    if any(len(one) != 1 for one in chosen):
        return 0.0
    places = [one[0] for one in chosen]
    if not all(_are_equal(means[place], own) for place, own in zip(places, values, strict=True)):
        return 0.0  # one side has combinations that the other lacks
    _, adjusted = contrasts(factors, means, baseline, metric)
    for row, other in (places, places[::-1]):
        if row in adjusted and factors[other] == {**factors[row], **baseline}:
            p = adjusted[row]
            return 1.0 if p is None else p  # without a p the table leaves the difference open
    return 0.0


def _baseline(view: View, factors: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a study's baseline in the table's own values: the usual one, else the first row, where it names none."""
    found = {}
    for key, value in (wanted or USUAL).items():
        values = {own[key] for own in factors if key in own}
        if len(values) > 1:
            found[key] = next((one for one in values if equal(one, value)), value)
    if any(found.items() <= own.items() for own in factors) and found:
        return found
    return {} if wanted else factors[0]


def _are_equal(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Return whether the values of two cells are the same but for the order in which they were added up."""
    return one.keys() == other.keys() and all(isclose(one[seed], other[seed], rel_tol=1e-12) for seed in one)


def _is_of(factors: Mapping[str, Any], side: Mapping[str, str]) -> bool:
    return all(equal(factors[key], value) for key, value in side.items() if key in factors)


def mean_over(parts: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return seed -> mean over the combinations, for seeds with a value in each."""
    seeds = set.intersection(*(set(one) for one in parts)) if parts else set()
    return {seed: sum(one[seed] for one in parts) / len(parts) for seed in sorted(seeds)}


def _tested(
    samples: Sequence[Floats], borders: Sequence[tuple[float, int]], metric: str, *, of_differences: bool = False
) -> tuple[float | None, bool]:
    """Return the p of the verdict to which the means point, and whether they lie where the entry wants them.

    Supported by the largest p of all, contradicted by the smallest of those on the wrong side times their number.
    """
    tests = [
        (_side_p(values, border, metric, of_differences=of_differences), _is_right(values, border, sign))
        for values in samples
        for border, sign in borders
    ]
    wrong = [p for p, is_right in tests if not is_right and p is not None]
    if wrong:
        return min(1.0, len(samples) * min(wrong)), False
    ps = [p for p, _ in tests if p is not None]
    return (max(ps) if ps and len(ps) == len(tests) else None), True


def _side_p(values: Floats, border: float, metric: str, *, of_differences: bool) -> float | None:
    """Return the p of a mean that equals a number: sign flips for shares, else t; 0 for a point; binomial for runs."""
    if len(values) < MIN_SEEDS:
        return None
    if metric in OUTCOMES and not of_differences:
        return share_p(round(values.sum()), len(values), border)
    constant = bool(values.min() == values.max())
    if constant and not (of_differences and values[0] != 0):
        return 0.0
    if is_share(metric) or constant:
        p = sign_flip_p(values - border)
        return 1.0 if p is None else p
    p = None if is_constant(values - border, float(np.abs(values - border).max())) else t_p(values - border)
    return 0.0 if p is None else p  # a point beside the number


def _is_right(values: Floats, border: float, sign: int) -> bool:
    return bool(len(values)) and sign * (float(values.mean()) - border) > 0


def _borders(operator: str, number: float, room: float) -> list[tuple[float, int]]:
    """Return each number beside which a mean has to lie, with the side: 1 above, −1 below."""
    if operator.startswith("<"):
        return [(number + room, -1)]
    if operator.startswith(">"):
        return [(number - room, 1)]
    return [(number - room, 1), (number + room, -1)]


def _with_tolerance(text: str) -> tuple[str, float | None]:
    head, _, tail = text.replace("+-", "±").partition("±")
    return head.strip(), _amount(tail) if tail else None


def _amount(text: str) -> float:
    """Return a number of an entry as it is stored: 95% and 0.5pp as fractions."""
    match = AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"a number that is not known here: {text}")
    return float(match["number"]) / (100 if match["unit"] else 1)


def _overlap(key: str, other: str) -> bool:
    """Return whether one of the keys is the other or an option of it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
