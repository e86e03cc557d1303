"""Warnings: each is true of the table beneath it."""

from dataclasses import replace

import pytest
from comparisons import rendered
from factories import ACTIVATIONS, ELU, RELU, cells, grid, only, record, row, smooth

from actbench.analysis.compare import compare

CANNOT_BE_TRUSTED = "no interval of such a mean or of its difference can be trusted"


def collapsed(records, *seeds, activation="relu"):
    """The same records, with these runs of one activation called collapsed."""
    return [
        replace(one, outcome="collapsed") if one.spec.seed in seeds and one.spec.activation.label == activation else one
        for one in records
    ]


def text_of(records, report="table", **options):
    return " ".join(rendered(report, records, **options).split())


@pytest.mark.parametrize(
    ("values", "seeds"),
    [
        ([0.919, 0.925, 0.931, 0.941], (0, 1, 2, 3)),  # every run, at the accuracy of any other study
        ([0.919, 0.925, 0.931, 0.941], (1,)),  # one of them, in the midst of the others
        ([0.10, 0.11, 0.10, 0.12], (0, 1, 2, 3)),  # all alike at chance level
        ([0.1, 0.9], (0,)),  # no interval is printed
        ([0.93, 0.93, 0.94], (2,)),  # as far from the others as any third value may be
        ([0.93, 0.94, 0.91, 0.92], (2, 3)),
    ],
    ids=["all healthy", "one amid the others", "all at chance", "two seeds", "near two equal ones", "two of each kind"],
)
def test_collapsed_runs_are_counted_and_nothing_else_is_said_where_the_interval_holds(values, seeds):
    found = compare(collapsed(cells({"relu": values, "elu": ELU}), *seeds)).warnings
    rows = f"(relu: {len(seeds)} of {len(values)})"
    assert f"{len(seeds)} of {len(values) + 4} runs collapsed: counted beside the means, averaged in {rows}" in found
    assert not any("trusted" in text or "narrow" in text for text in found)


@pytest.mark.parametrize(
    ("values", "seeds"),
    [
        ([*RELU, 0.1], (4,)),
        ([*RELU, 0.3, 0.1], (4, 5)),
        ([0.1, 0.12, 0.9], (0, 1)),  # the others are the fewer
        ([0.1135, 0.1135, 0.1135, 0.9], (0, 1, 2)),  # at chance, all predict one class
        ([0.9, 0.92, 0.1], (2,)),
    ],
)
def test_a_row_of_which_some_runs_fell_out_of_line_is_named(values, seeds):
    found = compare(collapsed(cells({"relu": values, "elu": ELU}), *seeds)).warnings
    assert f"collapsed runs lie far from the row's other runs in test.accuracy: {CANNOT_BE_TRUSTED} (relu)" in found


@pytest.mark.parametrize(
    ("others", "fallen", "told"),
    [
        ([0.5, 0.6, 0.7, 0.8], [0.20, 0.20], False),  # inside the 97.5 % prediction interval, 0.65 ± 0.60
        ([0.5, 0.6, 0.7, 0.8], [0.02, 0.65], True),
        ([0.5, 0.6, 0.7, 0.8], [0.20], False),  # inside the 95 % one, 0.65 ± 0.46
        ([0.5, 0.6, 0.7, 0.8], [0.16], True),
        ([0.9, 0.9, 0.9], [0.883], False),  # equal values leave room for 2 % of their size
        ([0.9, 0.9, 0.9], [0.881], True),
        ([0.9, 0.9, 0.9], [0.917], False),
        ([0.9, 0.9, 0.9], [0.919], True),
    ],
)
def test_collapsed_runs_are_far_outside_the_prediction_interval_of_the_others_and_a_little_room(others, fallen, told):
    records = collapsed(cells({"relu": [*others, *fallen]}), *range(len(others), len(others) + len(fallen)))
    assert any(CANNOT_BE_TRUSTED in text for text in compare(records).warnings) is told


def test_a_share_without_an_interval_has_none_to_distrust():
    records = [replace(one, final=one.final | {"health.dead_fraction": 0.9 * (one.outcome != "ok")})
               for one in collapsed(cells({"relu": RELU, "elu": ELU}), 1)]  # fmt: skip
    assert not any("trusted" in text for text in compare(records, metric="health.dead_fraction").warnings)


