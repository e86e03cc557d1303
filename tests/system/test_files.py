"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from actbench.system.files import expanded


def test_the_home_folder_stands_for_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/data") == expanded(Path("~/data")) == Path("/somewhere/data")


@pytest.mark.parametrize("path", ["~nobody-by-this-name/data", "~\udcff", "a~"])
def test_a_mark_of_nobody_is_a_letter_like_any_other(path: str) -> None:
    assert expanded(path) == Path(path)
