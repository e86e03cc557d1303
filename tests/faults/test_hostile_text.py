"""Text that others choose, in every place of a record that may hold any: stored, read again, printed by every command.

No output holds a character that steers a terminal, no format lets a name leave its cell, and no text ends a training.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from commands import Run, in_this_process
from factories import record, save
from hostile_text import CONTROL, MARKUP, NAMES, steers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from actbench.analysis.compare import compare
from actbench.schema import registry
from actbench.schema.record import RunRecord
from actbench.system.text import printable

PARTS = Path(__file__).parents[1] / "support"

STEADY = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

WORST = "".join(CONTROL + MARKUP)
"""Everything at once."""


def named(name: str, *, study: str = "demo", count: int = 3) -> list[RunRecord]:
    """Finished runs of relu and of a user's activation of this name."""
    own = {"name": name, "path": "somewhere:something"}
    choices = (("relu", 0.9), (own, 0.93))
    return [
        record(accuracy + seed / 1000, activation=choice, seed=seed, study=study)
        for choice, accuracy in choices
        for seed in range(count)
    ]


def label_of(records: list[RunRecord]) -> str:
    return records[-1].spec.activation.label


def rendered(form: str, records: list[RunRecord], **options: Any) -> str:
    target = StringIO()
    registry.load("reports", form).render(compare(records, baseline={"activation": "relu"}, **options), target)
    return target.getvalue()


def undone(cell: str) -> str:
    """A cell of the CSV as it was before a spreadsheet was kept from taking it for a formula."""
    return cell[1:] if re.match("'+[=+@\uff1d\uff0b\uff0d\uff20-]", cell) else cell


FORMULA = re.compile("[=+@\t\r\uff1d\uff0b\uff0d\uff20-]")


@STEADY
@given(name=NAMES)
def test_no_format_prints_a_character_that_steers(name: str) -> None:
    records = named(name)
    for form in registry.names("reports"):
        text = rendered(form, records, all_pairs=form != "csv", methods=True)
        assert not steers(text), form
        text.encode()


@STEADY
@given(name=NAMES | st.sampled_from(["=1+1", "@x", "+x", "-x", "'=1", "''@", "\t=1", "\r=1", "-1", "+.5e3", "--1"]))
def test_csv_is_read_again_and_holds_no_formula_of_a_spreadsheet(name: str) -> None:
    records = named(name)
    rows = list(csv.DictReader(StringIO(rendered("csv", records))))
    assert {undone(row["activation"]) for row in rows} == {"relu", printable(label_of(records))}
    for row in rows:
        for cell in row.values():
            if FORMULA.match(cell):
                float(cell)  # a number, and nothing else, may begin so


def test_negative_numbers_stay_numbers_in_csv() -> None:
    rows = list(csv.DictReader(StringIO(rendered("csv", named("worse")[::-1]))))
    (found,) = [row for row in rows if row["activation"] == "worse" and row["metric"] == "test.accuracy"]
    assert float(found["versus_difference"]) == pytest.approx(0.03)
    less = compare(named("x"), baseline={"activation": "x"})
    target = StringIO()
    registry.load("reports", "csv").render(less, target)
    (found,) = [row for row in csv.DictReader(StringIO(target.getvalue())) if row["versus_difference"]]
    assert float(found["versus_difference"]) == pytest.approx(-0.03)


