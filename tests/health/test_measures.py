"""The one table of health measures, and all that has to follow from its rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from handmade import ALIVE, DEAD, X, fixed, net
from small_runs import records, spec
from torch import nn

from actbench import measure_health
from actbench.analysis.run_diff import LAYER_FIELDS
from actbench.cli.show import LAYER_TABLES
from actbench.health.modules.report import NOT_PRINTED
from actbench.health.units.measures import MEASURES
from actbench.schema.health_measures import (
    COUNTED,
    DYNAMIC_COUNTS,
    DYNAMICS,
    HEALTH_MEASURES,
    LAYER_SIGNALS,
    OF_SEVERAL,
    RECYCLED,
    SHARES,
)
from actbench.schema.histograms import HISTOGRAMS
from actbench.schema.metrics import METRICS

DOCS = Path(__file__).parents[2] / "docs"


def documented(file: str, after: str) -> set[str]:
    """The first column of the first table after a line, its names without marks."""
    table = (DOCS / file).read_text("utf-8").partition(f"\n{after}\n")[2].partition("|---")[2].partition("\n\n")[0]
    cells = (line.split(" | ")[0] for line in table.splitlines()[1:])
    return {name.strip("`* ").replace(" ", "_") for cell in cells for name in cell.strip("| ").split(", ")}


def test_every_declared_measure_is_computed_and_no_other() -> None:
    assert set(MEASURES) == set(HEALTH_MEASURES)


def test_a_record_has_every_measure_of_each_layer_and_in_total_in_the_tables_order() -> None:
    (record,) = records(spec(training={"epochs": 1}))
    for row in (record.health["layers"][0], record.curves[-1]["layers"][0]):
        fields = ["name", "units", *HEALTH_MEASURES, *sorted(set(LAYER_SIGNALS) - {"gradient_norm"})]
        assert list(row) == [*fields, *HISTOGRAMS, *DYNAMICS, "gradient_norm"]
    totals = [key for name, measure in HEALTH_MEASURES.items() for key in dict.fromkeys((name, measure.total(name)))]
    assert list(record.health)[2 : 2 + len(totals)] == totals
    assert set(DYNAMIC_COUNTS) < set(record.health)


@pytest.mark.parametrize("name", HEALTH_MEASURES)
def test_a_measure_with_a_metrics_line_is_a_metric_with_its_direction(name: str) -> None:
    measure = HEALTH_MEASURES[name]
    metric = METRICS.get(f"health.{measure.total(name)}")
    if not measure.metric:
        assert metric is None
        assert name not in LAYER_FIELDS
        return
    assert metric is not None
    assert (metric.unit, metric.higher_is_better, metric.text) == ("fraction", measure.higher_is_better, measure.metric)
    assert name in LAYER_FIELDS


@pytest.mark.parametrize("name", HEALTH_MEASURES)
def test_the_report_on_a_module_has_every_measure_as_attribute_key_and_column(name: str) -> None:
    report = measure_health(net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0)), X)
    (layer,) = report.layers
    assert getattr(layer, name) == layer.to_dict()[name] == layer.measures[name]
    assert name in dir(layer)
    assert HEALTH_MEASURES[name].total(name) in report.to_dict()
    assert (name.replace("_", " ") in str(report).splitlines()[0]) == (name not in NOT_PRINTED)
    if name in COUNTED:
        assert int(getattr(layer, f"{name}_mask").sum()) == getattr(layer, name)
    else:
        assert name in SHARES
        assert not hasattr(layer, f"{name}_mask")


def test_a_layer_of_the_report_has_no_other_attributes_and_can_be_copied() -> None:
    import copy
    import pickle

    (layer,) = measure_health(net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0)), X).layers
    for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin == layer
        assert torch.equal(twin.dead_mask, layer.dead_mask)
    with pytest.raises(AttributeError, match="'LayerHealth' has no attribute 'deed'"):
        _ = layer.deed


def test_show_has_a_column_for_every_field_of_a_layer() -> None:
    assert [name for table in LAYER_TABLES.values() for name in table] == [
        "units",
        *HEALTH_MEASURES,
        *DYNAMICS,
        RECYCLED,
        *OF_SEVERAL,
        *LAYER_SIGNALS,
    ]


def test_the_documents_list_every_field_of_a_layer_and_every_measure() -> None:
    fields = {
        "name",
        "units",
        "learned",
        *HEALTH_MEASURES,
        *DYNAMICS,
        RECYCLED,
        *OF_SEVERAL,
        *LAYER_SIGNALS,
        *HISTOGRAMS,
    }
    assert documented("results.md", "An entry of `layers`:") == fields
    assert documented("health.md", "## What the words mean") == set(HEALTH_MEASURES)
    (health,) = re.findall(r"^\| `health` \| (.*) \|$", (DOCS / "results.md").read_text("utf-8"), re.MULTILINE)
    assert {*HEALTH_MEASURES, *DYNAMIC_COUNTS} <= set(re.findall(r"`(\w+)`", health))
