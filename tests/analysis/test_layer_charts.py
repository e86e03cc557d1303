"""Charts of the hidden layers: what is drawn is counted anew from the units themselves, or read from the records."""

import math
from dataclasses import replace

import numpy as np
import pytest
from comparisons import varied
from drawn import artists, charted, position, texts
from factories import cells, only
from layered_runs import layered

from actbench.analysis.plots._figures import FORMATS, charts_of, figure_of, image_bytes
from actbench.analysis.plots._style import LOOKS
from actbench.analysis.plots.dead_units import strips_of

LAYERS = ("hidden.0", "hidden.1", "hidden.2")
NAMES = ("dead_units", "gradient_depth", "learned_parameters")
LONG = "x * sigmoid({:g} * x) + 0.25 * x * x * sigmoid(0.5 * x) + 0.01".format


def study(activations=("relu", "elu"), seeds=3, layers=LAYERS, **options):
    """Runs with layers: (records, activation -> seed -> masks)."""
    runs = {
        name: [layered(one, layers=layers, random=place, **options) for one in cells({name: [0.9] * seeds})]
        for place, name in enumerate(activations)
    }  # fmt: skip
    return [one.record for row in runs.values() for one in row], {
        name: [one.dead for one in row] for name, row in runs.items()
    }


def bars(figure, gid):
    """The rectangles of a mark, as (left, bottom, height)."""
    return [(one.get_x(), one.get_y(), one.get_height()) for one in artists(figure, gid)]


def test_the_shares_of_dead_units_are_those_of_the_units_themselves():
    records, masks = study()
    data, figure = charted(only(records), "dead_units")
    strips = strips_of(data)
    stacked = {}
    for index, mark in enumerate(data.marks):
        runs = [one[mark.row] for one in masks[data.series[mark.series].name]]
        of = {
            "born dead": [now[mark.x] & now[0] for now in runs],
            "died": [now[mark.x] & ~now[0] for now in runs],
            "revived": [~now[mark.x] & now[max(0, mark.x - 1)] for now in runs],
        }
        shares = [float(np.mean(one)) for one in of[mark.kind]]
        assert math.isclose(mark.y, sum(shares) / 3, abs_tol=1e-12)
        assert (mark.low, mark.high) == (min(shares), max(shares))
        place = (mark.series, mark.row, mark.x)
        below = stacked.get(place, 0.0)
        stacked[place] = below + mark.y
        found = bars(figure, data.gid(index))
        assert len(found) == (mark.y > 0)
        for left, bottom, height in found:
            assert math.isclose(left, strips.left(mark))
            assert math.isclose(bottom, strips.height(mark.series, below), abs_tol=1e-12)
            assert math.isclose(height * strips.top, mark.y), "a strip is as high as its scale"
    assert len(stacked) == 2 * len(LAYERS) * 4
    assert "revived at that epoch, that is dead at the epoch before and alive now" in data.caption


def test_the_dead_shares_of_the_last_epoch_add_up_to_the_metric_of_compare():
    records, _ = study(layers=LAYERS)
    totals = [sum(layer["dead"] for layer in one.curves[-1]["layers"]) / 60 for one in records]
    records = [
        replace(one, final={**one.final, "health.dead_fraction": total})
        for one, total in zip(records, totals, strict=True)
    ]
    comparison = only(records, metric=["health.dead_fraction"])
    data, _ = charted(comparison, "dead_units")
    for series, row in enumerate(comparison.to_dict()["rows"]):
        shares = [
            one.y for one in data.marks if (one.series, one.x) == (series, 3) and one.kind in ("born dead", "died")
        ]
        assert math.isclose(sum(shares) / len(LAYERS), row["metrics"]["health.dead_fraction"]["mean"])


def test_dead_units_end_where_a_run_has_diverged_and_the_row_says_so():
    records, _ = study(("relu",))
    gone, _ = study(("elu",), ends=2)
    data, figure = charted(only([*records, *gone]), "dead_units")
    last = {data.series[one.series].name: one.x for one in data.marks}
    assert last == {"relu": 3, "elu": 1}
    assert "elu · ends at epoch 1" in [one.get_text() for one in texts(figure)]
    mixed = [*records[:2], gone[0]]
    data, _ = charted(only([replace(one, spec=records[i].spec) for i, one in enumerate(mixed)]), "dead_units")
    assert max(one.x for one in data.marks) == 1, "the mean of those that are left is no mean of the row"


