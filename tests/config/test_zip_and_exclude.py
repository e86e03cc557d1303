"""``zip``, keys that change in step, and ``exclude``, cells that are left out: the runs, and the slips."""

from __future__ import annotations

from typing import Any

import pytest

from actbench.config import Study
from actbench.errors import ConfigError

ZIP = "zip: {training.optimizer.lr: [0.1, 0.01], training.epochs: [1, 2]}\n"
SWEEP = "sweep: {activation: [relu, {name: elu, alpha: 0.2}], bias_init: [0.0, 0.1]}\n"


def _cells(study: Study) -> list[tuple[Any, ...]]:
    return [
        (
            spec.activation.label,
            spec.bias_init.value,
            spec.training.optimizer.options["lr"],
            spec.training.epochs,
        )
        for spec in study.specs()
        if spec.seed == study.seeds[0]
    ]


def _problem(text: str, *overrides: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, overrides, source="x.yaml")
    (problem,) = caught.value.problems
    return problem.where.removeprefix("x.yaml:"), problem.message


def test_keys_in_zip_change_in_step_and_with_every_cell_of_the_sweep() -> None:
    study = Study.from_text(ZIP + "sweep: {activation: [relu, elu]}\n")

    assert _cells(study) == [
        (activation, 0.0, lr, epochs) for activation in ("relu", "elu") for lr, epochs in ((0.1, 1), (0.01, 2))
    ]
    assert study.factors == ("activation", "training.optimizer.lr", "training.epochs")


def test_a_hypothesis_about_other_keys_or_all_of_zip_is_accepted() -> None:
    both = [f"training.optimizer.lr={lr},training.epochs={epochs}" for lr, epochs in ((0.1, 1), (0.01, 2))]
    expect = [
        f"test.accuracy: {both[0]} > {both[1]}",
        "test.accuracy: activation=relu > activation=elu where training.epochs=1",
    ]

    assert Study.from_text(f"{ZIP}sweep: {{activation: [relu, elu]}}\nexpect: {expect}\n").expect == tuple(expect)


def test_a_value_may_stand_twice_in_zip_but_no_row_may() -> None:
    assert len(Study.from_text("seeds: 1\nzip: {bias_init: [0, 0], training.epochs: [1, 2]}").specs()) == 2
    assert _problem("zip: {bias_init: [0, 0], training.epochs: [1, 1]}") == (
        "1:22", "of bias_init, training.epochs, [0, 1] stands here twice",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "zip: {bias_init: [0, 1, 2], training.epochs: [1, 2]}",
            "1:6",
            "the lists of 'zip' change in step, so they need as many values each: bias_init has 3, training.epochs has",
        ),
        ("zip: [relu]", "1:6", "'zip' should be a mapping from keys to lists of values that change in step"),
        ("zip: {training.epochs: 3}", "1:24", "'zip.training.epochs' should be a list of values: write training.ep"),
        ("zip: {training.epochs: []}", "1:24", "'zip.training.epochs' has no values: list some, or remove the key"),
        ("zip: {lr: [1]}", "1:7", "unknown key 'lr' — did you mean 'training.optimizer.lr'?"),
        ("zip: {training.epochs: [1, x]}", "1:28", "'epochs' should be a whole number, not 'x'"),
        (ZIP + "sweep: {training.epochs: [1]}", "1:43", "'training.epochs' stands in 'sweep' too: take it out of one"),
        (
            ZIP + "tune: training.epochs",
            "2:7",
            "'training.epochs' changes in step with training.optimizer.lr: tune all",
        ),
        (
            ZIP + "compare: {baseline: {training.optimizer.lr: 0.1, training.epochs: 2}}",
            "2:21",
            "no cell has training.optimizer.lr=0.1, training.epochs=2: 'zip' takes these values in other pairs",
        ),
        (
            ZIP + "compare: {baseline: {training.epochs: 3}}",
            "2:39",
            "3 is none of the swept values of 'training.epochs': 1, 2",
        ),
    ],
)
def test_a_slip_in_zip_is_told(text: str, place: str, message: str) -> None:
    where, told = _problem(text)

    assert where == place
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("override", "factors", "cells"),
    [
        ("training.epochs=3", ("training.optimizer.lr",), 2),
        ("training.optimizer=adam", ("training.epochs",), 2),
        ("training.epochs=5,6", ("training.epochs", "training.optimizer.lr"), 4),
        ("zip.training.epochs=5,6", ("training.optimizer.lr", "training.epochs"), 2),
        ("zip={}", (), 1),
    ],
)
def test_an_override_takes_its_key_out_of_zip(override: str, factors: tuple[str, ...], cells: int) -> None:
    study = Study.from_text(ZIP, overrides=[override])

    assert (study.factors, len(_cells(study))) == (factors, cells)
    assert Study.from_text(study.text).specs() == study.specs()


def test_an_option_of_a_component_in_zip_is_set_in_each_of_its_values() -> None:
    text = "seeds: 1\nzip: {dataset: [digits, mnist], bias_init: [0, 1]}\n"

    specs = Study.from_text(text, overrides=["dataset.train_size=9"]).specs()

    assert [(one.dataset.name, one.dataset.options["train_size"]) for one in specs] == [("digits", 9), ("mnist", 9)]


