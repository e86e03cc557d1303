"""What measuring health costs beside the epoch it follows, in one process, in turn.

    python benchmarks/health_cost.py [--runs 1] [--rounds 7] [--dataset mnist]

Prints the ratio (health + gradients) / epoch with its spread, what a measurement takes beside the forward passes in it,
by each kind of kernels, with and without histograms, and the peak memory that a larger probe adds.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from functools import partial
from pathlib import Path

import torch

from actbench.nn.native import library as native
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import HealthSettings, RunSpec
from actbench.system.devices import processors
from actbench.training.evaluation import BATCH, measure_gradients, measure_unit_health
from actbench.training.loop import train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.choice import Stepper, choose_stepper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="runs in the cohort")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--data-dir", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    activations = ("relu", "elu", "selu", "tanh", "gelu", "swish", "leaky_relu", "prelu")[: arguments.runs]
    fields = {"dataset": arguments.dataset, "model": arguments.model}
    specs = tuple(RunSpec.model_validate(fields | {"activation": name}) for name in activations)
    state = TrainState.open(Cohort(specs), Runtime(device="cpu", data_folder=arguments.data_dir))
    stepper = choose_stepper(state, capture=True)
    with native.use_kernels(native.load()):  # as a training does
        ratios = [_ratio(state, stepper, len(specs)) for _ in range(arguments.rounds + 1)][1:]  # the first one warms up
    spread = f"[{min(ratios):.3f}, {max(ratios):.3f}]"
    print(f"{arguments.dataset} {arguments.model}, {len(specs)} runs, 1 thread of {processors()} processors")
    print(f"health / epoch: median {statistics.median(ratios):.3f} {spread}, n = {len(ratios)}")
    for name, kernels in (("native", native.load()), ("torch", None)):
        if name == "native" and kernels is None:
            print(f"no native kernels: {native.remembered().reason}")
            continue
        with native.use_kernels(kernels):
            rounds = [_against_forward(state, len(specs)) for _ in range(arguments.rounds + 1)][1:]
        for title, ratios in zip(("health", "with histograms"), zip(*rounds, strict=True), strict=True):
            spread = f"[{min(ratios):.3f}, {max(ratios):.3f}]"
            median = statistics.median(ratios)
            print(f"{title} / forward, {name} kernels: median {median:.3f} {spread}, n = {len(ratios)}")
    for size in (2000, 8000, 32000):
        _measure(state, len(specs), HealthSettings(probe_size=size))
        print(
            f"peak memory after a probe of {size:6}: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
        )


def _ratio(state: TrainState, stepper: Stepper, runs: int) -> float:
    began = time.perf_counter()
    train_epoch(state, stepper)
    middle = time.perf_counter()
    _measure(state, runs, state.cohort.shared.health)
    return (time.perf_counter() - middle) / (middle - began)


def _against_forward(state: TrainState, runs: int) -> tuple[float, float]:
    """Return the time of a measurement, without and with histograms, over that of its forward passes alone."""
    health = state.cohort.shared.health

    @torch.no_grad()
    def forward() -> None:
        for x, _ in state.images.in_order(state.images.train.first(health.probe_size), BATCH):
            state.forward(x.expand(runs, *x.shape[1:]))

    seconds = []
    measure = partial(measure_unit_health, state.forward, state.act, state.images, health, runs)
    for work in (forward, partial(measure, histograms=False), partial(measure, histograms=True)):
        began = time.thread_time()  # others may use the machine
        work()
        seconds.append(time.thread_time() - began)
    return seconds[1] / seconds[0], seconds[2] / seconds[0]


def _measure(state: TrainState, runs: int, health: HealthSettings) -> None:
    measure_unit_health(state.forward, state.act, state.images, health, runs, histograms=False)
    measure_gradients(state.forward, state.act, state.images, runs)


if __name__ == "__main__":
    main()
