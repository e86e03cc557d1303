"""Load a user's own dataset, named by ``package.module:attribute``, and check all that it returns."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actbench.datasets import _split
from actbench.datasets._checks import check_part, check_same_shape, checked
from actbench.datasets._data import Data, DatasetOptions
from actbench.datasets._labels import NumberedLabels, numbered, whole_numbers
from actbench.datasets._source import ARRAYS, Source, channels_first
from actbench.errors import ConfigError, DatasetError
from actbench.schema import registry
from actbench.schema.components import Component
from actbench.system import user_code

if TYPE_CHECKING:
    from actbench.datasets._data import Labels

TARGETS = ("train_targets", "test_targets")
"""Keys of a mapping whose examples have numbers to be learned, in place of labels."""

CHANNELS = range(1, 5)
"""Numbers of channels by which images with the channels last are known: grey, with alpha, RGB, with alpha."""


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
    attribute = user_code.contained_import(registry.import_object, path)
    if not callable(attribute):
        raise DatasetError(f"dataset '{name}': {path} is not callable, but {type(attribute).__name__}")
    try:
        inspect.signature(attribute).bind(folder, **options)
    except TypeError as error:
        raise DatasetError(f"dataset '{name}': can't call {path}(folder, {', '.join(options)}): {error}") from error
    try:
        with user_code.contained(path.partition(":")[0]):
            return attribute(folder, **options)
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise DatasetError(f"dataset '{name}': {path} fails: {type(error).__name__}: {error}") from error


def _finished(name: str, data: Data, options: DatasetOptions) -> Data:
    """Check a ``Data`` that the user made, with a split and normalisation of its own, and cut it."""
    if "val_fraction" in options.model_fields_set:
        raise DatasetError(f"dataset '{name}' returns Data with its own validation examples; leave 'val_fraction' out")
    train, val, test = (
        channels_first(_array(name, f"{part}_images", getattr(data, f"{part}_images")), CHANNELS)
        for part in ("train", "val", "test")
    )
    data = replace(data, name=name, train_images=train, val_images=val, test_images=test)
    source = Source(**{key: getattr(data, key) for key in ARRAYS}, classes=data.classes, notes=data.notes)
    data = replace(data, notes=checked(name, source).notes)
    if len(data.val_labels):
        check_part(name, "val", data.val_images, data.val_labels, data.classes)
    check_same_shape(name, data.train_images, "val_images", data.val_images)
    _check_normalisation(name, data)
    return _split.cut(data, options)


def _check_normalisation(name: str, data: Data) -> None:
    """Refuse a mean and standard deviation that would make every pixel NaN or infinite."""
    channels = data.shape[0]
    for key in ("mean", "std"):
        values = getattr(data, key)
        is_right = (
            len(values) in (1, channels) and all(map(math.isfinite, values)) and (key == "mean" or min(values) > 0)
        )
        if not is_right:
            raise DatasetError(
                f"dataset '{name}': {key} is {values}; expected {channels} finite "
                f"number{'s' if channels > 1 else ''}{' above 0' if key == 'std' else ''}, one a channel"
            )


def _source(name: str, returned: Any) -> Source:
    """Return arrays that the user returned by name or in order as a ``Source``."""
    given = _mapping(name, returned)
    train_images, test_images = (
        channels_first(features(_array(name, key, given[key])), CHANNELS) for key in ("train_images", "test_images")
    )
    if TARGETS[0] in given:
        train, test = (_targets(name, key, given[key]) for key in TARGETS)
        return Source(train_images, train, test_images, test, ())
    train, test = (_labels(name, key, given[key]) for key in ("train_labels", "test_labels"))
    if "classes" in given:
        found = NumberedLabels(train, test, tuple(map(str, given["classes"])))
    else:
        found = numbered(f"dataset '{name}'", train, test)
    return Source(train_images, found.train, test_images, found.test, found.classes, found.notes)


def _mapping(name: str, returned: Any) -> Mapping[str, Any]:
    if isinstance(returned, tuple) and len(returned) == len(ARRAYS):
        return dict(zip(ARRAYS, returned, strict=True))
    if isinstance(returned, Mapping) and set(ARRAYS) <= set(returned) <= {*ARRAYS, "classes"}:
        return returned
    if isinstance(returned, Mapping) and set(returned) == {"train_images", "test_images", *TARGETS}:
        return returned
    got = f"a mapping of {', '.join(map(str, returned))}" if isinstance(returned, Mapping) else type(returned).__name__
    raise DatasetError(
        f"dataset '{name}' returned {got}; expected Data, or a mapping or tuple of {', '.join(ARRAYS)} "
        f"(a mapping may add classes, or hold {' and '.join(TARGETS)} in place of labels: numbers to be learned)"
    )


def features(array: NDArray[Any]) -> NDArray[Any]:
    """Return floats (N, F), which are numbers and no images, as (N, F, 1, 1) in float64; anything else as it is."""
    is_numbers = array.ndim == 2 and array.dtype.kind == "f"
    return array.astype(np.float64)[:, :, None, None] if is_numbers else array


def _targets(name: str, key: str, given: Any) -> Labels:
    """Return numbers to be learned as float64 (N, K); ``checked`` looks at all else."""
    array = _array(name, key, given)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
        raise DatasetError(
            f"dataset '{name}': {key} are {array.dtype} of shape {array.shape}; expected numbers (N,) or (N, K)"
        )
    return array.astype(np.float64).reshape(len(array), -1)


def _labels(name: str, key: str, given: Any) -> Labels:
    try:
        return whole_numbers(_array(name, key, given))
    except ValueError as error:
        raise DatasetError(f"dataset '{name}': {key} {error}") from error


def _array(name: str, key: str, given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except Exception as error:  # a user's object converts itself, and may raise anything
        raise DatasetError(f"dataset '{name}': {key} can't become a NumPy array: {error}") from error
