"""What a user reads about a dataset before anything is trained: once a command, whatever the engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Run, in_this_process
from PIL import Image

STUDY = """\
study: folder
dataset: {name: image_folder, root: pictures, grey: true}
model: {name: cnn, channels: [2], dense: [4]}
training: {epochs: 6, batch_size: 4, optimizer: {name: sgd, lr: 0.1}}
seeds: 2
sweep:
  activation: [relu, tanh]
"""


@pytest.fixture
def actbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command in a folder that holds study.yaml, and pictures of which the left or the right half is bright."""
    (tmp_path / "study.yaml").write_text(STUDY)
    draw = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        for side, label in enumerate(("left", "right")):
            folder = tmp_path / "pictures" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 60, (8, 8))
                pixels[:, 4 * side : 4 * side + 4] += 150
                Image.fromarray(pixels.astype(np.uint16) * 16).save(folder / f"{number}.tif")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTBENCH_DATA", str(tmp_path / "data"))
    return in_this_process(monkeypatch, capfd)


@pytest.mark.parametrize(
    "engines", [("inline", "inline"), pytest.param(("pool", "inline"), marks=pytest.mark.slow)], ids=" ".join
)
def test_notes_on_the_data_are_logged_once_a_command(
    engines: tuple[str, str], actbench: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pictures/train/left/99.tif").symlink_to("/nonexistent/annex/99.tif")
    for engine in engines:  # decoded, and from the cache
        caplog.clear()
        done = actbench("run", "study.yaml", "--engine", engine, *(["-j", "2"] if engine == "pool" else []), "--force")
        assert done.returncode == 0, done.stderr
        assert caplog.messages == [
            f"dataset 'image_folder': skipped in {tmp_path}/pictures, links that lead nowhere: 1 (train/left/99.tif)",
            "dataset 'image_folder': levels of more than 8 bits go up to 3344 only: read as 12 bits, 0 … 4095",
        ]
        assert done.stderr.count("skipped") == 1, "the workers leave it to the command"


def test_bright_halves_of_12_bit_pictures_are_told_apart(actbench: Run, tmp_path: Path) -> None:
    """They were clipped to 0 and 255, and the activation looked bad."""
    done = actbench("run", "study.yaml", "--engine", "inline")
    assert "4 ok" in done.stderr
    found = [json.loads(path.read_text()) for path in tmp_path.glob("results/folder/runs/*/result.json")]
    assert [record["final"]["test.accuracy"] for record in found] == [1.0] * 4


@pytest.mark.parametrize("engine", ["inline", pytest.param("pool", marks=pytest.mark.slow)])
def test_pictures_from_which_nothing_can_be_learned_end_the_command_before_a_run(
    engine: str, actbench: Run, tmp_path: Path
) -> None:
    for path in tmp_path.glob("pictures/*/*/*.tif"):
        Image.new("L", (8, 8), 0).save(path)
    done = actbench("run", "study.yaml", "--engine", engine, "-j", "1")
    assert done.returncode == 2
    message = "dataset 'image_folder': all 24 training images are equal (every pixel is 0)"
    assert done.stderr.splitlines()[-1].startswith(f"actbench: {message}")
    assert not (tmp_path / "results").exists()
