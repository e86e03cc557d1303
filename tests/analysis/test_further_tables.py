"""Published figures, rows across datasets and sources of variance: what is computed, printed and refused."""

import csv
import io
import json
from statistics import fmean

import numpy as np
import pytest
from factories import record

from actbench.analysis.further.across import across, across_table
from actbench.analysis.further.published_figures import published_table, read_published
from actbench.analysis.further.table import FORMS, FurtherTable
from actbench.analysis.further.variance_sources import variance_sources, variance_table
from actbench.analysis.statistics.unpaired import Summary, welch_difference
from actbench.analysis.statistics.variance_components import variance_components
from actbench.errors import ResultsError, UnknownNameError, UsageError

FIGURES = "name,mean,sd,n\nrelu,93.1,0.3,5\nelu,95.0,0.3,5\ntanh,92.5,0.5,4\n"


@pytest.fixture
def figures(tmp_path):
    def write(text):
        path = tmp_path / "figures.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rendered(table, form="table"):
    target = io.StringIO()
    table.render(form, target)
    return target.getvalue()


# Published figures


def test_each_row_is_compared_to_the_first_by_welchs_test(figures):
    found = published_table(figures(FIGURES)).data["rows"]
    expected = welch_difference(Summary(95.0, 0.3, 5), Summary(93.1, 0.3, 5))

    assert found[0]["baseline"]
    assert found[0]["vs_baseline"] is None
    assert found[1]["vs_baseline"]["p"] == expected.p
    assert found[1]["vs_baseline"]["d_high"] == expected.d_high


def test_p_is_adjusted_over_all_differences_of_the_file(figures):
    grouped = "dataset,name,mean,sd,n\n" + "".join(
        f"{group},{row}" for group in ("a", "b") for row in FIGURES.splitlines(keepends=True)[1:]
    )
    table = published_table(figures(grouped))
    ps = sorted(row["vs_baseline"]["p"] for row in table.data["rows"] if row["vs_baseline"])
    adjusted = sorted(row["vs_baseline"]["p_adjusted"] for row in table.data["rows"] if row["vs_baseline"])

    assert table.data["family"] == 4
    assert adjusted == pytest.approx([4 * ps[0], 4 * ps[0], min(2 * ps[2], 1), min(2 * ps[2], 1)])


def test_the_sentences_say_what_the_numbers_beside_them_do(figures):
    text = rendered(published_table(figures(FIGURES)))

    assert "elu is above relu: +1.90 [" in text
    assert "tanh and relu are not distinguishable: −0.60 [" in text
    assert rendered(published_table(figures(FIGURES), baseline="elu")).count("is below elu") == 2


@pytest.mark.parametrize(("spread", "factor"), [("se", 5**0.5), ("ci", 5**0.5 / 2.7764451051977987)])
def test_standard_errors_and_half_intervals_become_standard_deviations(figures, spread, factor):
    (first, *_) = read_published(figures(FIGURES.replace("sd", spread)))

    assert first.summary.sd == pytest.approx(0.3 * factor)


@pytest.mark.parametrize(
    "text", ["Method;Mean;Std;Runs\nrelu;93,1;0,3;5\n", "method\tmean\tsd\tn\nrelu\t93.1 %\t0.3\t5\n"]
)
def test_other_separators_decimal_commas_and_headings_are_read(figures, text):
    (found,) = read_published(figures(text))

    assert (found.name, found.summary) == ("relu", Summary(93.1, 0.3, 5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a heading name,mean,sd,n"),
        ("name,mean\nrelu,1\n", r"figures.csv:1: the heading lacks n, sd \(or se"),
        ("name,mean,sd,se,n\n", "has sd and se; keep one"),
        ("name,model,mean,sd,n\n", "the columns name and model mean the same"),
        ("name,mean,sd,n\nrelu,1,0.1\n", "figures.csv:2: 3 fields, where the heading has 4"),
        ("name,mean,sd,n\n\nrelu,x,0.1,5\n", "figures.csv:3: mean should be a number, not 'x'"),
        ("name,mean,sd,n\nrelu,nan,0.1,5\n", "mean should be a number, not 'nan'"),
        ("name,mean,sd,n\nrelu,1,-0.1,5\n", "figures.csv:2: a standard deviation is at least 0"),
        ("name,mean,sd,n\nrelu,1,0.1,5.5\n", "n should be a whole number of runs, not '5.5'"),
        ("name,mean,sd,n\nrelu,1,0.1,1\n", "needs at least 2 values, not 1"),
        ("name,mean,sd,n\nrelu,1,0.1,5\nrelu,2,0.1,5\n", "figures.csv:3: 'relu' is there twice"),
        ("name,mean,sd,n\n,1,0.1,5\n", "figures.csv:2: the row has no name"),
        ("name,mean,sd,n\nrelu,1,0.1,5\n", "a comparison needs two rows"),
        (b"name,mean,sd,n\n\xff\xfe", "is not text in UTF-8"),
        ('name,mean,sd,n\n"relu,1,0.1,5\n', "is not a CSV"),
    ],
)
def test_a_line_that_is_no_row_is_refused_with_its_place(figures, text, message):
    with pytest.raises(UsageError, match=message):
        published_table(figures(text))


