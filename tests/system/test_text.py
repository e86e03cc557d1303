"""Text of any kind can be stored and read again, printed without steering a terminal, and typed again in a shell."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hostile_text import ANY, steers
from hypothesis import given, settings
from hypothesis import strategies as st

from actbench.system.files import json_text, write_atomically
from actbench.system.stand_ins import displayable
from actbench.system.text import one_line, printable, printable_lines, shell_command, shortened, storable

STEADY = settings(deadline=None, derandomize=True, database=None)

ANYTHING = ANY | st.text(st.characters(codec=None), max_size=20)


@STEADY
@given(text=ANYTHING)
def test_any_text_is_stored_as_utf_8_and_text_of_whole_characters_as_it_is(text: str) -> None:
    kept = storable(text)
    kept.encode()
    try:
        text.encode()
    except UnicodeEncodeError:
        assert kept != text
    else:
        assert kept == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\ud83d\ude00", "😀"),
        ("\ud83d \ude00", r"\ud83d \ude00"),
        ("caf\udce9", r"caf\xe9"),
        ("\udc80\udcff", r"\x80\xff"),
        ("\ud83d\ud83d\ude00\ude00", "\\ud83d😀\\ude00"),
    ],
)
def test_halves_of_a_character_are_joined_and_lone_ones_are_escapes(text: str, kept: str) -> None:
    assert storable(text) == kept


@STEADY
@given(text=ANYTHING)
def test_nothing_printable_steers_a_terminal(text: str) -> None:
    for shown in (printable(text), one_line(text, 10)):
        assert "\n" not in shown
        assert not steers(shown)
        shown.encode()
    assert steers(printable_lines(text)) <= {"\t"}
    assert printable_lines(text).count("\n") == text.count("\n")


@STEADY
@given(text=ANYTHING)
def test_what_can_be_seen_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("title\x1b]0;x\x07", r"title\x1b]0;x\x07"),
        ("12\b\b34\r", r"12\x08\x0834\r"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("a\u200bb", r"a\u200bb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("x * sigmoid(λ) 猫 😀 é", "x * sigmoid(λ) 猫 😀 é"),
    ],
)
def test_control_characters_become_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_message_of_ten_megabytes_is_cut_with_its_length() -> None:
    shown = one_line("x" * 10_000_000)
    assert len(shown) < 600
    assert "[10,000,000 characters in all]" in shown
    assert shortened("abc", 3) == "abc"


@STEADY
@given(texts=st.lists(ANYTHING, max_size=3))
def test_any_text_in_json_is_written_and_read_again(texts: list[str]) -> None:
    content = {"texts": texts, "keys": dict.fromkeys(texts, 1)}
    found = json.loads(json_text(content).encode())
    assert found == {"texts": [*map(storable, texts)], "keys": {storable(text): 1 for text in texts}}


def test_a_file_takes_any_text(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", "caf\udce9 \ud83d\ude00")
    assert (tmp_path / "x").read_text("utf-8") == r"caf\xe9 😀"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_printed_command_is_read_by_a_shell_as_the_same_words() -> None:
    words = [
        "plain",
        "",
        "my study.yaml",
        "it's",
        "caf\udce9",
        "a\x1b[31m",
        "a\nb\\",
        "\u202e'\u200b7",
        "$HOME",
        "~",
        "😀",
    ]
    for encoding in ("utf-8", "cp437", "ascii"):
        printed = shell_command([*words, "ünïcode −1"], encoding)
        assert not steers(printed)
        assert printed == displayable(printed, encoding)  # nothing in it would be another word there
        script = f"printf '%s\\0' {printed}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
        assert done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1] == [*words, "ünïcode −1"]
