"""KEY=VALUE arguments: their spelling, what they replace, and how a wrong one is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import cells, save

from actbench.analysis.compare import compare
from actbench.config import Study
from actbench.config.overrides import pieces_of
from actbench.errors import ConfigError
from actbench.schema.spec import RunSpec
from actbench.storage.reading import read_results
from actbench.storage.store import Store

BASE = """\
study: base
dataset: digits
activation: {name: elu, alpha: 0.2}
seeds: 2
sweep:
  bias_init: [0.0, 0.01]
  training.optimizer.lr: [0.1, 0.2]
"""


def _specs(*overrides: str, text: str = BASE) -> tuple[RunSpec, ...]:
    return Study.from_text(text, overrides=overrides).specs()


def _values(specs: tuple[RunSpec, ...], *path: str) -> set[Any]:
    def at(spec: RunSpec) -> Any:
        content: Any = spec.to_json()
        for name in path:
            content = content[name]
        return content

    return {at(spec) for spec in specs}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("1", ["1"]),
        ("0,0.01", ["0", "0.01"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ("{name: elu, alpha: 1},relu", ["{name: elu, alpha: 1}", "relu"]),
        ("max(x, 0),min(x, 1)", ["max(x, 0)", "min(x, 1)"]),
        ('\'a,b\',"c,\\"d"', ["'a,b'", '"c,\\"d"']),
        ("'it''s, so',b", ["'it''s, so'", "b"]),
        ("1,", ["1", ""]),
        ("]1,2", ["]1", "2"]),
    ],
)
def test_a_comma_separates_only_outside_brackets_and_quotes(text: str, pieces: list[str]) -> None:
    assert list(pieces_of(text)) == pieces


@pytest.mark.parametrize(
    ("override", "path", "values"),
    [
        ("training.epochs=3", ("training", "epochs"), {3}),
        ("training.optimizer.lr=1e-3", ("training", "optimizer", "lr"), {0.001}),
        ("training.optimizer={name: adam, lr: 1e-4}", ("training", "optimizer", "lr"), {1e-4}),
        ("training.optimizer=adam", ("training", "optimizer", "name"), {"adam"}),
        ("training.schedule=cosine", ("training", "schedule", "name"), {"cosine"}),
        ("dataset.train_size=100", ("dataset", "train_size"), {100}),
        ("dataset.train_size=100", ("dataset", "name"), {"digits"}),
        ("model.dropout=0.5", ("model", "name"), {"mlp"}),
        ("activation.alpha=0.3", ("activation", "alpha"), {0.3}),
        ("activation=max(x, 0.1 * x)", ("activation", "formula"), {"max(x, 0.1 * x)"}),
        ("bias_init=null", ("bias_init",), {None}),
        ("bias_init=0,0.1,pytorch", ("bias_init",), {0.0, 0.1, "pytorch"}),
        ("sweep.bias_init=[0,1]", ("bias_init",), {0.0, 1.0}),
        ("sweep.bias_init=0,2", ("bias_init",), {0.0, 2.0}),
        ("sweep={training.batch_size: [8, 16]}", ("training", "batch_size"), {8, 16}),
        ("sweep.training.batch_size=[8,16]", ("training", "batch_size"), {8, 16}),
        ("activation=relu,{name: celu, alpha: 2}", ("activation", "name"), {"relu", "celu"}),
        ("training.augment.crop=2", ("training", "augment", "crop"), {2}),
        ("seeds=3", ("seed",), {0, 1, 2}),
        ("seeds=4,7", ("seed",), {4, 7}),
        ("seeds=[5]", ("seed",), {5}),
    ],
)
def test_an_override_sets_its_key(override: str, path: tuple[str, ...], values: set[Any]) -> None:
    assert _values(_specs(override), *path) == values


@pytest.mark.parametrize(
    ("override", "factors"),
    [
        ("bias_init=1", ("training.optimizer.lr",)),
        ("training.optimizer.lr=1", ("bias_init",)),
        ("training.optimizer=adam", ("bias_init",)),
        ("training={epochs: 1}", ("bias_init",)),
        ("bias_init=1,2", ("bias_init", "training.optimizer.lr")),
        ("activation.alpha=1,2", ("bias_init", "training.optimizer.lr", "activation.alpha")),
        ("training.optimizer=sgd,adam", ("bias_init", "training.optimizer")),
    ],
)
def test_an_override_decides_what_still_varies(override: str, factors: tuple[str, ...]) -> None:
    assert Study.from_text(BASE, overrides=[override]).factors == factors


def test_an_option_of_a_swept_component_is_set_in_each_of_its_values() -> None:
    text = "seeds: 1\nsweep: {dataset: [digits, {name: mnist, train_size: 9}]}\n"

    specs = _specs("dataset.train_size=100", text=text)

    assert [(spec.dataset.name, spec.dataset.options["train_size"]) for spec in specs] == [
        ("digits", 100),
        ("mnist", 100),
    ]


def test_a_later_override_wins_over_an_earlier_one() -> None:
    assert _values(_specs("training.epochs=3", "training.epochs=4"), "training", "epochs") == {4}


@pytest.mark.parametrize(
    ("override", "metrics"),
    [("compare.metric=val.accuracy", ("val.accuracy",)), ("compare.metric=val.loss,seconds", ("val.loss", "seconds"))],
)
def test_an_override_reaches_into_the_comparison(override: str, metrics: tuple[str, ...]) -> None:
    assert Study.from_text(BASE, overrides=[override]).compare.metric == metrics


def test_a_baseline_is_overridden_by_its_factors_dotted_key() -> None:
    study = Study.from_text(BASE, overrides=["compare.baseline.training.optimizer.lr=0.2"])

    assert study.compare.baseline == {"training.optimizer.lr": 0.2}


def test_a_comma_in_a_description_separates_nothing() -> None:
    assert Study.from_text(BASE, overrides=["description=a, b"]).description == "a, b"


WRONG = [
    ("training.epohcs=3", "unknown key 'training.epohcs' — did you mean 'training.epochs'?"),
    ("trainng.epochs=3", "unknown key 'trainng.epochs' — did you mean 'training.epochs'?"),
    ("trainng.epochs=3,4", "unknown key 'trainng.epochs' — did you mean 'training.epochs'?"),
    ("activation.alhpa=1", "unknown key 'alhpa' — did you mean 'alpha'?"),
    ("activation=reluu", "unknown activation 'reluu' — did you mean 'relu'?"),
    ("activation=relu,reluu", "unknown activation 'reluu' — did you mean 'relu'?"),
    ("training.epochs=many", "'epochs' should be a whole number, not 'many'"),
    ("training.epochs.x=1", "unknown key 'training.epochs.x' — 'training.epochs' is a single value"),
    ("seeds=a", "'seeds' should be how many, or a list of different whole numbers, not 'a'"),
    ("seeds=1,1", "1 stands here twice"),
    ("nonsense", "expected KEY=VALUE, such as training.epochs=3"),
    ("=3", "expected KEY=VALUE, such as training.epochs=3"),
    ("a..b=3", "expected KEY=VALUE, such as training.epochs=3"),
    ("bias_init=", "a value is missing (write null for none)"),
    ("bias_init=0,", "a value is missing (write null for none)"),
    ("bias_init=.nan", "in the value: .nan is not a finite number"),
    ("model_fields.x=1", "unknown key 'model_fields.x' — valid here: dataset, model"),
    (f"{'a.' * 5000}a=1", None),
]


@pytest.mark.parametrize(("override", "message"), WRONG)
def test_a_wrong_override_is_named(override: str, message: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        _specs(override)
    (problem,) = caught.value.problems

    assert problem.where == f"command line: '{override}'"
    assert message is None or problem.message.startswith(message)


SCALARS = "study: base\ntraining: {epochs: 5, augment: null}\nbias_init: 0.5\n"


@pytest.mark.parametrize(
    "override", ["training.epochs.x=3", "training.epochs.x.y=3", "bias_init.x=1", "training.augment.x=1"]
)
def test_an_override_below_a_single_value_is_blamed_itself(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(SCALARS, [override], source="base.yaml")

    assert {problem.where for problem in caught.value.problems} == {f"command line: '{override}'"}


def test_a_wrong_name_in_the_file_is_blamed_though_an_override_adds_an_option_to_it() -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text("activation: reluu", ["activation.alpha=1"], source="base.yaml")

    assert [problem.where for problem in caught.value.problems] == ["base.yaml:1:13"]


def test_a_value_that_is_no_yaml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^command line: 'model.hidden=\[1': in the value: a comma or the closing"):
        _specs("model.hidden=[1")


def test_the_text_lists_the_overrides_and_has_them_put_in() -> None:
    text = "# mine\nseeds: 1"
    study = Study.from_text(text, ["training.epochs=3", "description=a\nb"], source="dir/base.yaml")

    assert study.text == (
        "# actbench run dir/base.yaml with overrides:\n"
        "#   training.epochs=3\n"
        "#   description=a\\nb\n"
        "study: base\nseeds: 1\ntraining:\n  epochs: 3\ndescription: a b\n"
    )
    assert Study.from_text(text, source="dir/base.yaml").text == text


OVERRIDES = (
    ("compare.metric=test.loss,health.dead_fraction", "compare.baseline.bias_init=0.01"),
    ("activation=relu,{name: elu, alpha: 0.5},max(x, 0.1 * x)", "bias_init=null", "seeds=3,1"),
    ("study=trial", "dataset.train_size=100", "training.augment={crop: 1}", "description='it''s: # ä'"),
)


@pytest.mark.parametrize("overrides", OVERRIDES, ids=lambda overrides: overrides[0])
@pytest.mark.parametrize("smoke", [False, True])
def test_the_stored_text_gives_the_same_study(overrides: tuple[str, ...], smoke: bool, tmp_path: Path) -> None:
    study = Study.from_text(BASE, overrides=overrides)
    study = study.smoke() if smoke else study
    Store(tmp_path, study.name).create(study.text)

    again = Study.from_yaml(tmp_path / study.name / "study.yaml")

    assert again.specs() == study.specs()
    assert (again.name, again.factors, again.description) == (study.name, study.factors, study.description)
    assert again.compare == study.compare
    assert all(f"#   {override.partition('=')[0]}=" in study.text for override in overrides)


def test_a_comparison_heeds_what_was_overridden(tmp_path: Path) -> None:
    study = Study.from_text("study: demo", overrides=["compare.metric=test.loss", "compare.baseline.activation=elu"])
    save(tmp_path, cells({"relu": [0.9, 0.91], "elu": [0.92, 0.93]}), text=study.text)

    (found,) = compare(read_results(tmp_path)).comparisons

    assert (found.metrics, found.baseline) == (("test.loss",), {"activation": "elu"})
