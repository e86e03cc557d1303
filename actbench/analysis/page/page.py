"""Make the page: everything about some runs as one HTML file that fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from typing import Any

from actbench._version import __version__
from actbench.analysis.compare import compare_with
from actbench.analysis.compare_options import CompareOptions
from actbench.analysis.judgements.headline import headline
from actbench.analysis.page import _runs, _tables, _words
from actbench.analysis.page.svg import Styles, inline_svg, page_color, svg_bytes
from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import ChartData
from actbench.analysis.plots._figures import Drawn, charts_of, figure_of
from actbench.analysis.plots._predictions import Predict
from actbench.analysis.plots._style import LOOKS, pens
from actbench.analysis.reports import _sentences, csv
from actbench.analysis.table.result import Comparison, Comparisons
from actbench.schema.record import RunRecord
from actbench.storage.reading import Records
from actbench.system.text import printable

LOOK = LOOKS["screen"]

Functions = Callable[[Comparison], Drawn | None]
"""Returns the picture of a comparison's activations."""

MAX_PRINTED_ROWS = 15
"""Rows of a chart's table up to which it is printed: longer ones would be most of the paper, and the file has them."""

MAX_CHART_ROWS = 300
"""Rows of a chart's table; the means come first, so single seeds are what is left out."""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{}'; base-uri 'none'; "
    "form-action 'none'"
)
"""Nothing is fetched, and no script runs but the page's own."""


@dataclass(frozen=True)
class ChartView:
    """A chart as the page shows it.

    Args:
        id: Of its part of the page.
        title: A heading.
        question: The question that it answers.
        caption: What is drawn.
        svg: The picture.
        series: Number, name, activation and colour of each series; no colour where none stands for it.
        heads: Of its table.
        rows: Of its table.
        left_out: How many rows of its table the page leaves out.
    """

    id: str
    title: str
    question: str
    caption: str
    svg: Any
    series: Sequence[tuple[int, str, str, str]]
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: int

    @property
    def is_long(self) -> bool:
        """Return whether the table stays in the file when the page is printed."""
        return len(self.rows) + self.left_out > MAX_PRINTED_ROWS


@dataclass(frozen=True)
class ComparisonView:
    """One comparison as the page shows it.

    Args:
        id: Of its section.
        title: Study, dataset and model.
        headline: Who wins, in sentences.
        limits: What so few seeds can't show.
        table: Against the study's own baseline.
        others: The same table against its other rows.
        charts: In their order.
        verdicts: Each with the command that would settle it, or nothing.
        expectations: The judged hypotheses.
        methods: How the numbers came about.
        words: Words that have led to their definition already.
    """

    id: str
    title: str
    headline: Sequence[str]
    limits: Sequence[str]
    table: _tables.TableView
    others: Sequence[_tables.TableView]
    charts: Sequence[ChartView]
    verdicts: Sequence[tuple[str, str]]
    expectations: Sequence[str]
    methods: str
    words: set[str]


def page_of(
    records: Records,
    *,
    options: CompareOptions | None = None,
    step: Callable[[str], None] = lambda _: None,
    predict: Predict | None = None,
    functions: Functions = lambda _: None,
) -> str:
    """Return the page about some runs.

    The tables are those of ``compare`` with the same options; nothing is computed for the page alone. ``predict`` and
    ``functions`` are called once all charts without them are drawn: who computes elsewhere has so long for it.

    Args:
        records: As ``read_results(…, curves=True)`` returns them.
        options: Those of ``compare``; None for the studies' own.
        step: Called with what is being made, for those who wait.
        predict: As ``charts_of`` has it.
        functions: Returns the picture of a comparison's activations, which has to evaluate them; None for no picture.

    Returns:
        HTML, without the time at which it was made: the same results give the same bytes.

    Raises:
        ActbenchError: Whatever ``compare`` raises.
    """
    chosen = replace(options or CompareOptions(), methods=True)
    step("comparing")
    found = compare_with(records, chosen)
    others = [_tables.other_baselines(records, comparison, chosen) for comparison in found.comparisons]
    pictures = _pictures(found.comparisons, step, predict, functions)
    # Only now, in the order of the page: each style's class is numbered when it is met.
    styles, views = Styles(), []
    for index, comparison in enumerate(found.comparisons):
        charts = _charts(f"t{index}", pictures[index], styles)
        views.append(_comparison_view(f"t{index}", comparison, others[index], charts))
    step("writing")
    return _render(records, found, views, styles)


def _comparison_view(
    name: str, comparison: Comparison, others: Sequence[Comparison], charts: Sequence[ChartView]
) -> ComparisonView:
    return ComparisonView(
        id=name,
        title=printable(comparison.title),
        headline=headline(comparison),
        limits=comparison.limits,
        table=_tables.table_of(comparison),
        others=[_tables.table_of(one) for one in others],
        charts=charts,
        verdicts=[(text, comparison.commands.get(text, "")) for text in comparison.verdicts],
        expectations=[_sentences.expectation(one) for one in comparison.expectations],
        methods=comparison.methods,
        words=set(),
    )


@dataclass(frozen=True)
class _Picture:
    """A chart and its figure, as matplotlib writes it."""

    drawn: Drawn
    svg: bytes

    @classmethod
    def of(cls, drawn: Drawn) -> _Picture:
        return cls(drawn, svg_bytes(figure_of(drawn, look=LOOK), LOOK))


