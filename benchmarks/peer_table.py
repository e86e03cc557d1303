"""From measurements to the table of ratios, and its forms: JSON, a console, Markdown.

``python -m benchmarks.peer_table benchmarks/results/FILE.json`` prints a stored result as Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.launch import Measured, Setting
from benchmarks.settings import TO_BUSY, TO_COMMAND, TO_STEPS, WHOLE, Goal
from benchmarks.turns import Spread, disagreement, ratios

COLUMNS = {
    TO_BUSY: "ratio",
    TO_STEPS: "ratio_to_training",
    TO_COMMAND: "ratio_to_command",
    WHOLE: "ratio_of_programs",
}
"""Column -> the field of ``Row`` that it shows."""

HEAD = ("peer", "seconds a run", *COLUMNS, "n", "goal")


@dataclass(frozen=True)
class Row:
    """One peer against actbench.

    Args:
        name: The peer's.
        processes: Its own.
        threads: Of each process.
        runs: Trained in one measurement, over all processes.
        seconds: Training of one run.
        ratio: Those seconds over actbench's, measured just before and after.
        ratio_to_training: The same over actbench's steps alone, without its evaluation and health: like for like.
        ratio_to_command: The same over actbench's whole command a run, imports and results included.
        ratio_of_programs: The peer's whole program for as many runs as actbench trains, over actbench's whole command.
        accuracy_difference: Mean over the common runs, the peer's less actbench's; None for one that learns nothing.
        goal: The least ratio that actbench aims at, and its column; None where it has none.
    """

    name: str
    processes: int
    threads: int
    runs: int
    seconds: Spread
    ratio: Spread
    ratio_to_training: Spread
    ratio_to_command: Spread
    ratio_of_programs: Spread
    accuracy_difference: float | None
    goal: Goal | None

    @property
    def reached(self) -> bool | None:
        """Whether the median of the goal's column is at the goal or above."""
        if self.goal is None:
            return None
        found: Spread = getattr(self, COLUMNS[self.goal.column])
        return found.median >= self.goal.least

    def to_json(self) -> dict[str, Any]:
        """All fields, with the goal's number and its column apart."""
        goal = {"goal": None, "goal_column": None}
        if self.goal is not None:
            goal = {"goal": self.goal.least, "goal_column": self.goal.column}
        return {**asdict(self), **goal, "reached": self.reached}


def rows(
    subject: str, settings: Sequence[Setting], measured: Sequence[Measured], goals: Mapping[str, Goal]
) -> list[Row]:
    """A row for each setting that was measured, in the settings' order."""
    # A peer counts with training alone against all of these: the whole command is in doubt for the peer.
    to_busy, to_training, to_command = (
        ratios(subject, [(one.name, getattr(one, what) if one.name == subject else one.seconds) for one in measured])
        for what in ("seconds", "training_seconds", "whole_seconds")
    )
    own = next(one for one in measured if one.name == subject)
    of_programs = ratios(subject, [(one.name, one.program_seconds(own.runs)) for one in measured])
    found = []
    for setting in settings:
        mine = [one for one in measured if one.name == setting.name]
        if mine:
            row = Row(
                name=setting.name,
                processes=setting.processes,
                threads=setting.threads,
                runs=mine[0].runs,
                seconds=Spread.of([one.seconds for one in mine]),
                ratio=Spread.of(to_busy[setting.name]),
                ratio_to_training=Spread.of(to_training[setting.name]),
                ratio_to_command=Spread.of(to_command[setting.name]),
                ratio_of_programs=Spread.of(of_programs[setting.name]),
                accuracy_difference=disagreement(own.accuracies, mine[0].accuracies),
                goal=goals.get(setting.name),
            )
            found.append(row)
    return found


def to_json(subject: str, found: Sequence[Row], measured: Sequence[Measured]) -> dict[str, Any]:
    """The rows, actbench's own seconds and every single measurement."""
    own = [one for one in measured if one.name == subject]
    return {
        "actbench": {
            "runs": own[0].runs,
            "seconds": asdict(Spread.of([one.seconds for one in own])),
            "training_seconds": asdict(Spread.of([one.training_seconds for one in own])),
            "command_seconds": asdict(Spread.of([one.whole_seconds for one in own])),
        },
        "rows": [row.to_json() for row in found],
        "measurements": [asdict(one) for one in measured],
    }


