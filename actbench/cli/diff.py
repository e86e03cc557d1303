"""``actbench diff``: two runs side by side, down to the epoch at which their curves part."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from actbench.analysis.run_diff import Differences, Divergence, ValuePair
    from actbench.system.console import PrintableConsole

EXAMPLES = {
    "actbench diff relu-bias-0.0-seed-0 tanh-bias-0.0-seed-0": "two runs by the first letters of their ids",
    "actbench diff relu-bias-0.0-seed-0 relu-bias-0.0-seed-1 --json": "for programs",
}

RUN = "A run's id, its first letters, its last eight digits or its path."


def diff(
    first: Annotated[str, typer.Argument(help=RUN, metavar="RUN")],
    second: Annotated[str, typer.Argument(help=RUN, metavar="RUN")],
    results: Annotated[Path, typer.Option(metavar="DIR", help="Where to look for runs.")] = Path("results"),
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show in what two runs differ and where their curves part."""
    from actbench.analysis.run_diff import differences
    from actbench.cli.output import as_json, print_result
    from actbench.storage.reading import find_run
    from actbench.system.console import console_for

    found = differences(find_run(results, first), find_run(results, second))
    if json:
        print_result(as_json(found.to_dict()))
    else:
        print_differences(console_for(sys.stdout), found)


def print_differences(console: PrintableConsole, found: Differences) -> None:
    """Print one page: settings and environment that differ, final metrics, and where the curves part."""
    from actbench.cli.split_tables import print_columns

    for letter, name, outcome in zip("AB", found.runs, found.outcomes, strict=True):
        console.print(f"{letter}  {name}  {outcome}", style="bold", soft_wrap=True)
    _print_table(console, "Settings that differ", ("setting", "A", "B"), _lines(found.settings))
    _print_table(console, "Environment that differs", ("entry", "A", "B"), _lines(found.environment))
    _print_table(console, "Final metrics", ("metric", "A", "B", "B − A"), _metrics(found))
    console.print("\nCurves\n", style="bold")
    for sentence in _sentences(found):
        console.print(sentence, soft_wrap=True)
    if found.divergence.layers:
        console.print(f"\nHidden layers at epoch {found.divergence.epoch}, A | B\n", style="bold")
        print_columns(console, *_layers(found.divergence), numbers=False)


def _print_table(console: PrintableConsole, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from actbench.analysis.reports.table import grid

    console.print(f"\n{title}\n", style="bold")
    if not rows:
        console.print("none")
        return
    table = grid()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _lines(pairs: Mapping[str, ValuePair]) -> list[tuple[str, ...]]:
    return [(key, *map(_word, pair)) for key, pair in pairs.items()]


def _word(value: Any) -> str:
    from actbench.analysis.table.factors import show

    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else show(value)


def _metrics(found: Differences) -> list[tuple[str, ...]]:
    from actbench.analysis.judgements.formatting import quantity
    from actbench.analysis.run_diff import difference

    return [
        (name, *(quantity(name, value) for value in pair), _change(name, difference(pair)))
        for name, pair in found.final.items()
    ]


def _change(metric: str, gap: float | None) -> str:
    """Spell a signed difference; that of two percentages in percentage points."""
    from actbench.analysis.judgements.formatting import MINUS, NOTHING, quantity

    if gap is None:
        return NOTHING
    amount = quantity(metric, abs(gap)).replace(" %", " points")
    return "equal" if gap == 0 else ("+" if gap > 0 else MINUS) + amount


def _sentences(found: Differences) -> Iterable[str]:
    """Yield sentences: where the curves part, or how far they were followed without parting."""
    from actbench.analysis.run_diff import RELATIVE_ROUNDING

    divergence = found.divergence
    rounding = f"rounding (relative {RELATIVE_ROUNDING:g})"
    if not divergence.compared:
        bare = " and of ".join(letter for letter, lacks in zip("AB", found.lacking_curves, strict=True) if lacks)
        why = f": these results hold no epochs of {bare} (metrics.jsonl)" if bare else ""
        yield f"There is no epoch that both runs have{why}."
        return
    first, last = divergence.compared[0], divergence.compared[-1]
    until = f"epochs {first} to {last}" if first < last else f"epoch {first}"
    if not divergence.curves:
        yield f"Neither run has a loss in {until}."
        return
    if divergence.bits is None:
        are = "are" if len(divergence.curves) > 1 else "is"
        yield f"{' and '.join(divergence.curves)} {are} equal to the last bit over {until}."
        return
    yield f"The last bits first differ at epoch {divergence.bits}."
    if divergence.epoch is None:
        yield f"{' and '.join(divergence.curves)} differ by no more than {rounding} over {until}."
        return
    values = "; ".join(f"{name} {_loss(pair)}" for name, pair in divergence.losses.items())
    yield f"The curves part at epoch {divergence.epoch}, by more than {rounding}: {values}."


def _loss(pair: ValuePair) -> str:
    first, second = ("none" if value is None else f"{value:.8g}" for value in pair)
    return f"{first} | {second}"


def _layers(divergence: Divergence) -> tuple[list[str], list[list[str]]]:
    """Return the headings, one a field, and the rows, one a layer."""
    from actbench.analysis.run_diff import LAYER_FIELDS

    there = [field for field in LAYER_FIELDS if any(field in layer for layer in divergence.layers.values())]
    rows = [
        [name, *(" | ".join(_amount(field, one) for one in layer.get(field, (None, None))) for field in there)]
        for name, layer in divergence.layers.items()
    ]
    return ["layer", *there], rows


def _amount(field: str, value: float | None) -> str:
    from actbench.analysis.judgements.formatting import NOTHING, quantity
    from actbench.schema.metrics import METRICS

    metric = f"health.{field}"
    if value is None:
        return NOTHING
    return quantity(metric, value) if metric in METRICS else str(value)
