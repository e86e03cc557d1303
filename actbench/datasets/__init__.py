"""Datasets: one file a source, each with a ``plugin``; what they all return (``Data``) and the options they share.

Every source goes one way: decode -> check -> put in one fixed random order -> cache (``_cache``) -> cut (``_split``).
The order does not depend on the run's seed, so runs with different seeds are validated and tested on the same examples.

A dataset's options are checked without NumPy: what decodes and splits is imported when a dataset is loaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from actbench.datasets._data import Data, Dataset, DatasetOptions
from actbench.errors import DatasetError

if TYPE_CHECKING:
    from actbench.schema.components import Component

__all__ = ["Data", "Dataset", "DatasetOptions", "data_folder", "load"]


def load(component: Component, folder: Path) -> Data:
    """The data of a built-in dataset, or of a user's own that is named by a ``path``.

    A user's ``package.module:attribute`` is called as ``attribute(folder, **options)`` with its own options and returns
    a ``Data``; or a mapping or tuple of ``train_images, train_labels, test_images, test_labels`` (a mapping may add
    ``classes``), which is then ordered, split and normalised like any other dataset. ``train_size``, ``test_size``,
    ``val_fraction`` and ``max_examples`` are handled here and not passed on.

    Args:
        component: A component of kind ``datasets``.
        folder: Where datasets lie and are cached, as ``data_folder`` gives it.

    Raises:
        DatasetError: When the dataset is absent, unreadable, malformed or too small for the options, or the folder is
            a file.
    """
    if folder.is_file():
        raise DatasetError(f"the data folder {folder} is a file: name a folder with --data-dir or ACTBENCH_DATA")
    if component.path is not None:
        from actbench.datasets import _own

        return _own.load(component, folder)
    dataset: Dataset = component.build()
    return dataset.load(folder)


def data_folder(given: Path | None) -> Path:
    """Where datasets lie: the folder given, else ``$ACTBENCH_DATA``, else one in the platform's user cache folder."""
    chosen = given or os.environ.get("ACTBENCH_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("actbench") / "datasets"
