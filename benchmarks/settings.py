"""Who is measured on which device, how each gets the cores, and what actbench aims at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.launch import Setting
from benchmarks.workloads import WORKLOADS

CORES = 2
"""What every peer is given on a CPU: the goals are for two cores."""

SUBJECT = "actbench"
BUSY_GOAL = 2.5
"""Most that two other busy processes on the two cores may slow actbench down."""

CUDA_RUNS = 60

PLAIN_THREADS, PLAIN_PROCESSES = "plain DataLoader, 2 threads", "plain DataLoader, 2 processes"
IN_MEMORY, PRODUCTS = "tensors in memory", "products only"
JAX_SCAN, JAX_STEP = "JAX scan", "JAX step"
"""JAX compiles a dense network's whole epoch, and of one with convolutions a step: ``peers/jax_jit.py`` says why."""

ONE_BY_ONE = "actbench, one by one"


TO_BUSY, TO_STEPS, TO_COMMAND, WHOLE = "÷ actbench", "÷ its steps alone", "÷ its whole command", "whole ÷ whole command"
"""The columns of ratios: a peer's training over three of actbench's times; and its whole program over the command."""


@dataclass(frozen=True)
class Goal:
    """The least ratio that actbench aims at, and the column that decides."""

    least: float
    column: str


def subject(device: str) -> Setting:
    """Actbench itself: two worker processes of one thread each, or one on a GPU."""
    return Setting(SUBJECT, "actbench_sweep", 1, CORES if device == "cpu" else 1)


def peers(device: str, workload: str) -> tuple[Setting, ...]:
    """All the peers of a workload on a device.

    On a CPU each peer gets the two cores in the way that suits small networks best: two processes of one thread, each
    with its own runs. The plain script is measured besides as most people run it: one process, two threads.
    """
    if device == "cpu":
        return (
            Setting(PLAIN_THREADS, "plain_dataloader", 1, CORES),
            Setting(PLAIN_PROCESSES, "plain_dataloader", CORES, 1),
            Setting(IN_MEMORY, "in_memory", CORES, 1),
            Setting("Lightning", "lightning_loop", CORES, 1, needs="lightning"),
            Setting("skorch", "skorch_loop", CORES, 1, needs="skorch"),
            Setting(JAX_STEP if WORKLOADS[workload].blocks else JAX_SCAN, "jax_jit", CORES, 1, needs="jax"),
            Setting(PRODUCTS, "products", CORES, 1),
        )
    return (
        Setting("plain DataLoader", "plain_dataloader", 1, CORES),
        Setting(IN_MEMORY, "in_memory", 1, 1),
        Setting("tight loop", "tight_loop", 1, 1),
        Setting("torch.func ensembles", "vmap_ensemble", 1, 1),
        Setting(ONE_BY_ONE, "actbench_sweep", 1, 1, options=("--cohort-size", "1")),
        Setting(PRODUCTS, "products", 1, 1),
    )


def goals(workload: str, device: str, *, epochs: int = 5, precision: str = "float32") -> Mapping[str, Goal]:
    """Peer -> goal.

    Those on the whole program are for runs of five epochs or more, but for JAX's, which has one for a single epoch too;
    where two to four epochs are trained, only the products' goal is left. bfloat16 has a goal of its own, against
    float32 (``precisions.py``).
    """
    if precision != "float32":
        return {}
    if device != "cpu":
        wanted = {IN_MEMORY: Goal(20.0, TO_BUSY), ONE_BY_ONE: Goal(20.0, TO_BUSY)}
        return wanted if workload == "mnist_mlp" else {}
    if workload == "cifar10_cnn":
        return {PRODUCTS: Goal(1 / 1.15, TO_STEPS)}
    found = {PRODUCTS: Goal(1 / 1.25, TO_STEPS)}
    if epochs == 1:
        found[JAX_SCAN] = Goal(0.9, WHOLE)
    elif epochs >= 5:
        found |= {PLAIN_THREADS: Goal(12.0, WHOLE), IN_MEMORY: Goal(1.5, WHOLE), JAX_SCAN: Goal(1.0, WHOLE)}
    return found
