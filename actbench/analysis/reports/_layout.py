"""Lay out a table in a given width: the fullest form that fits, with the columns of least worth left out by name.

From the fullest to the briefest: everything in one line a row; the same without what matters least (parameters, the
range of dead units, wins); intervals below their means; ``95.17 ±0.15`` in one line; and that with fewer and fewer
columns. In each form heads break at ``.``, ``_`` and ``(``, and names of rows at spaces too, never amid a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from actbench.analysis.reports._cells import Cell, Column, Role
from actbench.analysis.reports._columns import without_range
from actbench.analysis.reports._wrapping import narrowest, width_of, wrapped

Key = tuple[Role, str]
"""A column, by its role and metric."""

RANGE = "range"
"""In place of a metric in a key: the ranges in the column alone."""

GAP = 2
"""Spaces between columns."""

MAX_HEAD_LINES = 2
"""A full head in more lines gives way to the short one."""

LONG, MEDIUM, SHORT, LEAST = 28, 20, 14, 8
"""Columns of a terminal beyond which names of rows are wrapped, from roomy to narrow tables."""

NAMES = ("factor", "picked", "outcomes", "row")
"""Roles of columns whose cells are words that may be wrapped."""


class Form(Enum):
    """How a cell is written."""

    FLAT = "93.12 % [92.80, 93.44] in one line"
    STACKED = "the interval in a line below the mean"
    BRIEF = "93.12 ±0.32, with the unit in the head"


@dataclass(frozen=True)
class Plan:
    """A way to lay out a table.

    Args:
        form: How cells are written.
        left_out: The columns that are left out.
        longest: Columns of a terminal that a name of a row may take before it is wrapped.
    """

    form: Form = Form.FLAT
    left_out: tuple[Key, ...] = ()
    longest: int = LONG


@dataclass(frozen=True)
class Layout:
    """A table as it is printed.

    Args:
        plan: How it was laid out.
        columns: Those that are shown.
        texts: The heading and the cells of each, broken into lines.
        widths: Width of each column.
        has_short_head: Whether the head of each column is the short one.
    """

    plan: Plan
    columns: tuple[Column, ...]
    texts: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    has_short_head: tuple[bool, ...]

    @property
    def width(self) -> int:
        """The columns of a terminal that it takes."""
        return sum(self.widths) + GAP * (len(self.widths) - 1)

    @property
    def is_full(self) -> bool:
        """Whether every column is there, with its intervals in full."""
        return not self.plan.left_out and self.plan.form is not Form.BRIEF

    @property
    def renamed(self) -> dict[str, str]:
        """Short head -> metric, where a mean has a short head."""
        shown = zip(self.columns, self.has_short_head, strict=True)
        return {column.short_title: column.title for column, is_short in shown if is_short and column.role == "mean"}


def lay_out(found: Sequence[Column], width: int, shown: Callable[[str], str] = str) -> Layout:
    """Return the fullest layout that fits; the briefest where none does, which is wider.

    Args:
        found: All columns of the table.
        width: Columns of the terminal.
        shown: How the terminal shows a text, which may be longer: stand-ins for characters that it lacks.
    """
    ways = list(plans(found))
    for plan in ways:
        layout = laid_out(found, plan, width, shown)
        if layout is not None:
            return layout
    briefest = _smallest(found, ways[-1], shown)
    return _filled(ways[-1], briefest, sum(one.least for one in briefest))


def beside(layout: Layout, column: Column) -> Layout:
    """Return the layout with one more column at its right, for which nothing else gives way."""
    texts = (column.title, *(cell.text() for cell in column.cells))
    return Layout(
        layout.plan,
        (*layout.columns, column),
        (*layout.texts, texts),
        (*layout.widths, max(map(width_of, texts))),
        (*layout.has_short_head, False),
    )


def full_width(found: Sequence[Column], shown: Callable[[str], str] = str) -> int:
    """Return the width from which every column is there, with its intervals in full."""
    return _total([one.least for one in _smallest(found, Plan(), shown)])


def plans(found: Sequence[Column]) -> Iterator[Plan]:
    """Yield the ways to lay out a table, from the fullest to the briefest."""
    parameters = tuple(column.key for column in found if column.role == "parameters")
    dead: tuple[Key, ...] = tuple(("dead", RANGE) for column in found if column.role == "dead" and _has_range(column))
    wins = tuple(column.key for column in found if column.role == "wins")
    early, late = (*parameters, *dead, *wins), _late(found)
    for left_out in dict.fromkeys(((), parameters, (*parameters, *dead), early)):
        yield Plan(Form.FLAT, left_out)
    for longest in (LONG, MEDIUM):
        for left_out in dict.fromkeys(((*parameters, *dead), early)):
            yield Plan(Form.STACKED, left_out, longest)
    # A range of a health share has no ±.
    ranges: list[Key] = [("mean", RANGE) for column in found if column.role == "mean" and _has_range(column)]
    every = (*early, *dict.fromkeys(ranges))
    yield from (Plan(Form.BRIEF, every, longest) for longest in (MEDIUM, SHORT))
    yield from (Plan(Form.BRIEF, (*every, *late[: count + 1]), SHORT) for count in range(len(late)))
    yield Plan(Form.BRIEF, (*every, *late), LEAST)


def _late(found: Sequence[Column]) -> list[Key]:
    """Return what is left out of the briefest form, the least worth first; the leading metric's mean always stays."""
    means = [column.key for column in found if column.role == "mean"]
    differences = [column.key for column in found if column.role == "difference"]
    counts = [column for column in found if column.role == "n"]
    asked = [column.key for role in ("shares", "prediction", "chance") for column in found if column.role == role]
    # One number of seeds for all rows can stand below the table.
    common = [column.key for column in counts if is_common(column)]
    others = [column.key for column in counts if not is_common(column)]
    role = {column.role: column.key for column in found}
    return [
        *(role[one] for one in ("pairs", "p") if one in role),  # of a table of pairs
        *common,
        *asked,
        *reversed(differences[1:]),
        *(role[one] for one in ("dead",) if one in role),
        *reversed(means[1:]),
        *(role[one] for one in ("epochs",) if one in role),
        *others,
        *(differences[:1] if means else []),
    ]