def lines(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The table's cells from a result's JSON: actbench first, then the peers, then those left out."""
    own = result["actbench"]
    parts = (own["seconds"], own["training_seconds"], own["command_seconds"])
    seconds = "{}; steps alone {}; command {}".format(*map(_spread, parts))
    empty = ("",) * (len(COLUMNS) - 1)
    found = [("actbench", seconds, "1", *empty, str(own["seconds"]["n"]), "")]
    for row in result["rows"]:
        shown = [_spread(row[field]) if field in row else "" for field in COLUMNS.values()]  # earlier ones lack one
        found.append((row["name"], _spread(row["seconds"]), *shown, str(row["ratio"]["n"]), _goal_cell(row)))
    return found + [(name, f"left out: {reason}", "", *empty, "0", "") for name, reason in result["left_out"].items()]


def _goal_cell(row: Mapping[str, Any]) -> str:
    if row["goal"] is None:
        return ""
    column = row.get("goal_column", TO_BUSY)
    return f"≥ {row['goal']:.3g} ({column}): {'reached' if row['reached'] else 'not reached'}"


def goal_list(found: Sequence[Row], goals: Mapping[str, Goal]) -> list[dict[str, Any]]:
    """Every goal with the figure that decides; ``reached`` is None for a peer that was not measured."""
    by_name, listed = {row.name: row for row in found}, []
    for name, goal in goals.items():
        row = by_name.get(name)
        figure = None if row is None else asdict(getattr(row, COLUMNS[goal.column]))
        reached = None if row is None else row.reached
        listed.append({"peer": name, **asdict(goal), "figure": figure, "reached": reached})
    return listed


def goal_lines(result: Mapping[str, Any]) -> list[str]:
    """Each goal of a result in words, in the goals' order; none for results that hold no list of them.

    >>> goal_lines({"goals": [{"peer": "JAX scan", "column": "÷ actbench", "least": 1.0, "figure": None,
    ...     "reached": None}]})
    ['JAX scan, ÷ actbench ≥ 1: not measured']
    """
    found = []
    for goal in result.get("goals", ()):
        figure, state = goal["figure"], {True: "reached", False: "not reached", None: "not measured"}[goal["reached"]]
        shown = "" if figure is None else f", {_spread(figure)}, n = {figure['n']}"
        found.append(f"{goal['peer']}, {goal['column']} ≥ {goal['least']:.3g}: {state}{shown}")
    return found


def markdown(result: Mapping[str, Any]) -> str:
    """The table, the goals one by one and the notes as Markdown."""
    table = [HEAD, ("---", *("---:" for _ in HEAD[1:-1]), "---"), *lines(result)]
    text = [f"| {' | '.join(cells)} |" for cells in table]
    goals = [f"- {line}" for line in goal_lines(result)]
    listed = ["", "Goals, each decided by the median of its column:", "", *goals] if goals else []
    return "\n".join([*text, *listed, "", *(f"- {note}" for note in result["notes"])])


def show(result: Mapping[str, Any]) -> None:
    """Print the table, the goals one by one and the notes for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=result["title"])
    for head in HEAD:
        table.add_column(head, overflow="fold")
    for cells in lines(result):
        table.add_row(*cells)
    console = Console()
    console.print(table)
    for line in goal_lines(result):
        console.print(f"goal: {line}", markup=False, highlight=False)
    for note in result["notes"]:
        console.print(f"· {note}", markup=False, highlight=False)


def _spread(values: Mapping[str, float]) -> str:
    return f"{values['median']:.3g} [{values['low']:.3g}, {values['high']:.3g}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    try:
        print(markdown(json.loads(parser.parse_args().file.read_text("utf-8"))))
    except (OSError, ValueError, KeyError) as error:
        print(f"not a result of benchmarks.compare_peers: {error!r}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
