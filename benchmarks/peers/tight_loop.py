"""One network at a time, as tightly as torch allows: images on the device, the whole step in one CUDA graph.

    python -m benchmarks.peers.tight_loop --runs 2 --device cuda --data FOLDER [--precision bfloat16]

After airbench (Jordan 2024, arXiv 2404.00498): normalised images stay on the GPU, batches are gathered there,
convolutions are channels-last, the optimizer is fused, and optionally ``torch.compile`` fuses what lies between the
products. Gathering, forward, backward and update are captured once and replayed. Timed: shuffling and all steps. Not
timed: imports, images, building, compiling and capturing the network, the test at the end. On a CPU the same step is
taken without a graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from benchmarks.peers.examples import arrays
from benchmarks.peers.networks import accuracy, build, computing_in, test_batches
from benchmarks.peers.program import Stopwatch, Task, report, task
from benchmarks.workloads import Run

WARM_UP = 3


@dataclass(frozen=True)
class Prepared:
    """A network that is ready to train.

    Args:
        network: At its initial weights.
        step: Takes the indices (B,) of a batch and trains on it.
        seconds: What building, compiling and capturing took.
    """

    network: nn.Module
    step: Callable[[Tensor], None]
    seconds: float


def prepare(task: Task, run: Run, images: Tensor, labels: Tensor, *, compiled: bool = False) -> Prepared:
    """Build the run's network, compile it if wanted, capture a step of it, and put the initial weights back."""
    began = time.perf_counter()
    network = build(task.workload, run).to(task.device)
    if task.workload.blocks:
        network = network.to(memory_format=torch.channels_last)
    model = torch.compile(network) if compiled else network
    optimizer = torch.optim.SGD(
        network.parameters(), lr=task.workload.learning_rate, momentum=task.workload.momentum, fused=True
    )
    chosen = torch.arange(task.workload.batch_size, device=task.device)

    def step(index: Tensor, forward: nn.Module = model) -> None:
        optimizer.zero_grad(set_to_none=True)
        with computing_in(task.precision, task.device):
            logits = forward(images.index_select(0, index))
            nn.functional.cross_entropy(logits, labels.index_select(0, index)).backward()
        optimizer.step()

    start = [parameter.detach().clone() for parameter in network.parameters()]
    replay = _captured(step, chosen) if task.device != "cpu" else step
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), start, strict=True):
            parameter.copy_(value)
            for state in optimizer.state[parameter].values():
                state.zero_()

    def take(index: Tensor) -> None:
        if len(index) == len(chosen):
            replay(index)
        else:  # an epoch's last batch: another size, which is not worth compiling for
            step(index, network)

    return Prepared(network, take, time.perf_counter() - began)


def _captured(step: Callable[[Tensor], None], chosen: Tensor) -> Callable[[Tensor], None]:
    """The step as a graph that reads its indices from ``chosen``."""
    side = _side_stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step(chosen)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        step(chosen)

    def replay(index: Tensor) -> None:
        chosen.copy_(index)
        graph.replay()

    return replay


@cache
def _side_stream() -> torch.cuda.Stream:
    """One for all networks: each stream that cuBLAS was used on keeps a workspace of its own."""
    return torch.cuda.Stream()


def train(task: Task, prepared: Prepared, examples: int) -> None:
    """All epochs."""
    for _ in range(task.epochs):
        order = torch.randperm(examples, device=task.device)
        for index in order.split(task.workload.batch_size):
            prepared.step(index)


def main() -> None:
    given = task(__doc__)
    torch.set_num_threads(given.threads)
    data = arrays(given)
    images, labels = on_device(given, data.train_images, data.train_labels)
    test = test_batches(data)
    stopwatch, accuracies = Stopwatch(given), []
    for run in given.runs:
        prepared = prepare(given, run, images, labels)
        with stopwatch.training():
            train(given, prepared, len(images))
        accuracies.append(accuracy(prepared.network, test, given.device))
    report(given, stopwatch.seconds, accuracies, ("torch",))


def on_device(task: Task, images: object, labels: object) -> tuple[Tensor, Tensor]:
    """Images in the memory format that convolutions read fastest, and labels."""
    x = torch.as_tensor(images).to(task.device)
    return x.contiguous(memory_format=torch.channels_last), torch.as_tensor(labels).to(task.device)


if __name__ == "__main__":
    main()
