"""``cases``, named alternatives with keys of their own: the runs, their names, and the slips."""

from __future__ import annotations

import pytest

from actbench.config import Study
from actbench.errors import ConfigError
from actbench.schema.spec import RunSpec

CASES = """\
seeds: 2
cases:
  none:
  slower: {training.optimizer.lr: 0.01, training.epochs: 9}
  normalised: {model.norm: batch}
  bias_0.1: {bias_init: 0.1}
"""


def _problem(text: str, *overrides: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, overrides, source="x.yaml")
    (problem,) = caught.value.problems
    return problem.where.removeprefix("x.yaml:"), problem.message


def _labels(study: Study) -> list[tuple[str, str]]:
    return [(spec.case.label, spec.activation.label) for spec in study.specs() if spec.case and not spec.seed]


def test_each_case_sets_its_own_keys_over_the_rest_of_the_config() -> None:
    study = Study.from_text(CASES)

    specs = {spec.case.name: spec for spec in study.specs() if spec.case}
    assert study.factors == ("case",)
    assert len(study.specs()) == 8
    assert specs["none"].digest == RunSpec(seed=1).digest
    assert specs["slower"] == RunSpec(seed=1, training={"epochs": 9, "optimizer": {"name": "sgd", "lr": 0.01}})
    assert specs["normalised"] == RunSpec(seed=1, model={"name": "mlp", "batch_norm": True})
    assert specs["bias_0.1"] == RunSpec(seed=1, bias_init=0.1)


def test_names_are_in_run_ids_and_in_no_digest() -> None:
    one, other = (Study.from_text(CASES.replace("slower", name)).specs()[1] for name in ("slower", "patient"))

    assert one.id_with(["case"]).startswith("relu-slower-seed-0-")
    assert other.id_with(["case"]).startswith("relu-patient-seed-0-")
    assert (one, one.digest) == (other, other.digest)
    assert one.with_seed(3).case == one.case


def test_cases_are_crossed_with_the_sweep_and_cells_of_both_are_left_out() -> None:
    text = "sweep: {activation: [relu, elu]}\nexclude: [{case: slower, activation: elu}]\n"

    study = Study.from_text(CASES + text)

    assert study.factors == ("case", "activation")
    every = [(case, activation) for case in study.cases for activation in ("relu", "elu")]
    assert _labels(study) == [cell for cell in every if cell != ("slower", "elu")]


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("case=bias_0.1,none", ["bias_0.1", "none"]),
        ("case=slower", ["slower"]),
        ("cases={none: {}, high: {bias_init: 1}}", ["none", "high"]),
        ("cases.bias_1={bias_init: 1}", ["none", "slower", "normalised", "bias_0.1", "bias_1"]),
    ],
)
def test_an_override_chooses_or_adds_cases(override: str, names: list[str]) -> None:
    study = Study.from_text(CASES, [override])

    assert [name for name, _ in _labels(study)] == names
    assert _labels(Study.from_text(study.text)) == _labels(study)


def test_a_case_keeps_its_own_value_of_a_key_that_an_override_sets() -> None:
    study = Study.from_text(CASES, ["training.epochs=3"])

    assert [spec.training.epochs for spec in study.specs() if not spec.seed] == [3, 9, 3, 3]


def test_a_config_adds_a_case_to_those_of_its_base(tmp_path) -> None:
    (tmp_path / "common.yaml").write_text(CASES)
    (tmp_path / "more.yaml").write_text("base: common.yaml\ncases: {high: {bias_init: 1}}\n")

    assert [name for name, _ in _labels(Study.from_yaml(tmp_path / "more.yaml"))] == [
        "none", "slower", "normalised", "bias_0.1", "high",
    ]  # fmt: skip


