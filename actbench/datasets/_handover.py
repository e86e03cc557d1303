"""Carry a loaded dataset to processes on other machines, which have none of its files, as one block of bytes.

length of the header     8 bytes, little-endian
header                   JSON: every field of ``Data`` that is no array, and where each array lies
arrays                   each from a multiple of 64 bytes on, images of grey levels as the uint8 that they are
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actbench.datasets import data_folder, load
from actbench.datasets._data import Data
from actbench.schema.components import resolve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARRAYS = ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels")
FIELDS = ("name", "classes", "mean", "std", "fingerprint", "notes", "scale")
ALIGNMENT = 64
"""Bytes; any array may be mapped there, and a processor's vectors like it."""

_LENGTH = 8


def load_packed(component: str, folder: Path | None) -> NDArray[np.uint8]:
    """Load a dataset from this machine's files, and pack it.

    Args:
        component: A component of kind ``datasets``, as JSON.
        folder: The data folder; None for the usual one.

    Raises:
        DatasetError: As ``datasets.load``.
    """
    return pack(load(resolve("datasets", json.loads(component)), data_folder(folder)))


def pack(data: Data) -> NDArray[np.uint8]:
    """Return a dataset as one block, which ``read`` takes."""
    import numpy as np

    arrays = {name: np.ascontiguousarray(getattr(data, name)) for name in ARRAYS}
    places: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        places[name] = {"type": array.dtype.str, "shape": array.shape, "at": end}
        end += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    header = json.dumps({**{name: getattr(data, name) for name in FIELDS}, "arrays": places}).encode()
    start = _start(len(header))
    block = np.zeros(start + end, np.uint8)
    block[:_LENGTH] = np.frombuffer(len(header).to_bytes(_LENGTH, "little"), np.uint8)
    block[_LENGTH : _LENGTH + len(header)] = np.frombuffer(header, np.uint8)
    for name, array in arrays.items():
        at = start + places[name]["at"]
        block[at : at + array.nbytes] = array.reshape(-1).view(np.uint8)
    return block


def read(path: Path) -> Data:
    """Return the dataset of a file that holds such a block, memory-mapped copy-on-write.

    Raises:
        OSError: When the file can't be read.
    """
    import numpy as np

    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        header = json.loads(file.read(length))
    start, content = _start(length), dict[str, Any]()
    for name, place in header.pop("arrays").items():
        kind, shape = np.dtype(place["type"]), tuple(place["shape"])
        if 0 in shape:  # nothing can be mapped
            content[name] = np.zeros(shape, kind)
        else:
            mapped = np.memmap(path, kind, "c", start + place["at"], shape)
            content[name] = mapped.view(np.ndarray)
    content |= {name: tuple(value) if isinstance(value, list) else value for name, value in header.items()}
    return Data(**content)


def _start(header: int) -> int:
    """Return where the arrays begin behind a header of so many bytes."""
    return -(-(_LENGTH + header) // ALIGNMENT) * ALIGNMENT
