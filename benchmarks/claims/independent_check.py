"""Recompute what the committed comparisons say, from the packed files, by numpy and scipy alone.

    python -m benchmarks.claims.independent_check [--results results/claims] [NAME …] [--all]

For each NAME.tar.xz (or .zip) with a NAME.json beside it, the output of ``actbench compare --json``: the runs of each
row are picked by their spec and paired by seed; means, intervals, differences, p, adjusted p, tuned values, Wilson's
intervals and the verdicts of the study's hypotheses are computed and compared. No module of actbench is imported.
A p of sign patterns that actbench drew (from thirteen seeds on) may differ by five standard errors of 10,000 draws.

Exit status: 0 when all agree, 1 when a number differs, 2 when there is nothing to check.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims.hypothesis_check import judged
from benchmarks.claims.independent_statistics import (
    MIN_PAIRS_FOR_MAX_T,
    contrasts,
    interval,
    is_share,
    sign_flip_p,
    t_p,
    tolerance_of,
    wilson,
)
from benchmarks.claims.packed_runs import ENDINGS, Run, Study, best_on_validation, by_seed

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-9

BINNED, BIN_HEADING = "useless", "| dead units | runs |"
"""The study of which the page has a table of bins, and how that table begins."""

AT_CHANCE, PRINTED = 0.2, 0.000_050_1
"""The accuracy below which a network of ten classes is near chance, and half of the page's last digit."""


@dataclass(frozen=True)
class Line:
    """One number twice.

    Args:
        study: The study's name.
        kind: What sort of number it is.
        quantity: Which number it is, in words.
        product: As actbench has it.
        own: As computed here.
        tolerance: Largest difference that counts as equal.
    """

    study: str
    kind: str
    quantity: str
    product: Any
    own: Any
    tolerance: float = TOLERANCE

    @property
    def difference(self) -> float:
        """Return how far the two lie apart, for numbers beyond 1 relative to them; infinite where one is missing."""
        if isinstance(self.product, (int, float)) and isinstance(self.own, (int, float)):
            return abs(self.product - self.own) / max(1.0, abs(self.own))
        return 0.0 if self.product == self.own else float("inf")

    @property
    def agrees(self) -> bool:
        """Return whether the two are equal but for the tolerance."""
        return self.difference <= self.tolerance


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    names = given.names or sorted(path.stem for path in given.results.glob("*.json"))
    lines: list[Line] = []
    for name in names:
        packed = next((path for end in ENDINGS if (path := given.results / f"{name}{end}").exists()), None)
        if packed is None:
            if given.names:
                print(f"{name}: no packed study in {given.results}", file=sys.stderr)
                return 2
            continue
        study = Study.read(packed)
        lines += check(name, study, json.loads((given.results / f"{name}.json").read_text("utf-8")))
        if name == BINNED and given.page.exists():
            lines += bins_of_page(name, study, given.page.read_text("utf-8"))
    if not lines:
        print(f"nothing to check in {given.results}", file=sys.stderr)
        return 2
    print(shown(lines, every=given.all))
    wrong = sum(not line.agrees for line in lines)
    print(f"\n{len(lines):,} numbers, {wrong or 'none'} of them different")
    return 1 if wrong else 0


def check(name: str, study: Study, said: Mapping[str, Any]) -> list[Line]:
    """Return each number of a study's comparison twice.

    Args:
        name: The study's name.
        study: Its runs.
        said: The JSON of ``actbench compare``.
    """
    if "two_stage" in study.config.get("compare", {}):
        raise SystemExit(f"{name}: Stein's two-stage intervals are not recomputed here")
    found: list[Line] = []
    covered = 0
    tables = said["comparisons"]
    for table in tables:
        where = f"{table['context'].get('dataset', '')} {table['context'].get('model', '')}".strip()
        rows = study.rows(table, tables)
        if tuned := table.get("tuned"):
            rows, lines = _tuned(name, where, table, tuned, rows)
            found += lines
        else:
            covered += sum(map(len, rows))
        found += [
            Line(name, line.kind, f"{where}: {line.quantity}", line.product, line.own, line.tolerance)
            for line in (
                *_rows(name, table, rows),
                *_differences(name, table, rows),
                *_hypotheses(name, study, table, tables),
            )
        ]
    found.append(Line(name, "runs in rows", "all tables at common values", covered, len(study.runs)))
    return found


