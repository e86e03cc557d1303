"""The compiled kernel observes units as torch does: every statistic, in any layout, company and cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from actbench.health.units.accumulators import STATISTICS, Observation, Summary, widened
from actbench.health.units.compiled import CompiledUnits
from actbench.health.units.histograms import counts
from actbench.health.units.probe import UnitHealth, UnitObserver, slope_by_autograd
from actbench.nn.chosen_activations import function_of, learned_parameters
from actbench.nn.native import library
from actbench.nn.native.activation_codes import CODES, evaluation_code
from actbench.nn.native.library import Kernels
from actbench.schema.components import Component, resolve
from actbench.schema.histograms import BINS, edges
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import HealthSettings, RunSpec
from actbench.training.evaluation import measure_unit_health
from actbench.training.state import TrainState

NAMES = sorted({*CODES, "prelu", "rrelu"})
DEAD_SLOPE = HealthSettings().dead_slope


@pytest.fixture(scope="module")
def kernels() -> Iterator[Kernels]:
    found = library.load()
    if found is None:
        pytest.skip("no C compiler here")
    with library.use_kernels(found):
        yield found


@dataclass(frozen=True)
class Layer:
    """z (R, B, U, …positions) of runs with these activations."""

    z: Tensor
    activations: tuple[Component, ...]
    cuts: tuple[int, ...]

    def __repr__(self) -> str:
        names = [f"{one.name} {dict(one.options)}" for one in self.activations]
        return f"{tuple(self.z.shape)} strides {self.z.stride()} {names} in {self.cuts}"


@st.composite
def layers(draw: st.DrawFn, names: Sequence[str] = NAMES, scales: Sequence[float] = (1e-20, 1e-3, 1, 20, 1e4)) -> Layer:
    runs, examples, units = draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 70))
    positions = draw(st.sampled_from([(), (1, 1), (5, 7), (9, 8), (6,)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**30)))
    shape = (runs, examples, units, *positions)
    scale, shift = draw(st.sampled_from(scales)), draw(st.sampled_from([-3.0, 0.0, 0.5, 100.0]))
    z = (torch.randn(shape, generator=generator) + shift) * scale
    if draw(st.booleans()):  # a unit that never varies, and one that hardly does
        z[:, :, 0] = scale
        z[:, :, -1] = scale * (1 + 1e-7 * torch.randn(shape, generator=generator)[:, :, -1].sign())
    if draw(st.booleans()):
        z[:, :, units // 2] *= (torch.rand(shape, generator=generator) < 0.7)[:, :, units // 2]  # zeros of either sign
    for bad in draw(st.lists(st.sampled_from([torch.nan, torch.inf, -torch.inf]), max_size=2)):
        z.view(-1)[draw(st.integers(0, z.numel() - 1))] = bad
    if positions and draw(st.booleans()):
        z = z.movedim(2, -1).contiguous().movedim(-1, 2)  # channels last
    cut = draw(st.integers(1, examples))
    chosen = tuple(resolve("activations", draw(st.sampled_from(names))) for _ in range(runs))
    return Layer(z, chosen, (cut, examples - cut) if cut < examples else (cut,))


def starts(chosen: Component, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: torch.tensor(start, dtype=dtype) for name, (_, start) in learned_parameters(chosen, 1).items()}


def codes(layer: Layer) -> list[tuple[int, float]]:
    found = []
    for one in layer.activations:
        code = evaluation_code(one, {name: float(start) for name, start in starts(one, torch.float64).items()})
        assert code is not None
        found.append(code)
    return found


def compiled(kernels: Kernels, layer: Layer, *, histograms: bool = False) -> CompiledUnits:
    shape = tuple(layer.z.shape[2:])
    found = CompiledUnits(kernels, codes(layer), shape, dead_slope=DEAD_SLOPE, histograms=histograms)
    for part in layer.z.split(layer.cuts, 1):
        found.add(list(part))
    return found


def by_torch(layer: Layer, dtype: torch.dtype) -> list[Observation]:
    found = []
    for z, one in zip(layer.z.to(dtype).split(1), layer.activations, strict=True):
        function = partial(function_of(one), **starts(one, dtype))
        a, slope = slope_by_autograd(lambda name, z, f=function: f(z))("", z)
        found.append(Observation(z, a, slope, DEAD_SLOPE))
    return found


def by_kernels(kernels: Kernels, layer: Layer) -> list[Observation]:
    found = []
    for z, (code, option) in zip(layer.z.contiguous().split(1), codes(layer), strict=True):
        a, slope, ones = torch.empty_like(z), torch.empty_like(z), torch.ones_like(z)
        kernels["activate"](code, option, 0, z.data_ptr(), a.data_ptr(), z.numel())
        kernels["activate_backward"](code, option, 0, z.data_ptr(), ones.data_ptr(), slope.data_ptr(), z.numel())
        found.append(Observation(z, a, slope.abs(), DEAD_SLOPE))
    return found


def close(found: Tensor, expected: Tensor, size: Tensor) -> bool:
    """Whether each number is within a millionth of a size, where the expected one is finite."""
    known = expected.isfinite()
    return bool(((found - expected).abs() <= 1e-6 * size + 1e-30)[known].all())


def check_statistics(own: dict[str, Summary], exact: Observation, single: Observation, same: Observation) -> None:
    """Hold a run's statistics against torch's: in float64, in float32, and with f by the kernels (``same``)."""
    wide = {name: one.observe(exact) for name, one in STATISTICS.items()}
    narrow = {name: tuple(map(widened, one.observe(single))) for name, one in STATISTICS.items()}
    finite, known = (
        torch.stack([stats[name][0].isfinite() for name in ("max_slope", "max_input", "max_output")]).all(0)
        for stats in (narrow, own)
    )
    assert torch.equal(finite, known)

    def pair(statistic: str, part: int = 0) -> tuple[Tensor, Tensor]:
        return own[statistic][part][..., finite[0]], wide[statistic][part][..., finite[0]]

    # float32 has f' within a few millionths of 1, and f of z: near -7, 1 + tanh has no digits left.
    assert torch.equal(*pair("max_input"))
    for name in ("max_slope", "max_slope_at"):
        ours, theirs = pair(name)
        assert ours.shape == theirs.shape
        assert close(ours, theirs, 3 * (1 + theirs)), name
    assert close(*pair("max_output"), pair("max_output")[1] + pair("max_input")[1])
    count, *_ = wide["inputs"]
    sizes = sum((wide[name][2] / count + wide[name][1].square()).sqrt() for name in ("inputs", "outputs"))[finite]
    assert close(*(mean.flatten() for mean in pair("magnitude", 1)), sizes)
    for name, size in (("inputs", 1e-6 * sizes), ("outputs", sizes)):
        assert torch.equal(*(count.double() for count in pair(name)))
        assert close(*(mean.flatten() for mean in pair(name, 1)), size), name
        deviations = [(part / number).sqrt().flatten() for part, number in zip(pair(name, 2), pair(name), strict=True)]
        assert close(*deviations, size), name
    for name in ("positive", "fired"):
        for ours, theirs in zip(own[name], narrow[name], strict=True):
            assert torch.equal(ours[finite], theirs[finite]), name
    # In tails the kernels' f has digits where torch's float32 has zeros (gelu below -5.6): their own f is counted.
    for name in ("zeros", "flat"):
        theirs = STATISTICS[name].observe(same)
        assert all(torch.equal(one[finite], other[finite]) for one, other in zip(own[name], theirs, strict=True)), name


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layer=layers())
def test_every_statistic_is_that_of_torch(kernels: Kernels, layer: Layer) -> None:
    found = compiled(kernels, layer).summaries()
    assert list(found) == list(STATISTICS)
    references = zip(
        by_torch(layer, torch.float64), by_torch(layer, torch.float32), by_kernels(kernels, layer), strict=True
    )
    for run, observations in enumerate(references):
        check_statistics({name: tuple(part[run : run + 1] for part in found[name]) for name in found}, *observations)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layer=layers(), data=st.data())
def test_no_bit_depends_on_company_cut_or_layout(kernels: Kernels, layer: Layer, data: st.DataObject) -> None:
    whole = compiled(kernels, layer, histograms=True)
    run = data.draw(st.integers(0, len(layer.z) - 1))
    units = data.draw(st.slices(layer.z.shape[2]).filter(lambda cut: len(range(*cut.indices(layer.z.shape[2])))))
    chosen = torch.arange(layer.z.shape[2])[range(*units.indices(layer.z.shape[2]))]
    alone = Layer(layer.z[run : run + 1, :, chosen].contiguous(), (layer.activations[run],), (1,) * layer.z.shape[1])
    for name, parts in compiled(kernels, alone).summaries().items():
        for part, of_all in zip(parts, whole.summaries()[name], strict=True):
            assert np.array_equal(part.numpy(), of_all[run : run + 1][..., chosen].numpy(), equal_nan=True), name
    other = compiled(kernels, Layer(layer.z.clone(), layer.activations, (layer.z.shape[1],)), histograms=True)
    for name, found in whole.histograms().items():
        assert torch.equal(found, other.histograms()[name])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layer=layers(scales=(1e-3, 0.1, 1, 20)))
def test_histograms_are_those_of_torch(kernels: Kernels, layer: Layer) -> None:
    found = compiled(kernels, layer, histograms=True).histograms()
    assert torch.equal(found["z_histogram"], counts(layer.z))
    outputs = torch.cat([one.a for one in by_kernels(kernels, layer)])
    assert torch.equal(found["a_histogram"], counts(outputs))


def beside_edges() -> Tensor:
    """Each edge in float32 and its neighbours, zeros, numbers of no size and numbers without limit."""
    near = np.array(edges()).astype(np.float32)
    down, up = np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))
    rest = np.array([0.0, -0.0, 1e-30, -1e-30, 3e38, -3e38, np.nan, np.inf, -np.inf], np.float32)
    return torch.from_numpy(np.concatenate([near, down, up, rest, rest]))


def test_numbers_beside_an_edge_are_compared_with_it_exactly(kernels: Kernels) -> None:
    values = beside_edges()
    limits = [-np.inf, *edges()[1:-1], np.inf]
    finite = values[values.isfinite()].double().numpy()
    expected = np.histogram(finite, bins=np.array(limits))[0].tolist()
    assert len(expected) == BINS
    assert counts(values[None])[0].tolist() == counts(values.double()[None])[0].tolist() == expected
    for z in (values[None, :, None], values.view(1, 1, 1, -1), values[None, None, :]):
        identity = Layer(z, (resolve("activations", "identity"),), (z.shape[1],))
        found = compiled(kernels, identity, histograms=True).histograms()
        assert found["z_histogram"][0].tolist() == found["a_histogram"][0].tolist() == expected


def test_a_unit_that_never_varies_has_no_deviation_and_a_far_first_number_costs_none(kernels: Kernels) -> None:
    z = torch.full((1, 2000, 3), 0.1)
    z[0, :, 1] += torch.linspace(-1e-3, 1e-3, 2000)
    z[0, :, 2] = torch.linspace(-1, 1, 2000)
    z[0, 0, 2] = 1e6
    _, mean, squares = compiled(kernels, Layer(z, (resolve("activations", "tanh"),), (7, 1993))).summaries()["inputs"]
    assert squares[0, 0] == 0
    expected = z[0].double().numpy()
    assert np.allclose(squares[0].numpy() / 2000, expected.var(0), rtol=1e-9, atol=0)
    assert np.allclose(mean[0].numpy(), expected.mean(0), rtol=1e-12)


def observed(layer: Layer, *, native: bool) -> UnitHealth:
    functions = [partial(function_of(one), **starts(one, torch.float32)) for one in layer.activations]

    def apply(name: str, z: Tensor) -> Tensor:
        return torch.cat([f(part) for f, part in zip(functions, z.split(1), strict=True)])

    known = codes(layer)
    observer = UnitObserver(
        slope_by_autograd(apply), HealthSettings(), histograms=True, codes=(lambda name: known) if native else None
    )
    for part in layer.z.split(layer.cuts, 1):
        observer.observe("hidden", part)
    return observer.finish(layer.z.shape[1])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layer=layers(names=("relu", "leaky_relu", "identity", "hardtanh", "relu6", "softsign"), scales=(0.5, 1, 20)))
def test_masks_shares_and_signals_are_those_of_torch(kernels: Kernels, layer: Layer) -> None:
    found, expected = (observed(layer, native=native) for native in (True, False))
    unknown = expected.units["hidden"]["not_finite"]
    for name, values in expected.units["hidden"].items():
        assert torch.equal(found.units["hidden"][name][~unknown], values[~unknown]), name
    assert torch.equal(found.units["hidden"]["not_finite"], unknown)
    for name, values in expected.signals["hidden"].items():
        assert torch.allclose(found.signals["hidden"][name], values, rtol=1e-5, atol=1e-6, equal_nan=True), name
    for name, counted in expected.histograms["hidden"].items():
        assert torch.equal(found.histograms["hidden"][name], counted) or layer.activations[0].name == "softsign"


MIXED: list[Any] = [
    "relu",
    "prelu",
    {"name": "prelu", "per": "unit"},
    "rrelu",
    {"name": "swish", "learned": True, "beta": 1.5},
    "x * sigmoid(1.702 * x)",
    {"name": "elu", "alpha": 0.3},
]


MODELS: list[dict[str, Any]] = [
    {"name": "mlp", "hidden": [33, 18]},
    {"name": "cnn", "channels": [5, 9], "dense": [7]},
]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_cohort_is_measured_alike_and_each_run_as_if_alone(kernels: Kernels, model: dict[str, Any]) -> None:
    dataset = {"name": "digits", "train_size": 300, "test_size": 20}
    specs = [RunSpec.model_validate({"dataset": dataset, "model": model, "activation": one}) for one in MIXED]

    def rows(*chosen: RunSpec) -> list[dict[str, Any]]:
        state = TrainState.open(Cohort(chosen), Runtime(device="cpu"))
        for name, values in state.stack.tensors.items():
            if "slope" in name or "beta" in name:
                values.data.mul_(torch.linspace(0.5, 2, values[0].numel()).view(values[0].shape))
        health = HealthSettings(probe_size=270)
        runs = len(chosen)
        found = measure_unit_health(state.forward, state.act, state.images, health, runs, histograms=True)
        return [found.of_run(run) for run in range(runs)]

    together = rows(*specs)
    assert together == [rows(spec)[0] for spec in specs]
    with library.use_kernels(None):
        by_torch = rows(*specs)
    for one, other in zip(together, by_torch, strict=True):
        for layer, expected in zip(one["layers"], other["layers"], strict=True):
            for name, value in expected.items():
                if isinstance(value, float):
                    assert layer[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
                elif not name.endswith("_histogram"):
                    assert layer[name] == value, name


def test_sequences_of_any_length_are_merged(kernels: Kernels) -> None:
    generator = torch.Generator().manual_seed(2)
    batches = [torch.randn(1, 5, 4, length, generator=generator) - 2 for length in (6, 3, 6)]
    found = []
    for code in (lambda name: [(CODES["relu"], 0.0)], None):
        observer = UnitObserver(slope_by_autograd(lambda name, z: z.relu()), HealthSettings(), codes=code)
        for z in batches:
            observer.observe("hidden", z)
        found.append(observer.finish(15))
    for name, values in found[0].units["hidden"].items():
        assert torch.equal(values, found[1].units["hidden"][name]), name


def test_what_the_kernel_can_not_take_is_left_to_torch(kernels: Kernels) -> None:
    z = torch.randn(1, 9, 4, generator=torch.Generator().manual_seed(1))
    asked: list[str] = []

    def code(name: str) -> list[tuple[int, float]]:
        asked.append(name)
        return [(CODES["relu"], 0.0)]

    def rows(values: Tensor, **options: Any) -> dict[str, Any]:
        observer = UnitObserver(slope_by_autograd(lambda name, z: z.relu()), HealthSettings(), codes=code)
        observer.observe("hidden", values, **options)
        return observer.finish(9).of_run(0)

    rows(z)
    assert asked == ["hidden"]
    rows(z.double())
    rows(z, keep=torch.ones_like(z, dtype=torch.bool))
    rows(z, arrange=lambda values: (values,))
    with library.use_kernels(None):
        rows(z)
    assert asked == ["hidden"]
