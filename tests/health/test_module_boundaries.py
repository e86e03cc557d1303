"""Edges of the measurement of any module: where its rules begin and end, and the very text that it prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from handmade import ALIVE, DEAD, Functional, X, fixed, masks, net
from torch import Tensor, nn

from actbench import HealthCallback, measure_health
from actbench.errors import UsageError
from actbench.health.modules.flow import CONSTANT, INPUT, Flow, Origin

SIMPLE = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))


class Scaled(nn.Module):
    """A recurrent network that divides its inputs by the largest of all steps: it can't run without a step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.hidden, self.out = nn.LSTM(3, 4), nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.hidden(self.cell(x / x.amax(0))[0])))


@pytest.mark.parametrize("shape", [(1, 5, 3), (2, 2, 3), (1, 1, 3), (2, 7, 3)])
def test_steps_come_first_however_few_they_are(shape: tuple[int, ...]) -> None:
    shapes = []

    def forward(module: nn.Module, batch: Tensor) -> Tensor:
        shapes.append(tuple(batch.shape))
        return module(batch)

    assert measure_health(Scaled(), torch.rand(shape) + 1, forward=forward).examples == shape[1]
    measure_health(Scaled(), torch.rand(shape) + 1, forward=forward, max_examples=1)
    assert shapes[-1] == (shape[0], 1, shape[2])


def test_units_are_not_taken_for_examples_where_there_are_as_many_of_both() -> None:
    """Steps come first, so that examples are the inputs' second dimension; of one step alone they are the first."""

    class LastStep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = nn.LSTM(4, 3), nn.Linear(7, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.cat([self.cell(x)[0][-1], F.relu(x[-1])], -1))

    inputs = torch.ones(6, 4, 4)
    inputs[..., 0] = -1  # one unit is dead in every example, and no example is negative in every unit
    report = measure_health(LastStep(), inputs)
    assert (report.examples, report.units, report.dead) == (4, 4, 1)


def test_examples_that_attend_to_each_other_are_no_single_example() -> None:
    class Compared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.attention, self.out = nn.Linear(3, 4), nn.MultiheadAttention(4, 2), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = F.relu(self.one(x))
            return self.out(self.attention(h, h, h)[0])

    assert measure_health(Compared(), torch.rand(6, 3)).units == 4


@pytest.mark.parametrize("widths", [(3, 4), (4, 3)])
def test_units_that_grow_or_shrink_between_batches_are_refused(widths: tuple[int, int]) -> None:
    made = net(nn.Conv1d(1, 2, 1), nn.Flatten(), nn.ReLU(), nn.Unflatten(1, (2, -1)), nn.Conv1d(2, 1, 1))
    one, other = widths
    with pytest.raises(UsageError, match=f"{2 * one} units in one batch and {2 * other} in another"):
        measure_health(made, [torch.ones(2, 1, width) for width in widths], unit_axis=1)


def test_the_report_is_this_table() -> None:
    first = nn.Linear(1, 1200)
    with torch.no_grad():
        first.weight.fill_(1)
        first.bias.fill_(DEAD)
        first.bias[:300] = 2.0
    made = net(first, nn.ReLU(), fixed(1200, ALIVE, 0.0, DEAD), nn.Tanh(), fixed(3, 0.0))
    inputs = torch.tensor([[-1.0], [-0.5], [0.5], [1.0]])
    # Of the first layer 900 of 1,200 units are dead and 0, the others z = x + 2 > 0. The second sees z = x + 2 + bias:
    # no tanh has a slope of 1e-3 or less but that at −8, −7.5, −6.5 and −6, where it is at most 2.5e-5.
    heads, one, two, *sentences = str(measure_health(made, inputs)).splitlines()
    # The columns are two blanks apart, as wide as their widest cell: names to the left, numbers to the right.
    columns = "layer activation after units dead constant inert rare dormant always_on not_finite sparsity saturation"
    assert heads == "  ".join(columns.split()).replace("_", " ")
    assert one == "1      relu        0      1,200   900       900    900   900      900        300           0" + (
        "    75.0 %      75.0 %"
    )
    assert two == "3      tanh        2          3     1         1      1     1        0          2           0" + (
        "     0.0 %      33.3 %"
    )
    assert sentences == [
        "dead 74.9 % (901/1203, slope ≤ 1e-3 on 4 inputs)",
        "constant 74.9 % (901/1203, std ≤ 1e-3 on 4 inputs)",
        "inert 74.9 % (901/1203, dead or constant on 4 inputs)",
        "silence on 4 inputs bounds a unit's firing rate below 75.0 % (3/N) at 95 %",
        "left out as output: 4",
    ]


