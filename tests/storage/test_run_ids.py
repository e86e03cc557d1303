"""A run's id names what varies in its study; the digits that end it decide which run it is, whatever else it says."""

import json
import shutil
from dataclasses import replace

import pytest
from factories import record, save

from actbench.config import Study
from actbench.errors import UsageError
from actbench.execution.runner import Runner
from actbench.execution.work_sharing import WorkSharing
from actbench.schema.events import Finished, Started
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.storage.locks import Locks
from actbench.storage.reading import find_run, read_results
from actbench.storage.store import Store
from actbench.system.processes import Process

LR = "training.optimizer.lr"

TINY = """\
study: tiny
dataset: {name: digits, train_size: 64, test_size: 32}
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 32}
health: {probe_size: 32}
seeds: 2
"""
BY_RATE = TINY + "sweep: {training.optimizer.lr: [0.1, 0.05]}\n"
BY_BIAS_AND_RATE = TINY + "sweep: {training.optimizer.lr: [0.1], bias_init: [0.0, 0.01]}\n"


@pytest.mark.parametrize(
    ("settings", "factors", "expected"),
    [
        ({}, (), "relu-seed-0"),
        ({"activation": {"name": "elu", "alpha": 0.2}, "seed": 7}, ("activation",), "elu-alpha-0.2-seed-7"),
        ({"bias_init": 0.01}, ("activation", "bias_init"), "relu-bias-0.01-seed-0"),
        ({"bias_init": None}, ("bias_init",), "relu-bias-none-seed-0"),
        ({"training": {"optimizer": {"name": "sgd", "lr": 0.5}}}, (LR,), "relu-lr-0.5-seed-0"),
        ({"training": {"optimizer": {"name": "adam", "lr": 0.5}}}, ("training.optimizer",), "relu-adam-lr-0.5-seed-0"),
        ({"training": {"optimizer": "adam"}}, ("training.optimizer.name",), "relu-adam-seed-0"),
        ({"model": {"name": "mlp", "hidden": [64, 32]}}, ("model.hidden",), "relu-hidden-64-32-seed-0"),
        ({"model": {"name": "mlp", "batch_norm": True}}, ("model.batch_norm",), "relu-batch-norm-true-seed-0"),
        ({"weight_init": "he_uniform"}, ("weight_init",), "relu-he-uniform-seed-0"),
        ({"training": {"clip_norm": None}}, ("training.clip_norm",), "relu-clip-norm-none-seed-0"),
        ({"training": {"augment": {"crop": 2}}}, ("training.augment",), "relu-augment-crop-2-flip-false-seed-0"),
        ({"training": {"augment": {"crop": 2}}}, ("training.augment.crop",), "relu-crop-2-seed-0"),
    ],
)
def test_an_id_names_the_activation_what_the_study_sweeps_and_the_seed(settings, factors, expected):
    spec = RunSpec.model_validate(settings)
    assert spec.id_with(factors) == f"{expected}-{spec.digest[:8]}"


def test_an_id_keeps_its_seed_however_long_the_rest_is():
    spec = RunSpec(activation="x * sigmoid(1.702 * x) + " * 9 + "x", seed=12345)
    found = spec.id_with(())
    assert found.endswith(f"-seed-12345-{spec.digest[:8]}")
    assert len(found) <= 90


def runner(study, folder, data_folder, **changes):
    runtime = replace(Runtime(device="cpu", engine="inline", data_folder=data_folder), **changes)
    return Runner(Study.from_text(study), folder, runtime)


def folders(results):
    return sorted(path.name for path in (results / "tiny/runs").iterdir())


def test_a_larger_sweep_finds_the_runs_of_the_first_under_their_ids(tmp_path, data_folder):
    list(runner(BY_RATE, tmp_path, data_folder).run())
    before = folders(tmp_path)
    assert [name.rpartition("-")[0] for name in before] == [
        f"relu-lr-{rate}-seed-{seed}" for rate in ("0.05", "0.1") for seed in (0, 1)
    ]

    again = runner(BY_BIAS_AND_RATE, tmp_path, data_folder)
    assert len(again.waiting) == 2, "those of bias 0.01 alone"
    list(again.run())
    assert again.loss() is None
    new = sorted({*folders(tmp_path)} - {*before})
    assert [name.rpartition("-")[0] for name in new] == [f"relu-lr-0.1-bias-0.01-seed-{seed}" for seed in (0, 1)]
    assert {one.run_id for one in read_results(tmp_path)} == {*before, *new}


def test_results_of_a_version_with_other_ids_are_not_computed_again(tmp_path, data_folder):
    list(runner(BY_RATE, tmp_path, data_folder).run())
    for path in (tmp_path / "tiny/runs").iterdir():
        path.rename(path.with_name(f"any-words-{path.name[-8:]}"))
    again = runner(BY_RATE, tmp_path, data_folder)
    assert (again.waiting, len(again.finished_before)) == ([], 4)


def test_a_run_that_failed_under_an_old_id_goes_on_in_its_folder(tmp_path):
    spec = RunSpec(seed=3)
    old = Store(tmp_path, "demo", ("bias_init",))
    old.fail(spec, "it failed", "")
    new = Store(tmp_path, "demo", ("training.epochs",))
    assert new.run_folder(spec) == old.run_folder(spec)
    assert new.outcome(spec) == "failed"
    new.begin(spec)
    assert [path.name for path in (tmp_path / "demo/runs").iterdir()] == [spec.run_id]


