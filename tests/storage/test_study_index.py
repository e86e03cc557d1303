"""With its index a study reads as it does without, whatever becomes of the results and of the index."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from factories import cells, record, save

from actbench import read_results
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunOutline, RunRecord
from actbench.storage import index_file, reading, study_index
from actbench.storage.index_file import INDEX
from actbench.storage.packing import pack_study
from actbench.storage.reading import read_outlines
from actbench.storage.status import study_statuses

RUNS = [
    *cells({"relu": [0.9, 0.91, 0.92], "elu": [0.93, 0.94, 0.95]}),
    record(None, outcome="diverged", seed=7),
    record(0.1, outcome="collapsed", seed=8, environment={"host": "other \udc80 – ä"}),
    record(None, outcome="failed", seed=9),
    record(0.3, seed=2**63 - 1),
    replace(record(0.4, seed=10), final={"test.loss": -0.0, "test.accuracy": None, "parameters": 7, "seconds": 5e-324}),
    replace(record(0.4, seed=11), timing={"cohort_runs": 2**53 + 1, "seconds": 1.0}),
]

WITHOUT_ENTRY = 2
"""Of these, the run that failed, which has no result, and the last, which has a number that no double holds."""


@pytest.fixture(autouse=True)
def _small_and_new_studies_have_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_index, "MIN_RUNS", 2)
    monkeypatch.setattr(study_index, "SETTLED", -1.0)
    monkeypatch.setattr(index_file, "BLOCK", 3)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return save(tmp_path / "results", RUNS) / "demo"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were read from their own files, one after another."""
    found: list[str] = []
    read = reading._read_run

    def noted(folder: str, *rest: Any, **options: Any) -> RunRecord | None:
        found.append(os.path.basename(folder))
        return read(folder, *rest, **options)

    monkeypatch.setattr(reading, "_read_run", noted)
    return found


def whole(records: reading.Records) -> tuple[Any, ...]:
    """All that was read, packed health included."""
    content = [{**asdict(one), "health": dict(one.health), "digest": one.spec.digest} for one in records]
    # As text, since 1 and 1.0 are equal, and so are 0.0 and -0.0.
    return list(map(repr, content)), records.warnings, records.settings, records.folders, records.unfinished