@pytest.mark.parametrize(
    ("slope", "shown"),
    [(0.0, "0"), (1e-3, "1e-3"), (2.5e-4, "2.5e-4"), (9.9e-3, "9.9e-3"), (0.01, "0.01"), (0.5, "0.5"), (1.0, "1")],
)
def test_a_threshold_is_printed_as_configs_write_it(slope: float, shown: str) -> None:
    assert f"slope ≤ {shown} on" in str(measure_health(SIMPLE, X, dead_slope=slope))


@pytest.mark.parametrize(
    ("dead", "shown"), [(0, "0.0 %"), (1, "0.05 %"), (19, "0.95 %"), (20, "1.0 %"), (21, "1.1 %"), (2000, "100.0 %")]
)
def test_no_small_share_reads_as_none(dead: int, shown: str) -> None:
    made = net(fixed(1, *[DEAD] * dead, *[ALIVE] * (2000 - dead)), nn.ReLU(), fixed(2000, 0.0))
    assert f"\ndead {shown} ({dead}/2000, " in str(measure_health(made, X))


@pytest.mark.parametrize(("count", "text"), [(1, "0"), (8, "0, 1, 2, 3, 4, 5, 6, 7"), (10, "7 and 2 more")])
def test_a_line_of_the_report_has_eight_names(count: int, text: str) -> None:
    report = measure_health(net(*[fixed(1, 0.0) for _ in range(count)], fixed(1, 0.0), nn.ReLU(), fixed(1, 0.0)), X)
    assert report.linear == tuple(map(str, range(count)))
    (line,) = [line for line in str(report).splitlines() if line.startswith("no activation after: ")]
    assert line.endswith(text)


def test_a_batch_object_may_hold_itself() -> None:
    class Graph:
        def __init__(self) -> None:
            self.whole, self.x = self, X

    report = measure_health(SIMPLE, [Graph(), Graph()], forward=lambda module, batch: module(batch.x))
    assert (report.examples, masks(report)) == (2 * len(X), {"1": [False, True]})


@pytest.mark.parametrize(
    ("function", "is_relu"),
    [
        (lambda z: z.clamp(0), True),
        (lambda z: torch.clamp(z, min=0.0), True),
        (lambda z: z.clamp(0, 6), True),
        (lambda z: z.clip(min=0), True),
        (lambda z: torch.clamp_min(z, 0), True),
        (lambda z: z.clamp(-1), False),
        (lambda z: z.clamp(min=-0.5, max=0.5), False),
        (lambda z: z.clamp(max=0), False),
        (lambda z: z.clamp(max=6), False),
        (lambda z: z.clamp_min(torch.zeros(())), False),
    ],
)
def test_a_clamp_is_an_activation_if_its_lower_bound_is_zero(
    function: Callable[[Tensor], Tensor], is_relu: bool
) -> None:
    report = measure_health(Functional(function), X)
    assert (len(report.layers), report.unseen) == ((2, ()) if is_relu else (0, ("one", "two")))


def test_nothing_is_left_of_numbers_that_were_copied_over() -> None:
    class Overwritten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.out = fixed(1, ALIVE, DEAD), fixed(1, 0.0, 0.0), fixed(2, 0.0)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.exp(self.one(x))  # a function that is no activation, on numbers that go nowhere
            h.copy_(self.other(x))
            return self.out(F.relu(h))

    report = measure_health(Overwritten(), X)
    assert [layer.after for layer in report.layers] == [("other",)]
    assert (report.unseen, report.outputs) == ((), ("one", "out"))