def bins_of_page(name: str, study: Study, page: str) -> Iterator[Line]:
    """Yield the page's table of accuracies by the share of dead units: ReLU's runs in bins, counted and ranged anew.

    Args:
        name: The study's name.
        study: Its runs.
        page: The text of docs/claims.md.
    """
    inside = page.partition(BIN_HEADING)[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in inside.splitlines() if " to " in line]
    runs = [run for run in study.runs if run.spec["activation"]["name"] == "relu"]
    pairs = [(run.value("health.dead_fraction"), run.value("test.accuracy")) for run in runs]
    for row in rows:
        low, high = (float(text) / 100 for text in row[0].removesuffix("%").split(" to "))
        own = [accuracy for dead, accuracy in pairs if dead is not None and (low <= dead < high or dead == high == 1.0)]
        values = [accuracy for accuracy in own if accuracy is not None]
        what = f"docs/claims.md, {row[0]} dead"
        yield Line(name, "runs in a bin", what, int(row[1].replace(",", "")), len(own))
        ends = (np.median(values), min(values), max(values)) if values else (None, None, None)
        for kind, text, value in zip(("median", "smallest", "largest"), row[2:5], ends, strict=True):
            product = None if text == "–" else float(text.removesuffix("%")) / 100
            yield Line(name, "accuracy in a bin", f"{what} {kind}", product, _as_float(value), PRINTED)
        below = f"{sum(value < AT_CHANCE for value in values)} of {len(own)}"
        yield Line(name, "runs near chance in a bin", what, row[5], below)


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _rows(name: str, table: Mapping[str, Any], rows: Sequence[Sequence[Run]]) -> Iterator[Line]:
    """Yield counts, means and intervals of each row."""
    for row, runs in zip(table["rows"], rows, strict=True):
        label = _label(row["factors"])
        yield Line(name, "runs", label, row["runs"], len(runs))
        outcomes = Counter(run.outcome for run in runs)
        for outcome, count in row["outcomes"].items():
            yield Line(name, "outcomes", f"{label} {outcome}", count, outcomes[outcome])
        bad = len(runs) - outcomes["ok"]
        own_rate = list(wilson(bad, len(runs))) if bad else None
        yield from _pair(name, "Wilson's interval", f"{label} not ok", row["failure_rate"], own_rate)
        for metric, one in row["metrics"].items():
            values = list(by_seed(runs, metric).values())
            what = f"{label} {metric}"
            yield Line(name, "n", what, one["n"], len(values))
            if values:
                yield Line(name, "mean", what, one["mean"], float(np.mean(values)))
                yield Line(name, "range", f"{what} min", one["min"], min(values))
                yield Line(name, "range", f"{what} max", one["max"], max(values))
            if len(values) > 1:
                yield Line(name, "standard deviation", what, one["sd"], float(np.std(values, ddof=1)))
            ends = (None, None) if is_share(metric) else interval(values)
            yield Line(name, "interval", f"{what} low", one["low"], ends[0])
            yield Line(name, "interval", f"{what} high", one["high"], ends[1])


def _differences(name: str, table: Mapping[str, Any], rows: Sequence[Sequence[Run]]) -> Iterator[Line]:
    """Yield the paired differences to the baseline with their p and adjusted p."""
    if table["baseline"] is None:
        return
    factors = [row["factors"] for row in table["rows"]]
    for metric in dict.fromkeys(metric for row in table["rows"] for metric in row["vs_baseline"]):
        values = [by_seed(runs, metric) for runs in rows]
        pairs, adjusted = contrasts(factors, values, table["baseline"], metric)
        seeds = len({seed for one in pairs.values() for seed in one})
        for place, own in pairs.items():
            row = table["rows"][place]
            one, what, n = row["vs_baseline"][metric], f"{_label(row['factors'])} {metric}", len(own)
            differences = np.array(list(own.values()))
            yield Line(name, "pairs", what, one["n_pairs"], n)
            if not n:
                continue
            yield Line(name, "paired difference", what, one["difference"], float(differences.mean()))
            ends = (None, None) if is_share(metric) else interval(differences)
            yield Line(name, "interval of a difference", f"{what} low", one["low"], ends[0])
            yield Line(name, "interval of a difference", f"{what} high", one["high"], ends[1])
            is_less = any(run.higher_is_better.get(metric) is False for run in rows[place])
            wins = differences < 0 if is_less else differences > 0
            yield Line(name, "wins", what, one["wins"], int(wins.sum()))
            flips = is_share(metric) or n >= MIN_PAIRS_FOR_MAX_T
            p = sign_flip_p(differences) if flips else t_p(differences)
            yield Line(name, "p", what, one["p"], p, tolerance_of(p or 0.0, n) if flips else TOLERANCE)
            p = adjusted[place]
            yield Line(name, "adjusted p", what, one["p_adjusted"], p, tolerance_of(p or 0.0, seeds))


