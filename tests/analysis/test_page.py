"""The page: what it prints is what ``compare`` and the charts have, no name becomes markup, and nothing is fetched."""

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from io import StringIO

import pytest
import tuned_study
from comparisons import DEGENERATE, varied
from factories import cells, record
from generated_studies import generated
from parsed_page import parsed

from actbench.analysis.compare import compare
from actbench.analysis.compare_options import CompareOptions
from actbench.analysis.page import page as page_module
from actbench.analysis.page._words import WORDS
from actbench.analysis.page.page import page_of
from actbench.analysis.page.svg import VARIABLES, Styles, inline_svg, svg_bytes
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, Series
from actbench.analysis.plots._figures import Drawn, charts_of
from actbench.analysis.plots._style import GROUND, INK, LOOKS, OKABE_ITO, PALE
from actbench.analysis.table.factors import row_name
from actbench.schema import registry
from actbench.storage.reading import Records
from actbench.system.text import printable

HOSTILE = "<script>alert(1)</script>"


def made(records, **options):
    """The page of records, as a document."""
    return parsed(page_of(Records(tuple(records)), options=CompareOptions(**options)))


def cells_of(row):
    return [one for one in row.children if not isinstance(one, str)]


@pytest.fixture(scope="module")
def html():
    return page_of(Records(tuple(varied())), options=CompareOptions(metric=("test.accuracy", "health.dead_fraction")))


@pytest.fixture(scope="module")
def page(html):
    return parsed(html)


def test_no_id_stands_twice_and_every_reference_finds_its_own(page):
    ids = Counter(one.attributes["id"] for one in page.all(id=True))
    assert [name for name, count in ids.items() if count > 1] == []
    wanted = set()
    for one in page.all():
        for key, value in one.attributes.items():
            wanted.update(re.findall(r"url\(#([^)]+)\)", value or ""))
            if key == "href" and (value or "").startswith("#"):
                wanted.add(value[1:])
            if key in ("aria-labelledby", "for"):
                wanted.update(value.split())
    assert wanted <= set(ids)
    assert any(name.endswith("-title") for name in wanted)


def test_the_policy_allows_the_pages_own_script_and_nothing_else(page):
    policy = page.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    (script,) = page.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(script.children).encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src ")
    assert re.findall(r"script-src ([^;]+)", policy) == [f"'sha256-{digest}'"]
    assert set(script.attributes) == set()


def test_nothing_is_fetched_and_no_attribute_is_a_script(page):
    for one in page.all():
        assert one.tag not in ("link", "iframe", "object", "embed", "form", "base")
        for key, value in one.attributes.items():
            assert not key.startswith("on"), f"<{one.tag} {key}>"
            if key in ("src", "href"):
                assert value.startswith(("#", "data:application/json;base64,", "data:text/csv;base64,"))
            if key == "style":
                assert "url(" not in value.replace("url(#", "")
    assert "@import" not in page.one("style").text


def test_the_script_is_small_and_evaluates_no_text():
    script = files("actbench.analysis.page").joinpath("page.js").read_text("utf-8")
    assert len(script.encode()) <= 25_000
    for word in (
        "eval(",
        "Function(",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "fetch(",
        "http",
    ):
        assert word not in script
    assert "</script" not in script


def test_the_numbers_of_the_table_are_those_of_the_json(page):
    metrics = ["test.accuracy", "health.dead_fraction"]
    (found,) = compare(varied(), metric=metrics).to_dict()["comparisons"]
    table = page.one(class_="baseline-table", data_baseline="0").one("table")
    heads = [one.text for one in table.one("thead").all("th")]
    assert heads.count("Δ baseline (points)") == 2
    rows = {one.attributes["data-row"]: one for one in table.all("tr", data_row=True)}
    assert list(rows) == [row_name(row["factors"]) for row in found["rows"]]
    for row in found["rows"]:
        own = cells_of(rows[row_name(row["factors"])])
        values = [float(one.attributes["data-value"]) if "data-value" in one.attributes else None for one in own]
        for metric in metrics:
            place = heads.index(metric)
            assert values[place] == row["metrics"][metric]["mean"]
            contrast = row["vs_baseline"].get(metric)
            expected = [None] * 3
            if contrast is not None:
                expected = [contrast["difference"], contrast["wins"], contrast["p_adjusted"]]
            assert values[place + 1 : place + 4] == expected
            assert ("*" in own[place + 1].text) == bool(contrast and contrast["significant"])
        assert values[heads.index("n")] == row["metrics"]["test.accuracy"]["n"]


