"""The page of finished runs as a file, for ``report``, ``compare -o FILE.html`` and ``run --report``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actbench.analysis.compare_options import CompareOptions
    from actbench.analysis.plots._figures import Drawn
    from actbench.analysis.table.result import Comparison
    from actbench.cli.torch_process import TorchProcess
    from actbench.schema.record import RunRecord
    from actbench.storage.reading import Records

MAX_FUNCTIONS = 8
"""The most curves that can be told apart in one picture; ``show NAME …`` draws any choice of them."""


def _functions(comparison: Comparison, torch_process: TorchProcess) -> Drawn | None:
    """Return the picture of a comparison's activations; None where there are none of actbench's own, or too many.

    A user's own function is not evaluated: its code may be missing here, and writing a page should not run it.
    torch evaluates the functions. Runs without layers have no chart that needs it, so for them it is not imported.
    """
    from actbench.analysis.plots._data import baseline_activation
    from actbench.analysis.plots._functions import drawn_functions
    from actbench.cli.function_curves import function_curves
    from actbench.cli.theory import has_torch

    records = [record for row in comparison.rows for record in row.records]
    if not has_torch() or not _have_layers(records):
        return None
    specs = [record.spec for record in records]
    known = {spec.activation.label: spec for spec in specs if spec.activation.path is None}
    if not 0 < len(known) <= MAX_FUNCTIONS:
        return None
    slope = next(iter(known.values())).health.dead_slope
    curves = torch_process.call(function_curves, [spec.activation for spec in known.values()], slope)
    return drawn_functions(curves, baseline=baseline_activation(comparison))


def _have_layers(records: Iterable[RunRecord]) -> bool:
    return any(line.get("layers") for record in records for line in record.curves)


def write_page(records: Records, output: Path, options: CompareOptions | None = None) -> str:
    """Write the page of some runs and return the file's path, the number of runs and the size in one line.

    torch computes the theory and the functions of some charts. If it is not imported yet, another process imports it
    while this one compares the runs and draws the other charts.

    Raises:
        ActbenchError: When the runs can't be compared so, the file can't be written, or the other process is lost.
    """
    from actbench.analysis.page.page import page_of
    from actbench.cli.theory import has_torch, prediction
    from actbench.cli.torch_process import TorchProcess
    from actbench.system.command_line import shown_path
    from actbench.system.files import write_output

    with TorchProcess() as torch_process:
        # Runs without layers have no chart that needs torch.
        if _have_layers(records) and "torch" not in sys.modules and has_torch():
            torch_process.start()
        page = page_of(
            records,
            options=options,
            predict=partial(torch_process.call, prediction),
            functions=partial(_functions, torch_process=torch_process),
        )
    write_output(output, page)
    runs = f"{len(records):,} run{'' if len(records) == 1 else 's'}"
    return f"{shown_path(output)}: {runs}, {len(page.encode()) / 1e6:.1f} MB"
