"""Padding is left out by a mask, and examples are found in the dimension in which a network has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from handmade import ALIVE, DEAD, X, fixed, masks, net
from probed import one_activation
from torch import Tensor, nn

from actbench import measure_health
from actbench.errors import UsageError
from actbench.health.units.probe import UnitObserver, slope_by_autograd
from actbench.schema.health_measures import HEALTH_MEASURES
from actbench.schema.spec import HealthSettings

PADDING = 0
GENERATOR = torch.Generator().manual_seed(3)


class Reader(nn.Module):
    """Words 1 to 9 are z = −1, padding is z = +1: the first unit fires on padding alone, the last always, the others as
    their bias has it."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.hidden, self.out = nn.Embedding(10, 1), fixed(1, 0.0, DEAD, 5.0), fixed(3, 0.0)
        with torch.no_grad():
            self.words.weight.fill_(-1.0)
            self.words.weight[PADDING] = 1.0

    def forward(self, words: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.out(F.relu(self.hidden(self.words(words))))


class Flattened(Reader):
    def forward(self, words: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        rows = self.hidden(self.words(words).flatten(0, 1))
        return self.out(F.relu(rows)).view(*words.shape, -1)


class Channelled(Reader):
    def forward(self, words: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.out(F.relu(self.hidden(self.words(words)).transpose(1, 2)).transpose(1, 2))


WORDS = torch.randint(1, 10, (40, 12), generator=GENERATOR)
LENGTHS = torch.randint(1, 13, (40,), generator=GENERATOR)
THERE = torch.arange(12) < LENGTHS[:, None]
PADDED = torch.where(THERE, WORDS, PADDING)


@pytest.mark.parametrize("network", [Reader, Flattened, Channelled])
@pytest.mark.parametrize(
    ("inputs", "mask"),
    [
        (PADDED, THERE),
        (PADDED, THERE.long()),
        (PADDED, lambda words: words != PADDING),
        ([{"words": PADDED, "attention_mask": THERE.int()}], "attention_mask"),
        ([({"words": PADDED[part], "attention_mask": THERE[part]}, 0) for part in (slice(7), slice(7, 40))],
         "attention_mask"),
        ([(PADDED[:9, :12],), (PADDED[9:],)], lambda batch: batch[0] != PADDING),
    ],
)  # fmt: skip
def test_padding_does_not_revive_a_unit(network: type[nn.Module], inputs: Any, mask: Any) -> None:
    (plain,) = measure_health(network(), inputs).layers
    assert plain.dead_mask.tolist() == [False, True, False]
    report = measure_health(network(), inputs, mask=mask)
    (layer,) = report.layers
    assert (layer.dead_mask.tolist(), report.unmasked, report.examples) == ([True, True, False], (), 40)
    assert report.uncertain == ()
    assert layer.sparsity == pytest.approx(2 / 3)
    assert layer.signals["z_mean"] == pytest.approx((-1 + (-1 + DEAD) + (-1 + 5.0)) / 3)


@pytest.mark.parametrize(
    "look_up", [F.embedding, lambda words, table: table[words], lambda words, table: table[words + 0]]
)
def test_units_after_words_that_were_looked_up_are_followed(look_up: Callable[[Tensor, Tensor], Tensor]) -> None:
    class Looks(Reader):
        def forward(self, words: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            return self.out(F.relu(self.hidden(look_up(words, self.words.weight))))

    report = measure_health(Looks(), PADDED)
    assert (masks(report), report.uncertain) == ({"relu": [False, True, False]}, ())
    assert ("words" in report.others, report.unused) == (True, ())


def test_measures_with_a_mask_are_those_of_the_sequences_without_padding() -> None:
    z = torch.randn(9, 4, 6, dtype=torch.float64, generator=GENERATOR)
    z[:, 3] -= 9
    lengths = torch.tensor([6, 1, 4, 2, 6, 3, 1, 5, 2])
    there = (torch.arange(6) < lengths[:, None])[:, None].expand_as(z)
    spoiled = torch.where(there, z, torch.nan)
    derivative = slope_by_autograd(one_activation("relu"))
    masked, alone = (UnitObserver(derivative, HealthSettings()) for _ in range(2))
    for start, stop in ((0, 4), (4, 9)):
        masked.observe("hidden", spoiled[None, start:stop], keep=there[None, start:stop])
    for sequence, length in zip(z, lengths, strict=True):
        alone.observe("hidden", sequence[None, None, :, :length])
    one, other = masked.finish(9), alone.finish(9)
    for measure in HEALTH_MEASURES:
        assert torch.allclose(one.units["hidden"][measure].double(), other.units["hidden"][measure].double()), measure
    for signal, value in one.signals["hidden"].items():
        assert torch.allclose(value, other.signals["hidden"][signal]), signal


def test_places_that_no_input_has_are_in_no_share() -> None:
    observer = UnitObserver(slope_by_autograd(one_activation("relu")), HealthSettings())
    short, long = torch.tensor([[[1.0, -1.0]]]), torch.tensor([[[-1.0, -1.0, 1.0, 1.0]]])
    observer.observe("hidden", short[None])
    observer.observe("hidden", long[None], keep=torch.tensor([[[True, False, False, False]]])[None])
    assert observer.finish(2).units["hidden"]["spatially_silent"].tolist() == [[0.5]], "of the first two places"
    many = torch.full((101, 1, 2), -1.0)
    many[7] = 1.0
    keep = torch.ones(101, 1, 2, dtype=torch.bool)
    keep[50] = False
    for mask, rare in ((keep, False), (torch.ones_like(keep), True)):  # 1 of 100 inputs, and of 101
        observer = UnitObserver(slope_by_autograd(one_activation("relu")), HealthSettings())
        observer.observe("hidden", many[None], keep=mask[None])
        assert observer.finish(101).units["hidden"]["rare"].tolist() == [[rare]]


def test_a_mask_may_have_examples_first_where_the_network_has_steps_first() -> None:
    there = torch.arange(5) < torch.tensor([5, 2, 1])[:, None]
    steps_first = torch.where(there, -1.0, 1.0).T[..., None]
    made = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))
    for mask in (there, there.T):
        report = measure_health(made, [steps_first], batch_axis=1, mask=lambda batch, mask=mask: mask)
        assert (masks(report), report.unmasked) == ({"1": [True, True]}, ())
    assert masks(measure_health(made, steps_first, batch_axis=1)) == {"1": [False, True]}


def test_a_mask_of_examples_leaves_out_whole_examples() -> None:
    made = net(nn.Conv1d(1, 2, 1), nn.ReLU(), nn.Conv1d(2, 1, 1))
    with torch.no_grad():
        made[0].weight.fill_(1)
        made[0].bias.copy_(torch.tensor([0.0, -0.5]))
    x = torch.tensor([-1.0, -1.0, 1.0, 0.25])[:, None, None].expand(4, 1, 3)
    for mask, dead in ((torch.tensor([1, 1, 1, 0]), [False, False]), (torch.tensor([1, 1, 0, 1]), [False, True])):
        assert masks(measure_health(made, x, mask=mask)) == {"1": dead}


def test_positions_that_the_mask_does_not_fit_all_count_and_are_named() -> None:
    class Pooled(Reader):
        def forward(self, words: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            h = F.relu(self.hidden(self.words(words)))
            return self.out(F.relu(self.hidden(F.avg_pool1d(h.transpose(1, 2), 3).transpose(1, 2)[..., :1])).mean(1))

    report = measure_health(Pooled(), PADDED, mask=THERE)
    assert [layer.dead_mask.tolist() for layer in report.layers] == [[True, True, False], [False, True, False]]
    assert report.unmasked == ("relu#2",)
    assert "mask does not fit, all positions count: relu#2" in str(report)


@pytest.mark.parametrize(
    ("inputs", "mask", "message"),
    [
        (
            [{"words": PADDED}],
            "attention_mask",
            "'attention_mask' is none of the batch's keys: it has the keys 'words'",
        ),
        ([PADDED], "attention_mask", "it has Tensor and no keys"),
        ([PADDED], THERE, "goes with one tensor of inputs"),
        (PADDED, THERE[:5], r"the mask's shape \(5, 12\) does not begin as the inputs' \(40, 12\)"),
        (PADDED, THERE.float() * -1e4, "1 .or True. where a position counts and 0"),
        (PADDED, THERE & False, "no inputs to measure on.*the mask is 0 everywhere"),
        (PADDED, 3, "a key, a function of the batch or a tensor, not int"),
        (PADDED, lambda words: [1], "the mask should be a tensor, not list"),
    ],
)
def test_a_mask_that_can_not_be_used_is_refused(inputs: Any, mask: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure_health(Reader(), inputs, mask=mask)


class Steps(nn.Module):
    """Takes (steps, examples, features), as torch's sequence layers do by default."""

    def __init__(self, kind: Callable[[], nn.Module], embed: nn.Module | None = None) -> None:
        super().__init__()
        self.embed, self.sequence, self.hidden, self.out = embed, kind(), fixed(4, 9.0, -9.0), fixed(2, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.sequence(x if self.embed is None else self.embed(x))
        return self.out(F.relu(self.hidden(h[0] if isinstance(h, tuple) else h)))


SEQUENCE_LAYERS: list[Callable[[bool], nn.Module]] = [
    lambda first: nn.TransformerEncoderLayer(4, 2, 8, batch_first=first),
    lambda first: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=first), 1, None, False),
    lambda first: nn.LSTM(4, 4, batch_first=first),
    lambda first: nn.GRU(4, 4, batch_first=first),
]
SEQUENCES = torch.randn(7, 10, 4, generator=GENERATOR)


@pytest.mark.parametrize("layer", SEQUENCE_LAYERS)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: iter([x]), lambda x: [(x, x)]])
def test_a_sequence_layer_says_which_dimension_counts_the_examples(
    layer: Callable[[bool], nn.Module], first: bool, wrap: Callable[[Tensor], Any]
) -> None:
    examples = 7 if first else 10
    report = measure_health(Steps(lambda: layer(first)), wrap(SEQUENCES))
    assert report.examples == examples
    assert report.layers[-1].dead_mask.tolist() == [False, True]
    words = torch.randint(0, 9, (7, 10), generator=GENERATOR)
    assert measure_health(Steps(lambda: layer(first), nn.Embedding(9, 4)), wrap(words)).examples == examples


def test_a_network_that_turns_its_inputs_around_keeps_examples_first() -> None:
    class Turned(Steps):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.transpose(0, 1))

    for shape in ((7, 10, 4), (10, 10, 4), (251, 250, 4)):
        assert measure_health(Turned(lambda: nn.GRU(4, 4)), torch.zeros(shape)).examples == shape[0]


