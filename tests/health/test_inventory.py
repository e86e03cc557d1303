"""Every module with parameters is named in the report, whatever calls it or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from handmade import ALIVE, DEAD, X, fixed, masks, net
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from actbench import HealthReport, measure_health

LISTS = ("unseen", "linear", "gating", "outputs", "others", "unused")


def named(report: HealthReport) -> set[str]:
    layers = {name for layer in report.layers for name in (layer.name, *layer.after)}
    return layers.union(*(getattr(report, key) for key in LISTS))


def holders(module: nn.Module) -> Iterator[str]:
    """The modules with parameters of their own; in the network itself, the parameters."""
    for name, part in module.named_modules():
        for parameter in part._parameters:
            yield name.partition(".parametrizations.")[0] or parameter


def is_named(name: str, report: HealthReport) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:end]) in named(report) for end in range(1, len(parts) + 1))


class Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Matrix(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix


class Distances(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(x, self.centres))


class ByFunction(nn.Module):
    """Uses the weight of a layer that it never calls."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.inner.weight, self.inner.bias)


class OneOfTwo(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.chosen, self.spare = nn.Linear(width, width), net(nn.Linear(width, width), nn.PReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.chosen(x)


class Mapped(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = net(nn.Linear(width, width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(self.inner)(x)


class Squeezed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.gate(x))


class Cell(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x[:, None])[0][:, 0]


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0]


class InPlace(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x)
        h[:, ::2].relu_()
        return h


BLOCKS: list[Callable[[int], nn.Module]] = [
    lambda width: nn.Linear(width, width),
    nn.BatchNorm1d, nn.LayerNorm, Scale, Matrix, Distances, ByFunction, OneOfTwo, Mapped, Squeezed, Cell, Attention,
    InPlace,
    lambda width: nn.PReLU(width), lambda width: nn.ReLU(), lambda width: nn.GELU(), lambda width: nn.Sigmoid(),
    lambda width: nn.utils.parametrizations.weight_norm(nn.Linear(width, width)),
    lambda width: nn.Bilinear(width, width, width),
]  # fmt: skip


class Chain(nn.Module):
    """Blocks one after another, some with a way around, some never reached."""

    def __init__(self, blocks: list[nn.Module], residual: list[bool], reached: list[bool]) -> None:
        super().__init__()
        self.blocks, self.residual, self.reached = nn.ModuleList(blocks), residual, reached

    def forward(self, x: Tensor) -> Tensor:
        for block, residual, reached in zip(self.blocks, self.residual, self.reached, strict=True):
            if reached:
                h = block(x, x) if isinstance(block, nn.Bilinear) else block(x)
                x = x + h if residual else h
        return x


BLOCK = st.tuples(st.integers(0, len(BLOCKS) - 1), st.booleans(), st.sampled_from([True, True, True, False]))


@settings(max_examples=150, deadline=None)
@given(st.lists(BLOCK, min_size=1, max_size=7))
def test_every_module_with_parameters_is_in_a_list(plan: list[tuple[int, bool, bool]]) -> None:
    kinds, residual, reached = map(list, zip(*plan, strict=True))
    made = Chain([BLOCKS[kind](4) for kind in kinds], residual, reached)
    report = measure_health(made, torch.randn(6, 4, generator=torch.Generator().manual_seed(1)))
    assert [name for name in holders(made) if not is_named(name, report)] == []
    spare = {name for name in holders(made) if not reached[int(name.split(".")[1])] or ".spare." in name}
    assert set(report.unused) == spare
    assert all(name in str(report) for key in LISTS for name in getattr(report, key)[:8])


def test_a_layer_that_no_input_reaches_is_unused() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0)) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            y = torch.zeros_like(x)
            for expert, rows in ((self.experts[0], x[:, 0] < 0), (self.experts[2], x[:, 0] >= 0)):
                y[rows] = expert(x[rows])
            return y

    report = measure_health(Experts(), X)
    assert masks(report) == {"experts.0.1": [True, True], "experts.2.1": [False, True]}
    assert report.unused == ("experts.1.0", "experts.1.2")
    assert "not used on these inputs: experts.1.0, experts.1.2" in str(report)
    assert measure_health(Experts(), X[X[:, 0] < 0]).unused == ("experts.1.0", "experts.1.2"), "called without inputs"


def test_each_list_names_its_own() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.place, self.norm = nn.Embedding(5, 4), nn.Parameter(torch.zeros(4)), nn.LayerNorm(4)
            self.mix, self.hidden, self.lost, self.head = (nn.Linear(4, 4) for _ in range(4))
            self.spare = nn.Parameter(torch.zeros(2))

        def forward(self, words: Tensor) -> Tensor:
            x = self.norm(self.mix(self.words(words) + self.place))
            return self.head(self.lost(F.relu(self.hidden(x))).exp())

    report = measure_health(Network(), torch.arange(5)[:, None])
    assert [layer.after for layer in report.layers] == [("hidden",)]
    assert {key: getattr(report, key) for key in LISTS} == {
        "unseen": ("lost",), "linear": ("mix",), "gating": (), "outputs": ("head",),
        "others": ("place", "words", "norm"), "unused": ("spare",),
    }  # fmt: skip
    assert {key: report.to_dict()[key] for key in LISTS} == {key: list(getattr(report, key)) for key in LISTS}


SMALL = net(fixed(1, ALIVE, DEAD, DEAD), nn.ReLU(), fixed(3, ALIVE, DEAD), nn.Tanh(), fixed(2, 0.0))


@pytest.mark.parametrize("decomposed", [False, True])
def test_an_exported_programs_layers_are_seen(decomposed: bool) -> None:
    program = torch.export.export(SMALL.eval(), (X,))
    report = measure_health((program.run_decompositions() if decomposed else program).module(), X)
    assert masks(report) == {"relu": [False, True, True], "tanh": [False, True]}
    assert ([layer.after for layer in report.layers], report.outputs) == ([("0",), ("2",)], ("4",))
    assert (report.unseen, report.unused) == ((), ())


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("dtype", [torch.qint8, torch.float16])
def test_a_dynamically_quantised_network_is_measured(dtype: torch.dtype) -> None:
    report = measure_health(torch.ao.quantization.quantize_dynamic(SMALL, {nn.Linear}, dtype=dtype), X)
    assert masks(report) == {"1": [False, True, True], "3": [False, True]}
    assert ([layer.after for layer in report.layers], report.outputs) == ([("0",), ("2",)], ("4",))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_quantised_recurrent_layer_is_unseen(kind: type[nn.Module]) -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.hidden, self.out = kind(1, 4, batch_first=True), fixed(4, 9.0, DEAD), fixed(2, 0.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.relu(self.hidden(self.cell(x)[0])))

    quantised = torch.ao.quantization.quantize_dynamic(Reader(), {kind, nn.Linear})
    report = measure_health(quantised, X[:100].view(20, 5, 1))
    assert (masks(report), report.unseen, report.outputs) == ({"relu": [False, True]}, ("cell",), ("out",))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("fused", [False, True])
def test_a_network_of_integers_is_unseen(fused: bool) -> None:
    quantisation = torch.ao.quantization
    network = net(
        quantisation.QuantStub(), nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2), quantisation.DeQuantStub()
    ).eval()
    network.qconfig = quantisation.default_qconfig
    if fused:
        quantisation.fuse_modules(network, [["1", "2"]], inplace=True)
    prepared = quantisation.prepare(network)
    prepared(X)
    report = measure_health(quantisation.convert(prepared), X)
    assert (report.layers, report.unseen, report.outputs) == ((), ("1",), ("3",))


