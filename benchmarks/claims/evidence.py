"""Small questions to the committed studies, as the page of claims asks them: means, differences, shares, verdicts.

Every answer is the product's own: the runs come from ``read_results``, the tables and the judged ``expect`` lines from
``compare``, and what a sentence needs besides is computed by the functions that ``compare`` uses itself. A question
that fits no run, or several rows, is an error: a sentence never quotes the wrong cell in silence.

    evidence = Evidence(Path("results"))
    bias = evidence.study("bias")
    bias.cell("dataset=mnist, bias_init=0.01").effect()        # a row of the table beside its baseline
    bias.difference("test.accuracy", "bias_init=0.01", "bias_init=0", over=["training.optimizer.lr"])
    bias.share("collapsed", "bias_init=0")
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

from actbench.analysis.compare import compare
from actbench.analysis.judgements.expectations import SUPPORTED
from actbench.analysis.judgements.formatting import NOTHING, quantity, series
from actbench.analysis.statistics import mean_interval, paired_difference
from actbench.analysis.table.contrasts import seed_differences
from actbench.analysis.table.factors import CONTEXT, Value, flat_specs, matching_value, row_name, show, varying
from actbench.analysis.table.grouping import Run, by_seed
from actbench.analysis.table.result import Comparison, Comparisons, Row
from actbench.analysis.table.rules import Rules
from actbench.config.hypotheses import Bound, OutcomeCount, parse_gate
from actbench.config.overrides import parse_settings
from actbench.errors import UsageError
from actbench.schema.record import OUTCOMES, RunRecord
from actbench.storage.reading import Records, read_results
from benchmarks.claims.answers import (
    HOLDS,
    Bin,
    Effect,
    EvidenceError,
    Judged,
    Learned,
    Machine,
    Mean,
    Share,
    Verdict,
)
from benchmarks.claims.places import packed_file

ALL = ("*",)
"""In place of the factors to average over: every one that the question leaves open, datasets and models included."""

SPELLED = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
"""A dataset's name in configs -> its own spelling."""

SHARE = "health.inert_fraction"
"""A metric that is a share of something, by which differences of shares are written."""


@dataclass(frozen=True)
class Context:
    """The dataset and the network of a table.

    Args:
        name: In a few letters: ``MNIST 256-256``, ``MNIST 5 × 256``.
        where: The settings that choose its runs: ``dataset=mnist,model.hidden=[256,256]``.
        dataset: The dataset's name in configs.
    """

    name: str
    where: str
    dataset: str


@dataclass(frozen=True)
class Cell:
    """One row of one table, as ``compare`` has it.

    Args:
        comparison: The table.
        row: The row.
        tried: Tuned factor -> the numbers that it has in the study's runs.
    """

    comparison: Comparison
    row: Row
    tried: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the row's name, as tables have it."""
        return row_name(self.row.factors)

    @property
    def context(self) -> Context:
        """Return the dataset and the network of the row's table."""
        return context_of(self.comparison)

    @property
    def picked(self) -> str:
        """Return the value that the row was tuned to: ``0.1``; empty at common values."""
        return ", ".join(map(show, self.row.picked.values()))

    @property
    def edge(self) -> str:
        """Return ``smallest`` or ``largest`` where a tuned value is that of all tried: a better one may lie beyond."""
        for key, value in self.row.picked.items():
            tried = self.tried.get(key, ())
            if isinstance(value, (int, float)) and len(tried) > 1 and value in (min(tried), max(tried)):
                return "smallest" if value == min(tried) else "largest"
        return ""

    @property
    def n(self) -> int:
        """Return the number of runs."""
        return self.row.runs

    @property
    def is_baseline(self) -> bool:
        """Return whether other rows are compared to this one."""
        return self.comparison.is_baseline(self.row.factors)

    def mean(self, metric: str = "") -> Mean:
        """Return the mean of a metric; the table's leading one if none is named."""
        name = metric or self.comparison.metrics[0]
        if name not in self.row.metrics:
            raise EvidenceError(f"{self.comparison.title} has no {name}; it has {series(self.row.metrics)}")
        return Mean(name, self.row.metrics[name])

    def effect(self, metric: str = "") -> Effect:
        """Return the difference to the baseline with the p that is adjusted over the table."""
        name = metric or self.comparison.metrics[0]
        contrast = self.row.vs_baseline.get(name)
        if contrast is None:
            raise EvidenceError(f"{self.comparison.title}: {self.name} is not compared to a baseline in {name}")
        family = self.comparison.families[name].size
        return Effect(name, contrast.difference, contrast.p_adjusted, family, self.comparison.alpha)

    def share(self, *outcomes: str) -> Share:
        """Return the share of runs that ended so, such as ``collapsed``, ``diverged``."""
        return Share(sum(self.row.outcomes.get(name, 0) for name in _checked(outcomes)), self.row.runs)


