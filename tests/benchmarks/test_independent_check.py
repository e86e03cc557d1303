"""The check of the committed comparisons by scipy alone agrees with actbench, and finds a number that was changed."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from factories import record
from generated_studies import generated
from scipy import stats
from tuned_study import study as tuned_study

import actbench
from actbench.schema.record import RunRecord
from actbench.storage.reading import Records
from benchmarks.claims import independent_check, independent_statistics

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "benchmarks" / "claims"
COMMITTED = ROOT / "results" / "claims"
COMPARED = sorted(path.stem for path in COMMITTED.glob("*.json") if path.with_suffix(".tar.xz").exists())


def packed(path: Path, records: list[Any], *, expect: list[str], tune: Sequence[str] = (), **compare: Any) -> None:
    """Write a study as the claims have them."""
    config = {"study": "demo", "expect": expect, "tune": list(tune), "compare": compare}
    with tarfile.open(path, "w:xz", preset=0) as archive:
        for name, content in [("study.yaml", config), *(one for record in records for one in files_of(record))]:
            text = yaml.safe_dump(content) if name.endswith(".yaml") else content
            data = (text if isinstance(text, str) else json.dumps(text)).encode()
            entry = tarfile.TarInfo(f"demo/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def files_of(record: RunRecord) -> Iterator[tuple[str, Any]]:
    folder = f"runs/{record.spec.run_id}"
    yield f"{folder}/spec.json", record.spec.to_json()
    yield (f"{folder}/error.txt", "it failed") if record.outcome == "failed" else (
        f"{folder}/result.json", record.to_json()
    )  # fmt: skip


def written(folder: Path, records: list[Any], *, expect: list[str], tune: Sequence[str] = (), **compare: Any) -> Path:
    """A packed study with its comparison beside it."""
    packed(folder / "demo.tar.xz", records, expect=expect, tune=tune, **compare)
    settings = {"demo": {"expect": expect, "tune": tune, **compare}}
    said = actbench.compare(Records(tuple(records), (), settings)).to_dict()
    (folder / "demo.json").write_text(json.dumps(said), "utf-8")
    return folder


def biases(seeds: int) -> list[Any]:
    """Dead units and accuracies of two biases at two learning rates; some runs collapsed or diverged."""
    rng = np.random.default_rng(1)
    found = []
    for rate in (0.05, 0.5):
        for seed in range(seeds):
            luck = rng.normal(0, 0.01)
            for bias in (0.0, 0.01, "pytorch"):
                lost = seed == 3 and bias == "pytorch"
                dead = max(0.0, round(rng.normal(0.1 - 0.05 * (bias == 0.01), 0.1), 3))
                accuracy = None if lost else min(1.0, 0.9 + luck + 0.004 * (bias == 0.01) + rng.normal(0, 0.003))
                outcome = "diverged" if lost else "collapsed" if dead > 0.15 else "ok"
                training = {"optimizer": {"name": "sgd", "lr": rate}}
                found.append(record(accuracy, dead=dead, outcome=outcome, bias_init=bias, seed=seed, training=training))
    return found


BIASES = [
    "health.dead_fraction: bias_init=0.01 < bias_init=0.0",
    "test.accuracy: bias_init=0.01 > bias_init=0.0 where training.optimizer.lr=0.5",
    "test.accuracy: bias_init=0.01 = bias_init=0.0 ± 1pp",
    "test.accuracy: bias_init=0.01 <= bias_init=0.0",
    "test.accuracy > 80%",
    "test.accuracy = 90% ± 5pp where bias_init=0.0",
    "diverged: bias_init=pytorch > bias_init=0.0",
    "collapsed: bias_init=0.01 < bias_init=0.0",
    "collapsed < 90%",
]


@pytest.mark.parametrize("seeds", [5, 10, 14])
def test_a_study_of_biases_is_recomputed_by_scipy(
    seeds: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"baseline": {"bias_init": 0.0}, "metric": ["test.accuracy", "health.dead_fraction"]}
    where = written(tmp_path, biases(seeds), expect=BIASES, **options)

    assert independent_check.main(["--results", str(where), "--all"]) == 0
    shown = capsys.readouterr().out
    for kind in ("paired difference", "adjusted p", "Wilson's interval", "hypothesis: verdict", "interval"):
        assert f"  {kind}  " in shown


def test_a_network_without_options_is_not_taken_for_one_that_has_a_table_of_its_own(tmp_path: Path) -> None:
    models = ({"name": "mlp"}, {"name": "mlp", "hidden": [9]})
    records = [
        record(0.9 + 0.01 * seed, model=model, activation=activation, seed=seed)
        for model in models
        for activation in ("relu", "elu")
        for seed in range(3)
    ]
    where = written(tmp_path, records, expect=["test.accuracy > 80% where activation=elu"])

    assert independent_check.main(["--results", str(where)]) == 0


def test_hypotheses_on_tuned_cells_in_two_tables_are_judged_anew(tmp_path: Path) -> None:
    records = [*tuned_study(seeds=9), *tuned_study(seeds=9, dataset="digits")]
    texts = [
        "test.accuracy: activation=elu < activation=relu when tuned",
        "test.accuracy: activation=elu = activation=relu ± 3pp when tuned where dataset=digits",
        "test.accuracy > 84% where activation=elu when tuned",
        "test.accuracy: activation=elu > activation=relu",
    ]
    where = written(tmp_path, records, expect=texts, tune=["training.optimizer.lr"])

    assert independent_check.main(["--results", str(where)]) == 0


def test_hypotheses_on_how_runs_end_are_judged_anew(tmp_path: Path) -> None:
    ends = {"relu": 9, "elu": 2, "tanh": 0}
    records = [
        record(None if seed < count else 0.9, outcome="diverged" if seed < count else "ok", activation=name,
               bias_init=bias, seed=seed)
        for name, count in ends.items() for bias in (0.0, 0.01) for seed in range(11)
    ]  # fmt: skip
    texts = [
        "diverged: activation=relu > activation=tanh",
        "diverged: activation=elu > activation=tanh where bias_init=0",
        "collapsed: activation=elu > activation=tanh",
        "diverged > 30% where activation=relu",
        "diverged > 90%",
        "ok = 80% ± 60pp where activation=elu",
    ]
    where = written(tmp_path, records, expect=texts)

    assert independent_check.main(["--results", str(where)]) == 0


def test_values_tuned_on_validation_are_picked_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tuned_study(seeds=9)
    expect = ["test.accuracy: activation=elu > activation=relu when tuned", "test.accuracy > 80% when tuned"]
    where = written(tmp_path, records, expect=expect, tune=["training.optimizer.lr"])

    assert independent_check.main(["--results", str(where)]) == 0
    assert "tuned value" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [3, 13, 38, 64])
def test_studies_drawn_at_random_are_recomputed_by_scipy(seed: int, tmp_path: Path) -> None:
    study = generated(seed)
    options = {key: value for key, value in study.options.items() if key in ("baseline", "metric")}
    where = written(tmp_path, study.records, expect=study.texts, **options)

    assert independent_check.main(["--results", str(where)]) == 0


PAGE = """
| dead units | runs | median accuracy | smallest | largest | below `20 %` |
|---|---|---|---|---|---|
| 0 to 50 % | 2 | 91.50 % | 90.00 % | 93.00 % | 0 of 2 |
| 50 to 100 % | 3 | 15.00 % | 11.00 % | 80.00 % | 2 of 3 |

