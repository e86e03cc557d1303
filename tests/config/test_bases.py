"""``base: other.yaml``: what a config takes from another one, and where its mistakes are shown."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from factories import cells, save

from actbench.config import Study
from actbench.errors import ConfigError
from actbench.storage.reading import read_results
from actbench.storage.unfinished import unfinished_runs

COMMON = """\
study: common
description: all that others extend
dataset: {name: digits, train_size: 300}
model: mlp
training: {epochs: 1, optimizer: {name: sgd, lr: 0.1, momentum: 0.5}}
seeds: 2
sweep:
  activation: [relu, gelu]
  bias_init: [0.0, 0.1]
compare: {baseline: {activation: relu}, metric: test.loss}
exclude: [{activation: gelu, bias_init: 0.1}]
"""


def _study(folder: Path, text: str, *overrides: str, base: str = COMMON) -> Study:
    (folder / "common.yaml").write_text(base, encoding="utf-8")
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    return Study.from_yaml(folder / "own.yaml", overrides)


def _refusal(folder: Path, text: str, *overrides: str, base: str = COMMON) -> str:
    with pytest.raises(ConfigError) as caught:
        _study(folder, text, *overrides, base=base)
    return str(caught.value).replace(f"{folder}/", "")


def _all(study: Study, *path: str) -> set[Any]:
    found = set()
    for spec in study.specs():
        value: Any = spec.to_json()
        for key in path:
            value = value[key]
        found.add(value)
    return found


def test_a_config_that_says_nothing_else_has_the_runs_of_its_base_and_a_name_of_its_own(tmp_path: Path) -> None:
    study = _study(tmp_path, "base: common.yaml")

    assert study.specs() == Study.from_text(COMMON).specs()
    assert (study.name, study.description) == ("own", None)
    assert study.compare == Study.from_text(COMMON).compare


@pytest.mark.parametrize(
    ("own", "path", "values"),
    [
        ("training: {epochs: 3}", ("training", "epochs"), {3}),
        ("training: {epochs: 3}", ("training", "optimizer", "momentum"), {0.5}),
        ("training: {optimizer: {lr: 0.2}}", ("training", "optimizer", "momentum"), {0.5}),
        ("training: {optimizer: {lr: 0.2}}", ("training", "optimizer", "lr"), {0.2}),
        ("training: {optimizer: {name: adam}}", ("training", "optimizer", "lr"), {1e-3}),
        ("training: {optimizer: adam}", ("training", "optimizer", "name"), {"adam"}),
        ("model: {dropout: 0.5}", ("model", "name"), {"mlp"}),
        ("model: {dropout: 0.5}", ("model", "dropout"), {0.5}),
        ("sweep: {activation: [elu, relu]}", ("activation", "name"), {"elu", "relu"}),
        ("sweep: {activation: [elu, relu]}", ("bias_init",), {0.0, 0.1}),
        ("activation: elu", ("activation", "name"), {"elu"}),
        ("bias_init: null", ("bias_init",), {None}),
        ("seeds: [7]", ("seed",), {7}),
    ],
)
def test_mappings_are_merged_and_everything_else_is_replaced(
    tmp_path: Path, own: str, path: tuple[str, ...], values: set[Any]
) -> None:
    assert _all(_study(tmp_path, f"base: common.yaml\n{own}\n"), *path) == values


def test_a_key_that_a_config_sets_varies_no_longer(tmp_path: Path) -> None:
    assert _study(tmp_path, "base: common.yaml\nactivation: elu").factors == ("bias_init",)
    assert _study(tmp_path, "base: common.yaml\nzip: {bias_init: [1, 2]}").factors == ("activation", "bias_init")


def test_options_go_into_each_component_that_the_base_sweeps(tmp_path: Path) -> None:
    base = "seeds: 1\nsweep: {model: [mlp, {name: mlp, hidden: [8]}]}"

    study = _study(tmp_path, "base: common.yaml\nmodel: {dropout: 0.5}", base=base)

    assert [spec.model.changed for spec in study.specs()] == [{"dropout": 0.5}, {"hidden": [8], "dropout": 0.5}]


def test_an_entry_of_exclude_whose_values_the_config_has_replaced_leaves_out_nothing(tmp_path: Path) -> None:
    study = _study(tmp_path, "base: common.yaml\nsweep: {activation: [relu, elu]}")

    assert (len(study.specs()), study.exclude) == (8, ())


def test_bases_are_relative_to_their_own_file_and_may_have_bases(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.yaml").write_text("base: ../two.yaml\nseeds: 1\n")
    (tmp_path / "two.yaml").write_text("seeds: 3\nbias_init: 0.5\n")
    (tmp_path / "own.yaml").write_text("base: deep/one.yaml\nactivation: elu\n")

    (spec,) = Study.from_yaml(tmp_path / "own.yaml").specs()

    assert (spec.activation.name, spec.bias_init.value) == ("elu", 0.5)


@pytest.mark.parametrize("overrides", [(), ("seeds=1", "activation=elu,relu")])
def test_the_stored_text_needs_no_other_file(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    study = _study(tmp_path, "base: common.yaml\ntraining: {optimizer: {lr: 0.2}}\n", *overrides)
    (tmp_path / "common.yaml").unlink()
    folder = save(tmp_path / "results", cells({"relu": [0.9]}, study="own"), text=study.text) / "own"
    shutil.move(folder, tmp_path / "moved")

    again = Study.from_yaml(tmp_path / "moved" / "study.yaml")

    assert again.specs() == study.specs()
    assert (again.name, again.factors, again.exclude, again.compare) == (
        study.name, study.factors, study.exclude, study.compare,
    )  # fmt: skip
    assert study.text.startswith(f"# {tmp_path}/own.yaml, with what it extends put in: {tmp_path}/common.yaml\n")
    assert read_results(tmp_path / "moved").settings["moved"]["metric"] == "test.loss"
    assert {one.run_id for one in unfinished_runs(tmp_path / "moved")} >= {spec.run_id for spec in study.specs()}


def test_a_mistake_is_shown_in_the_file_in_which_it_stands(tmp_path: Path) -> None:
    base = "training:\n  epohcs: 3\nsweep: {activation: [relu, gleu]}\n"

    assert _refusal(tmp_path, "base: common.yaml\nmodel: {name: mlp, hiden: [3]}\n", "lr=3", base=base) == (
        "own.yaml:2:20: unknown key 'hiden' — did you mean 'hidden'?\n"
        "  model: {name: mlp, hiden: [3]}\n"
        "                     ^^^^^\n"
        "common.yaml:2:3: unknown key 'epohcs' — did you mean 'epochs'?\n"
        "    epohcs: 3\n"
        "    ^^^^^^\n"
        "common.yaml:3:28: unknown activation 'gleu' — did you mean 'glu'?\n"
        "  sweep: {activation: [relu, gleu]}\n"
        "                             ^^^^\n"
        "command line: 'lr=3': unknown key 'lr' — did you mean 'training.optimizer.lr'?"
    )


def test_a_value_that_the_config_replaces_is_no_mistake_of_its_base(tmp_path: Path) -> None:
    assert _study(tmp_path, "base: common.yaml\nactivation: elu", base="activation: gleu").specs()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: commn.yaml", "own.yaml:1:7: commn.yaml: no such file — did you mean 'common.yaml'?"),
        ("base: deep", "own.yaml:1:7: deep: is a folder: name a config file inside it"),
        ("base: [a, b]", "own.yaml:1:7: 'base' should be the path of another config, seen from this file's folder"),
        ("base: ''", "own.yaml:1:7: 'base' should be the path of another config"),
        ("base: own.yaml", "own.yaml:1:7: the bases lead in a circle: own.yaml → own.yaml"),
    ],
)
def test_a_base_that_is_none_is_refused_where_it_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "deep").mkdir()
    assert _refusal(tmp_path, text).startswith(message)


def test_a_circle_of_bases_is_refused_by_name(tmp_path: Path) -> None:
    message = _refusal(tmp_path, "base: common.yaml", base="base: own.yaml")

    assert message.startswith("common.yaml:1:7: the bases lead in a circle: own.yaml → common.yaml → own.yaml")


def test_a_base_is_no_override(tmp_path: Path) -> None:
    assert _refusal(tmp_path, "{}", "base=common.yaml") == (
        "command line: 'base=common.yaml': 'base' is set in the file, whose folder it starts from"
    )


@pytest.mark.parametrize("overrides", [(), ("seeds=1",)])
def test_an_entry_of_exclude_that_never_left_out_anything_is_told_with_a_base_and_with_overrides(
    overrides: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "base.yaml").write_text("sweep: {activation: [relu, elu, selu]}\n")
    (tmp_path / "own.yaml").write_text("base: base.yaml\nexclude: [{activation: elu}, {activation: sellu}]\n")
    with pytest.raises(ConfigError, match=r"own.yaml:2:43: sellu is none of the swept values .* did you mean selu"):
        Study.from_yaml(tmp_path / "own.yaml", overrides)
    (tmp_path / "plain.yaml").write_text("sweep: {activation: [relu, elu]}\nexclude: [{activation: eluu}]\n")
    with pytest.raises(ConfigError, match="eluu is none of the swept values"):
        Study.from_yaml(tmp_path / "plain.yaml", overrides)