class Study:
    """One committed study.

    Args:
        name: Such as ``bias`` or ``published/snn_mnist``.
        path: The packed file, or a folder.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path

    @cached_property
    def records(self) -> Records:
        """Return the runs, without their curves."""
        return read_results(self.path)

    @cached_property
    def comparisons(self) -> Comparisons:
        """Return the tables as ``compare`` shows them, those at common values and the tuned ones."""
        return compare(self.records)

    @cached_property
    def runs(self) -> list[Run]:
        """Return the runs, each with its settings as flat keys."""
        return list(zip(self.records, flat_specs([record.spec for record in self.records]), strict=True))

    @property
    def n(self) -> int:
        """Return the number of runs."""
        return len(self.records)

    @property
    def seeds(self) -> int:
        """Return the number of seeds."""
        return len({record.spec.seed for record in self.records})

    @property
    def contexts(self) -> list[Context]:
        """Return the datasets and networks of the tables: MNIST first, the smaller network first."""
        found = dict.fromkeys(context_of(one) for one in self.comparisons.comparisons)
        return sorted(found, key=lambda one: (one.dataset not in SPELLED, [*SPELLED, one.dataset].index(one.dataset),
                                              one.dataset, len(one.where), one.where))  # fmt: skip

    def values(self, key: str, where: str = "") -> list[Value]:
        """Return the values that a setting has in the runs, in their order."""
        return list(dict.fromkeys(one.get(key) for _, one in self.fitting(where)))

    def fitting(self, where: str) -> list[Run]:
        """Return the runs that have all of these settings: ``dataset=mnist, model.hidden=[256,256]``.

        A dataset or a model is named by its label, or by its name alone.

        Raises:
            EvidenceError: When no run has them.
        """
        runs = self.runs
        for key, given in (parse_settings([where]) if where else {}).items():
            values = list(dict.fromkeys(one.get(key) for _, one in runs))
            meant = _meant(key, given, values)
            if not meant:
                raise EvidenceError(f"{self.name}: no run has {key}={given}; there are {series(map(show, values))}")
            runs = [run for run in runs if run[1].get(key) in meant]
        return runs

    def cells(self, where: str = "", *, tuned: bool = False) -> list[Cell]:
        """Return the rows of which all runs have these settings, of tables at common values or of tuned ones."""
        ours = {id(record) for record, _ in self.fitting(where)}
        return [
            Cell(comparison, row, {key: self._numbers(key) for key in row.picked})
            for comparison in self.comparisons.comparisons
            if (comparison.tuned is not None) == tuned
            for row in comparison.rows
            if row.records and all(id(record) in ours for record in row.records)
        ]

    def cell(self, where: str = "", *, tuned: bool = False) -> Cell:
        """Return the only row with these settings.

        Raises:
            EvidenceError: When there is none, or more than one.
        """
        found = self.cells(where, tuned=tuned)
        if len(found) == 1:
            return found[0]
        kind = "tuned row" if tuned else "row"
        if not found:
            raise EvidenceError(f"{self.name}: no {kind} has {where}")
        names = [f"{one.name} in {context_of(one.comparison).name}" for one in found[:4]]
        raise EvidenceError(f"{self.name}: {len(found)} {kind}s have {where or 'these settings'}: {', '.join(names)} …")

    def rivals(self, where: str = "", *, tuned: bool = False) -> list[Cell]:
        """Return the rows that are compared to a baseline in their table's leading metric."""
        return [one for one in self.cells(where, tuned=tuned) if one.comparison.metrics[0] in one.row.vs_baseline]

    def rival_verdict(self, direction: str, where: str = "", *, tuned: bool = False) -> Verdict:
        """Return the verdicts on the claim that each rival has more (``>``) or less (``<``) than its baseline."""
        words = (one.effect().verdict(direction).words for one in self.rivals(where, tuned=tuned))
        return Verdict(tuple(word for own in words for word in own))

    def largest(self, where: str = "", *, tuned: bool = False) -> Cell:
        """Return the rival with the largest shown difference to its baseline, or the largest at all if none is shown.

        Raises:
            EvidenceError: When no row is compared to a baseline.
        """
        rivals = [one for one in self.rivals(where, tuned=tuned) if one.effect().n]
        if not rivals:
            raise EvidenceError(f"{self.name}: no row with {where or 'any settings'} is compared to a baseline")
        shown = [one for one in rivals if one.effect().is_shown]
        return max(shown or rivals, key=lambda one: abs(one.effect().value))

    def mean(self, metric: str, where: str = "", *, over: Sequence[str] = ()) -> Mean:
        """Return the mean over seeds, each seed's value being its mean over the combinations of ``over``."""
        return Mean(metric, Rules().mean_interval(list(self._by_seed(metric, where, over).values())))

    def difference(self, metric: str, left: str, right: str, *, over: Sequence[str] = ()) -> Effect:
        """Return left − right, paired by seed, with a p of its own that is adjusted for nothing.

        Args:
            metric: Of both sides.
            left: The settings of one side.
            right: Those of the other.
            over: Factors over which each seed's values are averaged; ``ALL`` for those that are left open.
        """
        sides = [self._by_seed(metric, where, over) for where in (left, right)]
        found = seed_differences(sides[0], sides[1], metric, Rules()).difference
        return Effect(metric, found, found.p)

    def outcome_difference(self, outcomes: str, left: str, right: str) -> Effect:
        """Return the difference of the shares of runs that ended so, left − right, paired by seed, by sign flips.

        Args:
            outcomes: Such as ``diverged``, or ``collapsed or diverged``.
            left: The settings of one side; what they leave open counts as it comes, so both should leave the same.
            right: Those of the other.
        """
        names = _checked([name.strip() for name in outcomes.split(" or ")])
        sides = []
        for where in (left, right):
            ended: dict[int, list[float]] = {}
            for record, _ in self.fitting(where):
                ended.setdefault(record.spec.seed, []).append(float(record.outcome in names))
            sides.append({seed: sum(own) / len(own) for seed, own in ended.items()})
        found = paired_difference(sides[0], sides[1], higher_is_better=False, test="sign-flip")
        return Effect(SHARE, found, found.p)

    def median(self, metric: str, where: str = "") -> str:
        """Return the median of a metric over all runs that fit and have a value, or a dash."""
        values = [value for record, _ in self.fitting(where) if (value := _value(record, metric)) is not None]
        return quantity(metric, statistics.median(values)) if values else NOTHING

    def learned(self, name: str, where: str) -> list[Learned]:
        """Return an activation's learned parameter in each layer after training, over the runs that fit."""
        found: dict[str, list[float]] = {}
        for record, _ in self.fitting(where):
            for layer in record.health.get("layers") or ():
                value = (layer.get("learned") or {}).get(name)
                if value is not None and isfinite(value):
                    found.setdefault(str(layer["name"]), []).append(float(value))
        return [Learned(layer, mean_interval(values)) for layer, values in found.items()]

    def share(self, condition: str, where: str = "", *, given: Sequence[str] = ()) -> Share:
        """Return the share of runs that ended with an outcome, or that fulfil a condition.

        Args:
            condition: An outcome such as ``diverged``, several with ``or`` between them, or ``METRIC > NUMBER``. A run
                without a value fulfils no condition.
            where: The runs that count.
            given: Further conditions that a run has to fulfil to count.
        """
        records = self._fulfilling(where, given)
        held = _holds(condition)
        return Share(sum(map(held, records)), len(records))

    def most(self, metric: str, where: str = "", *, given: Sequence[str] = ()) -> str:
        """Return the largest value of a metric among the runs that fit and fulfil all conditions, or a dash."""
        values = [value for one in self._fulfilling(where, given) if (value := _value(one, metric)) is not None]
        return quantity(metric, max(values)) if values else NOTHING

    def bins(self, metric: str, edges: Sequence[float], of: str, where: str = "") -> list[Bin]:
        """Return the runs in bins of one metric, with their values of another.

        Args:
            metric: By which the runs are sorted into bins, such as ``health.dead_fraction``.
            edges: Ascending, in the metric's stored unit.
            of: The metric that is looked at within each bin.
            where: The runs that count.
        """
        records = [record for record, _ in self.fitting(where)]
        found = []
        for low, high in pairwise(edges):
            is_last = high == edges[-1]
            own = [
                record
                for record in records
                if (at := _value(record, metric)) is not None and low <= at and (at < high or (is_last and at == high))
            ]
            values = sorted(value for record in own if (value := _value(record, of)) is not None)
            outcomes: dict[str, int] = dict(Counter(record.outcome for record in own))
            found.append(Bin(metric, low, high, is_last, of, tuple(values), outcomes))
        return found

    def judged(self, *parts: str, where: str = "") -> list[Judged]:
        """Return the ``expect`` lines that contain all of these parts, each once a table.

        Args:
            parts: Texts that the line has to contain; none takes every line.
            where: Only the tables of which all runs have these settings.
        """
        ours = {id(record) for record, _ in self.fitting(where)}
        return [
            Judged(context_of(comparison).name, one)
            for comparison in self.comparisons.comparisons
            if all(id(record) in ours for row in comparison.rows for record in row.records)
            for one in comparison.expectations
            if all(part in one.text for part in parts)
        ]

    def verdict(self, *parts: str, where: str = "", given: Sequence[str] = ()) -> Verdict:
        """Return the verdicts of ``judged`` as one.

        Args:
            parts: As ``judged`` takes them.
            where: As ``judged`` takes it.
            given: The parts of another line: only tables in which it is supported count, such as those in which half of
                the units died.

        Raises:
            EvidenceError: When no expect line contains these parts.
        """
        found = self.judged(*parts, where=where)
        if not found:
            raise EvidenceError(f"{self.name} has no expect line with {series(parts) or 'any text'}")
        if given:
            fit = {one.context for one in self.judged(*given, where=where) if one.found.verdict == SUPPORTED}
            found = [one for one in found if one.context in fit]
        return Verdict(tuple(one.found.verdict for one in found))

    @property
    def outcomes(self) -> str:
        """Return how many runs ended how: ``84 ok, 76 collapsed``."""
        found = Counter(record.outcome for record in self.records)
        return ", ".join(f"{found[name]:,} {name}" for name in OUTCOMES if found[name])

    @property
    def machine(self) -> Machine:
        """Return on what, with what and how long the runs were computed."""
        environments = [record.environment for record in self.records if record.environment]
        versions = [
            f"{name} {found}"
            for key, name in (("actbench", "actbench"), ("python", "Python"), ("torch", "torch"), ("numpy", "numpy"))
            if (found := _recorded(environments, key))
        ]
        hardware = list(dict.fromkeys(_hardware(one) for one in environments))
        seconds = sum(float(record.timing.get("seconds") or 0.0) for record in self.records)
        return Machine("; ".join(hardware), ", ".join(versions), _recorded(environments, "git_commit"), seconds)

    def picture_source(self, where: str = "", *, curves: bool = False) -> Records:
        """Return the runs with these settings as ``read_results`` would, for a chart of their own."""
        records = read_results(self.path, curves=True) if curves else self.records
        if not where:
            return records
        names = {record.run_id for record, _ in self.fitting(where)}
        return replace(records, runs=tuple(record for record in records if record.run_id in names))

    def _fulfilling(self, where: str, given: Sequence[str]) -> list[RunRecord]:
        conditions = [_holds(one) for one in given]
        return [record for record, _ in self.fitting(where) if all(holds(record) for holds in conditions)]

    def _numbers(self, key: str) -> list[float]:
        found = {one.get(key) for _, one in self.runs}
        return sorted(float(value) for value in found if isinstance(value, (int, float)))

    def _by_seed(self, metric: str, where: str, over: Sequence[str]) -> dict[int, float]:
        runs = self.fitting(where)
        keys = (*CONTEXT, *varying([one.spec for one, _ in runs], [flat for _, flat in runs]))
        open_keys = [key for key in keys if key not in over and len({flat.get(key) for _, flat in runs}) > 1]
        if over == ALL:
            over, open_keys = open_keys, []
        if open_keys:
            raise EvidenceError(
                f"{self.name}: '{where}' is more than one cell: name {series(open_keys)}, or average over it"
            )
        return by_seed(runs, tuple(over), metric)


