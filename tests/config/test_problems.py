"""One kind of problem and one error for every mistake in a config."""

from __future__ import annotations

import pickle

import pytest

from actbench.config import Study
from actbench.errors import ConfigError, Problem
from actbench.schema.components import resolve
from actbench.schema.spec import Training


def test_an_error_lists_each_problem_once_in_the_order_of_the_file() -> None:
    later, earlier = Problem("b", place="x:2:1", order=(0, 1, 0)), Problem("a", place="x:1:1", order=(0, 0, 0))
    argument = Problem("c", place="command line: 'y'", order=(1, 0, 0))

    error = ConfigError([argument, later, earlier, later])

    assert error.problems == (earlier, later, argument)
    assert (str(error), error.messages) == ("x:1:1: a\nx:2:1: b\ncommand line: 'y': c", "a; b; c")


def test_a_problem_without_a_place_names_the_dotted_key() -> None:
    assert (
        str(Problem("is wrong", ("alpha",)).below(("sweep", "activation", 1))) == "sweep.activation.1.alpha: is wrong"
    )
    assert str(ConfigError("is wrong")) == "is wrong"


def test_a_component_an_options_mapping_and_a_study_raise_the_same_error() -> None:
    for refused in (
        lambda: resolve("optimizers", {"name": "sgd", "lrr": 1}),
        lambda: Training.parse({"epohcs": 1}),
        lambda: Study(training={"optimizer": {"name": "sgd", "lrr": 1}}),
    ):
        with pytest.raises(ConfigError, match="did you mean") as caught:
            refused()
        (problem,) = caught.value.problems
        assert problem.at_key


def test_an_error_survives_the_way_from_a_worker() -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text("seeds: 0\ntrainin: 1\n", source="x.yaml")

    again = pickle.loads(pickle.dumps(caught.value))

    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)


@pytest.mark.parametrize(
    ("text", "overrides", "messages"),
    [
        ("seeds: [18446744073709551616]", [], ["an integer beyond 64 bits"]),
        ("seeds: [.inf, -1]", [], [".inf is not a finite number", "a seed should be a whole number from 0 up, not -1"]),
        ("dataset: {name: idx, root: .inf}", [], [".inf is not a finite number"]),
        ("training: {optimizer: {name: .inf}}", [], [".inf is not a finite number"]),
        ("model: {name: mlp, hidden: [.nan]}", [], [".nan is not a finite number"]),
        ("compare: {metric: [.inf]}", [], [".inf is not a finite number"]),
        ("sweep: {bias_init: [.nan]}", [], [".nan is not a finite number"]),
        ("sweep: {bias_init: .nan}\ntune: [bias_init]", [], [".nan is not a finite number"]),
        ("tune: [bias_init]", ["sweep.bias_init=[.nan]"], ["in the value: .nan is not a finite number"]),
        ("seeds: [1]", ["seeds=[18446744073709551616]"], ["in the value: an integer beyond 64 bits"]),
    ],
)
def test_a_value_that_can_t_be_read_is_one_problem_and_its_absence_no_second_one(
    text: str, overrides: list[str], messages: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, overrides, source="x.yaml")

    assert [problem.message for problem in caught.value.problems] == messages


def test_an_unknown_key_is_reported_beside_a_value_in_it_that_can_t_be_read() -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text("sedes: [.inf]", source="x.yaml")

    assert ["unknown key 'sedes'" in str(caught.value), ".inf is not a finite number" in str(caught.value)] == [
        True
    ] * 2
