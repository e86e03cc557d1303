"""A packed study reads as the folder does, nothing is written into one, and a zip file that may harm is refused."""

from __future__ import annotations

import calendar
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Run, in_this_process
from factories import cells, record, save
from left_locks import DEAD, leave

from actbench import run
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
from actbench.system.packed import ENDINGS, kind, listing, packed_part
from actbench.system.packed_reader import PackedError
from actbench.system.packed_zip import MAX_RATIO

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


@pytest.fixture(params=ENDINGS)
def file(request: pytest.FixtureRequest) -> str:
    """The packed study's name, in each format."""
    return f"demo{request.param}"


STUDY = Path("results/demo")


def test_reading_gives_the_same_records_warnings_and_settings(folder: Path, file: str) -> None:
    packed = pack_study(STUDY, Path(file))
    assert (packed.file, packed.runs, packed.unfinished) == (Path(file), 10, 1)
    assert packed.size == Path(file).stat().st_size
    for curves in (False, True):
        one, other = read_results(STUDY, curves=curves), read_results(file, curves=curves)
        assert one == other
        assert [run.run_id for run in one] == [run.run_id for run in other]
        assert [path.name for path in one.unfinished] == [path.name for path in other.unfinished]
    for text in ("relu-bias-0.0-seed-0", "elu-bias-0.0-seed-3"):
        assert find_run(file, text) == find_run("results", text)


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
def test_a_command_prints_the_same_bytes_of_either(actbench: Run, words: tuple[str, ...], file: str) -> None:
    pack_study(STUDY, Path(file))
    command, *options = words
    of_folder, of_file = actbench(command, "results/demo", *options), actbench(command, file, *options)
    assert (of_folder.returncode, of_file.returncode) == (0, 0), of_file.stderr
    assert len(of_folder.stdout) > 200
    assert of_file.stdout == of_folder.stdout.replace("results/demo", file)
    if "--json" in words:
        assert of_file.stdout == of_folder.stdout


def test_show_diff_plot_report_and_status_take_it(actbench: Run, file: str) -> None:
    pack_study(STUDY, Path(file))
    for words in (
        ("show", "relu-bias-0.0-seed-0", "--results"),
        ("show", "tanh-bias-0.0-seed-0", "--results"),
        ("diff", "relu-bias-0.0-seed-0", "elu-bias-0.0-seed-0", "--results"),
    ):
        of_folder, of_file = actbench(*words, "results"), actbench(*words, file)
        assert (of_file.returncode, of_file.stdout.replace(file, "results")) == (0, of_folder.stdout)
    for number, path in enumerate(("results/demo", file)):
        assert actbench("plot", path, "-o", f"{number}.svg", "--chart", "differences").returncode == 0
        assert actbench("report", path, "-o", f"{number}.html").returncode == 0
    assert Path("0.svg").read_bytes() == Path("1.svg").read_bytes()
    assert Path("0.html").read_text().count("<tr") == Path("1.html").read_text().count("<tr")
    done = actbench("status", file)
    assert done.returncode == 0
    assert "unpack it to train more" in done.stdout
    (of_file,), (of_folder,) = study_statuses(Path(file)), study_statuses(STUDY)
    assert (of_file.done, len(of_file.failed), of_file.to_do) == (
        of_folder.done,
        len(of_folder.failed),
        of_folder.to_do,
    )


def test_show_takes_the_file_itself(actbench: Run, file: str) -> None:
    pack_study(STUDY, Path(file))
    of_file, of_folder = actbench("show", file), actbench("show", "demo")
    assert of_file.returncode == 0
    assert of_file.stdout.startswith("demo\n")
    assert "seeds: 4" in of_file.stdout
    assert of_file.stdout.count("\n") == of_folder.stdout.count("\n")
    inside = f"{file}/demo/runs/{RunSpec().run_id}"
    assert actbench("show", inside).stdout == actbench("show", f"results/demo/runs/{RunSpec().run_id}").stdout


