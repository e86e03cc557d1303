"""Plain PyTorch as its tutorials teach it: a torchvision dataset with transforms, a DataLoader, one loop.

    python -m benchmarks.peers.plain_dataloader --runs 2 --threads 2 --data FOLDER

Timed: building the network, every batch (decoding, transforms, collating), forward, backward, step. Not timed: imports,
reading the files, the test after the last epoch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.peers.examples import image_datasets
from benchmarks.peers.networks import accuracy, build, computing_in
from benchmarks.peers.program import Stopwatch, Task, report, task
from benchmarks.workloads import Run


def train(task: Task, run: Run, loader: DataLoader[Any]) -> nn.Module:
    network = build(task.workload, run).to(task.device)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=task.workload.learning_rate, momentum=task.workload.momentum)
    network.train()
    for _ in range(task.epochs):
        for images, labels in loader:
            images, labels = images.to(task.device), labels.to(task.device)
            optimizer.zero_grad()
            loss = loss_function(network(images), labels)
            loss.backward()
            optimizer.step()
    return network


def main() -> None:
    given = task(__doc__)
    torch.set_num_threads(given.threads)
    train_set, test_set = image_datasets(given)
    train_loader = DataLoader(train_set, batch_size=given.workload.batch_size, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=1000)
    stopwatch, accuracies = Stopwatch(given), []
    for run in given.runs:
        with stopwatch.training(), computing_in(given.precision, given.device):
            network = train(given, run, train_loader)
        accuracies.append(accuracy(network, test_loader, given.device))
    report(given, stopwatch.seconds, accuracies, ("torch", "torchvision"))


if __name__ == "__main__":
    main()
