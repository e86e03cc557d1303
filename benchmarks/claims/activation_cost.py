"""What an activation costs: nanoseconds an element, and its share of a training step.

    python -m benchmarks.claims.activation_cost --rounds 5 -o results/claims/cost.json

Part one is ``actbench cost --json``. Part two times whole training steps (forward, loss, backward, SGD with momentum)
on batches of 128 MNIST images, in one thread: a step of actbench's own trainer, and one of a plain torch loop, which is
what most people run. In each round all activations take turns, once forwards and once backwards, so that a machine that
slows down slows all of them; a time is the mean of the two. It is given over relu's of the same round, and as the share
1 − identity/activation: what would be saved without any activation. About three minutes with five rounds.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from actbench.nn import cpu_library
from actbench.nn.native import library as native
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.system.worker_environment import ALLOCATOR, THREADS
from actbench.training import numerics
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_stepper
from benchmarks import machine
from benchmarks.launch import ROOT
from benchmarks.turns import Spread

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
"""actbench's name -> torch's module."""

MLP, DEEP, CNN = "784-256-256-10", "784-256×5-10", "CNN 16-32"
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    MLP: {"name": "mlp", "hidden": [256, 256]},
    DEEP: {"name": "mlp", "hidden": [256] * 5},
    CNN: {"name": "cnn", "channels": [16, 32], "dense": []},
}
OWN, PLAIN = "actbench", "torch, eager"
BATCH, BATCHES, CLASSES = 128, 16, 10
SAMPLE_SECONDS = 0.12
"""Seconds of relu's steps that make up a sample: hundreds of steps of an MLP, so that a process switch is small."""

MIN_ROUNDS_OF_COST = 5
"""The fewest that ``actbench cost`` takes."""

Batch = tuple[Tensor, Tensor]
Steps = Callable[[int], None]
"""Take so many training steps."""


@dataclass(frozen=True)
class Round:
    """Seconds of a step of each activation, in one round."""

    seconds: Mapping[str, float]

    def over_relu(self, name: str) -> float:
        """Return the time of a step over that with relu."""
        return self.seconds[name] / self.seconds["relu"]

    def share(self, name: str) -> float:
        """Return the share of a step that the activation takes: 1 − identity's step over its own."""
        return 1 - self.seconds["identity"] / self.seconds[name]


def main() -> int:
    given = _parser().parse_args()
    _as_a_worker()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # else the momentum of dead units, once it is 1e-40, would cost more than anything
    began = time.perf_counter()
    result: dict[str, Any] = {
        "schema": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.described("cpu"),
        "load": {"before": machine.load_average()},
        "rounds": given.rounds,
        "batch": BATCH,
        "elementwise": elementwise(given.rounds),
        "steps": [row for network in given.network or NETWORKS for row in step_rows(network, given.rounds)],
    }
    result["load"]["after"] = machine.load_average()
    result["seconds"] = round(time.perf_counter() - began)
    print(shown(result["steps"]))
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(text_of(result), "utf-8")
    return 0


