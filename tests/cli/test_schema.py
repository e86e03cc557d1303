"""``actbench schema``: on standard output for programs, in a file for editors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run, in_this_process

from actbench.config.json_schema import config_schema


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return in_this_process(monkeypatch, capfd)


def test_the_schema_is_printed_in_ascii_for_any_pipe(actbench: Run) -> None:
    done = actbench("schema")

    assert done.returncode == 0
    assert done.stdout.isascii()
    assert json.loads(done.stdout) == config_schema()


def test_a_file_is_written_with_the_line_that_a_config_beside_it_begins_with(actbench: Run, tmp_path: Path) -> None:
    done = actbench("schema", "-o", "keys.json")

    assert done.stdout == ("keys.json: a config beside it begins with\n# yaml-language-server: $schema=keys.json\n")
    assert json.loads((tmp_path / "keys.json").read_text("utf-8")) == config_schema()
