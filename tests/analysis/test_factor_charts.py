"""Charts of factors: maps of two of them, accuracy against dead units, accuracy against the learning rate."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from drawn import artists, charted, position
from factories import cells, grid, only, record

from actbench.analysis.compare import compare
from actbench.analysis.plots._figures import charts_of, figure_of
from actbench.analysis.plots._style import GROUND, INK, LOOKS, PALE
from actbench.analysis.plots.factor_maps import DARK, LIGHT, luminance, text_color

BOTH = ["test.accuracy", "health.dead_fraction"]
LONG = [f"0.{i} * x + max(0, x) * sigmoid(1.702 * x) + 0.0000000{i} * x * x" for i in range(1, 7)]


def sgd(lr):
    return {"optimizer": {"name": "sgd", "lr": lr}}


def biased(seeds=range(8)):
    """Activation × bias: elu is better, and relu has the more dead units the larger the bias; one relu run diverged."""
    records = [
        record(
            0.9 + 0.02 * (a == "elu") + 0.001 * s + 0.0003 * (s * s % 7) * (a == "elu"),
            dead=(b / 10 + 0.001 * s) * (a == "relu"),
            activation=a,
            bias_init=b,
            seed=s,
        )
        for a in ("relu", "elu", "tanh")
        for b in (0.1, 0.0)
        for s in seeds
    ]
    lost = next(i for i, one in enumerate(records) if one.spec.bias_init.to_json() == 0.1 and one.spec.seed == 3)
    records[lost] = record(None, outcome="diverged", activation="relu", bias_init=0.1, seed=3)
    return records


def printed(figure, data, index):
    """The text in a map's cell."""
    mark = data.marks[index]
    (text,) = artists(figure, f"{data.series_gid(mark.series)}.text{index}")
    return text


# Maps


def test_each_cell_has_the_number_the_star_and_the_border_of_its_row():
    comparison = only(biased(), metric=BOTH)
    data, figure = charted(comparison, "factor_maps")
    rows = {
        (one["factors"]["activation"], f"{one['factors']['bias_init']:g}"): one for one in comparison.to_dict()["rows"]
    }
    assert len(data.marks) == 2 * len(rows)
    stars = 0
    for index, mark in enumerate(data.marks):
        metric = BOTH[mark.panel]
        one = rows[data.series[mark.series].name, mark.x]
        assert (mark.y, mark.low, mark.high) == tuple(one["metrics"][metric][key] for key in ("mean", "low", "high"))
        is_shown = one["vs_baseline"].get(metric, {}).get("significant", False)
        is_baseline = one["factors"] == comparison.to_dict()["baseline"]
        number, *rest = printed(figure, data, index).get_text().split("\n")
        assert number.endswith("*") is is_shown
        assert math.isclose(float(number.rstrip("*")), 100 * mark.y, abs_tol=0.006)
        assert rest == (["1 lost"] if one["outcomes"]["diverged"] else [])
        borders = artists(figure, f"{data.series_gid(mark.series)}.border{index}")
        assert len(borders) == (is_shown or is_baseline)
        assert ("baseline" in mark.kind) is is_baseline
        stars += is_shown
    assert stars


def test_a_cell_stands_at_the_values_of_its_factors():
    data, figure = charted(only(biased(), metric=BOTH), "factor_maps")
    for panel, ax in enumerate(figure.axes):
        across = [tick.get_text() for tick in ax.get_xticklabels()]
        down = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        assert across == ["0", "0.1"]
        for index, mark in data.in_panel(panel):
            (cell,) = artists(figure, data.gid(index))
            x, y = cell.get_x() + 0.5, cell.get_y() + 0.5
            assert (down[round(y)], across[round(x)]) == (data.series[mark.series].name, mark.x)


def test_the_darker_a_cell_the_worse_it_is_in_colour_and_in_grey():
    data, figure = charted(only(biased(), metric=BOTH), "factor_maps")
    for panel, better in ((0, 1), (1, -1)):
        found = [
            (better * mark.y, luminance(artists(figure, data.gid(index))[0].get_facecolor()))
            for index, mark in data.in_panel(panel)
        ]
        lights = [light for _, light in sorted(found)]
        assert lights == sorted(lights)
        assert lights[-1] - lights[0] > 0.5