def read_without(study: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    with monkeypatch.context() as changed:
        changed.setattr(study_index, "MIN_RUNS", 10**9)
        return whole(read_results(study))


def outlined(study: Path) -> tuple[Any, ...]:
    """All that a list is made of, as records have it."""
    found = read_outlines(study)
    content = [{**one._asdict(), "spec": one.spec.with_seed(one.seed), "final": dict(one.final)} for one in found.runs]
    return [repr(list(one.values())) for one in content], found.warnings, found.settings, found.unfinished


def as_outlined(records: reading.Records) -> tuple[Any, ...]:
    content = [RunOutline.of(one)._replace(final=dict(one.final)) for one in records]
    return [repr(list(one)) for one in content], records.warnings, records.settings, records.unfinished


def states(study: Path) -> dict[str, Any]:
    (found,) = study_statuses(study)
    return found.to_dict()


def test_the_second_reading_opens_no_result_and_finds_the_same(study: Path, opened: list[str]) -> None:
    first = whole(read_results(study))
    assert len(opened) == len(RUNS)
    del opened[:]
    assert whole(read_results(study)) == first
    assert len(opened) == WITHOUT_ENTRY
    assert len(first[0]) == len(RUNS)
    assert whole(read_results(study.parent)) == first


def test_a_list_is_made_of_what_the_records_have(study: Path, opened: list[str]) -> None:
    expected = as_outlined(read_results(study, curves=True))
    del opened[:]
    assert outlined(study) == expected
    assert len(opened) == len(RUNS), "there was no index"
    assert as_outlined(read_results(study)) == expected
    del opened[:]
    assert outlined(study) == expected
    assert len(opened) == WITHOUT_ENTRY
    for one, record_ in zip(read_outlines(study).runs, read_results(study), strict=True):
        assert (one.digest, one.epochs_trained) == (record_.digest, record_.epochs_trained)
        assert [one.final.get(name) for name in METRICS] == [record_.final.get(name) for name in METRICS]


def test_a_comparison_of_curves_and_a_packed_study_have_no_index(study: Path, tmp_path: Path) -> None:
    packed = pack_study(study, tmp_path / "before.zip").file
    first = whole(read_results(packed))
    read_results(study, curves=True)
    assert not (study / INDEX).exists()
    read_results(study)
    assert (study / INDEX).is_file()
    again = pack_study(study, tmp_path / "after.zip").file
    assert again.read_bytes() == packed.read_bytes(), "it is not packed"
    assert whole(read_results(again))[0] == first[0]


def other_content_of_the_same_size_and_time(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"0.9", b"0.7"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def another_file_of_the_same_size_and_time(path: Path) -> None:
    beside = path.with_name("beside")
    shutil.copy2(path, beside)
    beside.write_bytes(path.read_bytes().replace(b"0.9", b"0.7"))
    shutil.copystat(path, beside)
    beside.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited": lambda path: path.write_text(path.read_text().replace('"ok"', '"collapsed"')),
    "edited, size and time as before": other_content_of_the_same_size_and_time,
    "replaced, size and time as before": another_file_of_the_same_size_and_time,
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "removed": Path.unlink,
    "of a newer actbench": lambda path: path.write_text(path.read_text().replace('"schema": 1', '"schema": 2')),
    "its run renamed": lambda path: path.parent.rename(path.parent.with_name(f"x{path.parent.name}")),
    "its run removed": lambda path: shutil.rmtree(path.parent),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_result_that_has_changed_is_read_anew(study: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    before = whole(read_results(study))
    CHANGES[change](next(study.glob("runs/elu*-seed-0-*/result.json")))
    status = states(study)
    found = whole(read_results(study))
    assert found == read_without(study, monkeypatch)
    assert found != before
    assert outlined(study) == as_outlined(read_results(study))
    (study / INDEX).unlink()
    assert states(study) == status


def test_a_result_without_the_settings_beside_it_is_read_and_packed(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds them too, ``status`` counts it, and ``run`` does not train it again."""
    run = next(study.glob("runs/elu*-seed-0-*"))
    expected, status = whole(read_results(study)), states(study)
    (run / "spec.json").unlink()
    assert whole(read_results(study)) == read_without(study, monkeypatch) == expected
    assert states(study) == status
    assert reading.find_run(study, run.name).spec == next(one.spec for one in RUNS if one.spec.run_id == run.name)
    assert len(read_results(pack_study(study, tmp_path / "packed.zip").file)) == len(RUNS)


def damaged(path: Path) -> list[bytes]:
    """An index that is torn, empty, no index, or has one changed letter, one after another."""
    content = path.read_bytes()
    spots = range(0, len(content), max(1, len(content) // 100))
    flipped = [content[:spot] + bytes([content[spot] ^ 0x21]) + content[spot + 1 :] for spot in spots]
    return [b"", b"no index", content[:100], content[:4096], content[: len(content) // 2], content[:-1], *flipped]


def test_a_damaged_index_changes_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, status, outlines = whole(read_results(study)), states(study), outlined(study)
    monkeypatch.setattr(study_index, "NEW_SHARE", 10.0)  # each is to be met as it is
    for content in damaged(study / INDEX):
        (study / INDEX).write_bytes(content)
        assert whole(read_results(study)) == expected
        assert outlined(study) == outlines
        assert states(study) == status


@pytest.mark.parametrize("table", ["ends", "reports", "health", "texts"])
def test_no_row_counts_by_its_place(study: Path, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    expected, status = whole(read_results(study)), states(study)
    monkeypatch.setattr(study_index, "NEW_SHARE", 10.0)
    with closing(sqlite3.connect(study / INDEX)) as index:
        index.execute(f"DELETE FROM {table} WHERE rowid = 2")
        index.commit()
    assert whole(read_results(study)) == expected
    assert states(study) == status


def test_no_text_stands_in_for_another_that_is_lost(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that are read from their files add their texts to what is there, before others are looked up."""
    expected, outlines = whole(read_results(study)), outlined(study)
    content = (study / INDEX).read_bytes()
    monkeypatch.setattr(study_index, "NEW_SHARE", 10.0)
    found = reading.folders_of_runs
    backwards = lambda *given: {above: names[::-1] for above, names in found(*given).items()}  # noqa: E731
    monkeypatch.setattr(reading, "folders_of_runs", backwards)  # than when they were written
    with closing(sqlite3.connect(study / INDEX)) as index:
        (texts,) = index.execute("SELECT COUNT(*) FROM texts").fetchone()
    for kept in range(texts):
        (study / INDEX).write_bytes(content)
        with closing(sqlite3.connect(study / INDEX)) as index:
            index.execute("DELETE FROM texts WHERE rowid > ?", (kept,))
            index.commit()
        assert whole(read_results(study)) == expected
        assert outlined(study) == outlines


def test_a_text_that_was_there_is_not_written_twice(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def texts() -> list[str]:
        with closing(sqlite3.connect(study / INDEX)) as index:
            return [text for (text,) in index.execute("SELECT text FROM texts")]

    read_results(study)
    before = texts()
    save(study.parent, cells({"relu": [0.9] * 5}))
    monkeypatch.setattr(study_index, "NEW_SHARE", 0.1)
    read_results(study)
    assert texts() == before
    assert len(set(before)) == len(before)


def test_a_damaged_index_is_written_anew(study: Path, opened: list[str]) -> None:
    read_results(study)
    content = (study / INDEX).read_bytes()
    (study / INDEX).write_bytes(content[: len(content) // 2])
    read_results(study)
    del opened[:]
    read_results(study)
    assert len(opened) == WITHOUT_ENTRY


def test_an_index_of_another_version_is_none(study: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    read_results(study)
    monkeypatch.setattr(index_file, "_FORMAT", "3 9.0.0 1")
    read_results(study)
    assert len(opened) == 2 * len(RUNS)
    read_results(study)
    assert len(opened) == 2 * len(RUNS) + WITHOUT_ENTRY


def test_where_it_can_not_be_written_the_study_is_read_without(study: Path, opened: list[str]) -> None:
    (study / INDEX).mkdir()
    first = whole(read_results(study))
    assert whole(read_results(study)) == first
    assert len(opened) == 2 * len(RUNS)
    assert {path.name for path in study.iterdir()} == {"runs", "study.yaml", INDEX}, "nothing half written is left"


def test_the_index_of_another_folder_counts_for_nothing(study: Path, tmp_path: Path, opened: list[str]) -> None:
    expected = whole(read_results(study))
    copied = shutil.copytree(study, tmp_path / "other" / "demo")
    del opened[:]
    found = whole(read_results(copied))
    assert len(opened) == len(RUNS), "a copy is another file, whatever its times"
    assert found[0] == expected[0]
    del opened[:]
    read_results(copied)
    assert len(opened) == WITHOUT_ENTRY


def test_many_readers_at_once_write_one_index(study: Path) -> None:
    expected = whole(read_results(study))
    (study / INDEX).unlink()
    found: list[tuple[Any, ...]] = []
    readers = [threading.Thread(target=lambda: found.append(whole(read_results(study)))) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [expected] * 8
    assert {path.name for path in study.iterdir()} == {"runs", "study.yaml", INDEX}
    assert whole(read_results(study)) == expected


def test_it_is_written_again_when_enough_has_been_added(
    study: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_results(study)
    monkeypatch.setattr(study_index, "NEW_SHARE", 0.2)
    written = (study / INDEX).stat().st_ino
    save(study.parent, cells({"tanh": [0.5]}))
    found = whole(read_results(study))
    assert found == read_without(study, monkeypatch)
    assert (study / INDEX).stat().st_ino == written
    save(study.parent, cells({"tanh": [0.5, 0.6, 0.7]}))
    read_results(study)
    assert (study / INDEX).stat().st_ino != written
    del opened[:]
    assert whole(read_results(study)) == read_without(study, monkeypatch)


def test_a_list_reads_no_health_and_writes_it_again_with_what_was_added(
    study: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_results(study)
    asked = []
    read = index_file.read

    def noted(study: Path, *, health: bool) -> index_file.Content:
        asked.append(health)
        return read(study, health=health)

    monkeypatch.setattr(index_file, "read", noted)
    read_outlines(study)
    assert asked == [False]
    save(study.parent, cells({"tanh": [0.5, 0.6, 0.7]}))
    read_outlines(study)
    assert asked == [False, False, True]
    del opened[:]
    assert whole(read_results(study)) == read_without(study, monkeypatch)
    assert len(opened) == WITHOUT_ENTRY + len(RUNS) + 3, "none of these for the index"


def test_a_list_leaves_an_index_alone_that_another_has_written_meanwhile(study: Path) -> None:
    """Its health may be that of other results than those which the list was made of."""
    read_results(study)
    index = study_index.StudyIndex(study, "demo", len(RUNS), outlines=True)
    save(study.parent, cells({"tanh": [0.5, 0.6, 0.7]}))
    records = read_results(study)
    written = (study / INDEX).stat().st_ino
    for one in records:
        index.note(one.folder, study_index.stamp_of(f"{study}/runs/{one.folder}/result.json"), one)
    index.save()
    assert (study / INDEX).stat().st_ino == written


def test_a_file_that_has_only_just_been_written_has_no_entry(
    study: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_index, "SETTLED", 3600.0)
    read_results(study)
    assert not (study / INDEX).exists()


def test_names_that_are_no_utf8_are_read_without(study: Path) -> None:
    run = next(study.glob("runs/relu*-seed-1-*"))
    os.rename(os.fsencode(run), os.fsencode(run.parent) + b"/\xff-" + os.fsencode(run.name))
    expected = whole(read_results(study))
    assert whole(read_results(study)) == expected
    assert len(expected[0]) == len(RUNS)


def test_its_half_written_file_is_cleared_with_other_leftovers(study: Path) -> None:
    from actbench.storage.leftovers import remove_leftovers

    left = study / f".{INDEX}.0123456789abcdef"
    left.write_bytes(b"half")
    remove_leftovers(study)
    assert not left.exists()
