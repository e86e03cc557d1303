"""The benchmarks against peers: their programs on small images, the arithmetic of their table. No timing is judged."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # each peer is a program of its own that imports torch
EXAMPLES, TEST_EXAMPLES = 450, 100
LEARNING = ("plain_dataloader", "tight_loop", "vmap_ensemble", "actbench_sweep")
FIELDS = {"workload", "runs", "epochs", "examples", "threads", "device", "seconds", "total_seconds", "versions"}
SEED = 5


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """512 and 100 images of 28×28 in MNIST's files: class k is bright in its own two rows, so it is soon learned."""
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(SEED)
    for part, count in (("train", 512), ("t10k", TEST_EXAMPLES)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = generator.integers(0, 60, size=(count, 28, 28), dtype=np.uint8)
        for row in (0, 1):
            pixels[np.arange(count), 2 * labels + row] += 150
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels.tobytes())
    return folder


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """A module of benchmarks/, which is not installed."""
    monkeypatch.syspath_prepend(ROOT)

    def by_name(name: str) -> ModuleType:
        return import_module(f"benchmarks.{name}")

    return by_name


RUNNING = """\
import os, runpy, sys
import torch._dynamo

folder, peers, *options = sys.argv[1:]
for peer in peers.split(","):
    if not os.fork():
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}/{peer}.{name}", os.O_WRONLY | os.O_CREAT), number)
        sys.argv = [peer, *options]
        runpy.run_module(f"benchmarks.peers.{peer}", run_name="__main__")
        sys.exit()
    _, status = os.wait()
    print(os.waitstatus_to_exitcode(status))
"""
"""Peers one after the other, each in a process forked from one that has imported torch, which takes seconds."""


