"""The picture of activations: what is drawn is the function, and what is shaded is where its slope is dead."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from drawn import artists, position
from factories import cells, save
from reading_commands import call
from scipy.optimize import brentq
from scipy.special import erf
from typer.testing import CliRunner

from actbench.analysis.plots._figures import FORMATS, figure_of, image_bytes
from actbench.analysis.plots._functions import drawn_functions
from actbench.analysis.plots._style import LOOKS
from actbench.cli import app
from actbench.cli.function_curves import function_curves
from actbench.schema import registry
from actbench.schema.components import resolve

SIX = ("relu", "elu", "gelu", "silu", "tanh", "sigmoid")
LONG = "where(x > 0, x * sigmoid(1.702 * x), 0.25 * tanh(x) * exp(min(x, 0)))"


def phi(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def below(z):
    return (1 + erf(z / np.sqrt(2))) / 2


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


FORMS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1.0, np.exp(z))),
    "gelu": (lambda z: z * below(z), lambda z: below(z) + z * phi(z)),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "x**3": (lambda z: z**3, lambda z: 3 * z**2),
}
"""Text -> f and f′ in numpy."""


def curves(*names, **options):
    return function_curves([resolve("activations", name) for name in names], **options)


def pictured(*names, look="paper", columns=2, **options):
    drawn = drawn_functions(curves(*names, **options))
    return drawn.data, figure_of(drawn, look=LOOKS[look], columns=columns)


@pytest.mark.parametrize("name", FORMS)
def test_the_lines_are_the_function_and_its_derivative(name):
    _, figure = pictured(name)
    for panel, form in enumerate(FORMS[name]):
        (line,) = artists(figure, f"s0.line.p{panel}")
        z, y = line.get_data()
        there = np.isfinite(y)
        assert there.sum() > 200
        np.testing.assert_allclose(y[there], form(z[there]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dead_slope", [1e-3, 0.05])
@pytest.mark.parametrize("name", FORMS)
def test_shaded_is_where_the_slope_is_at_most_dead_slope(name, dead_slope):
    data, figure = pictured(name, dead_slope=dead_slope)
    regions = []
    for panel in (0, 1):
        for index, mark in data.in_panel(1, "dead"):
            found = artists(figure, data.gid(index) if panel else "s0.dead.p0")
            boxes = [patch.get_path().get_extents(patch.get_patch_transform()) for patch in found]
            regions += [(box.x0, box.x1) for box in boxes] if panel else []
            assert boxes, mark
    slope = FORMS[name][1]
    z = np.linspace(*figure.axes[1].get_xlim(), 40_001)
    away = np.all([abs(z - end) > 1e-6 for region in regions for end in region], axis=0) if regions else z == z
    shaded = np.any([(z > low) & (z < high) for low, high in regions], axis=0) if regions else np.zeros_like(z)
    assert (shaded[away] == (abs(slope(z[away])) <= dead_slope)).all()


def test_the_ends_of_dead_slopes_are_roots_of_the_closed_forms():
    (relu, elu, gelu, tanh, logistic) = curves("relu", "elu", "gelu", "tanh", "sigmoid")
    assert relu.dead == ((-math.inf, 0.0),)
    assert elu.dead == ((-math.inf, pytest.approx(math.log(1e-3), abs=1e-9)),)
    tail, *around = (
        brentq(lambda z, s=sign: FORMS["gelu"][1](np.float64(z)) + s * 1e-3, low, high, xtol=1e-14)
        for sign, low, high in ((1, -5, -3), (1, -1, -0.75), (-1, -0.7518, -0.5))
    )
    assert gelu.dead == ((-math.inf, pytest.approx(tail, abs=1e-9)), pytest.approx(tuple(around), abs=1e-9))
    steep = math.acosh(math.sqrt(1000))
    assert tanh.dead == (
        (-math.inf, pytest.approx(-steep, abs=1e-9)),
        (pytest.approx(steep, abs=1e-9), math.inf),
    )
    far = -math.log((1 - math.sqrt(1 - 4e-3)) / (1 + math.sqrt(1 - 4e-3)))
    assert logistic.dead[1] == (pytest.approx(far, abs=1e-9), math.inf)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "swish(beta=2)"])
def test_the_minimum_is_that_of_the_json(name):
    (facts,) = json.loads(call("show", name, "--json"))
    data, figure = pictured(name)
    ((index, mark),) = data.in_panel(0, "minimum")
    expected = (facts["constants"]["minimum_at"], facts["constants"]["minimum"])
    assert (mark.x, mark.y) == expected
    assert position(figure, data.gid(index)) == expected


@pytest.mark.parametrize(
    ("name", "kinks"),
    [
        ("relu", [0]), ("relu6", [0, 6]), ("hardswish", [-3, 3]), ("hardtanh", [-1, 1]), ("leaky_relu", [0]),
        ("elu", []), ("elu(alpha=0.2)", [0]), ("selu", [0]), ("gelu", []), ("celu(alpha=0.2)", []),
        ("max(x, 0.5 * x)", [0]), ("abs(x - 1.337)", [1.337]), ("x * exp(x**2)", []), ("where(x > 0.3, 1, 0)", [0.3]),
    ],
)  # fmt: skip
def test_kinks_are_where_the_slope_jumps_at_these_options(name, kinks):
    data, _ = pictured(name)
    assert [mark.x for _, mark in data.in_panel(0, "break")] == pytest.approx(kinks, abs=1e-8)


def test_a_step_jumps_and_is_dead_everywhere():
    (curve,) = curves("where(x > 0, 1, 0)")
    assert curve.kind_of(0.0) == "jump"
    assert curve.dead == ((-math.inf, math.inf),)
    _, figure = pictured("where(x > 0, 1, 0)")
    assert any("jump at 0" in text.get_text() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("relu", (0, None)), ("elu(alpha=0.2)", (-0.2, None)), ("tanh", (-1, 1)), ("softsign", (-1, 1)),
        ("sigmoid", (0, 1)), ("relu6", (0, 6)), ("leaky_relu", (None, None)), ("sin(x)", (None, None)),
        ("selu", (-1.7580993, None)), ("log1p(abs(x))", (None, None)), ("exp(x) / (1 + exp(x))", (0, 1)),
    ],
)  # fmt: skip
def test_only_finite_limits_are_named(name, limits):
    data, figure = pictured(name)
    found = {str(mark.x): (index, mark.y) for index, mark in data.in_panel(0, "limit")}
    assert found.keys() == {f"→ {end}" for end, limit in zip(("−∞", "∞"), limits, strict=True) if limit is not None}
    for end, limit in zip(("→ −∞", "→ ∞"), limits, strict=True):
        if limit is not None:
            index, y = found[end]
            assert y == pytest.approx(limit, abs=1e-6)
            (line,) = artists(figure, data.gid(index))
            assert list(line.get_ydata()) == [y, y]


def test_several_activations_have_a_bar_each_that_hides_no_other():
    data, figure = pictured(*SIX)
    heights = {}
    for index, mark in data.in_panel(1, "dead"):
        (patch,) = artists(figure, data.gid(index))
        box = patch.get_path().get_extents(patch.get_patch_transform())
        heights.setdefault(mark.series, set()).add((box.y0, box.y1))
    assert len(heights) == len(SIX)
    spans = sorted(span for (span,) in heights.values())
    assert all(high < low for (_, high), (low, _) in pairwise(spans))
    ax = figure.axes[1]
    to_axes = ax.transData + ax.transAxes.inverted()
    lowest = min(min(curve.slopes) for curve in data.curves)
    assert to_axes.transform((0, lowest))[1] > spans[-1][1], "a bar hides a curve"


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names("activations"))
def test_every_activation_has_a_picture(name):
    if name == "expression":
        name = LONG
    data, figure = pictured(name)
    heads, rows = data.table()
    assert all(len(row) == len(heads) for row in rows)
    gids = [artist.get_gid() for artist in figure.findobj(lambda one: bool(one.get_gid()))]
    shown = {gid for gid in gids if ".m" in gid}
    assert {data.gid(index) for index in range(len(data.marks))} == shown
    assert all(math.isfinite(mark.y) for mark in data.marks if mark.y is not None)


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("names", [("relu",), ("gelu", LONG), SIX], ids=len)
def test_every_text_lies_within_the_figure_and_over_no_other(names, columns, look):
    _, figure = pictured(*names, look=look, columns=columns)
    figure.draw_without_rendering()
    legend = figure.legends[0]
    lines = [text.get_window_extent() for text in legend.get_texts()]
    boxes = [legend.get_window_extent(), *(ax.get_tightbbox() for ax in figure.axes)]
    for box in boxes:
        assert figure.bbox.x0 - 1 <= box.x0
        assert box.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 - 1 <= box.y0
        assert box.y1 <= figure.bbox.y1 + 1
    for apart in (boxes, lines):
        assert not any(one.overlaps(other) for index, one in enumerate(apart) for other in apart[index + 1 :])
    assert all(legend.get_window_extent().x1 >= line.x1 for line in lines)
    for ax in figure.axes:
        assert ax.get_window_extent().height > 0.35 * LOOKS[look].height * figure.dpi


@pytest.mark.parametrize(
    ("form", "style", "columns"), [*((form, "screen", None) for form in FORMATS), ("svg", "paper", 1)]
)
def test_show_writes_the_picture_that_the_ending_names(tmp_path, form, style, columns):
    target = tmp_path / f"both.{form}"
    chosen = [] if columns is None else ["--columns", str(columns)]
    found = CliRunner().invoke(app, ["show", "elu", LONG, "-o", str(target), "--style", style, *chosen])
    assert found.exit_code == 0, found.output
    assert found.stdout == f"{target}: Activations elu, {LONG}\n"
    drawn = drawn_functions(curves("elu", LONG))
    look = LOOKS[style]
    assert target.read_bytes() == image_bytes(figure_of(drawn, look=look, columns=columns or 2), form, look)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["elu", "-o", "x.jpeg"], "its name has to end with .png, .svg, .pdf"),
        (["eluu", "-o", "x.svg"], "or the activation 'elu'?"),
        (["elu", "-o", "x.svg", "--style", "papr"], "did you mean 'paper'?"),
        (["elu", "-o", "x.svg", "--json"], "leave out --json and --theory"),
        (["elu", "--style", "paper"], "give -o FILE, too"),
        (["elu", "--columns", "1"], "give -o FILE, too"),
        (["elu", "-o", "x.svg", "--columns", "3"], "--columns"),
        (["-o", "x.svg"], "name a run or an activation"),
        (["expression", "-o", "x.svg"], "formula"),
        (["relu-bias", "-o", "x.svg"], "is a run, and show -o draws activations"),
    ],
)
def test_what_can_t_be_drawn_gets_one_message(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "results", cells({"relu": [0.9]}))
    found = CliRunner().invoke(app, ["show", *arguments])
    assert found.exit_code
    assert message in " ".join(f"{found.exception} {found.output}".replace("│", "").split())
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize("name", ["log(x)", "0 * x", "x * exp(x**2)"])
def test_a_constant_that_is_not_finite_is_null_in_the_json(name):
    (found,) = json.loads(call("show", name, "--json"))
    assert found["constants"]["gain"] is None
    assert "none that is finite" in call("show", name)
