"""Histograms of a layer's values: counted as numpy does, alike in any cohort, at the first and last epoch alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actbench.health.units.histograms import counts
from actbench.schema.events import Finished
from actbench.schema.histograms import BINS, HISTOGRAMS, edges, packed, unpacked
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.training.loop import run_cohort

RUNTIME = Runtime(device="cpu", engine="inline")


def spec(activation="relu", **fields):
    dataset = {"name": "digits", "train_size": 200, "test_size": 50}
    training = {"epochs": 3, "batch_size": 50}
    return RunSpec.model_validate(
        {
            "dataset": dataset,
            "model": {"name": "mlp", "hidden": [16, 8]},
            "activation": activation,
            "training": training,
        }
        | fields
    )


def trained(*specs):
    return [
        record
        for event in run_cohort(Cohort(specs), RUNTIME)
        if isinstance(event, Finished)
        for record in [event.record]
    ]


def by_numpy(values):
    limits = np.array(edges())
    limits[0], limits[-1] = -np.inf, np.inf
    return np.histogram(values, bins=limits)[0].tolist()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0, 1e6])
def test_each_run_is_counted_as_numpy_counts(scale):
    values = scale * torch.randn(3, 50, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = counts(values)
    assert found.shape == (3, BINS)
    assert found.tolist() == [by_numpy(run.flatten().numpy()) for run in values]


def test_zero_lies_above_its_edge_and_what_is_not_finite_nowhere():
    values = torch.tensor([[0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e30, -1e30]])
    assert {int(k): int(counts(values)[0, k]) for k in counts(values)[0].nonzero()} == {0: 1, BINS // 2: 2, BINS - 1: 1}


def test_padding_is_not_counted():
    values = torch.tensor([[[1.0, 1.0, -1.0]]])
    assert counts(values, torch.tensor([[[True, False, True]]])).sum() == 2


@given(st.lists(st.integers(0, 2**40), min_size=BINS, max_size=BINS))
def test_packing_loses_nothing(numbers):
    assert unpacked(packed(numbers)) == numbers


@pytest.mark.parametrize(
    "broken",
    [
        [],
        "x",
        {"first": 1},
        {"first": -1, "counts": [1]},
        {"first": 79, "counts": [1, 1]},
        {"first": 0, "counts": [1.5]},
        {"first": True, "counts": [1]},
    ],
)
def test_what_is_no_histogram_is_refused(broken):
    with pytest.raises(ValueError, match=r"histogram|bins"):
        unpacked(broken)


def test_a_record_has_histograms_of_the_first_and_the_last_epoch_alone():
    (record,) = trained(spec())
    has = [all(name in layer for layer in row["layers"] for name in HISTOGRAMS) for row in record.curves]
    lacks = [all(name not in layer for layer in row["layers"] for name in HISTOGRAMS) for row in record.curves]
    assert has == [True, False, False, True]
    assert lacks == [False, True, True, False]
    for layer in record.health["layers"]:
        probe, units = record.health["probe_size"], layer["units"]
        assert [sum(unpacked(layer[name])) for name in HISTOGRAMS] == [probe * units] * 2


def test_the_zeros_of_relu_lie_in_the_bin_of_zero():
    (record,) = trained(spec())
    for layer in record.health["layers"]:
        found = unpacked(layer["a_histogram"])
        assert sum(found[: BINS // 2]) == 0
        assert found[BINS // 2] >= round(layer["sparsity"] * sum(found))
        assert sum(unpacked(layer["z_histogram"])[: BINS // 2]) <= round(layer["sparsity"] * sum(found))


def test_a_run_has_the_same_counts_alone_and_among_others():
    specs = [spec(activation) for activation in ("relu", "tanh", "gelu")]
    for alone, among in zip([trained(one)[0] for one in specs], trained(*specs), strict=True):
        for row, other in zip(alone.curves, among.curves, strict=True):
            assert row["layers"] == other["layers"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_beside_an_edge_lie_on_their_side_of_it(dtype):
    limits = torch.tensor(edges(), dtype=torch.float64)
    closeness = 2e-5 if dtype == torch.float32 else 1e-12
    beside = torch.cat([limits * (1 - closeness), limits * (1 + closeness), torch.tensor([1e-5, -1e-5, 3e38, -3e38])])
    values = beside.to(dtype)
    assert counts(values[None])[0].tolist() == by_numpy(values.double().numpy())