def parsed(text: str) -> list[Token]:
    """Markdown's tokens, as GitHub's dialect has them: CommonMark with tables and deleted text."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def inline_parts(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


@STEADY
@given(name=NAMES)
def test_markdown_shows_a_name_as_it_is(name: str) -> None:
    records = named(name)
    label = printable(label_of(records))
    tokens = parsed(rendered("markdown", records))
    kinds = {token.type for token in (*tokens, *inline_parts(tokens))}
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_inline", "code_block", "fence"}
    assert not kinds & {"em_open", "s_open", "blockquote_open", "hr"}
    assert sum(token.type == "table_open" for token in tokens) == 1
    cells = [tokens[index + 1] for index, token in enumerate(tokens) if token.type == "td_open"]
    texts = ["".join(part.content for part in cell.children or ()) for cell in cells]
    assert label.strip() in texts


@STEADY
@given(name=NAMES)
def test_latex_has_as_many_cells_with_any_name(name: str) -> None:
    usual = rendered("latex", named("ordinary"))
    text = rendered("latex", named(name))
    body = text.split(r"\caption")[1]

    def structure(text: str) -> list[int]:
        rows = text.split(r"\toprule")[1].splitlines()
        return [len(re.findall(r"(?<!\\)&", row)) for row in rows]

    assert structure(text) == structure(usual)
    bare = re.sub(r"\\(?:[a-zA-Z]+|.)", "", body)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[#%~^_]", re.sub(r"\$[^$]*\$", "", bare))


@pytest.fixture
def actbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    return in_this_process(monkeypatch, capfd)


def hostile(text: str) -> list[RunRecord]:
    """Runs with this text in every place that a record has for text."""
    first, *rest = named(text, count=2)
    layers = [{**layer, "name": text} for layer in first.health["layers"]]
    health = {**first.health, "layers": layers, "diagnosis": [text]}
    environment = {"torch": text, text: text, "argv": [text, "actbench"], "git_commit": text}
    first = replace(first, outcome="collapsed", message=text, health=health, environment=environment)
    failed = replace(rest[-1], outcome="failed", final={}, health={}, message=text)
    return [first, *rest[:-1], failed]


@pytest.mark.slow
@settings(STEADY, max_examples=25)
@given(text=NAMES | st.just(WORST))
def test_no_command_prints_a_character_that_steers(actbench: Run, tmp_path_factory: Any, text: str) -> None:
    results = tmp_path_factory.mktemp("hostile")
    records = hostile(text)
    save(results, records)
    runs = [one.spec.run_id for one in records]
    host = results / "demo" / "runs" / runs[1] / "claim.json"
    (host.parent / "result.json").unlink()
    process = {"host": text, "pid": 4711, "started": None, "system": None}
    host.write_text(json.dumps({"token": "abc", "since": "2026-01-01T00:00:00+00:00", "process": process}))
    # As an earlier version, or anybody else, may have written it.
    (results / "demo" / "runs" / runs[-1] / "error.txt").write_bytes(f"{text}\n{text}".encode() + b"\xff\x1b[31m")
    where = ("--results", str(results))
    for arguments in (
        ("status", str(results)),
        ("show", runs[0], *where),
        ("show", runs[-1], *where),
        ("diff", runs[0], runs[2], *where),
        ("compare", str(results), "--methods"),
        ("runs", str(results)),
        ("runs", str(results), "--csv"),
        ("show", runs[0], "--json", *where),
        ("status", str(results), "--json"),
    ):
        done = actbench(*arguments)
        assert done.returncode == 0, done.stderr
        assert not steers(done.stdout + done.stderr), arguments


RAISING = """\
import os

import torch

MESSAGE = os.environb[b"MESSAGE"].decode("utf-8", "surrogateescape")


class Silent(Exception):
    def __str__(self):
        raise ValueError("no text")


def in_training(z):
    return z.ndim == 3 and z.shape[1] == 64 and z.requires_grad


def says(z):
    if not in_training(z):
        return torch.relu(z)
    raise RuntimeError(MESSAGE + "\\ud800 \\ud83d\\ude00")


def says_much(z):
    if not in_training(z):
        return torch.relu(z)
    raise RuntimeError("much " * 2_000_000)


def is_silent(z):
    if not in_training(z):
        return torch.relu(z)
    raise Silent
"""

STUDY = f"""\
study: told
description: {json.dumps(WORST)}
dataset: {{name: digits, train_size: 200, test_size: 100}}
model: {{name: mlp, hidden: [8]}}
training: {{epochs: 1, batch_size: 64}}
seeds: 1
sweep:
  activation:
    - relu
    - {{name: {json.dumps(WORST)}, path: "torch:tanh"}}
    - {{name: "emoji \\ud83d\\ude00", path: "torch:sigmoid"}}
    - {{name: says, path: "raising:says"}}
    - {{name: much, path: "raising:says_much"}}
    - {{name: silent, path: "raising:is_silent"}}
