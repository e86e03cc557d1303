"""Keys at the wrong level, or as other tools call them: the full key is named, and the line to write."""

from __future__ import annotations

import pytest

from actbench.config import Study
from actbench.config.keys import path_of
from actbench.config.nodes import read
from actbench.config.places import SourceText
from actbench.config.unknown_keys import meant_keys, refusal
from actbench.errors import ConfigError

SHORT = [
    ("lr", "training.optimizer.lr"),
    ("epochs", "training.epochs"),
    ("batch_size", "training.batch_size"),
    ("optimizer", "training.optimizer"),
    ("optimizer.lr", "training.optimizer.lr"),
    ("training.lr", "training.optimizer.lr"),
    ("hidden", "model.hidden"),
    ("warmup_epochs", "training.schedule.warmup_epochs"),
    ("dead_slope", "health.dead_slope"),
    ("learning_rate", "training.optimizer.lr"),
    ("LearningRate", "training.optimizer.lr"),
    ("num_epochs", "training.epochs"),
    ("nonlinearity", "activation"),
    ("root", "dataset.root"),
]


def _problem(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, overrides, source="x.yaml")
    (problem,) = caught.value.problems
    return problem.message


@pytest.mark.parametrize(("key", "full"), SHORT)
def test_an_override_by_a_short_key_is_answered_with_the_full_one(key: str, full: str) -> None:
    answer = f"unknown key '{key}' — did you mean '{full}'?"

    assert _problem("{}", f"{key}=1") == answer
    assert _problem("{}", f"{key}=1,2") == answer


@pytest.mark.parametrize(("key", "full"), SHORT)
def test_a_short_key_in_a_sweep_a_baseline_a_hypothesis_and_tune_is_answered_with_the_full_one(
    key: str, full: str
) -> None:
    answer = f"unknown key '{key}' — did you mean '{full}'?"

    assert _problem(f"sweep: {{{key}: [1, 2]}}") == answer
    assert _problem(f"compare: {{baseline: {{{key}: 1}}}}") == answer
    assert _problem(f"expect: ['test.loss < 1 where {key}=1']") == answer
    assert _problem(f"tune: {key}") == answer


WRITTEN = [
    ("lr: 0.1", "training: {optimizer: {name: sgd, lr: 0.1}}"),
    ("learning_rate: 0.1\ntraining: {optimizer: adam}", "training: {optimizer: {name: adam, lr: 0.1}}"),
    ("epochs: 3", "training: {epochs: 3}"),
    ("training: {lr: 0.1}", "training: {optimizer: {name: sgd, lr: 0.1}}"),
    ("training: {dropout: 0.1}\nmodel: cnn", "model: {name: cnn, dropout: 0.1}"),
    ("hidden: [64, 64]", "model: {name: mlp, hidden: [64, 64]}"),
    ("baseline: {activation: relu}", "compare: {baseline: {activation: relu}}"),
    ("training.epochs: 3", "training: {epochs: 3}"),
    ("training: {optimizer.lr: 0.1}", "training: {optimizer: {name: sgd, lr: 0.1}}"),
]


@pytest.mark.parametrize(("text", "written"), WRITTEN)
def test_a_key_at_the_wrong_level_of_a_file_is_answered_with_a_line_that_is_valid(text: str, written: str) -> None:
    message = _problem(text)

    assert message.endswith(f"write {written}")
    assert Study.from_text(message.rpartition("write ")[2]).specs()


def test_a_key_that_several_parts_have_is_answered_with_all_of_them() -> None:
    assert _problem("alpha: 0.2") == (
        "unknown key 'alpha' — did you mean 'activation.alpha' or 'training.optimizer.alpha'?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "activation: {name: relu, alpha: 0.2}",
            "unknown key 'alpha' — it is an option of elu, celu, aptx, isrlu, snake; valid for 'relu': no options",
        ),
        (
            "model: {name: mlp, channels: [3]}",
            "unknown key 'channels' — it is an option of cnn; valid for 'mlp': hidden, norm, norm_alpha, batch_norm, "
            "dropout, dropout_kind, match",
        ),
        (
            "activation: elu(beta=1)",
            "unknown key 'beta' — it is an option of swish, softplus, xielu, aptx; valid for 'elu': alpha",
        ),
        (
            "activation: {name: lrelu, alpha: 0.2}",
            "unknown key 'alpha' — it is an option of elu, celu, aptx, isrlu, snake; valid for 'leaky_relu': "
            "negative_slope",
        ),
        ("device: cpu", "unknown key 'device' — how runs are computed is said by options of the command: --device"),
    ],
)
def test_a_key_that_is_valid_elsewhere_is_told_where(text: str, message: str) -> None:
    assert _problem(text) == message


def test_every_name_of_another_tool_leads_to_a_key_that_there_is() -> None:
    from actbench.config.checking import DESIGN_KEYS
    from actbench.config.unknown_keys import ELSEWHERE

    for name, full in ELSEWHERE.items():
        assert meant_keys(name) == (full,), name
        assert refusal(full) is None or path_of(full)[0] in (*DESIGN_KEYS, "base"), name


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("activation: [relu, gelu]", "sweep: {activation: [relu, gelu]}"),
        ("activation: relu, gelu", "sweep: {activation: [relu, gelu]}"),
        ("activation: relu gelu", "sweep: {activation: [relu, gelu]}"),
        ("activation: {values: [relu, 'max(x, 0)']}", "sweep: {activation: [relu, 'max(x, 0)']}"),
        ("bias_init: {values: [0]}", "sweep: {bias_init: [0]}"),
    ],
)
def test_several_values_outside_of_the_sweep_are_told_what_to_write(text: str, written: str) -> None:
    message = _problem(text)

    assert message == f"several values for one run: to try each, write {written}"
    assert Study.from_text(written).specs()


@pytest.mark.parametrize("value", ["[relu, gelu]", "relu gelu", "{values: [relu, gelu]}"])
def test_several_values_in_an_override_are_told_what_to_type(value: str) -> None:
    message = _problem("{}", f"activation={value}")

    assert message == "several values for one run: to try each, write activation=relu,gelu"


@pytest.mark.parametrize(
    ("sweep", "written"),
    [
        ("{activation: {values: [relu, 'max(x, 0)']}}", "activation: [relu, 'max(x, 0)']"),
        ("{training: {optimizer: {lr: [0.1, 0.2]}}}", "training.optimizer.lr: [0.1, 0.2]"),
        ("{training: {epochs: {grid: [1, 2]}}}", "training.epochs: [1, 2]"),
        ("{bias_init: 0.1}", "bias_init: [0.1]"),
    ],
)
def test_a_line_of_the_sweep_in_another_form_is_told_what_to_write(sweep: str, written: str) -> None:
    message = _problem(f"sweep: {sweep}")

    assert message.endswith(f"write {written}")
    assert Study.from_text(f"sweep: {{{written}}}").specs()


def test_a_list_too_long_for_its_own_key_is_no_sweep() -> None:
    assert _problem("training: {optimizer: {name: adam, betas: [0.9, 0.99, 0.999]}}") == (
        "'betas' should have at most 2 items, not 3"
    )


def test_a_line_that_is_offered_is_yaml() -> None:
    assert read(SourceText("", "{training: {optimizer: {name: sgd, lr: 0.1}}}")).content
