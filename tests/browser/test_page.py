"""The page in a browser: sorting, series, values under the pointer, highlighting, themes; and without any script."""

import re
from dataclasses import replace

import pytest
from comparisons import varied
from factories import ACTIVATIONS, cells, record

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>"
LONG = " + ".join(["0.1 * x"] * 7)


def studies():
    """Studies that pages are made of: name -> records."""
    lost = [
        record(None, outcome="diverged", activation=name, seed=seed) for name in ("relu", "elu") for seed in range(3)
    ]
    many = {"relu": [0.9 + 0.001 * s for s in range(30)], "elu": [0.91 + 0.001 * (s % 7) for s in range(30)]}
    rows = [
        record(0.9 + 0.002 * i + 0.01 * b + 0.003 * (s * 7 % 3), activation=name, bias_init=b, seed=s)
        for i, name in enumerate(ACTIVATIONS) for b in (0.0, 0.01) for s in range(2)
    ]  # fmt: skip
    hostile = replace(record(None, outcome="failed", activation="gelu"), message=HOSTILE)
    formula = {"name": "expression", "formula": LONG}
    return {
        "usual": varied(),
        "all diverged": lost,
        "thirty seeds": cells(many),
        "24 rows": rows,
        "one seed": cells({"relu": [0.9], "elu": [0.8]}),
        "long names": [record(0.9 + 0.01 * s, activation=one, seed=s) for one in ("relu", formula) for s in range(3)],
        "hostile": [*cells({"relu": [0.9, 0.91, 0.92], "elu": [0.8, 0.81, 0.83]}), hostile],
    }


@pytest.fixture(params=studies())
def any_page(request, written):
    return written(request.param, studies()[request.param])


@pytest.fixture
def usual(written):
    return written("usual", studies()["usual"])


def cells_of(page, column):
    """The first numbers of a column, as they stand."""
    texts = page.locator(
        f".baseline-table:visible table.rows tbody tr:visible > *:nth-child({column})"
    ).all_inner_texts()
    return [
        float(re.search(r"[−-]?[\d.]+", text).group().replace("−", "-")) for text in texts if re.search(r"\d", text)
    ]


def test_a_column_is_sorted_up_and_down(usual, opened):
    page = opened(usual).page
    heads = page.locator(".baseline-table:visible table.rows thead th").all_inner_texts()
    column = next(i for i, text in enumerate(heads, start=1) if "test.accuracy" in text.replace("\u200b", ""))
    button = page.locator(f".baseline-table:visible table.rows thead th:nth-child({column}) button.sort")
    button.click()
    down = cells_of(page, column)
    button.click()
    up = cells_of(page, column)
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert len(set(up)) > 1
    assert (
        page.locator(f".baseline-table:visible thead th:nth-child({column})").get_attribute("aria-sort") == "ascending"
    )


def test_rows_are_filtered_by_words(usual, opened):
    page = opened(usual).page
    rows = page.locator(".baseline-table:visible tr[data-row]:visible")
    before = rows.count()
    page.locator(".filter").first.fill("elu(alpha=0.2)")
    assert 0 < rows.count() < before
    page.locator(".filter").first.fill("")
    assert rows.count() == before


def test_a_series_is_switched_off_and_on(usual, opened):
    page = opened(usual).page
    chart = page.locator(".chart").first
    button = chart.locator(".series button").first
    series = button.get_attribute("data-series")
    part = chart.locator(f"svg [data-series='{series}']").first
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not part.is_visible() or part.evaluate("e => getComputedStyle(e).display") == "none"
    button.click()
    assert part.evaluate("e => getComputedStyle(e).display") != "none"


DISPLAY = "e => getComputedStyle(e).display"


def with_legend(page):
    """The charts that have a legend of series."""
    found = [chart for chart in page.locator(".chart").all() if chart.locator("svg.chart-svg .legend").count()]
    assert found
    return found


