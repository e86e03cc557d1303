"""Batches as loaders, text and graph libraries make them: used as they are, or refused in a sentence."""

from __future__ import annotations

import dataclasses
from collections import UserDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from handmade import ALIVE, DEAD, X, fixed, masks, net
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils.data import DataLoader, TensorDataset

from actbench import HealthCallback, measure_health
from actbench.errors import UsageError

SIMPLE = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))
LABELLED = namedtuple("LABELLED", "pixels label")
CHANNELS = [ALIVE, DEAD, DEAD]


def convolution() -> nn.Sequential:
    first = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        first.weight.fill_(1)
        first.bias.copy_(torch.tensor(CHANNELS))
    return net(first, nn.ReLU(), nn.Conv2d(3, 2, 1))


IMAGES = torch.linspace(-1, 1, 40 * 36).view(40, 1, 6, 6)


class Words(nn.Module):
    """A unit a text: the last step of a packed sequence, with two units that are dead by their bias."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.hidden, self.out = nn.RNN(1, 4, batch_first=True), fixed(4, 9.0, -9.0, 9.0, -9.0), fixed(4, 0.0)

    def forward(self, texts: PackedSequence) -> Tensor:
        _, last = self.rnn(texts)
        return self.out(F.relu(self.hidden(last[-1])))


@pytest.mark.parametrize("wrap", [lambda texts: [texts], lambda texts: texts, lambda texts: [(texts, torch.zeros(4))]])
def test_a_packed_sequence_is_one_batch_of_its_texts(wrap: Callable[[PackedSequence], Any]) -> None:
    texts = pack_sequence([torch.ones(length, 1) for length in (7, 5, 5, 1)])
    found = measure_health(Words(), wrap(texts))
    assert (masks(found), found.examples, found.unseen) == ({"relu": [False, True, False, True]}, 4, ("rnn",))
    again = measure_health(Words(), [texts], forward=lambda module, batch: module(batch))
    assert (masks(again), again.examples) == (masks(found), 4)


def test_units_of_packed_values_are_seen_at_every_step() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.rnn = fixed(1, ALIVE, DEAD), nn.RNN(2, 3)

        def forward(self, texts: PackedSequence) -> Any:
            return self.rnn(texts._replace(data=F.relu(self.one(texts.data))))

    found = measure_health(Steps(), [pack_sequence([X[:60], X[60:]], enforce_sorted=False)])
    assert (masks(found), found.examples) == ({"relu": [False, True]}, 2)


@dataclasses.dataclass
class Example:
    label: Tensor
    pixels: Tensor
    moved_to: str = ""

    def to(self, device: torch.device) -> Example:
        return dataclasses.replace(
            self, label=self.label.to(device), pixels=self.pixels.to(device), moved_to=str(device)
        )


class Graph:
    """As graph libraries have them: attributes, some of them no tensors."""

    def __init__(self, x: Tensor) -> None:
        self.name, self.x, self.edges = "graph", x, torch.zeros(2, 5, dtype=torch.long)


class Attributes(nn.Module):
    def __init__(self, attribute: str) -> None:
        super().__init__()
        self.body, self.attribute = SIMPLE, attribute

    def forward(self, batch: Any) -> Tensor:
        return self.body(getattr(batch, self.attribute))


@pytest.mark.parametrize("forward", [{}, {"forward": lambda module, batch: module(batch)}])
def test_a_batch_object_reaches_the_network_as_it_is(forward: dict[str, Any]) -> None:
    found = measure_health(Attributes("x"), [Graph(X), Graph(X[:20])], **forward)
    assert (masks(found), found.examples) == ({"body.1": [False, True]}, 121)
    found = measure_health(Attributes("pixels"), [Example(torch.tensor(1), X)], **forward)
    assert (masks(found), found.examples) == ({"body.1": [False, True]}, 101)


def test_a_named_tuple_keeps_its_names() -> None:
    batch = LABELLED(X, torch.zeros(101))
    for inputs in ([batch], batch):
        found = measure_health(SIMPLE, inputs)
        assert (masks(found), found.examples) == ({"1": [False, True]}, 101)
        found = measure_health(SIMPLE, inputs, forward=lambda module, batch: module(batch.pixels))
        assert (masks(found), found.examples) == ({"1": [False, True]}, 101)


@pytest.mark.parametrize("kind", [dict, UserDict])
def test_a_mapping_keeps_its_class(kind: Any) -> None:
    kinds = []

    def forward(module: nn.Module, batch: Any) -> Any:
        kinds.append(type(batch))
        return module(batch["pixels"])

    assert masks(measure_health(SIMPLE, [kind(pixels=X)], forward=forward)) == {"1": [False, True]}
    assert kinds == [kind]


def test_what_lies_elsewhere_is_moved_in_containers_of_the_same_class() -> None:
    network = SIMPLE.to("meta")
    kinds: list[Any] = []

    def forward(module: nn.Module, batch: Any) -> None:
        kinds.append([type(batch), *{tensor.device.type for tensor in (batch["a"], *batch["b"], batch["c"].pixels)}])

    batch = {"a": X, "b": (X, X), "c": LABELLED(X, 3), "d": "text"}
    example = Example(torch.tensor(1), X)
    try:
        measure_health(network, [batch], forward=forward)
        measure_health(network, [example], forward=lambda module, batch: kinds.append(batch.moved_to))
    finally:
        SIMPLE.to_empty(device="cpu")
        SIMPLE.load_state_dict(net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0)).state_dict())
    assert kinds == [[dict, "meta"], "meta"]
    assert batch["a"] is X, "the caller's own containers stay as they are"


def test_texts_reach_a_network_that_reads_them_itself() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = SIMPLE

        def forward(self, texts: list[str]) -> Tensor:
            return self.body(torch.tensor([[float(len(text) - 2)] for text in texts]))

    found = measure_health(Reader(), [["a", "abcd", "abc"]], forward=lambda module, batch: module(batch))
    assert (masks(found), found.examples) == ({"body.1": [False, True]}, 3)


SINGLE = "no dimension for examples"
ONE_PAIR = "one example and its label"


@pytest.mark.parametrize(
    ("module", "inputs", "message"),
    [
        (convolution(), IMAGES[0], SINGLE),
        (convolution(), [*IMAGES], SINGLE),
        (convolution(), [(image, 3) for image in IMAGES], ONE_PAIR),
        (convolution(), TensorDataset(IMAGES, torch.zeros(40)), "DataLoader"),
        (convolution(), [*TensorDataset(IMAGES, torch.zeros(40))], ONE_PAIR),
        (net(nn.MaxPool2d(2), convolution()), IMAGES[0], SINGLE),
        (SIMPLE, [*X], SINGLE),
        (SIMPLE, [LABELLED(one, 2.5) for one in X], ONE_PAIR),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), torch.ones(5, 4), SINGLE),
        (net(nn.Embedding(9, 4), nn.LSTM(4, 3, batch_first=True)), [torch.arange(5), torch.arange(7)], SINGLE),
        (SIMPLE, ["some text"], "not str"),
        (SIMPLE, [("id", X)], "not str"),
        (SIMPLE, np.ones((3, 1)), "not ndarray"),
        (SIMPLE, [{"pixels": X, "label": X}], r"forward=lambda module, batch: module\(batch\['pixels'\]\)"),
        (SIMPLE, [()], "not tuple|empty tuple|no inputs"),
    ],
)
def test_what_is_no_batch_is_refused_in_a_sentence(module: nn.Module, inputs: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure_health(module, inputs)


def test_images_in_batches_are_measured() -> None:
    loader = DataLoader(TensorDataset(IMAGES, torch.zeros(40)), batch_size=16)
    for inputs in (IMAGES, loader, [IMAGES[:1], IMAGES[1:]], IMAGES[0][None].expand(40, -1, -1, -1) * 0 + IMAGES):
        found = measure_health(convolution(), inputs)
        assert (masks(found), found.examples) == ({"1": [False, True, True]}, 40)


def test_a_network_that_takes_its_images_one_by_one_is_measured_over_all() -> None:
    class OneByOne(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = convolution()

        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([self.body(image[None])[0] for image in images])

    found = measure_health(OneByOne(), IMAGES)
    assert {name.partition("#")[0] for name in masks(found)} == {"body.1"}
    assert found.examples == 40


def test_an_error_of_the_network_itself_is_shown_as_it_is() -> None:
    class Picky(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise TypeError("x should be a spectrogram")

    with pytest.raises(TypeError, match="x should be a spectrogram"):
        measure_health(Picky(), X)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure_health(SIMPLE, torch.ones(4, 7))


@pytest.mark.parametrize(
    ("inputs", "place"),
    [
        (lambda bad: bad, r"inputs\[250:300\] holds 1 NaN or infinite number of 50, the first at \[30, 0\]"),
        (lambda bad: [X, (bad, 1 * bad)], r"batch 1\[0\] holds 1 NaN"),
        (
            lambda bad: [{"input": bad}],
            r"batch 0\['input'\] holds 1 NaN or infinite number of 300, the first at \[280, 0\]",
        ),
    ],
)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_an_input_that_is_not_finite_is_named(inputs: Callable[[Tensor], Any], place: str, wrong: float) -> None:
    bad = torch.linspace(-1, 1, 300)[:, None].clone()
    bad[280] = wrong
    for measure in (
        lambda: measure_health(SIMPLE, inputs(bad)),
        lambda: HealthCallback(inputs(bad)).measure(SIMPLE, 0),
    ):
        with pytest.raises(UsageError, match=place):
            measure()


def test_labels_that_are_not_finite_are_not_to_blame() -> None:
    labels = torch.full((101,), torch.nan)
    assert measure_health(SIMPLE, [(X, labels)]).dead == 1
    broken = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))
    with torch.no_grad():
        broken[0].weight.fill_(torch.nan)
    assert measure_health(broken, [(X, labels)]).not_finite == 2


def test_a_batch_object_that_the_network_does_not_take_leaves_a_note_at_its_error() -> None:
    with pytest.raises(TypeError, match="must be Tensor, not Graph") as got:
        measure_health(SIMPLE, [Graph(X)])
    assert got.value.__notes__ == ["the batch is of class Graph; forward=lambda module, batch: … says how it is used"]


def test_inputs_and_labels_as_one_tuple_leave_a_note_at_the_error_of_the_labels() -> None:
    with pytest.raises(RuntimeError, match="must have the same dtype") as got:
        measure_health(SIMPLE, (X, torch.zeros(101, 1, dtype=torch.long)))
    assert got.value.__notes__ == [
        "the inputs are a tuple: each of its elements is a batch; [inputs] makes one batch of it"
    ]
    assert measure_health(SIMPLE, [(X, torch.zeros(101, 1, dtype=torch.long))]).examples == 101


def test_inputs_that_the_network_cleans_and_additive_masks_are_no_error() -> None:
    class Cleans(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = SIMPLE

        def forward(self, x: Tensor, scores: Tensor) -> Tensor:
            return self.body(x.nan_to_num(0.0)) * scores.exp()

    holes = X.clone()
    holes[::3] = torch.nan
    scores = torch.zeros(101, 1)
    scores[::2] = -torch.inf
    found = measure_health(Cleans(), [{"x": holes, "scores": scores}])
    assert (masks(found), found.not_finite) == ({"body.1": [False, True]}, 0)
    broken = Cleans()
    broken.body = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))
    with torch.no_grad():
        broken.body[0].bias[0] = torch.nan
    assert measure_health(broken, [{"x": X, "scores": scores}]).not_finite == 1, "the mask is not to blame"
