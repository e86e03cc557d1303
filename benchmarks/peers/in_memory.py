"""PyTorch without a DataLoader: all images as one normalised tensor on the device, batches by index, an eager loop.

    python -m benchmarks.peers.in_memory --runs 2 --threads 1 --data FOLDER

Timed: building the network, shuffling, gathering batches, forward, backward, step. Not timed: imports, reading and
normalising the images, the test after the last epoch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.peers.examples import arrays
from benchmarks.peers.networks import accuracy, build, computing_in, test_batches
from benchmarks.peers.program import Stopwatch, Task, report, task
from benchmarks.workloads import Run


def train(task: Task, run: Run, images: Tensor, labels: Tensor) -> nn.Module:
    network = build(task.workload, run).to(task.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=task.workload.learning_rate, momentum=task.workload.momentum)
    network.train()
    for _ in range(task.epochs):
        order = torch.randperm(len(images), device=task.device)
        for index in order.split(task.workload.batch_size):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(images[index]), labels[index])
            loss.backward()
            optimizer.step()
    return network


def main() -> None:
    given = task(__doc__)
    torch.set_num_threads(given.threads)
    data = arrays(given)
    images = torch.from_numpy(data.train_images).to(given.device)
    labels = torch.from_numpy(data.train_labels).to(given.device)
    test = test_batches(data)
    stopwatch, accuracies = Stopwatch(given), []
    for run in given.runs:
        with stopwatch.training(), computing_in(given.precision, given.device):
            network = train(given, run, images, labels)
        accuracies.append(accuracy(network, test, given.device))
    report(given, stopwatch.seconds, accuracies, ("torch",))


if __name__ == "__main__":
    main()
