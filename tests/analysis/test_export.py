"""Exporters: what the other program's own reader finds is what the records have, and a second export adds nothing."""

import json
import math
import shutil
import struct
import subprocess
import sys
from dataclasses import replace

import pytest
from factories import record, save

from actbench.analysis.export._runs import exported_runs
from actbench.analysis.export.mlflow import _quiet
from actbench.analysis.table.factors import show
from actbench.schema import registry
from actbench.storage.reading import read_results

EXPORTERS = ("mlflow", "parquet", "tensorboard", "wandb")
LAYERS = [
    {"name": "hidden.0", "units": 8, "dead": 1, "sparsity": 0.25, "learned": {"slope": 0.125}},
    {"name": "hidden.1", "units": 4, "dead": 0, "sparsity": 0.75, "first_death": None},
]


@pytest.fixture(autouse=True)
def settings_of_nobody(tmp_path, monkeypatch):
    """No settings of whoever runs the tests, and no files in their home."""
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "wandb-own"))


@pytest.fixture
def results(tmp_path):
    """Two studies: runs with two layers, one diverged, one failed, one with a formula for its activation."""
    runs = [_with_layers(record(0.9 + 0.01 * seed, activation=a, seed=seed)) for a in ("relu", "x * sigmoid(x)")
            for seed in range(2)]  # fmt: skip
    runs.append(record(None, outcome="diverged", activation="elu", bias_init=None))
    runs.append(record(None, outcome="failed", activation="selu"))
    runs.append(_with_layers(record(0.5, study="other", training={"optimizer": {"name": "sgd", "lr": 0.5}})))
    return save(tmp_path / "results", runs)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    """MLflow's database without a run: to make its tables takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    with _quiet():
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def place(tmp_path, request):
    """Where an exporter writes, by its name; for MLflow a database with its tables."""

    def of(name):
        if name == "mlflow":
            shutil.copy(request.getfixturevalue("empty_database"), tmp_path / "out")
        return tmp_path / "out"

    return of


def _with_layers(one):
    rows = [{**row, "seconds": 0.5 + row["epoch"], "layers": LAYERS, "val.loss": None} for row in one.curves]
    return replace(one, curves=tuple(rows))


def _export(name, results, target, **options):
    runs = exported_runs(read_results(results, curves=True), **options)
    return registry.load("exporters", name).export(runs, target)


def _wanted(one, *, with_layers=False):
    """Every number of a run by name and epoch, taken from its files without the code under test."""
    found = {}
    for row in one.curves:
        for name, value in row.items():
            if name not in ("epoch", "layers") and value is not None:
                found["epoch_seconds" if name == "seconds" else name, row["epoch"]] = value
        for layer in row.get("layers", []) if with_layers else []:
            for name in ("units", "dead", "sparsity"):
                found[f"layers/{layer['name']}/{name}", row["epoch"]] = layer[name]
            if "learned" in layer:
                found[f"layers/{layer['name']}/learned.slope", row["epoch"]] = layer["learned"]["slope"]
    return found | {(name, 1): value for name, value in one.final.items() if value is not None}


class ReadTensorBoard:
    """Runs and their numbers as TensorBoard's own reader has them, which has no settings but those that vary."""

    digits = 1e-6  # TensorBoard keeps numbers as float32

    def __init__(self, target):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        self.runs = {}
        for folder in sorted(target.glob("*/*")):
            events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
            numbers = {}
            for tag in events.Tags()["scalars"]:
                for one in events.Scalars(tag):
                    key = (tag if tag.startswith("layers/") else tag.replace("/", ".", 1), one.step)
                    assert key not in numbers
                    numbers[key] = one.value
            self.runs[folder.parent.name, folder.name] = numbers, self._settings(events), None

    @staticmethod
    def _settings(events):
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        found = HParamsPluginData.FromString(content).session_start_info.hparams
        return {key: getattr(value, value.WhichOneof("kind")) for key, value in found.items()}