def _pictures(
    comparisons: Sequence[Comparison], step: Callable[[str], None], predict: Predict | None, functions: Functions
) -> list[list[_Picture]]:
    """Draw the charts of each comparison, in the order of the page; what waits for the caller's numbers comes last."""
    charts, pictures = [], []
    for comparison in comparisons:
        step(f"drawing {comparison.title}")
        charts.append(charts_of(comparison))
        pictures.append({one.name: _Picture.of(one) for one in charts[-1] if not _is_predicted(one)})
    for comparison, own, drawn in zip(comparisons, charts, pictures, strict=True):
        predicted = [one.name for one in own if _is_predicted(one)]
        if predicted:
            drawn |= {one.name: _Picture.of(one) for one in charts_of(comparison, predicted, predict=predict)}
    ordered = [[drawn[one.name] for one in own] for own, drawn in zip(charts, pictures, strict=True)]
    for comparison, all_drawn in zip(comparisons, ordered, strict=True):
        if (picture := functions(comparison)) is not None:
            all_drawn.append(_Picture.of(picture))
    return ordered


def _is_predicted(drawn: Drawn) -> bool:
    return isinstance(drawn.chart, Chart) and drawn.chart.uses_predictions


def _charts(name: str, pictures: Sequence[_Picture], styles: Styles) -> list[ChartView]:
    from markupsafe import Markup

    found = []
    for index, picture in enumerate(pictures):
        drawn, data, prefix = picture.drawn, picture.drawn.data, f"{name}c{index}"
        svg = inline_svg(picture.svg, drawn, prefix=prefix, styles=styles)
        heads, rows = data.table()
        shown = _rows_to_show(data)
        found.append(
            ChartView(
                id=f"{name}-{drawn.name.replace('_', '-')}",
                title=drawn.chart.title,
                question=drawn.chart.question,
                caption=printable(data.caption),
                svg=Markup(svg),  # ``inline_svg`` has escaped every text in it
                series=_series(data, svg, styles.used_in(svg)),
                heads=heads,
                rows=[tuple(map(printable, rows[place])) for place in shown],
                left_out=len(rows) - len(shown),
            )
        )
    return found


def _rows_to_show(data: ChartData) -> list[int]:
    """Return the rows of a chart's table that there is room for, in their order; those of single seeds go first."""
    order = sorted(range(len(data.marks)), key=lambda place: data.marks[place].kind == "seed")  # sorting is stable
    return sorted(order[:MAX_CHART_ROWS])


def _series(data: ChartData, svg: str, used: str) -> list[tuple[int, str, str, str]]:
    """Return the series that are drawn, each with its colour, or none where the picture does not use it, as maps."""
    there = {int(number) for number in re.findall(r' data-series="(\d+)"', svg)}
    colors = [page_color(pen.color) for pen in pens(data)]
    return [
        (index, printable(data.listed(index)), printable(one.activation), color if color in used else "")
        for index, (one, color) in enumerate(zip(data.series, colors, strict=True))
        if index in there
    ]


def _render(records: Sequence[RunRecord], found: Comparisons, views: Sequence[ComparisonView], styles: Styles) -> str:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    script = _part("page.js").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_part),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["words"] = _words.with_words
    environment.filters["breakable"] = _words.breakable
    environment.filters["printable"] = printable
    runs = _runs.run_views(records, found.comparisons)
    wrong = _tables.outcome_lists(records)
    is_full = len(runs) <= _runs.MAX_FULL
    return environment.get_template("page.html.j2").render(
        title=" · ".join(dict.fromkeys(printable(one.study) for one in found.comparisons)),
        policy=POLICY.format(digest),
        style=Markup(f"{_part('page.css').strip()}\n{styles.sheet()}"),  # matplotlib's numbers and our variables alone
        script=Markup(script),
        version=__version__,
        comparisons=views,
        warnings=found.warnings,  # the limits stand above each table
        runs=[one for one in runs if is_full or one.outcome != "ok"],
        other_runs=[] if is_full else [one for one in runs if one.outcome == "ok"],
        run_count=len(runs),
        metrics=[name for name in _leading(found) if any(name in one.final for one in runs)],
        wrong={outcome: [one for one in runs if one.outcome == outcome] for outcome in wrong},
        activations=list(dict.fromkeys(row.activation for view in views for row in view.table.rows)),
        environments=_runs.environments(records),
        definitions=_words.definitions(found.comparisons),
        downloads=_downloads(records, found),
        curve_size=(_runs.WIDTH, _runs.HEIGHT),
        outcomes={outcome: _words.anchor(outcome) for outcome in ("ok", "collapsed", "diverged", "failed")},
    )


def _leading(found: Comparisons) -> list[str]:
    return list(dict.fromkeys(one.metrics[0] for one in found.comparisons))


def _downloads(records: Sequence[RunRecord], found: Comparisons) -> list[Mapping[str, str]]:
    """Return name, meaning and address of each file that the page carries; a click saves it, without any script."""
    as_csv = io.StringIO()
    csv.plugin.render(found, as_csv)
    as_json = json.dumps(found.to_dict(), separators=(",", ":"), allow_nan=False)
    contents = [
        ("compare.json", "application/json", "every number of the tables, as compare --format json has it", as_json),
        ("compare.csv", "text/csv", "one line a row and metric, as compare --format csv has it", as_csv.getvalue()),
        ("runs.csv", "text/csv", "one line a run: outcome and final metrics", _runs.runs_csv(records)),
    ]
    return [asdict(_download(*one)) for one in contents]


@dataclass(frozen=True)
class _Download:
    name: str
    text: str
    href: str
    size: str


def _download(name: str, kind: str, text: str, content: str) -> _Download:
    encoded = base64.b64encode(content.encode()).decode()
    return _Download(name, text, f"data:{kind};base64,{encoded}", f"{len(content) / 1000:,.0f} kB")


def _part(name: str) -> str:
    """Return the text of a file that lies beside this one in the package."""
    return files("actbench.analysis.page").joinpath(name).read_text("utf-8")
