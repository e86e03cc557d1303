"""Load a user's own dataset, named by ``package.module:attribute``, and check all that it returns."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actbench.datasets import _split
from actbench.datasets._data import Data, DatasetOptions
from actbench.datasets._source import ARRAYS, Source, check_part, check_same_shape, checked, numbered_classes
from actbench.errors import ConfigError, DatasetError
from actbench.schema import registry
from actbench.schema.components import Component

if TYPE_CHECKING:
    from actbench.datasets._data import Labels


def load(component: Component, folder: Path) -> Data:
    """Call the user's attribute and check its result; see ``actbench.datasets.load``."""
    name, given = component.name, dict(component.options)
    shared = {key: given.pop(key) for key in DatasetOptions.model_fields if key in given}
    options = _options(name, shared)
    returned = _called(name, given.pop("path"), folder, given)
    if isinstance(returned, Data):
        return _finished(name, returned, options)
    return _split.split(name, _split.shuffled(checked(name, _source(name, returned))), options)


def _options(name: str, shared: dict[str, Any]) -> DatasetOptions:
    try:
        return DatasetOptions.parse(shared)
    except ConfigError as error:
        raise DatasetError(f"dataset '{name}': {error.messages}") from error


def _called(name: str, path: str, folder: Path, options: dict[str, Any]) -> Any:
    attribute = registry.import_object(path)
    if not callable(attribute):
        raise DatasetError(f"dataset '{name}': {path} is not callable, but {type(attribute).__name__}")
    try:
        inspect.signature(attribute).bind(folder, **options)
    except TypeError as error:
        raise DatasetError(f"dataset '{name}': can't call {path}(folder, {', '.join(options)}): {error}") from error
    try:
        return attribute(folder, **options)
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise DatasetError(f"dataset '{name}': {path} fails: {type(error).__name__}: {error}") from error


def _finished(name: str, data: Data, options: DatasetOptions) -> Data:
    """Check a ``Data`` that the user made, with a split and normalisation of its own, and cut it."""
    if "val_fraction" in options.model_fields_set:
        raise DatasetError(f"dataset '{name}' returns Data with its own validation examples; leave 'val_fraction' out")
    data = replace(data, name=name)
    checked(name, Source(**{key: getattr(data, key) for key in ARRAYS}, classes=data.classes))
    if len(data.val_labels):
        check_part(name, "val", data.val_images, data.val_labels, data.classes)
    check_same_shape(name, data.train_images, "val_images", data.val_images)
    return _split.cut(data, options)


def _source(name: str, returned: Any) -> Source:
    """Return arrays that the user returned by name or in order as a ``Source``."""
    given = _mapping(name, returned)
    train_labels, test_labels = (_whole_numbers(name, key, given[key]) for key in ("train_labels", "test_labels"))
    train_images, test_images = (_with_channel(name, key, given[key]) for key in ("train_images", "test_images"))
    classes = given["classes"] if "classes" in given else numbered_classes(train_labels, test_labels)
    return Source(train_images, train_labels, test_images, test_labels, tuple(map(str, classes)))


def _mapping(name: str, returned: Any) -> Mapping[str, Any]:
    if isinstance(returned, tuple) and len(returned) == len(ARRAYS):
        return dict(zip(ARRAYS, returned, strict=True))
    if isinstance(returned, Mapping) and set(ARRAYS) <= set(returned) <= {*ARRAYS, "classes"}:
        return returned
    got = f"a mapping of {', '.join(map(str, returned))}" if isinstance(returned, Mapping) else type(returned).__name__
    raise DatasetError(
        f"dataset '{name}' returned {got}; expected Data, or a mapping or tuple of {', '.join(ARRAYS)} "
        "(a mapping may add classes)"
    )


def _with_channel(name: str, key: str, given: Any) -> NDArray[Any]:
    """Return images with a channel: grey ones may leave it out, (N, H, W) -> (N, 1, H, W)."""
    array = _array(name, key, given)
    return array[:, None] if array.ndim == 3 else array


def _whole_numbers(name: str, key: str, given: Any) -> Labels:
    array = _array(name, key, given)
    if not np.issubdtype(array.dtype, np.integer):
        raise DatasetError(f"dataset '{name}': {key} are {array.dtype}; expected whole numbers, each a class's index")
    return array.astype(np.int64)


def _array(name: str, key: str, given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"dataset '{name}': {key} can't become a NumPy array: {error}") from error
