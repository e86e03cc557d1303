"""The chart of histograms: densities whose area is 1, drawn where the bins lie."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from drawn import charted, position
from factories import ACTIVATIONS, cells, only

from actbench.schema.histograms import edges, packed

COUNTS = {"z_histogram": [0] * 30 + [5] * 20 + [0] * 30, "a_histogram": [0] * 40 + [60, 10, 20, 10] + [0] * 36}


def with_histograms(records, layers=2):
    found = []
    for record in records:
        row = [
            {"name": f"hidden.{i}", **{name: packed(counts) for name, counts in COUNTS.items()}} for i in range(layers)
        ]
        found.append(replace(record, curves=[{**one, "layers": row} for one in record.curves]))
    return found


def test_the_area_below_each_outline_is_one_and_points_lie_in_their_bins():
    comparison = only(with_histograms(cells({"relu": [0.9, 0.8], "elu": [0.85, 0.8]})))
    data, figure = charted(comparison, "histograms")
    limits = edges()[::2]
    widths = {(low + high) / 2: high - low for low, high in pairwise(limits)}
    for panel in range(len(data.panels)):
        for series in range(len(comparison.rows)):
            own = [(index, mark) for index, mark in data.in_panel(panel) if mark.series == series]
            assert math.isclose(sum(mark.y * widths[mark.x] for _, mark in own), 1)
            for index, mark in own:
                assert position(figure, data.gid(index)) == (mark.x, mark.y)
    assert [panel.title for panel in data.panels[:2]] == ["hidden.0: z, before training", "hidden.0: z, last epoch"]


def test_the_words_of_a_mark_give_the_share():
    data, _ = charted(only(with_histograms(cells({"relu": [0.9, 0.8]}))), "histograms")
    texts = [data.text(index) for index, mark in enumerate(data.marks) if data.panels[mark.panel].x.label == "f(z)"]
    assert "70.00 % from 0 to 0.152" in texts[0]


def test_many_layers_are_the_first_the_middle_and_the_last():
    data, _ = charted(only(with_histograms(cells({"relu": [0.9]}), layers=9)), "histograms")
    assert list(dict.fromkeys(panel.title.partition(":")[0] for panel in data.panels)) == [
        "hidden.0",
        "hidden.4",
        "hidden.8",
    ]


@pytest.mark.parametrize("rows", [7, 12])
def test_the_caption_counts_the_rows_that_are_left_out(rows):
    data, _ = charted(only(with_histograms(cells({name: [0.9] for name in ACTIVATIONS[:rows]}))), "histograms")
    assert f"{rows - 5} further rows" in data.caption


def test_records_without_histograms_have_no_such_chart():
    assert charted(only(cells({"relu": [0.9, 0.8]})), "histograms") == (None, None)


def test_a_run_that_reports_another_epoch_than_its_last_is_drawn_with_that_one():
    (one,) = with_histograms(cells({"relu": [0.9]}))
    counts = {**COUNTS, "z_histogram": [0] * 39 + [9, 9] + [0] * 39}
    shown = [{"name": "hidden.0", **{name: packed(values) for name, values in counts.items()}}]
    first, last = one.curves
    rows = [first, {**last, "layers": shown}, {**last, "epoch": 2, "layers": [{"name": "hidden.0"}]}]
    selected = replace(one, curves=rows, final={**one.final, "selected_epoch": 1.0})
    data, _ = charted(only([selected]), "histograms")
    drawn = [mark.x for mark in data.marks if mark.panel == 1 and mark.y > 0]
    assert drawn
    assert max(map(abs, drawn)) < 0.1
