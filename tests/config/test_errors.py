"""Every problem of a config at once, each at its place, in words; whatever the text, only deliberate errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import CONFIGS, PIECES, TEXTS, WRONG, mutated

from actbench.config import Study
from actbench.errors import ConfigError

REPORT = """\
x.yaml:1:8: 'dying relu' can't name a study and its folder: use up to 100 letters, digits, '.', '_' or '-', \
not first a '.'
  study: dying relu
         ^^^^^^^^^^
x.yaml:2:34: 'hidden[1]' should be a whole number, not 'x'
  model: {name: mlp, hidden: [256, x], droput: 0.1}
                                   ^
x.yaml:2:38: unknown key 'droput' — did you mean 'dropout'?
  model: {name: mlp, hidden: [256, x], droput: 0.1}
                                       ^^^^^^
x.yaml:4:3: unknown key 'epohcs' — did you mean 'epochs'?
    epohcs: 5
    ^^^^^^
x.yaml:5:15: 'batch_size' should be a whole number, not '12'
    batch_size: "12"
                ^^^^
x.yaml:6:21: unknown optimizer 'sdg' — did you mean 'sgd'?
    optimizer: {name: sdg}
                      ^^^
x.yaml:7:12: 'bias_init' should be a number, 'pytorch' or null, not 'bytorch'
  bias_init: bytorch
             ^^^^^^^
x.yaml:8:12: 0 stands here twice
  seeds: [0, 0, x]
             ^
x.yaml:8:15: a seed should be a whole number from 0 up, not 'x'
  seeds: [0, 0, x]
                ^
x.yaml:10:34: unknown key 'alhpa' — did you mean 'alpha'?
    activation: [relu, {name: elu, alhpa: 1}, reluu]
                                   ^^^^^
x.yaml:10:45: unknown activation 'reluu' — did you mean 'relu'?
    activation: [relu, {name: elu, alhpa: 1}, reluu]
                                              ^^^^^
x.yaml:11:3: unknown key 'bias_intt' — did you mean 'bias_init'?
    bias_intt: [1]
    ^^^^^^^^^
x.yaml:12:16: 'sweep.weight_init' has no values: list some, or remove the key
    weight_init: []
                 ^^
x.yaml:13:50: unknown metric 'test.acc' — did you mean 'test.accuracy'?
  compare: {baseline: {activation: gelu}, metric: [test.acc]}
                                                   ^^^^^^^^
x.yaml:14:10: an expectation should be a string that is not empty: put it in quotes
  expect: [5]
           ^
x.yaml:15:1: unknown key 'extra' — valid here: study, description, seeds, sweep, zip, cases, case, exclude, compare, \
tune, expect, dataset, model, activation, weight_init, bias_init, output_bias, draws, order_seed, training, health, base
  extra: 1
  ^^^^^
x.yaml:16:1: duplicate key 'extra': it already stands at 15:1
  extra: 2
  ^^^^^