def test_a_layer_that_makes_the_weights_of_another_is_named() -> None:
    class Hyper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.make, self.out = nn.Linear(1, 2), fixed(2, 0.0)
            self.seed = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.relu(F.linear(x, self.make(self.seed).view(2, 1))))

    report = measure_health(Hyper(), X)
    assert ([layer.after for layer in report.layers], report.others, report.outputs) == (
        [("linear",)],
        ("make",),
        ("out",),
    )


class Packed(nn.Module):
    """Weights as integers in a buffer, as low-bit formats have them."""

    def __init__(self, *biases: float) -> None:
        super().__init__()
        self.register_buffer("codes", torch.ones(len(biases), 1, dtype=torch.int8))
        self.register_buffer("bias", torch.tensor(biases))


class Unpacks(Packed):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1] @ self.codes.to(x.dtype).T + self.bias


class OwnOperator(Packed):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.actbench_tests.product(x[:, :1], self.codes) + self.bias


@pytest.fixture(scope="module")
def operator() -> Iterator[None]:
    with torch.library._scoped_library("actbench_tests", "FRAGMENT") as library:
        library.define("product(Tensor x, Tensor codes) -> Tensor")
        library.impl("product", lambda x, codes: x @ codes.to(x.dtype).T, "CompositeExplicitAutograd")
        yield