def test_the_text_of_every_shade_can_be_read_and_is_not_swapped_in_dark_mode():
    from matplotlib import colormaps

    assert not {DARK, LIGHT} & {INK, GROUND, PALE}
    for step in range(256):
        face = colormaps["cividis"](step)
        text = 0.0 if text_color(face) == DARK else 1.0
        light, dark = max(text, luminance(face)), min(text, luminance(face))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_combination_without_runs_says_so():
    records = [one for one in biased() if (one.spec.activation.name, one.spec.bias_init.to_json()) != ("tanh", 0.1)]
    data, figure = charted(only(records, metric=BOTH), "factor_maps")
    empty = [index for index, mark in enumerate(data.marks) if mark.y is None]
    assert len(empty) == 2
    for index in empty:
        assert printed(figure, data, index).get_text() == "no\nruns"
        assert (data.series[data.marks[index].series].name, data.marks[index].x) == ("tanh", "0.1")
        assert data.marks[index].note == "no runs"


def test_cells_of_which_all_runs_are_lost_say_so():
    records = [record(None, outcome="diverged", activation=a, bias_init=b) for a in ("relu", "elu") for b in (0.0, 0.1)]
    data, figure = charted(only(records), "factor_maps")
    assert {printed(figure, data, index).get_text() for index in range(len(data.marks))} == {"1 lost"}
    assert all(mark.note.startswith("1 of 1 runs diverged") for mark in data.marks)


def test_a_cells_text_names_its_factors_once():
    data, _ = charted(only(biased(), metric=BOTH), "factor_maps")
    (index,) = [i for i, one in data.in_panel(0) if data.series[one.series].name == "relu" and one.x == "0"]
    assert data.text(index).startswith("relu · bias_init 0 · test.accuracy 90.35 % [")
    assert data.text(index).endswith(" · n = 8; baseline")


def test_a_third_factor_is_held_at_the_baselines_value_and_named():
    records = [
        record(0.9 + 0.01 * s + lr, activation=a, bias_init=b, seed=s, training=sgd(lr))
        for a in ("relu", "elu")
        for b in (0.0, 0.1)
        for lr in (0.01, 0.02)
        for s in range(3)
    ]
    baseline = {"activation": "relu", "bias_init": 0.0, "training.optimizer.lr": 0.02}
    data, figure = charted(only(records, baseline=baseline), "factor_maps")
    assert len(data.marks) == 8
    assert all(math.isclose(mark.y, 0.93) for _, mark in data.in_panel(0))  # with a learning rate of 0.01 it is 0.92
    assert all("training.optimizer.lr=0.02" in mark.note for mark in data.marks)
    assert figure.axes[0].get_title() == "test.accuracy (%)\ntraining.optimizer.lr=0.02"
    assert "At training.optimizer.lr=0.02 only" in data.caption


def test_factors_that_are_averaged_over_are_named():
    records = [
        record(0.9 + 0.01 * s + lr, activation=a, bias_init=b, seed=s, training=sgd(lr))
        for a in ("relu", "elu")
        for b in (0.0, 0.1)
        for lr in (0.01, 0.02)
        for s in range(3)
    ]
    data, _ = charted(only(records, by=["activation", "bias_init"]), "factor_maps")
    assert "Averaged over training.optimizer.lr, seed by seed" in data.caption


def test_the_share_of_dead_units_stands_beside_what_leads():
    for metrics, expected in (
        (["health.dead_fraction"], ["health.dead_fraction"]),
        (["health.dead_fraction", "test.loss"], ["health.dead_fraction", "test.loss"]),
        (["test.loss", "test.accuracy"], ["test.loss", "health.dead_fraction"]),
    ):
        data, _ = charted(only(biased(), metric=metrics), "factor_maps")
        assert [panel.y.metric for panel in data.panels] == expected


@pytest.mark.parametrize("records", [cells({"relu": [0.9, 0.8], "elu": [0.9, 0.7]}), [record(0.9)]])
def test_a_map_needs_two_factors_of_two_values(records):
    assert charted(only(records), "factor_maps") == (None, None)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(("activations", "biases"), [(["relu", "elu"], 4), (LONG, 9)], ids=["short", "long"])
def test_the_text_of_a_cell_lies_within_it(look, columns, activations, biases):
    records = grid(
        lambda a, b, s: 0.9 + b / 100 if b else (None if s else 0.9),
        activations=activations,
        biases=[i / 10 for i in range(biases)],
        seeds=range(2),
    )
    (drawn,) = charts_of(only(records), ["factor_maps"])
    figure = figure_of(drawn, look=LOOKS[look], columns=columns)
    figure.draw_without_rendering()
    for index in range(len(drawn.data.marks)):
        (cell,) = artists(figure, drawn.data.gid(index))
        inner, outer = printed(figure, drawn.data, index).get_window_extent(), cell.get_window_extent()
        assert outer.x0 <= inner.x0
        assert inner.x1 <= outer.x1
        assert outer.y0 <= inner.y0
        assert inner.y1 <= outer.y1


