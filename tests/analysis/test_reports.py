"""Formats: golden text for synthetic runs, and what every format must get through."""

import csv
import io
import json
from dataclasses import replace

import pytest
from comparisons import DEGENERATE, ELU, RELU, rendered, varied
from factories import cells, record

from actbench.analysis.compare import compare
from actbench.analysis.judgements.formatting import quantity
from actbench.analysis.reports._cells import mean_cell
from actbench.analysis.reports._columns import short_names
from actbench.analysis.statistics import Interval
from actbench.schema import registry
from actbench.storage.reading import Records


def squeezed(text):
    """Text without the spaces that only align it."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_table_reads_as_designed():
    found = squeezed(rendered("table", cells({"relu": RELU, "elu": ELU})))
    assert found[0] == "demo · mnist-5k · mlp"
    assert " ".join(found[1:3]) == (
        "elu wins in test.accuracy with 92.10 % [89.41, 94.79] over 3 seeds: the other row is worse, adjusted "
        "p < 0.05. elu beats relu by 1.10 points [0.44, 1.76] (3 paired seeds, adjusted p = .019, better in 3 of 3)."
    )
    assert found[3] == "activation test.accuracy Δ baseline (points) better in n dead"
    assert set(found[4]) == {"─"}
    assert found[5:7] == [
        "elu 92.10 % [89.41, 94.79] +1.10 [+0.44, +1.76] * 3 of 3 3 1.00 %",
        "relu 91.00 % [88.52, 93.48] baseline 3 1.00 %",
    ]
    assert " ".join(found[7:]) == (
        "mean [95 % Student-t interval] over n seeds, best first; Δ = row − baseline (activation=relu), "
        "paired by seed; "
        "* p < 0.05, Holm-adjusted over all differences of a column (1); dead: mean share of hidden units "
        "with slope ≤ 0.001 on 2,000 training images; 199,210 parameters each. "
        "· elu beats relu by 1.10 points [0.44, 1.76] (3 paired seeds, adjusted p = .019, better in 3 of 3) "
        "words: actbench explain WORD "
        "warning: with 3 paired seeds no exact test can reach p < 0.05 (smallest possible p = .25): a smaller p rests "
        "on normally distributed differences"
    )


@pytest.mark.parametrize(("width", "is_shown"), [(60, False), (200, True)])
def test_the_caption_speaks_of_a_range_where_one_is_shown(monkeypatch, width, is_shown):
    monkeypatch.setattr("actbench.system.console.PLAIN_WIDTH", width)
    text = " ".join(rendered("table", varied()).split())
    assert ("(0.00–3.00)" in text, "mean share (range) of hidden units" in text) == (is_shown, is_shown)
    assert "mean share of hidden units" in " ".join(rendered("latex", varied()).split())


@pytest.mark.parametrize("width", [60, 80, 100, 120, 140, 200])
def test_the_table_never_exceeds_the_width_and_keeps_every_row(monkeypatch, width):
    monkeypatch.setattr("actbench.system.console.PLAIN_WIDTH", width)
    text = rendered("table", varied(), metric=["test.accuracy", "test.loss"])
    assert max(map(len, text.splitlines())) <= width
    for mean in ("90.15", "91.15", "91.10"):
        assert mean in text


def test_a_wide_table_has_all_details_and_a_narrow_one_the_essentials(monkeypatch):
    for width, present, absent in (
        (150, ("(0.00–3.00)", "better in"), ()),
        (70, ("90.15",), ("(0.00–3.00)", "better in")),
    ):
        monkeypatch.setattr("actbench.system.console.PLAIN_WIDTH", width)
        text = rendered("table", varied()).partition("\nmean")[0]  # the table alone
        assert all(one in text for one in present)
        assert not any(one in text for one in absent)


def test_a_file_gets_no_control_codes(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b" not in rendered("table", varied())


def test_a_terminal_gets_colours_unless_it_asks_for_none(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for colours in (True, False):
        if not colours:
            monkeypatch.setenv("NO_COLOR", "1")
        target = Terminal()
        registry.load("reports", "table").render(compare(cells({"relu": RELU, "elu": ELU})), target)
        assert ("\x1b[32m" in target.getvalue()) == colours


def test_markdown_reads_as_designed():
    assert rendered("markdown", cells({"relu": RELU, "x * sigmoid(x)": ELU})).splitlines()[:9] == [
        "### demo · mnist-5k · mlp",
        "",
        "x \\* sigmoid(x) wins in test.accuracy with 92.10 % [89.41, 94.79] over 3 seeds: the other row is worse, "
        "adjusted p \\< 0.05. x \\* sigmoid(x) beats relu by 1.10 points [0.44, 1.76] (3 paired seeds, adjusted p = "
        ".019, better in 3 of 3).",
        "",
        "| activation | test.accuracy | Δ baseline (points) | better in | n | dead |",
        "| :--- | ---: | ---: | ---: | ---: | ---: |",
        "| x \\* sigmoid(x) | 92.10 % [89.41, 94.79] | +1.10 [+0.44, +1.76] \\* | 3 of 3 | 3 | 1.00 % |",
        "| relu | 91.00 % [88.52, 93.48] | baseline |  | 3 | 1.00 % |",
        "",
    ]


TIED = {"relu": RELU, "elu": [0.902, 0.909, 0.921], "selu": [0.81, 0.822, 0.829]}


@pytest.mark.parametrize(
    ("where", "legend"), [(None, "best;"), ({"bias_init": 0.0}, "best (activation=elu, bias_init=0")]
)
def test_rows_tied_with_the_best_are_marked_and_the_best_is_named_when_it_is_hidden(where, legend):
    records = [*cells(TIED), *cells({"elu": [0.904, 0.912, 0.922]}, bias_init=0.01)]
    text = " ".join(rendered("table", records, where=where).split())
    assert f"= not distinguishable from the {legend}" in text
    assert "selu 0 82.03 %" in text
    assert "relu 0 = 91.00 %" in text


def test_the_outcomes_have_wilsons_interval():
    records = [*cells({"relu": RELU}), record(None, outcome="failed", seed=8), record(None, outcome="diverged", seed=9)]
    assert "1 of 5 diverged, 1 failed [12–77 %]" in rendered("table", records)


def test_markdown_lists_verdicts_and_expectations_below_the_table():
    settings = {"demo": {"expect": ["test.accuracy: activation=elu > activation=selu"]}}
    lines = rendered("markdown", Records(tuple(cells(TIED)), (), settings)).splitlines()
    verdicts = [line for line in lines if line.startswith("- relu beats selu by ")]
    assert len(verdicts) == 1
    (expected,) = [
        line for line in lines if line.startswith("- ✓ supported: test.accuracy: activation=elu > activation")
    ]
    assert expected.endswith("points, 3 seeds, p \\< .001)")


def test_csv_has_one_line_a_row_and_metric_with_raw_numbers():
    lines = list(csv.DictReader(io.StringIO(rendered("csv", varied()))))
    assert len(lines) == 4 * 4
    accuracy = [line for line in lines if line["metric"] == "test.accuracy"]
    relu = next(line for line in accuracy if line["activation"] == "relu" and line["bias_init"] == "0.01")
    assert (relu["runs"], relu["diverged"], relu["n"], relu["baseline"]) == ("4", "1", "3", "False")
    assert float(relu["mean"]) == pytest.approx(0.911)
    assert float(relu["versus_difference"]) == pytest.approx(0.01)
    baseline = next(line for line in accuracy if line["baseline"] == "True")
    assert (baseline["activation"], baseline["versus_p"]) == ("relu", "")


def test_csv_puts_studies_with_different_factors_under_one_header():
    records = [*cells({"relu": RELU, "elu": ELU}), *(record(bias_init=b, study="other") for b in (0.0, 0.1))]
    lines = list(csv.DictReader(io.StringIO(rendered("csv", records))))
    assert {line["bias_init"] for line in lines if line["study"] == "demo"} == {""}
    assert {line["bias_init"] for line in lines if line["study"] == "other"} == {"0.0", "0.1"}


def test_csv_writes_none_for_a_factor_that_is_null_and_nothing_for_one_that_is_not_there():
    records = [
        *(record(0.9 + s / 100, bias_init=bias, seed=s) for bias in (None, 0.0) for s in range(3)),
        *cells({"relu": RELU, "elu": ELU}, study="other"),
    ]
    lines = list(csv.DictReader(io.StringIO(rendered("csv", records))))
    found = {study: {line["bias_init"] for line in lines if line["study"] == study} for study in ("demo", "other")}
    assert found == {"demo": {"none", "0.0"}, "other": {""}}
    pairs = list(csv.DictReader(io.StringIO(rendered("csv", records, all_pairs=True))))
    assert {line["left_bias_init"] for line in pairs} | {line["right_bias_init"] for line in pairs} == {
        "none", "0.0", "",
    }  # fmt: skip


def test_json_is_the_comparison_itself_the_same_bytes_each_time():
    text = rendered("json", varied())
    assert text == rendered("json", varied())
    assert json.loads(text) == compare(varied()).to_dict()
    assert text.isascii()


@pytest.mark.parametrize("name", registry.names("reports"))
@pytest.mark.parametrize("records", DEGENERATE.values(), ids=DEGENERATE)
def test_every_format_gets_through_degenerate_runs(name, records):
    text = rendered(name, records, metric=["test.accuracy", "health.dead_fraction", "test.loss"])
    assert text.endswith("\n")
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    ("records", "metric", "legend"),
    [
        (DEGENERATE["two seeds"], "test.accuracy", "mean over n seeds"),
        (cells({"relu": RELU}), "health.dead_fraction", "mean over n seeds"),
        (cells({"relu": RELU}), "test.accuracy", "mean [95 % Student-t interval] over n seeds"),
        (cells({"relu": RELU, "elu": RELU[:1]}), "test.accuracy", "mean [95 % Student-t interval] over n seeds"),
    ],
)
def test_the_legend_explains_an_interval_where_there_is_one(records, metric, legend):
    assert legend in rendered("table", records, metric=metric)


def test_a_ratio_has_three_digits_and_no_percent():
    records = cells({"relu": RELU, "elu": ELU})
    ratios = [
        replace(one, final={**one.final, "health.gradient_ratio": 10.0 ** -(index + 1)})
        for index, one in enumerate(records)
    ]
    for name in ("table", "markdown"):
        text = rendered(name, ratios, metric="health.gradient_ratio")
        assert "0.0370 [" in text
        assert "3.70e-05 [" in text
        assert "(ratio)" not in text  # of a difference, it would read as one to the baseline
    lines = list(csv.DictReader(io.StringIO(rendered("csv", ratios, metric="health.gradient_ratio"))))
    ratio = next(line for line in lines if line["metric"] == "health.gradient_ratio" and line["activation"] == "relu")
    assert (ratio["unit"], float(ratio["mean"])) == ("ratio", pytest.approx(0.037))


def test_identical_columns_say_so():
    assert "identical" in rendered("table", DEGENERATE["identical"])


def test_brackets_and_colons_are_printed_as_they_are():
    assert "[bold]:smile: · mnist-5k · mlp" in rendered("table", DEGENERATE["markup"])


@pytest.mark.parametrize("name", registry.names("reports"))
def test_a_report_has_a_summary_for_the_list(name):
    module = type(registry.load("reports", name)).__module__
    assert __import__(module, fromlist=["plugin"]).__doc__.endswith(".")


def test_amounts_carry_their_units():
    assert quantity("seconds", 1.234) == "1.23 s"
    assert quantity("test.loss", 123456.0) == "1.235e+05"
    assert quantity("test.loss", None) == "–"
    assert mean_cell("test.accuracy", Interval(0.5, None, None, None, 0.5, 0.5, 1)).text() == "50.00 %"
    assert short_names(["a.lr", "b.lr", "c.epochs"]) == {"a.lr": "a.lr", "b.lr": "b.lr", "c.epochs": "epochs"}