def test_lost_runs_are_averaged_in_where_they_have_a_value():
    records = [*cells({"relu": RELU}), record(None, outcome="diverged", activation="relu", seed=4)]
    count = "1 of 5 runs diverged: counted beside the means, "
    for metric, text in {
        "test.accuracy": "not averaged in",
        "seconds": "averaged in",
        ("test.accuracy", "seconds"): "averaged in only in seconds",
    }.items():
        assert f"{count}{text} (relu: 1 of 5)" in compare(records, metric=metric).warnings


def test_a_warning_names_the_rows_that_it_is_about():
    lost = [record(None, outcome="diverged", activation=a, seed=s) for a in ACTIVATIONS[2:7] for s in range(3)]
    found = compare([*cells({"relu": RELU, "elu": ELU[:2]}), *lost]).warnings
    assert (
        "15 of 21 runs diverged: counted beside the means, not averaged in (selu: 3 of 3; gelu: 3 of 3; tanh: 3 of 3; "
        "and 2 more)"
    ) in found
    assert "rows have 0 to 4 seeds with a value (selu: 0; gelu: 0; tanh: 0; and 2 more)" in " ".join(found)


@pytest.mark.parametrize("metric", ["seconds", "parameters", "health.gradient_ratio"])
def test_a_metric_without_a_direction_has_no_best(metric):
    records = [
        replace(one, final=one.final | {metric: 1.5 + one.final["test.accuracy"]})
        for one in cells({"relu": RELU, "elu": ELU})
    ]
    found = only(records, metric=metric)
    assert [one.factors["activation"] for one in found.rows] == ["elu", "relu"]
    assert (found.best, [one.tied for one in found.rows]) == (None, [None, None])
    for report in ("table", "markdown", "latex"):
        text = text_of(records, report, metric=metric)
        assert "highest first" in text
        assert "best" not in text
        assert r"\textbf" not in text


def test_normality_is_named_where_no_exact_test_can_be_below_alpha():
    values = {"relu": [*RELU, 0.93, 0.95], "elu": [*ELU, 0.95, 0.96]}
    for alpha, told in ((2 / 2**6, True), (2 / 2**6 + 1e-9, False)):
        found = compare(cells(values), alpha=alpha).warnings
        assert any(text.startswith("with 6 paired seeds no exact test can reach p < 0.03125") for text in found) is told
    (text,) = compare(cells({"relu": RELU[:3], "elu": ELU[:3]})).warnings
    assert text.startswith("with 3 paired seeds no exact test can reach p < 0.05 (smallest possible p = .25)")


def test_each_is_said_of_parameters_only_where_all_runs_have_as_many():
    records = cells({"relu": RELU, "elu": ELU})
    assert "199,210 parameters each" in text_of(records)
    # Averaged over two sizes, a row's mean is the number of parameters of no network.
    mixed = [replace(one, final=one.final | {"parameters": 50890.0}) if one.spec.bias_init.value else one
             for bias in (0.0, 0.01) for one in cells({"relu": RELU, "elu": ELU}, bias_init=bias)]  # fmt: skip
    text = text_of(mixed, by=["activation"])
    assert "parameters each" not in text
    assert text.count("50,890–199,210") == 2
    assert row(compare(mixed, by=["activation"]).comparisons[0], activation="relu").parameters == (50890.0, 199210.0)


def test_the_probe_is_that_of_the_records():
    measured = [replace(one, health=one.health | {"probe_size": 1000}) for one in cells({"relu": RELU})]
    lost = [record(None, outcome=outcome, seed=4 + i) for i, outcome in enumerate(("failed", "diverged"))]
    lost = [replace(one, health={}) for one in lost]
    assert only([*measured, *lost]).dead == "slope ≤ 0.001 on 1,000 training images"
    assert only(lost).dead == "slope ≤ 0.001 on up to 2,000 training images"


def test_rows_that_are_averaged_over_different_combinations_are_named():
    whole = grid(smooth)
    part = [one for one in whole if (one.spec.activation.label, one.spec.bias_init.value) != ("elu", 0.01)]

    said = "rows are averaged over different values of bias_init, which moves their differences (elu has 1 of 2)"

    assert said in compare(part, by=["activation"]).warnings
    assert not any("different values" in warning for warning in compare(whole, by=["activation"]).warnings)
    assert not any("different values" in warning for warning in compare(part).warnings)


