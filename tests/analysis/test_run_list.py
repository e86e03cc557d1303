"""The list of runs: what varies, every state, filters and orders."""

from dataclasses import replace

import pytest
from factories import cells, record, save
from left_locks import DEAD, leave

from actbench.analysis.run_list import list_runs
from actbench.errors import UnknownNameError, UsageError
from actbench.schema.spec import RunSpec
from actbench.storage.locks import Locks
from actbench.storage.reading import read_results
from actbench.storage.store import Store


def rate(lr):
    return {"optimizer": {"name": "sgd", "lr": lr}}


def listed(*paths):
    return list_runs(read_results(*paths))


@pytest.fixture
def results(tmp_path):
    """Two rates, of which the larger one diverged; one failed, one left without an end, one at work."""
    records = [
        record(0.9, seed=0, training=rate(0.1)),
        record(0.95, seed=1, training=rate(0.1)),
        record(None, outcome="diverged", seed=0, training=rate(1.0)),
        record(None, outcome="failed", seed=1, training=rate(1.0)),
    ]
    save(tmp_path, records)
    left = RunSpec(seed=2, training=rate(0.1))
    store = Store(tmp_path, "demo")
    store.begin(left)
    leave(store.run_folder(left), DEAD)
    return tmp_path


def test_each_line_has_what_varies_and_what_became_of_the_run(results):
    found = listed(results)
    assert found.swept == {"demo": ("training.optimizer.lr",)}
    lines = [(run.spec.seed, run.settings["training.optimizer.lr"], run.state, run.epoch) for run in found.runs]
    assert sorted(lines, key=str) == [
        (0, 0.1, "ok", 5),
        (0, 1.0, "diverged", 1),
        (1, 0.1, "ok", 5),
        (1, 1.0, "failed", 1),
        (2, 0.1, "stale", None),
    ]
    assert found.warnings == ()
    (left,) = [run for run in found.runs if run.state == "stale"]
    assert "has exited" in left.message


def test_a_run_at_work_is_listed_with_its_process_and_epoch(results):
    store, spec = Store(results, "demo"), RunSpec(seed=7, training=rate(1.0))
    with Locks(store.folder) as mine:
        mine.take(store.run_folder(spec))
        store.begin(spec)
        store.append(spec, {"epoch": 0})
        store.append(spec, {"epoch": 1})
        (run,) = listed(results).where({"seed": 7}).runs
    assert (run.state, run.epoch) == ("running", 1)
    assert "computes it" in run.message


def test_dataset_and_model_are_listed_where_they_vary(tmp_path):
    save(tmp_path / "a", [record(model={"name": "mlp", "hidden": hidden}) for hidden in ([8], [16, 8])])
    assert listed(tmp_path / "a").swept == {"demo": ("model.hidden",)}
    save(tmp_path / "b", [record(model="mlp"), record(model="cnn"), record(model="cnn", dataset="digits")])
    assert listed(tmp_path / "b").swept == {"demo": ("dataset", "model")}


def test_runs_that_differ_in_the_seed_alone_need_no_other_column(tmp_path):
    save(tmp_path, cells({"elu": [0.9, 0.91]}))
    assert listed(tmp_path).swept == {"demo": ()}


@pytest.mark.parametrize(
    ("chosen", "seeds"),
    [
        ({"training.optimizer.lr": 0.1}, [0, 1, 2]),
        ({"training.optimizer.lr": 1}, [0, 1]),
        ({"state": "failed"}, [1]),
        ({"seed": 0, "training.optimizer.lr": 0.1}, [0]),
        ({"activation": "relu"}, [0, 0, 1, 1, 2]),
    ],
)
def test_where_keeps_the_runs_with_these_values(results, chosen, seeds):
    assert sorted(run.spec.seed for run in listed(results).where(chosen).runs) == seeds


def test_keys_and_values_that_no_run_has_are_refused(results):
    with pytest.raises(UsageError, match=r"did you mean 'training\.optimizer\.lr'"):
        listed(results).where({"lr": 0.1})
    with pytest.raises(UsageError, match=r"no run has training.optimizer.lr=7; there are: 0\.1, 1"):
        listed(results).where({"training.optimizer.lr": 7})
    with pytest.raises(UnknownNameError, match="unknown key 'acuracy'"):
        listed(results).sort("-acuracy")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("test.accuracy", [0.9, 0.95, None, None, None]),
        ("-test.accuracy", [0.95, 0.9, None, None, None]),
    ],
)
def test_sort_orders_either_way_and_leaves_runs_without_a_value_last(results, key, expected):
    assert [run.final.get("test.accuracy") for run in listed(results).sort(key).runs] == expected


def test_equal_values_keep_their_order(results):
    before = listed(results).runs
    assert listed(results).sort("-seed").runs == tuple(sorted(before, key=lambda run: -run.spec.seed))


@pytest.mark.parametrize(
    ("key", "expected"),
    [("bias_init", [0.0, 0.1, 2, "a", "b", None]), ("-bias_init", ["b", "a", 2, 0.1, 0.0, None])],
)
def test_numbers_are_sorted_before_words_and_none_comes_last_either_way(results, key, expected):
    found = listed(results)
    one = found.runs[0]
    mixed = [one._replace(settings={"bias_init": value}) for value in ("b", 2, None, 0.1, "a", 0.0)]
    runs = replace(found, runs=tuple(mixed)).sort(key).runs
    assert [run.settings["bias_init"] for run in runs] == expected


def test_the_metrics_are_those_of_the_studys_config(tmp_path):
    save(tmp_path, [record()], text="study: demo\ncompare: {metric: [test.loss, test.accuracy]}\n")
    assert listed(tmp_path).metrics == {"demo": ("test.loss", "test.accuracy", "health.dead_fraction", "seconds")}


def test_settings_that_cannot_be_read_are_a_warning(results):
    (left,) = [run for run in listed(results).runs if run.state == "stale"]
    (results / "demo/runs" / left.run / "spec.json").write_text("{")
    found = listed(results)
    assert len(found.runs) == 4
    assert "left out, its settings can't be read" in found.warnings[0]
