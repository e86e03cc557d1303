"""One integer seed -> named, independent random streams.

Every draw names its purpose, so that changing one choice (the bias init, say) shifts no other draw, and runs with
equal seeds share initial weights and batch order across activations: their differences are paired.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import torch

Purpose = Literal["init.weight", "init.bias", "module", "data.order", "data.augment", "dropout", "activation"]


def stream(seed: int, purpose: Purpose) -> torch.Generator:
    """A CPU generator of its own for this seed and purpose, the same on every machine.

    Seeded from the first 8 bytes of sha256(``"{seed}/{purpose}"``); Python's ``hash`` changes from process to process.
    (The validation split has its stream ``data.split`` in ``datasets``; it must not depend on the run's seed.)

    >>> a, b = stream(0, "init.weight"), stream(0, "init.weight")
    >>> bool((torch.rand(3, generator=a) == torch.rand(3, generator=b)).all())
    True
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
