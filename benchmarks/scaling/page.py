"""Write docs/scaling.md from the committed figures: ``scaling.md.j2`` is the page with its numbers left out.

A sentence that says more or less of something stands behind ``require(…)``, which fails where the figures say
otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from actbench.analysis.judgements.formatting import MINUS
from benchmarks.scaling.studies import WAYS, WORKERS

TEMPLATE = Path(__file__).with_name("scaling.md.j2")


class PageError(ValueError):
    """A figure that is missing, or a sentence that the figures contradict."""


def rendered(measured: Mapping[str, Any], made: Mapping[str, Any], template: Path = TEMPLATE) -> str:
    """Fill the template in.

    Args:
        measured: The measured figures.
        made: The simulated ones.
        template: The page without its numbers.

    Raises:
        PageError: For a figure that is not there, and for a sentence that the figures contradict.
    """
    figures = measured["figures"]

    def require(condition: object, sentence: str) -> str:
        if not condition:
            raise PageError(f"not so by the figures: {sentence}")
        return ""

    def figure(name: str) -> Mapping[str, float]:
        if name not in figures:
            raise PageError(f"no figure '{name}'")
        found: Mapping[str, float] = figures[name]
        return found

    def spread(name: str) -> str:
        return shown(figure(name))

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, of our own figures
    )
    sizes = sorted({int(match[1]) for name in figures if (match := re.match(r"driver, (\d+) runs: all", name))})
    environment.globals.update(
        amount=amount,
        duration=duration,
        figure=figure,
        figures=figures,
        made=made,
        measured=measured,
        percent=lambda share, sign="": f"{100 * share:{sign}z.0f} %".replace("-", MINUS),
        require=require,
        row_of=lambda study, way, workers: row_of(made, study, way, workers),
        sizes=sizes,
        spread=spread,
        studies=list(dict.fromkeys(row["study"] for row in made["rows"])),
        ways=[way.name for way in WAYS],
        workers=WORKERS,
        worst=max((abs(row["error"]) for row in made["checked"]), default=0.0),
    )
    try:
        text = environment.from_string(template.read_text("utf-8")).render()
    except jinja2.TemplateError as error:
        raise PageError(f"{template.name}: {error}") from error
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def row_of(made: Mapping[str, Any], study: str, way: str, workers: int) -> Mapping[str, Any]:
    """Return the simulated row of a study.

    Raises:
        PageError: When there is none.
    """
    for row in made["rows"]:
        if (row["study"], row["way"], row["workers"]) == (study, way, workers):
            found: Mapping[str, Any] = row
            return found
    raise PageError(f"not simulated: {study}, {way}, {workers} workers")


def amount(seconds: float) -> str:
    """Spell a short time to three figures.

    >>> amount(0.0123), amount(4.5678), amount(0.0000021), amount(1234.5)
    ('12.3 ms', '4.57 s', '2.1 µs', '1234 s')
    """
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 0.9995 or unit == "µs":
            return f"{_three_figures(seconds * factor)} {unit}"
    raise AssertionError("unreachable")


def shown(figure: Mapping[str, float]) -> str:
    """Spell a figure with the smallest and the largest of its measurements, where there were several.

    >>> shown({"median": 0.012, "low": 0.011, "high": 0.02, "n": 3}), shown({"median": 2, "low": 2, "high": 2, "n": 1})
    ('12 ms (11–20)', '2 s (n = 1)')
    >>> shown({"median": 0.8, "low": 0.7, "high": 1.02, "n": 3})
    '800 ms (700–1020)'
    """
    middle = amount(figure["median"])
    if figure["n"] == 1:
        return f"{middle} (n = 1)"
    unit = middle.split()[1]
    factor = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    return f"{middle} ({_three_figures(figure['low'] * factor)}–{_three_figures(figure['high'] * factor)})"


def _three_figures(number: float) -> str:
    return f"{number:.0f}" if number >= 999.5 else f"{number:.3g}"


def duration(seconds: float) -> str:
    """Spell a long time.

    >>> duration(42), duration(600), duration(7 * 3600), duration(90 * 3600)
    ('42 s', '10 min', '7.0 h', '3.8 days')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def difference(file: Path, text: str) -> str:
    """Return where a committed page differs from a text, in words; empty when it does not."""
    try:
        committed = file.read_text("utf-8")
    except OSError:
        return f"{file.name} is missing"
    old, new = committed.splitlines(), text.splitlines()
    for number, (had, has) in enumerate(zip(old, new, strict=False), start=1):
        if had != has:
            return f"{file.name}:{number} differs from the figures\n  it has: {had}\n  figures: {has}"
    return "" if committed == text else f"{file.name} has {len(old)} lines, not {len(new)}"
