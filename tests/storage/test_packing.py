"""A packed study reads as the folder does; what is no packed study is refused, and nothing is ever written into one."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Run, in_this_process
from factories import cells, record, save
from left_locks import DEAD, leave

from actbench.config import Study
from actbench.errors import ResultsError, UsageError
from actbench.execution.runner import Runner
from actbench.schema.runtime import Runtime
from actbench.schema.spec import RunSpec
from actbench.storage.packing import pack_study
from actbench.storage.reading import find_run, read_results
from actbench.storage.status import study_statuses
from actbench.storage.store import Store, weight_files
from actbench.system.files import open_file, read_file
from actbench.system.packed import MAX_RATIO, PackedError, kind, listing, packed_part

CONFIG = "study: demo\nseeds: 4\nsweep: {activation: [relu, elu]}\ncompare: {baseline: {activation: relu}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a study of good, diverged, failed and unfinished runs below results/."""
    monkeypatch.chdir(tmp_path)
    records = cells({"relu": [0.90, 0.91, 0.92, 0.94], "elu": [0.91, 0.93, 0.925]})
    records.append(record(None, outcome="diverged", activation="elu", seed=3))
    records.append(record(None, outcome="failed", activation="tanh", seed=0))
    save(Path("results"), records, text=CONFIG)
    Store(Path("results"), "demo").begin(RunSpec(activation="tanh", seed=1))
    return tmp_path


