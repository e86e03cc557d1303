"""Each command's output on consoles of other encodings: what UTF-8 shows, with stand-ins and no new question mark."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import ACTIVATIONS, cells, record, save

from actbench import cli
from actbench.cli.list_ import KINDS

ENCODINGS = ("ascii", "cp1252", "cp437")

STUDY = """\
study: demo
dataset: {name: digits, train_size: 100, test_size: 50}
activation: {name: elu, alpha: 0.2}
seeds: 4
sweep: {activation: [relu, elu, selu], bias_init: [0.0, 0.01]}
expect: ["health.dead_fraction: activation=elu < activation=relu where bias_init=0.0"]
"""

RUN, OTHER = "relu-bias-0.0-seed-0", "elu-bias-0.0-seed-0"

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--help",),
    *((name, "--help") for name in ("run", "compare", "plot", "report", "show", "cost", "doctor", "verify")),
    ("help", "environment"),
    ("compare", "--no-such-option"),
    ("compare", "results/demo"),
    ("compare", "results/demo", "--methods", "--all-pairs", "--reach", "40%", "--verdicts", "all"),
    ("compare", "results/demo", "--fail-if", "test.accuracy < 99%"),
    ("compare", "results/demo", "--by", "activation", "--format", "markdown"),
    ("compare", "results/demo", "--format", "csv"),
    ("compare", "results/demo", "--format", "latex"),
    ("compare", "results/demo", "--json"),
    ("status",),
    ("plan", "study.yaml"),
    ("plan", "broken.yaml"),
    ("run", "absent.yaml"),
    ("show", RUN),
    ("show", *ACTIVATIONS),
    ("show", "--theory", "study.yaml"),
    ("diff", RUN, OTHER),
    ("doctor",),
    ("explain",),
    *(("explain", word) for word in ("=", "sd", "interval", "Δ", "gain", "dead")),
    ("runs", "results"),
    ("check", "study.yaml", "broken.yaml"),
    ("schema",),
    ("init", "broken.yaml"),
    *(("list", kind) for kind in KINDS),
    ("list", "activatons"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs, one that failed, a study that nobody has trained, and one with mistakes."""
    found = tmp_path_factory.mktemp("encodings")
    values = {"relu": [0.90, 0.91, 0.92, 0.94], "elu": [0.91, 0.93, 0.925, 0.96], "selu": [0.7, 0.71, 0.73, 0.72]}
    records = [*cells(values), *cells(values, bias_init=0.01), record(None, outcome="failed", activation="tanh")]
    save(found / "results", records, text=STUDY)
    (found / "study.yaml").write_text(STUDY)
    (found / "broken.yaml").write_text("activation: reluu\nepohcs: 3\nstudy: 'a/b'\n")
    return found


Printed = Callable[[str, tuple[str, ...]], tuple[int, str]]


@pytest.fixture
def printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Printed]:
    """The exit code of a command and both its streams, which have the encoding."""

    def call(encoding: str, arguments: tuple[str, ...]) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["actbench", *arguments])
        for number, name in ((1, "stdout"), (2, "stderr")):
            raw = io.FileIO(number, "w", closefd=False)
            monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfdbinary.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out.decode(encoding) + err.decode(encoding)

    monkeypatch.chdir(folder)
    yield call
    monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_console_gets_a_question_mark_that_utf_8_has_not(printed: Printed, arguments: tuple[str, ...]) -> None:
    code, usual = printed("utf-8", arguments)
    for encoding in ENCODINGS:
        found_code, text = printed(encoding, arguments)
        assert found_code == code
        assert text.count("?") == usual.count("?")
        assert [text.count(escape) for escape in ("\\u", "\\x")] == [usual.count(escape) for escape in ("\\u", "\\x")]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_texts_of_a_help_page_stand_below_each_other(printed: Printed, encoding: str) -> None:
    _, usual = printed("utf-8", ("compare", "--help"))
    _, text = printed(encoding, ("compare", "--help"))
    begins = [re.search(r"(?<=  )Keep these|(?<=  )Write \.txt", line) for line in text.splitlines()]
    columns = {found.start() for found in begins if found}
    assert len(columns) == 1
    assert len(text.splitlines()) == len(usual.splitlines())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_numbers_keep_their_signs_and_columns_their_places(printed: Printed, encoding: str) -> None:
    _, text = printed(encoding, ("compare", "results/demo"))
    heads, _, table = text.partition("----\n")
    rows = [line for line in table.partition("\n\n")[0].splitlines() if line.startswith(("relu", "elu", "selu"))]
    assert len(rows) == 6
    assert len({len(line.rstrip()) for line in rows}) == 1  # the last column is flush right
    assert "diff baseline" in heads
    assert any(" -2" in line or " -0." in line for line in rows)

    _, text = printed(encoding, ("show", "elu"))
    facts = [line for line in text.splitlines() if line.startswith("  ")][:6]
    column = facts[0].index("  z for") + 2
    assert {line[column] != " " and line[column - 2 : column] == "  " for line in facts} == {True}
    assert "f'(z)" in text


def test_a_file_is_utf_8_whatever_the_console(printed: Printed, folder: Path) -> None:
    code, _ = printed("ascii", ("compare", "results/demo", "-o", "table.txt"))
    assert code == 0
    assert "Δ baseline" in (folder / "table.txt").read_text("utf-8")


@pytest.mark.parametrize("width", [60, 100, 140])
def test_piped_output_is_as_wide_as_columns_says(printed: Printed, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _, text = printed("utf-8", ("compare", "results/demo"))
    prose = [line for line in text.splitlines() if "bench " not in line]  # a command is not broken
    longest = max(map(len, prose))
    assert width - 20 < longest <= width


@pytest.mark.parametrize("columns", ["", "0", "-3", "wide"])
def test_columns_that_is_no_width_counts_as_not_set(
    printed: Printed, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    _, usual = printed("utf-8", ("compare", "results/demo"))
    monkeypatch.setenv("COLUMNS", columns)
    assert printed("utf-8", ("compare", "results/demo")) == (0, usual)
    assert 100 < max(len(line) for line in usual.splitlines()) <= 120
