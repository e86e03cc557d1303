"""Folders of one study become one, run by run: the furthest try counts as a whole, and nothing else comes along."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from factories import record, save
from left_locks import DEAD, leave

from actbench.errors import ResultsError, UsageError
from actbench.schema.record import SCHEMA
from actbench.schema.spec import RunSpec
from actbench.storage.locks import Locks
from actbench.storage.merging import MergedStudy, merge_studies
from actbench.storage.packing import pack_study
from actbench.storage.reading import read_results
from actbench.storage.store import Store

CONFIG = "study: demo\nactivation: relu\nseeds: 4\n"
SPEC = RunSpec(seed=0)


def merged(paths: Sequence[Path], results: Path) -> MergedStudy:
    (found,) = merge_studies(paths, results)
    return found


def files(results: Path) -> dict[str, bytes]:
    return {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.is_file()}


def run_of(results: Path, spec: RunSpec = SPEC) -> Path:
    return Store(results, "demo").run_folder(spec)


def begun(root: Path) -> None:
    store = Store(root, "demo")
    store.create(CONFIG)
    store.begin(SPEC)
    store.append(SPEC, {"epoch": 0, "val.accuracy": 0.1})


def failed(root: Path) -> None:
    save(root, [record(outcome="failed")], text=CONFIG)


def finished(root: Path) -> None:
    save(root, [record(0.95)], text=CONFIG)


def finished_without_epochs(root: Path) -> None:
    finished(root)
    (run_of(root) / "metrics.jsonl").unlink()


WORTH: dict[str, Callable[[Path], None]] = {
    "0-begun": begun,
    "1-failed": failed,
    "2-finished-without-epochs": finished_without_epochs,
    "3-finished": finished,
}


@pytest.mark.parametrize("order", list(permutations(WORTH)), ids=lambda order: " ".join(name[0] for name in order))
def test_the_furthest_of_four_counts_whatever_their_order(tmp_path: Path, order: Sequence[str]) -> None:
    for name, make in WORTH.items():
        make(tmp_path / name)
    merged([tmp_path / name for name in order], tmp_path / "all")
    assert files(tmp_path / "all") == files(tmp_path / "3-finished")


@pytest.mark.parametrize("pair", list(permutations(WORTH, 2)), ids=" ".join)
def test_of_two_the_further_one_counts_as_a_whole_also_one_by_one(tmp_path: Path, pair: Sequence[str]) -> None:
    """No file of the one among those of the other: an error beside a result, or the epochs of another try."""
    for name in pair:
        WORTH[name](tmp_path / name)
        merged([tmp_path / name], tmp_path / "all")
    assert files(tmp_path / "all") == files(tmp_path / max(pair))


def test_parts_of_a_study_become_the_whole(tmp_path: Path) -> None:
    records = [record(0.9 + seed / 100, seed=seed) for seed in range(4)]
    save(tmp_path / "whole", records, text=CONFIG)
    for number, part in enumerate([records[:1], records[1:3], records[3:]]):
        save(tmp_path / str(number), part, text=CONFIG)
    done = merged([tmp_path / "0", tmp_path / "1" / "demo", tmp_path / "2"], tmp_path / "all")
    assert (done.sources, done.copied, done.finished, done.repeated, done.warnings) == (3, 4, 4, 0, [])
    assert files(tmp_path / "all") == files(tmp_path / "whole")
    again = merged([tmp_path / "1", tmp_path / "all"], tmp_path / "all")
    assert (again.sources, again.copied, again.finished, again.repeated, again.differing) == (1, 0, 4, 2, 0)
    assert files(tmp_path / "all") == files(tmp_path / "whole")


def test_of_equals_the_first_counts_and_what_is_there_before_all(tmp_path: Path) -> None:
    for name, accuracy in (("a", 0.91), ("b", 0.92), ("there", 0.93)):
        save(tmp_path / name, [record(accuracy)], text=CONFIG)
    done = merged([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert (done.repeated, done.differing) == (1, 1)
    assert read_results(tmp_path / "all")[0].final["test.accuracy"] == 0.91
    done = merged([tmp_path / "a", tmp_path / "b"], tmp_path / "there")
    assert (done.repeated, done.differing, done.copied) == (2, 2, 0)
    assert read_results(tmp_path / "there")[0].final["test.accuracy"] == 0.93


def test_the_time_that_a_run_took_makes_no_difference(tmp_path: Path) -> None:
    save(tmp_path / "a", [record()], text=CONFIG)
    slower = record()
    save(tmp_path / "b", [replace(slower, final={**slower.final, "seconds": 99.0})], text=CONFIG)
    assert merged([tmp_path / "a", tmp_path / "b"], tmp_path / "all").differing == 0


def test_a_run_that_another_sweep_named_otherwise_is_the_same_run(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    begun(tmp_path / "b")
    other = run_of(tmp_path / "b").rename(run_of(tmp_path / "b").with_name(f"relu-lr-0.1-seed-0-{SPEC.digest[:8]}"))
    merged([tmp_path / "b", tmp_path / "a"], tmp_path / "all")
    (only,) = (tmp_path / "all" / "demo" / "runs").iterdir()
    assert only.name == other.name
    assert (only / "result.json").read_bytes() == (run_of(tmp_path / "a") / "result.json").read_bytes()


def test_locks_heartbeats_half_written_and_foreign_files_stay_behind(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    study, run = tmp_path / "a" / "demo", run_of(tmp_path / "a")
    expected = files(tmp_path / "a")
    leave(run, DEAD)
    leave(study, DEAD, name="heartbeat-0000000000000000")
    (run / ".result.json.0123456789abcdef").write_text("{")
    (run / "notes.txt").write_text("mine")
    (study / "runs" / "foreign").mkdir()
    (study / "runs" / "foreign" / "file").write_text("x")
    assert merged([tmp_path / "a"], tmp_path / "all").warnings == []
    assert files(tmp_path / "all") == expected


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_run_that_a_process_computes_is_left_to_it(tmp_path: Path, side: str) -> None:
    begun(tmp_path / "at-work")
    finished(tmp_path / "other")
    before = files(run_of(tmp_path / "at-work"))
    with Locks(tmp_path / "at-work" / "demo") as locks:
        assert locks.take(run_of(tmp_path / "at-work")).succeeded
        if side == "source":
            done = merged([tmp_path / "at-work"], tmp_path / "all")
            assert (done.copied, len(done.warnings)) == (0, 1)
        else:
            done = merged([tmp_path / "other"], tmp_path / "at-work")
            assert done.copied == 0
            assert {**files(run_of(tmp_path / "at-work")), "claim.json": b""} == {**before, "claim.json": b""}
        assert "is computing it" in done.warnings[0]


def test_kept_weights_and_packed_studies_come_along(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    Store(tmp_path / "a", "demo").keep_weights(SPEC, 1, b"weights")
    packed = pack_study(tmp_path / "a" / "demo", tmp_path / "handed-in.zip", weights=True).file
    without = pack_study(tmp_path / "a" / "demo", tmp_path / "small.tar.xz", curves=False).file
    merged([without, packed], tmp_path / "all")
    assert files(tmp_path / "all") == files(tmp_path / "a")
    with pytest.raises(UsageError, match="can only be read"):
        merge_studies([tmp_path / "a"], packed)


def test_the_config_of_the_most_runs_is_kept_and_others_are_named(tmp_path: Path) -> None:
    longer, other = CONFIG.replace("4", "8"), CONFIG.replace("relu", "tanh")
    for name, text in (("short", CONFIG), ("long", longer), ("other", other)):
        save(tmp_path / name, [record()], text=text)
    done = merged([tmp_path / "short", tmp_path / "long"], tmp_path / "all")
    assert (done.warnings, (tmp_path / "all/demo/study.yaml").read_text()) == ([], longer)
    done = merged([tmp_path / "short"], tmp_path / "all")
    assert (done.warnings, (tmp_path / "all/demo/study.yaml").read_text()) == ([], longer)
    (warning,) = merged([tmp_path / "other"], tmp_path / "all").warnings
    assert warning.startswith("the configs differ: kept that of")
    assert str(tmp_path / "other") in warning
    assert (tmp_path / "all/demo/study.yaml").read_text() == longer


def test_a_run_that_cant_be_read_is_named_and_the_others_are_merged(tmp_path: Path) -> None:
    save(tmp_path / "a", [record(), record(seed=1)], text=CONFIG)
    (run_of(tmp_path / "a") / "spec.json").write_text("{")
    done = merged([tmp_path / "a"], tmp_path / "all")
    assert done.copied == 1
    (warning,) = done.warnings
    assert str(run_of(tmp_path / "a")) in warning


def test_a_torn_result_is_no_result(tmp_path: Path) -> None:
    for name in ("a", "b"):
        finished(tmp_path / name)
    (run_of(tmp_path / "a") / "result.json").write_text('{"schema": 1, "outco')
    merged([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert files(tmp_path / "all") == files(tmp_path / "b")


def test_what_a_newer_version_wrote_is_refused(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    path = run_of(tmp_path / "a") / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": SCHEMA + 1}))
    with pytest.raises(ResultsError, match="newer actbench"):
        merge_studies([tmp_path / "a"], tmp_path / "all")


def test_a_path_without_a_study_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(ResultsError, match=r"no study in|does not exist"):
            merge_studies([tmp_path / "a", nothing], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_study_without_runs_brings_its_config(tmp_path: Path) -> None:
    """The folder of an empty shard."""
    Store(tmp_path / "a", "demo").create(CONFIG)
    assert merged([tmp_path / "a"], tmp_path / "all").copied == 0
    assert (tmp_path / "all/demo/study.yaml").read_text() == CONFIG


def test_several_studies_are_merged_each_into_its_own(tmp_path: Path) -> None:
    for name, study in (("a", "one"), ("b", "two"), ("b", "one")):
        save(tmp_path / name, [record(study=study, seed=ord(name))], text=f"study: {study}\n")
    done = merge_studies([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert {one.study: one.finished for one in done} == {"one": 2, "two": 1}
