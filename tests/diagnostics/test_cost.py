"""``actbench cost``: what is measured, that it is measured in turn, and what the figures are said to amount to.

No test looks at how long anything took.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from itertools import groupby, pairwise

import cost_parts
import numpy as np
import pytest
import torch
from scipy.stats import binom

from actbench import cli
from actbench.diagnostics.cost.measure import Clock, _Trial, measure_costs
from actbench.diagnostics.cost.result import (
    RELU,
    WRITTEN,
    CostRow,
    Costs,
    Size,
    coverage,
    interval_rank,
    median_interval,
    verdicts,
)
from actbench.diagnostics.cost.timed_activation import Subject, timed_activations
from actbench.errors import DeviceError, UsageError
from actbench.nn.activations import ACTIVATIONS
from actbench.nn.chosen_activations import function_of
from actbench.schema.components import Component, resolve
from actbench.system.devices import this_processor

TINY = Size("cache", 8, 16, layers=2)
CPU = torch.device("cpu")


def own(name: str, attribute: str | None = None) -> Component:
    return resolve("activations", {"name": name, "path": f"cost_parts:{attribute or name}"})


def named(*names: str) -> list[Component]:
    return [resolve("activations", name) for name in names]


def costs(relu: list[float], **others: list[float]) -> Costs:
    """Times of one size, the same for both passes."""
    times = {WRITTEN: [1.0] * len(relu), RELU: relu, **others}
    rows = (CostRow(name, TINY, {"forward": tuple(t), "forward_backward": tuple(t)}, 4, 8) for name, t in times.items())
    return Costs(tuple(rows), len(relu), {})


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["actbench", "cost", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code or 0, *capfd.readouterr())

    return run


@pytest.mark.parametrize("n", [5, 6, 7, 9, 12, 30])
def test_the_interval_of_a_median_is_the_narrowest_that_holds_it_with_95_percent(n: int) -> None:
    held = {d: float(1 - 2 * binom.cdf(d - 1, n, 0.5)) for d in range(1, n // 2 + 1)}
    d = interval_rank(n)

    assert coverage(n, d) == pytest.approx(held[d])
    assert d == max((d for d in held if held[d] >= 0.95), default=1)


def test_an_estimate_is_the_median_between_the_second_and_the_eighth_of_nine() -> None:
    values = [5.0, 1.0, 9.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0]
    found = median_interval(values)

    assert (found.median, found.low, found.high) == (np.median(values), 2.0, 8.0)


def test_a_ratio_is_paired_so_that_a_slow_round_leaves_it_alone() -> None:
    found = costs([1.0, 10.0, 1.0, 2.0, 1.0], elu=[3.0, 30.0, 3.0, 6.0, 3.0])
    ratio = found.ratio(found.rows[-1], RELU, "forward")

    assert (ratio.median, ratio.low, ratio.high) == (3, 3, 3)
    assert median_interval(found.rows[-1].times["forward"]).high == 30


@pytest.mark.parametrize(
    ("ratio", "group", "printed"),
    [
        (0.998, "costs less", "0.998"),
        (1.002, "costs more", "1.002"),
        (0.99997, "costs less", "0.99997"),
        (1 + 2**-40, "costs more", "1.0000000000009"),
        (1.0, "not told apart", "1.00"),
        (0.994, "costs less", "0.99"),
        (1.006, "costs more", "1.01"),
    ],
)
def test_a_ratio_that_is_not_1_is_never_printed_as_1(ratio: float, group: str, printed: str) -> None:
    forward, _ = verdicts(costs([1.0] * 9, mine=[ratio] * 9))
    groups = dict(part.split(": ") for part in forward.removeprefix("forward in cache, × relu: ").split("; "))
    assert f"mine {printed} [{printed}, {printed}]" in groups[group]


def test_verdicts_tell_dearer_from_cheaper_and_from_neither_dearest_first() -> None:
    found = costs(
        [2.0] * 5, elu=[6.0, 6.2, 6.4, 6.6, 6.8], mish=[9.0] * 5, tanh=[1.9, 2.0, 2.1, 2.2, 2.3], silu=[1.0] * 5
    )
    forward, both = verdicts(found)

    assert forward == (
        "forward in cache, × relu: costs more: mish 4.50 [4.50, 4.50], elu 3.20 [3.00, 3.40]; not told apart: "
        "tanh 1.05 [0.95, 1.15]; costs less: identity (written) 0.50 [0.50, 0.50], silu 0.50 [0.50, 0.50]"
    )
    assert both.startswith("forward+backward in cache, × relu: costs more: mish")


@pytest.mark.parametrize(
    ("given", "saved", "kept"),
    [
        ("identity", 0, 4),  # its output is its input
        ("relu", 4, 4),  # f′ follows from the output, which the next layer keeps anyway
        ("tanh", 4, 4),
        ("sigmoid", 4, 4),
        ("silu", 4, 8),  # f′ needs the input
        ("gelu", 4, 8),
        ({"name": "swish", "beta": 2.0}, 8, 12),  # z and σ(βz), and the output
        ("x * sigmoid(1.702 * x)", 8, 12),
        ({"name": "leaky_relu", "negative_slope": 0.2}, 4, 8),
    ],
    ids=str,
)
def test_memory_is_what_the_way_back_needs(given: object, saved: float, kept: float) -> None:
    found = {row.activation: row for row in measure_costs([resolve("activations", given)], rounds=5, sizes=[TINY]).rows}
    row = found[resolve("activations", given).label]

    assert (row.saved_bytes, row.kept_bytes) == (saved, kept)


def test_learned_parameters_are_trained_and_do_not_count_as_memory() -> None:
    component = resolve("activations", {"name": "swish", "learned": True, "per": "unit"})
    (work,) = timed_activations([Subject("swish", lambda z, beta: z * beta, component)], TINY, CPU)

    assert [{name: tuple(tensor.shape) for name, tensor in one.items()} for one in work.learned] == [
        {"beta": (1, 1, 16)}
    ] * 2
    assert all(tensor.requires_grad for one in work.learned for tensor in one.values())
    assert work.memory() == (4, 8)  # z for the slope's gradient, the output; z's own needs the slope alone


def test_every_activation_has_its_turn_once_in_every_round() -> None:
    cost_parts.calls.clear()
    done: list[int] = []

    def tell(number: int) -> None:
        done.append(number)
        cost_parts.calls.append("round")

    measure_costs([own("first"), own("second")], rounds=5, sizes=[TINY], tell=tell)
    ends = [index for index, call in enumerate(cost_parts.calls) if call == "round"]
    rounds = [[name for name, _ in groupby(cost_parts.calls[begin + 1 : end])] for begin, end in pairwise(ends)]

    assert done == [1, 2, 3, 4, 5]
    assert [sorted(one) for one in rounds] == [["first", "second"]] * 4
    assert {tuple(one) for one in rounds} == {("first", "second"), ("second", "first")}, "the order is drawn anew"


def test_as_many_untimed_calls_come_before_a_sample_as_it_has() -> None:
    """A clock that moves by one second a look: every sample is one call, and one untimed call goes before it."""
    looks = itertools.count()
    clock = Clock("counter", lambda: float(next(looks)), lambda: None)
    (work,) = timed_activations([Subject("first", cost_parts.first)], TINY, CPU)
    trial = _Trial(TINY, work, clock)
    cost_parts.calls.clear()
    trial.measure()

    assert len(cost_parts.calls) == 2 * 2 * TINY.layers, "two passes, each a call before the sample and one in it"


def test_noise_is_drawn_in_training_and_not_in_evaluation() -> None:
    cost_parts.calls.clear()
    measure_costs([own("noisy")], rounds=5, sizes=[TINY])

    assert set(cost_parts.calls) == {"evaluation without a graph", "training with noise in [0, 1)"}


def test_a_function_without_a_slope_is_measured_too() -> None:
    row = measure_costs([own("stepped")], rounds=5, sizes=[TINY]).rows[-1]

    assert (row.activation, row.saved_bytes, row.kept_bytes) == ("stepped", 0, 4)
    assert min(row.times["forward_backward"]) > 0


def test_measuring_leaves_threads_random_numbers_and_rounding_as_they_were() -> None:
    before = torch.get_num_threads(), torch.get_rng_state().clone()
    torch.set_num_threads(2)
    try:
        measure_costs(named("rrelu"), rounds=5, sizes=[TINY])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before[0])

    assert torch.equal(torch.get_rng_state(), before[1])
    assert float(torch.full((1,), 1e-39).mul(1)) > 0, "subnormal numbers are still flushed to zero"


def test_what_can_not_be_measured_is_refused() -> None:
    with pytest.raises(UsageError, match="take at least 5"):
        measure_costs(named("elu"), rounds=4)
    with pytest.raises(UsageError, match="both called 'mine'"):
        measure_costs([own("mine", "first"), own("mine", "second")], rounds=5)
    with pytest.raises(DeviceError, match="unknown device"):
        measure_costs(named("elu"), rounds=5, device="abacus")


@pytest.mark.slow
def test_json_holds_times_with_spread_ratios_and_memory(cost: Command) -> None:
    code, out, err = cost("{name: elu, alpha: 0.2}", "max(x, 0)", "relu", "--rounds", "5", "--json")
    found = json.loads(out)

    assert code == 0
    assert "measuring 3 activation(s), 5 rounds" in err
    labels = [WRITTEN, "relu", "elu(alpha=0.2)", "max(x, 0)"]
    assert [(row["activation"], row["size"]) for row in found["rows"]] == [
        (label, size) for size in ("cache", "memory") for label in labels
    ]
    assert [(size["name"], size["elements"]) for size in found["sizes"]] == [("cache", 2**15), ("memory", 2**23)]
    assert (found["schema"], found["rounds"], found["coverage"]) == (1, 5, 0.9375)
    assert found["machine"]["threads"] == 1
    assert found["machine"]["processor"] == this_processor().label
    assert found["machine"]["processor_details"] == json.loads(json.dumps(this_processor().to_json()))
    assert len(found["verdicts"]) == 4
    for row in found["rows"]:
        for measured in ("forward", "forward_backward"):
            values = row[measured].pop("values")
            assert len(values) == 5
            assert (row[measured]["low"], row[measured]["median"], row[measured]["high"]) == (
                min(values),
                np.median(values),
                max(values),
            )
            own_ratio = {WRITTEN: "ratio_to_identity", "relu": "ratio_to_relu"}.get(row["activation"])
            assert own_ratio is None or row[measured][own_ratio] == {"median": 1, "low": 1, "high": 1}
        assert row["bytes_per_element"] >= 4
        assert row["saved_bytes_per_element"] <= row["bytes_per_element"]


@pytest.mark.slow
def test_what_a_users_activation_prints_is_not_part_of_the_json(cost: Command) -> None:
    cost_parts.greeted.clear()
    code, out, err = cost("{name: greets, path: 'cost_parts:greets'}", "--rounds", "5", "--json")
    assert (code, json.loads(out)["rounds"]) == (0, 5)
    assert "greetings of a user" in err


@pytest.mark.slow
def test_the_text_has_a_table_for_each_pass_and_size_and_then_the_verdicts(cost: Command) -> None:
    code, out, _ = cost("elu", "--rounds", "5")
    lines = out.splitlines()

    assert code == 0
    assert [line.partition(":")[0] for line in lines if ": tensors of " in line] == [
        "forward in cache",
        "forward in memory",
        "forward+backward in cache",
        "forward+backward in memory",
    ]
    assert sum(line.startswith("elu ") for line in lines) == 4
    assert {line for line in lines if line.split() == ["activation", "ns", "×", "identity", "×", "relu", "kept"]}
    assert sum(line.startswith("· ") for line in lines) == 4


def test_without_names_every_activation_is_meant_but_the_one_that_needs_a_formula() -> None:
    from actbench.cli.cost import every_name

    assert set(ACTIVATIONS) - set(every_name()) == {"expression"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reluu"], "unknown activation 'reluu' — did you mean 'relu'?"),
        (["{name: elu, alpha: -1}"], "'alpha' should be greater than 0, not -1"),
        (["max(x"], "activation 'max(x'"),
        (["["], "activation '['"),
        (["7"], "expected a name or a mapping with a name"),
        (["relu", "--rounds", "2"], "greater than or equal to 5"),
        (["relu", "--device", "abacus"], "unknown device 'abacus'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(arguments: list[str], message: str, cost: Command) -> None:
    code, out, err = cost(*arguments)

    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_activations_that_change_the_width_are_timed_by_pre_activation() -> None:
    size = Size("cache", batch=4, units=6, layers=2)
    component = resolve("activations", "swiglu")
    (timed,) = timed_activations([Subject("swiglu", function_of(component), component)], size, torch.device("cpu"))
    timed.forward()
    timed.forward_backward()
    assert timed.elements == 2 * 4 * 6
    assert [gradient.shape for gradient in timed.gradients] == [(1, 4, 3)] * 2
    odd = resolve("activations", {"name": "maxout", "pieces": 4})
    with pytest.raises(UsageError, match="takes 4 pre-activations a unit, of which 6 is no multiple"):
        timed_activations([Subject("maxout", function_of(odd), odd)], size, torch.device("cpu"))