def test_a_smoke_run_keeps_the_cases_that_still_differ() -> None:
    text = "training: {epochs: 3}\ncases: {none: {}, longer: {training.epochs: 9}, clipped: {training.clip_norm: 1}}\n"

    assert [name for name, _ in _labels(Study.from_text(text).smoke())] == ["none", "clipped"]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("cases: [none, high]", "1:8", "'cases' should be a mapping from names to settings, such as {none: {}, high"),
        ("cases: {a b: {}}", "1:9", "'a b' can't name a case: use up to 40 letters, digits, '.', '_' or '-'"),
        ("cases: {high: 3}", "1:15", "the case 'high' should be a mapping from keys to values, such as {bias_init"),
        ("cases: {high: {lr: 1}}", "1:16", "unknown key 'lr' — did you mean 'training.optimizer.lr'?"),
        ("cases: {high: {case: none}}", "1:16", "'case' is the factor that 'cases' make: it can't be set by itself"),
        ("cases: {a: {training.checkpoint_every: 3}}", "1:13", "'checkpoint_every' holds for the whole study"),
        ("cases:\n  high: {training.epochs: x}", "2:27", "'epochs' should be a whole number, not 'x'"),
        ("cases:\n  high: {activation: rellu}", "2:22", "unknown activation 'rellu' — did you mean 'relu'"),
        ("cases:\n  high: {training.optimizer.lrr: 1}", "2:10", "unknown key 'lrr'"),
        ("cases: {a: {bias_init: [0, 1]}}", "1:24", "'bias_init' should be a number"),
        (CASES + "sweep: {training.epochs: [1, 2]}", "4:41", "'training.epochs' stands in 'sweep' too, which would"),
        (CASES + "sweep: {model: [mlp, cnn]}", "5:16", "'model' stands in 'sweep' too, which would undo it"),
        (CASES + "case: [none, none]", "7:7", "'none' stands here twice"),
        (CASES + "case: [none, slowr]", "7:7", "no case 'slowr' — did you mean 'slower'?"),
        (CASES + "case: {none: 1}", "7:7", "'case' should be the name of a case or a list of names, not"),
        ("cases: {a: {}, b: {activation: relu}}", "1:16", "'b' is the same as 'a'"),
        ("sweep: {case: [none]}", "1:9", "'case' is the factor that 'cases' make: it can't be set by itself"),
        (CASES + "compare: {baseline: {case: non}}", "7:28", "'non' is none of the cases: 'none', 'slower', 'norm"),
        (
            "compare: {baseline: {case: none}}",
            "1:22",
            "'case' is the factor that 'cases' make, and the config has none",
        ),
        (CASES + 'expect: ["test.accuracy: case=slow > case=none"]', "7:10", "'slow' is none of the cases: none, slo"),
        ('expect: ["test.accuracy > 9% where case=a"]', "1:10", "'case' is the factor that 'cases' make, and the con"),
        (CASES + "tune: case", "7:7", "the case is what is compared, so it can't be tuned"),
    ],
)
def test_a_slip_in_cases_is_told(text: str, place: str, message: str) -> None:
    where, told = _problem(text)

    assert told.startswith(message)
    assert where == place


def test_the_cases_that_are_not_chosen_keep_their_names_and_may_be_in_hypotheses_and_baseline() -> None:
    text = CASES + 'compare: {baseline: {case: none}}\nexpect: ["test.accuracy: case=slower > case=none"]\n'

    study = Study.from_text(text, ["case=bias_0.1"])

    assert study.factors == ("case",)
    assert list(study.cases) == ["none", "slower", "normalised", "bias_0.1"]
    assert study.levels == {"case": ("bias_0.1",)}
    assert Study.from_text(study.text).specs() == study.specs()


def test_a_case_may_have_a_number_for_its_name() -> None:
    study = Study.from_text("cases: {a: {}, '0.1': {bias_init: 0.1}}", ["case=0.1", "compare.baseline.case=0.1"])

    assert _labels(study) == [("0.1", "relu")]


def test_an_override_with_an_unknown_case_names_the_nearest() -> None:
    assert _problem(CASES, "case=nnoe")[1] == "no case 'nnoe' — did you mean 'none'?"
    assert _problem("seeds: 1", "case=none")[1] == "'case' is the factor that 'cases' make, and the config has none"
