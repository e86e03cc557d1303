"""Two runs side by side: what differs, and where their curves part."""

import json
from dataclasses import replace

import pytest
import typer
from factories import record, save
from typer.testing import CliRunner

from actbench.analysis.run_diff import RELATIVE_ROUNDING, difference, differences, find_divergence
from actbench.cli.diff import diff
from actbench.errors import UsageError


def curve(*losses, validation=None, layers=()):
    """Rows of a ``metrics.jsonl``."""
    others = validation or losses
    return [
        {"epoch": epoch, "train.loss": loss, "val.loss": other, "layers": list(layers)}
        for epoch, (loss, other) in enumerate(zip(losses, others, strict=True))
    ]


def found(first, second):
    return differences(record(0.9, **first), record(0.9, **second))


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ({}, {}, {}),
        ({}, {"seed": 3}, {"seed": (0, 3)}),
        ({}, {"bias_init": None}, {"bias_init": (0.0, None)}),
        ({"study": "a"}, {"study": "b"}, {"study": ("a", "b")}),
        (
            {"activation": "relu"},
            {"activation": {"name": "elu", "alpha": 0.2}},
            {"activation": ("relu", "elu(alpha=0.2)")},
        ),
        (
            {"activation": {"name": "mine", "path": "a:f"}},
            {"activation": {"name": "mine", "path": "b:f"}},
            {"activation.path": ("a:f", "b:f")},
        ),
        (
            {"training": {"epochs": 2}},
            {"training": {"epochs": 3, "optimizer": {"name": "sgd", "lr": 0.5}}},
            {"training.epochs": (2, 3), "training.optimizer": ("sgd", "sgd(lr=0.5)")},
        ),
    ],
)
def test_exactly_the_settings_that_differ_are_listed(first, second, wanted):
    assert found(first, second).settings == wanted


def test_exactly_the_environment_entries_that_differ_are_listed():
    told = found({"environment": {"threads": 1}}, {"environment": {"threads": 2, "argv": ["x"]}})
    assert told.environment == {"threads": (1, 2), "argv": (None, ["x"])}


def test_final_metrics_stand_side_by_side():
    told = differences(record(0.75, seed=0), record(None, outcome="diverged", seed=1))
    assert told.final["test.accuracy"] == (0.75, None)
    assert difference(told.final["test.accuracy"]) is None
    assert difference((0.75, 0.5)) == -0.25
    assert told.outcomes == ("ok", "diverged")


@pytest.mark.parametrize(
    ("other", "bits", "epoch"),
    [
        (curve(2.0, 1.0, 0.5), None, None),
        (curve(2.0, 1.0 + 1e-9, 0.5), 1, None),
        (curve(2.0, 1.0 + 1e-9, 0.5 + 1e-5), 1, 2),
        (curve(2.0, 1.0, 0.5, validation=[2.0, 1.0, 0.6]), 2, 2),
        (curve(2.0, None, None), 1, 1),
        (curve(2.0, 1.0), None, None),
        (curve(3.0, 1.0, 0.5), 0, 0),
        ([], None, None),
    ],
)
def test_the_curves_part_where_a_loss_differs_by_more_than_rounding(other, bits, epoch):
    for told in (find_divergence(curve(2.0, 1.0, 0.5), other), find_divergence(other, curve(2.0, 1.0, 0.5))):
        assert (told.bits, told.epoch) == (bits, epoch)
        assert told.compared == tuple(range(len(other)))


@pytest.mark.parametrize(("share", "parts"), [(0.5, False), (2.0, True)])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_rounding_is_relative_to_the_loss(size, share, parts):
    told = find_divergence(curve(size), curve(size * (1 + share * RELATIVE_ROUNDING)))
    assert (told.bits, told.epoch) == (0, 0 if parts else None)


