"""The arithmetic of what an activation costs in a training step, and that both trainers train the same network."""

from __future__ import annotations

import json

import pytest
import torch

from actbench.nn.chosen_activations import function_of, learned_parameters
from actbench.schema.components import resolve
from benchmarks.claims import activation_cost
from benchmarks.claims.activation_cost import ACTIVATIONS, NETWORKS, OWN, Round, one_round, rows_of, text_of


class DriftingMachine:
    """Steps that take known times on a clock of their own, which slows down with every call."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.now, self.calls = 0.0, []
        self.steps = {name: self._steps(name, own) for name, own in seconds.items()}

    def _steps(self, name: str, seconds: float) -> activation_cost.Steps:
        def take(count: int) -> None:
            self.calls.append((name, count))
            self.now += count * (seconds + 0.001 * (len(self.calls) // 2))

        return take


def test_a_round_goes_forwards_and_backwards_so_that_a_steady_slowing_down_hits_all_alike() -> None:
    machine = DriftingMachine({"identity": 1.0, "relu": 2.0, "gelu": 4.0})
    found = one_round(machine.steps, 20, clock=lambda: machine.now)

    assert [name for name, count in machine.calls if count == 20] == [
        *("identity", "relu", "gelu"),
        *("gelu", "relu", "identity"),
    ]
    assert {count for _, count in machine.calls} == {2, 20}  # a tenth more, untimed, before each sample
    slower = found.seconds["identity"] - 1.0
    assert slower > 0
    assert [found.seconds[name] - slower for name in ("relu", "gelu")] == pytest.approx([2.0, 4.0])


def test_ratio_and_share_are_those_of_the_same_round() -> None:
    rounds = [
        Round({"identity": 1.0, "relu": 2.0, "gelu": 3.0}),
        Round({"identity": 2.0, "relu": 4.0, "gelu": 8.0}),
        Round({"identity": 3.0, "relu": 4.0, "gelu": 5.0}),
    ]
    rows = {row["activation"]: row for row in rows_of("a network", OWN, rounds)}

    assert rows["gelu"]["ratio_to_relu"] == pytest.approx({"median": 1.5, "low": 1.25, "high": 2.0, "n": 3})
    assert rows["gelu"]["share"] == pytest.approx({"median": 2 / 3, "low": 0.4, "high": 0.75, "n": 3})
    assert rows["gelu"]["microseconds"] == pytest.approx({"median": 5e6, "low": 3e6, "high": 8e6, "n": 3})
    assert rows["relu"]["ratio_to_relu"] == {"median": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    assert rows["identity"]["share"] == {"median": 0.0, "low": 0.0, "high": 0.0, "n": 3}
    assert (rows["relu"]["network"], rows["relu"]["trainer"]) == ("a network", OWN)


def test_the_same_figures_are_written_as_the_same_text_with_five_digits() -> None:
    rows = rows_of("a network", OWN, [Round({"identity": 1 / 3, "relu": 1 / 7})])
    text = text_of({"steps": rows})

    assert text == text_of(json.loads(json.dumps({"steps": rows})))
    assert json.loads(text)["steps"][0]["microseconds"]["median"] == 333330.0
    shown = activation_cost.shown(rows)
    assert "| identity | 333333 [333333, 333333] | 2.333 [2.333, 2.333] | 0.0 [0.0, 0.0] % |" in shown


@pytest.mark.slow  # opens the images of mnist-5k
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_the_plain_network_has_the_parameters_of_actbenchs(network: str, activation: str) -> None:
    own = activation_cost.state_of(network, activation).stack.trained
    plain = activation_cost.plain_network(network, ACTIVATIONS[activation])

    assert sum(tensor[0].numel() for tensor in own.values()) == sum(one.numel() for one in plain.parameters())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_torchs_module_is_the_activation_of_that_name(activation: str) -> None:
    component, z = resolve("activations", activation), torch.linspace(-4, 4, 101, dtype=torch.float64)
    learned = learned_parameters(component, 1).items()
    starts = {name: torch.full(shape, start, dtype=z.dtype) for name, (shape, start) in learned}
    with torch.no_grad():
        torch.testing.assert_close(ACTIVATIONS[activation]().double()(z), function_of(component)(z, **starts))
