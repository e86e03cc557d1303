"""The chart of signal by depth: means of the records by layer, and the prediction that a caller brings."""

import math
from dataclasses import replace
from statistics import fmean

import pytest
from drawn import artists, charted, position
from factories import only, record

from actbench.analysis.plots._figures import charts_of, figure_of
from actbench.analysis.plots._predictions import with_predictions
from actbench.analysis.plots._style import LOOKS
from actbench.analysis.table.result import Prediction


def layered(activation, seed, *, depth=3, epochs=(0, 4), size=1.0, **spec):
    """A run whose z has these means and deviations: they differ by layer, epoch and seed."""
    one = record(0.9 + seed / 100, activation=activation, seed=seed, **spec)
    rows = [
        {
            "epoch": epoch,
            "train.loss": 1.0,
            "val.accuracy": 0.5,
            "layers": [
                {"name": f"hidden.{layer}", "units": 8, "z_mean": 0.1 * seed, "z_std": size * (1 + layer + epoch)}
                for layer in range(depth)
            ],
        }
        for epoch in epochs
    ]
    return replace(one, curves=tuple(rows))


def study(**options):
    return [layered(name, seed, **options) for name in ("relu", "elu") for seed in range(3)]


def predict(spec):
    if spec.activation.name == "elu":
        return Prediction(note="no theory of elu")
    return Prediction((2.0, 3.0, 5.0), (1.0, 1.0, 1.0))


def test_a_mark_is_the_mean_over_seeds_of_the_records_mean_squares():
    comparison = only(study())
    data, figure = charted(comparison, "signal_depth")
    for panel, epoch in enumerate((0, 4)):
        found = list(data.in_panel(panel, "mean"))
        assert len(found) == 6
        for index, mark in found:
            values = [
                layer["z_mean"] ** 2 + layer["z_std"] ** 2
                for one in comparison.rows[mark.series].records
                for row in one.curves
                if row["epoch"] == epoch
                for layer in row["layers"]
                if layer["name"] == f"hidden.{mark.x - 1}"
            ]
            assert len(values) == 3
            assert math.isclose(mark.y, fmean(values))
            assert (mark.low, mark.high) == (min(values), max(values))
            assert position(figure, data.gid(index)) == (mark.x, mark.y)


def test_the_prediction_is_drawn_where_the_caller_has_one_and_its_absence_is_explained():
    comparison = only(study())
    (drawn,) = charts_of(comparison, ["signal_depth"], predict=predict)
    data, figure = drawn.data, figure_of(drawn)
    theory = list(data.in_panel(0, "theory"))
    assert {data.series[mark.series].activation for _, mark in theory} == {"relu"}
    assert [(mark.x, mark.y) for _, mark in theory] == [(1, 2.0), (2, 3.0), (3, 5.0)]
    for index, mark in theory:
        assert position(figure, data.gid(index)) == (mark.x, mark.y)
    ((series, *_),) = {(mark.series,) for _, mark in theory}
    (line,) = artists(figure, f"s{series}.theory")
    assert list(line.get_ydata()) == [2.0, 3.0, 5.0]
    assert not list(data.in_panel(1, "theory")), "no theory of a trained network"
    assert "Theory for 1 of 2 rows: no theory of elu." in data.caption
    assert "thin dashes" in figure.axes[0].get_title()
    assert "theory" not in figure.axes[1].get_title()


def test_a_row_over_several_networks_has_no_prediction():
    records = [*study(bias_init=0.0), *study(bias_init=0.1)]
    asked = []

    def counted(spec):
        asked.append(spec)
        return Prediction((spec.bias_init.value,))

    comparison = with_predictions(only(records, by=["activation"]), counted)
    assert {row.prediction for row in comparison.rows} == {Prediction(note="a mean over several networks")}
    assert len(asked) == 4, "each network once, whatever the seeds"


def test_predicted_gradients_start_at_the_norm_of_the_last_layer():
    def with_norms(one):
        rows = [
            {**row, "layers": [{**layer, "gradient_norm": 0.5 + one.spec.seed} for layer in row["layers"]]}
            for row in one.curves
        ]
        return replace(one, curves=tuple(rows))

    def factors(spec):
        return Prediction((), (4.0, 2.0, 1.0)) if spec.activation.name == "relu" else Prediction(note="none")

    (drawn,) = charts_of(only([with_norms(one) for one in study()]), ["gradient_depth"], predict=factors)
    data, figure = drawn.data, figure_of(drawn)
    theory = list(data.in_panel(0, "theory"))
    assert {data.series[mark.series].activation for _, mark in theory} == {"relu"}
    assert [(mark.x, mark.y) for _, mark in theory] == [("hidden.0", 6.0), ("hidden.1", 3.0), ("hidden.2", 1.5)]
    assert [position(figure, data.gid(index)) for index, _ in theory] == [(0, 6.0), (1, 3.0), (2, 1.5)]
    assert not list(data.in_panel(1, "theory"))
    assert len(list(data.in_panel(0, "mean"))) == 6
    assert "mean-field theory" in data.caption


def test_theory_is_not_asked_for_runs_without_layers():
    def refuse(spec):
        raise AssertionError(spec)

    assert not charts_of(only([record(0.9), record(0.8, seed=1)]), ["signal_depth"], predict=refuse)
    assert charted(only(study(depth=1)), "signal_depth") == (None, None)


def test_a_network_that_is_silent_or_explodes_is_drawn():
    records = [*study(), *(layered("tanh", seed, size=1e4) for seed in range(3))]
    silent = [layered("selu", 0, size=0.0)]
    data, figure = charted(only([*records, *silent]), "signal_depth")
    figure.draw_without_rendering()
    assert {mark.y for _, mark in data.in_panel(0) if data.series[mark.series].activation == "selu"} == {0.0}
    for ax in figure.axes:
        low, high = ax.get_ylim()
        assert low <= min(mark.y for mark in data.marks if mark.panel == 0)
        assert high > 1e8


def test_a_row_with_a_run_that_diverged_has_no_line_after_training():
    records = study()
    torn = replace(
        records[0], curves=(records[0].curves[0], {**records[0].curves[1], "layers": []}), outcome="diverged"
    )
    data, _ = charted(only([torn, *records[1:]]), "signal_depth")
    assert {data.series[mark.series].activation for _, mark in data.in_panel(1)} == {"elu"}
    assert {data.series[mark.series].activation for _, mark in data.in_panel(0)} == {"relu", "elu"}


@pytest.mark.parametrize("look", LOOKS)
def test_24_rows_leave_room_for_the_curves(look):
    names = [f"x * sigmoid({number}.125 * x + 0.000000000000001) * tanh(1.0 * x + {number})" for number in range(24)]
    records = [layered(name, seed) for name in names for seed in range(2)]
    (drawn,) = charts_of(only(records), ["signal_depth"], predict=predict)
    figure = figure_of(drawn, look=LOOKS[look])
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert ax.get_window_extent().height > 0.4 * LOOKS[look].height * figure.dpi
    box = figure.legends[0].get_window_extent()
    assert figure.bbox.y0 - 1 <= box.y0
    assert not any(box.overlaps(ax.get_tightbbox()) for ax in figure.axes)
