"""``actbench pack``: a study as one file that every reading command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = {
    "actbench pack study": "one file, study.zip, which every reading command takes",
    "actbench pack study -o study.tar.xz": "a third of the size, read whole into memory",
    "actbench pack study -o study.tar.xz --no-curves": "results without epochs, a fifth of that",
    "actbench pack results/study --weights -o all.zip": "with the networks that were kept",
}

CHARTS_OF_CURVES = (
    "dead_units",
    "gradient_depth",
    "histograms",
    "learned_parameters",
    "learning_curves",
    "signal_depth",
)


def pack(
    study: Annotated[Path, typer.Argument(help="A study's folder or name.", metavar="STUDY")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file, .zip or .tar.xz. [default: STUDY.zip]", metavar="FILE"),
    ] = None,
    weights: Annotated[bool, typer.Option("--weights", help="Kept weights, too.")] = False,
    no_histograms: Annotated[
        bool, typer.Option("--no-histograms", help="Leave the layers' distributions out.")
    ] = False,
    no_curves: Annotated[
        bool, typer.Option("--no-curves", help="Leave the epochs of runs that have a result out.")
    ] = False,
) -> None:
    """Pack a study into one file that compare, show, plot, report and runs read.

    Locks and checkpoints stay out of it. To train more of the study, unpack it.
    """
    from actbench.cli.output import print_note, print_result
    from actbench.cli.study_names import result_path
    from actbench.storage.packing import pack_study
    from actbench.system.command_line import shown_path

    packed = pack_study(result_path(study), output, weights=weights, histograms=not no_histograms, curves=not no_curves)
    runs = f"{packed.runs:,} run{'' if packed.runs == 1 else 's'}"
    print_result(f"{shown_path(packed.file)}: {runs}, {packed.size / 1e6:.2g} MB")
    if no_curves:
        *charts, last = CHARTS_OF_CURVES
        print_note(
            f"without curves: this file has no epochs to draw the charts {', '.join(charts)} and {last}, nor for "
            "`compare --reach`"
        )
    elif no_histograms:
        print_note("without the layers' distributions: the chart `histograms` can't be drawn of this file")
    if packed.unfinished:
        print_note(f"warning: {packed.unfinished:,} of them have not finished: their curves so far are in the file")
