"""``actbench cost``: time and memory an element of each activation, against identity and ReLU."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actbench.cli.output import as_json, print_note, print_result, user_output_on_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from actbench.diagnostics.cost.result import Costs, Pass, Size
    from actbench.schema.components import Component

EXAMPLES = {
    "actbench cost relu gelu": "two of them",
    "actbench cost 'max(x, 0.1 * x)' '{name: elu, alpha: 0.2}' --rounds 15": "a formula, and options",
}

EXPLAINED = (
    "ns: nanoseconds an element, the median of {rounds} rounds in which all take turns [the {low} to the {high} round; "
    "if rounds are independent, the true median lies there with {coverage:.0f} %, each interval by itself]. ×: the "
    "time over a reference's of the same round.",
    "× identity: over z·1, which reads and writes each element once; the activation identity returns z itself, at the "
    "price of a call. forward: as in evaluation. forward+backward: as in training, noise included.",
    "kept: bytes that an element occupies from forward to backward, output included. Time: {clock}.",
)
EVERY_SECONDS = 2.0


def cost(
    activations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ACTIVATION",
            help="A name, a formula such as 'max(x, 0.1 * x)', or '{name: elu, alpha: 0.2}'. [default: all]",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=5, metavar="N", help="How often each is measured.")] = 9,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda (cuda:1 …) or mps.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure the time and memory that activations take.

    An element, in cache and in memory, against identity and ReLU.
    """
    from actbench.diagnostics.cost.measure import measure_costs
    from actbench.system.console import console_for

    chosen = [component(text) for text in activations or every_name()]
    with user_output_on_stderr():
        found = measure_costs(chosen, rounds=rounds, device=device, tell=_round_reporter(len(chosen), rounds))
    if json:
        print_result(as_json(found.to_json()))
    else:
        print_costs(console_for(sys.stdout), found)


def component(text: str) -> Component:
    """Resolve the activation that a config would mean by this text, which is read as YAML.

    Raises:
        UsageError: When there is no such activation, or it has no such option.
    """
    from actbench.config.nodes import read
    from actbench.config.places import SourceText
    from actbench.errors import ConfigError, UsageError
    from actbench.schema.components import resolve

    try:
        return resolve("activations", read(SourceText("ACTIVATION", text)).content)
    except ConfigError as error:
        raise UsageError(f"activation '{text}': {error.messages}") from error


def print_costs(console: Console, found: Costs) -> None:
    """Print a table for each pass and size, the meaning of its columns, and the verdicts."""
    from actbench.diagnostics.cost.result import PASSES, TITLES, coverage, interval_rank, verdicts
    from actbench.system.devices import this_processor

    machine, d = found.machine, interval_rank(found.rounds)
    console.print(this_processor().description, style="bold", markup=False, highlight=False)
    console.print(f"{machine['device']}, {machine['threads']} thread, float32", style="bold")
    for measured in PASSES:
        for size in found.sizes:
            console.print(f"\n{TITLES[measured]} in {size.name}: tensors of {_bytes(size)}\n", style="bold")
            console.print(_table(found, size, measured))
    words = {"low": f"{_ordinal(d)}fastest", "high": f"{_ordinal(d)}slowest", "clock": machine["clock"]}
    share = 100 * coverage(found.rounds, d)
    console.print()
    for note in EXPLAINED:
        console.print(note.format(rounds=found.rounds, coverage=share, **words), style="dim")
    console.print()
    for sentence in verdicts(found):
        console.print(f"· {sentence}")


def _ordinal(number: int) -> str:
    return {1: "", 2: "second ", 3: "third "}.get(number, f"{number}th ")


def _table(found: Costs, size: Size, measured: Pass) -> Any:
    """Return the table of a pass and a size, the cheapest activation first."""
    from rich.text import Text

    from actbench.analysis.reports.table import grid
    from actbench.diagnostics.cost.result import REFERENCES, median_interval, with_interval

    table = grid()
    table.add_column("activation", overflow="fold")
    for title in ("ns", *(f"× {name}" for name in REFERENCES), "kept"):
        table.add_column(title, justify="right")
    rows = [row for row in found.rows if row.size == size]
    for row in sorted(rows, key=lambda row: median_interval(row.times[measured]).median):
        ratios = [
            "1" if row.activation == name else with_interval(found.ratio(row, name, measured))
            for name in REFERENCES.values()
        ]
        cells = [row.activation, with_interval(median_interval(row.times[measured])), *ratios, f"{row.kept_bytes:.3g}"]
        table.add_row(*map(Text, cells))
    return table


def _bytes(size: Size) -> str:
    kibibytes = size.elements * 4 / 1024
    return f"{kibibytes / 1024:g} MiB" if kibibytes >= 1024 else f"{kibibytes:g} KiB"


def every_name() -> list[str]:
    """Return the activations that have no required option."""
    from actbench.nn.activations import ACTIVATIONS

    return [name for name, row in ACTIVATIONS.items() if None not in row.options.values()]


def _round_reporter(count: int, rounds: int) -> Callable[[int], None]:
    """Return a function that reports the rounds done on stderr, every two seconds at most."""
    print_note(f"measuring {count} activation(s), {rounds} rounds")
    said = time.monotonic()

    def tell(done: int) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY_SECONDS:
            said = time.monotonic()
            print_note(f"{done} of {rounds} rounds")

    return tell