def is_common(column: Column) -> bool:
    """Return whether all cells of a column are the same."""
    return len({cell.value for cell in column.cells}) == 1


def left_out_names(found: Sequence[Column], layout: Layout) -> list[str]:
    """Return the names of the columns and ranges that a layout leaves out, as the note below the table has them.

    A column that each metric has is named with its metrics, unless all are left out. The number of seeds is not named
    where it is the same in each row: the caption has it.
    """
    left_out = layout.plan.left_out
    metrics: dict[str, list[str]] = {}
    for column in found:
        if column.key in left_out and not (column.role == "n" and is_common(column)):
            metrics.setdefault(column.title, []).append(column.metric)
        elif (column.role, RANGE) in left_out and _has_range(column):
            metrics.setdefault(f"range of {column.title}", []).append("")
    count = sum(column.role == "mean" for column in found)
    return [
        f"{title} ({', '.join(own)})" if title not in own and any(own) and len(own) < count else title
        for title, own in metrics.items()
    ]


def laid_out(found: Sequence[Column], plan: Plan, width: int, shown: Callable[[str], str] = str) -> Layout | None:
    """Return a table laid out by a plan, in as few lines as the width allows; None where it does not fit."""
    smallest = _smallest(found, plan, shown)
    room = width - _total([one.least for one in smallest])
    return None if room < 0 else _filled(plan, smallest, room)


@dataclass(frozen=True)
class _Smallest:
    """A column at its least width.

    Args:
        column: The column.
        heads: The full head and the short one.
        cells: Their texts before names are wrapped.
        least: The width in which nothing is broken amid a word.
        is_name: Whether the cells may be wrapped.
    """

    column: Column
    heads: tuple[str, str]
    cells: tuple[str, ...]
    least: int
    is_name: bool

    @property
    def natural(self) -> int:
        """The width in which no cell is wrapped."""
        return max((width_of(text) for text in self.cells), default=0)

    def lines(self, width: int) -> int:
        """Return the lines that all cells take together in a width."""
        return sum(len(wrapped(text, width)) for text in self.cells)

    def has_short_head(self, width: int) -> bool:
        """Return whether the full head has no room in a width."""
        full, short = self.heads
        return full != short and not _fits(full, width)

    def texts(self, width: int) -> tuple[str, ...]:
        """Return the heading and the cells in so many columns of a terminal."""
        head = self.heads[1 if self.has_short_head(width) else 0]
        cells = ["\n".join(wrapped(text, width)) if self.is_name else text for text in self.cells]
        return ("\n".join(wrapped(head, width)), *cells)


def _smallest(found: Sequence[Column], plan: Plan, shown: Callable[[str], str]) -> list[_Smallest]:
    """Return the columns that a plan keeps, each at its least width."""
    columns = [
        without_range(column) if (column.role, RANGE) in plan.left_out and _has_range(column) else column
        for column in found
        if column.key not in plan.left_out
    ]
    return [_least(column, plan, shown) for column in columns]


