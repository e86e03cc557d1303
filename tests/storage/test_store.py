"""What is written can be read; what was torn, foreign or half done never stops a reader."""

import errno
import json
import math
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from factories import cells, record, save

from actbench.analysis.compare import compare
from actbench.analysis.run_diff import differences
from actbench.errors import ResultsError, UsageError
from actbench.execution.estimates import read_estimates
from actbench.schema.spec import RunSpec
from actbench.storage.reading import find_run, read_results
from actbench.storage.store import Store


def run_folder(root, one):
    return Store(root, one.study).run_folder(one.spec)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    one = record(activation={"name": "elu", "alpha": 0.2}, bias_init=0.01, seed=3)
    save(tmp_path, [one])
    assert list(read_results(tmp_path, curves=True)) == [one]
    assert list(read_results(tmp_path)) == [replace(one, curves=())]


def test_the_layout_is_the_documented_one(tmp_path):
    one = record()
    save(tmp_path, [one], text="study: demo # my words\n")
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    runs = f"demo/runs/{one.spec.run_id}"
    assert files == [f"{runs}/metrics.jsonl", f"{runs}/result.json", f"{runs}/spec.json", "demo/study.yaml"]
    assert (tmp_path / "demo/study.yaml").read_text() == "study: demo # my words\n"
    assert RunSpec.model_validate(json.loads((tmp_path / runs / "spec.json").read_text())) == one.spec


@pytest.mark.parametrize("depth", ["root", "study", "run", "both"])
def test_any_folder_on_the_way_can_be_named_and_a_run_counts_once(tmp_path, depth):
    one = record()
    save(tmp_path, [one])
    paths = {"root": [tmp_path], "study": [tmp_path / "demo"], "run": [run_folder(tmp_path, one)]}
    chosen = paths.get(depth) or [path for several in paths.values() for path in several]
    found = read_results(*chosen)
    assert [(run.study, run.spec) for run in found] == [("demo", one.spec)]


def test_runs_come_in_the_order_of_study_seed_and_id(tmp_path):
    records = [
        record(study=study, activation=a, seed=s) for s in (10, 2) for a in ("tanh", "elu") for study in ("b", "a")
    ]
    save(tmp_path, records)
    keys = [(run.study, run.spec.seed, run.spec.run_id) for run in read_results(tmp_path)]
    assert keys == sorted(keys)
    assert len(keys) == 8


def test_numbers_that_json_lacks_are_written_as_null(tmp_path):
    one = record(math.nan)
    save(tmp_path, [replace(one, curves=({"epoch": 0, "train.loss": math.inf},))])
    found = read_results(tmp_path, curves=True)[0]
    assert found.final["test.accuracy"] is None
    assert found.curves == ({"epoch": 0, "train.loss": None},)


