"""Data frames of runs and tables: the numbers of the records, one type a column, a sentence without a library."""

import csv
import io
import math
import subprocess
import sys

import pandas
import polars
import pytest
from comparisons import rendered, varied
from factories import cells, record

from actbench.analysis.compare import compare
from actbench.errors import UnknownNameError, UsageError
from actbench.schema.metrics import METRICS
from actbench.storage.reading import Records


def records(*runs):
    return Records(tuple(runs or varied()))


def layered(**spec):
    """A run whose last epoch has two layers, one of which learns."""
    layers = [{"name": "hidden.0", "units": 8, "dead": 1, "learned": {"slope": 0.3}}, {"name": "hidden.1", "units": 4}]
    one = record(0.9, **spec)
    last = {**one.curves[-1], "layers": layers, "seconds": 0.5}
    return records(type(one)(**{**vars(one), "curves": (*one.curves[:-1], last)}))


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_a_frame_of_runs_has_the_settings_and_metrics_of_every_record(backend):
    runs = records()
    frame = runs.to_frame(backend)
    lines = frame.to_dict("records") if backend == "pandas" else frame.to_dicts()
    assert [line["run"] for line in lines] == [one.run_id for one in runs]
    for line, one in zip(lines, runs, strict=True):
        assert (line["study"], line["seed"], line["outcome"]) == (one.study, one.spec.seed, one.outcome)
        assert (line["activation"], line["bias_init"]) == (one.spec.activation.label, one.spec.bias_init.value)
        for name, value in one.final.items():
            is_missing = line[name] is None or math.isnan(line[name])
            assert is_missing if value is None else line[name] == value
    assert list(frame.columns) == [
        *("study", "run", "dataset", "model", "activation", "bias_init", "seed", "outcome"),
        *(name for name in METRICS if name in runs[0].final),
        "message",
    ]


def test_columns_have_one_type_each_and_what_is_missing_is_missing():
    for frame, types in (
        (records().to_frame("pandas"), {"seed": "int64", "bias_init": "float64", "test.accuracy": "float64"}),
        (records().to_frame("polars"), {"seed": "Int64", "bias_init": "Float64", "test.accuracy": "Float64"}),
    ):
        assert {name: str(frame[name].dtype) for name in types} == types
    assert records().to_frame("pandas")["test.accuracy"].isna().sum() == 1
    assert records().to_frame("polars")["test.accuracy"].null_count() == 1


def test_a_setting_that_is_a_word_in_one_run_is_a_word_in_all():
    runs = [record(0.9, bias_init=bias, seed=0) for bias in (0.0, "pytorch", None)]
    for backend in ("pandas", "polars"):
        assert list(records(*runs).to_frame(backend)["bias_init"]) == ["0", "pytorch", "none"]


def test_a_setting_of_one_study_is_missing_in_the_others():
    runs = [
        *(record(0.9, study="one", bias_init=bias) for bias in (0.0, 0.1)),
        *(record(0.9, study="two", activation=name) for name in ("relu", "elu")),
    ]
    frame = records(*runs).to_frame("polars")
    assert frame["bias_init"].to_list() == [0.0, 0.1, 0.0, 0.0]
    assert frame["study"].to_list() == ["one", "one", "two", "two"]


def test_runs_without_any_metric_make_a_frame():
    failed = [record(None, outcome="failed", activation=name) for name in ("relu", "elu")]
    frame = records(*failed).to_frame("polars")
    assert frame["outcome"].to_list() == ["failed", "failed"]
    assert frame["message"].to_list() == ["it failed", "it failed"]


def test_a_line_an_epoch_has_the_numbers_of_the_curve():
    runs = records(*cells({"relu": [0.9, 0.8]}))
    frame = runs.to_frame("polars", per="epoch")
    rows = [row for one in runs for row in one.curves]
    assert frame["epoch"].to_list() == [row["epoch"] for row in rows]
    for name in ("train.loss", "val.accuracy", "health.dead_fraction"):
        assert frame[name].to_list() == [row[name] for row in rows]
    assert frame["seed"].to_list() == [0, 0, 1, 1]


def test_a_line_a_layer_has_what_was_counted_and_learned():
    frame = layered(activation="prelu").to_frame("polars", per="layer")
    assert frame["layer"].to_list() == ["hidden.0", "hidden.1"]
    assert frame["units"].to_list() == [8, 4]
    assert frame["dead"].to_list() == [1, None]
    assert frame["learned.slope"].to_list() == [0.3, None]


def test_curves_that_were_not_read_are_asked_for():
    one = record(0.9)
    without = records(type(one)(**{**vars(one), "curves": ()}))
    with pytest.raises(UsageError, match=r"read_results\(…, curves=True\)"):
        without.to_frame(per="epoch")


@pytest.mark.parametrize("options", [{}, {"all_pairs": True}])
def test_a_frame_of_a_comparison_is_its_csv_file(options):
    lines = list(csv.DictReader(io.StringIO(rendered("csv", varied(), **options))))
    frame = compare(varied(), **options).to_frame("polars")
    assert frame.columns == list(lines[0])
    for line, row in zip(lines, frame.to_dicts(), strict=True):
        for name, text in line.items():
            value = row[name]
            if isinstance(value, float):
                assert float(text) == value
            else:
                assert text == ("" if value is None else str(value))


def test_one_table_of_several_makes_a_frame_of_its_own():
    found = compare([*cells({"relu": [0.9, 0.8, 0.7]}), *cells({"elu": [0.9, 0.8, 0.7]}, study="other")])
    assert [set(one.to_frame("polars")["study"]) for one in found.comparisons] == [{"demo"}, {"other"}]


def test_pandas_is_taken_where_both_are_installed():
    assert isinstance(records().to_frame(), pandas.DataFrame)
    assert isinstance(compare(varied()).to_frame("polars"), polars.DataFrame)


@pytest.mark.parametrize(
    ("absent", "asked", "outcome"),
    [
        (["pandas"], None, "DataFrame of polars"),
        (["pandas"], "polars", "DataFrame of polars"),
        (["pandas"], "pandas", "to_frame needs pandas, which is not installed: pip install pandas"),
        (["pandas", "polars"], None, "to_frame needs pandas or polars, which is not installed: pip install pandas"),
    ],
)
def test_what_is_not_installed_is_named(monkeypatch, absent, asked, outcome):
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)  # so that Python finds no module of this name
    try:
        frame = records().to_frame(asked)
        found = f"{type(frame).__name__} of {type(frame).__module__.partition('.')[0]}"
    except UsageError as error:
        found = str(error)
    assert found == outcome


@pytest.mark.parametrize(("backend", "per"), [("panda", "run"), ("pandas", "epochs")])
def test_another_backend_or_unit_is_refused_with_the_nearest(backend, per):
    with pytest.raises(UnknownNameError, match=r"did you mean '(pandas|epoch)'"):
        records().to_frame(backend, per)


def test_comparing_imports_neither_library():
    code = (
        "import sys; from actbench import compare, read_results\n"
        "import actbench.analysis.frames, actbench.analysis.notebook\n"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'polars', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