def test_every_other_row_can_be_the_baseline_with_the_numbers_of_compare(page):
    own = compare(varied()).comparisons[0]
    tables = page.all(class_="baseline-table")
    names = [one.one("table").attributes["data-baseline-name"] for one in tables]
    assert sorted(names) == sorted(row_name(row.factors) for row in own.rows if row_name(row.factors) in names)
    assert len(names) == len(own.rows) == len(page.one("select", class_="baseline-choice").all("option"))
    by_name = {row_name(row.factors): row.factors for row in own.rows}
    for table, name in zip(tables, names, strict=True):
        (found,) = compare(varied(), baseline=by_name[name]).to_dict()["comparisons"]
        differences = {
            row_name(row["factors"]): row["vs_baseline"].get("test.accuracy", {}).get("difference")
            for row in found["rows"]
        }
        for row in table.all("tr", data_row=True):
            cell = cells_of(row)[3]
            value = cell.attributes.get("data-value")
            assert (None if value is None else float(value)) == differences[row.attributes["data-row"]]


@pytest.mark.parametrize("tune", ["bias_init", "training.optimizer.lr"])
def test_a_table_at_common_values_and_a_tuned_one_both_have_their_other_baselines(tune):
    runs = tuned_study.study() if tune.endswith("lr") else [
        replace(one, final=one.final | {"val.accuracy": 0.9, "val.loss": 0.1}) for one in varied()
    ]  # fmt: skip
    common, tuned = made(runs, tune=[tune]).all("section", class_="comparison")
    assert len(common.all(class_="baseline-table")) == len(common.one(class_="baseline-choice").all("option")) > 2
    assert len(tuned.all(class_="baseline-table")) == 1, "two rows: the other one is the baseline"


def test_a_legend_of_series_is_marked_so_that_the_buttons_can_take_its_place(page):
    kinds = set()
    for chart in page.all(class_="chart"):
        listed = {one.attributes["data-series"] for one in chart.one("ul", class_="series").all("li")}
        assert "hidden" in chart.one("ul", class_="series").attributes, "without scripts the legend stands for it"
        drawn = {one.attributes["data-series"] for one in chart.one(class_="chart-svg").all(data_series=True)}
        assert listed == drawn, "a button for what is not drawn would do nothing"
        legends = chart.all("g", class_="legend")
        kinds.add(len(legends))
        for legend in legends:
            assert {one.attributes["data-series"] for one in legend.all(data_series=True)} <= listed
            assert legend.all(class_="key")
    assert kinds == {0, 1}


def test_long_tables_of_charts_say_on_paper_how_long_they_are(page):
    found = set()
    for chart in page.all(class_="chart"):
        rows = len(chart.one("details").one("tbody").all("tr"))
        found.add(rows > 15)
        assert chart.one("details").has("class_", "long") is (rows > 15)
        texts = [one.text for one in chart.all("p", class_="paper")]
        assert texts == (
            [f"The chart as a table has {rows} lines; they are not printed, but stand in this page's file."]
            if rows > 15
            else []
        )
    assert found == {True, False}


def test_many_rows_keep_the_studys_own_baseline_alone():
    activations = [f"x * {index}" for index in range(1, 14)]
    page = made(cells({one: [0.9, 0.91] for one in ("relu", *activations)}))
    assert len(page.all(class_="baseline-table")) == 1
    assert "Differences are to the study's own baseline alone." in page.text


