"""A study that is packed without its curves keeps every result; what goes by epoch says that there is none."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from commands import Run, in_this_process
from factories import cells, record, save

from actbench import load_network
from actbench.analysis.compare import compare
from actbench.analysis.plots._figures import charts_of
from actbench.cli.pack import CHARTS_OF_CURVES
from actbench.config import Study
from actbench.errors import UsageError
from actbench.execution.runner import Runner
from actbench.schema.events import Finished
from actbench.schema.registry import names
from actbench.schema.runtime import Runtime
from actbench.schema.spec import RunSpec
from actbench.storage.packing import pack_study
from actbench.storage.reading import find_run, read_results
from actbench.storage.store import Store
from actbench.system.files import read_file
from actbench.system.packed import ENDINGS, kind, listing

TEXT = """
    study: demo
    dataset: {name: digits, train_size: 60, val_fraction: 0.2}
    model: {name: mlp, hidden: [4, 3]}
    training: {epochs: 2, batch_size: 30, keep_weights: last}
    sweep: {activation: [relu, prelu], training.optimizer.lr: [0.05, 0.1]}
    seeds: 3
"""
STUDY, FILE = Path("results/demo"), "demo.tar.xz"
WITHOUT = "finished runs without epochs (metrics.jsonl), which no chart over epochs or layers shows"


def train(results: Path) -> list[str]:
    """Train what is to do of the study, by torch's kernels: others would be compiled first; return what was trained."""
    events = Runner(Study.from_text(TEXT), results, Runtime(device="cpu", engine="inline", kernels="torch")).run()
    return [event.record.run_id for event in events if isinstance(event, Finished)]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("computed")
    assert len(train(folder / "results")) == 12
    return folder


@pytest.fixture
def actbench(computed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The current folder has a trained study below results/, and its file without curves."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(computed / "results", "results")
    pack_study(STUDY, Path(FILE), curves=False, weights=True)
    return in_this_process(monkeypatch, capfd)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_curve_of_a_result_is_left_out_and_one_that_is_all_there_is_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)
    failed, unfinished = RunSpec(activation="tanh"), RunSpec(activation="tanh", seed=1)
    records = [*cells({"relu": [0.9]}), record(None, outcome="diverged", activation="elu")]
    save(Path("results"), [*records, record(None, outcome="failed", activation="tanh")])
    store = Store(Path("results"), "demo")
    store.begin(unfinished)
    store.append(unfinished, {"epoch": 0, "train.loss": 2.3})
    packed = pack_study(STUDY, Path(f"demo{ending}"), curves=False)
    assert (packed.runs, packed.unfinished) == (4, 1)
    for folder in (STUDY / "runs").iterdir():
        inside = packed.file / "demo/runs" / folder.name
        kept = {path.name for path in folder.iterdir() if path.is_file()} & {*listing(inside)}
        assert {*listing(inside)} == kept
        assert all(read_file(inside / name) == (folder / name).read_bytes() for name in kept)
        has_curve = folder.name in (failed.run_id, unfinished.run_id)
        assert (kind(inside / "metrics.jsonl") == "file", "spec.json" in kept) == (has_curve, True)
    found = read_results(packed.file, curves=True)
    assert found.warnings == (f"demo: {WITHOUT}: 2", "demo: unfinished runs, left out: 1")
    assert {one.outcome: (len(one.curves), one.lacks_curve) for one in found} == {
        "ok": (0, True),
        "diverged": (0, True),
        "failed": (2, False),
    }
    assert read_results(packed.file).warnings == read_results(STUDY).warnings


def test_whatever_needs_no_epochs_is_the_same_to_the_byte(actbench: Run) -> None:
    for words in (
        ("compare", "--json"),
        ("compare", "--json", "--all-pairs", "--tune", "training.optimizer.lr"),
        ("compare", "--format", "csv"),
        ("compare", "--format", "table"),
        ("runs",),
        ("runs", "--json"),
    ):
        command, *options = words
        of_folder, of_file = actbench(command, "results/demo", *options), actbench(command, FILE, *options)
        assert of_file.returncode == of_folder.returncode == 0
        assert of_file.stderr == of_folder.stderr
        assert of_file.stdout.replace(FILE, "results/demo") == of_folder.stdout
        assert len(of_folder.stdout) > 200
    done = actbench("status", FILE)
    assert done.returncode == 0
    assert re.search(r"^demo +12 +0 +0 +0 +0 ", done.stdout, re.MULTILINE)


