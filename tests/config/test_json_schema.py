"""The schema that editors read: in step with the code, and never stricter than the check of a config."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from actbench.config import Study
from actbench.config.component_schema import component_keys
from actbench.config.design import Design
from actbench.config.json_schema import config_schema, config_schema_text
from actbench.config.keys import dotted_keys
from actbench.config.nodes import read
from actbench.config.places import SourceText
from actbench.config.shipped import modeline, schema_file, starter
from actbench.config.unknown_keys import refusal
from actbench.errors import ConfigError
from actbench.schema import registry
from actbench.schema.components import schema_of
from actbench.schema.spec import RunSettings
from actbench.schema.synonyms import SYNONYMS

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
FILE = schema_file()
SCHEMA = config_schema()
VALIDATOR = Draft7Validator(SCHEMA)


def content(text: str) -> Any:
    return read(SourceText("x.yaml", text)).content


def is_valid(text: str) -> bool:
    return bool(VALIDATOR.is_valid(content(text)))


def subschemas(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema with a meaning or a title inside another."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from subschemas(value)
    elif isinstance(part, list):
        for value in part:
            yield from subschemas(value)


def test_the_file_beside_the_configs_is_what_the_command_writes() -> None:
    """After a change of a key: actbench schema -o configs/schema.json."""
    assert FILE.read_text("utf-8") == config_schema_text()


def test_it_is_a_schema_of_draft_7() -> None:
    Draft7Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    references = {part["$ref"].removeprefix("#/definitions/") for part in subschemas(SCHEMA) if "$ref" in part}

    assert references == set(SCHEMA["definitions"])


def test_every_key_has_a_meaning_and_its_dotted_key_as_the_title() -> None:
    swept = SCHEMA["definitions"]["factors"]["properties"]

    assert {key for key in swept if refusal(key)} == set()
    assert set(dotted_keys(RunSettings)) <= set(swept)
    for key, one in swept.items():
        assert (one["title"], one["description"][:1].strip() != "") == (key, True)
    for part in subschemas(SCHEMA):
        for name, one in part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ():
            if one.keys() & {"type", "default"}:
                assert one["description"], name
                assert one["title"].rpartition(".")[2] in (name, name.rpartition(".")[2])


def test_every_default_is_valid_by_its_own_schema() -> None:
    for part in subschemas(SCHEMA):
        if "default" in part:
            own = {**part, "definitions": SCHEMA["definitions"]}
            assert Draft7Validator(own).is_valid(part["default"]), part


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_is_valid_and_names_the_schema_beside_it(path: Path) -> None:
    text = path.read_text("utf-8")

    assert list(VALIDATOR.iter_errors(content(text))) == []
    place = "../" * (len(path.relative_to(FILE.parent).parts) - 1) + FILE.name
    assert text.startswith(modeline(place) + "\n")


def test_the_starter_is_valid() -> None:
    assert list(VALIDATOR.iter_errors(content(starter(Path("mine.yaml"))))) == []


def examples() -> list[str]:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "configuration.md").read_text("utf-8"), re.M | re.S)
    return [block for block in blocks if isinstance(content(block), dict)]


@pytest.mark.parametrize("text", examples(), ids=lambda text: str(text.count("\n")))
def test_an_example_of_the_documentation_is_valid(text: str) -> None:
    assert list(VALIDATOR.iter_errors(content(text))) == []


def test_the_documentation_has_examples() -> None:
    assert len(examples()) >= 6


def test_every_key_that_the_documentation_lists_is_in_the_schema() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    keys = re.findall(r"^\| `([\w.]+)` \|", page[page.index("## Keys of the study") : page.index("### Datasets")], re.M)

    assert len(keys) > 30
    for key in keys:
        place: Any = SCHEMA
        for name in key.split("."):
            place = place["properties"].get(name, {})
        assert place, key


@pytest.mark.parametrize("kind", component_keys())
def test_every_name_and_synonym_is_valid_in_any_spelling(kind: str) -> None:
    *above, last = component_keys()[kind].split(".")
    for name in (*registry.names(kind), *SYNONYMS.get(kind, ())):
        for spelled in (name, name.upper(), f" {name.replace('_', ' ').title()} ", name.replace("_", "-")):
            for written in (spelled, {"name": spelled}):
                inner: Any = {last: written}
                for key in reversed(above):
                    inner = {key: inner}
                assert VALIDATOR.is_valid(inner), inner


@pytest.mark.parametrize("kind", component_keys())
def test_every_option_of_every_component_is_valid_at_its_default_and_no_other_key_is(kind: str) -> None:
    validator = Draft7Validator({"definitions": SCHEMA["definitions"], **SCHEMA["definitions"][kind]})
    for name in registry.names(kind):
        fields = schema_of(kind, name).model_fields
        given = {key: json.loads(json.dumps(one.default)) for key, one in fields.items() if not one.is_required()}
        assert validator.is_valid({"name": name, **given}), name
        assert not validator.is_valid({"name": name, **given, "no_such_option": 1}), name
        assert validator.is_valid({"name": f"my {name}", "path": "my_parts:part", "no_such_option": 1})


BROKEN = {
    "epohcs: 3": "",
    "training: {epohcs: 3}": "training",
    "training: {optimizer: {name: sgd, lrr: 0.1}}": "training.optimizer",
    "training: {optimizer: {name: sdg, lr: 0.1}}": "training.optimizer",
    "training: {optimizer: {lr: 0.1}}": "training.optimizer",
    "training: {optimizer: {name: sgd, lr: 0}}": "training.optimizer",
    "training: {optimizer: {name: adam, betas: [0.9, 1.0]}}": "training.optimizer",
    "training: {optimizer: {name: adam, betas: [0.9]}}": "training.optimizer",
    "training: {schedule: cosinus}": "training.schedule",
    "training: {batch_size: 0}": "training.batch_size",
    "training: {epochs: 1.5}": "training.epochs",
    "training: {epochs: ten}": "training.epochs",
    "training: {precision: float16}": "training.precision",
    "training: {augment: {flip: 1}}": "training.augment.flip",
    "training: {checkpoint_every: 10 minutes}": "training.checkpoint_every",
    "training: {checkpoint_every: 0}": "training.checkpoint_every",
    "training: {keep_weights: first}": "training.keep_weights",
    "activation: relux": "activation",
    "activation: {name: elu, alpah: 0.2}": "activation",
    "activation: {name: relu, alpha: 0.2}": "activation",
    "activation: {name: elu, alpha: 0}": "activation",
    "activation: {name: mine, path: my_parts.bump}": "activation",
    "activation: [relu, elu]": "activation",
    "model: {name: mlp, hidden: 64}": "model",
    "model: {name: mlp, hidden: [0]}": "model",
    "model: {name: cnn, channels: [[]]}": "model",
    "model: {name: mlp, dropout: 1.0}": "model",
    "dataset: minst": "dataset",
    "dataset: {name: digits, val_fraction: 1}": "dataset",
    "weight_init: kaiming": "weight_init",
    "bias_init: pytorh": "bias_init",
    "health: {collapse_at: 0}": "health.collapse_at",
    "seeds: 0": "seeds",
    "seeds: []": "seeds",
    "seeds: [1, 1]": "seeds",
    "seeds: [-1]": "seeds",
    "study: my study": "study",
    "sweep: {training.lr: [0.1]}": "sweep",
    "sweep: {training.optimizer.lr: 0.1}": "sweep.training.optimizer.lr",
    "sweep: {training.optimizer.lr: [0.1, high]}": "sweep.training.optimizer.lr.1",
    "sweep: {activation: []}": "sweep.activation",
    "sweep: {activation: [relu, elux]}": "sweep.activation.1",
    "sweep: {training.optimizer: [{lr: 0.1}]}": "sweep.training.optimizer.0",
    "zip: {lr: [0.1]}": "zip",
    "cases: [none]": "cases",
    "cases: {a b: {}}": "cases",
    "cases: {high: {lr: 1}}": "cases.high",
    "cases: {high: 3}": "cases.high",
    "cases: {high: {bias_init: pytorh}}": "cases.high",
    "cases: {high: {training.optimizer: {lr: 0.1}}}": "cases.high",
    "exclude: [{activatoin: relu}]": "exclude.0",
    "exclude: {activation: relu}": "exclude",
    "compare: {metric: test.acuracy}": "compare.metric",
    "compare: {metric: []}": "compare.metric",
    "compare: {baseline: {bias: 0}}": "compare.baseline",
    "tune: activation": "tune",
    "expect: test.accuracy > 90%": "expect",
    "expect: ['']": "expect.0",
    "base: ''": "base",
    "base: 3": "base",
}
"""A broken config -> the dotted place of the mistake, as the schema finds it: the mapping of a key that is unknown, the
whole of a component."""


@pytest.mark.parametrize(("text", "place"), BROKEN.items(), ids=BROKEN)
def test_a_broken_config_is_refused_by_the_schema_and_by_the_check_of_a_config(text: str, place: str) -> None:
    with pytest.raises(ConfigError):
        Study.from_text(text)

    places = {".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(content(text))}
    assert places == {place}


VALID = (
    "training: {checkpoint_every: null}",
    "training: {checkpoint_every: 30 s}",
    "training: {keep_weights: best}",
    "training: {keep_weights: null}",
    "training: {augment: null}",
    "training: {optimizer: sgd(lr=0.3)}",
    "activation: elu(alpha=0.2)",
    "activation: x * sigmoid(1.702 * x)",
    "activation: {name: expression, formula: x}",
    "bias_init: null",
    "bias_init: pytorch",
    "seeds: [3, 1]",
    "description: null",
    "model: {name: cnn, channels: [16, [32, 32]]}",
    "{dataset: idx, sweep: {dataset.root: [a, b]}}",
    "{dataset: {name: idx}, sweep: {dataset.root: [a, b]}}",
    "sweep: {training: [{epochs: 3}]}",
    "sweep: {training.augment: [null, {crop: 2}]}",
    "{activation: {name: mine, path: 'a:b'}, sweep: {activation.width: [1, 2]}}",
    "{sweep: {activation: [relu, elu(alpha=0.2)]}, compare: {baseline: {activation: elu(alpha=0.2)}}}",
    "{sweep: {activation: [relu, {name: mine, path: 'a:b'}]}, compare: {baseline: {activation: mine}}}",
    "{sweep: {training.optimizer.lr: [0.1, 0.2]}, tune: training.optimizer.lr}",
    "{cases: {none: null, x.1-a: {activation: elu, bias_init: null}}, compare: {baseline: {case: none}}}",
    "{cases: {a: {}, '0.1': {bias_init: 0.1}, c: {bias_init: 1}}, compare: {baseline: {case: 0.1}}}",
    "{sweep: {activation: [relu, elu], bias_init: [0, null]}, exclude: [{activation: elu, bias_init: null}]}",
)


@pytest.mark.parametrize("text", VALID)
def test_a_form_that_few_configs_use_is_valid(text: str) -> None:
    assert Study.from_text(text).specs()
    assert list(VALIDATOR.iter_errors(content(text))) == []


def test_options_without_a_name_are_valid_over_a_base() -> None:
    assert is_valid("{base: common.yaml, training: {optimizer: {lr: 0.1}}}")
    assert not is_valid("{base: common.yaml, training: {optimizer: {lrr: 0.1}}}")
    assert not is_valid("{base: common.yaml, training: {optimizer: {lr: -1}}}")


VALUES: tuple[Any, ...] = (
    None, True, 0, 1, 3, -1, 0.0, 0.1, 0.5, 1.0, 1e-3, 2.5, "", "x", "relu", "elu", "elu(alpha=0.2)", "sgd", "adam",
    "sgd(lr=0.3)", "mlp", "cnn", "digits", "he_normal", "pytorch", "cosine", "all", "weights", "max", "layer", "unit",
    "best", "val.loss", "float64", "cross_entropy", "mse", "torch", "actbench", "torch_with_test", "prior", 64,
    "standard", "alpha", "width", "parameters",
    "10 min", "3s", "test.accuracy",
    "test.accuracy > 0.5 where activation=relu", "x * tanh(x)", "bias_init",
    [], [1], [0.1, 0.2], [8, 8], [[4], [4, 4]], [4, [4, 4]], ["relu", "elu"], [None, 0.1], ["test.accuracy"],
    ["bias_init"], {}, {"name": "elu"}, {"name": "elu", "alpha": 0.2}, {"name": "sgd", "lr": 0.1}, {"name": "L-ReLU"},
    {"name": "mine", "path": "a:b", "width": 3}, {"name": "x * tanh(x)"}, {"lr": 0.1}, {"crop": 2}, {"epochs": 3},
    {"activation": "relu"}, {"bias_init": 0.0}, {"bias_init": [0.0, None]}, {"metric": "test.loss"}, [{"bias_init": 0}],
)  # fmt: skip
"""Of each sort some; at most keys most are wrong, and which are is for two programs to say."""

COMPONENTS = {
    "dataset": "{name: image_folder, root: there}",
    "dataset.arms": "spiral",
    "dataset.examples": "moons",
    "dataset.function": "regression",
    "dataset.high": "regression",
    "dataset.low": "regression",
    "dataset.noise": "moons",
    "dataset.turns": "spiral",
    "model": "cnn",
    "model.hidden": "mlp",
    "activation": "prelu",
    "activation.alpha": "elu",
    "activation.beta": "swish",
    "activation.lower": "rrelu",
    "activation.upper": "rrelu",
    "activation.negative_slope": "leaky_relu",
    "activation.formula": "expression",
    "weight_init": "orthogonal",
    "weight_init.examples": "lsuv",
    "weight_init.max_iterations": "lsuv",
    "weight_init.sigma": "rai",
    "weight_init.tolerance": "lsuv",
    "weight_init.w0": "siren",
    "training.optimizer": "sgd",
    "training.optimizer.alpha": "rmsprop",
    "training.optimizer.betas": "adam",
    "training.optimizer.eps": "adam",
    "training.revive": "redo",
    "training.schedule": "cosine",
    "training.schedule.every": "step",
    "training.schedule.gamma": "{name: step, every: 2}",
}
"""A key of a component -> a component that has all of its options, or this one."""


def owner(key: str) -> str:
    """A component that has an option, as YAML: the one above, or the first of its kind whose schema has it."""
    above, _, option = key.rpartition(".")
    kind = next((kind for kind, one in component_keys().items() if one == above), None)
    if key in COMPONENTS or kind is None or kind not in registry.TABLES:
        return COMPONENTS.get(key, COMPONENTS.get(above, ""))
    having = (name for name in registry.names(kind) if option in schema_of(kind, name).model_fields)
    return next(having, COMPONENTS[above])


FACTORS = tuple(SCHEMA["definitions"]["factors"]["properties"])


def nested(key: str, value: Any) -> dict[str, Any]:
    """A config in which a dotted key has a value; its component is one that has the option."""
    above, _, last = key.rpartition(".")
    if above in component_keys().values():
        component = content(owner(key))
        options = {"name": component} if isinstance(component, str) else component
        return nested(above, {**options, last: value})
    return nested(above, {last: value}) if above else {last: value}


def is_accepted(whole: dict[str, Any]) -> bool:
    try:
        return bool(Study(**whole).specs())
    except ConfigError:
        return False


def stricter(made: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The configs that the check of a study takes and the schema refuses, and how many it takes."""
    accepted = [whole for whole in made if is_accepted(whole)]
    return [whole for whole in accepted if not VALIDATOR.is_valid(json.loads(json.dumps(whole)))], len(accepted)