def test_every_mark_that_is_drawn_carries_its_text_and_every_mark_is_in_the_table(page):
    (comparison,) = compare(varied(), metric=["test.accuracy", "health.dead_fraction"], methods=True).comparisons
    charts = charts_of(comparison)
    assert [one.attributes["id"] for one in page.all("figure", class_="chart")] == [
        f"t0-{one.name.replace('_', '-')}" for one in charts
    ]
    for place, drawn in enumerate(charts):
        prefix = f"t0-{drawn.name.replace('_', '-')}"
        figure = page.one("figure", id=prefix)
        marks = figure.all(class_="mark")
        assert marks
        for mark in marks:
            index = int(mark.attributes["id"].removeprefix(f"t0c{place}m"))
            assert mark.children[0].tag == "title"
            assert mark.children[0].text == " ".join(printable(drawn.data.text(index)).split())
            own = mark if "data-series" in mark.attributes else mark.parent
            assert int(own.attributes["data-series"]) == drawn.data.marks[index].series
            assert own.attributes["data-activation"] == drawn.data.series[drawn.data.marks[index].series].activation
        heads, rows = drawn.data.table()
        table = figure.one("details").one("table")
        assert [one.text for one in table.one("thead").all("th")] == list(heads)
        printed = [
            [one.text for one in row.children if not isinstance(one, str)] for row in table.one("tbody").all("tr")
        ]
        assert printed == [[" ".join(text.split()) for text in row] for row in rows]
        svg = figure.one("svg")
        assert svg.attributes["role"] == "img"
        assert svg.one("desc").text == " ".join(drawn.data.caption.split())


def test_a_picture_has_the_pages_colours_in_place_of_its_own(page):
    sheet = "".join(page.one("style").children)
    classes = dict(re.findall(r"^\.(k\d+)\{([^}]*)\}$", sheet, re.MULTILINE))
    assert {f"var(--{name})" for name in ("ink", "pale", "ground")} <= set(re.findall(r"var\([^)]*\)", str(classes)))
    assert not any(color in str(classes).lower() for color in (INK, PALE, GROUND, *OKABE_ITO))
    for svg in page.all("svg", class_="chart-svg"):
        used = {word for one in svg.all() for word in (one.attributes.get("class") or "").split()} - {
            *("mark", "key", "legend")
        }
        assert used <= set(classes)
        assert not any("style" in one.attributes for one in svg.all())


@pytest.mark.parametrize("name", [HOSTILE, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "&lt;b&gt;", "]]>--><!--"])
def test_a_name_that_others_chose_stays_text(name):
    records = [
        replace(one, study=name, message=name, environment={name: name}, outcome="collapsed")
        for one in cells({"relu": [0.9, 0.91, 0.92], "elu": [0.91, 0.9, 0.95]})
    ]
    hostile = replace(records[0], health={**records[0].health, "diagnosis": [f"{name}!"]})
    page = made([hostile, *records[1:]])
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert page.one("h1").text == page.one("head").one("title").text.removesuffix(" – actbench") == name
    run = page.all("details", class_="run")[0]
    assert run.one("ul").text == f"{name}!"


@pytest.mark.parametrize("name", [HOSTILE, r"$\frac$", "{{ 1 }}", "a & b"])
def test_an_activation_of_any_name_stays_text_in_table_charts_and_runs(name):
    path = {"name": name, "path": "my_parts:bump"}
    records = [record(0.9 + s / 100, activation=a, seed=s) for a in ("relu", path) for s in range(3)]
    page = made(records)
    assert len(page.all("script")) == 1
    assert name in [one.attributes["data-row"] for one in page.all("tr", data_row=True)]
    for svg in page.all(class_="chart-svg"):
        assert any(name in one.text for one in svg.all("text"))
    assert any(one.attributes["data-activation"] == name for one in page.all("details", class_="run"))


@pytest.mark.slow
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_comparisons_have_a_page(case):
    page = made(DEGENERATE[case])
    assert page.one("h1").text
    assert len(page.all(class_="headline")) == len(compare(DEGENERATE[case]).comparisons)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_any_study_has_a_page_with_every_run_verdict_and_warning(seed):
    study = generated(seed)
    options = {key: value for key, value in study.options.items() if key not in ("methods", "all_pairs")}
    page = made(study.records, **options)
    found = compare(study.records, **options)
    assert len(page.all("details", class_="run")) == len(study.records)
    for sentence in (*found.all_warnings, *(text for one in found.comparisons for text in one.verdicts)):
        assert " ".join(sentence.split()) in page.text
    ids = [one.attributes["id"] for one in page.all(id=True)]
    assert len(ids) == len(set(ids))