def test_pack_names_the_charts_that_are_drawn_of_the_folder_alone(actbench: Run) -> None:
    done = actbench("pack", "demo", "--no-curves", "--no-histograms", "-o", "again.zip")
    assert done.returncode == 0
    (told,) = done.stderr.splitlines()
    assert told.startswith("without curves: ")
    drawn = {}
    for path in ("results/demo", FILE):
        found = compare(read_results(path, curves=True))
        assert found.warnings.count(f"demo: {WITHOUT}: 12") == (path == FILE)
        drawn[path] = {one.name for comparison in found.comparisons for one in charts_of(comparison)}
    missing = drawn["results/demo"] - drawn[FILE]
    assert missing == set(CHARTS_OF_CURVES) == {chart for chart in names("charts") if chart in told}
    assert drawn[FILE] == {"differences", "accuracy_dead", "learning_rate", "factor_maps"}
    refused = actbench("plot", FILE, "--chart", "learning_curves", "-o", "a.svg")
    assert (refused.returncode, Path("a.svg").exists()) == (2, False)
    assert f"warning: demo: {WITHOUT}: 12" in refused.stderr.splitlines()
    assert refused.stderr.endswith("actbench: these runs have no data for the charts learning_curves\n")


def test_a_report_says_that_there_are_no_epochs(actbench: Run) -> None:
    assert actbench("report", FILE, "-o", "page.html").returncode == 0
    page = Path("page.html").read_text()
    assert f"{WITHOUT}: 12" in page
    assert "Differences to the baseline" in page
    assert "Learning curves" not in page


def test_a_run_is_shown_with_everything_but_its_curve(actbench: Run) -> None:
    (one, *_) = read_results(STUDY)
    of_folder, of_file = (actbench("show", one.run_id, "--results", path) for path in ("results", FILE))
    assert (of_file.returncode, of_file.stderr) == (0, "")
    before, _, rest = of_folder.stdout.partition("\nCurve (epoch 0: at initialisation)\n")
    assert of_file.stdout.startswith(before)
    assert rest.endswith(of_file.stdout[of_file.stdout.index("\nEnvironment\n") :])
    assert "\nCurve\n\nnone: these results hold no epochs of the run (metrics.jsonl)\n" in of_file.stdout
    content = [json.loads(actbench("show", one.run_id, "--json", "--results", at).stdout) for at in ("results", FILE)]
    assert content[1] == [{**content[0][0], "curves": []}]
    assert find_run(FILE, one.run_id).final == one.final


def test_two_runs_differ_in_the_same_numbers_and_neither_has_an_epoch(actbench: Run) -> None:
    one, other = (record.run_id for record in list(read_results(STUDY))[:2])
    done = actbench("diff", one, other, "--results", FILE)
    assert (done.returncode, done.stderr) == (0, "")
    why = "these results hold no epochs of A and of B (metrics.jsonl)"
    assert done.stdout.endswith(f"Curves\n\nThere is no epoch that both runs have: {why}.\n")
    content = [json.loads(actbench("diff", one, other, "--results", at, "--json").stdout) for at in ("results", FILE)]
    assert content[1]["final"] == content[0]["final"]
    assert content[1]["curves"]["epochs_compared"] == []
    mixed = actbench("diff", f"results/demo/runs/{one}", f"{FILE}/demo/runs/{other}")
    assert mixed.stdout.endswith("both runs have: these results hold no epochs of B (metrics.jsonl).\n")


def test_speed_of_convergence_is_refused_and_not_taken_for_runs_that_never_got_there(actbench: Run) -> None:
    done = actbench("compare", FILE, "--reach", "20%")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--reach: these results hold no epochs of demo" in done.stderr
    assert actbench("compare", "demo", "--reach", "20%").returncode == 0


def test_a_frame_has_a_line_a_run_and_refuses_one_an_epoch(actbench: Run) -> None:
    found = read_results(FILE, curves=True)
    assert found.to_frame().equals(read_results(STUDY, curves=True).to_frame())
    for per in ("epoch", "layer"):
        with pytest.raises(UsageError, match="of a folder or file that has them"):
            found.to_frame(per=per)


def test_tables_are_exported_without_that_of_epochs(actbench: Run) -> None:
    for path, tables in (("demo", {"runs", "epochs", "layers"}), (FILE, {"runs"})):
        done = actbench("export", "parquet", path, "--layers", "-o", "tables")
        assert done.returncode == 0
        assert {one.stem for one in Path("tables").iterdir()} == tables
        assert (WITHOUT in done.stderr) == (path == FILE)


def test_a_kept_network_needs_no_curve(actbench: Run) -> None:
    (one, *_) = read_results(STUDY)
    of_folder, of_file = (load_network(one.run_id, results=place) for place in ("results", FILE))
    for name, tensor in of_folder.state_dict().items():
        assert tensor.equal(of_file.state_dict()[name]), name


def test_nothing_is_trained_again_where_it_is_unpacked(actbench: Run) -> None:
    shutil.unpack_archive(FILE, "unpacked", "xztar", filter="data")
    assert train(Path("unpacked")) == []
    found = read_results("unpacked")
    assert [one.final for one in found] == [one.final for one in read_results(STUDY)]
