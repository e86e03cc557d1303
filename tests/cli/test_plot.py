"""``actbench plot``: files by their endings, one a chart, and one message for what can't be drawn."""

import pytest
from comparisons import varied
from factories import cells, save
from typer.testing import CliRunner

from actbench.cli import app

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def results(tmp_path):
    save(tmp_path / "results", varied())
    return tmp_path / "results"


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], standalone_mode=True)


@pytest.mark.parametrize("form", MAGIC)
def test_the_files_ending_decides_the_format(results, tmp_path, form):
    target = tmp_path / f"picture.{form}"
    found = run("plot", results, "--chart", "differences", "-o", target)
    assert found.exit_code == 0, found.output
    assert target.read_bytes().startswith(MAGIC[form])
    assert found.stdout == f"{target}: Differences to the baseline\n"


def test_several_charts_get_their_names_before_the_ending(results, tmp_path):
    found = run("plot", results, "-o", tmp_path / "all.svg", "--style", "slides", "--columns", "1")
    assert found.exit_code == 0, found.output
    written = {path.name for path in tmp_path.glob("*.svg")}
    assert {"all-differences.svg", "all-learning_curves.svg"} <= written
    assert len(written) == len(found.stdout.splitlines())


def test_two_studies_get_numbers(tmp_path):
    save(tmp_path / "results", [*cells({"relu": [0.9, 0.8, 0.7], "elu": [0.9, 0.8, 0.75]}, study="a"), *varied()])
    found = run("plot", tmp_path / "results", "--chart", "differences", "-o", tmp_path / "d.svg")
    assert found.exit_code == 0, found.output
    assert {path.name for path in tmp_path.glob("*.svg")} == {"d-1-differences.svg", "d-2-differences.svg"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.jpeg"], "its name has to end with .png, .svg, .pdf"),
        (["-o", "x"], "its name has to end with"),
        (["-o", "x.svg", "--chart", "diferences"], "did you mean 'differences'?"),
        (["-o", "x.svg", "--style", "papr"], "did you mean 'paper'?"),
        (["-o", "no/folder/x.svg"], "no/folder"),
    ],
)
def test_what_can_t_be_drawn_gets_one_message(results, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    found = run("plot", results, *arguments)
    assert message in f"{found.exception} {found.output}"
    assert not list(tmp_path.glob("x*"))


def test_runs_without_the_chosen_data_are_named(tmp_path):
    save(tmp_path / "results", cells({"relu": [0.9]}))
    found = run("plot", tmp_path / "results", "--chart", "differences", "-o", tmp_path / "x.svg")
    assert "no data for the charts differences" in f"{found.exception} {found.output}"
