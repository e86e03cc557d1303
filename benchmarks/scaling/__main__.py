"""Overheads from 1 to 10,000 runs, measured; up to 1,000 workers, simulated; docs/scaling.md, of both.

    python -m benchmarks.scaling --measure [--data FOLDER] [--rounds N] [--sizes 1 10 100]
    python -m benchmarks.scaling --simulate
    python -m benchmarks.scaling --page [--check]

``--measure`` takes half an hour on two cores that nobody else uses; its figures, and the simulation's, lie in
benchmarks/results/. Each of the three reads what the one before it has written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.scaling.measure import SIZES, Plan, measure
from benchmarks.scaling.page import PageError, difference, rendered
from benchmarks.scaling.studies import simulated

RESULTS = Path(__file__).parents[1] / "results"
PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked, in this order; return the exit code."""
    given = _parser().parse_args(arguments)
    if not (given.measure or given.simulate or given.page):
        _parser().error("choose from --measure, --simulate, --page")
    if given.data is not None:
        os.environ["ACTBENCH_DATA"] = str(given.data)
    if given.measure:
        measure(
            Plan(given.folder, given.sizes, given.rounds, given.largest_rounds, _say, partial(_keep, given.results))
        )
    if given.simulate:
        measured = latest(given.results, "scaling-2*.json")
        _write(given.results / "scaling-simulated.json", simulated(_read(measured), measured.name))
    if given.page:
        try:
            text = rendered(*figures(given.results))
        except PageError as error:
            print(f"benchmarks.scaling: {error}", file=sys.stderr)
            return 2
        if given.check:
            problem = difference(PAGE, text)
            print(problem or "the page says what the figures say")
            return 1 if problem else 0
        PAGE.write_text(text, "utf-8")
    return 0


def figures(results: Path = RESULTS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was measured and what was simulated of it."""
    made = _read(results / "scaling-simulated.json")
    return _read(results / made["measured"]), made


def latest(results: Path, pattern: str) -> Path:
    """Return the latest file, by the date in its name."""
    found = sorted(results.glob(pattern))
    if not found:
        raise SystemExit(f"benchmarks.scaling: no {pattern} in {results}: --measure writes it")
    return found[-1]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(path.name)


def _keep(results: Path, found: dict[str, Any]) -> None:
    """Write the figures so far, so that a measurement that is ended early is worth something."""
    _write(results / f"scaling-{found['date'][:10]}.json", found)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="measure on this machine")
    parser.add_argument("--simulate", action="store_true", help="simulate with the latest figures")
    parser.add_argument("--page", action="store_true", help="write docs/scaling.md")
    parser.add_argument("--check", action="store_true", help="with --page: write nothing; exit with 1 if it differs")
    parser.add_argument("--data", type=Path, help="where MNIST lies [default: ACTBENCH_DATA]")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest-rounds", type=int, default=3, help="rounds with more than 1,000 runs")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to be measured")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures lie")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
