"""A config's runs: which, how many, in which order, and with what defaults."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actbench.config import Study
from actbench.config.nodes import write
from actbench.errors import ConfigError
from actbench.schema.spec import RunSpec, Training

SWEEP = """\
seeds: [3, 1]
sweep:
  activation: [relu, {name: elu, alpha: 0.2}]
  bias_init: [0, 0.01]
"""


def test_a_config_that_says_nothing_else_holds_the_defaults_of_a_run() -> None:
    specs = Study.from_text("study: s").specs()

    assert [spec.digest for spec in specs] == [RunSpec(seed=seed).digest for seed in range(5)]


def test_seeds_are_outermost_and_the_first_factor_is_slowest() -> None:
    runs = [(spec.seed, spec.activation.label, spec.bias_init.value) for spec in Study.from_text(SWEEP).specs()]

    assert runs == [
        (seed, label, bias) for seed in (3, 1) for label in ("relu", "elu(alpha=0.2)") for bias in (0.0, 0.01)
    ]


def test_one_run_spelled_twice_runs_once() -> None:
    study = Study.from_text("seeds: 1\nsweep: {activation: [relu, {name: relu}, {name: elu, alpha: 1.0}, elu]}")

    assert [spec.activation.label for spec in study.specs()] == ["relu", "elu"]


def test_a_late_digit_of_an_option_tells_its_labels_apart() -> None:
    study = Study.from_text("seeds: 1\nsweep: {activation.alpha: [0.1, 0.10000001]}\nactivation: elu")

    assert [spec.activation.label for spec in study.specs()] == ["elu(alpha=0.1)", "elu(alpha=0.10000001)"]


MINE = "activation: {name: mine, path: here:f}\n"
NAMESAKES = [
    (
        "sweep:\n  activation: [{name: mine, path: a:f}, relu, {name: mine, path: b:f}]",
        "3:66",
        """{"path": "a:f"} and {"path": "b:f"} would both be called 'mine' in tables; give them different names""",
    ),
    (
        "sweep:\n  activation.path: [a:f, b:f]\n  bias_init: [0.0, 1.0]",
        "3:26",
        """{"path": "a:f"} and {"path": "b:f"} would both be called 'mine' in tables; give them different names""",
    ),
    (
        "sweep: {activation.kind: [yes, true, 'True']}",
        "2:38",
        """{"kind": true} and {"kind": "True"} would both be called 'mine(kind=True)' in tables; give them""",
    ),
]


@pytest.mark.parametrize(("text", "place", "message"), NAMESAKES)
def test_swept_values_that_tables_could_not_tell_apart_are_refused(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(MINE + text, source="x.yaml")
    (problem,) = caught.value.problems

    assert problem.where == f"x.yaml:{place}"
    assert problem.message.startswith(message)


def test_an_option_is_put_into_the_swept_component_whichever_is_written_first() -> None:
    study = Study.from_text(
        "seeds: 1\nsweep: {model.hidden: [[8], [9]], model: [mlp, {name: mlp, hidden: [7], dropout: 0.5}]}"
    )
    models = [spec.model.options for spec in study.specs()]

    assert [(model["hidden"], model["dropout"]) for model in models] == [([8], 0.0), ([8], 0.5), ([9], 0.0), ([9], 0.5)]


def test_a_required_option_may_come_from_the_sweep_alone() -> None:
    study = Study.from_text("seeds: 1\ndataset: idx\nsweep: {dataset.root: [here, there]}")

    assert [spec.dataset.options["root"] for spec in study.specs()] == ["here", "there"]


def test_a_swept_optimizer_replaces_the_one_of_the_config() -> None:
    study = Study.from_text(
        "seeds: 1\ntraining: {optimizer: {name: sgd, lr: 9.0}}\n"
        "sweep: {training.optimizer: [{name: adam, lr: 1e-3}, sgd]}"
    )

    assert [spec.training.optimizer.to_minimal() for spec in study.specs()] == [{"name": "adam"}, {"name": "sgd"}]


def test_a_study_from_python_is_the_study_from_its_text() -> None:
    study = Study(
        study="python",
        activation={"name": "elu", "alpha": 0.5},
        training=Training(epochs=2),
        seeds=range(2),
        sweep={"bias_init": (0.0, "pytorch", None)},
        compare={"baseline": {"bias_init": 0.0}},
    )

    again = Study.from_text(study.text)

    assert again.specs() == study.specs()
    assert again.name == study.name == "python"
    assert (again.seeds, again.compare) == (study.seeds, study.compare)


def test_a_files_stem_names_its_study_and_its_text_is_kept_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "my-study.yaml"
    path.write_bytes("\ufeff# a comment\r\nseeds: 1\r\n".encode())

    study = Study.from_yaml(path)

    assert study.name == "my-study"
    assert study.text == "# a comment\r\nseeds: 1\r\n"


def test_a_study_survives_the_way_to_another_process() -> None:
    study = Study.from_text(SWEEP)

    assert pickle.loads(pickle.dumps(study)).specs() == study.specs()


def test_factors_are_the_swept_keys_in_the_order_written() -> None:
    assert Study.from_text(SWEEP).factors == ("activation", "bias_init")


@pytest.mark.parametrize("value", ["relu", {"name": "relu"}, {"name": "elu", "alpha": 0.2}, "elu(alpha=0.2)"])
def test_a_baseline_may_be_spelled_as_the_swept_value_or_as_its_label(value: object) -> None:
    sweep = {"activation": ["relu", {"name": "elu", "alpha": 0.2}]}

    assert Study(sweep=sweep, compare={"baseline": {"activation": value}}).compare.baseline == {"activation": value}


def test_a_smoke_study_limits_whatever_the_sweep_sets() -> None:
    study = Study.from_text(
        "study: big\nseeds: [7, 8, 9]\n"
        "training: {epochs: 0, batch_size: 32}\n"
        "sweep:\n"
        "  dataset: [mnist, {name: digits, max_examples: 100}, {name: mine, path: a:f}]\n"
        "  health.probe_size: [100, 1000, 2000]\n"
        "  training.optimizer.lr: [0.1]\n"
        "compare: {baseline: {health.probe_size: 2000, dataset: mnist}}\n"
    )

    smoke = study.smoke()
    assert smoke.name == "big-smoke"
    assert smoke.seeds == (7, 8)
    assert {(s.dataset.name, s.dataset.options["max_examples"], s.health.probe_size) for s in smoke.specs()} == {
        (name, most, probe) for name, most in (("mnist", 512), ("digits", 100), ("mine", 512)) for probe in (100, 512)
    }
    assert {spec.training.epochs for spec in smoke.specs()} == {0}
    assert smoke.compare.baseline["health.probe_size"] == 512
    assert "max_examples" in smoke.compare.baseline["dataset"]
    assert smoke.smoke().specs() == smoke.specs()


def test_seeds_of_one_cell_share_what_was_checked_once() -> None:
    specs = Study(seeds=1000, activation={"name": "elu", "alpha": 0.2}).specs()

    assert len({spec.run_id for spec in specs}) == 1000
    assert len({id(spec.activation) for spec in specs}) == 1, "a seed costs no new check of its cell"


def test_a_smoke_study_of_the_longest_name_is_a_study() -> None:
    assert len(Study(study="s" * 100).smoke().name) == 100


def test_reading_a_config_leaves_torch_alone() -> None:
    code = (
        "import sys; from actbench.config import Study; Study(sweep={'activation': ['relu', 'tanh']}).specs();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'scipy', 'matplotlib', 'sklearn', 'pandas')))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"study": "caf\udce9"},
        {"description": "\ud800"},
        {"activation": {"name": "mine", "path": "parts:\udcff"}},
        {"activation": {"name": "mine", "path": "parts:f", "\udcff": 1}},
        {"compare": {"baseline": {"\udcff": 1}}},
        {"expect": ["\ud83d"]},
    ],
    ids=ascii,
)
def test_half_of_a_character_is_refused_in_a_study_made_in_python(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="that is not UTF-8"):
        Study(**fields)


def test_the_escapes_of_an_emoji_are_the_emoji() -> None:
    study = Study.from_text('activation: {name: "\\ud83d\\ude00", path: "parts:f"}\ndescription: "\\uD83E\\uDD80!"')
    assert study.specs()[0].activation.label == "😀"
    assert study.description == "🦀!"
    again = Study.from_text(Study(activation={"name": "😀", "path": "parts:f"}).text)
    assert again.specs()[0].activation.label == "😀"


def test_one_override_may_be_a_string() -> None:
    assert Study.from_text(SWEEP, "seeds=3").seeds == Study.from_text(SWEEP, ["seeds=3"]).seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("activation", "reluu", "activation"),
        ("activation", {"name": "elu", "alpha": -1}, "activation.alpha"),
        ("sweep", {"activation": ["relu", "reluu"]}, "sweep.activation.1"),
        ("sweep", {"lr": [0.1, 0.2]}, "sweep.lr"),
        ("training", {"epochs": -1}, "training.epochs"),
        ("seeds", 0, "seeds"),
        ("sedes", 3, "sedes"),
    ],
)
def test_a_mistake_in_python_reads_as_in_a_file_with_its_key_for_its_place(key: str, value: object, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study(**{key: value})
    with pytest.raises(ConfigError) as in_text:
        Study.from_text(write({key: value}))

    assert caught.value.messages == in_text.value.messages
    assert str(caught.value).startswith(f"{place}: ")
