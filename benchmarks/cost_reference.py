"""Hold ``actbench cost`` to a loop of torch's own functions in which nothing comes before an activation.

    python -m benchmarks.cost_reference [--rounds 5]

Each activation of the loop has a process to itself. The two take turns; printed is × ReLU in cache, median and range.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

PASSES = ("forward", "forward_backward")
NAMES = ("relu", "leaky_relu", "sigmoid", "tanh", "elu", "gelu", "silu")
BATCH, UNITS, LAYERS = 128, 256, 16
CALLS, SAMPLES = 60, 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", metavar="NAME", help="time this activation in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps({measured: alone(arguments.alone, measured) for measured in PASSES}))
        return
    found: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(arguments.rounds):
        for source, ratios in (("cost", by_cost()), ("alone", by_loop())):
            for key, ratio in ratios.items():
                found.setdefault((source, *key), []).append(ratio)
    print(f"× relu in cache, median [smallest, largest] of {arguments.rounds}")
    for measured in PASSES:
        for name in NAMES[1:]:
            mine, theirs = (spread(found[source, name, measured]) for source in ("cost", "alone"))
            print(f"{measured:17}{name:11} actbench cost {mine:22} a loop of its own {theirs}")


def by_cost() -> dict[tuple[str, str], float]:
    """Return (activation, pass) -> × ReLU, as the command reports it."""
    command = [sys.executable, "-m", "actbench", "cost", *NAMES, "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"]
    cached = [row for row in rows if row["size"] == "cache" and row["activation"] in NAMES]
    return {
        (row["activation"], measured): row[measured]["ratio_to_relu"]["median"] for row in cached for measured in PASSES
    }


def by_loop() -> dict[tuple[str, str], float]:
    """Return (activation, pass) -> × ReLU, each timed in a process of its own."""
    seconds = {}
    for name in NAMES:
        command = [sys.executable, "-m", "benchmarks.cost_reference", "--alone", name]
        seconds[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        (name, measured): seconds[name][measured] / seconds["relu"][measured] for name in NAMES for measured in PASSES
    }


def alone(name: str, measured: str) -> float:
    """Return the processor seconds of a call through all layers: the median of the samples."""
    call = _call(name, measured)
    for _ in range(3 * CALLS):
        call()
    samples = []
    for _ in range(SAMPLES):
        began = time.thread_time()
        for _ in range(CALLS):
            call()
        samples.append((time.thread_time() - began) / CALLS)
    return statistics.median(samples)


def _call(name: str, measured: str) -> Callable[[], object]:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.empty(28 * 2**20, dtype=torch.uint8)  # freed at once: the allocator then keeps the memory of later calls
    function = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}.get(name) or getattr(F, name)
    generator = torch.Generator().manual_seed(1)
    z, g = (torch.randn(BATCH, UNITS, generator=generator) for _ in range(2))
    leaves = [z.detach().requires_grad_() for _ in range(LAYERS)]

    def forward() -> None:
        with torch.no_grad():
            for leaf in leaves:
                function(leaf)

    def forward_backward() -> None:
        torch.autograd.grad([function(leaf) for leaf in leaves], leaves, [g] * LAYERS)

    return forward if measured == "forward" else forward_backward


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


if __name__ == "__main__":
    main()