@pytest.mark.parametrize(
    ("places", "value", "sentence"),
    [
        ([(3, 1)], torch.nan, r"inputs\[0:250\] holds 1 NaN or infinite number of 500, the first at \[3, 1\]"),
        ([(7, 0), (9, 1)], torch.inf, r"inputs\[0:250\] holds 2 NaN or infinite numbers of 500, the first at \[7, 0\]"),
        ([(251, 0)], -torch.inf, r"inputs\[250:300\] holds 1 NaN or infinite number of 100, the first at \[1, 0\]"),
    ],
)
def test_numbers_that_are_not_finite_are_found_in_the_inputs(
    places: list[tuple[int, int]], value: float, sentence: str
) -> None:
    inputs = torch.ones(300, 2)
    for place in places:
        inputs[place] = value
    made = net(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(UsageError, match=f"^{sentence}, and so are hidden units: clean the inputs"):
        measure_health(made, inputs)


def test_a_mask_of_zeros_and_minus_infinity_is_no_broken_input() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.out = fixed(1, ALIVE, DEAD, -torch.inf), fixed(3, 0.0)

        def forward(self, x: Tensor, scores: Tensor) -> Tensor:
            return self.out(F.relu(self.one(x))) + torch.softmax(scores, -1)

    scores = torch.zeros(len(X), 2)
    scores[:, 1] = -torch.inf
    report = measure_health(Masked(), [{"x": X, "scores": scores}])
    assert report.not_finite == 1, "the unit is its bias's fault, not the mask's"
    scores[0, 0] = 1.0
    with pytest.raises(UsageError, match=r"batch 0\['scores'\] holds 101 NaN or infinite numbers of 202"):
        measure_health(Masked(), [{"x": X, "scores": scores}])


def test_a_vector_of_the_networks_own_is_no_layer() -> None:
    """A number a unit, whatever function takes it, mixes no units: the layer is still the one before."""

    class Bounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.least, self.out = fixed(1, ALIVE, DEAD), nn.Parameter(torch.zeros(2)), fixed(2, 0.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.relu(torch.fmax(self.one(x), -self.least - 99)))

    report = measure_health(Bounded(), X)
    assert [(layer.after, layer.units) for layer in report.layers] == [(("one",), 2)]
    assert (report.dead, report.unseen, report.outputs) == (1, (), ("out",))


def test_a_sparse_matrix_among_the_inputs_is_not_searched_for_broken_numbers() -> None:
    """As the graph of a graph network: torch can't ask a sparse tensor for NaN."""

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.out = fixed(1, ALIVE, DEAD, -torch.inf), fixed(3, 0.0)

        def forward(self, x: Tensor, near: Tensor) -> Tensor:
            return torch.mm(near, self.out(F.relu(self.one(x))))

    for near in (torch.eye(len(X)), torch.eye(len(X)).to_sparse()):
        report = measure_health(Graph(), [{"x": X, "near": near}])
        assert (report.not_finite, report.dead) == (1, 1)


@pytest.mark.parametrize(("every", "epochs"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (3, [0, 3]), (9, [0])])
def test_a_callback_measures_at_the_start_and_after_every_so_many_epochs(every: int, epochs: list[int]) -> None:
    class Trainer:
        current_epoch = 0

    for hooks in ("keras", "lightning"):
        callback, trainer = HealthCallback(X, every=every), Trainer()
        callback.set_model(SIMPLE)
        callback.on_train_begin() if hooks == "keras" else callback.on_fit_start(trainer, SIMPLE)
        for epoch in range(4):
            trainer.current_epoch = epoch
            callback.on_epoch_end(epoch) if hooks == "keras" else callback.on_train_epoch_end(trainer, SIMPLE)
        assert [row["epoch"] for row in callback.history] == epochs


@pytest.mark.parametrize("every", [0, -1])
def test_a_callback_measures_no_oftener_than_each_epoch(every: int) -> None:
    with pytest.raises(UsageError, match=f"'every' should be 1 or more epochs, not {every}"):
        HealthCallback(X, every=every)


def test_origins_of_memory_that_was_written_in_part_are_both() -> None:
    whole, signal = torch.zeros(4, 2), torch.ones(4, 1)
    made, other = Origin(weights=frozenset({"one"})), Origin(activations=frozenset({"relu"}))
    for before, after in (
        (CONSTANT, other),
        (made, Origin(weights=frozenset({"one"}), activations=frozenset({"relu"}))),
    ):
        flow = Flow()
        flow.begin([], [signal])
        part = whole[:, :1]
        flow.assign([whole, part], before)
        flow.write(part, other)
        assert flow.of([whole]) == after
        assert flow.of([part]) == other
        flow.write(part, CONSTANT)
        assert flow.of([whole]) == after, "a part that became a constant leaves the rest a signal"
        assert flow.of([signal]) is INPUT


def test_a_write_that_was_not_observed_conceals_what_a_tensor_was_made_of() -> None:
    flow, tensor = Flow(), torch.zeros(3)
    made = Origin(weights=frozenset({"one"}))
    flow.begin([], [])
    flow.assign([tensor], made)
    tensor.add_(1)
    assert flow.of([tensor]) == Origin(weights=frozenset({"one"}), opaque=True)
    flow.assign([tensor], made)
    before = tensor._version
    tensor.add_(1)
    flow.count_write(tensor, before)
    assert flow.of([tensor]) == made, "this one was observed"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # (layer, activation after it) in turn; an activation ends in "?" where a step before it was not seen
        ([("a", "relu"), ("b", None)], {"hidden": {"relu"}, "unseen": (), "linear": (), "last": ("b",)}),
        ([("a", None), ("b", None)], {"hidden": set(), "unseen": (), "linear": ("a",), "last": ("b",)}),
        ([("a", "?"), ("b", None)], {"hidden": set(), "unseen": ("a",), "linear": (), "last": ("b",)}),
        ([("a", "?"), ("b", "relu"), ("c", None)], {"hidden": {"relu"}, "unseen": ("a",), "last": ("c",)}),
        ([("a", "relu")], {"hidden": set(), "unseen": (), "linear": (), "last": ("a",)}),
    ],
)
def test_every_weight_layer_of_a_chain_is_in_its_list(
    steps: list[tuple[str, str | None]], expected: dict[str, Any]
) -> None:
    flow = Flow()
    origin = INPUT
    for layer, activation in steps:
        origin = flow.enter_weights(layer, origin, recurrent=False)
        if activation == "?":
            origin = Origin(weights=origin.weights, opaque=True)
        elif activation:
            origin = flow.activate(activation, activation, origin)
    assert {name: getattr(flow, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("between", "unseen"),
    [
        (None, ("a",)),
        (INPUT, ("a",)),  # an activation of the input
        (Origin(weights=frozenset({"c"}), opaque=True), ("a",)),
        (Origin(activations=frozenset(), opaque=True), ()),  # of the signal that has come back
    ],
)
def test_a_layer_with_a_signal_that_left_sight_is_unseen_until_an_activation_of_it_is_seen(
    between: Origin | None, unseen: tuple[str, ...]
) -> None:
    flow = Flow()
    flow.begin([], [])
    flow.enter_weights("c", INPUT, recurrent=False)
    flow.enter_weights("c2", Origin(weights=frozenset({"c"})), recurrent=False)  # c reaches it by linear steps
    flow.enter_weights("a", INPUT, recurrent=False)
    flow.activate("relu", "relu", Origin(weights=frozenset({"c2"})))
    flow.enter_weights("d", Origin(activations=frozenset({"relu"})), recurrent=False)
    flow.enter_weights("e", Origin(weights=frozenset({"d"})), recurrent=False)
    made_elsewhere = flow.of([torch.zeros(3)])
    assert (made_elsewhere, flow.met_unknown) == (Origin(opaque=True), True)
    if between is not None:
        flow.activate("other", "relu", between)
    flow.enter_weights("b", made_elsewhere, recurrent=False)
    assert ("a" in flow.unseen) is (unseen == ("a",))


def test_a_gate_is_a_sigmoid_of_another_layer_or_any_activation_of_its_own() -> None:
    def gates(kind: str, of: str) -> tuple[set[str], tuple[str, ...], tuple[str, ...]]:
        flow, one, other = Flow(), torch.zeros(3), torch.zeros(3)
        flow.begin([], [])
        layers = {name: flow.enter_weights(name, INPUT, recurrent=False) for name in ("own", "foreign")}
        flow.assign([one], layers["own"])
        flow.assign([other], flow.activate("act", kind, layers[of]))
        flow.multiply([one, other])
        flow.enter_weights("next", flow.of([one, other]), recurrent=False)
        return flow.gates, flow.gating, flow.unseen

    assert gates("sigmoid", "foreign") == ({"act"}, ("foreign",), ())
    assert gates("tanh", "foreign") == (set(), (), ())
    assert gates("sigmoid", "own") == gates("tanh", "own") == ({"act"}, (), ("own",))


def test_the_square_of_an_activation_is_no_gate() -> None:
    flow, one = Flow(), torch.zeros(3)
    flow.begin([], [])
    flow.assign([one], flow.activate("act", "sigmoid", flow.enter_weights("own", INPUT, recurrent=False)))
    flow.multiply([one, one])
    assert flow.gates == set()


class Padded(nn.Module):
    """A convolution of the inputs with a border of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(F.pad(x, (1, 1, 1, 1))))


class Plain(nn.Module):
    """A convolution without a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, self.weight))


