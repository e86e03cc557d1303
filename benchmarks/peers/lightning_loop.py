"""Lightning as its documentation shows it, with logger, checkpoints and progress bar off: they cost it time.

    python -m benchmarks.peers.lightning_loop --runs 2 --threads 1 --data FOLDER

Its images lie in memory as one normalised tensor, and reach it through a DataLoader. Timed: building the network and
the trainer, and ``fit``. Not timed: imports, reading and normalising the images, the test after the last epoch.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.examples import arrays
from benchmarks.peers.networks import accuracy, build, test_batches
from benchmarks.peers.program import Stopwatch, Task, report, task
from benchmarks.workloads import Run


class Classifier(lightning.LightningModule):
    """A network with its loss and its optimizer."""

    def __init__(self, task: Task, run: Run) -> None:
        """Build the run's network."""
        super().__init__()
        self.workload = task.workload
        self.network = build(task.workload, run)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """The loss of one batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.network(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD with momentum."""
        return torch.optim.SGD(self.parameters(), lr=self.workload.learning_rate, momentum=self.workload.momentum)


def train(task: Task, run: Run, loader: DataLoader[Any]) -> nn.Module:
    classifier = Classifier(task, run)
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        accelerator="cpu" if task.device == "cpu" else "gpu",
        devices=1,
        precision="bf16-mixed" if task.precision == "bfloat16" else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(classifier, loader)
    return classifier.network


def main() -> None:
    given = task(__doc__)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")  # its advice on worker processes, once a run
    torch.set_num_threads(given.threads)
    data = arrays(given)
    train_set = TensorDataset(torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels))
    train_loader = DataLoader(train_set, batch_size=given.workload.batch_size, shuffle=True)
    test = test_batches(data)
    stopwatch, accuracies = Stopwatch(given), []
    for run in given.runs:
        with stopwatch.training():
            network = train(given, run, train_loader)
        accuracies.append(accuracy(network, test, given.device))
    report(given, stopwatch.seconds, accuracies, ("torch", "lightning"))


if __name__ == "__main__":
    main()