command line: 'training.lr=1': unknown key 'training.lr' — did you mean 'training.optimizer.lr'?"""


def test_a_report_names_every_problem_in_file_order_with_its_line_underlined() -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(WRONG, ["training.lr=1"], source="x.yaml")

    assert str(caught.value) == REPORT


SINGLE = [
    ("seed: 3", "1:1", "unknown key 'seed' — did you mean 'seeds'?"),
    ("seeds: 0", "1:8", "'seeds' should be a number from 1 to 100,000, or a list of seeds, not 0"),
    ("seeds: true", "1:8", "'seeds' should be how many, or a list of different whole numbers, not true"),
    ("seeds: []", "1:8", "'seeds' should be how many, or a list of different whole numbers, not []"),
    ("seeds: 1.5", "1:8", "'seeds' should be how many, or a list of different whole numbers, not 1.5"),
    ("bias_init: true", "1:12", "'bias_init' should be a number, 'pytorch' or null, not true"),
    ("training: 5", "1:11", "'training' should be a mapping, not 5"),
    ("training:\n  decay: some\n", "2:10", "'decay' should be 'all' or 'weights', not 'some'"),
    ("model:\n  hidden: [3]\n", "1:1", "needs a 'name', such as cnn or mlp"),
    ("dataset: {name: idx}", "1:10", "'root' is required"),
    ("activation: null", "1:13", "expected a name or a mapping with a name, not null"),
    ("activation: relu\nsweep: {activation: [{name: elu, alpha: [1]}]}", "2:41", "'alpha' should be a number, not [1]"),
    (
        "sweep: {activation: [relu, elu], activation.alpha: [2.0]}",
        "1:53",
        "unknown key 'alpha' — it is an option of elu",
    ),
    ("activation: reluu\nsweep: {activation: [relu, elu]}", "1:13", "unknown activation 'reluu'"),
    ("sweep: {seed: [1]}", "1:9", "unknown key 'seed' — each combination runs with all of the study's 'seeds' anyway"),
    ("sweep: {seeds: [1]}", "1:9", "unknown key 'seeds' — each"),
    ("sweep: {batch_size: [1]}", "1:9", "unknown key 'batch_size' — did you mean 'training.batch_size'?"),
    ("sweep: {training.epochs.x: [1]}", "1:9", "unknown key 'training.epochs.x' — 'training.epochs' is a single value"),
    ("sweep: {model.hidden.x: [1]}", "1:9", "unknown key 'model.hidden.x'"),
    ("sweep: {bias_init: 0.1}", "1:20", "'sweep.bias_init' should be a list of values: write bias_init: [0.1]"),
    ("sweep: {activation: [relu, relu]}", "1:28", "'relu' stands here twice"),
    ("sweep: [relu]", "1:8", "'sweep' should be a mapping from keys to lists of values"),
    ("compare: {baseline: {bias: 1}}", "1:22", "unknown key 'bias' — did you mean 'bias_init'?"),
    ("compare: {baseline: 1}", "1:21", "'baseline' should be a mapping from factors to values"),
    ("compare: {metric: test.acuracy}", "1:19", "unknown metric 'test.acuracy' — did you mean 'test.accuracy'?"),
    ("compare: {metrics: x}", "1:11", "unknown key 'metrics' — did you mean 'metric'?"),
    (
        "sweep: {bias_init: [0.0, 1.0]}\ncompare: {baseline: {bias_init: 2.0}}",
        "2:33",
        "2.0 is none of the swept values of 'bias_init': 0.0, 1.0",
    ),
    (
        "sweep: {activation: [relu, elu]}\nexpect: ['test.accuracy: activation=relu < activation=gleu']",
        "2:10",
        "'gleu' is none of the swept values of 'activation': 'relu', 'elu'",
    ),
    (
        "sweep: {activation: [relu, elu]}\nexpect: ['test.loss < 1', 'test.loss < 1 where activation=relux']",
        "2:27",
        "'relux' is none of the swept values of 'activation': 'relu', 'elu'",
    ),
    (
        "activation: [relu, gelu]",
        "1:13",
        "several values for one run: to try each, write sweep: {activation: [relu, gelu]}",
    ),
    ("activation: {name: [relu, gelu]}", "1:20", "several values for one run: to try each, write sweep: {activation: "),
    (
        "activation: {values: [relu, gelu]}",
        "1:13",
        "several values for one run: to try each, write sweep: {activation: ",
    ),
    ("bias_init: [0, 0.01]", "1:12", "several values for one run: to try each, write sweep: {bias_init: [0, 0.01]}"),
    (
        "training: {epochs: [1, 2]}",
        "1:20",
        "several values for one run: to try each, write sweep: {training.epochs: [1, 2]}",
    ),
    (
        "model: {name: mlp, dropout: [0, 0.1]}",
        "1:29",
        "several values for one run: to try each, write sweep: {model.dropout:",
    ),
    ("sweep: {activation: {values: [relu, gelu]}}", "1:21", "'sweep.activation' is the list of values itself, without"),
    ("activation: {name: relu, path: 'torch:tanh'}", "1:20", "'relu' is built in, and tables could not tell"),
    (
        "training: {optimizer: {name: sgd, lr: 1e-320}}",
        "1:39",
        "1e-320 is lost in float32: write at least 1.2e-38, or 0 where that is allowed",
    ),
    ("activation: elu(alpha=-1)", "1:13", "'alpha' should be greater than 0, not -1"),
    ("bias_init: 1e39", "1:12", "'bias_init': 1e+39 is beyond float32: at most 3.4e+38"),
    ("training: {clip_norm: 1e300}", "1:23", "1e+300 is beyond float32: at most 3.4e+38"),
    ("expect: one", "1:9", "'expect' should be a list of strings"),
    ("study: ..", "1:8", "'..' can't name a study and its folder"),
    ("study: a/b", "1:8", "'a/b' can't name a study and its folder"),
    ('study: "a\\n"', "1:8", "'a\\n' can't name a study and its folder"),
    ("study: 5", "1:8", "5 can't name a study and its folder"),
    (
        "seeds: 1000\nsweep:\n  bias_init: [1, 2]\n  training.batch_size: [" + ",".join(map(str, range(1, 100))) + "]",
        "2:1",
        "198,000 runs are more than a study may have: 100,000",
    ),
]


@pytest.mark.parametrize(("text", "place", "message"), SINGLE)
def test_a_problem_gives_one_message_at_its_place(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, source="x.yaml")
    (problem,) = caught.value.problems

    assert problem.where == f"x.yaml:{place}"
    assert problem.message.startswith(message)


def test_a_study_from_python_names_the_dotted_key() -> None:
    with pytest.raises(ConfigError) as caught:
        Study(training={"epohcs": 3}, seeds=0)

    assert {problem.where for problem in caught.value.problems} == {"training.epohcs", "seeds"}


@pytest.mark.parametrize("value", [float("nan"), 10**400, object()])
def test_a_study_from_python_refuses_what_no_config_could_say(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^sweep\.bias_init\.0: a value of type"):
        Study(sweep={"bias_init": [value]})


def test_a_problem_does_not_steer_the_terminal() -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text('activation: "\\e[31mred"', source="x\x1b.yaml")

    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("quikstart.yaml", "no such file — did you mean '"),
        ("", "is a folder: name a config file inside it"),
        ("a\0b", "can't be read: embedded null byte"),
        ("smoke.yaml/x", "can't be read: Not a directory"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_yaml(f"{CONFIGS}/{name}")

    assert caught.value.problems[0].message.startswith(message)


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"seeds: 1\nstudy: caf\xe9\n", "2:11", "byte 0xe9 is not UTF-8 text"),
        (b"\xff\xfes\x00", "1:1", "byte 0xff is not UTF-8 text"),
        (b"", "1:1", "this config is empty"),
    ],
)
def test_a_file_that_is_no_text_is_refused_at_its_place(
    tmp_path: Path, content: bytes, place: str, message: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        Study.from_yaml(path)
    (problem,) = caught.value.problems

    assert problem.where == f"{path}:{place}"
    assert problem.message.startswith(message)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=mutated() | st.text() | st.lists(PIECES, max_size=12).map("".join))
def test_whatever_the_text_only_a_config_error_escapes(text: str) -> None:
    report = _report(text)

    assert "type=" not in report
    assert "pydantic" not in report


KEYS = ["", "activation", "activation.alpha", "sweep.bias_init", "sweep", "training", "training.optimizer.lr", "seeds"]


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(KEYS), value=st.lists(PIECES, max_size=6).map("".join), text=st.sampled_from(TEXTS[-3:]))
def test_whatever_the_override_only_a_config_error_escapes(key: str, value: str, text: str) -> None:
    assert "pydantic" not in _report(text, f"{key}={value}")


def _report(text: str, *overrides: str) -> str:
    """What the user reads; empty for a valid config."""
    try:
        Study.from_text(text, overrides, source="x.yaml").smoke()
    except ConfigError as error:
        return str(error)
    return ""


def test_a_file_over_a_megabyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("é".encode() * 500_001)

    with pytest.raises(ConfigError, match="larger than 1,000,000 bytes"):
        Study.from_yaml(path)


CUT = [
    ("sweep: {activation: [relu, max(x, 0.1*x), elu]}", "1:28", "max(x, 0.1*x)"),
    ("sweep: {activation: [where(x > 0, x, 0.1*x)]}", "1:22", "where(x > 0, x, 0.1*x)"),
    ("{activation: clamp(x, 0, max(1, x)), seeds: 1}", "1:14", "clamp(x, 0, max(1, x))"),
    ("sweep: {activation: [prelu(learned=false, per=unit)]}", "1:22", "prelu(learned=false, per=unit)"),
    ("sweep: {activation: [max(x,\n    0.1*x)]}", "1:22", "max(x, 0.1*x)"),
]


@pytest.mark.parametrize(("text", "place", "whole"), CUT)
def test_a_value_that_yaml_cut_at_its_commas_is_one_problem_with_what_to_write(
    text: str, place: str, whole: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, source="x.yaml")
    (problem,) = caught.value.problems

    assert problem.where == f"x.yaml:{place}"
    assert problem.message == f"YAML cuts this value at its commas: put it in quotes, '{whole}'"
    quoted = " ".join(text.split()).replace(whole, f"'{whole}'")
    assert Study.from_text(quoted, source="x.yaml").specs()


def test_a_bracket_that_no_further_part_closes_is_left_to_the_formula() -> None:
    with pytest.raises(ConfigError, match="not a formula: '\\(' was never closed"):
        Study.from_text("sweep: {activation: [max(x, elu]}", source="x.yaml")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("sweep:\n  activation:\n  - relu\n   - gelu", "3:5", "this text goes on in line 4: is that line indented too"),
        ("training:\n  epochs: 3\n   batch_size: 3", "3:14", "this line is indented otherwise than the keys"),
        ("training:\n  epochs: 3\n batch_size: 3", "3:2", "this line is indented otherwise than the keys"),
        ("activation: lambda x: max(x, 0)", "1:21", "a second ': ' in one line"),
        ("activation: [relu, gelu", "1:24", "a comma or the closing ']' is missing here: the list, which began in"),
        ("activation: 'relu", "1:13", "a quote is opened and never closed"),
        ("activation: *x", "1:13", "begins with * is an alias in YAML: put it in quotes"),
    ],
)
def test_a_slip_in_yaml_is_told_in_words(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, source="x.yaml")
    (problem,) = caught.value.problems

    assert problem.where == f"x.yaml:{place}"
    assert message in problem.message