@pytest.fixture
def actbench(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return in_this_process(monkeypatch, capfd)


STUDY = Path("results/demo")


def test_reading_gives_the_same_records_warnings_and_settings(folder: Path) -> None:
    packed = pack_study(STUDY)
    assert (packed.file, packed.runs, packed.unfinished) == (Path("demo.zip"), 10, 1)
    assert packed.size == Path("demo.zip").stat().st_size
    for curves in (False, True):
        one, other = read_results(STUDY, curves=curves), read_results("demo.zip", curves=curves)
        assert one == other
        assert [run.run_id for run in one] == [run.run_id for run in other]
        assert [path.name for path in one.unfinished] == [path.name for path in other.unfinished]
    for text in ("relu-bias-0.0-seed-0", "elu-bias-0.0-seed-3"):
        assert find_run("demo.zip", text) == find_run("results", text)


READING = (
    ("compare", "--json"),
    ("compare", "--json", "--all-pairs", "--reach", "50%"),
    ("compare", "--format", "csv"),
    ("compare", "--format", "table"),
    ("runs",),
    ("runs", "--json"),
    ("runs", "--csv"),
)


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_command_prints_the_same_bytes_of_either(actbench: Run, words: tuple[str, ...]) -> None:
    pack_study(STUDY)
    command, *options = words
    of_folder, of_file = actbench(command, "results/demo", *options), actbench(command, "demo.zip", *options)
    assert (of_folder.returncode, of_file.returncode) == (0, 0), of_file.stderr
    assert len(of_folder.stdout) > 200
    assert of_file.stdout == of_folder.stdout.replace("results/demo", "demo.zip")
    if "--json" in words:
        assert of_file.stdout == of_folder.stdout


def test_show_diff_plot_report_and_status_take_it(actbench: Run) -> None:
    pack_study(STUDY)
    for words in (
        ("show", "relu-bias-0.0-seed-0", "--results"),
        ("show", "tanh-bias-0.0-seed-0", "--results"),
        ("diff", "relu-bias-0.0-seed-0", "elu-bias-0.0-seed-0", "--results"),
    ):
        of_folder, of_file = actbench(*words, "results"), actbench(*words, "demo.zip")
        assert (of_file.returncode, of_file.stdout.replace("demo.zip", "results")) == (0, of_folder.stdout)
    for number, path in enumerate(("results/demo", "demo.zip")):
        assert actbench("plot", path, "-o", f"{number}.svg", "--chart", "differences").returncode == 0
        assert actbench("report", path, "-o", f"{number}.html").returncode == 0
    assert Path("0.svg").read_bytes() == Path("1.svg").read_bytes()
    assert Path("0.html").read_text().count("<tr") == Path("1.html").read_text().count("<tr")
    done = actbench("status", "demo.zip")
    assert done.returncode == 0
    assert "unpack it to train more" in done.stdout
    (of_file,), (of_folder,) = study_statuses(Path("demo.zip")), study_statuses(STUDY)
    assert (of_file.done, len(of_file.failed), of_file.to_do) == (
        of_folder.done,
        len(of_folder.failed),
        of_folder.to_do,
    )


def test_show_takes_the_file_itself(actbench: Run) -> None:
    pack_study(STUDY)
    of_file, of_folder = actbench("show", "demo.zip"), actbench("show", "demo")
    assert of_file.returncode == 0
    assert of_file.stdout.startswith("demo\n")
    assert "seeds: 4" in of_file.stdout
    assert of_file.stdout.count("\n") == of_folder.stdout.count("\n")
    inside = f"demo.zip/demo/runs/{RunSpec().run_id}"
    assert actbench("show", inside).stdout == actbench("show", f"results/demo/runs/{RunSpec().run_id}").stdout


def test_a_gate_on_unfinished_runs_is_decided_as_for_the_folder(actbench: Run) -> None:
    pack_study(STUDY)
    found = [actbench("compare", path, "--fail-if", "unfinished > 0") for path in ("results/demo", "demo.zip")]
    assert [done.returncode for done in found] == [1, 1]
    assert found[0].stderr.replace("results/demo", "demo.zip") == found[1].stderr


def test_a_run_within_it_can_be_named_by_its_path(folder: Path) -> None:
    pack_study(STUDY)
    (run,) = [one for one in read_results(STUDY) if one.spec.activation.name == "relu" and one.spec.seed == 2]
    inside = Path("demo.zip/demo/runs") / run.run_id
    assert find_run("elsewhere", str(inside)).spec == run.spec
    assert [one.spec for one in read_results(inside)] == [run.spec]
    assert len(read_results(Path("demo.zip/demo"))) == 9


def test_locks_checkpoints_and_foreign_files_stay_out(folder: Path) -> None:
    unfinished = Store(Path("results"), "demo").run_folder(RunSpec(activation="tanh", seed=1))
    leave(unfinished, DEAD)
    (STUDY / "checkpoints").mkdir()
    (STUDY / "checkpoints/x.pt").write_bytes(b"state")
    (STUDY / "report.html").write_text("page")
    (unfinished / "notes.txt").write_text("mine")
    (unfinished / "weights-3.safetensors").write_bytes(b"numbers")
    pack_study(STUDY)
    names = zipfile.ZipFile("demo.zip").namelist()
    assert {name.rpartition("/")[2] for name in names} == {
        *("study.yaml", "spec.json", "result.json", "metrics.jsonl", "error.txt"),
    }
    assert names == sorted(names, key=lambda name: (name.count("/") > 1, name))
    pack_study(STUDY, Path("heavy.zip"), weights=True)
    assert {*zipfile.ZipFile("heavy.zip").namelist()} - {*names} == {
        f"demo/runs/{unfinished.name}/weights-3.safetensors"
    }
    inside = Path("heavy.zip/demo/runs") / unfinished.name
    assert list(weight_files(inside)) == [3]
    assert read_file(inside / "weights-3.safetensors") == b"numbers"


def test_the_same_study_packs_to_the_same_bytes(folder: Path) -> None:
    pack_study(STUDY, Path("a.zip"))
    shutil.copytree("results", "copied")
    for path in Path("copied").rglob("*"):
        os.utime(path, (1e9, 1e9))
    pack_study(Path("copied/demo"), Path("b.zip"))
    assert Path("a.zip").read_bytes() == Path("b.zip").read_bytes()
    entries = zipfile.ZipFile("a.zip").infolist()
    assert {(one.date_time, one.external_attr >> 16) for one in entries} == {((1980, 1, 1, 0, 0, 0), 0o100644)}


def test_other_programs_unpack_it_to_the_same_study(folder: Path) -> None:
    pack_study(STUDY)
    subprocess.run([sys.executable, "-m", "zipfile", "-e", "demo.zip", "unpacked"], check=True)
    assert read_results("unpacked", curves=True) == read_results(STUDY, curves=True)


def test_a_file_that_another_program_packed_is_read_too(folder: Path) -> None:
    """With folders as entries, and files of the system's beside the study."""
    shutil.make_archive("by-hand", "zip", "results")
    assert read_results("by-hand.zip") == read_results("results")


def test_it_is_opened_anew_when_it_changes(folder: Path) -> None:
    pack_study(STUDY)
    before = len(read_results("demo.zip"))
    save(Path("results"), [record(0.9, activation="selu")], text=CONFIG)
    pack_study(STUDY)
    assert len(read_results("demo.zip")) == before + 1


def test_nothing_is_trained_into_it(actbench: Run) -> None:
    pack_study(STUDY)
    whole = Path("demo.zip").read_bytes()
    Path("study.yaml").write_text(CONFIG)
    for command in (("run", "study.yaml", "-o", "demo.zip"), ("plan", "study.yaml", "-o", "demo.zip")):
        done = actbench(*command)
        assert done.returncode == 2
        assert "demo.zip is a packed study, which can only be read: unpack it" in done.stderr
    with pytest.raises(UsageError, match="can only be read"):
        Runner(Study.from_text("study: demo.zip\n"), Path(), Runtime(device="cpu"))
    assert Path("demo.zip").read_bytes() == whole


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("results", "results holds studies; name the one to pack: results/demo"),
        ("nowhere", "no results at nowhere: it does not exist"),
        ("empty", "no runs in empty"),
        ("demo.zip", "demo.zip is packed already"),
    ],
)
def test_what_is_no_study_is_not_packed(actbench: Run, path: str, told: str) -> None:
    pack_study(STUDY)
    Path("empty").mkdir()
    done = actbench("pack", path, "-o", "out.zip")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert not Path("out.zip").exists()