class Evidence:
    """All committed studies below a results folder.

    Args:
        results: With ``claims/`` and ``published/`` in it.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self._studies: dict[str, Study] = {}

    def has(self, name: str) -> bool:
        """Return whether a study's packed results are there."""
        return packed_file(self.results, name) is not None

    def study(self, name: str) -> Study:
        """Return a study by its name: ``bias``, ``published/snn_mnist``.

        Raises:
            EvidenceError: When its results are not there.
        """
        if name not in self._studies:
            path = packed_file(self.results, name)
            if path is None:
                raise EvidenceError(f"no packed results of '{name}' below {self.results}")
            self._studies[name] = Study(name, path)
        return self._studies[name]

    def json(self, name: str) -> Any:
        """Return the content of a JSON file below the folder: ``claims/cost.json``.

        Raises:
            EvidenceError: When it is not there, or no JSON.
        """
        try:
            return json.loads((self.results / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise EvidenceError(f"{self.results / name} can't be read: {error}") from error


def context_of(comparison: Comparison) -> Context:
    """Return the dataset and the network that all rows of a table share."""
    spec = comparison.rows[0].records[0].spec
    widths, dataset = spec.model.options.get("hidden"), spec.dataset.name
    is_jpeg = "cifar10" in str(spec.dataset.options.get("root", ""))
    name, where = "CIFAR-10 (JPEG)" if is_jpeg else SPELLED.get(dataset, dataset), f"dataset={dataset}"
    if widths is None:
        return Context(f"{name} {spec.model.name}", where, dataset)
    is_long = len(widths) > 3 and len(set(widths)) == 1
    network = f"{len(widths)} × {widths[0]}" if is_long else "-".join(map(str, widths))
    return Context(f"{name} {network}", f"{where},model.hidden={str(list(widths)).replace(' ', '')}", dataset)


def _meant(key: str, given: Any, values: Sequence[Value]) -> set[Value]:
    """Return the values that a text means: the one it names, or every dataset or model of that name."""
    try:
        return {matching_value(key, given, values)}
    except UsageError:
        return {value for value in values if key in CONTEXT and str(value).partition("(")[0] == str(given)}


def _holds(condition: str) -> Callable[[RunRecord], bool]:
    """Return whether a run ended with one of the outcomes that a condition names, or keeps the bound that it states."""
    names = [name.strip() for name in condition.split(" or ")]
    if set(names) <= set(OUTCOMES):
        return lambda record: record.outcome in names
    bound = parse_gate(condition)
    if not isinstance(bound, Bound) or isinstance(bound, OutcomeCount):
        raise EvidenceError(f"'{condition}' is neither an outcome nor a bound")
    holds = HOLDS[bound.operator]
    return lambda record: (value := _value(record, bound.metric)) is not None and holds(value, bound.number)


def _value(record: RunRecord, metric: str) -> float | None:
    value = record.value(metric)
    return float(value) if value is not None and isfinite(value) else None


def _checked(outcomes: Sequence[str]) -> Sequence[str]:
    if unknown := [name for name in outcomes if name not in OUTCOMES]:
        raise EvidenceError(f"'{unknown[0]}' is not an outcome; there are {series(OUTCOMES)}")
    return outcomes


def _recorded(environments: Sequence[Mapping[str, Any]], key: str) -> str:
    return series(sorted({str(one[key]) for one in environments if one.get(key)}), "or")


def _hardware(environment: Mapping[str, Any]) -> str:
    """Return a machine in words: ``2 processors of AMD EPYC (Zen 4, Genoa)``, or a GPU's name."""
    if environment.get("device", "cpu") != "cpu":
        return str(environment.get("device_name"))
    name = environment.get("processor") or environment.get("device_name") or "an unrecorded kind"
    count = environment.get("processors")
    return f"{count} × {name}" if count else str(name)
