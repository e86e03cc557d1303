"""Write docs/claims.md, its pictures and the table in the README from the committed results alone.

    python -m benchmarks.claims.page            # writes them
    python -m benchmarks.claims.page --check    # exits with 1 where a file differs from the results

``claims.md.j2`` is the page with its numbers left out: each is an expression that asks ``evidence``. A sentence that
says more or less of something stands behind ``require(…)``, which fails where the results say otherwise.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from actbench.analysis.compare_options import DEFAULT_ALPHA
from actbench.analysis.judgements.formatting import p_value, quantity, series
from actbench.analysis.table.factors import show
from actbench.errors import ActbenchError
from actbench.schema import registry
from actbench.system.command_line import shown_path
from benchmarks.claims import drawing
from benchmarks.claims.answers import EvidenceError
from benchmarks.claims.costs import costs
from benchmarks.claims.drawing import Picture
from benchmarks.claims.evidence import ALL, Evidence, Study
from benchmarks.claims.places import ROOT, all_places, place_of
from benchmarks.claims.reproduced import beside

TEMPLATE = Path(__file__).with_name("claims.md.j2")
BEGIN, END = "<!-- claims: written by benchmarks.claims.page -->", "<!-- end of claims -->"
"""Between these two lines of the README stands the head of the table."""

README_ROWS = 4
README_COLUMNS = 4
"""Claim, verdict, effect, n: the first columns of the page's table."""

SENTENCES = ("warnings", "verdicts", "note", "left_out")
"""Keys of the JSON that hold sentences: a better wording makes no committed number wrong."""

TOLERANCE = 1e-9
"""Relative; another processor or library may round the last bits of a committed JSON otherwise."""


@dataclass(frozen=True)
class Paths:
    """Where the page is read from and written to.

    Args:
        results: The committed results.
        page: The page.
        pictures: The folder of its pictures.
        readme: The README.
    """

    results: Path = ROOT / "results"
    page: Path = ROOT / "docs" / "claims.md"
    pictures: Path = ROOT / "docs" / "pictures"
    readme: Path = ROOT / "README.md"


@dataclass
class Rendered:
    """The page.

    Args:
        text: Its Markdown.
        pictures: Those that it shows, in its order.
        untrue: The conditions of sentences that did not hold; only filled by a lenient rendering.
    """

    text: str = ""
    pictures: list[Picture] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)


def rendered(evidence: Evidence, template: Path = TEMPLATE, *, lenient: bool = False) -> Rendered:
    """Fill the template in.

    Args:
        evidence: The committed results.
        template: The page without its numbers.
        lenient: Whether a sentence that the results contradict is noted and not refused: for studies cut to seconds,
            which show that the whole chain works and nothing else.

    Raises:
        EvidenceError: For a question without an answer, and for a sentence that the results contradict; with the line
            of the template.
    """
    found = Rendered()

    def require(condition: object, sentence: str) -> str:
        if not condition:
            if not lenient:
                raise EvidenceError(f"not so by the results: {sentence}")
            found.untrue.append(sentence)
        return ""

    def picture(study: Study, name: str, chart: str, alt: str, **options: Any) -> str:
        one = Picture(name, study, chart, **options)
        if name not in [other.name for other in found.pictures]:
            found.pictures.append(one)
        return f"![{alt}](pictures/{one.file})"

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, of our own results
    )
    environment.globals.update(
        ALL=ALL,
        beside=beside,
        costs=costs,
        evidence=evidence,
        has=evidence.has,
        has_file=lambda name: (evidence.results / name).is_file(),
        json=evidence.json,
        level=DEFAULT_ALPHA,
        p_value=p_value,
        picture=picture,
        place_of=place_of,
        places=all_places(),
        quantity=quantity,
        require=require,
        series=series,
        show=show,
        studies=[place for place in all_places() if evidence.has(place.name)],
        study=evidence.study,
    )
    try:
        text = environment.from_string(template.read_text("utf-8")).render()
    except (EvidenceError, jinja2.TemplateError) as error:
        raise EvidenceError(f"{template.name}:{_line_of(error)}: {error}") from error
    found.text = re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"
    return found


def readme_table(page: str) -> list[str]:
    """Return the head of the page's first table, with its first columns and links that lead into the page."""
    rows = []
    for line in list(_first_table(page))[: 2 + README_ROWS]:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        rows.append(f"| {' | '.join(cells[:README_COLUMNS])} |".replace("](#", "](docs/claims.md#"))
    return rows


def _first_table(page: str) -> Iterator[str]:
    is_inside = False
    for line in page.splitlines():
        if line.startswith("|"):
            is_inside = True
            yield line
        elif is_inside:
            return