def _least(column: Column, plan: Plan, shown: Callable[[str], str]) -> _Smallest:
    cells = tuple(shown(text) for text in _cell_texts(column, plan.form))
    is_name = column.role in NAMES
    body = max((width_of(text) for text in cells), default=0)
    if is_name and cells:
        # A name may be wrapped at its places to break, but no further.
        longest = max(plan.longest, *map(narrowest, cells))
        body = max(width_of("\n".join(wrapped(text, longest))) for text in cells)
    heads = _heads(column, plan.form)
    full, short = shown(heads[0]), shown(heads[1])
    head = next(width for width in range(narrowest(full), width_of(full) + 1) if _fits(full, width))
    if plan.form is Form.BRIEF:
        head = min(head, narrowest(short))
    return _Smallest(column, (full, short), cells, max(body, head), is_name)


def _fits(head: str, width: int) -> bool:
    return narrowest(head) <= width and len(wrapped(head, width)) <= MAX_HEAD_LINES


def _heads(column: Column, form: Form) -> tuple[str, str]:
    """Return the full head and the short one; in the brief form with the unit of the cells."""
    note = column.note or (_unit(column) if form is Form.BRIEF else "")
    noted = replace(column, note=note)
    separator = "\n" if form is Form.STACKED and note else " "
    short = replace(noted, title=column.short_title or column.title)
    return noted.heading(separator), short.heading(separator)


def _unit(column: Column) -> str:
    """Return the unit that all cells of a column of numbers share."""
    units = {cell.unit for cell in column.cells if cell.is_number}
    return next(iter(units)) if len(units) == 1 and column.role in ("mean", "dead") else ""


def _cell_texts(column: Column, form: Form) -> list[str]:
    """Return the cells in a form, those of numbers aligned so that their marks hang over."""
    if form is Form.BRIEF:
        return _brief_texts(column)
    texts = [cell.text("\n" if form is Form.STACKED else " ") for cell in column.cells]
    return _with_hanging_marks(column, texts)


def _brief_texts(column: Column) -> list[str]:
    has_unit = bool(_unit(column))
    if column.role == "outcomes":
        # The count and the outcomes, without their interval.
        return [replace(cell, below=cell.below[:1]).text() for cell in column.cells]
    brief = [replace(cell, unit="" if has_unit else cell.unit, below=_brief_below(cell)) for cell in column.cells]
    width = max((len(cell.half_width) for cell in column.cells), default=0)
    texts = [
        replace(cell, below=(f"±{cell.half_width}".ljust(width + 1),) if cell.half_width else cell.below).text()
        if cell.half_width or not (width and cell.is_number)
        else f"{cell.text()}{' ' * (width + 2)}"
        for cell in brief
    ]
    return _with_hanging_marks(column, texts)


def _brief_below(cell: Cell) -> tuple[str, ...]:
    return () if cell.half_width else cell.below


def _with_hanging_marks(column: Column, texts: Sequence[str]) -> list[str]:
    """Return the texts of numbers without a mark with room for it, so that digits stand below digits."""
    if not any(cell.mark for cell in column.cells):
        return list(texts)
    return [
        text if cell.mark or not cell.is_number else "\n".join(f"{line}  " for line in text.split("\n"))
        for text, cell in zip(texts, column.cells, strict=True)
    ]


def _filled(plan: Plan, smallest: Sequence[_Smallest], room: int) -> Layout:
    """Give the room to names first, as far as it saves lines, then to heads from the left."""
    widths = []
    for one in smallest:
        width = one.least
        if one.is_name and room > 0:
            most = max(one.least, min(one.natural, one.least + room))
            # Of as few lines as can be, the narrowest.
            width = min((one.lines(width), width) for width in range(one.least, most + 1))[1]
        room -= width - one.least
        widths.append(width)
    for index, one in enumerate(smallest):
        width = _for_head(one.heads[0], widths[index], room)
        room -= width - widths[index]
        widths[index] = width
    return Layout(
        plan,
        tuple(one.column for one in smallest),
        tuple(one.texts(width) for one, width in zip(smallest, widths, strict=True)),
        tuple(widths),
        tuple(one.has_short_head(width) for one, width in zip(smallest, widths, strict=True)),
    )


def _for_head(head: str, width: int, room: int) -> int:
    """Return the width in which a full head takes as few lines as it can, from a width to the room beyond it."""
    fitting = [one for one in range(width, width + room + 1) if _fits(head, one)]
    return min(fitting, key=lambda one: (len(wrapped(head, one)), one), default=width)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _has_range(column: Column) -> bool:
    """Return whether a bounded share shows the range of its values in any cell."""
    return any(cell.below and not cell.half_width for cell in column.cells)