def test_a_layer_with_units_that_are_not_finite_has_no_shares():
    records, _ = study(("relu",))
    rows = [dict(row) for row in records[0].curves]
    rows[2]["layers"] = [dict(layer, not_finite=int(layer["name"] == "hidden.1")) for layer in rows[2]["layers"]]
    data, _ = charted(only([replace(records[0], curves=tuple(rows)), *records[1:]]), "dead_units")
    assert {one.x for one in data.marks if one.row == "hidden.1"} == {0, 1, 3}
    assert {one.x for one in data.marks if one.row == "hidden.0"} == {0, 1, 2, 3}


def test_many_rows_and_layers_are_drawn_by_their_dead_units_and_listed_in_full():
    names = [LONG(place + 1) for place in range(24)]
    layers = tuple(f"encoder.blocks.{place}.mlp.activation" for place in range(12))
    records, _ = study(names, seeds=1, layers=layers, epochs=33)
    # The first row's units never die.
    healthy = [
        {**row, "layers": [dict(one, dead=0, lost=0, born_dead=0, died=0, revived=0) for one in row["layers"]]}
        for row in records[0].curves
    ]
    records = [replace(one, curves=tuple(healthy)) if one.spec.activation.label == names[0] else one for one in records]
    data, figure = charted(only(records), "dead_units")
    strips = strips_of(data)
    assert (len(strips.rows), len(strips.layers), len(strips.epochs)) == (6, 10, 31)
    assert names[0] not in [data.series[one].name for one in strips.rows]
    assert "18 rows and 2 layers with the fewest dead units" in data.caption
    assert "31 of 33 epochs are drawn" in data.caption
    assert len({(one.series, one.row, one.x) for one in data.marks}) == 24 * 12 * 33
    drawn = {one.get_gid() for one in figure.findobj(lambda one: ".m" in (one.get_gid() or ""))}
    assert drawn == {data.gid(index) for index, one in enumerate(data.marks) if strips.has(one) and one.y}


def test_rows_without_a_dead_unit_say_so():
    records, _ = study()
    alive = [
        replace(one, curves=tuple(
            {**row, "layers": [dict(layer, dead=0, lost=0, revived=0) for layer in row["layers"]]} for row in one.curves
        ))
        for one in records if one.spec.activation.name == "elu"
    ]  # fmt: skip
    _, figure = charted(only([*alive, *(one for one in records if one.spec.activation.name == "relu")]), "dead_units")
    assert "elu · no dead unit" in [one.get_text() for one in texts(figure)]


def test_gradient_norms_are_means_of_the_records_and_drawn_layer_by_layer():
    records, _ = study()
    data, figure = charted(only(records), "gradient_depth")
    assert [one.title for one in data.panels] == ["before training", "after epoch 3"]
    seen = set()
    for index, mark in enumerate(data.marks):
        name, epoch = data.series[mark.series].name, (0, 3)[mark.panel]
        norms = [
            layer["gradient_norm"]
            for one in records
            if one.spec.activation.label == name
            for layer in one.curves[epoch]["layers"]
            if layer["name"] == mark.x
        ]
        assert math.isclose(mark.y, sum(norms) / 3)
        assert (mark.low, mark.high) == (min(norms), max(norms))
        assert position(figure, data.gid(index)) == (LAYERS.index(mark.x), mark.y)
        (band,) = artists(figure, f"s{mark.series}.range.p{mark.panel}")
        corners = {(float(x), float(y)) for x, y in band.get_paths()[0].vertices}
        assert {(LAYERS.index(mark.x), mark.low), (LAYERS.index(mark.x), mark.high)} <= corners
        (guide,) = artists(figure, f"s{mark.series}.guide.p{mark.panel}")
        if mark.x == LAYERS[-1]:
            assert set(guide.get_ydata()) == {mark.y}
        seen.add((name, mark.panel, mark.x))
    assert len(seen) == 2 * 2 * len(LAYERS)
    assert all(ax.get_yscale() == "log" for ax in figure.axes)
    assert len({ax.get_ylim() for ax in figure.axes}) == 1


