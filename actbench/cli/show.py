"""``actbench show``: one run's record; or an activation's function, derivative and constants."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actbench.schema.health_measures import DYNAMICS, HEALTH_MEASURES, LAYER_SIGNALS, OF_SEVERAL, RECYCLED
from actbench.system.text import one_line

if TYPE_CHECKING:
    from actbench.cli.study_page import ShownStudy
    from actbench.schema.components import Component
    from actbench.schema.record import RunRecord
    from actbench.system.console import PrintableConsole

EXAMPLES = {
    "actbench show elu swish": "formulas, derivatives, constants and pictures",
    "actbench show relu-bias-0.0-seed-0": "a run by the first letters of its id",
    "actbench show elu 'x * sigmoid(1.702 * x)' -o functions.pdf": "as a figure",
    "actbench show --theory study.yaml": "what theory expects, before any training",
}

LAYER_TABLES = {
    "Health of the hidden layers": ("units", *HEALTH_MEASURES),
    "Dead units over time": (*DYNAMICS, RECYCLED),
    "Pre-activations of a unit": OF_SEVERAL,
    "Signal and gradient": LAYER_SIGNALS,
}
"""Title -> the fields of a layer that fit beside each other; `--json` has every field."""


_PLACE = re.compile(r'^ *File "(?P<file>[^"\n]*)", line (?P<line>\d+), in (?P<function>.*)\n(?P<code>.*)', re.MULTILINE)
"""One call of a traceback."""


@dataclass(frozen=True)
class ShownActivation:
    """An activation that was asked for.

    Args:
        content: The facts on it, as ``--json`` prints them.
        component: The activation with its options; None where one of them would have to be given.
    """

    content: dict[str, Any]
    component: Component | None


def show(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="An activation's name or formula; a study; or a run's id, its first letters, last eight digits or "
            "path. With --theory: KEY=VALUE.",
        ),
    ] = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Where to look for runs.")] = Path("results"),
    json: Annotated[bool, typer.Option("--json", help="For programs: one object a name.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Draw activations: .png, .svg or .pdf."),
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="For -o: paper, slides, screen. [default: paper]", metavar="NAME")
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(min=1, max=2, metavar="1|2", help="For -o: columns of a page. [default: 2]"),
    ] = None,
    theory: Annotated[
        Path | None, typer.Option(metavar="CONFIG", help="What theory expects of a study's networks.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Datasets, for --theory.", envvar="ACTBENCH_DATA")
    ] = None,
) -> None:
    """Show one run, a study, or an activation's formula and picture.

    A name that is both is an activation. With --theory: what mean-field theory says of a study before it is trained.
    """
    if output is not None and (json or theory is not None):
        raise typer.BadParameter("it draws activations; leave out --json and --theory", param_hint="-o")
    for option, value in (("style", style), ("columns", columns)):
        if value is not None and output is None:
            raise typer.BadParameter("it sets the size of a picture: give -o FILE, too", param_hint=f"--{option}")
    if output is not None and names:
        _draw(names, results, output, style=style or "paper", columns=columns or 2)
    elif theory is not None:
        _show_theory(theory, names or [], data_dir, json=json)
    elif names:
        _show_names(names, results, json=json)
    else:
        raise typer.BadParameter("name a run or an activation, or give --theory CONFIG", param_hint="NAMES")


def _show_names(names: Sequence[str], results: Path, *, json: bool) -> None:
    from actbench.cli.activation import print_facts
    from actbench.cli.output import as_json, print_result
    from actbench.cli.pictures import print_functions
    from actbench.cli.study_page import ShownStudy, print_study
    from actbench.system.console import console_for

    found = _all_found(names, results)
    if json:
        print_result(as_json([_content(one) for one in found]))
        return
    console = console_for(sys.stdout)
    for one in found:
        if isinstance(one, ShownActivation):
            print_facts(console, one.content)
        elif isinstance(one, ShownStudy):
            print_study(console, one)
        else:
            print_run(console, one)
    print_functions(console, [one.component for one in found if isinstance(one, ShownActivation) and one.component])


def _content(one: RunRecord | ShownActivation | ShownStudy) -> dict[str, Any]:
    """Return what was found as plain data."""
    from actbench.schema.record import RunRecord

    if isinstance(one, RunRecord):
        return {**one.to_json(), "curves": list(one.curves)}
    return one.content if isinstance(one, ShownActivation) else one.to_json()


def _all_found(names: Sequence[str], results: Path) -> list[RunRecord | ShownActivation | ShownStudy]:
    from actbench.errors import UsageError
    from actbench.schema import registry

    if not all(map(str.strip, names)):
        raise UsageError("an empty name is neither a run nor an activation: see `actbench list activations`")
    return [_activation(name) if name in registry.names("activations") else _found(results, name) for name in names]


def _draw(names: Sequence[str], results: Path, output: Path, *, style: str, columns: int) -> None:
    """Write the picture of the activations that are named.

    Raises:
        UsageError: For the name of a run or study, an activation that lacks an option, an unknown style or ending.
    """
    from actbench.analysis.plots._figures import figure_of, format_of, image_bytes
    from actbench.analysis.plots._functions import drawn_functions
    from actbench.analysis.plots._style import look_named
    from actbench.cli.function_curves import function_curves
    from actbench.cli.output import print_result
    from actbench.cli.study_page import ShownStudy
    from actbench.errors import UsageError
    from actbench.system.files import write_atomically

    form, look = format_of(output), look_named(style)
    chosen: dict[str, Component] = {}
    for name, one in zip(names, _all_found(names, results), strict=True):
        if not isinstance(one, ShownActivation):
            kind = "study" if isinstance(one, ShownStudy) else "run"
            raise UsageError(f"'{name}' is a {kind}, and show -o draws activations; charts of runs: actbench plot")
        if one.component is None:
            raise UsageError(f"'{name}' lacks an option; write it as a config does, or the formula itself")
        chosen[one.component.label] = one.component
    drawn = drawn_functions(function_curves(list(chosen.values())))
    write_atomically(output, image_bytes(figure_of(drawn, look=look, columns=columns), form, look))
    print_result(f"{output}: {drawn.chart.title} {', '.join(chosen)}")


def _show_theory(config: Path, overrides: Sequence[str], data_dir: Path | None, *, json: bool) -> None:
    from actbench.cli.output import as_json, print_result, user_output_on_stderr
    from actbench.cli.theory import forecast_rows, print_forecasts
    from actbench.system.console import console_for

    with user_output_on_stderr():
        found = forecast_rows(config, overrides, data_dir)
    if json:
        print_result(as_json([one.to_json() for one in found]))
    else:
        print_forecasts(console_for(sys.stdout), found)


def _activation(name: str) -> ShownActivation:
    from actbench.cli.activation import default_component, facts

    component = default_component(name)
    return ShownActivation(facts(name, component), component)


def _found(results: Path, text: str) -> RunRecord | ShownActivation | ShownStudy:
    """Return the study or the run, or where none is meant the facts on the activation that a config would mean.

    Raises:
        UsageError: When there is neither.
    """
    from actbench.cli.activation import facts
    from actbench.cli.study_names import packed_study, study_named
    from actbench.cli.study_page import shown_study
    from actbench.errors import ConfigError, UsageError, nearest
    from actbench.schema import registry, synonyms
    from actbench.schema.components import resolve
    from actbench.storage.reading import find_run

    if study := study_named(text, results) or packed_study(text):
        return shown_study(study)
    try:
        return find_run(results, text)
    except UsageError as error:
        if reason := synonyms.explanation("activations", text):
            raise UsageError(f"unknown activation '{text}' — {reason}") from error
        try:
            component = resolve("activations", text)
        except ConfigError:
            near = nearest(text, registry.names("activations"))
            raise UsageError(f"{error}; or the activation '{near}'?" if near else str(error)) from error
        if text.endswith("-") or not text.strip():  # the first letters of several runs
            raise
        return ShownActivation(facts(component.name, component), component)


def print_run(console: PrintableConsole, record: RunRecord) -> None:
    """Print one run's page: settings, final metrics, layers, curve with its pictures, environment, timing."""
    from actbench.analysis.chosen_settings import chosen_settings
    from actbench.cli.pictures import print_run_pictures

    console.print(f"{record.study} / {record.run_id}", style="bold")
    style = "green" if record.outcome == "ok" else "red"
    console.print(record.outcome + (f": {one_line(record.message)}" if record.message else ""), style=style)
    for sentence in (*_failure(record), *record.health.get("diagnosis", ())):
        if sentence != record.message:  # a diverged run's message is one of these sentences
            console.print(f"- {one_line(sentence)}", soft_wrap=True)
    _print_pairs(console, "Settings", chosen_settings(record))
    _print_pairs(console, "Final metrics", _final(record))
    _print_layers(console, record)
    _print_curve(console, record)
    print_run_pictures(console, record)
    environment = {key: _word(value) for key, value in record.environment.items()}
    _print_pairs(console, "Environment", environment)
    _print_pairs(console, "Timing", {key: _word(value) for key, value in record.timing.items()})