# Accuracy and dead units


def outcomes():
    """Runs that went well, collapsed, diverged and failed."""
    records = [
        record(0.95 - 0.01 * s, dead=0.2 * s, activation=a, seed=s, outcome="collapsed" if s == 3 else "ok")
        for a in ("relu", "elu")
        for s in range(4)
    ]
    lost = [record(None, outcome="diverged", activation="elu", seed=seed) for seed in (4, 5)]
    return [*records, *lost, record(None, outcome="failed", activation="relu", seed=4)]


def test_each_run_is_drawn_at_its_own_accuracy_and_share_of_dead_units():
    records = outcomes()
    data, figure = charted(only(records), "accuracy_dead")
    found = [
        (data.series[mark.series].name, *position(figure, data.gid(index)))
        for index, mark in enumerate(data.marks)
        if mark.kind != "diverged"
    ]
    expected = [
        (one.spec.activation.name, one.final["health.dead_fraction"], one.final["test.accuracy"])
        for one in records
        if one.outcome in ("ok", "collapsed")
    ]
    assert sorted(found) == sorted(expected)


def test_collapsed_runs_are_hollow_and_diverged_ones_crossed_right_of_the_axes():
    data, figure = charted(only(outcomes()), "accuracy_dead")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    heights = []
    for index, mark in enumerate(data.marks):
        (marker,) = artists(figure, data.gid(index))
        assert (marker.get_markerfacecolor() == "none") is (mark.kind != "ok")
        crosses = artists(figure, f"{data.series_gid(mark.series)}.cross{index}")
        assert len(crosses) == (mark.kind == "diverged")
        if crosses:
            box = marker.get_window_extent()
            assert box.x0 > ax.bbox.x1
            assert box.x1 < figure.bbox.x1
            heights.append(box.y0)
            assert mark.y is None
    assert len(set(heights)) == 2
    assert [text.get_text() for text in ax.texts] == ["useless beyond 50 % dead?", "diverged"]


