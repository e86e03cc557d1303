"""Pictures of characters show the numbers that they are made of."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actbench.analysis.pictures.blocks import BLOCKS, DIGITS, Scale, bars, scale_of, spread_indices
from actbench.analysis.pictures.lines import Frame, Line, beside, line_picture

NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))


def field(picture, frame):
    """The characters between the axes: row 0 is the uppermost."""
    wall = "│" if frame.is_unicode else "|"
    return [line.plain.partition(wall)[2] for line in picture[1 : 1 + frame.height]]


def dots(rows):
    """(column, row from below) of every braille dot, in a field of braille characters alone."""
    weights = {(0, 3): 0, (0, 2): 1, (0, 1): 2, (1, 3): 3, (1, 2): 4, (1, 1): 5, (0, 0): 6, (1, 0): 7}
    return {
        (2 * column + x, 4 * (len(rows) - 1 - row) + y)
        for row, text in enumerate(rows)
        for column, letter in enumerate(text)
        if 0x2800 < ord(letter) < 0x2900
        for (x, y), bit in weights.items()
        if ord(letter) - 0x2800 >> bit & 1
    }


@given(st.lists(NUMBERS, max_size=30), st.booleans())
def test_the_highest_bar_stands_at_the_maximum_and_a_higher_value_never_has_a_lower_bar(values, is_unicode):
    scale = scale_of(values)
    known = [(value, index) for index, value in enumerate(values) if value is not None and math.isfinite(value)]
    assert (scale is None) == (not known)
    if scale is None:
        return
    row = bars(values, scale, is_unicode=is_unicode)
    letters = BLOCKS if is_unicode else DIGITS
    assert [index for index, letter in enumerate(row) if letter == " "] == [
        index for index in range(len(values)) if index not in {place for _, place in known}
    ]
    levels = [letters.index(row[index]) for _, index in sorted(known)]
    assert levels == sorted(levels)
    assert levels[-1] == (7 if min(known)[0] < max(known)[0] else 0)


def test_a_share_of_zero_has_a_mark_of_its_own_and_each_bar_is_an_eighth():
    shares = [0.0, 0.001, *(0.4 * (level + 0.5) / 8 for level in range(8)), 0.4]
    scale = scale_of(shares, has_none=True)
    assert scale == Scale(0.0, 0.4, has_none=True)
    assert bars(shares, scale, is_unicode=True) == "·▁▁▂▃▄▅▆▇██"
    assert bars(shares, scale, is_unicode=False) == ".1123456788"


@given(st.integers(0, 400), st.integers(2, 50))
def test_a_thinned_curve_keeps_both_ends_at_equal_distances(count, most):
    found = spread_indices(count, most)
    assert len(found) == min(count, most)
    assert not found or (found[0], found[-1]) == (0, count - 1)
    steps = {later - earlier for earlier, later in pairwise(found)}
    assert not steps or max(steps) - min(steps) <= 1


def test_a_straight_line_touches_the_dots_that_arithmetic_gives():
    frame = Frame("f", 43)  # three characters of numbers and a wall leave 39
    rows = field(line_picture([Line([(x / 100, x / 100) for x in range(1, 101)])], frame), frame)
    wide, high = 2 * len(rows[0]), 4 * frame.height
    found = dots(rows)
    for x in range(1, 101):
        share = (x - 1) / 99
        assert (round((wide - 1) * share), round((high - 1) * share)) in found
    assert {(0, 0), (wide - 1, high - 1)} <= found


def test_the_ends_of_the_axes_are_the_extremes_of_the_values():
    frame = Frame("loss", 60)
    picture = [line.plain for line in line_picture([Line([(0, 2.5), (3, None), (20, 0.25)])], frame)]
    assert picture[0].split() == ["loss"]
    assert picture[1].split()[0] == "2.5"
    assert picture[frame.height].split()[0] == "0.25"
    assert picture[-1].split() == ["0", "20"]


def test_a_gap_interrupts_a_curve():
    frame = Frame("f", 60)
    jump = [(0.0, 0.0), (1.0, 0.0), (1.0, math.nan), (1.0, 1.0), (2.0, 1.0)]
    rows = field(line_picture([Line(jump)], frame), frame)
    assert all(not row.strip() for row in rows[1:-1])
    joined = field(line_picture([Line([one for one in jump if one[1] == one[1]])], frame), frame)
    assert all(row.strip() for row in joined)


@pytest.mark.parametrize("is_unicode", [True, False])
def test_each_of_several_curves_is_seen_even_where_they_are_equal(is_unicode):
    frame = Frame("f", 60, is_unicode=is_unicode)
    points = [(x / 50, math.sin(x / 50)) for x in range(300)]
    text = "".join(field(line_picture([Line(points, mark) for mark in "abcd"], frame), frame))
    assert all(text.count(mark) > 1 for mark in "abcd")


@pytest.mark.parametrize("width", [20, 36, 60, 80, 120])
@pytest.mark.parametrize("is_unicode", [True, False])
def test_a_picture_has_the_width_and_the_letters_that_it_may_have(width, is_unicode):
    frame = Frame("a title that is longer than twenty", width, is_fraction=True, is_unicode=is_unicode)
    picture = line_picture([Line([(-4, -1e-9), (4, 1.0)], "a"), Line([(-4, 0.5), (4, 0.25)], "b")], frame)
    assert {len(line) for line in picture} == {width}
    assert all(line.plain.isascii() for line in picture) == (not is_unicode)


@example(points=[(5e-324, 0.0)], is_unicode=False)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), NUMBERS), max_size=20), st.booleans())
def test_a_picture_survives_any_values(points, is_unicode):
    frame = Frame("f", 60, is_unicode=is_unicode)
    picture = line_picture([Line(points)], frame)
    assert bool(picture) == any(y is not None and math.isfinite(y) for _, y in points)
    assert {len(line) for line in picture} <= {60}


def test_pictures_stand_beside_each_other_where_there_is_room_and_below_each_other_elsewhere():
    frame = Frame("f", 40)
    pictures = [line_picture([Line([(0, 0), (1, 1)])], frame) for _ in range(2)]
    assert len(beside(pictures, 82)) == len(pictures[0])
    assert {len(line) for line in beside(pictures, 82)} == {82}
    below = beside(pictures, 81)
    assert (len(below), max(map(len, below))) == (2 * len(pictures[0]) + 1, 40)
