"""Judge published figures, mean, standard deviation and n of each row: ``compare --summary FILE``.

The rows of a paper's table share no seeds that we know of, so they are compared as independent: Welch's test and
Cohen's d, p by Holm's method over all differences of the file.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actbench.analysis.further.table import FurtherTable, quantity_with_interval
from actbench.analysis.judgements.formatting import MINUS, NOTHING, p_value
from actbench.analysis.statistics import holm
from actbench.analysis.statistics.unpaired import Summary, UnpairedDifference, welch_difference
from actbench.errors import UnknownNameError, UsageError

NAME, GROUP = "name", "group"
NAMES = (NAME, "row", "method", "activation", "model")
"""Headings of the column that names the rows."""
GROUPS = (GROUP, "dataset", "table", "metric")
"""Headings of the column that names the comparison to which a row belongs."""
SPREADS = ("sd", "se", "ci")
"""Headings of the spread: standard deviation, standard error of the mean, or half of a 95 % interval of the mean."""
FORM = "name,mean,sd,n"
MAX_BYTES = 1_000_000
MAX_ROWS = 1000


@dataclass(frozen=True)
class Published:
    """A row of the file.

    Args:
        group: What it is compared within; empty where the file has no such column.
        name: Its name.
        summary: Its figures.
    """

    group: str
    name: str
    summary: Summary


def published_table(path: Path, baseline: str | None = None, alpha: float = 0.05) -> FurtherTable:
    """Return the rows of a file compared to a baseline.

    Args:
        path: A CSV with a heading ``name,mean,sd,n``: separated by commas, semicolons or tabs; ``se`` or ``ci`` may
            stand for ``sd``; a column ``group`` (or ``dataset``) makes a table of each of its values.
        baseline: Name of the row that the others of its group are compared to; None for each group's first.
        alpha: One minus the coverage of intervals, and the level of p.

    Raises:
        UsageError: For a file that can't be read, a line that can't be read as a row, or a baseline that a group lacks.
    """
    rows = read_published(path)
    groups = list(dict.fromkeys(row.group for row in rows))
    members = {group: [row for row in rows if row.group == group] for group in groups}
    bases = {group: _baseline(path, group, own, baseline) for group, own in members.items()}
    found = {
        index: welch_difference(row.summary, bases[row.group].summary, alpha)
        for index, row in enumerate(rows)
        if row is not bases[row.group]
    }
    if not found:
        raise UsageError(f"{path}: a comparison needs two rows")
    tested = [index for index, difference in found.items() if difference.p is not None]
    ps = holm([p for index in tested if (p := found[index].p) is not None] + [1.0] * (len(found) - len(tested)))
    adjusted = dict(zip(tested, ps, strict=False))
    decimals = _decimals(rows)
    level = f"{100 * (1 - alpha):g} %"

    printed, lines, sentences, data = [], [], [], []
    for index, row in enumerate(rows):
        difference, p = found.get(index), adjusted.get(index)
        low, high = row.summary.interval(alpha)
        printed.append(_cells(row, (low, high), difference, p, decimals, alpha, has_groups=len(groups) > 1))
        line = {GROUP: row.group, NAME: row.name, **asdict(row.summary), "low": low, "high": high}
        versus = _versus(difference, p, alpha)
        lines.append({**line, **{f"versus_{key}": value for key, value in versus.items()}})
        is_baseline = row is bases[row.group]
        data.append({**line, "baseline": is_baseline, "vs_baseline": None if is_baseline else versus})
        if difference is not None:
            sentences.append(_sentence(row, bases[row.group], difference, p, decimals, alpha))
    names = dict.fromkeys(base.name for base in bases.values())
    return FurtherTable(
        title=f"Published figures: {path.name}",
        headings=(*(("group",) if len(groups) > 1 else ()), "name", "mean", "n", "Δ", "adjusted p", "Cohen's d"),
        rows=printed,
        lines=lines,
        sentences=sentences,
        caption=(
            f"mean [{level} Student-t interval] over n runs",
            f"Δ = row − baseline ({', '.join(names)}), sides taken as independent: Welch's test",
            f"* p < {alpha:g}, Holm-adjusted over {len(found)} difference{'s' if len(found) > 1 else ''}",
            *(
                ["an interval that excludes 0 without a * is that of one difference alone"]
                if any(adjusted[index] >= alpha > (found[index].p or 0.0) for index in tested)
                else []
            ),
            "d: the difference over the pooled standard deviation, with the interval of the noncentral t",
            "runs that share seeds are compared more sharply by `actbench compare` than their figures can be",
        ),
        data={"alpha": alpha, "family": len(found), "rows": data},
    )


def read_published(path: Path) -> list[Published]:
    """Return the rows of a file, in its order.

    Raises:
        UsageError: With file and line, for a file that can't be read or a line that can't be read as a row.
    """
    from actbench.system.files import read_input

    try:
        text = read_input(path, MAX_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--summary: can't read '{path}': {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--summary: {path} is not text in UTF-8; save it as a CSV in that encoding") from error
    if len(text) > MAX_BYTES:
        raise UsageError(f"--summary: {path} has more than {MAX_BYTES:,} characters, and is no table of a paper")
    first = text.partition("\n")[0]
    delimiter = next((sign for sign in ("\t", ";") if sign in first), ",")
    try:
        table = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UsageError(f"--summary: {path} is not a CSV: {error}") from error
    numbered = [(number, [cell.strip() for cell in cells]) for number, cells in enumerate(table, 1) if any(cells)]
    if not numbered:
        raise UsageError(f"--summary: {path} is empty; expected a heading {FORM} and a line for each row")
    columns = _columns(path, numbered[0][1])
    if len(numbered) - 1 > MAX_ROWS:
        raise UsageError(f"--summary: {path} has {len(numbered) - 1:,} rows; at most {MAX_ROWS:,} are compared")
    rows: list[Published] = []
    for number, cells in numbered[1:]:
        row = _row(f"{path}:{number}", dict(zip(columns, cells, strict=False)), len(cells), columns, delimiter)
        if any((one.group, one.name) == (row.group, row.name) for one in rows):
            raise UsageError(f"{path}:{number}: '{row.name}' is there twice; give each row a name of its own")
        rows.append(row)
    return rows


def _columns(path: Path, heading: Sequence[str]) -> list[str]:
    """Return the columns by the names that ``_row`` knows."""
    known = {**dict.fromkeys(NAMES, NAME), **dict.fromkeys(GROUPS, GROUP), **{name: name for name in SPREADS}}
    known |= {"mean": "mean", "n": "n", "seeds": "n", "runs": "n", "std": "sd"}
    found = [known.get(name.casefold(), name) for name in heading]
    spreads = [name for name in SPREADS if name in found]
    missing = [name for name in (NAME, "mean", "n") if name not in found]
    missing += [] if spreads else ["sd (or se, or ci: half of a 95 % interval)"]
    if missing:
        raise UsageError(
            f"{path}:1: the heading lacks {', '.join(missing)}; expected {FORM}, found {','.join(heading)}"
        )
    if len(spreads) > 1:
        raise UsageError(f"{path}:1: the heading has {' and '.join(spreads)}; keep one of them")
    for name in (NAME, GROUP, "mean", "n", *spreads):
        if found.count(name) > 1:
            both = [given for given, meant in zip(heading, found, strict=True) if meant == name]
            raise UsageError(f"{path}:1: the columns {' and '.join(both)} mean the same; keep one of them")
    return found


def _row(place: str, cells: Mapping[str, str], count: int, columns: Sequence[str], delimiter: str) -> Published:
    if count != len(columns):
        raise UsageError(f"{place}: {count} fields, where the heading has {len(columns)}")
    if not cells[NAME]:
        raise UsageError(f"{place}: the row has no name")
    spread = next(name for name in SPREADS if name in cells)
    mean, given = (_number(place, name, cells[name], delimiter) for name in ("mean", spread))
    if not (cells["n"].isdecimal() and len(cells["n"]) < 10):
        raise UsageError(f"{place}: n should be a whole number of runs, not '{cells['n']}'")
    n = int(cells["n"])
    try:
        return Published(cells.get(GROUP, ""), cells[NAME], Summary(mean, _deviation(spread, given, n), n))
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from error


def _number(place: str, name: str, text: str, delimiter: str) -> float:
    plain = text.removesuffix("%").strip().replace(MINUS, "-")
    if delimiter != ",":  # of the countries that write 0,95
        plain = plain.replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{place}: {name} should be a number, not '{text}'")
    return value


def _deviation(spread: str, given: float, n: int) -> float:
    """Return the standard deviation of a sample whose spread a paper gives in another way."""
    if spread == "sd" or n < 2:
        return given
    if spread == "se":
        return given * math.sqrt(n)
    from scipy.special import stdtrit

    return given * math.sqrt(n) / float(stdtrit(n - 1, 0.975))


def _baseline(path: Path, group: str, rows: Sequence[Published], name: str | None) -> Published:
    if name is None:
        return rows[0]
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        where = f" of group '{group}'" if group else ""
        raise UnknownNameError(f"row{where} of {path.name}", name, [row.name for row in rows])
    return found


def _decimals(rows: Sequence[Published]) -> int:
    """Return as many decimals as show two digits of the smallest standard deviation, 2 to 6."""
    smallest = min((row.summary.sd for row in rows if row.summary.sd > 0), default=0.1)
    return min(max(1 - math.floor(math.log10(smallest)), 2), 6)


def _cells(
    row: Published,
    ends: tuple[float | None, float | None],
    difference: UnpairedDifference | None,
    p: float | None,
    decimals: int,
    alpha: float,
    *,
    has_groups: bool,
) -> list[str]:
    mean = quantity_with_interval(_plain(row.summary.mean, decimals), _written(ends, decimals, with_sign=False))
    cells = [*([row.group] if has_groups else []), row.name, mean, str(row.summary.n)]
    if difference is None:
        return [*cells, "baseline", "", ""]
    star = "*" if p is not None and p < alpha else ""
    delta = _with_interval(difference, decimals)
    return [*cells, f"{delta}{star}", NOTHING if p is None else p_value(p).removeprefix("= "), _d(difference)]


def _versus(difference: UnpairedDifference | None, p: float | None, alpha: float) -> dict[str, Any]:
    known = asdict(difference or UnpairedDifference(0.0))
    known |= {"p_adjusted": p, "significant": None if p is None else p < alpha}
    return known if difference is not None else dict.fromkeys(known)


def _sentence(
    row: Published, base: Published, found: UnpairedDifference, p: float | None, decimals: int, alpha: float
) -> str:
    where = f"{row.group}: " if row.group else ""
    names = f"{where}{row.name} and {base.name}"
    if found.p is None:
        few = min(row.summary.n, base.summary.n)
        why = "no interval: a side has 2 runs, and 3 are needed" if few < 3 else "no test: neither side varies"
        return f"{names} differ by {_signed(found.difference, decimals)} ({why})"
    figures = f"(n = {row.summary.n} and {base.summary.n}, adjusted p {p_value(p or 0.0)}, d {_d(found)})"
    by = _with_interval(found, decimals)
    if p is not None and p < alpha:
        side = "above" if found.difference > 0 else "below"
        return f"{where}{row.name} is {side} {base.name}: {by} {figures}"
    return f"{names} are not distinguishable: {by} {figures}"


def _with_interval(found: UnpairedDifference, decimals: int) -> str:
    return quantity_with_interval(
        _signed(found.difference, decimals), _written((found.low, found.high), decimals, with_sign=True)
    )


def _d(found: UnpairedDifference) -> str:
    if found.d is None:
        return NOTHING
    return quantity_with_interval(_signed(found.d, 2), _written((found.d_low, found.d_high), 2, with_sign=True))


def _written(ends: tuple[float | None, float | None], decimals: int, *, with_sign: bool) -> tuple[str, str] | None:
    low, high = ends
    if low is None or high is None:
        return None
    write = _signed if with_sign else _plain
    return write(low, decimals), write(high, decimals)


def _plain(value: float, decimals: int) -> str:
    text = f"{abs(value):.{decimals}f}" if abs(value) < 1e9 else f"{abs(value):.6g}"
    return f"{MINUS if value < 0 and float(text) else ''}{text}"


def _signed(value: float, decimals: int) -> str:
    text = _plain(value, decimals)
    return f"+{text}" if value > 0 and float(text) else text