def test_runs_that_went_wrong_are_listed_by_name_and_lead_to_their_section(page):
    (lost,) = [one for one in varied() if one.outcome == "diverged"]
    section = page.one("section", id="wrong")
    (link,) = [one for one in section.all("a") if lost.spec.run_id in one.text]
    run = page.one("details", id=link.attributes["href"][1:])
    assert run.attributes["data-outcome"] == "diverged"
    assert "it diverged" in run.text


def test_a_run_has_its_settings_its_numbers_and_its_curves(page):
    first = varied()[0]
    (run,) = [one for one in page.all("details", class_="run") if first.spec.run_id in one.one("summary").text]
    facts = {key.text: value.text for key, value in zip(run.all("dt"), run.all("dd"), strict=True)}
    assert facts["activation"] == "elu(alpha=0.2)"
    assert facts["seed"] == "0"
    assert facts["test.accuracy"] == "90.00 %"
    texts = [one.attributes["aria-label"] for one in run.all("svg")]
    assert texts[0] == "val.accuracy from 10.00 % at epoch 0 to 50.00 % at epoch 1"


def test_a_run_is_highlighted_with_its_row_also_where_rows_have_no_activation():
    names = {
        one.attributes["data-activation"] for one in made(varied(), by=("bias_init",)).all("details", class_="run")
    }
    assert names == {"bias_init=0", "bias_init=0.01"}


def test_a_run_of_many_is_a_line_unless_it_went_wrong(monkeypatch):
    monkeypatch.setattr(page_module._runs, "MAX_FULL", 3)
    records = [*cells({"relu": [0.9, 0.8, 0.7]}), record(None, outcome="diverged", seed=3)]
    page = made(records)
    assert [one.attributes["data-outcome"] for one in page.all("details", class_="run")] == ["diverged"]
    table = page.one("details", class_="other-runs").one("table")
    assert [one.one("th").text for one in table.one("tbody").all("tr")] == [
        f"demo / {one.spec.run_id}" for one in records[:3]
    ]


def test_the_files_in_the_page_are_those_of_compare(page):
    found = compare(varied(), metric=["test.accuracy", "health.dead_fraction"], methods=True)
    contents = {
        one.attributes["download"]: base64.b64decode(one.attributes["href"].partition(",")[2]).decode()
        for one in page.all("a", download=True)
    }
    assert json.loads(contents["compare.json"]) == found.to_dict()
    target = StringIO()
    registry.load("reports", "csv").render(found, target)
    assert contents["compare.csv"] == target.getvalue()
    assert len(contents["runs.csv"].splitlines()) == 1 + len(varied())


def test_every_word_that_leads_to_a_definition_finds_it_and_is_no_hover_alone(page):
    words = page.all("a", class_="word")
    assert {"#word-dead", "#word-paired"} <= {one.attributes["href"] for one in words}
    defined = {one.attributes["id"]: one for one in page.one("dl", class_="words").all("dt")}
    assert len(defined) == len(WORDS)
    assert all(one.attributes["href"][1:] in defined for one in words)
    assert all(one.all("dfn") for one in defined.values())


def test_what_needs_the_script_is_hidden_until_it_runs(page):
    for box in page.all(class_="controls"):
        assert "hidden" in box.attributes
    for one in page.all():
        if one.tag in ("button", "select", "input"):
            up = one
            while up is not None and not up.has("class_", "controls"):
                up = up.parent
            assert up is not None, f"<{one.tag}> is seen without the script"
    assert page.one("button", id="theme").attributes["aria-pressed"] == "false"


def test_tables_say_which_heads_belong_to_what(page):
    for table in page.all("table"):
        assert len(table.all("caption")) == 1
        assert all(one.has("scope", "col") for one in table.one("thead").all("th"))
        assert all(one.has("scope", "row") for one in table.one("tbody").all("th"))