@pytest.fixture(scope="module")
def said_by(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("said")
    size = ["--epochs", "2", "--examples", str(EXAMPLES), "--runs", "2"]
    peers = [*LEARNING, "products"]
    command = [sys.executable, "-c", RUNNING, str(folder), ",".join(peers), "--data", str(images), *size]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    errors = [(folder / f"{peer}.stderr").read_text() for peer in peers]
    assert done.stdout.split() == ["0"] * len(peers), errors
    return {peer: json.loads((folder / f"{peer}.stdout").read_text()) for peer in peers}


@pytest.mark.parametrize("peer", LEARNING)
def test_a_peer_learns_and_tells_its_runs_and_seconds(peer: str, said_by: dict[str, dict[str, Any]]) -> None:
    said = said_by[peer]

    check_said(said)
    assert list(said["accuracies"]) == ["relu, bias 0, seed 0", "leaky_relu, bias 0, seed 0"]
    assert ("command_seconds" in said) == (peer == "actbench_sweep")
    if peer == "actbench_sweep":
        assert said["dead_fractions"].keys() == said["accuracies"].keys()
        assert (said["diverged"], said["precision"]) == ([], "float32")
    assert 0 < said.get("training_seconds", 0.5 * said["seconds"]) < said["seconds"]
    assert (said["runs"], said["epochs"], said["examples"]) == (2, 2, EXAMPLES)


def check_said(said: dict[str, Any]) -> None:
    assert set(said) >= FIELDS
    assert min(said["accuracies"].values()) > 0.9  # chance is 0.1
    assert 0 < said["seconds"] < said.get("command_seconds", said["total_seconds"]) <= said["total_seconds"]


def test_the_limit_multiplies_and_learns_nothing(said_by: dict[str, dict[str, Any]]) -> None:
    said = said_by["products"]

    assert said["accuracies"] == {}
    assert len(said["kernels"]) == 3
    assert said["seconds"] > 0


@pytest.mark.parametrize(("options", "words"), [((), "no MNIST here"), (("--workload", "cifar10_cnn"), "no CIFAR10")])
def test_a_peer_without_data_says_so_and_ends_with_the_code_for_it(
    options: tuple[str, ...], words: str, tmp_path: Path, load, capsys: pytest.CaptureFixture[str]
) -> None:
    given = load("peers.program").task("", ["--data", str(tmp_path), *options])

    with pytest.raises(SystemExit) as ended:
        load("peers.examples").arrays(given)

    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_more_examples_than_there_are_end_a_peer(images: Path, load, capsys: pytest.CaptureFixture[str]) -> None:
    given = load("peers.program").task("", ["--data", str(images), "--examples", "513"])

    with pytest.raises(SystemExit) as ended:
        load("peers.examples").image_datasets(given)

    assert ended.value.code == 2
    assert "513 training examples wanted, but there are only 512" in capsys.readouterr().err


def test_both_ways_to_read_give_the_same_numbers(images: Path, load) -> None:
    given = load("peers.program").task("", ["--data", str(images), "--examples", "5"])
    examples = load("peers.examples")
    arrays, (train, test) = examples.arrays(given), examples.image_datasets(given)

    assert (len(train), len(test)) == (len(arrays.train_images), len(arrays.test_images)) == (5, TEST_EXAMPLES)
    for index in range(5):
        image, label = train[index]
        assert np.allclose(image.numpy(), arrays.train_images[index], atol=1e-6)
        assert label == arrays.train_labels[index]


def test_actbench_without_data_is_unusable(tmp_path: Path, load) -> None:
    launch = load("launch")
    arguments = ["--data", str(tmp_path), "--workload", "cifar10_cnn", "--examples", "10"]

    with pytest.raises(launch.UnusableError, match="image_folder"):
        launch.measure(launch.Setting("x", "actbench_sweep", 1, 2), arguments, runs=1, cores=launch.processors())


def test_processes_that_are_measured_together_train_different_runs(images: Path, load) -> None:
    launch = load("launch")
    setting = launch.Setting("in memory", "in_memory", processes=2, threads=1)
    arguments = ["--data", str(images), "--epochs", "2", "--examples", str(EXAMPLES)]

    found = launch.measure(setting, arguments, runs=1, cores=launch.processors()[:2])

    assert set(found.accuracies) == {"relu, bias 0, seed 0", "leaky_relu, bias 0, seed 0"}
    assert found.runs == 2
    for said in found.said:
        check_said(said)
        assert (said["runs"], said["epochs"], said["examples"]) == (1, 2, EXAMPLES)
    assert found.seconds == max(one["seconds"] for one in found.said) / 2
    assert found.whole_seconds > found.seconds == found.training_seconds


def test_a_peer_that_is_not_installed_is_unusable_and_one_that_fails_is_broken(tmp_path: Path, load) -> None:
    launch = load("launch")
    cores = launch.processors()[:1]

    with pytest.raises(launch.UnusableError, match="no_such_library is not installed"):
        launch.measure(launch.Setting("x", "in_memory", 1, 1, needs="no_such_library"), [], runs=1, cores=cores)
    with pytest.raises(launch.UnusableError, match="no MNIST here"):
        launch.measure(launch.Setting("x", "in_memory", 1, 1), ["--data", str(tmp_path)], runs=1, cores=cores)
    with pytest.raises(launch.BrokenPeerError, match="exit code 1"):
        launch.measure(launch.Setting("x", "no_such_peer", 1, 1), [], runs=1, cores=cores)


def test_a_convolutional_network_has_as_many_numbers_as_actbench_s(load) -> None:
    from actbench.schema.components import resolve

    networks, workloads = load("peers.networks"), load("workloads")
    workload = workloads.CIFAR10_CNN
    model = resolve("models", {"name": "cnn", "channels": workload.blocks, "dense": workload.dense}).build()
    network = networks.build(workload, workloads.sweep(1)[0])

    widths = model.hidden_layers(workload.shape, workload.classes)
    layers = [layer for layer in network if hasattr(layer, "weight")]
    assert [len(layer.weight) for layer in layers] == [*widths.values(), workload.classes]
    assert sum(value.numel() for value in network.parameters()) == 591_274  # counted by hand: 65,568 + 524,416 + 1,290


def test_a_peer_starts_as_actbench_does(load) -> None:
    networks, workloads = load("peers.networks"), load("workloads")
    first, *_, last = [
        layer
        for layer in networks.build(workloads.MNIST_MLP, workloads.Run("relu", 0.01, 3))
        if hasattr(layer, "weight")
    ]

    assert float(first.weight.detach().var()) == pytest.approx(2 / 784, rel=0.02)
    assert first.bias.unique().tolist() == pytest.approx([0.01])
    assert last.bias.unique().tolist() == [0.0]


def test_a_sweep_of_24_runs_has_every_cell_with_two_seeds(load) -> None:
    workloads = load("workloads")
    runs = workloads.sweep(24)

    assert len(set(runs)) == 24
    assert {run.seed for run in runs} == {0, 1}
    assert workloads.sweep(3, first=11) == runs[11:14]


def test_peers_and_actbench_take_turns(load) -> None:
    turns = load("turns")

    assert "".join(turns.order("A", "bc", rounds=2, together=1)) == "AbAcAcAbA"
    assert "".join(turns.order("A", "bcd", rounds=1, together=2)) == "AbcAdA"
    assert turns.order("A", [], rounds=3, together=1) == ["A"]


def test_a_ratio_is_to_the_mean_of_the_measurements_before_and_after(load) -> None:
    turns = load("turns")
    drifting = [("A", 1.0), ("b", 6.0), ("A", 2.0), ("c", 5.0), ("b", 12.0), ("A", 4.0)]

    assert turns.ratios("A", drifting) == {"b": [4.0, 4.0], "c": [5.0 / 3.0]}


@pytest.mark.parametrize("measured", [[], [("b", 1.0), ("A", 1.0)], [("A", 1.0), ("b", 1.0)]])
def test_a_ratio_without_a_measurement_on_either_side_is_refused(measured: list, load) -> None:
    with pytest.raises(ValueError, match="first and the last"):
        load("turns").ratios("A", measured)


def test_the_spread_is_the_median_with_the_extremes(load) -> None:
    spread = load("turns").Spread.of([3.0, 1.0, 10.0, 2.0])

    assert (spread.median, spread.low, spread.high, spread.n) == (2.5, 1.0, 10.0, 4)


def measured(load, name: str, seconds: float, *said: dict[str, Any], **accuracies: float):
    runs = len(said) or 1
    return load("launch").Measured(name, seconds, seconds / 2, 2 * seconds, runs, accuracies, said or [{}])


def test_a_peer_that_learns_something_else_ends_the_comparison(load) -> None:
    compare_peers = load("compare_peers")
    own = measured(load, "actbench", 1.0, relu=0.97, elu=0.90)

    compare_peers.check(own, measured(load, "close", 1.0, relu=0.965), 0.01)
    compare_peers.check(own, measured(load, "learns nothing", 1.0), 0.01)
    with pytest.raises(compare_peers.DisagreementError, match=r"far differs from actbench by -7\.00 points"):
        compare_peers.check(own, measured(load, "far", 1.0, relu=0.90, gelu=0.97), 0.01)
    with pytest.raises(compare_peers.DisagreementError, match="elu, bias 0, seed 0 has diverged"):
        compare_peers.check(measured(load, "actbench", 1.0, {"diverged": ["elu, bias 0, seed 0"]}), own, 0.01)


def test_a_program_s_time_for_more_runs_counts_training_and_compiling_as_often_as_a_process_has_them(load) -> None:
    # Two processes of one run each: 20 s in all, of which each trained 5 s and compiled at most 3 s.
    compiling = measured(
        load, "JAX", 2.5, {"compile_seconds": 3.0, "compiled_activations": 1}, {"compile_seconds": 2.0}
    )
    whole = replace(compiling, whole_seconds=10.0)

    assert whole.program_seconds(2) == 20.0
    assert whole.program_seconds(6) == 20.0 + 2 * 5.0 + 2 * 3.0
    assert whole.program_seconds(5) == whole.program_seconds(6)
    assert whole.program_seconds(24) == 20.0 + 11 * 5.0 + 5 * 3.0  # a process has 12 runs of six activations


def test_a_program_that_compiles_nothing_trains_more_runs_and_starts_once(load) -> None:
    plain = replace(measured(load, "plain", 30.0), whole_seconds=34.0)

    assert plain.program_seconds(1) == 34.0
    assert plain.program_seconds(24) == 4.0 + 24 * 30.0


def test_the_table_names_goals_that_are_not_reached_and_peers_that_are_left_out(load) -> None:
    launch, peer_table = load("launch"), load("peer_table")
    settings = [launch.Setting(name, "x", 1, 2) for name in ("slow", "level", "absent")]
    taken = [("actbench", 1.0), ("slow", 24.0), ("actbench", 3.0), ("level", 2.4), ("actbench", 1.0)]
    series = [measured(load, name, seconds, relu=0.9) for name, seconds in taken]

    names, goal = load("settings"), load("settings").Goal
    goals = {"slow": goal(12.0, names.TO_BUSY), "level": goal(1.0, names.TO_COMMAND), "absent": goal(1.0, names.WHOLE)}
    found = peer_table.rows("actbench", settings, series, goals)
    result = peer_table.to_json("actbench", found, series) | {"goals": peer_table.goal_list(found, goals)}
    text = peer_table.markdown(result | {"left_out": {"absent": "not installed"}, "notes": ["a note"]})

    assert [
        (row.name, row.ratio.median, row.ratio_to_training.median, row.ratio_to_command.median) for row in found
    ] == [("slow", 12.0, 24.0, 6.0), ("level", 1.2, 2.4, 0.6)]
    cells = "24 [24, 24] | 12 [12, 12] | 24 [24, 24] | 6 [6, 6] | 12 [12, 12] | 1 | ≥ 12 (÷ actbench): reached |"
    assert f"| slow | {cells}" in text
    assert "≥ 1 (÷ its whole command): not reached" in text
    assert "| absent | left out: not installed |" in text
    assert peer_table.goal_lines(result) == [
        "slow, ÷ actbench ≥ 12: reached, 12 [12, 12], n = 1",
        "level, ÷ its whole command ≥ 1: not reached, 0.6 [0.6, 0.6], n = 1",
        "absent, whole ÷ whole command ≥ 1: not measured",
    ]
    assert all(f"- {line}\n" in text for line in peer_table.goal_lines(result))
    assert text.endswith("- a note")
    assert json.loads(json.dumps(result))["rows"][0]["reached"] is True


@pytest.mark.parametrize(
    "file", sorted((ROOT / "benchmarks" / "results").glob("*-full-*.json")), ids=lambda one: one.name
)
def test_a_stored_result_is_printed_whatever_columns_it_has(file: Path, load) -> None:
    peer_table = load("peer_table")
    head, _, *rows = peer_table.markdown(json.loads(file.read_text("utf-8"))).splitlines()

    table = [row for row in rows if row.startswith("|")]
    assert len(table) > 2
    assert {row.count("|") for row in table} == {head.count("|")}


def test_busy_processes_end_with_their_context(load) -> None:
    with load("busy").spinning(load("launch").processors()[:2]) as ids:
        for process in ids:
            os.kill(process, 0)  # raises when there is none

    assert ids
    for process in ids:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_no_peer_is_unknown_to_the_goals(load) -> None:
    settings, columns = load("settings"), load("peer_table").COLUMNS

    for device, workload, epochs in product(("cpu", "cuda"), load("workloads").WORKLOADS, (1, 2, 5)):
        goals = settings.goals(workload, device, epochs=epochs)
        assert goals.keys() <= {one.name for one in settings.peers(device, workload)}
        assert {goal.column for goal in goals.values()} <= columns.keys()


def test_convolutions_are_compiled_by_the_step_and_dense_networks_by_the_epoch(load) -> None:
    settings = load("settings")
    names = {
        workload: {one.name for one in settings.peers("cpu", workload)} for workload in load("workloads").WORKLOADS
    }

    assert {"JAX scan", "JAX step"} & names["mnist_mlp"] == {"JAX scan"}
    assert {"JAX scan", "JAX step"} & names["cifar10_cnn"] == {"JAX step"}


def test_the_goals_on_whole_programs_are_those_of_five_epochs(load) -> None:
    settings = load("settings")
    full, single = (settings.goals("mnist_mlp", "cpu", epochs=epochs) for epochs in (5, 1))

    assert {name: goal.least for name, goal in full.items() if goal.column == settings.WHOLE} == {
        "plain DataLoader, 2 threads": 12.0,
        "tensors in memory": 1.5,
        "JAX scan": 1.0,
    }
    assert single == {
        "JAX scan": settings.Goal(0.9, settings.WHOLE),
        "products only": settings.Goal(1 / 1.25, settings.TO_STEPS),
    }
    assert settings.goals("cifar10_cnn", "cpu") == {"products only": settings.Goal(1 / 1.15, settings.TO_STEPS)}
    assert settings.goals("mnist_mlp", "cpu", precision="bfloat16") == {}


def test_every_peer_has_its_program(load) -> None:
    settings = load("settings")
    programs = {
        one.program
        for device, workload in product(("cpu", "cuda"), load("workloads").WORKLOADS)
        for one in (settings.subject(device), *settings.peers(device, workload))
    }

    assert [name for name in programs if not (ROOT / "benchmarks" / "peers" / f"{name}.py").is_file()] == []


def test_the_machine_is_described_without_its_paths(load) -> None:
    found = load("machine").described("cpu")

    assert set(found) == {
        *("processor", "processor_details", "processors", "device", "system", "python", "versions", "commit")
    }
    assert "torch" in found["versions"]
    assert str(ROOT) not in json.dumps(found)


TWO_WAYS = """\
import sys
folder = sys.argv[1]
sys.argv = ["jax_jit", "--data", folder, "--examples", "300", "--precision", sys.argv[2]]
from benchmarks.peers import jax_jit
import jax, jax.numpy as jnp
from benchmarks.peers.examples import arrays
from benchmarks.workloads import Run

workload, data = jax_jit.GIVEN.workload, arrays(jax_jit.GIVEN)
both = jnp.asarray(data.train_images.transpose(0, 2, 3, 1)), jnp.asarray(data.train_labels)
step = jax_jit.step_of(workload, "silu", jax_jit.GIVEN.precision)
found = []
for way in (jax_jit.scanned, jax_jit.stepped):
    state, keys = jax_jit.start(workload, Run("silu", 0.01, 3), 2)
    before = state[0][0]["weight"].copy()
    epoch = way(workload, step, state, keys[0], both)
    for key in keys:
        state = epoch(state, key)
    found.append(state[0])
    print(float(abs(state[0][0]["weight"] - before).max()))
print(max(float(abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, found), strict=True)))
"""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_jax_trains_the_same_by_the_step_as_by_the_epoch(precision: str, images: Path) -> None:
    pytest.importorskip("jax")
    command = [sys.executable, "-c", TWO_WAYS, str(images), precision]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    *moved, apart = map(float, done.stdout.split())

    assert min(moved) > 0.01
    assert apart < (1e-5 if precision == "float32" else 5e-3)


BESIDE_TORCH = """\
import sys
sys.argv = ["jax_jit", "--workload", "cifar10_cnn", "--data", "nowhere"]
from benchmarks.peers import jax_jit
import jax, jax.numpy as jnp, numpy as np, torch
from benchmarks.peers.networks import build
from benchmarks.workloads import CIFAR10_CNN as workload, Run

def params_of(network):
    found = []
    for layer in network:
        if hasattr(layer, "weight"):
            weight = layer.weight.detach().numpy()
            if weight.shape[-1] == workload.flat:  # torch counts channels first
                weight = weight.reshape(-1, 64, 8, 8).transpose(0, 2, 3, 1).reshape(len(weight), -1)
            axes = (2, 3, 1, 0) if weight.ndim == 4 else (1, 0)
            found.append({"weight": weight.transpose(axes).copy(), "bias": layer.bias.detach().numpy().copy()})
    return found

network, generator = build(workload, Run("gelu", 0.01, 0)), np.random.default_rng(0)
images = generator.normal(size=(24, 3, 32, 32)).astype("float32")
labels = generator.integers(0, 10, len(images))
start = params_of(network)
state = jax.tree.map(jnp.asarray, (start, jax.tree.map(np.zeros_like, start)))
data = jnp.asarray(images.transpose(0, 2, 3, 1)), jnp.asarray(labels)
step = jax.jit(jax_jit.step_of(workload, "gelu", "float32"))
optimizer = torch.optim.SGD(network.parameters(), lr=workload.learning_rate, momentum=workload.momentum)
for index in np.arange(len(images)).reshape(3, -1):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network(torch.tensor(images[index])), torch.tensor(labels[index])).backward()
    optimizer.step()
    state = step(state, index, *data)
own, torchs, first = (jax.tree.leaves(one) for one in (state[0], params_of(network), start))
print(min(float(abs(a - b).max()) for a, b in zip(own, first, strict=True)))
print(max(float(abs(a - b).max()) for a, b in zip(own, torchs, strict=True)))
"""


def test_jax_takes_the_steps_that_torch_takes_with_convolutions() -> None:
    pytest.importorskip("jax")
    command = [sys.executable, "-c", BESIDE_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    moved, apart = map(float, done.stdout.split())

    assert moved > 1e-3
    assert apart < 1e-5
