"""Who is measured on which device, how each gets the cores, and what actbench aims at."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.launch import Setting

CORES = 2
"""What every peer is given on a CPU: the goals are for two cores."""

SUBJECT = "actbench"
BUSY_GOAL = 2.5
"""Most that two other busy processes on the two cores may slow actbench down."""

CUDA_RUNS = 60

PLAIN_THREADS, PLAIN_PROCESSES = "plain DataLoader, 2 threads", "plain DataLoader, 2 processes"
IN_MEMORY, JAX, PRODUCTS = "tensors in memory", "JAX scan", "products only"
ONE_BY_ONE = "actbench, one by one"


def subject(device: str) -> Setting:
    """Actbench itself: two worker processes of one thread each, or one on a GPU."""
    return Setting(SUBJECT, "actbench_sweep", 1, CORES if device == "cpu" else 1)


def peers(device: str) -> tuple[Setting, ...]:
    """All the peers of a device.

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
            Setting(JAX, "jax_scan", CORES, 1, needs="jax"),
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


def goals(workload: str, device: str) -> Mapping[str, float]:
    """Peer -> least ratio of its seconds per run to actbench's."""
    if workload == "mnist_mlp" and device == "cpu":
        return {PLAIN_THREADS: 12.0, PLAIN_PROCESSES: 12.0, JAX: 1.0, PRODUCTS: 1 / 1.5}
    if workload == "mnist_mlp":
        return {IN_MEMORY: 20.0, ONE_BY_ONE: 20.0}
    return {PLAIN_THREADS: 2.5, PLAIN_PROCESSES: 2.5} if device == "cpu" else {}
