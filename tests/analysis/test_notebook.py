"""What a notebook shows of a comparison: the table below its headline, harmless, in the notebook's own colours."""

import html
import re
from html.parser import HTMLParser

import matplotlib
import pytest
from comparisons import DEGENERATE, varied
from factories import cells, record

from actbench.analysis.compare import compare
from actbench.analysis.judgements.headline import headline
from actbench.analysis.reports._columns import columns
from actbench.errors import UsageError
from actbench.storage.reading import Records

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\alpha$ & co", "\x1b[31mred")


class Parsed(HTMLParser):
    """Collects tags, and the text of each cell."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_the_html_has_every_cell_of_the_table_and_its_headline():
    found = compare(varied())
    text = found._repr_html_()
    (table,) = found.comparisons
    shown = columns(table)
    rows = zip(*(column.cells for column in shown), strict=True)
    assert Parsed(text).cells == [*(one.heading() for one in shown), *(cell.text() for row in rows for cell in row)]
    for sentence in (*headline(table), *table.verdicts, *found.warnings):
        assert html.escape(sentence) in text


@pytest.mark.parametrize("name", DEGENERATE)
def test_every_degenerate_comparison_is_well_formed(name):
    found = compare(DEGENERATE[name])
    assert Parsed(found._repr_html_()).open == []
    assert Parsed(found.comparisons[0]._repr_html_()).tags.count("table") == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_text(name):
    own = {"name": name, "path": "parts:f"}
    runs = [record(0.9 + 0.01 * seed, activation=a, seed=seed, study=name) for a in (own, "relu") for seed in range(3)]
    text = compare(runs)._repr_html_()
    allowed = {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "details", "summary"}
    assert set(Parsed(text).tags) <= allowed
    assert "\x1b" not in text
    assert "mathjax_ignore" in text.partition(">")[0], "a formula between dollar signs is not typeset"


def test_the_html_brings_no_script_no_colour_and_no_address():
    text = compare(varied())._repr_html_()
    assert not re.search(r"<script|https?:|url\(|\bon\w+=|#[0-9a-f]{3}|rgb", text)
    assert len(text) < 8_000


def test_a_notebook_without_html_shows_one_short_line():
    found = compare(varied())
    assert repr(found) == "<Comparisons <Comparison demo · mnist-5k · mlp: 4 rows in test.accuracy>>"
    assert repr(Records(tuple(varied()))) == "<Records 16 runs of demo>"


def test_print_shows_the_terminals_table():
    text = str(compare(varied()))
    assert text.startswith("demo · mnist-5k · mlp\n")
    assert "91.15 %" in text


def test_plot_draws_what_draw_chart_draws_and_a_notebook_can_show_it():
    found = compare(cells({"relu": [0.9, 0.91, 0.92], "elu": [0.91, 0.93, 0.94]}))
    figure = found.plot()
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert len(found.plot("learning_curves").axes) == 2
    assert "backend_inline" not in matplotlib.get_backend(), "pyplot was not asked"


def test_plot_draws_into_axes_of_ones_own_one_or_several():
    from matplotlib.figure import Figure

    found = compare(cells({"relu": [0.9, 0.91, 0.92], "elu": [0.91, 0.93, 0.94]}))
    own = Figure()
    assert found.plot(axes=own.subplots()) is own
    two = Figure()
    assert found.comparisons[0].plot("learning_curves", axes=two.subplots(1, 2)) is two
    with pytest.raises(UsageError, match="has 1 panels: give as many axes, not 2"):
        found.plot(axes=Figure().subplots(1, 2))


def test_a_chart_of_several_tables_asks_which():
    found = compare([*cells({"relu": [0.9] * 3}), *cells({"relu": [0.9] * 3}, study="other")])
    with pytest.raises(UsageError, match=r"choose one of \.comparisons, \[0\] demo · mnist-5k · mlp; \[1\] other"):
        found.plot()
