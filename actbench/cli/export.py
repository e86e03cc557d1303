"""``actbench export``: finished runs for TensorBoard, Weights & Biases, MLflow, or as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actbench.cli.output import print_note, print_result
from actbench.cli.study_names import result_paths

EXAMPLES = {
    "actbench export tensorboard results/study": "for `tensorboard --logdir tensorboard`",
    "actbench export parquet results -o tables": "runs.parquet and epochs.parquet in a folder",
}


def export(
    exporter: Annotated[str, typer.Argument(help="tensorboard, wandb, mlflow or parquet.", metavar="EXPORTER")],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Results, studies or runs. [default: results]", metavar="PATH")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A folder; for mlflow a database file.",
            metavar="PATH",
        ),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="The numbers of each layer, too.")] = False,
) -> None:
    """Write finished runs for another program; nothing is sent anywhere.

    Each needs its package: `pip install tensorboard`, wandb, mlflow, or polars for parquet. Without -o it writes
    tensorboard/, wandb/, mlflow.db or parquet/. A run that is exported again replaces itself.
    """
    from actbench.analysis.export._runs import exported_runs
    from actbench.errors import UsageError
    from actbench.schema import registry
    from actbench.storage.reading import read_results
    from actbench.system.command_line import shown_path
    from actbench.system.files import writing

    chosen = registry.load("exporters", exporter)
    records = read_results(*result_paths(paths), curves=True)
    for warning in records.warnings:
        print_note(f"warning: {warning}")
    target = output or chosen.default
    try:
        with writing(target):
            done = chosen.export(exported_runs(records, with_layers=layers), target)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != chosen.package:
            raise
        package = chosen.package
        text = f"export {exporter} needs the package {package}, which is not installed: pip install {package}"
        raise UsageError(text) from error
    there = f", {done.present:,} there already" if done.present else ""
    places = ", ".join(map(shown_path, done.places))
    print_result(f"{places}: {done.written:,} run{'' if done.written == 1 else 's'} written{there}")
    if done.command:
        print_result(f"to look at them: {done.command}")