def height_of(chart):
    """Height to width of a chart's picture."""
    box = chart.locator("svg.chart-svg").bounding_box()
    return box["height"] / box["width"]


@pytest.mark.parametrize("name", ["usual", "24 rows"])
def test_the_buttons_are_the_legend_and_paper_has_the_pictures_own(written, opened, name):
    path = written(name, studies()[name])
    page, plain = opened(path).page, opened(path, java_script_enabled=False).page
    for chart, other in zip(with_legend(page), with_legend(plain), strict=True):
        assert chart.locator(".legend").evaluate(DISPLAY) == "none"
        assert height_of(chart) < height_of(other) - 0.02, "no hole where the legend was"
        box = chart.locator("svg.chart-svg").bounding_box()
        axes = chart.locator("svg.chart-svg text:not(.legend text)").last.bounding_box()
        assert axes["y"] + axes["height"] <= box["y"] + box["height"] + 1, "the cut leaves the axes' labels whole"
        assert other.locator(".legend").is_visible()
        assert other.locator(".series").is_hidden()
        for button in chart.locator(".series button").all():
            key, series = button.locator("svg"), button.get_attribute("data-series")
            own = chart.locator(f".legend [data-series='{series}'] .key, .legend .key[data-series='{series}']")
            shapes = (
                "e => [...e.querySelectorAll('path, use')].map(p => [p.getAttribute('class'), p.getAttribute('d')])"
            )
            assert key.bounding_box()["width"] > 10
            assert key.evaluate(shapes) == own.evaluate(shapes) != []
    page.emulate_media(media="print")
    plain.emulate_media(media="print")
    for chart, other in zip(with_legend(page), with_legend(plain), strict=True):
        assert chart.locator(".legend").evaluate(DISPLAY) != "none"
        assert chart.locator(".series").is_hidden()
        assert height_of(chart) == pytest.approx(height_of(other), rel=0.01)


def test_a_legend_that_names_no_series_stays(written, opened):
    rows = [
        record(0.9 + 0.01 * s, activation=a, bias_init=b, seed=s)
        for a in ("relu", "elu")
        for b in (0, 1)
        for s in (0, 1)
    ]
    page = opened(written("maps", rows)).page
    words = page.locator("#t0-factor-maps svg.chart-svg text", has_text="darker: worse")
    assert words.is_visible()
    assert page.locator("#t0-factor-maps .legend").count() == 0


def test_the_value_under_the_pointer_is_that_of_the_mark(usual, opened):
    page = opened(usual).page
    chart = page.locator(".chart").first
    chart.scroll_into_view_if_needed()
    mark = chart.locator("svg .mark").first
    text = mark.locator("title").text_content()
    mark.hover(force=True)
    assert page.locator("#tip").is_visible()
    said = page.locator("#tip").inner_text()
    titles = chart.locator("svg").evaluate("e => [...e.querySelectorAll('.mark title')].map(t => t.textContent)")
    assert said in {*titles, text}  # another mark may lie above this one; its own title is in the box meanwhile
    page.mouse.move(0, 0)
    assert not page.locator("#tip").is_visible()


def test_the_values_are_reached_by_arrow_keys(usual, opened):
    page = opened(usual).page
    svg = page.locator(".chart svg").first
    svg.focus()
    seen = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        seen.append(page.locator("#tip").inner_text())
    assert len(set(seen)) == 3
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


def test_one_activation_is_highlighted_in_every_chart_and_table(usual, opened):
    page = opened(usual).page
    button = page.locator("#activations button[data-activation='relu']")
    button.click()
    for chart in page.locator(".chart").all():
        states = chart.evaluate(
            """e => [...e.querySelectorAll('[data-activation]')]
                .map(p => [p.dataset.activation, p.classList.contains('dim')])"""
        )
        assert states
        assert all(dim is (name != "relu") for name, dim in states)
    assert page.locator("tr.lit[data-activation='relu']").count()
    page.keyboard.press("Escape")
    assert page.locator(".dim").count() == 0