def test_a_gradient_of_zero_is_a_hollow_triangle_at_the_lower_edge():
    records, _ = study(("relu",), silent=("hidden.0",))
    data, figure = charted(only(records), "gradient_depth")
    for index, mark in enumerate(data.marks):
        (marker,) = artists(figure, data.gid(index))
        is_zero = mark.x == "hidden.0"
        assert (mark.y == 0) is is_zero
        assert (marker.get_marker() == "v" and marker.get_markerfacecolor() == "none") is is_zero
        if is_zero:
            assert mark.note.endswith("3 seeds, 0 in 3 of them")
            low, _ = figure.axes[0].get_ylim()
            assert low < marker.get_ydata()[0] < min(one.low for one in data.marks if one.low)
    everywhere, _ = study(("relu",), silent=LAYERS)
    data, figure = charted(only(everywhere), "gradient_depth")
    assert {one.y for one in data.marks} == {0.0}
    assert figure is not None


def test_a_row_with_diverged_runs_shows_its_own_last_epoch():
    records, _ = study(("relu",))
    gone, _ = study(("elu",), ends=2)
    data, _ = charted(only([*records, *gone]), "gradient_depth")
    assert data.panels[1].title == "after the last epoch"
    notes = {(data.series[one.series].name, one.note) for one in data.marks if one.panel == 1}
    assert notes == {("relu", "epoch 3, 3 seeds"), ("elu", "epoch 1, 3 seeds")}
    at_once, _ = study(("elu",), ends=1)
    data, figure = charted(only(at_once), "gradient_depth")
    assert [one.title for one in data.panels] == ["before training"]
    assert len(figure.axes) == 1


def test_a_layer_that_was_not_called_has_no_norm_and_one_layer_has_no_depth():
    records, _ = study(("relu",))
    rows = [
        {
            **row,
            "layers": [dict(one, gradient_norm=None if one["name"] == "hidden.1" else 0.5) for one in row["layers"]],
        }
        for row in records[0].curves
    ]
    data, _ = charted(only([replace(records[0], curves=tuple(rows)), *records[1:]]), "gradient_depth")
    assert {one.x for one in data.marks} == {"hidden.0", "hidden.2"}
    flat, _ = study(layers=("hidden.0",))
    assert charts_of(only(flat), ["gradient_depth"]) == []


def test_many_rows_have_no_ranges_and_every_point_lies_within_the_axes():
    records, _ = study([LONG(place + 1) for place in range(24)], seeds=2)
    data, figure = charted(only(records), "gradient_depth")
    assert not figure.findobj(lambda one: ".range" in (one.get_gid() or "") or ".guide" in (one.get_gid() or ""))
    low, high = figure.axes[0].get_ylim()
    assert all(low < position(figure, data.gid(index))[1] < high for index in range(len(data.marks)))
    assert len(data.marks) == 24 * 2 * len(LAYERS)
    figure.draw_without_rendering()  # warns where axes and legend have no room


def read_off(ax, strip, y):
    """The value at a height, by the numbers that are printed beside a strip: the first one is the topmost."""
    printed = [(place, float(text.get_text().replace("−", "-"))) for place, text in
               zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)]  # fmt: skip
    names = sorted((text.get_position()[1] for text in ax.texts), reverse=True)
    below = names[strip + 1] if strip + 1 < len(names) else -math.inf
    own = [one for one in printed if below < one[0] < names[strip]]
    (low, first), (high, last) = own[0], own[-1]
    return first + (y - low) / (high - low) * (last - first)


def test_learned_parameters_are_means_of_the_records_and_read_off_as_such():
    records, _ = study(("prelu", "elu"), learned=("slope",))
    plain, _ = study(("relu",))
    data, figure = charted(only([*records, *plain]), "learned_parameters")
    (ax,) = figure.axes
    names = [text.get_text() for text in sorted(ax.texts, key=lambda one: -one.get_position()[1])]
    assert sorted(names) == ["elu", "prelu"], "relu learns nothing"
    steps = {}
    for index, mark in enumerate(data.marks):
        name = data.series[mark.series].name
        values = [
            layer["learned"]["slope"]
            for one in records
            if one.spec.activation.label == name
            for layer in one.curves[mark.x]["layers"]
            if layer["name"] == mark.row
        ]
        assert math.isclose(mark.y, sum(values) / 3)
        assert (mark.low, mark.high) == (min(values), max(values))
        x, y = position(figure, data.gid(index))
        assert math.isclose(read_off(ax, names.index(name), y), mark.y, abs_tol=1e-9)
        (band,) = artists(figure, f"s{mark.series}.range.{mark.row}")
        drawn = [read_off(ax, names.index(name), float(corner)) for _, corner in band.get_paths()[0].vertices]
        assert any(math.isclose(one, mark.low, abs_tol=1e-9) for one in drawn)
        assert any(math.isclose(one, mark.high, abs_tol=1e-9) for one in drawn)
        (start,) = artists(figure, f"s{mark.series}.start.{mark.row}")
        assert math.isclose(read_off(ax, names.index(name), start.get_ydata()[0]), 0.25, abs_tol=1e-9)
        steps.setdefault((name, mark.row), []).append((mark.x, x))
    assert len(steps) == 2 * len(LAYERS)
    for cell in steps.values():
        epochs, places = zip(*sorted(cell), strict=True)
        assert epochs == (0, 1, 2, 3)
        assert np.allclose(np.diff(places, 2), 0), "epochs are at equal distances"