| another | table |
"""


@pytest.mark.parametrize(("old", "new", "code"), [("", "", 0), ("2 of 3", "3 of 3", 1), ("91.50", "91.52", 1)])
def test_the_pages_table_of_bins_is_counted_anew(old: str, new: str, code: int, tmp_path: Path) -> None:
    found = [(0.0, 0.93), (0.49, 0.9), (0.5, 0.8), (0.9, 0.11), (1.0, 0.15)]
    records = [record(accuracy, dead=dead, seed=seed) for seed, (dead, accuracy) in enumerate(found)]
    records.append(record(0.2, dead=0.6, activation="leaky_relu"))
    where = written(tmp_path, records, expect=[])
    for ending in (".json", ".tar.xz"):
        (where / f"demo{ending}").rename(where / f"useless{ending}")
    (tmp_path / "claims.md").write_text(PAGE.replace(old, new), "utf-8")

    assert independent_check.main(["--results", str(where), "--page", str(tmp_path / "claims.md")]) == code


def nudged(said: dict[str, Any], path: list[Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    found = json.loads(json.dumps(said))
    place = found["comparisons"][0]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = change(place[path[-1]])
    return found


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (["rows", 1, "metrics", "test.accuracy", "mean"], lambda value: value + 1e-6),
        (["rows", 1, "metrics", "test.accuracy", "low"], lambda value: value - 1e-6),
        (["rows", 1, "runs"], lambda value: value + 1),
        (["rows", 0, "failure_rate"], lambda ends: [ends[0], ends[1] + 1e-6]),
        (["expectations", 0, "verdict"], lambda value: "contradicted"),
        (["expectations", 0, "p_adjusted"], lambda value: value + 1e-6),
    ],
)
def test_a_changed_number_is_found(
    path: list[Any], change: Callable[[Any], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"baseline": {"bias_init": 0.0}, "metric": ["test.accuracy", "health.dead_fraction"]}
    where = written(tmp_path, biases(10), expect=BIASES, **options)
    said = json.loads((where / "demo.json").read_text("utf-8"))
    (where / "demo.json").write_text(json.dumps(nudged(said, path, change)), "utf-8")

    assert independent_check.main(["--results", str(where)]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_a_run_that_is_missing_from_the_package_is_found(tmp_path: Path) -> None:
    records = biases(6)
    where = written(tmp_path, records, expect=[], baseline={"bias_init": 0.0})
    packed(where / "demo.tar.xz", records[:-1], expect=[], baseline={"bias_init": 0.0})

    assert independent_check.main(["--results", str(where)]) == 1


def test_a_run_in_no_row_is_found(tmp_path: Path) -> None:
    records = biases(6)
    where = written(tmp_path, records, expect=[], baseline={"bias_init": 0.0})
    packed(where / "demo.tar.xz", [*records, record(bias_init=7.0)], expect=[], baseline={"bias_init": 0.0})

    assert independent_check.main(["--results", str(where)]) == 1


def test_an_empty_folder_is_no_agreement(tmp_path: Path) -> None:
    assert independent_check.main(["--results", str(tmp_path)]) == 2


@pytest.mark.slow  # thousands of numbers each
@pytest.mark.parametrize("name", COMPARED)
def test_the_committed_comparisons_are_recomputed_by_scipy(name: str) -> None:
    assert independent_check.main([name]) == 0


def test_sign_flips_are_those_of_scipys_permutation_test() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1.0, size=9)
    found = stats.permutation_test(
        (differences,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert independent_statistics.sign_flip_p(differences) == pytest.approx(found.pvalue)


def test_nothing_of_actbench_is_imported() -> None:
    """By the files' own words, followed from file to file, and by what a Python that loads the check holds."""
    seen, left = set(), ["independent_check"]
    while left:
        name = left.pop()
        seen.add(name)
        tree = ast.parse((PROGRAM / f"{name}.py").read_text("utf-8"))
        for node in ast.walk(tree):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                assert module.split(".")[0] != "actbench", f"{name} imports {module}"
                if module.startswith("benchmarks"):
                    own = module.removeprefix("benchmarks.claims.")
                    assert (PROGRAM / f"{own}.py").exists(), f"{name} imports {module}"
                    left += [own] if own not in seen else []
    assert seen == {"independent_check", "hypothesis_check", "independent_statistics", "packed_runs"}
    loaded = "import benchmarks.claims.independent_check, sys; print([m for m in sys.modules if 'actbench' in m])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