def elementwise(rounds: int) -> dict[str, Any]:
    """Return what ``actbench cost --json`` prints of the same activations."""
    command = [sys.executable, "-m", "actbench", "cost", *ACTIVATIONS, "--json"]
    command += ["--rounds", str(max(MIN_ROUNDS_OF_COST, rounds))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def step_rows(network: str, rounds: int, *, sample_seconds: float = SAMPLE_SECONDS) -> list[dict[str, Any]]:
    """Measure one network by both trainers and return a row for each trainer and activation."""
    trainers = {OWN: own_steps(network), PLAIN: plain_steps(network)}
    measured: dict[str, list[Round]] = {name: [] for name in trainers}
    counts = {name: _enough(steps["relu"], sample_seconds) for name, steps in trainers.items()}
    for number in range(rounds):
        for trainer, steps in trainers.items():
            measured[trainer].append(one_round(steps, counts[trainer]))
        print(f"{network}: {number + 1} of {rounds} rounds", file=sys.stderr)
    return [row for trainer, found in measured.items() for row in rows_of(network, trainer, found)]


def one_round(steps: Mapping[str, Steps], count: int, clock: Callable[[], float] = time.thread_time) -> Round:
    """Time each activation twice, in turn, forwards and then backwards, and return the means."""
    names = list(steps)
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in (*names, *reversed(names)):
        steps[name](math.ceil(count / 10))  # its own tensors and kernels come back into the caches
        began = clock()
        steps[name](count)
        times[name].append((clock() - began) / count)
    return Round({name: sum(own) / len(own) for name, own in times.items()})


def rows_of(network: str, trainer: str, rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Return a row for each activation: medians over the rounds, with the smallest and the largest."""
    return [
        {
            "network": network,
            "trainer": trainer,
            "activation": name,
            "microseconds": asdict(Spread.of([1e6 * one.seconds[name] for one in rounds])),
            "ratio_to_relu": asdict(Spread.of([one.over_relu(name) for one in rounds])),
            "share": asdict(Spread.of([one.share(name) for one in rounds])),
        }
        for name in rounds[0].seconds
    ]


# ---- the steps -----------------------------------------------------------------------------------------------------


def state_of(network: str, activation: str) -> TrainState:
    """Open a run of actbench's own trainer on MNIST images."""
    training = {"batch_size": BATCH, "optimizer": {"name": "sgd", "lr": 1e-3, "momentum": 0.9}}
    model = dict(NETWORKS[network])
    spec = RunSpec.model_validate(
        {"dataset": "mnist-5k", "model": model, "activation": activation, "training": training}
    )
    return TrainState.open(Cohort((spec,)), Runtime(device="cpu", engine="inline"))


def own_steps(network: str) -> dict[str, Steps]:
    """Return activation -> steps of actbench's trainer, as ``actbench run`` takes them on this machine."""
    states = {name: state_of(network, name) for name in ACTIVATIONS}
    batches = batches_of(next(iter(states.values())))
    products, kernels = cpu_library.choose().products, native.choose().kernels

    def steps_of(state: TrainState) -> Steps:
        stepper = choose_stepper(state, capture=True)
        state.act.training = True
        endless = itertools.cycle(batches)

        def take(count: int) -> None:
            with numerics.deterministic_numerics(products, kernels):
                while count > 0:
                    chunk = list(itertools.islice(endless, min(count, stepper.batches_per_call)))
                    stepper(state, chunk)
                    count -= len(chunk)

        take(2)  # the trace is recorded
        return take

    return {name: steps_of(state) for name, state in states.items()}


def batches_of(state: TrainState) -> list[Batch]:
    """Return the first whole batches of an epoch, x (1, B, 1, 28, 28) and labels (1, B)."""
    return list(itertools.islice(state.batches.epoch(), BATCHES))


def plain_steps(network: str) -> dict[str, Steps]:
    """Return activation -> steps of a plain torch loop on the same batches."""
    batches = [(x[0].contiguous(), labels[0].contiguous()) for x, labels in batches_of(state_of(network, "relu"))]

    def steps_of(name: str) -> Steps:
        model = plain_network(network, ACTIVATIONS[name])
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        loss_of = nn.CrossEntropyLoss()
        endless = itertools.cycle(batches)

        def take(count: int) -> None:
            for x, labels in itertools.islice(endless, count):
                optimizer.zero_grad()
                loss_of(model(x), labels).backward()
                optimizer.step()

        take(2)
        return take

    return {name: steps_of(name) for name in ACTIVATIONS}


def plain_network(network: str, activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Return the network as a plain torch module, with torch's own initialisation."""
    layers: list[nn.Module] = []
    if network == CNN:
        before = 1
        for channels in NETWORKS[CNN]["channels"]:
            layers += [nn.Conv2d(before, channels, 3, padding=1), activation(), nn.MaxPool2d(2)]
            before = channels
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * 7 * 7, CLASSES))
    before = 784
    for units in NETWORKS[network]["hidden"]:
        layers += [nn.Linear(before, units), activation()]
        before = units
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(before, CLASSES))


def _enough(steps: Steps, seconds: float) -> int:
    """Return how many steps last about so long."""
    steps(20)
    began = time.thread_time()
    steps(20)
    return max(1, math.ceil(seconds / max((time.thread_time() - began) / 20, 1e-6)))


# ---- what is written -----------------------------------------------------------------------------------------------


def text_of(result: Mapping[str, Any]) -> str:
    """Return the file: the same figures give the same text."""
    return json.dumps(_rounded(result), indent=1, ensure_ascii=False) + "\n"


def _rounded(value: Any) -> Any:
    """Return a value whose numbers have five digits, more than any timing is good for."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


def shown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of steps."""
    lines = [
        "| network | trainer | activation | µs a step | over relu | share |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        time_, ratio, share = (
            _range(row[key], factor, digits)
            for key, factor, digits in (("microseconds", 1, 0), ("ratio_to_relu", 1, 3), ("share", 100, 1))
        )
        lines.append(f"| {row['network']} | {row['trainer']} | {row['activation']} | {time_} | {ratio} | {share} % |")
    return "\n".join(lines)


def _range(spread: Mapping[str, float], factor: float, digits: int) -> str:
    median, low, high = (f"{factor * spread[key]:.{digits}f}" for key in ("median", "low", "high"))
    return f"{median} [{low}, {high}]"


def _as_a_worker() -> None:
    """Start this program again with a worker's environment, which libraries read when they load."""
    if "GLIBC_TUNABLES" not in os.environ:
        glibc = ":".join(f"glibc.malloc.{name}={value}" for name, value in ALLOCATOR.items())
        own = os.environ | dict.fromkeys(THREADS, "1") | {"GLIBC_TUNABLES": glibc}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.claims.activation_cost", *sys.argv[1:]], own)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="only this one")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
