"""A user's ``nn.Module`` trains as a cohort of one, with the run's activation, initialisation and health."""

from __future__ import annotations

import pytest
import torch
from small_runs import CPU, numbers, records, spec

from actbench.errors import UsageError
from actbench.schema.events import Failed
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.training.loop import check_cohort, run_cohort
from actbench.training.state import TrainState


def own(attribute: str, **options: object) -> RunSpec:
    changes = {key: options.pop(key) for key in ("activation", "bias_init", "seed") if key in options}
    return spec(model={"name": "mine", "path": f"user_parts:{attribute}", **options}, **changes)


@pytest.mark.parametrize("activation", ["relu", "prelu", {"name": "prelu", "per": "unit"}, "rrelu", "swish"])
@pytest.mark.parametrize("bias", [0.01, "pytorch"])
def test_the_same_network_written_as_a_module_trains_bit_equally(activation: object, bias: object) -> None:
    (theirs,) = records(own("plain_mlp", activation=activation, bias_init=bias))
    (ours,) = records(spec(activation=activation, bias_init=bias))
    assert theirs.final["test.loss"] == ours.final["test.loss"]
    assert theirs.final["parameters"] == ours.final["parameters"]
    for one, other in zip(theirs.curves, ours.curves, strict=True):
        assert one["train.loss"] == other["train.loss"]
        assert one["health.dead_fraction"] == other["health.dead_fraction"]


def test_an_activation_used_twice_is_two_layers() -> None:
    (record,) = records(own("net", activation="relu"))
    assert [layer["name"] for layer in record.health["layers"]] == ["act", "act#2"]
    assert [layer["units"] for layer in record.health["layers"]] == [12, 12]