def with_table(readme: str, table: Sequence[str]) -> str:
    """Return a README with the table between its two markers.

    Raises:
        EvidenceError: When the markers are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise EvidenceError(f"the README has no lines '{BEGIN}' and '{END}'")
    return "\n".join((f"{before}{BEGIN}", *table, f"{END}{after}"))


def texts(page: Rendered, paths: Paths) -> dict[Path, str]:
    """Return the text of each file that is written: the page, and the README."""
    return {
        paths.page: page.text,
        paths.readme: with_table(paths.readme.read_text("utf-8"), readme_table(page.text)),
    }


def write(page: Rendered, paths: Paths) -> list[Path]:
    """Write the page, its pictures and the README's table; return the files."""
    paths.pictures.mkdir(parents=True, exist_ok=True)
    found = []
    for file, text in texts(page, paths).items():
        file.write_text(text, "utf-8")
        found.append(file)
    for picture in page.pictures:
        target = paths.pictures / picture.file
        if drawing.difference(target, picture):
            target.write_bytes(picture.svg())
        found.append(target)
    return found


def differences(page: Rendered, evidence: Evidence, paths: Paths) -> Iterator[str]:
    """Yield in words how the committed files differ from what the committed results say, each at its first line."""
    for file, text in texts(page, paths).items():
        yield from _first_line(file, text)
    for picture in page.pictures:
        if problem := drawing.difference(paths.pictures / picture.file, picture):
            yield problem
    shown = {picture.file for picture in page.pictures}
    for file in sorted(paths.pictures.glob("claims-*.svg")):
        if file.name not in shown:
            yield f"{file.name} is on no page"
    for place in all_places():
        if evidence.has(place.name):
            study = evidence.study(place.name)
            yield from _json_differences(place.result(evidence.results, ".json"), study)
            yield from _csv_differences(place.result(evidence.results, ".csv"), study)


def _first_line(file: Path, text: str) -> Iterator[str]:
    try:
        committed = file.read_text("utf-8")
    except OSError:
        yield f"{file.name} is missing"
        return
    if committed == text:
        return
    old, new = committed.splitlines(), text.splitlines()
    place = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    had, has = (lines[place] if place < len(lines) else "(the end)" for lines in (old, new))
    yield f"{file.name}:{place + 1} differs from the results\n  it has: {had}\n  results: {has}"


def _json_differences(file: Path, study: Study) -> Iterator[str]:
    try:
        committed = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        yield f"{file.name} can't be read: {error}"
        return
    expected = json.loads(json.dumps(study.comparisons.to_dict()))
    if problem := first_difference(_without_sentences(committed), _without_sentences(expected)):
        yield f"{file.name} differs from the results: {problem}"


def _without_sentences(value: Any) -> Any:
    """Return a JSON value without what only says in words what its numbers say."""
    if isinstance(value, Mapping):
        return {key: _without_sentences(one) for key, one in value.items() if key not in SENTENCES}
    return [_without_sentences(one) for one in value] if isinstance(value, list) else value


def _csv_differences(file: Path, study: Study) -> Iterator[str]:
    target = io.StringIO()
    registry.load("reports", "csv").render(study.comparisons, target)
    expected = list(csv.reader(io.StringIO(target.getvalue())))
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            committed = list(csv.reader(lines))
    except OSError as error:
        yield f"{file.name} can't be read: {error}"
        return
    rows = [[[_number(cell) for cell in row] for row in table] for table in (committed, expected)]
    if problem := first_difference(rows[0], rows[1]):
        yield f"{file.name} differs from the results: {problem}"


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def first_difference(a: Any, b: Any, place: str = "") -> str:
    """Return where two JSON values differ by more than rounding, in words; empty when they do not.

    >>> first_difference({"p": [0.1, 0.2]}, {"p": [0.1, 0.3]})
    'p.1 is 0.2, not 0.3'
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys():
        pairs = [(f"{place}.{key}", a[key], b[key]) for key in a]
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = [(f"{place}.{index}", x, y) for index, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        is_number = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (a, b))
        is_same = math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) if is_number else a == b
        return "" if is_same else f"{place.removeprefix('.')} is {_brief(a)}, not {_brief(b)}"
    return next((found for where, x, y in pairs if (found := first_difference(x, y, where))), "")


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _line_of(error: BaseException) -> int:
    """Return the line of the template at which an error was raised."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return (lines[-1] if lines else getattr(error, "lineno", None)) or 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file differs")
    parser.add_argument("--results", type=Path, default=Paths.results, help="with claims/ and published/ in it")
    parser.add_argument("--output", type=Path, help="a folder for page, pictures and README in place of the project's")
    parser.add_argument("--lenient", action="store_true", help="for results cut to seconds: list untrue sentences only")
    chosen = parser.parse_args(arguments)
    paths = Paths(results=chosen.results)
    if chosen.output is not None:
        out = chosen.output
        out.mkdir(parents=True, exist_ok=True)
        paths = Paths(chosen.results, out / "claims.md", out / "pictures", out / "README.md")
        paths.readme.write_text(Paths.readme.read_text("utf-8"), "utf-8")
    evidence = Evidence(paths.results)
    try:
        page = rendered(evidence, lenient=chosen.lenient)
        if chosen.check:
            problems = list(differences(page, evidence, paths))
            print("\n".join(problems) or "the page says what the results say")
            return 1 if problems else 0
        for file in write(page, paths):
            print(shown_path(file))
    except (EvidenceError, ActbenchError) as error:
        print(f"benchmarks.claims.page: {error}", file=sys.stderr)
        return 2
    for sentence in page.untrue:
        print(f"not borne out by these results: {sentence}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
