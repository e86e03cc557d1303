"""The command that is printed after an interruption goes on, and trains nothing anew that has just finished."""

from __future__ import annotations

import sys

import pytest

from actbench.cli.interruption import how_to_go_on

REPEATS = "which would also train again what has just finished; earlier results that were not replaced yet stay."


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACTBENCH_RUN_FORCE", "ACTBENCH_RUN_RETRY"):
        monkeypatch.delenv(name, raising=False)


def printed(words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["actbench", *words.split()])
    return how_to_go_on().split("\n")


@pytest.mark.parametrize(
    ("given", "kept", "left_out"),
    [
        ("run x.yaml -j 2", "run x.yaml -j 2", ""),
        ("run x.yaml --retry none --smoke", "run x.yaml --retry none --smoke", ""),
        ("run x.yaml --retry=none", "run x.yaml --retry none", ""),
        ("run --retry failed x.yaml --until ci", "run --retry failed x.yaml --until ci", ""),
        ("run x.yaml --retry all -j 2", "run x.yaml -j 2", "--retry all"),
        ("run --retry=all x.yaml", "run x.yaml", "--retry all"),
        ("run --force x.yaml", "run x.yaml", "--force"),
        ("run x.yaml --retry all --force", "run x.yaml", "--retry all and --force"),
    ],
)
def test_options_that_mean_something_else_the_second_time_are_left_out_and_named(
    given: str, kept: str, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, command, *rest = printed(given, monkeypatch)

    assert (head, command.strip().partition(" run ")[2]) == ("To go on:", kept.removeprefix("run "))
    assert rest == ([f"Without {left_out}, {REPEATS}"] if left_out else [])


def test_a_variable_in_place_of_retry_is_overruled_by_the_printed_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTBENCH_RUN_RETRY", "all")
    assert printed("run x.yaml", monkeypatch)[1].endswith("run x.yaml --retry failed")
    assert printed("run x.yaml --retry none", monkeypatch)[1].endswith("run x.yaml --retry none")


@pytest.mark.parametrize(("value", "is_named"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_a_variable_in_place_of_force_has_to_be_unset_first(
    value: str, is_named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTBENCH_RUN_FORCE", value)
    assert ("First unset ACTBENCH_RUN_FORCE" in printed("run x.yaml", monkeypatch)[-1]) == is_named