def test_layers_are_told_at_the_epoch_of_parting_and_matched_by_name():
    layer = {"name": "hidden.0", "units": 4, "dead": 1, "constant": 1, "inert": 1, "sparsity": 0.5, "saturation": 0.5}
    deeper = [{**layer, "dead": 2}, {**layer, "name": "hidden.1"}]
    told = find_divergence(curve(2.0, 1.0, layers=[layer]), curve(2.0, 1.5, layers=deeper))
    assert told.epoch == 1
    assert told.losses == {"train.loss": (1.0, 1.5), "val.loss": (1.0, 1.5)}
    assert told.layers["hidden.0"]["dead"] == (1, 2)
    assert told.layers["hidden.1"]["dead"] == (None, 1)


app = typer.Typer()
app.command()(diff)

LAYERS = [{"name": "hidden.0", "units": 4, "dead": 1, "sparsity": 0.5}]
RELU = replace(record(0.9), curves=tuple(curve(2.0, 1.0, layers=LAYERS)))
ELU = replace(
    record(0.92, activation="elu", environment={"torch": "2.15.0"}),
    curves=tuple(curve(2.0, 1.5, layers=[{**LAYERS[0], "dead": 0}])),
)
LOST = replace(record(None, outcome="failed", activation="tanh"), curves=())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(tmp_path_factory.mktemp("results"), [RELU, ELU, LOST])


def call(results, *arguments):
    done = CliRunner().invoke(app, [*arguments, "--results", str(results)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_command_tells_what_differs_and_where_the_curves_part(results):
    lines = squeezed(call(results, "relu-", "elu-"))
    for line in (
        f"A demo / {RELU.spec.run_id} ok",
        f"B demo / {ELU.spec.run_id} ok",
        "activation relu elu",
        "torch 2.14.0 2.15.0",
        "test.accuracy 90.00 % 92.00 % +2.00 points",
        "test.loss 0.1000 0.0800 −0.0200",
        "parameters 199,210 199,210 equal",
        "The last bits first differ at epoch 1.",
        "The curves part at epoch 1, by more than rounding (relative 1e-06): train.loss 1 | 1.5; val.loss 1 | 1.5.",
        "Hidden layers at epoch 1, A | B",
        "hidden.0 4 | 4 1 | 0 50.00 % | 50.00 %",
    ):
        assert line in lines


def test_a_run_does_not_differ_from_itself(results):
    lines = squeezed(call(results, "relu-", "relu-"))
    assert lines.count("none") == 2
    assert "train.loss and val.loss are equal to the last bit over epochs 0 to 1." in lines


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"train.loss": 1.0, "val.loss": None}], "train.loss is equal to the last bit over epoch 0."),
        ([{"train.loss": 1.0}, {"train.loss": 0.5}], "train.loss is equal to the last bit over epochs 0 to 1."),
        ([{"train.loss": None, "val.loss": None}] * 2, "Neither run has a loss in epochs 0 to 1."),
    ],
    ids=["no validation, one epoch", "no validation", "diverged at once"],
)
def test_nothing_is_said_of_a_loss_that_no_run_has(tmp_path, rows, sentence):
    curves = tuple({"epoch": epoch, **row, "layers": []} for epoch, row in enumerate(rows))
    save(tmp_path, [replace(record(activation=a), curves=curves) for a in ("relu", "elu")])
    assert sentence in squeezed(call(tmp_path, "relu-", "elu-"))


def test_a_failed_run_without_a_curve_can_be_compared(results):
    lines = squeezed(call(results, "relu-", "tanh-"))
    assert "There is no epoch that both runs have." in lines
    assert "test.accuracy 90.00 % – –" in lines


def test_programs_get_the_same_as_json(results):
    told = json.loads(call(results, "relu-", "elu-", "--json"))
    assert told == json.loads(json.dumps(differences(RELU, ELU).to_dict()))
    assert told["settings"] == {"activation": ["relu", "elu"]}
    assert told["final"]["test.accuracy"] == {"values": [0.9, 0.92], "difference": pytest.approx(0.02)}
    assert (told["curves"]["first_epoch_with_other_bits"], told["curves"]["parting_epoch"]) == (1, 1)
    assert told["curves"]["layers"]["hidden.0"]["dead"] == [1, 0]


def test_an_unknown_run_is_told_with_the_nearest_one(results):
    with pytest.raises(UsageError, match="no run 'rellu'"):
        call(results, "relu-", "rellu")
