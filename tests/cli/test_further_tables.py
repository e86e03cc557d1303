"""``compare --summary``, ``--across`` and ``--components`` as a user calls them."""

import json

import numpy as np
import pytest
from factories import record, save
from reading_commands import call

from actbench.errors import UsageError

DATASETS = ("digits", "mnist-5k", "moons", "circles", "xor", "spiral")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    generator = np.random.default_rng(0)
    runs = [
        record(0.8 + gain + generator.normal(0, 0.01), dataset=dataset, activation=activation, seed=seed)
        for dataset in DATASETS
        for activation, gain in (("relu", 0.0), ("elu", 0.1))
        for seed in range(3)
    ]
    runs += [
        record(0.7 + seed / 100, study="crossed", seed=seed, order_seed=order)
        for seed in range(3)
        for order in range(3)
    ]
    return save(tmp_path_factory.mktemp("results"), runs)


@pytest.fixture
def figures(tmp_path):
    path = tmp_path / "figures.csv"
    path.write_text("name,mean,sd,n\nrelu,93.1,0.3,5\nelu,95.0,0.3,5\n")
    return path


def test_published_figures_are_judged_without_any_results(figures):
    text = call("compare", "--summary", figures)

    assert text.startswith("Published figures: figures.csv")
    assert "elu is above relu: +1.90 [" in text
    assert "relu is below elu: −1.90 [" in call("compare", "--summary", figures, "--baseline", "elu")


def test_rows_are_compared_across_datasets(results):
    text = call("compare", results / "demo", "--across", "dataset")

    assert text.startswith("test.accuracy across 6 values of dataset")
    assert "elu is better than relu by +" in text
    found = json.loads(call("compare", results / "demo", "--across", "dataset", "--json", "--baseline", "elu"))
    assert (found["baseline"], found["rows"][1]["versus_losses"]) == ("elu", 6)


def test_the_picture_of_ranks_names_every_row(results, tmp_path):
    target = tmp_path / "ranks.svg"
    text = call("compare", results / "demo", "--across", "dataset", "-o", target)
    again = tmp_path / "again.svg"
    call("compare", results / "demo", "--across", "dataset", "-o", again)

    assert text == f"{target}: mean ranks across dataset\n"
    assert target.read_bytes() == again.read_bytes()
    assert b"<svg" in target.read_bytes()


def test_the_sources_of_variance_are_laid_out(results):
    text = call("compare", results / "crossed", "--components")

    assert text.startswith("What moves test.accuracy")
    assert "relu: the initial weights move it most, with 100 % of the variance (3 × 3 runs)" in text


@pytest.mark.parametrize("form", ["markdown", "csv", "json", "table"])
def test_a_file_gets_what_standard_output_would(figures, tmp_path, form):
    target = tmp_path / "found.txt"

    assert call("compare", "--summary", figures, "-f", form, "-o", target) == ""
    assert target.read_text() == call("compare", "--summary", figures, "--format", form)


def test_a_csv_may_have_decimal_commas(figures):
    assert "relu;93,1;0,3;5" in call("compare", "--summary", figures, "-f", "csv", "--decimal", "comma")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--summary", "figures.csv", "--tune", "lr"], "--summary has no use for --tune: leave it out"),
        (["--summary", "figures.csv", "somewhere"], "--summary has no use for paths"),
        (["--summary", "figures.csv", "--components"], "--summary and --components are tables of their own"),
        (["--across", "dataset", "--all-pairs"], "--across has no use for --all-pairs"),
        (["--summary", "nowhere.csv"], "can't read 'nowhere.csv': No such file"),
        (["--summary", "figures.csv", "-o", "x.html"], "is written as table, markdown, csv, json, not as page"),
        (["--summary", "figures.csv", "-f", "latex"], "not as latex"),
        (["--summary", "figures.csv", "--alpha", "2"], "alpha should lie between 0 and 1, not 2"),
        (["--summary", "figures.csv", "--decimal", "comma"], "--decimal comma is for CSV, not for table"),
        (["--summary", "figures.csv", "--baseline", "a", "--baseline", "b"], "names one row of the file, not 2"),
    ],
)
def test_what_makes_no_sense_is_refused(figures, monkeypatch, arguments, text):
    monkeypatch.chdir(figures.parent)
    with pytest.raises(UsageError, match=text):
        call("compare", *arguments)
