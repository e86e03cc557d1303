"""``actbench show --theory``: what is expected of a study's networks, before anything is trained."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from factories import only, record

from actbench import cli
from actbench.analysis.plots._figures import charts_of
from actbench.analysis.table.result import Prediction
from actbench.cli.theory import prediction
from actbench.config import Study
from actbench.health.theory.forecast import forecast
from actbench.schema.spec import RunSpec

STUDY = """\
study: tiny
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [4, 4]}
seeds: 3
sweep:
  activation: [relu, gelu]
  bias_init: [0.0, 0.01]
"""

Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Show:
    """The command in this process, in an empty folder that holds study.yaml: exit code, stdout, stderr."""
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTBENCH_DATA", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["actbench", "show", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code or 0, *capfd.readouterr())

    return run


def rows(out: str) -> list[list[str]]:
    lines = out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("───"))
    table = itertools.takewhile(
        lambda line: not line.startswith(("*", "– ")), lines[first + 1 : lines.index("", first)]
    )
    return [line.split("  ") for line in table]


def test_a_row_for_each_architecture_whatever_the_seeds(show: Show) -> None:
    code, out, _ = show("--theory", "study.yaml")
    found = [[cell.strip() for cell in row if cell.strip()] for row in rows(out)]

    assert code == 0
    assert out.startswith("Expected at initialisation: mlp(hidden=[4,4]) on digits(")
    assert [row[:3] for row in found] == [
        ["relu", "he_normal", "0"],
        ["relu", "he_normal", "0.01"],
        ["gelu", "he_normal", "0"],
        ["gelu", "he_normal", "0.01"],
    ]
    assert found[0][3:] == ["2 → 2", "1.000", "1 pass*", "0.12", "50.0 %"]
    assert found[1][6] == "≤ 0.12"
    assert found[2][6:] == ["–", "–"]


def test_what_the_means_hide_in_narrow_networks_stands_below_the_table(show: Show) -> None:
    _, out, _ = show("--theory", "study.yaml")
    text = " ".join(out.split())

    assert "* relu he_normal 0: 12.1 % of such networks are silent at a given input" in text
    assert "* relu he_normal 0.01: up to 12.1 % of such networks" in text
    assert "gelu he_normal 0:" not in text
    assert "born dead:" not in text


def test_networks_of_one_input_have_both_bounds_of_being_born_dead(show: Show) -> None:
    narrow = ["dataset={name: regression}", "training.loss=mse", "model.hidden=[2, 2, 2, 2, 2, 2, 2, 2, 2]"]
    code, out, _ = show("--theory", "study.yaml", *narrow, "bias_init=0")

    assert code == 0
    assert rows(out)[0][-1].strip() == "0.8703 to 0.9249"
    assert rows(out)[1][-1].strip() == "–"
    assert "born dead: bounds of the probability" in " ".join(out.split())


def test_the_assumptions_stand_below_the_table(show: Show) -> None:
    _, out, _ = show("--theory", "study.yaml")

    assert "infinitely wide layers with independent weights" in out.replace("\n", " ")
    assert "arXiv:1903.06733" in out


def test_json_is_the_forecast_of_each_architecture(show: Show) -> None:
    code, out, _ = show("--theory", "study.yaml", "activation=tanh", "bias_init=pytorch", "--json")
    (found,) = json.loads(out)
    model = {"name": "mlp", "hidden": [4, 4]}
    spec = RunSpec.model_validate({"model": model, "activation": "tanh", "bias_init": "pytorch"})

    assert code == 0
    assert found.items() >= forecast(spec, 64).to_json().items()
    assert (found["activation"], found["bias_init"], found["weight_init"]) == ("tanh", "pytorch", "he_normal")


def test_overrides_sweep_as_they_do_for_a_run(show: Show) -> None:
    _, out, _ = show("--theory", "study.yaml", "weight_init=he_normal,pytorch", "--json")

    assert [one["weight_init"] for one in json.loads(out)].count("pytorch") == 4


def test_what_theory_does_not_cover_is_said_below_the_table(show: Show) -> None:
    code, out, _ = show("--theory", "study.yaml", "model={name: cnn, channels: [4], dense: []}", "bias_init=0")

    assert code == 0
    text = " ".join(out.split())
    assert "– relu he_normal 0, gelu he_normal 0: no closed form for model cnn" in text


def test_no_data_is_needed_where_the_size_of_images_does_not_matter(show: Show, tmp_path: Path) -> None:
    absent = f"dataset={{name: idx, root: {tmp_path}}}"

    assert show("--theory", "study.yaml", absent)[0] == 0
    code, _, err = show("--theory", "study.yaml", absent, "weight_init=xavier_normal")
    assert code == 2
    assert "no train-images-idx3-ubyte" in err


def test_the_mean_square_of_scaled_pixels_is_read_from_the_data(show: Show) -> None:
    fixed = ("activation=relu", "bias_init=0", "--json")
    (unit,) = json.loads(show("--theory", "study.yaml", "dataset.scale=unit", *fixed)[1])
    (standard,) = json.loads(show("--theory", "study.yaml", *fixed)[1])

    assert 0.2 < unit["variances"][0] / 2 < 0.3  # E[x²] of digits' pixels
    assert unit["variances"][1] == pytest.approx(unit["variances"][0])
    assert standard["variances"] == pytest.approx([2.0, 2.0])
    assert unit["gradients"] == standard["gradients"]


def test_what_a_users_activation_prints_is_not_part_of_the_json(show: Show) -> None:
    own = "activation={name: talking, path: 'printing_parts:prints'}"
    code, out, err = show("--theory", "study.yaml", own, "bias_init=0", "--json")

    assert (code, len(json.loads(out))) == (0, 1)
    assert "printed by a user" in err


def test_an_infinite_expectation_is_valid_json(show: Show) -> None:
    code, out, _ = show("--theory", "study.yaml", "activation=x * exp(x**2)", "--json")

    assert code == 0
    assert "not a finite number" in json.loads(out)[0]["note"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--theory", "studi.yaml"), "did you mean 'study.yaml'?"),
        (("--theory", "study.yaml", "activatoin=relu"), "did you mean 'activation'?"),
        ((), "name a run or an activation, or give --theory CONFIG"),
    ],
)
def test_what_can_not_be_shown_ends_with_2(show: Show, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = show(*arguments)

    assert code == 2
    assert message in " ".join(err.split())


NETWORKS = (
    {"activation": "relu", "bias_init": 0.1},
    {"activation": "tanh", "bias_init": "pytorch", "weight_init": "pytorch"},
    {"activation": "x * sigmoid(1.702 * x)", "weight_init": "xavier_normal", "dataset": "digits"},
    {"activation": "gelu", "weight_init": "matched", "bias_init": None},
)


@pytest.mark.parametrize("chosen", NETWORKS, ids=lambda one: one["activation"])
def test_a_charts_prediction_is_the_forecast(chosen: dict[str, object]) -> None:
    spec = RunSpec.model_validate({"model": {"name": "mlp", "hidden": [40, 30, 20, 10]}} | chosen)
    inputs = 64 if chosen.get("dataset") else 784
    expected, found = forecast(spec, inputs), prediction(spec)
    bias = chosen["bias_init"] if chosen.get("bias_init") == 0.1 else 0.0

    assert found.note == ""
    assert found.mean_squares == pytest.approx([variance + bias**2 for variance in expected.variances])
    assert len(found.gradient_norms) == 4
    assert found.gradient_norms[0] == pytest.approx(expected.gradient_ratio)
    assert found.gradient_norms[2:] == pytest.approx([math.sqrt(expected.factors[2]), 1.0])


@pytest.mark.parametrize(
    ("chosen", "note"),
    [
        ({"model": "cnn"}, "no closed form for model cnn"),
        ({"model": {"name": "mlp", "batch_norm": True}}, "no closed form with norm: batch"),
        ({"activation": {"name": "mine", "path": "not_there_at_all:f"}}, "a user's own code is not run for a chart"),
        (
            {"dataset": {"name": "idx", "root": "not_there"}, "weight_init": "xavier_normal"},
            "it depends on the size of the images, which only the data knows",
        ),
        (
            {"dataset": {"name": "mnist", "scale": "unit"}},
            "it depends on how bright the images are, which only the data knows",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_chart_says_why_it_has_no_prediction(chosen: dict[str, object], note: str) -> None:
    found = prediction(RunSpec.model_validate(chosen))

    assert found == Prediction(note=note)


def test_plot_draws_what_show_theory_prints(show: Show, tmp_path: Path) -> None:
    """The study's runs are stored with what they measured at epoch 0; nothing is trained here."""
    _, out, _ = show("--theory", "study.yaml", "--json")
    records = []
    for spec in Study.from_yaml(tmp_path / "study.yaml").specs():
        layers = [{"name": f"hidden.{layer}", "units": 4, "z_mean": 0.0, "z_std": 1.5} for layer in range(2)]
        one = record(0.9 + spec.seed / 100)
        records.append(replace(one, spec=spec, curves=({"epoch": 0, "layers": layers},)))
    (drawn,) = charts_of(only(records), ["signal_depth"], predict=prediction)

    expected = {
        (one["activation"], one["bias_init"]): [variance + one["bias_init"] ** 2 for variance in one["variances"]]
        for one in json.loads(out)
    }
    for series, own in enumerate(drawn.data.series):
        marks = [mark for _, mark in drawn.data.in_panel(0, "theory") if mark.series == series]
        assert [mark.y for mark in marks] == pytest.approx(
            expected[own.factors["activation"], own.factors["bias_init"]]
        )