def test_a_torn_last_line_is_ignored_with_one_warning(tmp_path):
    one = record()
    save(tmp_path, [one])
    curve = run_folder(tmp_path, one) / "metrics.jsonl"
    curve.write_text(curve.read_text()[:-9])
    found = read_results(tmp_path, curves=True)
    assert len(found[0].curves) == 1
    assert found.warnings == (f"demo/runs/{one.spec.run_id}/metrics.jsonl: line 2 is torn and ignored",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "JSON is incomplete"),
        ('{"schema": 1, "outcome": "ok", "spec": {', "JSON is incomplete"),
        ("[]", "holds no mapping"),
        ('{"schema": 99}', "schema 99; this version reads 1"),
        ('{"schema": 1, "outcome": "fine"}', "unknown outcome 'fine'"),
        ('{"schema": 1, "outcome": "ok", "final": 3}', "'final' in result.json is not a mapping"),
        (
            '{"schema": 1, "outcome": "ok", "final": {"test.loss": "0.1"}}',
            "'final.test.loss' in result.json is not a number: '0.1'",
        ),
        ('{"schema": 1, "outcome": "ok", "final": {"test.loss": true}}', "'final.test.loss' in result.json is no"),
        ('{"schema": 1, "outcome": "ok", "health": {"probe_size": "x"}}', "'health.probe_size' in result.json is no"),
        (
            '{"schema": 1, "outcome": "ok", "spec": {"activation": "reluu"}}',
            "activation.name: unknown activation 'reluu'",
        ),
        ('{"schema": 1, "outcome": "ok", "spec": {"seed": -1}}', "seed: "),
        (b"\xff\xfe\x00", "utf"),
    ],
)
def test_an_unreadable_result_is_skipped_and_named(tmp_path, content, reason):
    good, bad = record(seed=0), record(seed=1)
    save(tmp_path, [good, bad])
    (run_folder(tmp_path, bad) / "result.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    found = read_results(tmp_path)
    assert [run.spec for run in found] == [good.spec]
    assert found.warnings[0].startswith(f"demo/runs/{bad.spec.run_id}: skipped, ")
    assert reason in found.warnings[0]


@pytest.mark.parametrize("number", ["1e300", "-1e308", "1e400", "NaN", "Infinity", "1" + "0" * 400, "1" + "0" * 5000])
@pytest.mark.parametrize(
    "key", ["test.accuracy", "seconds", "parameters", "cohort_seconds", "units", "dead", "sparsity"]
)
def test_a_number_that_nobody_can_compute_with_is_named_and_its_run_skipped(tmp_path, key, number):
    good, bad = record(seed=0), replace(record(seed=1), timing={"cohort_seconds": 3.0})
    save(tmp_path, [good, bad])
    path = run_folder(tmp_path, bad) / "result.json"
    changed, count = re.subn(rf'("{key}": )[0-9.]+', rf"\g<1>{number}", path.read_text())
    assert count
    path.write_text(changed)
    found = read_results(tmp_path)
    assert [run.spec for run in found] == [good.spec]
    (warning,) = found.warnings
    assert len(warning) < 250
    assert re.search(r"is not a number below 1e300: -?(1|inf)|is not a JSON number|thousands of digits", warning)
    assert compare(found).comparisons


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ("3", "is not a list"),
        ("[3]", "is not a layer with a name"),
        ('[{"units": 3}]', "is not a layer with a name"),
        ('[{"name": "a", "dead": "x"}]', "'health.layers.dead' in result.json is not a number: 'x'"),
    ],
)
def test_layers_that_are_none_are_named(tmp_path, layers, problem):
    one = record()
    save(tmp_path, [one])
    path = run_folder(tmp_path, one) / "result.json"
    content = json.loads(path.read_text())
    content["health"]["layers"] = json.loads(layers)
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=re.escape(problem)):
        find_run(tmp_path, "relu")


ROW = {"epoch": 1, "train.loss": 1.3, "val.accuracy": 0.5, "health.dead_fraction": 0.0, "seconds": 0.1}


@pytest.mark.parametrize(
    "line",
    [
        "[1, 2]",
        "3",
        '"text"',
        "null",
        "{}",
        json.dumps({**ROW, "epoch": "1"}),
        json.dumps({**ROW, "epoch": 0.5}),
        json.dumps({**ROW, "epoch": -1}),
        json.dumps({**ROW, "epoch": 10**400}),
        json.dumps({**ROW, "val.accuracy": "x"}),
        json.dumps({**ROW, "val.accuracy": [1]}),
        json.dumps({**ROW, "val.accuracy": True}),
        json.dumps({**ROW, "val.accuracy": 10**400}),
        json.dumps({**ROW, "train.loss": 1e300}),
        json.dumps({**ROW, "seconds": 10**400}),
        json.dumps({**ROW, "layers": 3}),
        json.dumps({**ROW, "layers": [{"name": "a", "dead": "x"}]}),
        '{"epoch": 1, "train.loss": NaN}',
    ],
    ids=lambda line: line[:40],
)
def test_a_line_that_is_no_row_is_ignored_with_what_follows_and_named(tmp_path, line):
    one, other = record(seed=0), record(seed=1)
    save(tmp_path, [one, other])
    curve = run_folder(tmp_path, one) / "metrics.jsonl"
    first = curve.read_text().splitlines()[0]
    curve.write_text(f"{first}\n{line}\n{first}\n")
    found = read_results(tmp_path, curves=True)
    assert found[0].curves == (json.loads(first),)
    (warning,) = found.warnings
    assert f"demo/runs/{one.spec.run_id}/metrics.jsonl: line 2" in warning
    assert "ignored" in warning
    assert compare(found, reach=0.4).comparisons
    assert differences(found[0], found[1]).divergence
    read_estimates(tmp_path, "cpu")