@pytest.mark.slow
@pytest.mark.parametrize("key", FACTORS)
def test_a_value_that_a_run_may_have_is_valid_wherever_it_may_stand(key: str) -> None:
    above = key.rpartition(".")[0]
    fixed = nested(above, content(owner(key))) if above in COMPONENTS else {}
    if fixed.get("dataset") == "regression":
        fixed["training"] = {"loss": "mse"}
    swept = [{**fixed, "sweep": {key: [value]}} for value in VALUES]
    possible = [whole["sweep"][key][0] for whole in swept if is_accepted(whole)]
    wholes = [*swept, *(nested(key, value) for value in VALUES)]
    for value in possible:
        wholes.append({**fixed, "zip": {key: [value, value], "bias_init": [0.0, 0.1]}})
        wholes.append({**fixed, "sweep": {key: [value]}, "compare": {"baseline": {key: value}}})
        others = [one for one in possible if one != value]
        wholes += [{**fixed, "sweep": {key: [value, one]}, "exclude": [{key: value}]} for one in others[:1]]

    refused, accepted = stricter(wholes)

    assert refused == []
    assert accepted >= 4


@pytest.mark.parametrize("key", Design.model_fields)
def test_a_value_that_a_study_may_have_is_valid(key: str) -> None:
    swept: dict[str, Any] = {"sweep": {"bias_init": [0, 0.1]}} if key in ("tune", "exclude") else {}
    swept |= {"cases": {"x": {}, "relu": {"bias_init": 1}}} if key == "case" else {}

    refused, accepted = stricter({**swept, key: value} for value in VALUES)

    assert refused == []
    assert accepted >= 1
