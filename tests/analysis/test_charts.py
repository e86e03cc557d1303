"""Charts: what is drawn is what ``compare --format json`` says, and every chart draws what any study has."""

import io
import math
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from comparisons import varied
from drawn import artists, charted, position, texts
from factories import cells, only, record
from generated_studies import generated
from matplotlib.figure import Figure

from actbench.analysis.compare import compare
from actbench.analysis.plots._figures import FORMATS, charts_of, draw_chart, figure_of, image_bytes
from actbench.analysis.plots._labels import _apart
from actbench.analysis.plots._names import MAX_NAME
from actbench.analysis.plots._style import LOOKS, drawing, pens
from actbench.analysis.plots._text import literal
from actbench.analysis.table.factors import row_name
from actbench.errors import UsageError
from actbench.schema import registry

CHARTS = registry.names("charts")


def all_drawn(comparison, look="paper"):
    return [(one, figure_of(one, look=LOOKS[look])) for one in charts_of(comparison)]


def test_the_differences_are_those_of_the_json_seed_by_seed():
    comparison = only(varied(), metric=["test.accuracy"])
    data, figure = charted(comparison, "differences")
    rows = {row_name(row["factors"]): row for row in comparison.to_dict()["rows"]}
    seen = set()
    for index, mark in enumerate(data.marks):
        name = data.series[mark.series].name
        x, _ = position(figure, data.gid(index))
        assert x == mark.y
        if mark.kind == "mean":
            expected = rows[name]["vs_baseline"]["test.accuracy"]
            assert (mark.y, mark.low, mark.high) == (expected["difference"], expected["low"], expected["high"])
            seeds = [one.y for one in data.marks if one.kind == "seed" and one.series == mark.series]
            assert len(seeds) == expected["n_pairs"]
            assert math.isclose(sum(seeds) / len(seeds), expected["difference"], abs_tol=1e-12)
            (marker,) = artists(figure, data.gid(index))
            assert (marker.get_markerfacecolor() != "none") is expected["significant"]
            seen.add(name)
    assert seen == {name for name, row in rows.items() if "test.accuracy" in row["vs_baseline"]}


def test_a_curves_last_mean_is_that_of_the_records():
    records = cells({"relu": [0.91, 0.93, 0.95], "elu": [0.92, 0.90, 0.94]})
    comparison = only(records, metric=["val.accuracy"])
    data, figure = charted(comparison, "learning_curves")
    for series, row in enumerate(comparison.rows):
        last = [
            (index, mark) for index, mark in data.in_panel(0, "mean") if mark.series == series and mark.x == 1
        ]  # the factories' curves have two epochs
        ((index, mark),) = last
        values = [record.curves[-1]["val.accuracy"] for record in row.records]
        assert math.isclose(mark.y, sum(values) / len(values))
        assert position(figure, data.gid(index)) == (1, mark.y)
        assert len(artists(figure, f"s{series}.seed0.p0")) == 1


def test_a_mean_ends_where_a_seed_has_no_value():
    records = cells({"relu": [0.9, 0.9, 0.9]})
    short = [records[0], records[1], type(records[2])(**{**vars(records[2]), "curves": records[2].curves[:1]})]
    data, _ = charted(only(short), "learning_curves")
    assert data is None, "no epoch after the first has a value of every seed"


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 15))])
def test_every_chart_draws_any_study_or_says_that_it_has_no_data(seed):
    study = generated(seed)
    for comparison in compare(study.records, **study.options).comparisons:
        for drawn, figure in all_drawn(comparison):
            names = [artist.get_gid() for artist in figure.findobj(lambda one: bool(one.get_gid()))]
            marks = [name for name in names if ".m" in name]
            assert len(marks) == len(set(marks)), f"{drawn.name}: two marks of one name"
            assert set(marks) <= {drawn.data.gid(index) for index in range(len(drawn.data.marks))}
            heads, rows = drawn.data.table()
            assert len(rows) == len(drawn.data.marks)
            assert all(len(row) == len(heads) for row in rows)
            assert all(math.isfinite(mark.y) for mark in drawn.data.marks if mark.y is not None)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    "form", ["svg", *(pytest.param(form, marks=pytest.mark.slow) for form in FORMATS if form != "svg")]
)
def test_the_same_results_give_the_same_bytes(look, form):
    for one, figure in all_drawn(only(varied()), look):
        first = image_bytes(figure, form, LOOKS[look])
        assert first == image_bytes(figure_of(one, look=LOOKS[look]), form, LOOKS[look])


@pytest.mark.parametrize(
    ("form", "metadata"),
    [
        ("svg", {"Date": None, "Creator": "actbench"}),
        pytest.param("pdf", {"CreationDate": None}, marks=pytest.mark.slow),
        pytest.param("png", {"Software": "actbench"}, marks=pytest.mark.slow),
    ],
)
def test_a_figure_is_drawn_once_and_laid_out_as_matplotlib_does_it(form, metadata):
    look = LOOKS["paper"]
    for one, figure in all_drawn(only(varied()), "paper"):
        drawings = []
        figure.canvas.mpl_connect("draw_event", drawings.append)
        found = image_bytes(figure, form, look)
        assert len(drawings) == 1
        expected = io.BytesIO()
        with drawing(look):
            figure_of(one, look=look).savefig(expected, format=form, metadata=metadata)
        assert found == expected.getvalue(), one.name


