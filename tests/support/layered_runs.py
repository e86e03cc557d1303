"""Runs with the rows of their hidden layers, epoch by epoch: counts of masks that a test can look at."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Layered:
    """A run and which of its units were dead.

    Args:
        record: With ``layers`` in each row of its curves.
        dead: Layer -> (epochs, units) bool.
    """

    record: object
    dead: dict


def layered(one, *, layers=("hidden.0", "hidden.1"), epochs=4, units=20, ends=None, learned=(), silent=(), random=0):
    """Give a record the rows of these layers; the rest of its own rows stays as it is.

    Args:
        one: The record.
        layers: Names.
        epochs: Rows, the first of which is epoch 0.
        units: Of each layer.
        ends: First epoch without health, as of a run that diverges; None for a run that goes through.
        learned: Names of parameters that the activation learns.
        silent: Layers with gradient norm 0.
        random: Seeds the masks.
    """
    rng = np.random.default_rng([random, one.spec.seed])
    masks = {name: np.cumsum(rng.random((epochs, units)) < 0.12, axis=0) % 2 == 1 for name in layers}
    known, rows = {row["epoch"]: row for row in one.curves}, []
    for epoch in range(epochs):
        is_measured = ends is None or epoch < ends
        rows.append(
            {
                "epoch": epoch,
                "train.loss": 2.3 / (1 + epoch),
                "val.accuracy": 0.1 + 0.8 * epoch / epochs,
                **known.get(epoch, {}),
                "layers": [
                    _layer(rng, name, mask, epoch, learned, name in silent) for name, mask in masks.items()
                ] if is_measured else [],
            }
        )  # fmt: skip
        if not is_measured:
            break
    return Layered(replace(one, curves=tuple(rows)), masks)


def _layer(rng, name, mask, epoch, learned, is_silent):
    """Return one layer's row: what ``Dynamics`` counts, counted from the masks."""
    born, before, now = mask[0], mask[max(0, epoch - 1)], mask[epoch]
    row = {
        "name": name,
        "units": len(now),
        "dead": int(now.sum()),
        "not_finite": 0,
        "born_dead": int(born.sum()),
        "died": int((now & ~before).sum()),
        "revived": int((before & ~now).sum()),
        "lost": int((now & ~born).sum()),
        "gradient_norm": 0.0 if is_silent else float(10 ** rng.uniform(-4, 0)),
    }
    if learned:
        row["learned"] = {key: 0.25 if epoch == 0 else float(rng.normal(0.2, 0.3)) for key in learned}
    return row
