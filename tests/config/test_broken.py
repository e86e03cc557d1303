"""What a user reads about each of many broken configs, word for word.

``broken/NAME.yaml`` is what somebody wrote, ``broken/NAME.txt`` the answer. ``UPDATE_MESSAGES=1`` writes the answers
anew: read their difference aloud before it is committed.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from actbench.config import Study
from actbench.errors import ConfigError

FOLDER = Path(__file__).with_name("broken")
CONFIGS = sorted(FOLDER.glob("*.yaml"))


def _overrides(config: Path) -> list[str]:
    """The words behind ``# overrides:`` in the first line, as they would be typed."""
    first = config.read_text("utf-8").partition("\n")[0]
    return shlex.split(first.removeprefix("# overrides:")) if first.startswith("# overrides:") else []


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_the_answer_to_a_broken_config_is_the_one_that_was_read_aloud(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)

    with pytest.raises(ConfigError) as caught:
        Study.from_yaml(config.name, _overrides(config))

    answer, kept = f"{caught.value}\n".replace(os.sep, "/"), config.with_suffix(".txt")
    if os.environ.get("UPDATE_MESSAGES"):
        kept.write_text(answer, "utf-8")
    assert answer == kept.read_text("utf-8")


def test_every_answer_has_its_config_and_there_are_many() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in CONFIGS}
    assert len(CONFIGS) >= 50


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_no_answer_names_what_only_programmers_know(config: Path) -> None:
    answer = config.with_suffix(".txt").read_text("utf-8")

    for word in ("pydantic", "Traceback", "<block", "<stream", "tuple", "dict", "scalar", "node", "None", "NoneType"):
        assert word not in answer.replace("'null'", ""), word