@pytest.mark.parametrize("preferred", ["light", "dark"])
def test_the_theme_follows_the_reader_and_the_switch(usual, opened, preferred):
    page = opened(usual, color_scheme=preferred).page
    color = "() => getComputedStyle(document.body).backgroundColor"
    ink = "() => getComputedStyle(document.querySelector('.chart svg text')).fill"
    before, text = page.evaluate(color), page.evaluate(ink)
    assert brightness(before) > 128 if preferred == "light" else brightness(before) < 128
    assert abs(brightness(before) - brightness(text)) > 100, "the charts' text follows the theme"
    page.locator("#theme").click()
    assert (brightness(page.evaluate(color)) > 128) is not (brightness(before) > 128)
    assert abs(brightness(page.evaluate(color)) - brightness(page.evaluate(ink))) > 100


def brightness(color):
    """The mean of red, green and blue."""
    return sum(float(part) for part in re.findall(r"[\d.]+", color)[:3]) / 3


def test_everything_is_open_on_paper(usual, opened):
    page = opened(usual).page
    page.emulate_media(media="print")
    before = page.locator("details:not([open])").count()
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == before > 0


@pytest.mark.parametrize("scripts", [True, False])
def test_long_tables_of_charts_are_not_printed_but_everything_else_is(usual, opened, scripts):
    page = opened(usual, java_script_enabled=scripts).page
    page.emulate_media(media="print")
    if scripts:
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    kinds = set()
    for chart in page.locator(".chart").all():
        rows, is_long = chart.locator("details tbody tr").count(), chart.locator("details.long").count() == 1
        assert is_long is (rows > 15)
        kinds.add(is_long)
        assert chart.locator("details table").is_visible() is not is_long
        assert chart.locator(".paper").count() == is_long
        if is_long:
            assert chart.locator(".paper").is_visible()
            assert f"has {rows} lines" in chart.locator(".paper").inner_text()
    assert kinds == {True, False}
    for run in page.locator("details.run").all():
        assert run.locator(".facts").first.is_visible()
    for name in ("methods", "words", "environment"):
        assert page.locator(f"#{name}").is_visible()


def test_no_page_of_paper_is_empty_and_long_studies_stay_short(usual, opened):
    page = opened(usual).page
    pages = len(re.findall(rb"/Type ?/Page\b(?!s)", page.pdf(format="A4")))
    assert 4 < pages < 12, "sixteen runs, five on a page, the table and the charts"


def test_it_can_be_read_without_scripts(any_page, opened):
    page = opened(any_page, java_script_enabled=False).page
    assert page.locator("h1").inner_text()
    assert page.locator(".headline").first.inner_text().strip()
    assert page.locator("table.rows").first.is_visible()
    assert page.locator("#theme").is_hidden()
    for chart in page.locator(".chart").all():
        assert chart.locator("svg .mark title").count()
        assert chart.locator("details summary").is_visible()
    page.locator("details summary").first.click()
    assert page.locator("details[open]").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_is_never_wider_than_the_window(any_page, opened, width):
    page = opened(any_page, width=width).page
    page.locator("#open-all").click()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(any_page, opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(any_page, color_scheme=scheme, bypass_csp=True).page
    page.locator("#open-all").click()
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, [
        (one["id"], one["nodes"][0]["html"][:300], one["nodes"][0].get("failureSummary")) for one in serious
    ]


def test_no_script_but_the_pages_own_can_run(usual, opened, tmp_path):
    text = usual.read_text(encoding="utf-8").replace("</main>", "<script>document.title = 'taken'</script></main>")
    (tmp_path / "changed.html").write_text(text, encoding="utf-8")
    found = opened(tmp_path / "changed.html")
    assert found.page.title() != "taken"
    assert any("Content Security Policy" in text for text in found.complaints)
    found.complaints.clear()