def test_a_baseline_that_is_not_there_is_refused_with_the_nearest(figures):
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        published_table(figures(FIGURES), baseline="rleu")


def test_two_runs_a_side_get_no_verdict(figures):
    table = published_table(figures("name,mean,sd,n\na,1,0.1,2\nb,2,0.1,5\nc,2,0,5\nd,3,0,5\n"), baseline="c")

    assert [row["vs_baseline"] and row["vs_baseline"]["p"] for row in table.data["rows"]][::2] == [None, None]
    assert "a and c differ by −1.00 (no interval: a side has 2 runs, and 3 are needed)" in table.sentences
    assert "d and c differ by +1.00 (no test: neither side varies)" in table.sentences


# Across datasets


def on(dataset, values, **spec):
    return [
        record(value, dataset=dataset, activation=activation, seed=seed, **spec)
        for activation, own in values.items()
        for seed, value in enumerate(own)
    ]


DATASETS = ("digits", "mnist-5k", "moons", "circles", "xor", "spiral")


def everywhere(**rows):
    """Runs of each row on six datasets; a number is the row's advantage."""
    generator = np.random.default_rng(0)
    found = []
    for dataset in DATASETS:
        level = generator.uniform(0.6, 0.9)
        noise = {name: generator.normal(0, 0.001, size=3) for name in rows}
        found += on(dataset, {name: [level + gain + one for one in noise[name]] for name, gain in rows.items()})
    return found


def test_rows_are_ranked_within_each_dataset_and_compared_over_them():
    found = across(everywhere(relu=0.0, elu=0.05, tanh=0.0), "dataset")

    assert found.rows[0] == "elu"
    assert found.mean_ranks[0] == 1.0
    assert found.seeds == (3,) * 6
    assert found.p_adjusted[0] == pytest.approx(2**-5)
    assert {found.rows[index] for group in found.groups for index in group} == {"relu", "tanh"}
    assert found.differences[0].wins == 6


def test_a_lower_loss_ranks_first():
    found = across(everywhere(relu=0.0, elu=0.05), "dataset", metric=["test.loss"])

    assert (found.rows[0], found.mean_ranks[0]) == ("elu", 1.0)
    assert found.differences[0].difference < 0
    assert "elu is better than relu by −" in rendered(across_table(found))


def test_means_are_over_the_seeds_that_all_rows_have():
    runs = [
        one for one in everywhere(relu=0.0, elu=0.0) if not (one.spec.activation.name == "elu" and one.spec.seed == 2)
    ]
    found = across(runs, "dataset")
    relus = [one for one in runs if one.spec.activation.name == "relu" and one.spec.seed < 2]
    own = [one.final["test.accuracy"] for one in relus if one.spec.dataset.name == "digits"]

    assert found.seeds == (2,) * 6
    assert found.means[found.blocks.index("digits"), found.rows.index("relu")] == pytest.approx(fmean(own))


def test_a_row_without_a_value_for_a_dataset_is_left_out_by_name():
    runs = everywhere(relu=0.0, elu=0.05)
    runs += on("digits", {"tanh": [0.5, 0.6]})
    runs += [record(None, outcome="diverged", dataset=name, activation="selu", seed=0) for name in DATASETS]
    table = across_table(across(runs, "dataset"))

    assert [row["row"] for row in table.data["rows"]] == ["elu", "relu"]
    assert any(text.startswith("tanh is left out: no value for mnist-5k") for text in table.sentences)
    assert any(text.startswith("selu is left out: no value for digits") for text in table.sentences)


def test_few_datasets_are_said_to_show_nothing():
    runs = [one for one in everywhere(relu=0.0, elu=0.05) if one.spec.dataset.name in DATASETS[:4]]
    table = across_table(across(runs, "dataset"))

    assert table.limits == [
        "Nothing can be shown across 4 values of dataset: no adjusted p is below 0.125 (2^(1 − 4)), and 6 are the "
        "fewest that reach 0.05."
    ]
    assert "elu and relu are not told apart" in table.sentences[0]