def test_foreign_files_are_passed_by(tmp_path):
    save(tmp_path, [record()])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "plots").mkdir()
    (tmp_path / "demo/runs/.DS_Store").write_bytes(b"\x00")
    (tmp_path / "demo/runs/my-folder").mkdir()
    found = read_results(tmp_path)
    assert (len(found), found.warnings) == (1, ())


def test_a_run_whose_folder_can_not_be_looked_into_is_named_and_others_are_read(tmp_path, monkeypatch):
    """As another user's folder; root may look into each, so that the system's answer is given here."""
    locked, other = record(seed=0), record(seed=1)
    save(tmp_path, [locked, other])

    def refuse(path):
        if locked.spec.run_id in os.fspath(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))

    def look(path, real=Path.lstat):
        refuse(path)
        return real(path)

    def open_it(path, *rest, real=os.open, **more):
        refuse(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(Path, "lstat", look)
    monkeypatch.setattr(os, "open", open_it)
    found = read_results(tmp_path)
    assert [run.spec for run in found] == [other.spec]
    assert found.warnings == (f"demo/runs/{locked.spec.run_id}: skipped, Permission denied",)


def test_a_failed_run_is_read_with_its_message(tmp_path):
    one = record(outcome="failed")
    save(tmp_path, [one])
    found = read_results(tmp_path)[0]
    assert (found.outcome, found.message, found.final, found.spec) == ("failed", "it failed", {}, one.spec)
    assert "Traceback" in (run_folder(tmp_path, one) / "error.txt").read_text()


def test_a_run_may_fail_before_it_began(tmp_path):
    spec = RunSpec()
    Store(tmp_path, "demo").fail(spec, "no such device", "Traceback …")
    assert read_results(tmp_path)[0].message == "no such device"


def test_the_spec_of_a_run_is_written_in_one_way(tmp_path):
    spec = RunSpec(seed=1, activation="elu")
    begun, failed = Store(tmp_path, "begun"), Store(tmp_path, "failed")
    begun.begin(spec)
    failed.fail(spec, "no such device", "Traceback …")
    content = (begun.run_folder(spec) / "spec.json").read_text()
    assert content == json.dumps(spec.to_json(), indent=2, ensure_ascii=False)
    assert (failed.run_folder(spec) / "spec.json").read_text() == content


@pytest.mark.parametrize(("characters", "is_whole"), [(100_000, True), (100_001, False)])
def test_a_traceback_is_kept_whole_up_to_a_length(tmp_path, characters, is_whole):
    store, spec = Store(tmp_path, "demo"), RunSpec()
    store.fail(spec, "no", "x" * characters)
    log = (store.run_folder(spec) / "error.txt").read_text()
    assert (log == f"no\n\n{'x' * characters}") == is_whole
    assert ("[100,001 characters in all]" in log) != is_whole


def test_unfinished_runs_are_counted_once_a_study(tmp_path):
    save(tmp_path, [record()])
    for seed in (1, 2):
        Store(tmp_path, "demo").begin(RunSpec(seed=seed))
    found = read_results(tmp_path)
    assert (len(found), found.warnings) == (1, ("demo: unfinished runs, left out: 2",))


@pytest.mark.parametrize("outcome", ["ok", "collapsed", "diverged"])
def test_a_run_has_an_outcome_once_its_result_is_there(tmp_path, outcome):
    one = record(outcome=outcome)
    store = Store(tmp_path, "demo")
    assert store.outcome(one.spec) is None
    store.begin(one.spec)
    assert store.outcome(one.spec) is None
    store.finish(one)
    assert store.outcome(one.spec) == outcome


def test_a_failed_run_is_known_as_one_and_a_half_written_result_is_none(tmp_path):
    one, store = record(outcome="failed"), Store(tmp_path, "demo")
    store.fail(one.spec, "no", "")
    assert store.outcome(one.spec) == "failed"
    for text in ('{"schema": 1, "outc', '{"schema": 0, "outcome": "ok"}', '{"schema": 1, "outcome": "fine"}'):
        (store.run_folder(one.spec) / "result.json").write_text(text)
        assert store.outcome(one.spec) is None


def test_the_end_of_a_run_is_stamped_by_the_file_that_holds_it(tmp_path):
    one, store = record(), Store(tmp_path, "demo")
    store.begin(one.spec)
    assert store.ending(one.spec) is None
    for end, name in (
        (lambda: store.fail(one.spec, "no", ""), "error.txt"),
        (lambda: store.finish(one), "result.json"),
    ):
        end()
        os.utime(store.run_folder(one.spec) / name, ns=(0, 7_000_000_000))
        assert store.ending(one.spec) == (name, 7_000_000_000)


def test_a_newer_result_is_never_overwritten(tmp_path):
    one = record()
    save(tmp_path, [one])
    (run_folder(tmp_path, one) / "result.json").write_text('{"schema": 2, "outcome": "ok"}')
    with pytest.raises(ResultsError, match="newer actbench"):
        Store(tmp_path, "demo").outcome(one.spec)


def test_a_second_try_starts_from_an_empty_curve(tmp_path):
    one, store = record(), Store(tmp_path, "demo")
    store.begin(one.spec)
    store.append(one.spec, {"epoch": 0})
    store.fail(one.spec, "no", "")
    store.begin(one.spec)
    store.append(one.spec, {"epoch": 0})
    store.finish(replace(one, curves=({"epoch": 0},)))
    assert sorted(os.listdir(store.run_folder(one.spec))) == ["metrics.jsonl", "result.json", "spec.json"]
    assert read_results(tmp_path, curves=True)[0].curves == ({"epoch": 0},)


def test_a_finished_runs_curve_is_its_own_though_another_command_wrote_along(tmp_path):
    one = record()
    mine, other = Store(tmp_path, "demo"), Store(tmp_path, "demo")
    mine.begin(one.spec)
    other.begin(one.spec)
    for row in one.curves:
        mine.append(one.spec, row)
        other.append(one.spec, row)
    mine.finish(one)
    assert read_results(tmp_path, curves=True)[0].curves == one.curves


def test_a_run_that_is_shown_tells_of_its_torn_curve_once(tmp_path, caplog):
    one = record()
    save(tmp_path, [one])
    curve = run_folder(tmp_path, one) / "metrics.jsonl"
    curve.write_text(curve.read_text()[:-9])
    assert len(find_run(tmp_path, "relu").curves) == 1
    assert caplog.messages == [f"demo/runs/{one.spec.run_id}/metrics.jsonl: line 2 is torn and ignored"]


def test_a_run_that_cannot_be_read_is_named(tmp_path):
    one = record()
    save(tmp_path, [one])
    for text, reason in (("{", "JSON is incomplete"), ('{"schema": 99}', "schema 99")):
        (run_folder(tmp_path, one) / "result.json").write_text(text)
        with pytest.raises(ResultsError, match=rf"can't read run demo/runs/{one.spec.run_id}: .*{reason}"):
            find_run(tmp_path, "relu")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="file/demo"):
        Store(tmp_path / "file", "demo").create("")


