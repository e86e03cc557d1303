"""Load datasets: images and labels, checked, in a fixed order, split into training, validation and test.

To add a dataset, add a file named as configs name it, with a class whose fields are the options, its ``load``, and
``plugin = TheClass``; ``digits.py`` is the shortest example. Being there registers it.

Every dataset goes one way:

- decoded by its own file: with ``_idx`` (MNIST's file format), ``_torchvision`` (download, CIFAR), or ``_listing`` and
  ``_decoding`` (image files) where they fit; labels without names become indices in ``_labels``;
- checked as a ``Source``, the whole dataset before anything is cut from it (``_checks``, ``_oddities``);
- put in one fixed random order and cut (``_split``). The order does not depend on the run's seed, so that runs with
  different seeds are validated and tested on the same examples;
- kept decoded on disk between the two (``_cache``), memory-mapped by every process.

The result is a ``Data`` (``_data``, with the options that all datasets share). A user's own dataset, named by a
``path``, enters through ``_user_dataset``. Options are checked without NumPy: the code that decodes and splits is
imported when a dataset is loaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from actbench.datasets._data import Data, Dataset, DatasetOptions
from actbench.errors import DatasetError
from actbench.system.files import expanded

if TYPE_CHECKING:
    from actbench.schema.components import Component

__all__ = ["Data", "Dataset", "DatasetOptions", "data_folder", "image_shape", "load"]


def load(component: Component, folder: Path) -> Data:
    """Return the data of a built-in dataset, or of a user's own that is named by a ``path``.

    A user's ``package.module:attribute`` is called as ``attribute(folder, **options)`` with its own options and returns
    a ``Data``; or a mapping or tuple of ``train_images, train_labels, test_images, test_labels`` (a mapping may add
    ``classes``, or hold ``train_targets, test_targets`` in place of labels), which is ordered, split and normalised
    like any other dataset. ``train_size``, ``test_size``, ``val_fraction``, ``max_examples`` and ``scale`` are handled
    here and not passed on.

    Args:
        component: A component of kind ``datasets``.
        folder: The folder of datasets and their cache, as ``data_folder`` returns it.

    Raises:
        DatasetError: When the dataset is absent, unreadable, malformed or too small for the options, or the folder is
            a file.
    """
    if os.path.isfile(folder):
        raise DatasetError(f"the data folder {folder} is a file: name a folder with --data-dir or ACTBENCH_DATA")
    if component.path is not None:
        from actbench.datasets import _user_dataset

        return _user_dataset.load(component, folder)
    dataset: Dataset = component.build()
    try:
        return dataset.load(folder)
    except OSError as error:  # no permission, a name too long, a disk that fails: no fault of the runs
        place = error.filename or folder
        raise DatasetError(f"dataset '{component.name}' can't be read: {place}: {error.strerror or error}") from error


def image_shape(component: Component) -> tuple[int, int, int] | None:
    """Return (C, H, W) of a dataset's images where it is known without reading them; else None.

    >>> from actbench.schema.components import resolve
    >>> image_shape(resolve("datasets", "mnist-5k")), image_shape(resolve("datasets", {"name": "idx", "root": "there"}))
    ((1, 28, 28), None)
    """
    return None if component.path is not None else component.build().image_shape


def data_folder(given: Path | None) -> Path:
    """Return the folder of datasets: the given one, else ``$ACTBENCH_DATA``, else one in the user's cache folder."""
    chosen = given or os.environ.get("ACTBENCH_DATA")
    if chosen:
        return expanded(chosen)
    import platformdirs

    return platformdirs.user_cache_path("actbench") / "datasets"
