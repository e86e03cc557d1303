"""A table with too many columns: no head is cut, no column is lost, each part begins with the first column."""

from __future__ import annotations

import io

import pytest

from actbench.cli.split_tables import print_columns
from actbench.system.console import PrintableConsole

HEADS = ["name", "always_on", "saturation", "not_finite", "spatially_silent"]
ROWS = [["hidden.0", "1", "2", "3", "4"], ["hidden.10", "5", "6", "7", "8"]]


def printed(width: int) -> list[str]:
    target = io.StringIO()
    print_columns(PrintableConsole(file=target, width=width), HEADS, ROWS)
    return [line.rstrip() for line in target.getvalue().splitlines()]


def test_where_there_is_room_the_table_is_whole() -> None:
    lines = printed(80)

    assert lines[0].split() == HEADS
    assert [line.split() for line in lines[2:]] == ROWS


def test_where_broken_heads_suffice_they_are_broken_at_their_underscore() -> None:
    lines = printed(50)

    assert lines[0].split() == ["always_", "not_", "spatially_"]
    assert lines[1].split() == ["name", "on", "saturation", "finite", "silent"]
    assert [line.split() for line in lines[3:]] == ROWS


@pytest.mark.parametrize("width", [30, 36, 42])
def test_otherwise_there_are_several_tables_that_begin_with_the_first_column(width: int) -> None:
    parts = "\n".join(printed(width)).split("\n\n")
    found = [[line.split() for line in part.splitlines()] for part in parts]

    assert max(map(len, printed(width))) <= width
    assert len(parts) > 1
    assert [head for heads, *_ in found for head in heads[1:]] == HEADS[1:]
    for row, whole in enumerate(ROWS):
        assert {part[2 + row][0] for part in found} == {whole[0]}
        assert [cell for part in found for cell in part[2 + row][1:]] == whole[1:]
