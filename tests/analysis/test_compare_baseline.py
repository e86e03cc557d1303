"""What a user names: baselines, factors, filters and their spellings."""

import pytest
from factories import ELU, RELU, SELU, cells, grid, only, row, smooth

from actbench.analysis.compare import compare
from actbench.analysis.table.factors import factor_of, flat_spec, matching_value
from actbench.errors import ActbenchError, UnknownNameError, UsageError
from actbench.schema.spec import RunSpec
from actbench.storage.reading import Records


@pytest.mark.parametrize("given", [0, 0.0, "0", "0.0", "0e0"])
def test_a_number_fits_however_it_is_written(given):
    assert matching_value("bias_init", given, [0.01, 0.0]) == 0.0


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("activation", {"name": "elu", "alpha": 0.2}, "elu(alpha=0.2)"),
        ("activation", "elu( alpha = 0.2 )", "elu(alpha=0.2)"),
        ("training.optimizer", {"name": "sgd"}, "sgd"),
        ("bias_init", None, None),
        ("bias_init", "none", None),
        ("bias_init", "pytorch", "pytorch"),
        ("model.batch_norm", True, True),
    ],
)
def test_a_value_fits_in_any_of_its_spellings(key, given, value):
    assert matching_value(key, given, [value]) == value


def test_a_partial_baseline_is_matched_in_the_other_factors():
    found = only(grid(smooth), baseline={"activation": "relu"})
    for bias in (0.0, 0.01):
        contrast = row(found, activation="elu", bias_init=bias).vs_baseline["test.accuracy"].difference
        expected = sum(smooth("elu", bias, s) - smooth("relu", bias, s) for s in range(3)) / 3
        assert contrast.difference == pytest.approx(expected)
        assert found.is_baseline(row(found, activation="relu", bias_init=bias).factors)


def test_the_studys_own_baseline_and_metric_serve_unless_the_user_says_otherwise():
    settings = {"demo": {"baseline": {"activation": "elu"}, "metric": ["test.loss"]}}
    records = Records(tuple(cells({"relu": RELU, "elu": ELU})), (), settings)
    own, users = only(records), only(records, baseline={"activation": "relu"}, metric="test.accuracy")
    assert (own.baseline, own.metrics) == ({"activation": "elu"}, ("test.loss",))
    assert (users.baseline, users.metrics) == ({"activation": "relu"}, ("test.accuracy",))


def test_a_half_finished_study_without_its_baseline_is_still_compared():
    records = Records(tuple(cells({"elu": ELU, "selu": SELU})), (), {"demo": {"baseline": {"activation": "relu"}}})
    found = compare(records)
    assert found.comparisons[0].baseline is None
    assert found.warnings[0] == "no baseline: no run has activation=relu; there are: elu, selu"


def test_a_studys_baseline_may_name_what_this_view_holds_fixed():
    settings = {"demo": {"baseline": {"activation": "relu", "bias_init": 0.0}}}
    records = Records(tuple(grid(smooth)), (), settings)
    one_bias = [run for run in records if run.spec.bias_init.value == 0.01]
    assert only(Records(tuple(one_bias), (), settings)).baseline == {"activation": "relu"}
    assert only(records, by=["activation"], where={"bias_init": 0.01}).baseline == {"activation": "relu"}
    assert only(records, by=["bias_init"]).baseline == {"bias_init": 0.0}


def test_without_relu_the_first_row_is_the_baseline_and_not_the_best():
    assert only(cells({"selu": SELU, "elu": ELU})).baseline == {"activation": "selu"}


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"metric": "test.acuracy"}, UnknownNameError, "did you mean 'test.accuracy'"),
        ({"by": ["activaton"]}, UnknownNameError, "did you mean 'activation'"),
        ({"where": {"bias": 0}}, UnknownNameError, "did you mean 'bias_init'"),
        ({"baseline": {"lr": 0}}, UnknownNameError, "unknown factor 'lr'"),
        ({"where": {"activation": "tanh"}}, UsageError, "no run has activation=tanh; there are: relu, elu"),
        ({"baseline": {"activation": "tanh"}}, UsageError, "no run has activation=tanh; there are: relu, elu"),
        ({"baseline": {"activation": {"name": "elu", "alpa": 1}}}, UsageError, "did you mean 'alpha'"),
        ({"baseline": {"bias_init": 0.5}}, UsageError, "no run has bias_init=0.5; there are: 0, 0.01"),
        ({"by": ["activation"], "baseline": {"bias_init": 0}}, UsageError, "averaged over"),
        ({"alpha": 5}, UsageError, "alpha should lie between 0 and 1, not 5"),
    ],
)
def test_what_no_run_fits_is_refused_with_what_there_is(options, kind, text):
    with pytest.raises(kind) as error:
        compare(grid(smooth), **options)
    assert text in str(error.value)
    assert error.value.exit_code == 2


