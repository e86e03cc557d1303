"""A user's ``nn.Module`` as an activation: it learns what the built-in one with the same formula does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from actbench import RunRecord, Study, load_network, run
from actbench.errors import UsageError
from actbench.nn.chosen_activations import check_slope, function_of, learned_parameters
from actbench.schema.components import Component, resolve

PRELU = {"name": "own", "path": "torch.nn:PReLU"}
SWISH = {"name": "own", "path": "activation_modules:Swish"}
EQUAL = [
    (SWISH, {"name": "swish", "learned": True}),
    ({**SWISH, "beta": 0.5, "per": "unit"}, {"name": "swish", "beta": 0.5, "learned": True, "per": "unit"}),
    ({**SWISH, "beta": 2.0, "learned": False}, {"name": "swish", "beta": 2.0}),
    ({"name": "own", "path": "activation_modules:made"}, {"name": "swish", "beta": 0.5, "learned": True}),
    (PRELU, {"name": "prelu"}),
    ({**PRELU, "init": 0.1}, {"name": "prelu", "slope": 0.1}),
]
MLP, CNN = {"name": "mlp", "hidden": [16, 8]}, {"name": "cnn", "channels": [[4]], "dense": [8]}


def trained(folder: Path, activations: list[dict[str, Any]], model: dict[str, Any], **more: Any) -> list[RunRecord]:
    content = {
        "study": "modules",
        "dataset": {"name": "digits", "train_size": 200, "test_size": 100},
        "model": model,
        "training": {"epochs": 2, "batch_size": 32, "precision": "float64", "optimizer": {"name": "sgd", "lr": 0.02}},
        "seeds": 1,
        "sweep": {"activation": activations, "bias_init": [0.0, 0.1]},  # two runs of a module side by side
        **more,
    }
    return list(run(Study.model_validate(content), folder, engine="inline", device="cpu"))


def mine(name: str, **options: Any) -> Component:
    return resolve("activations", {"name": "mine", "path": f"activation_modules:{name}", **options})


@pytest.mark.parametrize(("own", "built_in"), EQUAL, ids=lambda choice: str(choice))
@pytest.mark.parametrize("model", [MLP, CNN], ids=lambda model: model["name"])
def test_a_module_trains_as_the_built_in_activation_with_its_formula(
    own: dict[str, Any], built_in: dict[str, Any], model: dict[str, Any], tmp_path: Path
) -> None:
    records = trained(tmp_path, [own, built_in], model)
    by_bias = {(one.spec.activation.name, one.spec.bias_init.value): one for one in records}

    for bias in (0.0, 0.1):
        found, expected = by_bias["own", bias], by_bias[built_in["name"], bias]
        assert found.outcome == "ok"
        for metric in ("test.loss", "test.accuracy", "parameters"):
            assert found.final[metric] == pytest.approx(expected.final[metric], rel=1e-9), metric
        learned = [layer.get("learned", {}).values() for layer in (*found.health["layers"], *expected.health["layers"])]
        half = len(learned) // 2
        assert [[*values] for values in learned[:half]] == [pytest.approx([*values]) for values in learned[half:]]


def test_a_module_gets_the_same_numbers_among_others_and_alone(tmp_path: Path) -> None:
    both = trained(tmp_path / "both", [SWISH, {**SWISH, "name": "other", "beta": 0.1}], MLP)
    (alone,) = trained(tmp_path / "alone", [SWISH], MLP, sweep={}, activation=SWISH, bias_init=0.1)

    (same,) = [one for one in both if (one.spec.activation.name, one.spec.bias_init.value) == ("own", 0.1)]
    assert same.final["test.loss"] == alone.final["test.loss"]


@pytest.mark.parametrize(("own", "built_in"), EQUAL[1:5:3], ids=lambda choice: str(choice))
def test_a_kept_network_gives_back_what_a_module_has_learned(
    own: dict[str, Any], built_in: dict[str, Any], tmp_path: Path
) -> None:
    training = {"epochs": 2, "batch_size": 32, "precision": "float64", "keep_weights": "last"}
    records = trained(tmp_path, [own, built_in], MLP, training=training)
    x = torch.linspace(-2, 2, 3 * 64, dtype=torch.float64).view(3, 1, 8, 8)
    logits = {
        (one.spec.activation.name, one.spec.bias_init.value): load_network(one, results=tmp_path)(x) for one in records
    }

    for bias in (0.0, 0.1):
        torch.testing.assert_close(logits["own", bias], logits[built_in["name"], bias])


def test_every_precision_keeps_its_type() -> None:
    function = function_of(mine("Swish"))
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        z = torch.linspace(-2, 2, 12, dtype=dtype).view(2, 1, 6)
        assert function(z, beta=torch.ones(2, 1, 1, dtype=dtype)).dtype == dtype


def test_a_start_that_is_drawn_is_the_same_each_time_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    starts = [learned_parameters(mine("Drawn"), 4) for _ in range(2)]

    assert starts[0] == starts[1]
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_reach_z_through_a_module() -> None:
    check_slope(mine("Swish", per="unit"))


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("Wide", {}, "'slopes' of 'activation_modules:Wide' holds 64 numbers"),
        ("Swish", {"gamma": 1}, "can't be made: TypeError"),
        ("made", {"beta": 1.0}, "takes no options"),
        ("Swish", {"per": "channel"}, "'per' is layer or unit"),
        ("Swish", {"per": "unit", "learned": False}, "'per' has no effect"),
        ("Noisy", {}, "not elementwise"),
        ("FirstRunOnly", {"per": "unit"}, "does not use each unit's own parameters"),
    ],
)
def test_a_module_that_can_not_be_an_activation_is_refused(name: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        function_of(mine(name, **options))


def test_torchs_own_module_that_wants_units_in_one_dimension_is_refused_for_units() -> None:
    with pytest.raises(UsageError, match="can't be given parameters for each unit"):
        function_of(resolve("activations", {**PRELU, "per": "unit"}))