class ReadWandB:
    """Runs as wandb's own messages have them; its reader, `wandb sync`, is no Python any more."""

    digits = 0

    def __init__(self, target):
        self.runs = {}
        for path in sorted(target.glob("wandb/offline-run-*/run-*.wandb")):
            history, summary, run, exit_code = {}, {}, None, None
            for one in _wandb_messages(path.read_bytes()):
                kind = one.WhichOneof("record_type")
                if kind == "run":
                    run = one.run
                elif kind == "exit":
                    exit_code = one.exit.exit_code
                elif kind == "history":
                    row = self._content(one.history.item)
                    history |= {(name, row["_step"]): value for name, value in row.items() if name[0] != "_"}
                elif kind == "summary":
                    summary |= self._content(one.summary.update)
            numbers = {(name, 1): value for name, value in summary.items() if isinstance(value, (int, float))}
            numbers = {key: value for key, value in numbers.items() if key[0][0] != "_"} | history
            outcome = "failed" if exit_code else summary["outcome"]
            assert [*run.tags] == [outcome]
            assert (run.project, run.display_name) not in self.runs
            self.runs[run.project, run.display_name] = numbers, self._content(run.config.update), outcome

    @staticmethod
    def _content(items):
        return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def _wandb_messages(data):
    """Yield the messages of a file: blocks of 32 KB hold parts of them, each behind checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    assert data[:4] == b":W&B"
    place, parts = 7, b""
    while place < len(data):
        if place % 32768 > 32768 - 7:  # no room for the head of a part
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(parts)
            parts = b""


class ReadMLflow:
    """Runs as MLflow's client has them."""

    digits = 0

    def __init__(self, target):
        with _quiet():
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=f"sqlite:///{target}")
            self.runs = {}
            for experiment in client.search_experiments(filter_string="name != 'Default'"):
                for run in client.search_runs([experiment.experiment_id]):
                    numbers = {
                        (name, one.step): one.value
                        for name in run.data.metrics
                        for one in client.get_metric_history(run.info.run_id, name)
                    }
                    outcome = run.data.tags["actbench.outcome"]
                    assert run.info.status == ("FAILED" if outcome == "failed" else "FINISHED")
                    assert (experiment.name, run.info.run_name) not in self.runs
                    self.runs[experiment.name, run.info.run_name] = numbers, run.data.params, outcome


class ReadParquet:
    """Runs as polars reads them from the files."""

    digits = 0

    def __init__(self, target):
        import polars

        runs, epochs = (polars.read_parquet(target / f"{name}.parquet").to_dicts() for name in ("runs", "epochs"))
        layers = (
            polars.read_parquet(target / "layers.parquet").to_dicts() if (target / "layers.parquet").exists() else []
        )
        self.runs = {}
        for line in runs:
            key = line["study"], line["run"]
            own = [row for row in epochs if (row["study"], row["run"]) == key]
            numbers = {(self._name(name), row["epoch"]): value for row in own for name, value in row.items()}
            numbers |= {
                (f"layers/{row['layer']}/{name}", row["epoch"]): value
                for row in layers if (row["study"], row["run"]) == key for name, value in row.items()
            }  # fmt: skip
            numbers |= {(name, 1): value for name, value in line.items() if value is not None}
            known = {key: value for key, value in numbers.items() if isinstance(value, (int, float))}
            others = ("seed", "bias_init", "epoch", "training.optimizer.lr")
            known = {key: value for key, value in known.items() if key[0].rpartition("/")[2] not in others}
            assert key not in self.runs
            self.runs[key] = known, line, line["outcome"]

    @staticmethod
    def _name(name):
        return "epoch_seconds" if name == "seconds" else name


READERS = {"mlflow": ReadMLflow, "parquet": ReadParquet, "tensorboard": ReadTensorBoard, "wandb": ReadWandB}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("with_layers", [False, True])
def test_the_other_programs_reader_finds_every_number_of_every_record(name, with_layers, results, place):
    target = place(name)
    done = _export(name, results, target, with_layers=with_layers)

    records = read_results(results, curves=True)
    found = READERS[name](target)
    assert set(found.runs) == {(one.study, one.run_id) for one in records}
    assert done.written == len(records)
    for one in records:
        numbers, settings, outcome = found.runs[one.study, one.run_id]
        wanted = _wanted(one, with_layers=with_layers)
        assert set(numbers) == set(wanted)
        for key, value in wanted.items():
            assert math.isclose(numbers[key], value, rel_tol=found.digits, abs_tol=0.0), key
        assert show(settings["activation"]) == one.spec.activation.label
        assert float(settings["seed"]) == one.spec.seed
        assert outcome in (None, one.outcome)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTERS)