def test_a_figure_that_was_saved_can_be_saved_in_another_format():
    (one, figure), *_ = all_drawn(only(varied()))
    engine, dpi = figure.get_layout_engine(), figure.get_dpi()
    images = [image_bytes(figure, form, LOOKS["paper"]) for form in FORMATS]
    assert (figure.get_layout_engine(), figure.get_dpi()) == (engine, dpi)
    assert images == [image_bytes(figure_of(one), form, LOOKS["paper"]) for form in FORMATS]


def test_an_svg_has_its_text_as_text_and_a_pdf_embeds_truetype():
    (_, figure), *_ = all_drawn(only(varied()))
    assert b"elu(alpha=0.2)" in image_bytes(figure, "svg", LOOKS["paper"])
    assert b"/Type3" not in image_bytes(figure, "pdf", LOOKS["paper"])


def test_a_chart_is_drawn_into_the_callers_axes():
    figure = Figure()
    ax = figure.subplots()
    assert draw_chart("differences", only(varied()), axes=[ax]) is figure
    assert ax.lines
    with pytest.raises(UsageError, match="2 panels: give as many axes, not 1"):
        draw_chart("learning_curves", only(varied()), axes=[ax])


def test_the_defaults_of_matplotlib_are_the_callers_again():
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_chart("differences", only(varied()))
    assert dict(matplotlib.rcParams) == before


def test_a_chart_without_data_says_what_it_would_answer():
    with pytest.raises(UsageError, match=r"no data for it\. It answers: How much better"):
        draw_chart("differences", only(cells({"relu": [0.9, 0.8]})))


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_a_title_a_question_and_a_place_of_its_own(name):
    chart = registry.load("charts", name)
    assert chart.title
    assert chart.question.endswith("?")
    assert [registry.load("charts", other).order for other in CHARTS].count(chart.order) == 1


@pytest.mark.parametrize(
    ("heights", "gap"), [([0.5] * 5, 0.1), ([0.0, 0.01, 0.99, 1.0], 0.2), ([-0.2, 1.3], 0.5), ([0.2, 0.25, 0.3], 0.05)]
)
def test_names_are_moved_apart_within_the_axes(heights, gap):
    found = _apart(heights, gap)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(found))
    assert min(found) >= -1e-9
    assert max(found) <= 1 + 1e-9


@pytest.mark.parametrize("columns", [1, 2])
def test_a_legend_of_24_long_names_leaves_room_for_every_chart(columns):
    names = [f"{i} * x + max(0, x) * sigmoid(1.702 * x) + 0.0000000{i} * x * x" for i in range(12)]
    records = [
        record(0.9 + s / 100, activation=a, bias_init=b, seed=s, dead=0.1 * s)
        for a in names
        for b in (0.0, 0.1)
        for s in range(2)
    ]
    for drawn in charts_of(only(records)):
        figure = figure_of(drawn, columns=columns)
        figure.draw_without_rendering()  # matplotlib warns, which is an error here, where no room is left for the axes
        for ax in figure.axes:
            assert min(ax.bbox.width, ax.bbox.height) > 40, drawn.name
        for legend in figure.legends:
            assert legend.get_window_extent().y1 < min(ax.bbox.y0 for ax in figure.axes), drawn.name