def _tuned(
    name: str, where: str, table: Mapping[str, Any], tuned: Mapping[str, Any], rows: Sequence[Sequence[Run]]
) -> tuple[list[list[Run]], list[Line]]:
    """Return each row's runs at its best values on validation, and these values twice."""
    kept, lines = [], []
    for row, picked, runs in zip(table["rows"], tuned["picked"], rows, strict=True):
        found = best_on_validation(runs, tuned["factors"], tuned["by"])
        if found is None:
            raise ValueError(f"{name}: no value to pick for {_label(row['factors'])}")
        for key, own_value in found[0].items():
            lines.append(Line(name, "tuned value", f"{where}: {_label(row['factors'])} {key}", picked[key], own_value))
        kept.append(found[1])
    return kept, lines


def _hypotheses(
    name: str, study: Study, table: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]
) -> Iterator[Line]:
    """Yield p, adjusted p and verdict of the study's hypotheses that are judged in this table."""
    said = {one["text"]: one for one in table["expectations"]}
    for text, own in judged(study, table, tables).items():
        one = said[text]
        if one["p"] is not None:
            slack = tolerance_of(own.p or 0.0, one["n"]) if is_share(own.metric) else TOLERANCE
            # Under a bound the JSON has the p of the deciding cell, not multiplied by the number of cells.
            if not own.is_bound:
                yield Line(name, "hypothesis: p", text, one["p"], own.p, slack)
            slack = max(slack * own.family, tolerance_of(own.p_adjusted, one["n"]))
            line = Line(name, "hypothesis: adjusted p", text, one["p_adjusted"], own.p_adjusted, slack)
            yield line
            if line.agrees:  # a p that is drawn may lie on either side of .05: the verdict is that of actbench's p
                own = replace(own, p_adjusted=one["p_adjusted"])
        yield Line(name, "hypothesis: verdict", text, one["verdict"], own.verdict)


def shown(lines: Sequence[Line], *, every: bool = False) -> str:
    """Return a table: of each kind of number the one that differs most, or every number; and all that do not agree."""
    chosen = list(lines)
    if not every:
        worst: dict[tuple[str, str], Line] = {}
        for line in lines:
            other = worst.setdefault((line.study, line.kind), line)
            if line.difference > other.difference:
                worst[line.study, line.kind] = line
        wrong = [line for line in lines if not line.agrees]
        chosen = [*worst.values(), *(line for line in wrong if line not in worst.values())]
    counts = Counter((line.study, line.kind) for line in lines)
    rows = [("study", "quantity", "n", "actbench", "scipy", "difference", "", "where")]
    for line in chosen:
        n = "1" if every else f"{counts[line.study, line.kind]:,}"
        apart, mark = f"{line.difference:.1e}", "" if line.agrees else "DIFFERENT"
        rows.append(
            (line.study, line.kind, n, _number(line.product), _number(line.own), apart, mark, line.quantity)
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = (" " * 2).join
    return "\n".join(
        padded(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _number(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _pair(name: str, kind: str, what: str, product_ends: Any, own: list[float] | None) -> Iterator[Line]:
    if product_ends is None or own is None:
        yield Line(name, kind, what, product_ends, own)
        return
    ends = list(product_ends.values()) if isinstance(product_ends, dict) else list(product_ends)
    for end, theirs, ours in zip(("low", "high"), ends, own, strict=True):
        yield Line(name, kind, f"{what} {end}", theirs, ours)


def _label(factors: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in factors.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="studies [default: all that are packed there]")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "claims", metavar="FOLDER")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "claims.md", metavar="FILE", help="of the claims")
    parser.add_argument("--all", action="store_true", help="print every number, not the worst one of each kind")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