def test_the_same_results_give_the_same_page(html):
    again = page_of(Records(tuple(varied())), options=CompareOptions(metric=("test.accuracy", "health.dead_fraction")))
    assert again == html


def with_curve(one, epochs):
    rows = [
        {"epoch": e, "train.loss": 2.3 / (e + 1), "val.accuracy": 0.9 - 0.8 / (e + 1), "health.dead_fraction": 0.01 * e}
        for e in range(epochs + 1)
    ]
    return replace(one, curves=tuple(rows))


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "rows", "epochs", "most"), [(3, 12, 5, 1_000_000), (5, 12, 20, 3_000_000)])
def test_a_page_stays_small(seeds, rows, epochs, most):
    names = [
        "relu",
        "elu",
        "selu",
        "gelu",
        "tanh",
        "swish",
        "softplus",
        "mish",
        "prelu",
        "leaky_relu",
        "sigmoid",
        "relu6",
    ]
    records = [
        with_curve(record(0.9 + s / 100 + i / 1000, activation=name, seed=s), epochs)
        for i, name in enumerate(names[:rows])
        for s in range(seeds)
    ]
    assert len(page_of(Records(tuple(records))).encode()) < most


def hatched():
    """A chart of one bar with a pale ground under a hatch, and of a dotted one."""
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure()
    ax = figure.subplots()
    marks = []
    for index, hatch in enumerate(("//", ".")):
        ax.add_patch(
            Rectangle((index, 0), 1, 1, facecolor=(*to_rgb(INK), 0.3), edgecolor=INK, hatch=hatch, gid=f"s0.m{index}")
        )
        marks.append(Mark(0, index, 1.0))
    ax.set_xlim(0, 2)
    data = ChartData((Panel("", Axis("x"), Axis("y")),), (Series("relu"),), tuple(marks), caption="two bars")
    return figure, Drawn("bars", registry.load("charts", "differences"), data)


def test_a_hatch_keeps_its_pale_ground_and_dots_take_little_room():
    figure, drawn = hatched()
    styles = Styles()
    svg = inline_svg(svg_bytes(figure, LOOKS["screen"]), drawn, prefix="c", styles=styles)
    page = parsed(svg)
    looks = {name: style for style, name in styles.classes.items()}
    patterns = {one.attributes["id"]: one for one in page.all("pattern")}
    assert len(patterns) == 2
    for pattern in patterns.values():
        assert looks[pattern.one("rect").attributes["class"]] == "fill:var(--ink);fill-opacity:0.3"
        assert len(pattern.one("path").attributes["d"]) < 20_000
    for mark in page.all(class_="mark"):
        (style,) = [looks[name] for name in mark.attributes["class"].split() if name in looks]
        assert "fill-opacity" not in style
        assert re.search(r"fill:url\(#(\w+)\)", style)[1] in patterns


def test_markers_at_the_edge_stay_clipped_and_those_inside_are_one_element():
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.subplots()
    for index, x in enumerate((0.0, 0.5)):
        ax.plot([x], [0.5], "o", gid=f"s0.m{index}", markersize=5)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    data = ChartData(
        (Panel("", Axis("x"), Axis("y")),), (Series("relu"),), (Mark(0, 0.0, 0.5), Mark(0, 0.5, 0.5)), caption="two"
    )
    drawn = Drawn("dots", registry.load("charts", "differences"), data)
    page = parsed(inline_svg(svg_bytes(figure, LOOKS["screen"]), drawn, prefix="c", styles=Styles()))
    edge, inside = (page.one(id=f"cm{index}") for index in range(2))
    assert edge.one("g").attributes["clip-path"].startswith("url(#c")
    assert inside.tag == "use"
    assert edge.parent is inside.parent
    assert edge.parent.attributes == {"data-series": "0", "data-activation": "relu"}


def test_every_colour_of_a_picture_has_one_of_the_page_for_light_dark_and_paper():
    sheet = files("actbench.analysis.page").joinpath("page.css").read_text("utf-8")
    for variable in VARIABLES.values():
        assert len(re.findall(rf"{variable[4:-1]}:#[0-9a-f]+", sheet)) == 4, variable