def test_a_result_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    one, store = record(), Store(tmp_path, "demo")
    store.begin(one.spec)
    (store.run_folder(one.spec) / "result.json").mkdir()
    with pytest.raises(ResultsError, match=r"can't write .*result\.json"):
        store.finish(one)
    assert sorted(os.listdir(store.run_folder(one.spec))) == ["metrics.jsonl", "result.json", "spec.json"]
    with pytest.raises(ResultsError, match=r"can't write .*metrics\.jsonl"):
        store.append(RunSpec(seed=9), {"epoch": 0})


def test_absent_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(ResultsError, match="does not exist"):
        read_results(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="no runs in"):
        read_results(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="neither a folder nor a packed study"):
        read_results(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "settings", "warned"),
    [
        ("compare: {baseline: {activation: elu}}", {"baseline": {"activation": "elu"}}, 0),
        ("compare: {metric: test.loss, colour: red}", {"metric": "test.loss"}, 0),
        ("study: x", {}, 0),
        ("compare: {baseline: 3}", {}, 1),
        ("compare: {metric: [[a], 3], baseline: {bias_init: 0}}", {"baseline": {"bias_init": 0}}, 1),
        ("compare: {metric: test.speed}", {}, 1),
        ("compare: [1]", {}, 0),
        ("compare: {", {}, 1),
    ],
)
def test_a_studys_own_wishes_are_read_leniently(tmp_path, text, settings, warned):
    found = read_results(save(tmp_path, [record()], text=text))
    assert (found.settings, len(found.warnings)) == ({"demo": settings}, warned)