def _failure(record: RunRecord) -> Iterator[str]:
    """Yield where in the code and when a run failed, and where the whole traceback lies; nothing for any other run."""
    if record.outcome != "failed":
        return
    if places := list(_PLACE.finditer(record.traceback)):
        # The user's own code, if it was at work, is the place to look at; else the last line of all.
        own = [place for place in places if "/actbench/" not in place["file"].replace("\\", "/")]
        place = (own or places)[-1]
        yield f"at {place['file']}:{place['line']}, in {place['function']}: {place['code'].strip()}"
    if record.curves:
        yield f"after epoch {record.curves[-1]['epoch']} of {record.spec.training.epochs}"
    else:
        yield "before its first epoch had ended"
    yield f"whole traceback: {record.study}/runs/{record.run_id}/error.txt"


def _final(record: RunRecord) -> dict[str, str]:
    from actbench.analysis.judgements.formatting import quantity
    from actbench.schema.metrics import METRICS

    return {name: quantity(name, value) for name, value in record.final.items() if name in METRICS}


def _print_layers(console: PrintableConsole, record: RunRecord) -> None:
    from actbench.analysis.judgements.formatting import quantity

    layers = record.health.get("layers") or ()
    if not layers:
        return
    # Learned parameters are marked, since they get a table of their own.
    rows = [
        {**layer, **{f"{key} (learned)": value for key, value in layer.get("learned", {}).items()}} for layer in layers
    ]
    there = dict.fromkeys(key for row in rows for key in row)
    learned = [key for key in there if key.endswith(" (learned)")]
    when = "last epoch with finite numbers" if record.outcome == "diverged" else "last epoch"
    if record.selected_epoch is not None:
        when = f"epoch {record.selected_epoch}"
    for title, keys in {**LAYER_TABLES, "Learned by the activation": learned}.items():
        if shown := [key for key in keys if key in there]:
            _print_rows(console, f"{title}, {when}", ["name", *shown], rows)
    if RECYCLED in there and record.curves:
        counts = [sum(layer.get(RECYCLED, 0) for layer in row.get("layers") or ()) for row in record.curves]
        per_epoch = ", ".join(map(str, thinned(counts[1:])))
        console.print(
            f"\nrecycled: {sum(counts):,} times in all a dormant unit began anew; by epoch: {per_epoch or 0}",
            soft_wrap=True,
        )
    health = record.spec.health
    probe = record.health.get("probe_size") or health.probe_size
    # Active on a share q of such images, a unit would be silent on all of them in (1 − q)^n < 5 % of probes.
    most = 1 - 0.05 ** (1 / probe)
    word = record.spec.example_word
    images = f"{probe:,} training {word}{'' if probe == 1 else 's'}"
    console.print(
        f"\ndead: slope ≤ {health.dead_slope:g} on {images}; constant: output's sd ≤ "
        f"{health.constant_std:g}; inert: either.\nSilent on all of them means active on fewer than "
        f"{quantity('health.dead_fraction', most)} of such {word}s (95 %). Other words: actbench explain WORD.",
        style="dim",
    )


