"""Disks, permissions and files that fail, for real: one message names file and remedy, and nothing finished is lost."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Done, Run
from faulty_studies import STUDY, check_refused, limited, program, results, train
from processes import wait_until

SYSTEM = ctypes.CDLL(None)


@pytest.mark.slow
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
    """A folder with a study that is not over before it is disturbed."""
    folder = Path(tempfile.mkdtemp())
    (folder / "study.yaml").write_text(STUDY.replace("epochs: 1", "epochs: 1000000"))
    (folder / "results" / "faults" / "runs").mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def without_roots_right_to_write() -> None:
    """Root may write everywhere; what this leaves is what a user may do with their own files."""
    drop_from_bounding_set, right_to_pass_over_permissions = 24, 1  # PR_CAPBSET_DROP and CAP_DAC_OVERRIDE of Linux
    if SYSTEM.prctl(drop_from_bounding_set, right_to_pass_over_permissions, 0, 0, 0):
        raise OSError("root's right can't be given up")


@contextmanager
def started(folder: Path, data_folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command as somebody whom the system does not let write everywhere."""
    with subprocess.Popen(
        program("run", "study.yaml", "--engine", "inline", "--products", "default"),
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"ACTBENCH_DATA": str(data_folder)},
        preexec_fn=None if os.getuid() else without_roots_right_to_write,
    ) as process:
        yield process
        process.kill()


def is_training(runs: Path) -> bool:
    """Whether all runs that were begun have a curve."""
    begun = [path for path in runs.iterdir() if (path / "spec.json").exists()]
    return bool(begun) and all((run / "metrics.jsonl").exists() for run in begun)


@pytest.mark.slow
def test_a_read_only_folder_is_named(reachable: Path, data_folder: Path) -> None:
    (reachable / "results" / "faults").chmod(0o555)
    with started(reachable, data_folder) as process:
        _, said = process.communicate()
    (reachable / "results" / "faults").chmod(0o755)
    check_refused(
        Done(process.returncode, "", said), "can't write results/faults", "Permission denied", "allow writing there"
    )


@pytest.mark.slow
def test_a_permission_that_is_lost_midway_is_named(reachable: Path, data_folder: Path) -> None:
    runs = reachable / "results" / "faults" / "runs"
    with started(reachable, data_folder) as process:
        wait_until(lambda: is_training(runs), process)
        for run in runs.iterdir():
            (run / "metrics.jsonl").chmod(0o444)
            run.chmod(0o555)
        _, said = process.communicate()
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


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [("compare", "results", "-o", "/dev/full"), ("compare", "results"), ("status",)])
def test_an_output_that_can_t_be_written_is_an_error(actbench: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    train(actbench, "seeds=1")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program(*arguments), check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    check_refused(done, "can't write", "make room")
    assert "Exception ignored" not in done.stderr
    assert Path("/dev/full").is_char_device(), "a device is written to, not replaced"