def test_a_gate_on_unfinished_runs_is_decided_as_for_the_folder(actbench: Run, file: str) -> None:
    pack_study(STUDY, Path(file))
    found = [actbench("compare", path, "--fail-if", "unfinished > 0") for path in ("results/demo", file)]
    assert [done.returncode for done in found] == [1, 1]
    assert found[0].stderr.replace("results/demo", file) == found[1].stderr


def test_a_run_within_it_can_be_named_by_its_path(folder: Path, file: str) -> None:
    pack_study(STUDY, Path(file))
    (run,) = [one for one in read_results(STUDY) if one.spec.activation.name == "relu" and one.spec.seed == 2]
    inside = Path(file, "demo/runs") / run.run_id
    assert find_run("elsewhere", str(inside)).spec == run.spec
    assert [one.spec for one in read_results(inside)] == [run.spec]
    assert len(read_results(Path(file, "demo"))) == 9


def names_in(path: Path) -> list[str]:
    if zipfile.is_zipfile(path):
        return zipfile.ZipFile(path).namelist()
    with tarfile.open(path) as archive:
        return archive.getnames()


def test_locks_checkpoints_and_foreign_files_stay_out(folder: Path, file: str) -> None:
    unfinished = Store(Path("results"), "demo").run_folder(RunSpec(activation="tanh", seed=1))
    leave(unfinished, DEAD)
    (STUDY / "checkpoints").mkdir()
    (STUDY / "checkpoints/x.pt").write_bytes(b"state")
    (STUDY / "report.html").write_text("page")
    (unfinished / "notes.txt").write_text("mine")
    (unfinished / "weights-3.safetensors").write_bytes(b"numbers")
    pack_study(STUDY, Path(file))
    names = names_in(Path(file))
    assert {name.rpartition("/")[2] for name in names} == {
        *("study.yaml", "spec.json", "result.json", "metrics.jsonl", "error.txt"),
    }
    assert names == sorted(names, key=lambda name: (name.count("/") > 1, name))
    pack_study(STUDY, Path(f"heavy-{file}"), weights=True)
    assert {*names_in(Path(f"heavy-{file}"))} - {*names} == {f"demo/runs/{unfinished.name}/weights-3.safetensors"}
    inside = Path(f"heavy-{file}", "demo/runs") / unfinished.name
    assert list(weight_files(inside)) == [3]
    assert read_file(inside / "weights-3.safetensors") == b"numbers"


def test_the_same_study_packs_to_the_same_bytes(folder: Path, file: str) -> None:
    first, second = Path(f"a-{file}"), Path(f"b-{file}")
    pack_study(STUDY, first)
    shutil.copytree("results", "copied")
    for path in Path("copied").rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700)
    pack_study(Path("copied/demo"), second)
    assert first.read_bytes() == second.read_bytes()


def test_entries_have_a_fixed_time_mode_and_owner(folder: Path) -> None:
    pack_study(STUDY, Path("a.zip"))
    entries = zipfile.ZipFile("a.zip").infolist()
    assert {(one.date_time, one.external_attr >> 16) for one in entries} == {((1980, 1, 1, 0, 0, 0), 0o100644)}
    pack_study(STUDY, Path("a.tar.xz"))
    with tarfile.open("a.tar.xz") as archive:
        found = {(one.mtime, one.mode, one.uid, one.gid, one.uname, one.gname, one.isreg()) for one in archive}
    assert found == {(calendar.timegm((1980, 1, 1, 0, 0, 0)), 0o644, 0, 0, "", "", True)}


def test_other_programs_unpack_it_to_the_same_study(folder: Path, file: str) -> None:
    pack_study(STUDY, Path(file))
    program = "zipfile" if file.endswith("zip") else "tarfile"
    subprocess.run([sys.executable, "-m", program, "-e", file, "unpacked"], check=True)
    assert read_results("unpacked", curves=True) == read_results(STUDY, curves=True)
    assert {path.name: path.read_bytes() for path in Path("unpacked/demo").glob("*") if path.is_file()} == {
        "study.yaml": (STUDY / "study.yaml").read_bytes()
    }


