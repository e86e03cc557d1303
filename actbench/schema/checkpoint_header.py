"""The first line of a checkpoint: whose it is and what it was computed with, readable without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from actbench.schema.spec import SEMANTICS_VERSION, RunSpec

FORMAT = 1
"""Version of what follows the first line. Raised when that changes, or would be read otherwise."""

_MAGIC = "actbench checkpoint"
LONGEST = 1_000_000
"""Bytes of a first line: 10,000 runs."""


class Unusable(Exception):
    """A checkpoint that can't be used; the text says why."""


@dataclass(frozen=True)
class CheckpointHeader:
    """Whose checkpoint it is, and under which circumstances it gives the same numbers.

    Args:
        runs: Digests of the cohort's runs, in its order.
        device: ``cpu``, ``cuda`` … without a number.
        torch: Version of torch.
        products: Which of ``cpu_linear.LIBRARIES`` were in use.
        data: Fingerprint of the dataset.
        sha256: Of all that follows the first line.
        format: ``FORMAT`` of who wrote it.
        semantics: ``SEMANTICS_VERSION`` likewise.
    """

    runs: tuple[str, ...]
    device: str
    torch: str
    products: str
    data: str
    sha256: str
    format: int = FORMAT
    semantics: int = SEMANTICS_VERSION

    def line(self) -> bytes:
        """The first line, with its end."""
        return json.dumps({"what": _MAGIC, **asdict(self)}).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> CheckpointHeader:
        """What a first line says.

        Raises:
            Unusable: When it is none, or that of another version.
        """
        try:
            content = json.loads(line[:LONGEST])
            magic, runs = content.pop("what"), tuple(content.pop("runs"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Unusable("it is damaged, or no checkpoint") from error
        if magic != _MAGIC:
            raise Unusable("it is no checkpoint of actbench")
        if (content.get("format"), content.get("semantics")) != (FORMAT, SEMANTICS_VERSION):
            raise Unusable("another version of actbench has written it")
        try:
            return cls(runs=runs, **content)
        except TypeError as error:
            raise Unusable("it is damaged") from error


def name_of(specs: Sequence[RunSpec]) -> str:
    """The file name of a cohort's checkpoint: sha256 over the digests of its runs, in their order."""
    return hashlib.sha256("\n".join(spec.digest for spec in specs).encode()).hexdigest() + ".pt"


def opened(state: bytes) -> tuple[CheckpointHeader, bytes]:
    """A checkpoint's heading and the rest.

    Raises:
        Unusable: When it is damaged or of another version.
    """
    line, _, rest = state.partition(b"\n")
    heading = CheckpointHeader.read(line)
    if hashlib.sha256(rest).hexdigest() != heading.sha256:
        raise Unusable("it is damaged: its checksum differs")
    return heading, rest