class Words(nn.Module):
    """Words that are looked up and read one after another."""

    def __init__(self, cell: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.words, self.cell, self.out = nn.Embedding(9, 4), cell(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(self.words(x))[0])


@pytest.mark.parametrize(
    ("network", "inputs", "message"),
    [
        (net(net(nn.Conv2d(3, 2, 1), nn.ReLU())), torch.ones(3, 5, 5), r"0\.0 takes a tensor of shape \(3, 5, 5\)"),
        (net(nn.Conv1d(3, 2, 1), nn.ReLU()), torch.ones(3, 5), r"0 takes a tensor of shape \(3, 5\)"),
        (net(nn.Conv3d(3, 2, 1), nn.ReLU()), torch.ones(3, 5, 5, 5), r"0 takes a tensor of shape \(3, 5, 5, 5\)"),
        (net(nn.Linear(4, 2), nn.ReLU()), torch.ones(4), r"0 takes a tensor of shape \(4,\)"),
        (Padded(), torch.ones(3, 5, 5), r"conv takes a tensor of shape \(3, 7, 7\)"),
        (Plain(), torch.ones(3, 5, 5), r"Plain takes a tensor of shape \(3, 5, 5\)"),
        (Words(), torch.tensor([1, 2, 3]), r"cell takes a tensor of shape \(3, 4\)"),
        (Words(nn.GRU), torch.tensor([1, 2, 3]), r"cell takes a tensor of shape \(3, 4\)"),
    ],
)
def test_one_example_is_refused_by_the_name_of_the_layer_that_takes_it(
    network: nn.Module, inputs: Tensor, message: str
) -> None:
    with pytest.raises(UsageError, match=f"^{message} for one example: the inputs have no dimension for examples"):
        measure_health(network, inputs)
    assert measure_health(network, inputs[None], exclude_last=False).examples == 1


def test_a_layer_that_is_called_twice_is_listed_once_and_its_calls_are_numbered() -> None:
    class Twice(nn.Module):
        def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.shared, self.out, self.function = fixed(1, ALIVE), fixed(1, 0.0), function

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.function(self.shared(self.function(self.shared(x)))))

    assert measure_health(Twice(torch.exp), X).unseen == ("shared",)
    assert measure_health(Twice(lambda z: z * 2), X).linear == ("shared",)
    seen = measure_health(Twice(torch.relu), X)
    assert [(layer.name, layer.after) for layer in seen.layers] == [("relu", ("shared",)), ("relu#2", ("shared",))]


def test_a_module_with_two_weights_is_listed_once() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.ones(2, 1)), nn.Parameter(torch.ones(2, 2))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(F.linear(x, self.a).exp(), self.b).exp()

    report = measure_health(net(Pair(), fixed(2, 0.0)), X)
    assert report.unseen == ("0",)
