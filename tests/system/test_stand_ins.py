"""Every character that actbench prints has a stand-in for consoles that lack it, before the text is laid out."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

import actbench
from actbench.system.console import PrintableConsole
from actbench.system.stand_ins import ERRORS, displayable, stand_ins

PACKAGE = Path(actbench.__file__).parent

ENCODINGS = ("ascii", "cp437", "cp1252", "cp850", "latin-1", "shift_jis")

NOT_ON_A_CONSOLE = ("analysis/page", "analysis/plots", "analysis/reports/latex.py", "system/stand_ins.py")
"""What these make is a file in UTF-8, or they hold tables of characters."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("−0.47", "-0.47"),
        ("[−0.25, +0.38] ≤ Δ", "[-0.25, +0.38] <= diff"),
        ("f′(z) = σ(βz), χ → 1", "f'(z) = sigma(betaz), chi -> 1"),
        ("10⁻⁵ of E[f²]^−½", "10^-5 of E[f^2]^-1/2"),
        ("quickstart · mnist-5k · mlp", "quickstart - mnist-5k - mlp"),
        ("· one\n· two, alpha·x", "- one\n- two, alpha*x"),
        ("“relu” … ✓ ±0.3 × 2", '"relu" ... + +/-0.3 x 2'),
        ("├─│█⣿", "+-|8*"),
        ("研 café ≮ æ", r"\u7814 cafe \u226e \xe6"),
        ("What? Nothing.", "What? Nothing."),
    ],
)
def test_ascii_has_a_stand_in_for_each(text: str, shown: str) -> None:
    assert displayable(text, "ascii") == shown


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "−0.47 ≤ ±1 · 2²"),
        ("cp437", "-0.47 ≤ ±1 · 2²"),
        ("cp1252", "-0.47 <= ±1 · 2²"),
        ("ascii", "-0.47 <= +/-1 - 2^2"),
    ],
)
def test_what_a_code_page_has_is_left_as_it_is(encoding: str, shown: str) -> None:
    assert displayable("−0.47 ≤ ±1 · 2²", encoding) == shown


@given(text=st.text(), encoding=st.sampled_from(ENCODINGS))
def test_any_text_can_be_written_in_any_encoding(text: str, encoding: str) -> None:
    shown = displayable(text, encoding)
    shown.encode(encoding)
    assert shown.count("?") == text.count("?")
    pieces = stand_ins(text, encoding)
    assert len(pieces) == len(text)
    assert "".join(pieces) == shown
    assert displayable(shown, encoding) == shown


@given(text=st.text(st.characters(codec=None)), encoding=st.sampled_from(ENCODINGS))
def test_a_stream_replaces_whatever_comes_so_far(text: str, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=ERRORS, newline="")
    stream.write(text)
    stream.flush()
    assert raw.getvalue().decode(encoding).count("?") == text.count("?")


def printed_characters() -> Iterator[tuple[str, str]]:
    """Each character beyond ASCII in a text of the package that is no docstring, and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place.startswith(NOT_ON_A_CONSOLE):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
                yield from ((letter, place) for letter in node.value if letter.isprintable() and not letter.isascii())


def test_every_character_of_actbench_s_own_texts_has_a_stand_in() -> None:
    found = dict(printed_characters())
    assert {"−", "≤", "Δ", "′", "χ"} <= set(found)
    without = {letter: place for letter, place in found.items() if displayable(letter, "ascii").startswith("\\")}
    # These are looked for in what users write, and never printed.
    assert set(without) <= set("＝＋－＠\ufffd"), without


def printed(content: RenderableType, encoding: str, width: int = 60) -> str:
    raw = io.BytesIO()
    console = PrintableConsole(file=io.TextIOWrapper(raw, encoding=encoding, errors=ERRORS), width=width)
    console.print(content)
    console.file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", *ENCODINGS])
def test_stand_ins_of_several_characters_shift_no_column(encoding: str) -> None:
    table = Table()
    table.add_column(Text("Δ baseline"), justify="right")
    table.add_column("χ")
    table.add_column(Text("n"))
    for index, text in enumerate(("±0.3", "≤ 10⁻⁵", "0.3")):
        table.add_row(Text(text), "a → b" if index else "ab", str(index))
    text = printed(table, encoding)
    assert text.count("\n") == printed(table, "utf-8").count("\n")  # no cell is broken
    assert displayable("≤ 10⁻⁵", encoding) in text
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    rows = [line for line in lines if line.strip("│┃| ").endswith(("0", "1", "2", "n"))]
    assert len(rows) == 4
    assert len({max(line.rfind(end) for end in "012n") for line in rows}) == 1


def test_styles_stay_on_their_words() -> None:
    text = Text.assemble(("≤ 10⁻⁵ ", "bold"), ("Δ", "red"), " x")
    console = PrintableConsole(
        file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), force_terminal=True, color_system="standard", width=60
    )
    styled = {segment.text: str(segment.style) for segment in console.render(text) if segment.style}
    assert styled["<= 10^-5 "] == "bold"
    assert styled["diff"] == "red"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_is_cut_at_the_width_stays_in_it(encoding: str) -> None:
    table = Table.grid()
    table.add_column(no_wrap=True)
    table.add_row("0123456789" * 4)
    cut = Group(Text("0123456789" * 4, no_wrap=True, overflow="ellipsis"), table)
    lines = printed(cut, encoding, width=20).splitlines()
    assert list(map(len, lines)) == [20, 20]


def test_a_file_is_written_in_utf_8_whatever_the_console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    target = io.StringIO()
    PrintableConsole(file=target, width=60).print("−0.47 ≤ Δ")
    assert target.getvalue() == "−0.47 ≤ Δ\n"