"""


def command(folder: Path, data: Path, *arguments: bytes) -> subprocess.CompletedProcess[bytes]:
    own = {b"MESSAGE": f"{WORST}".replace("\0", "").encode() + b"\xff", b"ACTBENCH_HOST": b"h\xff\x1b[31m"}
    own |= {b"ACTBENCH_DATA": bytes(data), b"ACTBENCH_RUN_PRODUCTS": b"default"}
    own |= {b"PYTHONPATH": os.fsencode(os.pathsep.join(filter(None, sys.path)))}
    program = [os.fsencode(sys.executable), b"-m", b"actbench", *arguments]
    return subprocess.run(program, cwd=folder, env={**os.environb, **own}, capture_output=True, check=False)


@pytest.mark.slow
def test_a_training_fails_for_no_text(tmp_path: Path, data_folder: Path) -> None:
    """Bytes that are not UTF-8 in every argument, variable and message; names and errors that hold anything."""
    config, results = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m.yaml", b"caf\xe9\nresults"
    Path(os.fsdecode(config)).write_text(STUDY)
    (tmp_path / "raising.py").write_text(RAISING)
    done = command(tmp_path, data_folder, b"run", config, b"-o", results, b"-j", b"1", b"--device", b"cpu")
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1
    assert b"3 ok, 3 failed" in done.stderr or b"3 failed, 3 ok" in done.stderr
    runs = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + results)) / "told" / "runs"
    stored = {path.parent.name: json.loads(path.read_bytes()) for path in runs.glob("*/result.json")}
    names = {content["spec"]["activation"]["name"] for content in stored.values()}
    assert names == {"relu", WORST, "emoji 😀"}
    for content in stored.values():
        assert content["environment"]["argv"][2] == str(tmp_path) + "/caf\\xe9\x1b[31m.yaml"
    logs = {path.parent.name.split("-")[0]: path.read_text("utf-8") for path in runs.glob("*/error.txt")}
    assert set(logs) == {"says", "much", "silent"}
    assert all(steers(log) <= {"\t"} for log in logs.values())
    assert logs["says"].splitlines()[0].endswith("\\xff\\ud800 😀")
    assert "[10,000,013 characters in all]" in logs["much"].splitlines()[0]
    assert max(map(len, logs.values())) < 200_000
    assert logs["silent"].splitlines()[0].startswith("Silent: ")
    outputs = [done.stderr]
    for arguments in (
        (b"status", results),
        (b"compare", results),
        (b"compare", results, b"-f", b"markdown"),
        (b"show", b"says-", b"--results", results),
        (b"show", b"much-", b"--results", results),
        (b"plan", config, b"-o", results),
    ):
        found = command(tmp_path, data_folder, *arguments)
        assert (found.returncode, found.stderr) == (0, b""), arguments
        outputs.append(found.stdout)
    for output in outputs:
        assert not steers(output.decode())
        assert max(map(len, output.decode().splitlines())) < 2_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((b"run", b"caf\xe9\x1b.yaml"), r"caf\xe9\x1b.yaml: no such file"),
        ((b"run", b"study.yaml", b"study=caf\xe9"), "the byte 0xe9 is not UTF-8 text"),
        ((b"plan", b"study.yaml", b"compare.baseline.\xff=1"), "the key is not UTF-8 text"),
        ((b"run", b"study.yaml", b'activation="\\ud800"'), "half of a character"),
        ((b"run", b"study.yaml", b"study=a\x1b[31mb"), r"a\x1b[31mb"),
        ((b"compare", b"no\xff\x1b]0;x\x07where"), r"no results at no\xff\x1b]0;x\x07where"),
        ((b"compare", b"--where", b"activation=\x1b[2J\xff"), "not allowed in YAML"),
        ((b"show", b"a\nactbench: forged"), "a"),
        ((b"--\xff\x1b[31m",), r"\x1b[31m"),
        ((b"caf\xe9\x1b[31m",), r"\x1b[31m"),
    ],
    ids=str,
)
def test_an_argument_of_any_bytes_is_refused_in_a_message(tmp_path: Path, arguments: Any, told: str) -> None:
    (tmp_path / "study.yaml").write_text("activation: relu\n")
    save(tmp_path / "results", named("x"))
    done = command(tmp_path, tmp_path, *arguments)
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"")
    assert told in text
    assert "Traceback" not in text
    assert not steers(text)
