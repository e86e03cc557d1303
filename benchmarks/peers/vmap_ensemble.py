"""torch.func: the networks of one activation stacked with ``stack_module_state``, their passes under ``vmap``.

    python -m benchmarks.peers.vmap_ensemble --runs 60 --device cuda --data FOLDER

An ensemble holds networks of one architecture, so each activation of the sweep is an ensemble of its own, one after
another. Every network has its own order of the images, as if it were trained alone. Timed: building and stacking the
networks, shuffling, gathering, forward, backward, step. Not timed: imports, images, the test at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from benchmarks.peers.examples import arrays
from benchmarks.peers.networks import accuracy, build, computing_in, test_batches
from benchmarks.peers.program import Stopwatch, Task, report, task
from benchmarks.workloads import Run


def ensembles(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of each activation."""
    by_activation = sorted(runs, key=lambda run: run.activation)
    return [list(alike) for _, alike in groupby(by_activation, key=lambda run: run.activation)]


def train(task: Task, runs: Sequence[Run], images: Tensor, labels: Tensor) -> list[nn.Module]:
    """Train runs of one activation together; returns them as ordinary networks."""
    networks = [build(task.workload, run).to(task.device) for run in runs]
    parameters, _ = stack_module_state(networks)
    skeleton = copy.deepcopy(networks[0]).to("meta")
    optimizer = torch.optim.SGD(
        parameters.values(), lr=task.workload.learning_rate, momentum=task.workload.momentum, fused=True
    )

    def forward(own: dict[str, Tensor], x: Tensor) -> Tensor:
        logits: Tensor = functional_call(skeleton, own, (x,))
        return logits

    for _ in range(task.epochs):
        orders = torch.stack([torch.randperm(len(images), device=task.device) for _ in runs])
        for index in orders.split(task.workload.batch_size, dim=1):
            optimizer.zero_grad()
            with computing_in(task.precision, task.device):
                logits = vmap(forward)(parameters, images[index])
                losses = nn.functional.cross_entropy(
                    logits.flatten(0, 1).float(), labels[index].flatten(), reduction="none"
                )
                # The mean over each network's batch, summed over the networks: none scales another's gradient.
                (losses.sum() / index.shape[1]).backward()
            optimizer.step()
    with torch.no_grad():
        for position, network in enumerate(networks):
            for name, parameter in network.named_parameters():
                parameter.copy_(parameters[name][position])
    return list(networks)


def main() -> None:
    given = task(__doc__)
    torch.set_num_threads(given.threads)
    data = arrays(given)
    images = torch.from_numpy(data.train_images).to(given.device)
    labels = torch.from_numpy(data.train_labels).to(given.device)
    test = test_batches(data)
    stopwatch, found = Stopwatch(given), {}
    for runs in ensembles(given.runs):
        with stopwatch.training():
            networks = train(given, runs, images, labels)
        found |= {run: accuracy(network, test, given.device) for run, network in zip(runs, networks, strict=True)}
    report(given, stopwatch.seconds, [found[run] for run in given.runs], ("torch",))


if __name__ == "__main__":
    main()