def test_a_baseline_that_only_one_of_two_studies_has_is_a_warning():
    records = [*cells({"relu": RELU, "elu": ELU}), *cells({"selu": SELU, "elu": ELU}, study="other")]
    found = compare(records, baseline={"activation": "relu"})
    assert [one.baseline for one in found.comparisons] == [{"activation": "relu"}, None]
    assert any(text.startswith("other · mnist-5k · mlp: no baseline") for text in found.warnings)


def test_every_key_of_a_spec_is_a_plain_value():
    flat = flat_spec(RunSpec(training={"augment": {"crop": 2}}, model={"name": "mlp", "hidden": [3, 4]}))
    assert all(value is None or isinstance(value, (str, int, float)) for value in flat.values())
    assert (flat["training.augment"], flat["model.hidden"]) == ("crop=2,flip=False", "[3,4]")
    assert "seed" not in flat


def test_every_error_is_a_deliberate_one():
    for options in ({"by": [""]}, {"metric": [""]}, {"where": {"": 1}}, {"baseline": {"activation": 3}}):
        with pytest.raises(ActbenchError):
            compare(grid(smooth), **options)


def zipped(lr, epochs):
    training = {"epochs": epochs, "optimizer": {"name": "sgd", "lr": lr}}
    return grid(lambda a, b, s: smooth(a, b, s) + lr, biases=(0.0,), training=training)


ZIP = {"demo": {"zip": ("training.optimizer.lr", "training.epochs")}}


@pytest.mark.parametrize("given", [{"training.optimizer.lr": 0.1}, {"training.epochs": 1}])
@pytest.mark.parametrize("is_the_studys_own", [True, False])
def test_a_baseline_that_names_a_key_of_zip_includes_the_others(given, is_the_studys_own):
    runs = (*zipped(0.1, 1), *zipped(0.01, 2))
    own = {"demo": {**ZIP["demo"], "baseline": given}} if is_the_studys_own else ZIP

    found = only(Records(runs, (), own), **({} if is_the_studys_own else {"baseline": given}))

    assert found.baseline == {"training.optimizer.lr": 0.1, "training.epochs": 1}
    for activation in ("relu", "elu"):
        contrast = row(found, activation=activation, **{"training.epochs": 2}).vs_baseline["test.accuracy"]
        assert contrast.difference.difference == pytest.approx(-0.09)


def test_factors_that_only_happen_to_vary_together_are_matched():
    found = only([*zipped(0.1, 1), *zipped(0.01, 2)], baseline={"training.optimizer.lr": 0.1})

    assert found.baseline == {"training.optimizer.lr": 0.1}
    assert "rows have no baseline run with the same other settings" in " ".join(
        compare([*zipped(0.1, 1), *zipped(0.01, 2)], baseline={"training.optimizer.lr": 0.1}).warnings
    )


def test_a_value_of_no_factor_is_not_taken_for_one_that_is_absent():
    with pytest.raises(UsageError, match="no run has bias_init=rleu; there are: 0, none"):
        matching_value("bias_init", "rleu", [0.0, None])


@pytest.mark.parametrize(
    ("text", "factor"),
    [("elu", "activation"), ("ELU", "activation"), ("0.01", "bias_init"), ("1e-2", "bias_init"), ("0", "bias_init")],
)
def test_a_value_alone_stands_for_the_factor_that_has_it(text, factor):
    assert factor_of(text, grid(smooth)) == factor


def test_a_value_of_several_factors_or_of_none_is_refused_with_what_to_write():
    records = [*grid(smooth), *grid(smooth, training={"optimizer": {"name": "sgd", "lr": 0.01}})]

    with pytest.raises(UsageError) as several:
        factor_of("0.01", records)
    with pytest.raises(UsageError) as none:
        factor_of("rleu", records)

    assert str(several.value) == (
        "'0.01' is a value of several factors: write bias_init=0.01 or training.optimizer.lr=0.01"
    )
    assert str(none.value) == (
        "'rleu' is a value of no factor; there are: activation (relu, elu); bias_init (0, 0.01); "
        "training.optimizer.lr (0.1, 0.01); or write KEY=VALUE"
    )