def test_each_learned_parameter_has_a_panel_with_the_rows_that_learn_it():
    slopes, _ = study(("prelu",), learned=("slope",))
    betas, _ = study(("swish",), learned=("beta",), ends=3)
    data, figure = charted(only([*slopes, *betas]), "learned_parameters")
    assert [one.y.label for one in data.panels] == ["beta", "slope"]
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["swish"], ["prelu"]]
    assert {data.table()[1][index][1] for index, _ in data.in_panel(1)} == {"slope"}
    more, _ = study(("elu",), learned=("beta",))
    _, figure = charted(only([*betas, *more]), "learned_parameters")
    assert "swish · ends at epoch 2" in [text.get_text() for text in figure.axes[0].texts]


def test_the_rows_of_which_a_parameter_moved_most_are_drawn():
    records, _ = study([LONG(place + 1) for place in range(8)], seeds=1, learned=("slope",))
    still = {LONG(1), LONG(5)}
    records = [
        replace(one, curves=tuple(
            {**row, "layers": [dict(layer, learned={"slope": 0.25}) for layer in row["layers"]]} for row in one.curves
        )) if one.spec.activation.label in still else one
        for one in records
    ]  # fmt: skip
    data, figure = charted(only(records), "learned_parameters")
    assert "2 rows of which slope moved least" in data.caption
    drawn = {one.get_gid().split(".")[0] for one in figure.findobj(lambda one: ".m" in (one.get_gid() or ""))}
    assert {data.series[int(name[1:])].name for name in drawn} == {LONG(place + 1) for place in range(8)} - still
    assert {data.series[one.series].name for one in data.marks} == {LONG(place + 1) for place in range(8)}


def test_parameters_that_stay_where_they_started_have_a_scale_around_them():
    records, _ = study(("prelu",), seeds=1, learned=("slope",))
    for value in (0.25, 0.0):
        rows = tuple(
            {**row, "layers": [dict(layer, learned={"slope": value}) for layer in row["layers"]]}
            for row in records[0].curves
        )
        data, figure = charted(only([replace(records[0], curves=rows)]), "learned_parameters")
        assert {one.y for one in data.marks} == {value}
        low, high = figure.axes[0].get_ylim()
        assert all(low < position(figure, data.gid(index))[1] < high for index in range(len(data.marks)))


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("columns", [1, 2])
def test_long_names_of_rows_and_layers_have_room_in_charts_of_layers(look, columns):
    layers = tuple(f"encoder.blocks.{place}.mlp.activation" for place in range(12))
    records, _ = study([LONG(place + 1) for place in range(7)], seeds=2, layers=layers, learned=("slope",))
    for name in NAMES:
        _, figure = charted(only(records), name, look, columns=columns)
        figure.draw_without_rendering()
        for ax in figure.axes:
            printed = [*ax.texts, *ax.get_xticklabels(), ax.xaxis.label]
            boxes = [text.get_window_extent() for text in printed if text.get_text()]
            for place, one in enumerate(boxes):
                assert figure.bbox.x0 - 1 <= one.x0 < one.x1 <= figure.bbox.x1 + 1
                assert not any(one.overlaps(other) for other in boxes[place + 1 :])
            assert ax.get_window_extent().height > 0.3 * figure.bbox.height / len(figure.axes)


@pytest.mark.parametrize("form", FORMATS)
def test_charts_of_layers_have_the_same_bytes_for_the_same_results(form):
    records, _ = study(learned=("slope",))
    for drawn in charts_of(only(records), NAMES):
        first, second = (image_bytes(figure_of(drawn), form, LOOKS["paper"]) for _ in range(2))
        assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_runs_without_layers_have_no_chart_of_them(name):
    assert charts_of(only(varied()), [name]) == []
    gone, _ = study(ends=0)
    assert charts_of(only(gone), [name]) == []
    failed = [replace(one, curves=(), outcome="failed") for one in gone]
    assert charts_of(only(failed), [name]) == []