def selecting(records, selected, trained, **training):
    """The same records, as of runs that were trained with early stopping and report these epochs."""
    training = {"epochs": 10, **training}
    return [
        replace(
            one,
            spec=one.spec.model_copy(update={"training": training}),
            final={**one.final, "selected_epoch": float(epoch), "epochs_trained": float(last)},
        )
        for one, epoch, last in zip(records, selected, trained, strict=True)
    ]


def test_a_table_says_which_runs_report_a_chosen_epoch_and_which_ended_early():
    records = cells({"relu": RELU, "elu": ELU})
    best = selecting(records, [3, 4, 5, 6, 7, 7, 7, 10], [6, 7, 8, 9, 10, 10, 10, 10], patience=3, select="best")
    found = compare(best).warnings
    assert (
        "8 of 8 runs report the epoch with their best val.accuracy, not the last (training.select: best): epoch 3 to "
        "10; validation metrics flatter them, having chosen it"
    ) in found
    assert (
        "4 of 8 runs ran out of patience (training.patience) and ended after epoch 6 to 9: their seconds do not compare"
    ) in found
    assert not any("patience" in text or "report the epoch" in text for text in compare(records).warnings)


def test_runs_that_stop_but_report_their_last_epoch_select_nothing():
    records = cells({"relu": RELU, "elu": ELU})
    stopped = selecting(records, [4] * 7 + [10], [4] * 7 + [10], patience=2, monitor="val.loss")
    (found,) = (text for text in compare(stopped).warnings if "runs r" in text)
    assert found.startswith("7 of 8 runs ran out of patience (training.patience) and ended after epoch 4: ")


def test_the_numbers_of_epochs_are_metrics_of_a_table():
    records = selecting(cells({"relu": RELU, "elu": ELU}), [3] * 4 + [5] * 4, [6] * 8, patience=3, select="best")
    comparison = only(records, metric=["test.accuracy", "selected_epoch", "epochs_trained"])
    assert [row(comparison, activation=name).metrics["selected_epoch"].mean for name in ("relu", "elu")] == [3, 5]
    assert "relu 3 baseline" in text_of(records, metric=["selected_epoch"])


def test_runs_without_early_stopping_trained_all_their_epochs():
    records = cells({"relu": RELU, "elu": ELU})
    stopped = selecting(records[:4], [3] * 4, [6] * 4, patience=3, select="best")
    others = [replace(one, spec=one.spec.model_copy(update={"training": {"epochs": 10}})) for one in records[4:]]
    comparison = only(
        [*stopped, *others], metric=["test.accuracy", "selected_epoch", "epochs_trained"], by=["activation"]
    )
    means = {name: row(comparison, activation=name).metrics for name in ("relu", "elu")}
    assert [means["relu"][name].mean for name in ("selected_epoch", "epochs_trained")] == [3, 6]
    assert [means["elu"][name].mean for name in ("selected_epoch", "epochs_trained")] == [10, 10]


def test_methods_state_how_epochs_were_chosen():
    records = selecting(cells({"relu": RELU, "elu": ELU}), [3] * 8, [6] * 8, patience=3, select="best", drop_last=True)
    methods = only(records, methods=True).methods
    assert (
        "Runs stopped early by val.accuracy, with a patience of 3 epochs. Runs report the weights of the epoch with "
        "their best val.accuracy, the first of equally good ones; the test set was read for that epoch alone. An "
        "epoch's last batch was left out where it was smaller."
    ) in methods
    assert "Each run trained for at most 10 epochs" in methods
    assert "dead when, at the reported epoch" in methods


def test_methods_state_how_a_script_draws_and_where_logits_start():
    def chosen(records, **changes):
        return [replace(one, spec=one.spec.model_copy(update=changes)) for one in records]

    plain = cells({"relu": RELU, "elu": ELU})
    ours, theirs = "Runs with equal seed share the random streams", "drew initial weights and batch order from one"
    script, mixed = chosen(plain, draws="torch", output_bias="prior"), [*chosen(plain[:4], draws="torch"), *plain[4:]]
    found = {name: only(runs, methods=True).methods for name, runs in (("script", script), ("plain", plain))}
    assert f"Runs {theirs} generator for each seed, as a plain PyTorch script does" in found["script"]
    assert "In all runs the biases of the logits started at the logarithm of each class's share" in found["script"]
    assert ours in found["plain"]
    assert ours not in found["script"]
    assert theirs not in found["plain"]
    both = only(mixed, methods=True, by=["activation"]).methods
    assert ours in both
    assert f"4 of the runs {theirs}" in both