def test_a_file_that_another_program_packed_is_read_too(folder: Path) -> None:
    """With folders as entries, names that begin with ``./``, and files of the system's beside the study."""
    for name, format_ in (("by-hand.zip", "zip"), ("by-hand.tar.xz", "xztar")):
        shutil.make_archive("by-hand", format_, "results")
        assert read_results(name) == read_results("results")
    with tarfile.open("by-hand.tar.xz") as archive:
        assert "./demo/study.yaml" in archive.getnames()


def test_the_kind_is_read_from_the_content_whatever_the_name(folder: Path, file: str) -> None:
    pack_study(STUDY, Path(file))
    os.rename(file, "attachment")
    assert read_results("attachment") == read_results(STUDY)


@pytest.mark.parametrize("name", ["demo", "demo.tgz", "demo.tar", "demo.xz"])
def test_a_name_of_another_kind_of_file_is_refused(actbench: Run, name: str) -> None:
    done = actbench("pack", "demo", "-o", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"can't pack into {name}: a packed study's name ends in .zip or .tar.xz\n")
    assert not Path(name).exists()


def test_runs_that_repeat_each_other_take_less_room_in_one_stream(folder: Path) -> None:
    save(Path("results"), cells({"gelu": [0.9] * 30}), text=CONFIG)
    assert pack_study(STUDY, Path("a.tar.xz")).size < pack_study(STUDY, Path("a.zip")).size / 3


def test_a_study_that_readers_would_refuse_is_not_packed(folder: Path, file: str) -> None:
    """A log of zeros packs to less than a two-hundredth; what fills 64 MB of memory so is taken for harm."""
    (STUDY / "runs" / RunSpec().run_id / "error.txt").write_bytes(b"0" * 70_000_000)
    with pytest.raises(ResultsError, match=f"can't pack {STUDY}: the file would be refused, it would unpack to more"):
        pack_study(STUDY, Path(file))
    assert not list(Path().glob(f"*{file}*"))


def test_it_is_opened_anew_when_it_changes(folder: Path, file: str) -> None:
    pack_study(STUDY, Path(file))
    before = len(read_results(file))
    save(Path("results"), [record(0.9, activation="selu")], text=CONFIG)
    pack_study(STUDY, Path(file))
    assert len(read_results(file)) == before + 1


