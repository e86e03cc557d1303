"""skorch: a torch module behind scikit-learn's fit and score, the images as arrays in memory.

    python -m benchmarks.peers.skorch_loop --runs 2 --threads 1 --data FOLDER

Timed: building the classifier, and ``fit``, without a validation split and without printing. Not timed: imports,
reading and normalising the images, ``score`` after the last epoch.
"""

from __future__ import annotations

import torch
from skorch import NeuralNetClassifier
from torch import nn

from benchmarks.peers.examples import Arrays, arrays
from benchmarks.peers.networks import build, computing_in
from benchmarks.peers.program import Stopwatch, Task, report, task
from benchmarks.workloads import Run


def train(task: Task, run: Run, data: Arrays) -> NeuralNetClassifier:
    classifier = NeuralNetClassifier(
        build(task.workload, run),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=task.workload.momentum,
        lr=task.workload.learning_rate,
        max_epochs=task.epochs,
        batch_size=task.workload.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        device=task.device,
        verbose=0,
    )
    return classifier.fit(data.train_images, data.train_labels)


def main() -> None:
    given = task(__doc__)
    torch.set_num_threads(given.threads)
    data = arrays(given)
    stopwatch, accuracies = Stopwatch(given), []
    for run in given.runs:
        with stopwatch.training(), computing_in(given.precision, given.device):
            classifier = train(given, run, data)
        accuracies.append(float(classifier.score(data.test_images, data.test_labels)))
    report(given, stopwatch.seconds, accuracies, ("torch", "skorch"))


if __name__ == "__main__":
    main()
