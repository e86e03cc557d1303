"""``compare`` says which shards of a study are missing, and nothing of a study that was trained as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from factories import record, save

from actbench.analysis.compare import compare
from actbench.execution.shards import Shard
from actbench.schema.spec import RunSpec
from actbench.storage.packing import pack_study
from actbench.storage.reading import read_results
from actbench.storage.store import Store

CONFIG = "study: demo\nactivation: relu\nseeds: 6\n"


def train(root: Path, shards: Sequence[str]) -> Path:
    specs = [RunSpec(seed=seed) for seed in range(6)]
    for shard in shards:
        part = Shard.parse(shard).part_of(specs)
        save(root, [record(seed=spec.seed, environment={"shard": shard}) for spec in part], text=CONFIG)
    return root


def warnings(*paths: Path) -> list[str]:
    return [text for text in read_results(*paths).warnings if "planned runs" in text]


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        (["1/3"], "4 of 6 planned runs are not here; no run is of shards 2-3 of 3"),
        (["2/3", "3/3"], "2 of 6 planned runs are not here; no run is of shard 1 of 3"),
        (["2/6", "5/6"], "4 of 6 planned runs are not here; no run is of shards 1, 3-4, 6 of 6"),
        (["2/30"], "5 of 6 planned runs are not here; no run is of shards 1, 3-6 of 30"),
        (["1/2", "1/3"], "2 of 6 planned runs are not here; those here are of several splits: 1/2, 1/3"),
    ],
)
def test_missing_shards_are_named(tmp_path: Path, shards: list[str], said: str) -> None:
    assert warnings(train(tmp_path, shards)) == [f"demo: {said}"]


def test_nothing_is_said_of_a_whole_study_or_of_one_without_shards(tmp_path: Path) -> None:
    assert warnings(train(tmp_path / "whole", ["1/2", "2/2"])) == []
    save(tmp_path / "part", [record(seed=seed) for seed in range(3)], text=CONFIG)
    assert warnings(tmp_path / "part") == []


def test_folders_and_packed_studies_are_counted_together(tmp_path: Path) -> None:
    parts = [train(tmp_path / name, [f"{name}/3"]) for name in "123"]
    packed = pack_study(parts[1] / "demo", tmp_path / "two.zip").file
    assert warnings(parts[0], packed) == ["demo: 2 of 6 planned runs are not here; no run is of shard 3 of 3"]
    assert warnings(parts[0], packed, parts[2]) == []


def test_begun_runs_are_counted_as_unfinished_alone(tmp_path: Path) -> None:
    root = train(tmp_path, ["1/3", "2/3"])
    Store(root, "demo").begin(RunSpec(seed=2))
    assert warnings(root) == ["demo: 1 of 6 planned runs is not here; no run is of shard 3 of 3"]
    assert "demo: unfinished runs, left out: 1" in read_results(root).warnings


def test_a_shard_that_is_not_done_is_no_missing_one(tmp_path: Path) -> None:
    root = train(tmp_path, ["1/2", "2/2"])
    for path in Store(root, "demo").run_folder(RunSpec(seed=5)).iterdir():
        path.unlink()
    assert warnings(root) == ["demo: 1 of 6 planned runs is not here; each of the 2 shards has some"]


@pytest.mark.parametrize("shard", ["x", "", "0/0", "9" * 40, None, 5, ["1/2"]])
def test_a_record_that_names_no_shard_says_nothing(tmp_path: Path, shard: object) -> None:
    save(tmp_path, [record(seed=0, environment={"shard": shard})], text=CONFIG)
    assert warnings(tmp_path) == []


def test_a_config_that_cant_be_read_plans_nothing(tmp_path: Path) -> None:
    train(tmp_path, ["1/2"])
    (tmp_path / "demo" / "study.yaml").write_text("study: [")
    assert warnings(tmp_path) == []
    assert any("study.yaml" in text for text in read_results(tmp_path).warnings)


@pytest.mark.parametrize("order", [("failed", "done"), ("done", "failed")])
def test_of_a_run_that_failed_in_one_folder_the_finished_one_counts(tmp_path: Path, order: tuple[str, str]) -> None:
    save(tmp_path / "failed", [record(outcome="failed"), record(0.9, seed=1)], text=CONFIG)
    save(tmp_path / "done", [record(0.8)], text=CONFIG)
    (table,) = compare(read_results(*(tmp_path / name for name in order))).comparisons
    (row,) = table.rows
    assert row.outcomes["ok"] == 2
    assert row.outcomes["failed"] == 0


def test_a_run_that_is_finished_in_another_folder_is_not_unfinished(tmp_path: Path) -> None:
    Store(tmp_path / "begun", "demo").create(CONFIG)
    Store(tmp_path / "begun", "demo").begin(RunSpec(seed=0))
    save(tmp_path / "done", [record(seed=0)], text=CONFIG)
    found = read_results(tmp_path / "begun", tmp_path / "done")
    assert (len(found), found.unfinished, [text for text in found.warnings if "unfinished" in text]) == (1, (), [])