def test_no_name_lies_over_another_or_outside_the_figure():
    records = cells(
        {"relu": [0.9, 0.91, 0.92], **{("elu", "gelu", "tanh", "silu")[i]: [0.9 + i / 1e3] * 3 for i in range(4)}}
    )
    for look in LOOKS:
        for _, figure in all_drawn(only(records), look):
            figure.draw_without_rendering()
            for ax in figure.axes:
                boxes = [text.get_window_extent() for text in ax.texts if text.get_visible()]
                for i, one in enumerate(boxes):
                    assert figure.bbox.x0 - 1 <= one.x0
                    assert one.x1 <= figure.bbox.x1 + 1
                    assert not any(one.overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize("name", ["$x$", r"$\frac$", "a$_{1}$b", "100 % & {x}_1^2"])
def test_a_name_between_dollar_signs_is_printed_as_it_is(name):
    records = [
        record(0.9 + s / 100, activation=a, seed=s)
        for a in ("relu", {"name": name, "path": "my_parts:bump"})
        for s in range(3)
    ]
    drawn = all_drawn(only(records), "screen")
    assert drawn
    for one, figure in drawn:
        root = ElementTree.fromstring(image_bytes(figure, "svg", LOOKS["screen"]))
        texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
        if one.name in ("differences", "learning_curves"):
            assert name in texts
        image_bytes(figure, "png", LOOKS["screen"])


def test_the_powers_of_a_logarithmic_axis_need_no_formula():
    figure = Figure()
    ax = figure.subplots()
    with drawing(LOOKS["paper"]):
        ax.plot([1, 2], [1e-5, 1e3])
        ax.set_yscale("log")
        literal([ax])
        figure.draw_without_rendering()
        texts = [label.get_text() for label in ax.get_yticklabels()]
    assert "10⁻³" in texts
    assert not any("$" in text for text in texts)


def with_rates(rates, activations=("relu", "elu"), epochs=4):
    """Runs at several learning rates; those at the highest one end after epoch 1."""
    records = [
        record(0.9 - 0.01 * seed, activation=activation, seed=seed, training={"optimizer": {"name": "sgd", "lr": rate}})
        for activation in activations
        for rate in rates
        for seed in range(3)  # two have no interval
    ]

    def curve(one):
        last = 2 if one.spec.training.optimizer.options["lr"] == max(rates) else epochs
        off = 0.01 * one.spec.seed
        rows = [
            {"train.loss": 2.3 / (1 + epoch) + off, "val.accuracy": 0.1 + 0.2 * epoch + off} for epoch in range(last)
        ]
        return tuple({"epoch": epoch, **row} for epoch, row in enumerate(rows))

    return [replace(one, curves=curve(one)) for one in records]


def test_rows_are_named_by_the_last_part_of_a_setting():
    data, figure = charted(only(with_rates((0.1, 1.0))), "differences")
    assert sorted(data.names) == ["elu (lr=0.1)", "elu (lr=1)", "relu (lr=0.1)", "relu (lr=1)"]
    shown = {text.get_text() for text in texts(figure)}
    assert "elu (lr=1)" in shown
    assert {row[0] for row in data.table()[1]} >= {"elu (training.optimizer.lr=1)"}, "the table has the whole key"


def test_long_names_that_differ_in_the_middle_look_different():
    formulas = [f"max(0.0100000001 * x, x) + 0.{digit}000001 * sigmoid(1.7020001 * x)" for digit in (1, 2, 3)]
    data, figure = charted(only(cells({name: [0.9, 0.91] for name in ("relu", *formulas)})), "differences")
    assert len(set(data.names)) == 4
    assert max(map(len, data.names)) <= MAX_NAME
    assert set(data.names) - {"relu"} <= {text.get_text() for text in texts(figure)}


def test_seven_settings_of_an_activation_have_lines_of_their_own():
    data, _ = charted(only(with_rates((0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0))), "learning_curves")
    drawn_with = [(pen.color, pen.dash) for pen in pens(data)]
    assert len(set(drawn_with)) == len(drawn_with) == 14


def test_epoch_0_is_left_out_of_every_curve_or_of_none():
    data, _ = charted(only(with_rates((0.1, 1.0))), "learning_curves")
    first = [min(mark.x for _, mark in data.in_panel(0) if mark.series == series) for series in range(4)]
    assert first == [1, 1, 1, 1]
    short, _ = charted(only(with_rates((0.1, 1.0), epochs=2)), "learning_curves")
    assert {mark.x for _, mark in short.in_panel(0)} == {0, 1}


@pytest.mark.parametrize(("rates", "bands"), [((0.1, 0.2), 8), ((1, 2, 3, 4, 5, 6, 7), 0)])
def test_many_rows_have_no_bands_and_the_caption_says_so(rates, bands):
    data, figure = charted(only(with_rates(rates)), "learning_curves")
    drawn = [gid for artist in figure.findobj() if ".band." in (gid := artist.get_gid() or "")]
    assert len(drawn) == bands
    assert ("no bands" in data.caption) == (bands == 0)


def test_the_axis_of_a_single_epoch_has_whole_numbers():
    records = [replace(one, curves=(*one.curves[:1], {"epoch": 1, "val.accuracy": 0.1})) for one in with_rates((0.1,))]
    _, figure = charted(only(records), "learning_curves")
    figure.draw_without_rendering()
    loss = figure.axes[1]
    assert all(float(tick).is_integer() for tick in loss.get_xticks())


def test_a_legend_tells_activations_apart_without_colour():
    names = ("relu", "elu", "selu", "gelu", "tanh", "swish")
    records = [
        record(0.9 + s / 100, activation=a, bias_init=b, seed=s) for a in names for b in (0.0, 0.1) for s in range(3)
    ]
    for drawn, figure in all_drawn(only(records), "paper"):
        for legend in figure.legends:
            keys = [one for one in legend.legend_handles if hasattr(one, "get_marker")]
            looks = [(str(key._dash_pattern), key.get_marker()) for key in keys]
            assert len(set(looks)) == len(keys), drawn.name


@pytest.mark.parametrize("columns", [1, 2])
def test_the_label_of_an_axis_lies_within_the_figure(columns):
    records = cells({name: [0.9, 0.91, 0.92] for name in ("relu", "max(0.0100000001 * x, x) + 0.1 * sigmoid(1.7 * x)")})
    for drawn in charts_of(only(records)):
        figure = figure_of(drawn, look=LOOKS["paper"], columns=columns)
        figure.draw_without_rendering()
        for label in (label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label) if label.get_text()):
            box = label.get_window_extent()
            assert figure.bbox.x0 - 1 <= box.x0, drawn.name
            assert box.x1 <= figure.bbox.x1 + 1, drawn.name
