"""Datasets, caches and downloads that fail, for real: one message names the remedy, and no run is trained on them."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Run
from faulty_studies import STUDY, check_refused, results, train
from forked_commands import Server

from actbench.datasets._idx import FILES


def test_a_corrupt_dataset_is_named_before_anything_is_trained(actbench: Run, tmp_path: Path) -> None:
    (tmp_path / "idx").mkdir()
    for name in FILES:
        (tmp_path / "idx" / name).write_bytes(b"\0\0\x08\x01\0\0\0\x05abc")
    done = train(actbench, "dataset={name: idx, root: idx}")
    check_refused(done, "train-images-idx3-ubyte", "damaged")
    assert not results(tmp_path)


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def own_folders(folder: Path) -> dict[str, str]:
    """Settings by which nothing is decoded yet; nor are kernels compiled for one test."""
    folders = {"ACTBENCH_DATA": str(folder / "data"), "XDG_CACHE_HOME": str(folder / "cache")}
    return folders | {"ACTBENCH_RUN_KERNELS": "torch"}


@pytest.mark.slow
def test_a_corrupt_cache_is_named_and_replaced(server: Server, study_folder: Path) -> None:
    command = ("run", "study.yaml", "--engine", "inline", "seeds=1")
    folders = own_folders(study_folder)
    assert server.do(study_folder, *command, **folders) == 0
    before = results(study_folder)
    (array,) = study_folder.glob("data/actbench-cache/*/train_images.npy")
    array.write_bytes(array.read_bytes()[:-100])
    code, said = server.do(study_folder, *command, "--force", **folders), (study_folder / "stderr").read_text()
    assert code == 0, said
    assert f"{array.parent} is damaged" in said
    finals = [
        {name: json.loads(text)["health"] for name, (_, text) in found.items()}
        for found in (before, results(study_folder))
    ]
    assert finals[0] == finals[1]


@pytest.mark.slow
def test_without_room_for_the_cache_the_study_is_trained_and_a_warning_says_so(
    server: Server, study_folder: Path
) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"  # the images take 115,000
    command = ("run", "study.yaml", "--engine", "inline")
    code = server.do(study_folder, *command, prelude=limit, **own_folders(study_folder))
    said = (study_folder / "stderr").read_text()
    assert code == 0, said
    assert "could not be cached" in said
    assert len(results(study_folder)) == 4
    assert not list(study_folder.rglob("*.npy")), "no half of an entry is left"


class Faulty(http.server.BaseHTTPRequestHandler):
    """Breaks off in the middle, or sends something else."""

    def do_GET(self) -> None:
        content = bytes(1000)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:10] if "broken" in self.path else content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is said."""


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("how", ["broken", "wrong"])
def test_a_download_that_fails_is_told_and_nothing_is_trained_on_it(
    how: str, actbench: Run, tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [f"{mirror}/{how}/"])
    monkeypatch.setenv("ACTBENCH_DATA", str(tmp_path / "data"))
    for _ in range(2):  # what the first has left behind is not taken for the dataset by the second
        done = train(actbench, "dataset=mnist")
        check_refused(done, "could not be downloaded", str(tmp_path / "data"), "mnist-5k")
    assert not results(tmp_path)