def test_the_command_says_what_it_wrote(actbench: Run) -> None:
    done = actbench("pack", "demo", "-o", "mail me.zip")
    assert done.returncode == 0
    assert done.stdout.startswith("mail me.zip: 10 runs, 0.0")
    assert done.stderr == "warning: 1 of them have not finished: their curves so far are in the file\n"


def written(path: Path, entries: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda _: None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            change(entry)
            archive.writestr(entry, content)
    return path


def _link(entry: zipfile.ZipInfo) -> None:
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


GOOD = {"demo/study.yaml": b"study: demo\n", "demo/runs/x/spec.json": b"{}"}


def hostile(folder: Path) -> Iterator[tuple[str, Path]]:
    """What is wrong -> a file."""
    yield "leads out of it", written(folder / "slip.zip", {**GOOD, "../../evil.txt": b""})
    yield "leads out of it", written(folder / "absolute.zip", {**GOOD, "/etc/passwd": b""})
    yield "leads out of it", written(folder / "drive.zip", {**GOOD, "C:/x": b""})
    yield "is a link", written(folder / "link.zip", {**GOOD, "demo/runs/x/result.json": b"/etc/passwd"}, _link)
    yield (
        f"more than {MAX_RATIO} times its size",
        written(folder / "bomb.zip", {**GOOD, "demo/runs/x/result.json": b"\0" * 100_000_000}),
    )
    yield "no study was packed into it", written(folder / "photos.zip", {"photos/1.jpg": b"x", "notes.txt": b"y"})
    yield "no study was packed into it", written(folder / "nothing.zip", {})
    encrypted = written(folder / "secret.zip", GOOD)
    content = bytearray(encrypted.read_bytes())
    for place in _places(content, b"PK\x01\x02"):
        content[place + 8] |= 1
    encrypted.write_bytes(content)
    yield "it is encrypted", encrypted
    whole = written(folder / "whole.zip", GOOD).read_bytes()
    (folder / "half.zip").write_bytes(whole[: len(whole) // 2])
    yield "it is no zip file", folder / "half.zip"
    (folder / "text.zip").write_text("not a zip")
    yield "it is no zip file", folder / "text.zip"


def _places(content: bytearray, mark: bytes) -> Iterator[int]:
    place = content.find(mark)
    while place >= 0:
        yield place
        place = content.find(mark, place + 1)


def test_what_may_do_harm_or_is_no_study_is_refused_by_one_error(folder: Path) -> None:
    for told, path in hostile(folder):
        with pytest.raises(ResultsError) as refused:
            read_results(path)
        assert str(refused.value).startswith(f"no results at {path}: neither a folder nor a packed study, ")
        assert told in str(refused.value)
        with pytest.raises(PackedError):
            packed_part(path)
    assert not (folder.parent / "evil.txt").exists()


def test_a_name_that_stands_in_it_twice_is_refused(folder: Path) -> None:
    path = written(Path("twice.zip"), {"demo/runs/x/spec.json": b"{}", "demo/runs/y/spec.json": b"{}"})
    path.write_bytes(path.read_bytes().replace(b"runs/y/", b"runs/x/"))
    with pytest.raises(ResultsError, match="a name stands in it twice"):
        read_results("twice.zip")


def test_a_size_that_lies_gives_no_more_than_it_claims(folder: Path) -> None:
    """The directory says 10 bytes, the data unpack to a million: the read ends there and the checksum tells."""
    path = written(Path("lies.zip"), {**GOOD, "demo/runs/x/result.json": b"\0" * 1_000_000})
    content = bytearray(path.read_bytes())
    for place in _places(content, b"PK\x01\x02"):
        content[place + 24 : place + 28] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(PackedError, match="is damaged"):
        read_file(Path("lies.zip/demo/runs/x/result.json"))


def test_a_damaged_entry_is_a_warning_that_names_the_run(folder: Path) -> None:
    pack_study(STUDY)
    with zipfile.ZipFile("demo.zip") as archive:
        entry = next(one for one in archive.infolist() if one.filename.endswith("result.json"))
    content = bytearray(Path("demo.zip").read_bytes())
    content[entry.header_offset + 30 + len(entry.filename) + 20] ^= 0xFF
    Path("demo.zip").write_bytes(content)
    found = read_results("demo.zip")
    assert len(found) == 8
    assert any("skipped" in text and "damaged" in text for text in found.warnings)


def test_a_path_behind_an_ordinary_file_is_refused_as_ever(folder: Path) -> None:
    Path("file").write_text("text")
    with pytest.raises(NotADirectoryError):
        open_file(Path("file/inside"))
    assert kind(Path("file/inside")) is None
    with pytest.raises(NotADirectoryError):
        listing(Path("file"))
    with pytest.raises(FileNotFoundError):
        open_file(Path("nowhere/inside"))