def test_steps_first_inputs_are_cut_and_counted_along_their_examples() -> None:
    many = torch.cat([torch.full((3, 260, 1), -1.0), torch.full((3, 40, 1), 1.0)], 1)
    made = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))
    report = measure_health(made, many, batch_axis=1)
    assert (report.examples, masks(report)) == (300, {"1": [False, True]})
    assert masks(measure_health(made, many, batch_axis=1, max_examples=260)) == {"1": [True, True]}
    assert measure_health(made, [many[:, :100], many[:, 100:]], batch_axis=1).examples == 300
    one_fires = torch.full((300, 4, 1), -1.0)
    one_fires[5, 3] = 1.0  # one example of four, at one of 300 steps
    assert measure_health(made, one_fires.expand(300, 4, 1), batch_axis=1).layers[0].rare_mask.tolist() == [False, True]
    assert measure_health(made, one_fires, batch_axis=0).layers[0].rare_mask.tolist() == [True, True]


def test_a_mask_lies_as_the_inputs_do() -> None:
    reader = Reader()
    for axis, padded, there in ((0, PADDED, THERE), (1, PADDED.T, THERE.T)):
        report = measure_health(reader, padded, mask=there, batch_axis=axis)
        assert (masks(report), report.examples) == ({"relu": [True, True, False]}, 40)


@pytest.mark.parametrize(("axis", "message"), [(-1, "batch_axis should be 0 or more"), (2, "none of the inputs' dim")])
def test_a_batch_axis_that_is_not_there_is_refused(axis: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure_health(net(fixed(1, ALIVE), nn.ReLU(), fixed(1, 0.0)), X, batch_axis=axis)