def test_a_folder_with_the_same_digits_and_other_settings_is_not_the_runs(tmp_path):
    spec = RunSpec(seed=3)
    alike = tmp_path / f"demo/runs/some-run-{spec.digest[:8]}"
    alike.mkdir(parents=True)
    (alike / "spec.json").write_text(json.dumps(RunSpec(seed=4).to_json()))
    store = Store(tmp_path, "demo")
    assert not store.has_folder(spec)
    assert store.run_folder(spec).name == spec.run_id


def test_of_two_folders_of_a_run_the_one_with_a_result_counts(tmp_path):
    one = record(seed=1)
    Store(tmp_path, "demo").begin(one.spec)
    finished = tmp_path / f"demo/runs/other-words-{one.spec.digest[:8]}"
    save(tmp_path / "elsewhere", [one])
    shutil.copytree(tmp_path / "elsewhere/demo/runs" / one.spec.run_id, finished)
    assert Store(tmp_path, "demo").run_folder(one.spec) == finished
    assert Store(tmp_path, "demo").other_folders(one.spec) == [tmp_path / "demo/runs" / one.spec.run_id]
    found = read_results(tmp_path)
    assert ([run.run_id for run in found], found.warnings) == ([finished.name], ())


def test_a_run_under_two_ids_counts_once(tmp_path):
    save(tmp_path, [record(seed=0), one := record(seed=1)])
    runs = tmp_path / "demo/runs"
    shutil.copytree(runs / one.spec.run_id, runs / f"a-copy-{one.spec.digest[:8]}")
    found = read_results(tmp_path)
    assert [run.spec.seed for run in found] == [0, 1]
    assert found.warnings == (
        f"demo/runs/{one.spec.run_id}: left out, it is the same run as a-copy-{one.spec.digest[:8]}",
    )


def test_a_run_is_found_by_every_id_that_it_ever_had(tmp_path):
    save(tmp_path, [record(seed=0), one := record(seed=1)])
    for text in (f"lr-0.1-{one.spec.digest[:8]}", f"results/x/runs/gone-{one.spec.digest[:8]}/"):
        assert find_run(tmp_path, text).run_id == one.spec.run_id
    with pytest.raises(UsageError, match=r"no run 'lr-0\.1-12345678'"):
        find_run(tmp_path, "lr-0.1-12345678")


def test_two_sweeps_at_work_at_once_compute_a_common_run_once(tmp_path, data_folder):
    """The second planned before the first had made any folder, and would name the common runs otherwise."""
    second = runner(BY_BIAS_AND_RATE, tmp_path, data_folder, cohort_size=1)
    first = runner(BY_RATE, tmp_path, data_folder, cohort_size=1)
    events = first.run()
    started = next(event for event in events if isinstance(event, Started)).cohort.shared
    assert started in second.specs
    mine = [event.record.spec for event in second.run() if isinstance(event, Finished)]
    theirs = [event.record.spec for event in events if isinstance(event, Finished)]
    assert started in theirs
    assert sorted(spec.digest for spec in (*mine, *theirs)) == sorted(
        {spec.digest for spec in (*first.specs, *second.specs)}
    )
    assert len(folders(tmp_path)) == 6


class Overtaken(Locks):
    """Locks a run just after another process has locked it under another id."""

    def __init__(self, study, other, its_run):
        super().__init__(study)
        self._other, self._its_run = other, its_run

    def take(self, run):
        self._other.take(self._its_run)
        return super().take(run)


def test_a_run_that_another_sweep_locks_in_the_same_moment_is_given_up(tmp_path):
    spec = RunSpec(seed=3)
    mine, its = Store(tmp_path, "demo", (LR,)), Store(tmp_path, "demo", ("training.epochs",))
    sharing = WorkSharing(mine, ())
    its_run = tmp_path / "demo/runs" / spec.id_with(("training.epochs",))
    with Locks(its.folder) as other, Overtaken(mine.folder, other, its_run) as own:
        (handed_out,) = sharing.rounds(own, [Cohort((spec,))])
        assert list(handed_out) == []
        assert [lock.process for lock in sharing.elsewhere.values()] == [Process.this()]
        assert [path.name for path in (tmp_path / "demo/runs").iterdir()] == [its_run.name]


class Listed(Store):
    """A store that counts how often its runs are listed."""

    listings = 0

    def begun(self):
        self.listings += 1
        return super().begun()


def test_a_process_that_works_alone_lists_the_runs_once_and_again_when_another_comes_or_has_been(tmp_path):
    """A listing for every cohort would grow with the square of the study."""
    specs = [RunSpec(seed=seed) for seed in range(9)]
    store, other = Listed(tmp_path, "demo", (LR,)), Store(tmp_path, "demo", ("training.epochs",))
    store.create("study: demo\n")
    with Locks(store.folder) as own:
        cohorts = next(WorkSharing(store, ()).rounds(own, [Cohort((spec,)) for spec in specs]))
        taken = [next(cohorts) for _ in range(3)]
        assert store.listings == 1

        with Locks(other.folder) as others:  # comes, computes a run under its own id, and goes
            other.create("study: demo\n")
            others.take(other.run_folder(specs[3]))
            other.finish(record(seed=3))
            others.release(other.run_folder(specs[3]))
        taken.append(next(cohorts))
        assert taken[-1].specs == (specs[4],), "seed 3 is finished"
        taken.append(next(cohorts))
        assert store.listings == 2

        with Locks(other.folder):  # stays: before and after each lock
            other.create("study: demo\n")
            before = store.listings
            taken += [next(cohorts), next(cohorts)]
            assert store.listings == before + 4
        taken.append(next(cohorts))
        assert store.listings == before + 5, "once more after it has gone"
    assert [cohort.shared.seed for cohort in taken] == [0, 1, 2, 4, 5, 6, 7, 8]
