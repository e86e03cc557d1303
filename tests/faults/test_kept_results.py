"""A result counts when it is in the results folder: what is moved, removed or taken over meanwhile is not called ok."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Run
from faulty_studies import STUDY, check_refused, command_in, results, train

import actbench as package
from actbench.config import Study
from actbench.errors import LostResultsError

TAMPERING = '''\
"""tanh; while a run trains of which this process sees a lock, and so many have a result, it changes the results."""
import json
import os
import shutil
import signal
from pathlib import Path

import torch

RESULTS = Path("results")
STUDY = RESULTS / "faults"
RUNS = STUDY / "runs"


def earlier_removed():
    next(RUNS.glob("r-*seed-0-*/result.json")).unlink()


def stored():
    return sorted(RUNS.glob("*/result.json"))


def in_training():
    return next(RUNS.glob("*/claim.json"))


def moved():
    RESULTS.rename("elsewhere")


def removed():
    shutil.rmtree(RESULTS)


def study_removed():
    shutil.rmtree(STUDY)


def runs_removed():
    shutil.rmtree(RUNS)


def replaced():
    RESULTS.rename("elsewhere")
    RUNS.mkdir(parents=True)


def result_removed():
    stored()[0].unlink()


def result_emptied():
    stored()[0].write_text("")


def replaced_by_a_copy():
    shutil.copytree(RESULTS, "elsewhere")
    shutil.rmtree(RESULTS)
    Path("elsewhere").rename(RESULTS)


def lock_removed():
    in_training().unlink()


def run_removed():
    shutil.rmtree(in_training().parent)


def replaced_by_a_file():
    RESULTS.rename("elsewhere")
    RESULTS.write_text("")


def taken_over():
    lock = in_training()
    content = json.loads(lock.read_text())
    content["token"] = "a" * 16
    content["process"] |= {"host": "elsewhere", "pid": 7}
    lock.unlink()
    lock.write_text(json.dumps(content))
    (STUDY / f"heartbeat-{'a' * 16}").touch()


def taken_over_and_stopped():
    taken_over()
    os.kill(os.getpid(), signal.SIGINT)


def taken_over_and_finished():
    folder = in_training().parent
    in_training().unlink()
    shutil.copy(stored()[0], folder)


def is_time():
    if os.environ["FAULT"] == "taken_over_and_stopped":  # once there is something to save
        return any(len(path.read_text().splitlines()) == 2 for path in RUNS.glob("*/metrics.jsonl"))
    return len(stored()) >= 2  # a pool may have stored a third one since the last call


def tanh(z):
    if z.requires_grad and not Path("done").exists() and is_time():
        Path("done").touch()
        globals()[os.environ["FAULT"]]()
    return torch.tanh(z)
'''
"""The third of four runs that train one after the other changes the folder, before its first step; or the first stops
in its second epoch."""

FAULTY = STUDY.replace("[relu, tanh]", "[relu, {name: t, path: 'tampering:tanh'}]").replace(
    "epochs: 1", "epochs: 2, checkpoint_every: 1"
)


@pytest.fixture
def actbench(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    found = command_in(tmp_path, data_folder, monkeypatch, capfd)
    (tmp_path / "study.yaml").write_text(FAULTY.replace("relu", "{name: r, path: 'tampering:tanh'}"))
    (tmp_path / "tampering.py").write_text(TAMPERING)
    return found


def stored(folder: Path) -> int:
    """How many results are in the folder, whole."""
    return sum(bool(content) for _, content in results(folder).values())


@pytest.mark.parametrize(
    ("engine", "fault", "kept"),
    [
        ("inline", "moved", 2),
        ("inline", "removed", 2),
        ("inline", "study_removed", 2),
        ("inline", "runs_removed", 2),
        ("inline", "replaced", 2),
        ("inline", "result_removed", 3),
        ("inline", "result_emptied", 3),
        pytest.param("pool", "replaced", None, marks=pytest.mark.slow),
        pytest.param("pool", "result_removed", 3, marks=pytest.mark.slow),
    ],
)
def test_only_what_is_in_the_folder_counts_and_the_rest_is_named(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, fault: str, kept: int | None
) -> None:
    monkeypatch.setenv("FAULT", fault)
    done = train(actbench, "--engine", engine, "-j", "1") if engine == "pool" else train(actbench)
    if kept is None:  # a worker may have gone on to the fourth run before the third one's result is stored
        kept = stored(tmp_path)
        assert kept in (1, 2)
    assert stored(tmp_path) == kept
    check_refused(done, f"faults: {kept} ok in", "no result there any more", "give the same command again", code=1)
    lost = 4 - kept
    assert f"{lost} run{'s were' if lost > 1 else ' was'} stored in results/faults/runs" in done.stderr
    assert "taken over" not in done.stderr
    assert actbench("compare", "results").returncode == 0, "the config is there again, too"
    again = train(actbench)
    assert again.returncode == 0, again.stderr
    assert f"{lost} ok in" in again.stderr
    assert stored(tmp_path) == 4


@pytest.mark.parametrize("fault", ["lock_removed", "run_removed", "replaced_by_a_copy", "taken_over_and_finished"])
def test_what_is_in_the_folder_at_the_end_is_ok_whatever_became_of_its_lock(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    monkeypatch.setenv("FAULT", fault)
    done = train(actbench)
    assert done.returncode == 0, done.stderr
    assert "4 ok in" in done.stderr
    assert stored(tmp_path) == 4
    assert {path.name for path in tmp_path.glob("results/*/runs/*/*")} == {"spec.json", "metrics.jsonl", "result.json"}
    assert ("were moved or removed while" in caplog.text) == (fault in ("lock_removed", "run_removed"))


def test_what_an_earlier_command_finished_counts_only_while_it_is_there(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", "earlier_removed")
    (tmp_path / "done").touch()
    assert train(actbench, "seeds=1").returncode == 0
    (tmp_path / "done").unlink()
    check_refused(train(actbench), "2 ok in", ", 1 finished earlier", "1 run was stored in", code=1)


def test_a_run_that_another_took_over_is_not_called_ok_and_the_other_is_named(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAULT", "taken_over")
    done = train(actbench)
    assert stored(tmp_path) == 3
    check_refused(
        done, "3 ok in", "1 run was taken over by pid 7 on elsewhere", "actbench status results/faults", code=1
    )
    assert "any more" not in done.stderr
    again = train(actbench)
    assert again.returncode == 0
    assert caplog.messages == ["1 run is being computed by pid 7 on elsewhere"]


def test_a_results_folder_that_is_no_folder_any_more_ends_the_command(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", "replaced_by_a_file")
    check_refused(train(actbench), "can't write results/faults/runs", "Not a directory")
    (tmp_path / "results").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "results")
    assert "2 finished earlier" in train(actbench).stderr
    assert stored(tmp_path) == 4


@pytest.mark.usefixtures("actbench")
def test_the_function_raises_for_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_folder: Path
) -> None:
    monkeypatch.setenv("FAULT", "result_removed")
    study = Study.from_yaml("study.yaml")
    with pytest.raises(LostResultsError, match="1 run was stored in results/faults/runs") as found:
        package.run(study, engine="inline", device="cpu", data_folder=data_folder)
    assert {*found.value.runs, *results(tmp_path)} == {spec.id_with(study.factors) for spec in study.specs()}
    assert stored(tmp_path) == 3


def test_more_seeds_are_not_added_to_a_study_that_loses_results(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", "result_removed")
    done = train(actbench, "--until", "test.accuracy ci < 0.0001pp", "--max-seeds", "4")
    check_refused(done, "1 run was stored", "give the same command again", code=1)
    assert stored(tmp_path) == 3


def test_what_is_counted_as_saved_is_there(actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "taken_over_and_stopped")
    done = train(actbench, "training.checkpoint_every=null")
    assert done.returncode == 130
    assert "stopped: no run finished, 0 saved in training" in done.stderr
    assert len(list(tmp_path.glob("results/*/checkpoints/*.pt"))) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_text(""),
        lambda path: path.write_text("study: fau"),
        lambda path: path.write_bytes(bytes(300)),
        lambda path: path.write_bytes(b"\xff\xfe"),
    ],
    ids=["missing", "empty", "cut", "zeros", "not UTF-8"],
)
def test_a_config_that_is_missing_or_damaged_is_kept_again_though_nothing_is_to_do(
    actbench: Run, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    train(actbench)
    kept = tmp_path / "results" / "faults" / "study.yaml"
    spoil(kept)
    done = train(actbench)
    assert "nothing to do" in done.stderr
    assert kept.read_text() == STUDY


def test_a_config_of_a_larger_study_stays_when_a_smaller_one_has_nothing_to_do(actbench: Run, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    train(actbench)
    kept = tmp_path / "results" / "faults" / "study.yaml"
    before = kept.stat().st_mtime_ns
    assert "nothing to do" in train(actbench, "seeds=1").stderr
    assert (kept.read_text(), kept.stat().st_mtime_ns) == (STUDY, before)


def test_a_config_that_compares_in_another_way_is_kept_though_nothing_is_to_do(actbench: Run, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    train(actbench)
    (tmp_path / "study.yaml").write_text(f"{STUDY}compare: {{baseline: {{activation: tanh}}}}\n")
    assert "nothing to do" in train(actbench).stderr
    assert (tmp_path / "results" / "faults" / "study.yaml").read_text().endswith("activation: tanh}}\n")