def _print_curve(console: PrintableConsole, record: RunRecord) -> None:
    losses = (f"{part}.{name}" for part in ("train", "val") for name in ("loss", "mse", "accuracy", "r2"))
    keys = ["epoch", *losses, "health.dead_fraction"]
    keys = [key for key in keys if any(key in row for row in record.curves)]
    if record.curves:
        _print_rows(console, "Curve (epoch 0: at initialisation)", keys, thinned(record.curves))
    elif record.lacks_curve:
        console.print("\nCurve\n", style="bold")
        console.print("none: these results hold no epochs of the run (metrics.jsonl)", soft_wrap=True)


def thinned(rows: Sequence[Any], most: int = 21) -> list[Any]:
    """Return rows at equal distances, the first and the last among them, so that a long curve fits a screen.

    >>> thinned(range(100), most=5)
    [0, 25, 50, 74, 99]
    """
    from actbench.analysis.pictures.blocks import spread_indices

    return [rows[index] for index in spread_indices(len(rows), most)]


def _print_rows(console: PrintableConsole, title: str, keys: list[str], rows: list[Any]) -> None:
    from actbench.cli.split_tables import print_columns

    console.print(f"\n{title}\n", style="bold")
    print_columns(console, keys, [[_cell(key, row.get(key)) for key in keys] for row in rows])


def _cell(key: str, value: Any) -> str:
    from actbench.analysis.judgements.formatting import NOTHING, quantity
    from actbench.schema.metrics import METRICS

    metric = key if key in METRICS else f"health.{key}"
    if value is None:
        return NOTHING
    return quantity(metric, value) if metric in METRICS else _word(value)


def _print_pairs(console: PrintableConsole, title: str, content: dict[str, str]) -> None:
    if not content:
        return
    console.print(f"\n{title}\n", style="bold")
    width = max(map(len, content))
    for key, value in content.items():
        console.print(f"{key:<{width}}  {value}", soft_wrap=True)


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