def test_the_line_of_the_claim_is_at_half_of_the_units_and_the_caption_counts_beyond_it():
    data, figure = charted(only(outcomes()), "accuracy_dead")
    assert [0.5, 0.5] in [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert "beyond it: 2 runs, test.accuracy 92.00 % to 92.00 %" in data.caption
    assert "without a value, such as diverged runs (2)" in data.caption
    assert "Failed runs are left out (1)" in data.caption


def test_runs_that_lack_one_number_lie_on_the_rim_of_that_number():
    records = outcomes()
    no_accuracy, no_dead = records[1], records[2]
    records[1] = replace(no_accuracy, final={"health.dead_fraction": no_accuracy.final["health.dead_fraction"]})
    records[2] = replace(no_dead, final={"test.accuracy": no_dead.final["test.accuracy"]})
    data, figure = charted(only(records), "accuracy_dead")
    of_relu = [(index, one) for index, one in enumerate(data.marks) if data.series[one.series].name == "relu"]
    at = {one.note: position(figure, data.gid(index)) for index, one in of_relu}
    assert at["seed 1, ok"] == (no_accuracy.final["health.dead_fraction"], 0)
    assert at["seed 2, ok"] == (1, no_dead.final["test.accuracy"])


@pytest.mark.parametrize(("shares", "scale"), [([0, 0.001, 0.02], "symlog"), ([0, 0.2, 0.6], "linear")])
def test_few_dead_units_get_an_axis_that_shows_them(shares, scale):
    records = [record(0.9, dead=dead, seed=seed) for seed, dead in enumerate(shares)]
    data, figure = charted(only(records), "accuracy_dead")
    (ax,) = figure.axes
    assert ax.get_xscale() == scale
    low, high = ax.get_xlim()
    assert low < 0
    assert high > 0.5
    assert len(data.marks) == 3


def test_without_a_dead_unit_there_is_no_chart_of_them():
    assert charted(only([record(0.9, dead=0.0, seed=seed) for seed in range(3)]), "accuracy_dead") == (None, None)


def test_runs_of_one_activation_are_told_apart_by_their_rows():
    records = [record(0.9, dead=b, bias_init=b, seed=s) for b in (0.1, 0.2) for s in range(2)]
    data, _ = charted(only(records), "accuracy_dead")
    assert [one.name for one in data.series] == ["relu (bias_init=0.1)", "relu (bias_init=0.2)"]


CLASSES = {"classes": 4}


@pytest.mark.parametrize(("lowest", "is_near"), [(0.25, True), (0.57, True), (0.58, False), (0.2, True)])
def test_the_line_at_chance_is_drawn_where_it_leaves_half_of_the_axis_to_the_runs(lowest, is_near):
    values = [0.9, 0.8, lowest]
    records = [record(one, dead=0.2, seed=seed, environment=CLASSES) for seed, one in enumerate(values)]
    data, figure = charted(only(records), "accuracy_dead")
    lines = artists(figure, "chance")
    assert [list(line.get_ydata()) for line in lines] == ([[0.25, 0.25]] if is_near else [])
    low, high = figure.axes[0].get_ylim()
    assert all(low < value < high for value in (*values, *([0.25] if is_near else [])))
    (legend,) = figure.legends
    assert ("chance, 4 classes" in [text.get_text() for text in legend.get_texts()]) is is_near
    assert (
        f"{'Dotted' if is_near else 'Below the axis'}: the accuracy of guessing among 4 classes, 25.00 %"
        in data.caption
    )


def with_classes(*values):
    """Runs whose files hold these numbers of classes; an ellipsis for none, as in results of earlier versions."""
    return [
        record(0.9 - seed / 2, dead=0.2, seed=seed, environment={} if one is ... else {"classes": one})
        for seed, one in enumerate(values)
    ]


@pytest.mark.parametrize(
    "values", [(..., ...), (10, 2), (None, None), (0, 0), (-2, -2), ("10", "10"), (True, True), (10.0, 10.0)]
)
def test_without_a_number_of_classes_there_is_no_line_at_chance(values):
    data, figure = charted(only(with_classes(*values)), "accuracy_dead")
    assert "guessing" not in data.caption
    assert not artists(figure, "chance")


def test_runs_of_earlier_versions_beside_later_ones_have_the_same_number_of_classes():
    data, _ = charted(only(with_classes(10, ...)), "accuracy_dead")
    assert "among 10 classes, 10.00 %" in data.caption


# Learning rate


def rated(biases=(0.0,), lost=()):
    """Activation × bias × learning rate; ``lost`` has the (activation, lr, seed) of runs that diverged."""
    return [
        record(None, outcome="diverged", activation=a, bias_init=b, seed=s, training=sgd(lr))
        if (a, lr, s) in lost
        else record(
            0.9 - lr / 10 + 0.02 * (a == "elu") + b / 20 + 0.001 * s * (1 + lr),
            activation=a,
            bias_init=b,
            seed=s,
            training=sgd(lr),
        )
        for a in ("relu", "elu")
        for b in biases
        for lr in (0.1, 0.01, 1.0)
        for s in range(4)
    ]


def means(data):
    """(series, learning rate) -> (mean, low, high)."""
    kinds = ("mean", "survivors")
    return {
        (data.series[mark.series].name, mark.x): (mark.y, mark.low, mark.high)
        for mark in data.marks
        if mark.kind in kinds
    }


def test_the_means_over_learning_rates_are_those_of_the_json():
    comparison = only(rated(biases=(0.0, 0.1)))
    data, figure = charted(comparison, "learning_rate")
    found = means(data)
    assert len(found) == 12
    for one in comparison.to_dict()["rows"]:
        factors, mean = one["factors"], one["metrics"]["test.accuracy"]
        name = f"{factors['activation']} (bias_init={factors['bias_init']:g})"
        assert found[name, factors["training.optimizer.lr"]] == (mean["mean"], mean["low"], mean["high"])
    for index, mark in enumerate(data.marks):
        assert position(figure, data.gid(index)) == (mark.x, mark.y)
    seeds = sorted(mark.y for mark in data.marks if mark.kind == "seed")
    assert seeds == sorted(one.final["test.accuracy"] for one in rated(biases=(0.0, 0.1)))


def test_a_table_that_averages_over_the_learning_rate_has_the_chart_of_one_that_does_not():
    records = rated(biases=(0.0, 0.1), lost=[("elu", 1.0, 2)])
    averaged, _ = charted(only(records, by=["activation"]), "learning_rate")
    table, _ = charted(only(records, by=["activation", "training.optimizer.lr"]), "learning_rate")
    assert means(averaged) == means(table)
    assert "Averaged over bias_init, seed by seed" in averaged.caption
    assert len(means(table)) == 6


def test_other_factors_get_their_own_dash_and_the_activation_its_colour():
    data, figure = charted(only(rated(biases=(0.0, 0.1))), "learning_rate")
    lines = {one.name: artists(figure, f"s{index}.line0")[0] for index, one in enumerate(data.series)}
    assert lines["elu (bias_init=0)"].get_color() == lines["elu (bias_init=0.1)"].get_color()
    assert lines["elu (bias_init=0)"].get_linestyle() != lines["elu (bias_init=0.1)"].get_linestyle()
    assert lines["elu (bias_init=0)"].get_color() != lines["relu (bias_init=0)"].get_color()


def test_diverged_runs_lie_in_a_lane_and_no_line_goes_through_the_survivors():
    lost = [("elu", 1.0, 0), ("elu", 1.0, 1), *(("relu", 1.0, seed) for seed in range(4))]
    data, figure = charted(only(rated(lost=lost)), "learning_rate")
    (ax,) = figure.axes
    ticks = dict(zip([tick.get_text() for tick in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    lane = ticks["diverged"]
    drawn = [mark.y for mark in data.marks if mark.y is not None]
    assert lane < min(drawn)
    kinds = ("diverged", "survivors")
    by_kind = {kind: [(i, one) for i, one in enumerate(data.marks) if one.kind == kind] for kind in kinds}
    assert {(data.series[one.series].name, one.note) for _, one in by_kind["diverged"]} == {
        ("elu", "2 of 4 runs diverged"),
        ("relu", "4 of 4 runs diverged"),
    }
    assert all(position(figure, data.gid(index)) == (1.0, lane) for index, _ in by_kind["diverged"])
    ((index, survivors),) = by_kind["survivors"]
    assert artists(figure, data.gid(index))[0].get_markerfacecolor() == GROUND
    assert list(artists(figure, f"s{survivors.series}.line0")[0].get_xdata()) == [0.01, 0.1]


def test_a_loss_that_diverged_lies_above_the_others():
    data, figure = charted(only(rated(lost=[("elu", 1.0, 0)]), metric=["test.loss"]), "learning_rate")
    ((index, _),) = [(index, mark) for index, mark in enumerate(data.marks) if mark.kind == "diverged"]
    assert position(figure, data.gid(index))[1] > max(mark.y for mark in data.marks if mark.y is not None)


def test_learning_rates_of_different_optimizers_stand_on_one_axis():
    records = [
        record(0.9 + lr + 0.001 * s, seed=s, training={"optimizer": {"name": name, "lr": lr}})
        for name in ("sgd", "adam")
        for lr in (0.001, 0.01)
        for s in range(3)
    ]
    data, _ = charted(only(records), "learning_rate")
    names = sorted(one.factors["training.optimizer"] for one in data.series)
    assert names == ["adam", "sgd"]
    assert {mark.x for mark in data.marks} == {0.001, 0.01}


def test_one_learning_rate_is_no_chart():
    assert charted(only(cells({"relu": [0.9, 0.8], "elu": [0.9, 0.7]})), "learning_rate") == (None, None)


def test_a_tuned_table_has_one_learning_rate_a_row_and_no_chart():
    records = [replace(one, final={**one.final, "val.accuracy": one.final["test.accuracy"]}) for one in rated()]
    _, tuned = compare(records, tune=["training.optimizer.lr"]).comparisons
    assert charted(tuned, "learning_rate") == (None, None)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("activations", [["relu", "elu"], LONG], ids=["short", "long"])
def test_nothing_of_the_chart_of_learning_rates_is_cut(look, columns, activations):
    records = [
        record(None, outcome="diverged", activation=a, bias_init=b, seed=s, training=sgd(lr))
        if lr == 1.0 and s == 0
        else record(0.9 + 0.01 * s, activation=a, bias_init=b, seed=s, training=sgd(lr))
        for a in activations
        for b in (0.0, 0.1, 0.2, 0.3)
        for lr in (0.01, 0.1, 1.0)
        for s in range(2)
    ]
    (drawn,) = charts_of(only(records), ["learning_rate"])
    figure = figure_of(drawn, look=LOOKS[look], columns=columns)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    for index in range(len(drawn.data.marks)):
        (marker,) = artists(figure, drawn.data.gid(index))
        ((x, y),) = marker.get_transform().transform(list(zip(*marker.get_data(), strict=True)))
        assert ax.bbox.x0 <= x <= ax.bbox.x1
        assert ax.bbox.y0 <= y <= ax.bbox.y1
    texts = [*ax.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    assert len(texts) == len(drawn.data.series)
    for text in texts:
        assert text.get_window_extent().x1 <= figure.bbox.x1 + 1
    ticks = [tick.get_window_extent() for tick in ax.get_xticklabels()]
    assert not any(one.overlaps(other) for one, other in pairwise(ticks))
