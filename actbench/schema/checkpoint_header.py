"""The first line of a checkpoint: its runs and the environment that computed them, readable without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from actbench.schema.spec import SEMANTICS_VERSION, RunSpec

FORMAT = 2
"""Version of the bytes behind the first line. Raised when they change, or their meaning does."""

_MAGIC = "actbench checkpoint"
MAX_HEADER = 1_000_000
"""Bytes of a first line: 10,000 runs."""


class UnusableCheckpoint(Exception):
    """A checkpoint can't be used; the text says why."""


@dataclass(frozen=True)
class CheckpointHeader:
    """Identify a checkpoint's runs, and the environment in which resuming them is bit-exact.

    Args:
        runs: Digests of the cohort's runs, in its order.
        device: ``cpu``, ``cuda`` … without a number.
        torch: Version of torch.
        products: The library of ``cpu_library`` that computed the matrix products.
        data: Fingerprint of the dataset.
        sha256: Checksum of everything behind the first line.
        format: ``FORMAT`` of the version that wrote it.
        semantics: ``SEMANTICS_VERSION`` of the version that wrote it.
        kernels: ``native`` or ``torch``, which computed activations and losses; earlier versions had torch's alone.
        epoch: The last epoch that had ended, from which its runs go on; None in files of earlier versions.
    """

    runs: tuple[str, ...]
    device: str
    torch: str
    products: str
    data: str
    sha256: str
    format: int = FORMAT
    semantics: int = SEMANTICS_VERSION
    kernels: str = "torch"
    epoch: int | None = None

    def line(self) -> bytes:
        """Return the first line, with its end."""
        return json.dumps({"what": _MAGIC, **asdict(self)}).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> CheckpointHeader:
        """Read a first line.

        Raises:
            UnusableCheckpoint: When it belongs to no checkpoint, or to one of another version.
        """
        try:
            content = json.loads(line[:MAX_HEADER])
            magic, runs = content.pop("what"), tuple(content.pop("runs"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnusableCheckpoint("it is damaged, or not a checkpoint") from error
        if magic != _MAGIC:
            raise UnusableCheckpoint("it is not a checkpoint of actbench")
        if (content.get("format"), content.get("semantics")) != (FORMAT, SEMANTICS_VERSION):
            raise UnusableCheckpoint("another version of actbench has written it")
        try:
            return cls(runs=runs, **content)
        except TypeError as error:
            raise UnusableCheckpoint("it is damaged") from error


def checkpoint_name(specs: Sequence[RunSpec]) -> str:
    """Return the file name of a cohort's checkpoint: sha256 over the digests of its runs, in their order."""
    return hashlib.sha256("\n".join(spec.digest for spec in specs).encode()).hexdigest() + ".pt"


def parse_checkpoint(content: bytes) -> tuple[CheckpointHeader, bytes]:
    """Split a checkpoint into its header and the rest, and compare the checksum.

    Raises:
        UnusableCheckpoint: When it is damaged or of another version.
    """
    line, _, rest = content.partition(b"\n")
    header = CheckpointHeader.parse(line)
    if hashlib.sha256(rest).hexdigest() != header.sha256:
        raise UnusableCheckpoint("it is damaged: its checksum differs")
    return header, rest