@pytest.mark.parametrize(
    ("factor", "baseline", "text"),
    [
        ("datset", None, "did you mean 'dataset'"),
        ("model", None, "1 value of it"),
        ("dataset", {"activation": "gelu"}, "no run has activation=gelu"),
    ],
)
def test_what_can_not_be_laid_out_across_is_refused(factor, baseline, text):
    with pytest.raises(UsageError, match=text):
        across(everywhere(relu=0.0, elu=0.1), factor, baseline=baseline)


def test_one_row_is_no_comparison_and_no_run_no_table():
    with pytest.raises(UsageError, match="needs two rows"):
        across(everywhere(relu=0.0), "dataset")
    with pytest.raises(ResultsError, match="no finished run"):
        across([], "dataset")
    with pytest.raises(UsageError, match="has one metric, not 2"):
        across(everywhere(relu=0.0, elu=0.1), "dataset", metric=["test.loss", "test.accuracy"])


# Sources of variance


def crossed(values, **spec):
    """Runs of a table of values: seeds of the weights by seeds of the batches."""
    return [
        record(value, seed=seed, order_seed=order, **spec)
        for seed, row in enumerate(values)
        for order, value in enumerate(row)
        if value is not ...
    ]


TABLE = np.random.default_rng(5).normal(0.9, 0.01, size=(4, 3))


def test_the_sources_are_the_components_of_the_seeds_table():
    metric, (found,) = variance_sources(crossed(TABLE.tolist()))

    assert metric == "test.accuracy"
    assert found.found == variance_components(TABLE)
    assert (found.row, found.weights, found.batches, found.lost) == ("relu", 4, 3, 0)


def test_seeds_of_the_weights_without_all_runs_are_left_out_and_counted():
    values = [[0.9, 0.8, 0.7], [0.9, ..., 0.7], [0.9, 0.81, 0.6], [0.91, None, 0.7], [0.8, 0.8, 0.75]]
    metric, (found,) = variance_sources(crossed(values))
    table = variance_table(metric, [found])
    kept = np.array([values[0], values[2], values[4]])

    assert found.found == variance_components(kept)
    assert (found.weights, found.lost) == (3, 2)
    assert "relu: 2 seeds of the weights lack a run or its value, and are left out" in table.sentences


def test_the_sentence_names_the_source_that_moves_a_row_most():
    weights = np.arange(4.0)[:, None] / 100 + np.zeros((4, 3)) + TABLE / 1e4
    runs = crossed(weights.tolist()) + crossed((weights[:3].T + 0.5).tolist(), activation="tanh")
    metric, found = variance_sources(runs)
    text = rendered(variance_table(metric, found))

    assert "relu: the initial weights move it most, with 100 % of the variance (4 × 3 runs)" in text
    assert "tanh: the batches move it most, with 100 % of the variance (3 × 3 runs)" in text


def test_no_source_is_named_whose_interval_overlaps_that_of_another():
    metric, found = variance_sources(crossed(TABLE.tolist()))
    (sentence,) = variance_table(metric, found).sentences

    assert sentence.startswith("relu: what moves it most is not shown; the largest estimate is that of pairs of both, ")


def test_runs_that_are_not_crossed_get_the_command_that_crosses_them():
    with pytest.raises(UsageError, match="seeds=5 order_seed=0,1,2,3,4"):
        variance_sources([record(0.9, seed=seed) for seed in range(5)])
    with pytest.raises(UsageError, match="at least 3 seeds of the weights"):
        variance_sources(crossed([[0.9, 0.8, 0.7]] * 2))


# Formats


def all_tables(figures):
    metric, sources = variance_sources(crossed(TABLE.tolist()) + crossed([[0.5, 0.6]], activation="elu"))
    return [
        published_table(figures(FIGURES)),
        across_table(across(everywhere(relu=0.0, elu=0.05, tanh=0.1), "dataset")),
        variance_table(metric, sources),
    ]


@pytest.mark.parametrize("place", range(3))
def test_every_format_has_each_row(figures, place):
    table: FurtherTable = all_tables(figures)[place]
    names = [row[0] for row in table.rows]

    for form in FORMS:
        text = rendered(table, form)
        assert all(name in text for name in names), form
    found = json.loads(rendered(table, "json"))
    lines = list(csv.DictReader(io.StringIO(rendered(table, "csv"))))
    assert len(found["rows"]) == len(lines) == len(names)
    with pytest.raises(UsageError, match="not as latex"):
        table.render("latex", io.StringIO())
