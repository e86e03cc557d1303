from pathlib import Path

import pytest
from commands import Run
from faulty_studies import command_in


@pytest.fixture
def actbench(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """The command in this process, in a folder with the study of ``faulty_studies``."""
    return command_in(tmp_path, data_folder, monkeypatch, capfd)