def test_nothing_is_trained_into_it(actbench: Run, file: str) -> None:
    pack_study(STUDY, Path(file))
    whole = Path(file).read_bytes()
    Path("study.yaml").write_text(CONFIG)
    for command in (("run", "study.yaml", "-o", file), ("plan", "study.yaml", "-o", file)):
        done = actbench(*command)
        assert done.returncode == 2
        assert f"{file} is a packed study, which can only be read: unpack it" in done.stderr
    with pytest.raises(UsageError, match="can only be read"):
        Runner(Study.from_text(f"study: {file}\n"), Path(), Runtime(device="cpu"))
    assert Path(file).read_bytes() == whole


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


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of two trained runs, which have the distributions of their layers."""
    monkeypatch.chdir(tmp_path)
    text = """
        study: demo
        dataset: {name: digits, train_size: 60}
        model: {name: mlp, hidden: [4, 3]}
        training: {epochs: 2, batch_size: 30}
        sweep: {activation: [relu, elu]}
        seeds: 1
    """
    assert all(record.outcome != "failed" for record in run(Study.from_text(text), "results", engine="inline"))
    return STUDY


def test_without_histograms_every_other_byte_stays(trained: Path, file: str) -> None:
    pack_study(trained, Path(file), histograms=False)
    histogram = rb'"[za]_histogram": \{[^{}]*\},'
    in_file = {"metrics.jsonl": (histogram + b" ", 8), "result.json": (rb"\n +" + histogram, 4)}
    for folder in (trained / "runs").iterdir():
        packed = Path(file, "demo/runs", folder.name)
        assert set(listing(packed)) == {"spec.json", *in_file}
        assert read_file(packed / "spec.json") == read_file(folder / "spec.json")
        for name, (pattern, count) in in_file.items():
            assert (read_file(packed / name), count) == re.subn(pattern, b"", read_file(folder / name))


def test_without_histograms_a_torn_line_and_an_older_result_stay_as_they_are(folder: Path, file: str) -> None:
    torn = STUDY / "runs" / RunSpec(activation="tanh", seed=1).run_id / "metrics.jsonl"
    torn.write_bytes(b'{"epoch": 0, "layers": [{"name": "hidden.0", "z_histogram": {"first": 3, "cou')
    pack_study(STUDY, Path(file), histograms=False)
    for path in sorted(STUDY.rglob("*.json*")):
        assert read_file(Path(file, "demo", path.relative_to(STUDY))) == path.read_bytes()


def test_without_histograms_everything_else_is_told_and_drawn(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    actbench = in_this_process(monkeypatch, capfd)
    done = actbench("pack", "demo", "-o", "light.tar.xz", "--no-histograms")
    assert done.returncode == 0
    assert done.stderr == "without the layers' distributions: the chart `histograms` can't be drawn of this file\n"
    of_folder, of_file = (actbench("compare", path, "--json") for path in ("results/demo", "light.tar.xz"))
    assert len(of_folder.stdout) > 200
    assert of_file.stdout == of_folder.stdout
    assert actbench("plot", "demo", "--chart", "histograms", "-o", "a.svg").returncode == 0
    refused = actbench("plot", "light.tar.xz", "--chart", "histograms", "-o", "b.svg")
    assert refused.returncode == 2
    assert "histograms" in refused.stderr
    assert not Path("b.svg").exists()
    assert actbench("report", "light.tar.xz", "-o", "page.html").returncode == 0
    assert "Pre-activations and outputs" not in Path("page.html").read_text()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder that holds packed studies in a folder of their own, and no study, as a fresh clone has it."""
    monkeypatch.chdir(tmp_path)
    for study in ("bias", "useless"):
        save(Path("elsewhere"), cells({"relu": [0.9, 0.91], "elu": [0.92, 0.9]}), text=CONFIG)
        Path("results/claims").mkdir(parents=True, exist_ok=True)
        pack_study(Path("elsewhere/demo"), Path(f"results/claims/{study}.tar.xz"))
        for ending in ("json", "csv", "html"):
            Path(f"results/claims/{study}.{ending}").write_text("{}")
    Path("results/README.md").write_text("text")
    return tmp_path


@pytest.mark.parametrize("command", ["compare", "runs", "status", "report", "plot -o x.svg"])
@pytest.mark.parametrize("path", [None, "results", "results/claims"])
def test_packed_studies_among_results_are_named_where_there_is_no_study(
    clone: Path,
    command: str,
    path: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    done = in_this_process(monkeypatch, capfd)(*command.split(), *([path] if path else []))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("actbench: no ")
    assert done.stderr.endswith(
        "; packed studies are read by the name of the file: results/claims/bias.tar.xz, results/claims/useless.tar.xz\n"
    )


def test_packed_studies_among_results_are_not_pooled_with_a_study(clone: Path) -> None:
    save(Path("results"), cells({"relu": [0.5]}), text=CONFIG)
    assert [run.final["test.accuracy"] for run in read_results("results")] == [0.5]
    assert len(study_statuses(Path("results"))) == 1
    assert len(read_results("results/claims/bias.tar.xz")) == 4


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
    yield "it is neither a zip nor a tar.xz file, or a damaged one", folder / "half.zip"
    (folder / "text.zip").write_text("not a zip")
    yield "it is neither a zip nor a tar.xz file, or a damaged one", folder / "text.zip"


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


def test_a_damaged_entry_of_a_zip_file_is_a_warning_that_names_the_run(folder: Path) -> None:
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
