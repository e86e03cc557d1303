"""What can fail around a study does, for real: one message names file and remedy, and nothing finished is lost."""

from __future__ import annotations

import ctypes
import http.server
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actbench import cli, environment
from actbench.datasets._idx import FILES

SYSTEM = ctypes.CDLL(None)

STUDY = """\
study: faults
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
training: {epochs: 1, batch_size: 32}
seeds: 2
sweep:
  activation: [relu, tanh]
"""

PARTS = '''\
"""A user's own parts, all of them faulty."""
import sys

import numpy as np
import torch


def wrong_shape(z):
    return z[..., :1]


def leaves(z):
    if z.requires_grad:
        sys.exit(3)
    return torch.tanh(z)


def not_a_number(z):
    return z * torch.where(torch.tensor(z.requires_grad), float("nan"), 1.0)


def data(folder):
    images = np.full((20, 8, 8), np.nan)
    return images, np.arange(20) % 2, images, np.arange(20) % 2
'''


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def actbench(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """The command in this process, in a folder with study.yaml and faulty_parts.py."""
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "faulty_parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))
    monkeypatch.setenv("ACTBENCH_RUN_PRODUCTS", "default")

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["actbench", *arguments])
        monkeypatch.delitem(sys.modules, "faulty_parts", raising=False)
        environment.of_command.cache_clear()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run


def train(actbench: Run, *arguments: str) -> Done:
    return actbench("run", "study.yaml", "--engine", "inline", "--cohort-size", "1", *arguments)


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "actbench", *arguments]


