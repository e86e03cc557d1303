"""A record says on what it was computed and by which command, and nothing about where the program lies."""

from __future__ import annotations

import sys

import pytest

from actbench.system.devices import processor_name
from actbench.system.environment import describe_command


@pytest.mark.parametrize(
    ("called", "recorded"),
    [("/home/ada/bin/actbench", "actbench"), ("/home/ada/site-packages/actbench/__main__.py", "actbench")],
)
def test_the_program_is_recorded_by_its_name_not_by_its_path(
    called: str, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "run", "study.yaml", "seeds=2"])
    describe_command.cache_clear()

    found = describe_command()
    describe_command.cache_clear()

    assert found["argv"] == [recorded, "run", "study.yaml", "seeds=2"]


def test_a_record_names_the_processor_not_only_the_kind_of_machine() -> None:
    assert describe_command()["processor"] == processor_name()
