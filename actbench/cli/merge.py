"""``actbench merge``: the folders of a study from several machines as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from actbench.storage.merging import MergedStudy

EXAMPLES = {
    "actbench merge results -o everything": "what this machine has trained, into a folder of all",
    "actbench merge everything results -o results": "and back, with what others have put there",
}


def merge(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Results, studies or packed studies.", metavar="PATH")
    ] = None,
    results: Annotated[Path, typer.Option("-o", "--results", help="The folder to merge into.", metavar="DIR")] = Path(
        "results"
    ),
) -> None:
    """Merge the folders of a study that was trained in parts, run by run.

    A run that several have is taken from where it is furthest; of equals, the first. What is in the folder comes before
    all others.
    """
    from actbench.cli.output import print_note, print_result
    from actbench.cli.study_names import result_path
    from actbench.errors import UsageError
    from actbench.storage.merging import merge_studies
    from actbench.system.command_line import command_text
    from actbench.system.text import printable

    if not paths:
        raise UsageError(
            "merge: name the folders or packed studies to merge, such as `actbench merge machine-a machine-b`"
        )
    for one in merge_studies([result_path(path) for path in paths], results):
        for warning in one.warnings:
            print_note(printable(f"warning: {one.study}: {warning}"))
        print_result(printable(_summary(one)))
        print_note(f"status: {command_text(['status', one.folder])}")


def _summary(one: MergedStudy) -> str:
    from actbench.system.command_line import shown_path

    folders = "1 folder" if one.sources == 1 else f"{one.sources} folders"
    runs = f"{one.copied:,} run{'' if one.copied == 1 else 's'} from {folders}, {one.finished:,} are finished there"
    text = f"{one.study} -> {shown_path(one.folder)}: {runs}"
    if one.repeated:
        numbers = f"{one.differing:,} with other numbers" if one.differing else "with the same numbers"
        text += f"; {one.repeated:,} had been finished before, {numbers}"
    return text