def test_a_cell_that_has_all_values_of_an_entry_is_left_out() -> None:
    study = Study.from_text(f"{SWEEP}exclude: [{{activation: elu(alpha=0.2), bias_init: 0.1}}, {{bias_init: 0}}]\n")

    assert [cell[:2] for cell in _cells(study)] == [("relu", 0.1)]


def test_a_cell_that_is_left_out_need_not_be_possible() -> None:
    study = Study.from_text("sweep: {model: [mlp, cnn], model.hidden: [[8]]}\nexclude: [{model: cnn}]\n")

    assert {spec.model.name for spec in study.specs()} == {"mlp"}


@pytest.mark.parametrize(
    ("exclude", "place", "message"),
    [
        (
            "[{activation: elu}]",
            "2:24",
            "elu is none of the swept values of 'activation': relu, {name: elu, alpha: 0.2} — did you mean {name: elu",
        ),
        ("[{activation: rleu}]", "2:24", "rleu is none of the swept values of 'activation': relu, {name: elu, alpha"),
        ("[{lr: 1}]", "2:12", "unknown key 'lr' — did you mean 'training.optimizer.lr'?"),
        (
            "[{training.epochs: 1}]",
            "2:12",
            "'training.epochs' is not swept, so no cell is left out by it — swept are: activation, bias_init",
        ),
        (
            "{activation: relu}",
            "2:10",
            "'exclude' should be a list of mappings from swept keys to values: write [{activation: relu}]",
        ),
        ("[relu]", "2:11", "an entry of 'exclude' should be a mapping from swept keys to values, not 'relu'"),
        ("[{}]", "2:11", "an entry of 'exclude' should be a mapping from swept keys to values, not {}"),
        ("[{bias_init: 0}, {bias_init: 0.1}]", "2:10", "'exclude' leaves out every cell: there is nothing to run"),
        ("[{bias_init: 0.1}, {bias_init: 0.1}]", "2:29", '{"bias_init": 0.1} stands here twice'),
    ],
)
def test_an_entry_of_exclude_that_leaves_out_nothing_is_told(exclude: str, place: str, message: str) -> None:
    where, told = _problem(f"{SWEEP}exclude: {exclude}\n")

    assert where == place
    assert told.startswith(message)


def test_a_pair_that_zip_does_not_make_leaves_out_nothing() -> None:
    assert _problem(f"{ZIP}exclude: [{{training.optimizer.lr: 0.1, training.epochs: 2}}]\n") == (
        "2:11",
        "no cell has training.optimizer.lr=0.1, training.epochs=2: 'zip' takes these values in other pairs",
    )


def test_the_baseline_may_not_be_left_out() -> None:
    baseline = "compare: {baseline: {activation: relu}}\n"

    assert _problem(f"{SWEEP}{baseline}exclude: [{{activation: relu}}]\n") == (
        "2:21",
        "'exclude' leaves out the baseline, activation=relu: take another baseline, or keep that cell",
    )
    assert Study.from_text(f"{SWEEP}{baseline}exclude: [{{activation: relu, bias_init: 0.1}}]\n").specs()


EXCLUDED = f"{SWEEP}exclude: [{{activation: relu, bias_init: 0.1}}]\n"


@pytest.mark.parametrize(
    ("overrides", "cells"),
    [
        (["activation=relu"], [("relu", 0.0)]),
        (["activation=gelu"], [("gelu", 0.0), ("gelu", 0.1)]),
        (["bias_init=0.1"], [("elu(alpha=0.2)", 0.1)]),
        (["activation=relu", "bias_init=0.1"], [("relu", 0.1)]),
        (["bias_init=0,1"], [("relu", 0.0), ("relu", 1.0), ("elu(alpha=0.2)", 0.0), ("elu(alpha=0.2)", 1.0)]),
        (["exclude=[]"], [("relu", 0.0), ("relu", 0.1), ("elu(alpha=0.2)", 0.0), ("elu(alpha=0.2)", 0.1)]),
    ],
)
def test_an_override_leaves_what_exclude_says_of_the_rest(overrides: list[str], cells: list[tuple[str, float]]) -> None:
    study = Study.from_text(EXCLUDED, overrides=overrides)

    assert [cell[:2] for cell in _cells(study)] == cells
    assert Study.from_text(study.text).specs() == study.specs()


def test_a_smoke_study_has_what_is_left_of_zip_and_exclude() -> None:
    text = (
        f"training: {{epochs: 4}}\n{ZIP}sweep: {{bias_init: [0, 1]}}\nexclude: [{{training.epochs: 2, bias_init: 1}}]\n"
    )

    smoke = Study.from_text(text).smoke()

    assert _cells(smoke) == [("relu", 0.0, 0.1, 1), ("relu", 0.0, 0.01, 1)]
    assert Study.from_text(smoke.text).specs() == smoke.specs()


def test_a_study_made_in_python_takes_zip_and_exclude() -> None:
    study = Study(
        sweep={"activation": ["relu", "elu"]},
        zip={"bias_init": (0.0, 0.1), "training.epochs": (1, 2)},
        exclude=[{"activation": "elu", "bias_init": 0.1}],
    )

    assert [cell[0::3] for cell in _cells(study)] == [("relu", 1), ("relu", 2), ("elu", 1)]
    assert Study.from_text(study.text).specs() == study.specs()