def test_a_copy_reads_the_same(tmp_path):
    save(tmp_path / "here", [record(seed=0), record(seed=1, outcome="failed")])
    Store(tmp_path / "here", "demo").begin(RunSpec(seed=2))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert read_results(tmp_path / "here") == read_results(tmp_path / "there")


def test_a_run_is_found_by_id_prefix_digits_and_path(tmp_path):
    records = [record(activation="relu"), record(activation="elu")]
    save(tmp_path, records)
    wanted = records[1].spec
    for text in (wanted.run_id, "elu", wanted.digest[:8], str(run_folder(tmp_path, records[1]))):
        found = find_run(tmp_path, text)
        assert (found.spec, found.study, len(found.curves)) == (wanted, "demo", 2)


@pytest.mark.parametrize(("count", "end"), [(2, ""), (5, ""), (6, " …")])
def test_an_unclear_run_is_refused_with_at_most_five_candidates(tmp_path, count, end):
    records = [record(seed=seed) for seed in range(count)]
    save(tmp_path, records)
    with pytest.raises(UsageError) as refused:
        find_run(tmp_path, "relu")
    names = ", ".join(f"demo/runs/{one.spec.run_id}" for one in records[:5])
    assert str(refused.value) == f"'relu' fits {count} runs: {names}{end}"


def test_an_unclear_run_is_refused_with_the_candidates(tmp_path):
    save(tmp_path, [record(seed=0), record(seed=1)])
    with pytest.raises(UsageError, match=r"fits 2 runs: demo/runs/relu-bias-0.0-seed-0"):
        find_run(tmp_path, "relu")
    with pytest.raises(UsageError, match=r"did you mean 'relu-bias-0.0-seed-"):
        find_run(tmp_path, "rellu-bias-0.0-seed-0")
    Store(tmp_path, "demo").begin(RunSpec(activation="elu"))
    with pytest.raises(UsageError, match="has not finished"):
        find_run(tmp_path, "elu")


def test_reading_many_runs_opens_one_file_each(tmp_path, monkeypatch):
    save(tmp_path, cells({"relu": [0.9]}))
    (run,) = (tmp_path / "demo/runs").iterdir()
    for index in range(50):
        shutil.copytree(run, tmp_path / f"many/runs/{index}")
    opened = []
    monkeypatch.setattr(os, "open", lambda path, *rest, real=os.open: opened.append(path) or real(path, *rest))
    assert len(read_results(tmp_path / "many")) == 50
    assert [tmp_path.joinpath(path).name for path in opened] == ["result.json"] * 50 + ["study.yaml"]


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_names_no_run(text, tmp_path):
    with pytest.raises(UsageError, match="an empty name is that of no run"):
        find_run(tmp_path, text)