@pytest.mark.parametrize("kind", [Unpacks, OwnOperator])
def test_weights_in_buffers_are_layers(operator: None, kind: type[Packed]) -> None:
    report = measure_health(net(kind(ALIVE, DEAD), nn.ReLU(), kind(ALIVE), kind(0.0)), X)
    assert [layer.dead_mask.tolist() for layer in report.layers] in ([[False, True]], [[True, False]])
    assert report.layers[0].after == ("0",)
    assert (report.unseen if kind is OwnOperator else report.linear) == ("2",)
    assert report.outputs == ("3",)


def run_in_thread(module: nn.Module, x: Tensor) -> Tensor:
    import threading

    results: list[Tensor] = []
    thread = threading.Thread(target=lambda: results.append(module(x)))
    thread.start()
    thread.join()
    return results[0]


def without_torch_functions(module: nn.Module, x: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return module(x)


def with_gradients(module: nn.Module, x: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(module(leaf).sum(), leaf)[0]


class Runs(nn.Module):
    def __init__(self, run: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.run = SMALL, run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.body, x)


OUT_OF_SIGHT: list[Callable[[nn.Module, Tensor], Any]] = [
    lambda module, x: torch.vmap(module)(x),
    lambda module, x: torch.func.grad(lambda y: module(y).sum())(x),
    lambda module, x: torch.vmap(torch.func.jacrev(module))(x),
    lambda module, x: torch.func.jvp(module, (x,), (x,))[1],
    lambda module, x: torch.func.functionalize(module)(x),
    run_in_thread,
    without_torch_functions,
]


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("run", OUT_OF_SIGHT)
def test_layers_inside_a_function_transform_are_unseen(run: Callable[[nn.Module, Tensor], Tensor]) -> None:
    report = measure_health(Runs(run), X)
    assert (report.layers, report.dead_fraction, report.unused, report.linear) == ((), None, (), ())
    assert report.unseen[:2] == ("body.0", "body.2")


def test_an_ensemble_of_stacked_weights_is_unseen() -> None:
    class Ensemble(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.v = nn.Parameter(torch.randn(5, 1, 3)), nn.Parameter(torch.randn(5, 3, 2))

        def forward(self, x: Tensor) -> Tensor:
            return torch.vmap(lambda w, v: torch.relu(x @ w) @ v)(self.w, self.v).mean(0)

    class Stacked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.models = nn.ModuleList(net(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2)) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            states, buffers = torch.func.stack_module_state(list(self.models))
            call = torch.func.functional_call
            return torch.vmap(lambda s, b: call(self.models[0], (s, b), (x,)))(states, buffers).mean(0)

    assert measure_health(Ensemble(), X).unseen == ("w", "v")
    report = measure_health(Stacked(), X)
    assert (report.layers, report.unused, report.others) == ((), (), ())
    assert {*report.unseen, *report.outputs} == {f"models.{k}.{i}" for k in range(3) for i in (0, 2)}


@pytest.mark.parametrize(
    "run",
    [lambda module, x: torch.utils.checkpoint.checkpoint(module, x, use_reentrant=False),
     lambda module, x: torch.func.functional_call(module, dict(module.named_parameters()), (x,)),
     lambda module, x: nn.DataParallel(module)(x), with_gradients],
)  # fmt: skip
def test_other_ways_to_run_a_module_hide_nothing(run: Callable[[nn.Module, Tensor], Tensor]) -> None:
    report = measure_health(Runs(run), X)
    assert list(masks(report).values()) == [[False, True, True], [False, True]]
    assert (report.unseen, report.unused) == ((), ())


def test_a_network_under_autocast_is_measured_in_its_own_precision() -> None:
    def half(module: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return module(x)

    assert list(masks(measure_health(Runs(half), X)).values()) == [[False, True, True], [False, True]]
