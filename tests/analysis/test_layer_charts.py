"""Charts of the hidden layers: what is drawn is counted anew from the units themselves, or read from the records."""

import math
from dataclasses import replace

import numpy as np
import pytest
from comparisons import varied
from drawn import artists, charted, position, texts
from factories import cells, only
from layered_runs import layered

from actbench.analysis.plots._figures import charts_of
from actbench.analysis.plots.dead_units import strips_of

LAYERS = ("hidden.0", "hidden.1", "hidden.2")
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


@pytest.mark.parametrize("name", ["dead_units", "gradient_depth"])
def test_runs_without_layers_have_no_chart_of_them(name):
    assert charts_of(only(varied()), [name]) == []
    gone, _ = study(ends=0)
    assert charts_of(only(gone), [name]) == []
    failed = [replace(one, curves=(), outcome="failed") for one in gone]
    assert charts_of(only(failed), [name]) == []