def results(folder: Path) -> dict[str, tuple[int, bytes]]:
    paths = sorted(folder.glob("results/*/runs/*/result.json"))
    return {path.parent.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def check_refused(done: Done | subprocess.CompletedProcess[str], *told: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for words in told:
        assert words in done.stderr


def limited(kind: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (most, most))


def test_a_disk_that_takes_no_more_ends_the_command_and_the_same_one_goes_on(actbench: Run, tmp_path: Path) -> None:
    assert train(actbench, "seeds=1").returncode == 0
    before = results(tmp_path)
    done = subprocess.run(
        program("run", "study.yaml", "--engine", "inline"),
        capture_output=True,
        text=True,
        preexec_fn=limited(resource.RLIMIT_FSIZE, 1000),  # the system refuses larger files, whoever asks
    )
    check_refused(done, "can't write", str(Path("results/faults/runs")), "make room", "same command")
    assert results(tmp_path) == before
    assert train(actbench).returncode == 0
    assert len(results(tmp_path)) == 4
    assert {name: results(tmp_path)[name] for name in before} == before


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 200 KB."""
    folder = Path(tempfile.mkdtemp())
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=200k", "none", folder], check=False).returncode
    ):
        folder.rmdir()
        pytest.skip("nothing can be mounted here; the limit on a file's size stands for it above")
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_a_full_disk_keeps_what_is_finished(actbench: Run, small_disk: Path) -> None:
    done = train(actbench, "seeds=20", "--results", str(small_disk / "results"))
    check_refused(done, f"can't write {small_disk}/results/faults", "No space left", "make room")
    before = results(small_disk)
    assert before
    table = actbench("compare", str(small_disk / "results"), "--json")
    assert table.returncode == 0
    assert sum(row["runs"] for row in json.loads(table.stdout)["comparisons"][0]["rows"]) == len(before)
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    assert train(actbench, "seeds=20", "--results", str(small_disk / "results")).returncode == 0
    after = results(small_disk)
    assert len(after) == 40
    assert {name: after[name] for name in before} == before


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder with a study that takes a while."""
    folder = Path(tempfile.mkdtemp())
    (folder / "study.yaml").write_text(STUDY.replace("epochs: 1", "epochs: 400"))
    (folder / "results" / "faults" / "runs").mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def without_roots_right_to_write() -> None:
    """Root may write everywhere; what this leaves is what a user may do with their own files."""
    drop_from_bounding_set, right_to_pass_over_permissions = 24, 1  # PR_CAPBSET_DROP and CAP_DAC_OVERRIDE of Linux
    if SYSTEM.prctl(drop_from_bounding_set, right_to_pass_over_permissions, 0, 0, 0):
        raise OSError("root's right can't be given up")


def started(folder: Path, data_folder: Path) -> subprocess.Popen[str]:
    """The command as somebody whom the system does not let write everywhere."""
    return subprocess.Popen(
        program("run", "study.yaml", "--engine", "inline", "--products", "default"),
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"ACTBENCH_DATA": str(data_folder)},
        preexec_fn=None if os.getuid() else without_roots_right_to_write,
    )


def test_a_read_only_folder_is_named(reachable: Path, data_folder: Path) -> None:
    (reachable / "results" / "faults").chmod(0o555)
    process = started(reachable, data_folder)
    _, said = process.communicate(timeout=120)
    (reachable / "results" / "faults").chmod(0o755)
    check_refused(
        Done(process.returncode, "", said), "can't write results/faults", "Permission denied", "allow writing there"
    )


def test_a_permission_that_is_lost_midway_is_named(reachable: Path, data_folder: Path) -> None:
    process, runs = started(reachable, data_folder), reachable / "results" / "faults" / "runs"
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in runs.glob("*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.01)
    for run in runs.iterdir():
        (run / "metrics.jsonl").chmod(0o444)
        run.chmod(0o555)
    _, said = process.communicate(timeout=120)
    for run in runs.iterdir():
        run.chmod(0o755)
    check_refused(Done(process.returncode, "", said), "can't write results/faults/runs/", "Permission denied")


@pytest.mark.parametrize(
    "content", [b"", b'{"schema": 1, "outcome": "ok", "sp', bytes(500)], ids=["empty", "cut", "zeros"]
)
def test_a_result_that_is_damaged_is_named_and_computed_again(actbench: Run, tmp_path: Path, content: bytes) -> None:
    train(actbench)
    before = results(tmp_path)
    damaged = next(iter(before))
    (tmp_path / "results" / "faults" / "runs" / damaged / "result.json").write_bytes(content)
    told = actbench("compare", "results").stdout
    assert f"faults/runs/{damaged}: skipped" in " ".join(told.split())
    assert "3 finished earlier" in train(actbench).stderr
    after = results(tmp_path)
    assert json.loads(after.pop(damaged)[1])["outcome"] == "ok"
    assert after == {name: found for name, found in before.items() if name != damaged}


def test_foreign_files_and_torn_lines_do_not_hold_a_study_up(actbench: Run, tmp_path: Path) -> None:
    train(actbench, "seeds=1")
    runs = tmp_path / "results" / "faults" / "runs"
    (runs / "notes.txt").write_text("mine")
    (runs / "backup").mkdir()
    (runs / "backup" / "result.json").write_text("{}")
    (runs / "nowhere").symlink_to(tmp_path / "absent")
    with next(runs.glob("relu*/metrics.jsonl")).open("a") as curve:
        curve.write('{"epoch": 2, "tra')
    assert train(actbench).returncode == 0
    assert actbench("status").returncode == 0
    assert actbench("compare", "results").returncode == 0
    assert (runs / "notes.txt").read_text() == "mine"
    assert (runs / "backup" / "result.json").read_text() == "{}"


def test_a_run_of_a_newer_actbench_is_not_touched(actbench: Run, tmp_path: Path) -> None:
    train(actbench)
    path = next(tmp_path.glob("results/faults/runs/*/result.json"))
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99', 1))
    before = results(tmp_path)
    check_refused(train(actbench, "seeds=3"), path.parent.name, "newer actbench", "upgrade")
    assert results(tmp_path) == before


def test_a_corrupt_dataset_is_named_before_anything_is_trained(actbench: Run, tmp_path: Path) -> None:
    (tmp_path / "idx").mkdir()
    for name in FILES:
        (tmp_path / "idx" / name).write_bytes(b"\0\0\x08\x01\0\0\0\x05abc")
    done = train(actbench, "dataset={name: idx, root: idx}")
    check_refused(done, "train-images-idx3-ubyte", "damaged")
    assert not results(tmp_path)


def test_a_corrupt_cache_is_named_and_replaced(actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = program("run", "study.yaml", "--engine", "inline", "seeds=1")
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    before = results(tmp_path)
    (array,) = tmp_path.glob("data/actbench-cache/*/train_images.npy")
    array.write_bytes(array.read_bytes()[:-100])
    again = subprocess.run([*command, "--force"], check=False, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"{array.parent} is damaged" in again.stderr
    finals = [
        {name: json.loads(text)["health"] for name, (_, text) in found.items()} for found in (before, results(tmp_path))
    ]
    assert finals[0] == finals[1]


def test_without_room_for_the_cache_the_study_is_trained_and_a_warning_says_so(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = subprocess.run(
        program("run", "study.yaml", "--engine", "inline"),
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=limited(resource.RLIMIT_FSIZE, 50_000),  # the decoded images take 115,000
    )
    assert done.returncode == 0, done.stderr
    assert "could not be cached" in done.stderr
    assert len(results(tmp_path)) == 4
    assert not list(tmp_path.rglob("*.npy")), "no half of an entry is left"


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
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("how", ["broken", "wrong"])
def test_a_download_that_fails_is_told_and_nothing_is_trained_on_it(
    how: str, actbench: Run, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [f"{server}/{how}/"])
    monkeypatch.setenv("ACTBENCH_DATA", str(tmp_path / "data"))
    for _ in range(2):  # what the first has left behind is not taken for the dataset by the second
        done = train(actbench, "dataset=mnist")
        check_refused(done, "could not be downloaded", str(tmp_path / "data"), "mnist-5k")
    assert not results(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the address space has no limit")
def test_a_run_that_does_not_fit_the_memory_fails_alone(actbench: Run, tmp_path: Path) -> None:
    models = "sweep.model=[{name: mlp, hidden: [60000, 60000]}, {name: mlp, hidden: [8]}]"
    done = subprocess.run(
        program("run", "study.yaml", "-j", "1", "--cohort-size", "1", "seeds=1", models),
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=limited(resource.RLIMIT_AS, 8 * 2**30),  # the weights of the large one take 14 GB
    )
    check_refused(done, "failed:", "out of memory: try fewer --jobs", code=1)
    assert len(results(tmp_path)) == 2
    assert len(list(tmp_path.glob("results/faults/runs/*/error.txt"))) == 2


def test_an_activation_of_the_wrong_shape_is_refused_before_anything_is_trained(actbench: Run, tmp_path: Path) -> None:
    done = train(actbench, "sweep.activation=[relu, {name: mine, path: 'faulty_parts:wrong_shape'}]")
    check_refused(done, "faulty_parts:wrong_shape", "keeps shape and type")
    assert not results(tmp_path)


@pytest.mark.parametrize("attribute", ["faulty_parts:leaves", "broken_activation:raises_when_training"])
def test_an_activation_that_fails_in_training_fails_alone(actbench: Run, tmp_path: Path, attribute: str) -> None:
    wanted = f"sweep.activation=[{{name: mine, path: '{attribute}'}}, relu, tanh]"
    check_refused(train(actbench, wanted), "failed:", "failed runs say why in", code=1)
    assert len(results(tmp_path)) == 4
    assert len(list(tmp_path.glob("results/faults/runs/mine-*/error.txt"))) == 2


def test_fail_fast_stops_and_keeps_what_is_finished(actbench: Run, tmp_path: Path) -> None:
    wanted = "sweep.activation=[{name: mine, path: 'faulty_parts:leaves'}, relu]"
    assert train(actbench, "sweep.activation=[relu]", "seeds=1").returncode == 0
    before = results(tmp_path)
    check_refused(train(actbench, wanted, "--fail-fast"), "failed:", code=1)
    assert results(tmp_path) == before
    assert train(actbench, wanted).returncode == 1
    assert len(results(tmp_path)) == 2


def test_a_loss_that_is_no_number_is_a_result_and_data_that_are_none_are_refused(actbench: Run, tmp_path: Path) -> None:
    done = train(actbench, "sweep.activation=[{name: mine, path: 'faulty_parts:not_a_number'}, relu]", "seeds=1")
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(text)["outcome"] for _, text in results(tmp_path).values()) == ["diverged", "ok"]
    check_refused(
        train(actbench, "dataset={name: mine, path: 'faulty_parts:data'}"), "train_images are float64", "expected uint8"
    )


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [("compare", "results", "-o", "/dev/full"), ("compare", "results"), ("status",)])
def test_an_output_that_can_t_be_written_is_an_error(actbench: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    train(actbench, "seeds=1")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program(*arguments), check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    check_refused(done, "can't write", "make room")
    assert "Exception ignored" not in done.stderr
    assert Path("/dev/full").is_char_device(), "a device is written to, not replaced"