def test_a_second_export_adds_nothing_and_a_new_run_is_added(name, results, place):
    target = place(name)
    _export(name, results, target)
    before = READERS[name](target).runs
    again = _export(name, results, target)

    assert READERS[name](target).runs == before
    assert again.present == (0 if name == "parquet" else len(before))

    save(results, [record(0.7, activation="tanh")])
    more = _export(name, results, target)
    assert len(READERS[name](target).runs) == len(before) + 1
    assert more.written == (len(before) + 1 if name == "parquet" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTERS)
def test_a_run_trained_again_with_another_result_replaces_itself(name, results, place):
    target = place(name)
    _export(name, results, target)
    before = READERS[name](target).runs
    save(results, [_with_layers(record(0.123, activation="relu", seed=0))])
    done = _export(name, results, target)
    (changed,) = (one for one in read_results(results) if one.final.get("test.accuracy") == 0.123)

    after = READERS[name](target).runs
    assert set(after) == set(before)
    assert after["demo", changed.run_id][0]["test.accuracy", 1] == pytest.approx(0.123)
    assert done.written == (len(before) if name == "parquet" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTERS)
def test_layers_may_be_added_later(name, results, place):
    target = place(name)
    _export(name, results, target)
    before = READERS[name](target).runs
    _export(name, results, target, with_layers=True)

    after = READERS[name](target).runs
    assert set(after) == set(before)
    assert all(set(numbers) <= set(after[key][0]) for key, (numbers, *_) in before.items())
    assert any(key[0].startswith("layers/") for numbers, *_ in after.values() for key in numbers)


@pytest.mark.slow
def test_what_an_interrupted_export_has_left_is_written_anew(results, place):
    target = place("wandb")
    _export("wandb", results, target)
    before = ReadWandB(target).runs
    half, *_ = (target / "wandb").glob("offline-run-*")
    (half / "actbench-complete").unlink()

    assert _export("wandb", results, target).written == 1
    assert ReadWandB(target).runs == before


@pytest.mark.slow
def test_a_run_that_mlflow_believes_to_be_running_is_written_anew(results, place):
    import sqlite3

    target = place("mlflow")
    _export("mlflow", results, target)
    before = ReadMLflow(target).runs
    with sqlite3.connect(target) as database:
        database.execute("update runs set status = 'RUNNING' where run_uuid = (select min(run_uuid) from runs)")
    database.close()

    assert _export("mlflow", results, target).written == 1
    assert ReadMLflow(target).runs == before


@pytest.mark.slow
def test_nothing_of_this_machine_goes_to_wandb(results, place):
    target = place("wandb")
    _export("wandb", results, target)
    files = [path.name for path in target.rglob("*") if path.is_file() and "logs" not in path.parts]
    assert {name for name in files if not name.endswith(".wandb")} <= {
        "actbench-complete",
        "debug.log",
        "debug-internal.log",
    }


def test_an_exporter_imports_its_package_only_when_it_exports():
    code = (
        "import sys; from actbench.schema import registry\n"
        f"for name in {EXPORTERS}: registry.load('exporters', name)\n"
        "sys.exit(', '.join({'tensorboard', 'wandb', 'mlflow', 'polars', 'pandas', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exporters_are_these():
    assert registry.names("exporters") == EXPORTERS


def test_copies_of_results_have_the_same_fingerprints(results, tmp_path):
    shutil.copytree(results, tmp_path / "copy")
    prints = [[one.fingerprint for one in exported_runs(read_results(root, curves=True))] for root in
              (results, tmp_path / "copy")]  # fmt: skip
    assert prints[0] == prints[1]
    assert len(set(prints[0])) == len(prints[0])