LAYOUTS = ["flat", "channels last", "with examples"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("activation", ["relu", "rrelu", "prelu", "tanh"])
def test_the_units_of_a_users_convolution_are_its_channels_however_they_are_laid_out(
    layout: str, activation: str
) -> None:
    """Pixels that are always dark made dead units of flattened channels; all else is equal to the last bit."""
    bias = -0.05 if activation == "relu" else 0.0
    (plain,) = records(own("laid", layout="channels first", activation=activation, bias_init=bias))
    (other,) = records(own("laid", layout=layout, activation=activation, bias_init=bias))
    assert [layer["units"] for layer in other.health["layers"]] == [8]
    if activation == "rrelu":  # draws its noise in the order of the numbers
        assert other.health["layers"][0]["dead"] == 0
        return
    for one, theirs in zip(plain.curves, other.curves, strict=True):
        assert theirs["train.loss"] == pytest.approx(one["train.loss"], rel=1e-9)
        for mine, layer in zip(one["layers"], theirs["layers"], strict=True):
            for key in ("dead", "constant", "rare", "dormant", "always_on"):
                assert layer[key] == mine[key]
            for key in ("sparsity", "saturation", "spatially_silent"):
                assert layer[key] == pytest.approx(mine[key], rel=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_slope_for_each_unit_is_one_for_each_channel(layout: str) -> None:
    prelu = {"name": "prelu", "per": "unit"}
    (plain,), (other,) = (
        records(own("laid", layout=layout, activation=prelu, bias_init=0.0)) for layout in ("channels first", layout)
    )
    assert other.final["parameters"] == plain.final["parameters"]
    assert other.final["train.loss"] == pytest.approx(plain.final["train.loss"], rel=1e-9)


def test_units_that_cannot_be_followed_are_refused_unless_they_are_named() -> None:
    (failure,) = check_cohort(Cohort((own("laid", layout="unknown"),)), CPU)
    assert isinstance(failure, Failed)
    assert failure.usage
    assert "the input of 'act' holds its units can't be followed" in failure.message
    assert "activation(unit_axis=1)" in failure.message
    (record,) = records(own("laid", layout="unknown", unit_axis=1))
    assert [layer["units"] for layer in record.health["layers"]] == [8]


@pytest.mark.parametrize("layout", ["not on zeros", "flat, not on zeros"])
def test_other_units_than_those_counted_before_training_are_named(layout: str) -> None:
    (failure,) = [
        event for event in run_cohort(Cohort((own("laid", layout=layout),)), CPU) if isinstance(event, Failed)
    ]
    assert failure.usage
    assert "'act' had 8 units when the layers were counted on one zero image" in failure.message


def test_dropout_and_batch_norm_repeat_themselves_and_leave_the_global_generator_alone() -> None:
    torch.random.fork_rng()
    before = torch.get_rng_state()
    (one,) = records(own("net", width=8))
    torch.rand(3)
    (other,) = records(own("net", width=8))
    assert numbers(one) == numbers(other)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(before)
        expected = torch.rand(3)
    torch.set_rng_state(before)
    records(own("net", width=8))
    assert torch.equal(torch.rand(3), expected)


def test_options_reach_the_factory() -> None:
    narrow, wide = (TrainState.open(Cohort((own("net", width=width),)), CPU) for width in (8, 16))
    assert wide.stack.parameter_count(0) > narrow.stack.parameter_count(0)


def test_a_module_that_never_calls_the_activation_has_no_health_to_report() -> None:
    (record,) = records(own("without_activation"))
    assert record.health["layers"] == []
    assert record.final["health.dead_fraction"] is None


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (own("wrong_size"), "should return logits of shape"),
        (own("probabilities"), "forward returns probabilities (they sum to 1); leave out the softmax"),
        (own("no_module"), "returned str, not an nn.Module"),
        (own("raises"), "the factory fails: ValueError: no such network"),
        (own("needs_more", width=3), "the factory fails"),
        (own("fails_in_forward"), "forward fails on an image"),
        (own("absent"), "module 'user_parts' has no 'absent'"),
        (own("odd", how="vmap"), "'act' was called inside a function transform (torch.vmap, torch.func.grad …)"),
        (own("odd", how="grad"), "'act' was called inside a function transform"),
        (own("odd", how="complex"), "'act' was called with complex numbers; call one activation on z.real and one on"),
        (own("odd", how="list"), "'act' was called with list, not with a tensor"),
        (own("net", bias_init=None), "build it with bias=False"),
        (spec(model={"name": "mine", "path": "absent_module:net"}), "can't import 'absent_module'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_module_is_refused_before_training(run: RunSpec, message: str) -> None:
    (failure,) = check_cohort(Cohort((run,)), CPU)
    assert isinstance(failure, Failed)
    assert failure.usage
    assert message in failure.message


def test_log_probabilities_are_logits_too() -> None:
    assert list(check_cohort(Cohort((own("log_probabilities"),)), CPU)) == []


def test_an_activation_that_cuts_off_the_gradient_is_refused_before_training() -> None:
    cut = spec(activation={"name": "cut", "path": "user_parts:cut_off"})
    (failed,) = check_cohort(Cohort((cut,)), CPU)
    assert isinstance(failed, Failed)
    assert failed.usage
    assert "no gradient reaches z through 'user_parts:cut_off'" in failed.message


def test_a_run_that_diverges_by_an_overflow_of_its_formula_says_where() -> None:
    wild = {"precision": "float32", "optimizer": {"name": "sgd", "lr": 30.0}}
    (record,) = records(spec(activation="x * tanh(log(1 + exp(x)))", training=wild))
    assert record.outcome == "diverged"
    assert "the activation or its slope overflows at z = 91.2: write it so that no part overflows" in record.message


def test_a_users_own_activation_is_measured_like_any_other() -> None:
    mine = {"name": "shifted", "path": "user_parts:shifted_relu", "shift": 0.0}
    (theirs,), (ours,) = records(spec(activation=mine)), records(spec(activation="relu"))
    assert theirs.final["test.loss"] == ours.final["test.loss"]
    assert theirs.health == ours.health


def test_an_activation_that_is_not_there_is_a_usage_error() -> None:
    run = spec(activation={"name": "mine", "path": "user_parts:nothing"})
    (failure,) = [event for event in run_cohort(Cohort((run,)), CPU) if isinstance(event, Failed)]
    assert failure.usage
    with pytest.raises(UsageError, match="nothing"):
        TrainState.open(Cohort((run,)), CPU)


def test_a_module_trains_in_bfloat16_too() -> None:
    """Its layers are cast by torch's autocast, which keeps batch norm in float32."""
    model = {"name": "mine", "path": "user_parts:net"}
    (coarse,) = records(spec(model=model, training={"precision": "bfloat16"}))
    (fine,) = records(spec(model=model, training={"precision": "float32"}))
    assert coarse.outcome == fine.outcome == "ok"
    assert coarse.final["train.loss"] == pytest.approx(fine.final["train.loss"], rel=0.1)
    assert coarse.final["train.loss"] != fine.final["train.loss"]


def test_an_activation_called_in_the_backward_pass_is_refused_with_the_reason() -> None:
    events = run_cohort(Cohort((own("odd", how="checkpoint"),)), CPU)
    (failure,) = [event for event in events if isinstance(event, Failed)]
    assert failure.usage
    assert "such as in the backward pass of torch.utils.checkpoint; leave that out" in failure.message


def test_units_of_a_users_module_that_are_not_finite_are_counted_apart() -> None:
    (record,) = records(own("odd", how="not finite"))
    (layer,) = record.health["layers"]
    assert (record.outcome, layer["units"], layer["not_finite"]) == ("ok", 8, 2)
    assert record.health["dead_fraction"] == record.final["health.dead_fraction"] == layer["dead"] / 6
    assert record.curves[-1]["health.not_finite_fraction"] == 2 / 8
    assert "act: 2 of 8 units are NaN or infinite on the probe" in "\n".join(record.health["diagnosis"])


@pytest.mark.parametrize(
    ("rule", "epochs"),
    [("at first", [True, False, False]), ("later", [False, True, True]), ("never", [False] * 3)],
)
def test_a_layer_that_is_not_always_called_is_measured_where_it_is(rule: str, epochs: list[bool]) -> None:
    (record,) = records(own("experts", rule=rule))
    names = [[layer["name"] for layer in row["layers"]] for row in record.curves]
    assert [("experts.0.1" in found) for found in names] == epochs
    assert all("experts.1.1" in found for found in names)
    gone = [text for text in record.health["diagnosis"] if "not called on the probe" in text]
    assert gone == (["experts.0.1: not called on the probe since epoch 1; its units are in no count from there on"]
                    if rule == "at first" else [])  # fmt: skip
    assert not [text for text in record.health["diagnosis"] if rule == "later" and "experts.0.1" in text
                and "initialisation" in text]  # fmt: skip


def test_a_layer_that_is_not_called_where_gradients_are_taken_has_no_gradient_norm() -> None:
    model = {"name": "mine", "path": "user_parts:experts", "rule": "in small batches"}
    (record,) = records(spec(model=model, dataset="digits", training={"epochs": 1}))
    norms = {layer["name"]: layer["gradient_norm"] for layer in record.health["layers"]}
    assert norms["experts.0.1"] is None
    assert norms["experts.1.1"] > 0
    assert record.final["health.gradient_ratio"] == 1.0, "of one layer"
