"""``actbench show STUDY``: the aim of a study, its factors, how far its runs are, and its config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actbench.system.text import one_line, printable_lines

if TYPE_CHECKING:
    from rich.console import Console

    from actbench.config import Study
    from actbench.storage.status import StudyStatus


@dataclass(frozen=True)
class ShownStudy:
    """A study that was asked for.

    Args:
        folder: Where its results lie.
        status: How far its runs are.
        study: Its config; None where it can't be read.
        why: Why it can't be read; empty where it can.
    """

    folder: Path
    status: StudyStatus
    study: Study | None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the study as plain data, for ``show --json``."""
        study = self.study
        return {
            "schema": 1,
            "study": self.folder.resolve().name,
            "folder": str(self.folder),
            "description": study and study.description,
            "factors": study and {key: list(values) for key, values in study.levels.items()},
            "seeds": study and list(study.seeds),
            "status": self.status.to_dict(),
            "config": study and study.text,
        }


def shown_study(folder: Path) -> ShownStudy:
    """Read a study's config and look at its runs."""
    from actbench.config import Study
    from actbench.errors import ConfigError
    from actbench.storage.status import study_statuses

    (status,) = study_statuses(folder)
    try:
        return ShownStudy(folder, status, Study.from_yaml(folder / "study.yaml"))
    except ConfigError as error:
        return ShownStudy(folder, status, None, str(error))


def print_study(console: Console, shown: ShownStudy) -> None:
    """Print a study for a reader, with the commands that go on from here."""
    from actbench.system.command_line import command_text

    name, study, status = shown.folder.resolve().name, shown.study, shown.status
    console.print(name, style="bold", end="")
    console.print(f"  {one_line(study.description)}" if study and study.description else "", soft_wrap=True)
    counts = {"done": sum(status.done.values()), "running": len(status.running), "failed": len(status.failed)}
    counts["paused"] = len(status.paused)
    runs = ", ".join(f"{count} {word}" for word, count in counts.items() if count or word == "done")
    lines = {"folder": str(shown.folder)}
    if study:
        contexts = dict.fromkeys(f"{spec.dataset.label} · {spec.model.label}" for spec in study.specs())
        lines |= {
            "data, model": "; ".join(contexts),
            "factors": ", ".join(f"{key} ({len(values)})" for key, values in study.levels.items()),
            "seeds": str(len(study.seeds)),
        }
    lines["runs"] = runs + (f", {status.to_do} to do" if status.to_do else "")
    for word, text in lines.items():
        console.print(f"  {word:<12} {text}", soft_wrap=True)
    for command in ("status", "compare", "runs"):
        word = "go on with" if command == "status" else ""
        console.print(f"  {word:<12} {command_text([command, shown.folder])}", soft_wrap=True)
    if study is None:
        console.print(printable_lines(f"\n{shown.why}"), soft_wrap=True)
        return
    console.print(f"\n{shown.folder / 'study.yaml'}\n", style="bold")
    console.print(printable_lines(study.text.rstrip("\n")), soft_wrap=True, markup=False, highlight=False)
    console.print()
