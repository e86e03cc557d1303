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
from benchmarks.turns import Spread, disagreement, ratios

HEAD = ("peer", "seconds a run", "÷ actbench", "÷ its steps alone", "÷ its whole command", "n", "goal")


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
        accuracy_difference: Mean over the common runs, the peer's less actbench's; None for one that learns nothing.
        goal: Least ratio that actbench aims at; None where it has none.
    """

    name: str
    processes: int
    threads: int
    runs: int
    seconds: Spread
    ratio: Spread
    ratio_to_training: Spread
    ratio_to_command: Spread
    accuracy_difference: float | None
    goal: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the median ratio is at the goal or above."""
        return None if self.goal is None else self.ratio.median >= self.goal


def rows(
    subject: str, settings: Sequence[Setting], measured: Sequence[Measured], goals: Mapping[str, float]
) -> list[Row]:
    """A row for each setting that was measured, in the settings' order."""
    # A peer counts with training alone against all of these: the whole command is in doubt for the peer.
    to_busy, to_training, to_command = (
        ratios(subject, [(one.name, getattr(one, what) if one.name == subject else one.seconds) for one in measured])
        for what in ("seconds", "training_seconds", "whole_seconds")
    )
    own = next(one for one in measured if one.name == subject)
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
        "rows": [{**asdict(row), "reached": row.reached} for row in found],
        "measurements": [asdict(one) for one in measured],
    }


def lines(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The table's cells from a result's JSON: actbench first, then the peers, then those left out."""
    own = result["actbench"]
    parts = (own["seconds"], own["training_seconds"], own["command_seconds"])
    seconds = "{}; steps alone {}; command {}".format(*map(_spread, parts))
    found = [("actbench", seconds, "1", "", "", str(own["seconds"]["n"]), "")]
    for row in result["rows"]:
        goal = "" if row["goal"] is None else f"≥ {row['goal']:.3g}: {'reached' if row['reached'] else 'not reached'}"
        found.append(
            (
                row["name"],
                _spread(row["seconds"]),
                _spread(row["ratio"]),
                _spread(row["ratio_to_training"]),
                _spread(row["ratio_to_command"]),
                str(row["ratio"]["n"]),
                goal,
            )
        )
    return found + [(name, f"left out: {reason}", "", "", "", "0", "") for name, reason in result["left_out"].items()]


def markdown(result: Mapping[str, Any]) -> str:
    """The table and its notes as Markdown."""
    table = [HEAD, ("---", *("---:" for _ in HEAD[1:-1]), "---"), *lines(result)]
    text = [f"| {' | '.join(cells)} |" for cells in table]
    return "\n".join([*text, "", *(f"- {note}" for note in result["notes"])])


def show(result: Mapping[str, Any]) -> None:
    """Print the table and its notes for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*HEAD, title=result["title"])
    for cells in lines(result):
        table.add_row(*cells)
    console = Console()
    console.print(table)
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
