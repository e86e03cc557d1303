"""Toy datasets: the points and curves that their formulas say, the same ones every time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from numpy.typing import NDArray

from actbench import datasets
from actbench.datasets import Data
from actbench.errors import ConfigError, DatasetError
from actbench.schema.components import resolve

TOYS: list[Any] = ["moons", "circles", "xor", "spiral", "regression"]


def loaded(written: Any, tmp_path: Path) -> Data:
    return datasets.load(resolve("datasets", written), tmp_path)


def everything(data: Data) -> tuple[NDArray[Any], NDArray[Any]]:
    """All examples (N, numbers) with their targets, put in order, so that two ways to make them can be compared."""
    parts = ("train", "val", "test")
    x = np.concatenate([getattr(data, f"{part}_images")[:, :, 0, 0] for part in parts])
    y = np.concatenate([getattr(data, f"{part}_labels") for part in parts])
    order = np.lexsort(x.T)
    return x[order], y[order]


@pytest.mark.parametrize(("name", "make"), [("moons", "make_moons"), ("circles", "make_circles")])
def test_points_are_those_of_scikit_learn(name: str, make: str, tmp_path: Path) -> None:
    x, y = everything(loaded({"name": name, "examples": 300, "noise": 0.2}, tmp_path))
    theirs, labels = getattr(sklearn.datasets, make)(300, noise=0.2, random_state=0)
    order = np.lexsort(np.round(theirs, 6).T)
    np.testing.assert_allclose(x, theirs[order], atol=5.1e-7)
    assert (y == labels[order]).all()


def test_xor_parts_the_signs_and_fills_its_square(tmp_path: Path) -> None:
    x, y = everything(loaded({"name": "xor", "noise": 0}, tmp_path))
    assert (y == (x[:, 0] * x[:, 1] < 0)).all()
    quarters = np.histogram2d(*x.T, bins=2, range=[[-1, 1], [-1, 1]])[0]
    assert quarters.sum() == 2000
    assert (abs(quarters - 500) < 4 * np.sqrt(375)).all(), "four standard deviations of a binomial share"


def test_arms_of_a_spiral_turn_evenly_with_the_radius(tmp_path: Path) -> None:
    written = {"name": "spiral", "arms": 3, "turns": 2.0, "noise": 0, "examples": 300}
    x, y = everything(loaded(written, tmp_path))
    radius = np.hypot(*x.T)
    angle = 2 * np.pi * (2 * radius + y / 3)
    np.testing.assert_allclose(x, radius[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1), atol=2e-5)
    assert np.bincount(y).tolist() == [100, 100, 100]
    assert 0.4 < radius.mean() < 0.6


@pytest.mark.parametrize(
    ("formula", "function"),
    [("abs(x)", np.abs), ("x * sin(5 * x)", lambda x: x * np.sin(5 * x)), ("2", None)],
)
def test_targets_are_the_values_of_the_formula(formula: str, function: Any, tmp_path: Path) -> None:
    if function is None:
        with pytest.raises(ConfigError, match="does not depend on x"):
            resolve("datasets", {"name": "regression", "function": formula})
        return
    data = loaded({"name": "regression", "function": formula, "low": -2, "high": 1}, tmp_path)
    x, y = everything(data)
    np.testing.assert_allclose(y, function(x), atol=5.1e-7)
    assert -2 <= x.min() < -1.99
    assert 0.99 < x.max() <= 1
    assert (data.classes, data.outputs, data.train_labels.dtype) == ((), 1, np.float64)


def test_x_has_no_mean_and_unit_variance_by_default(tmp_path: Path) -> None:
    """Var of a uniform number on [-√3, √3] is 1; the standard errors of 20,000 are 0.007 and 0.006."""
    x, _ = everything(loaded({"name": "regression", "examples": 20000}, tmp_path))
    assert abs(x.mean()) < 0.03
    assert abs(x.var() - 1) < 0.03


def test_noise_is_normal_with_its_standard_deviation(tmp_path: Path) -> None:
    x, y = everything(loaded({"name": "regression", "noise": 0.5, "examples": 20000}, tmp_path))
    errors = (y[:, 0] - np.abs(x[:, 0])) / 0.5
    assert abs(errors.mean()) < 0.03
    assert abs(errors.std() - 1) < 0.03
    assert abs((errors**4).mean() - 3) < 0.3, "a normal number's"
    assert abs(np.corrcoef(x[:, 0], errors)[0, 1]) < 0.03


@pytest.mark.parametrize("name", TOYS)
def test_examples_are_the_same_every_time_and_split_as_others_are(name: str, tmp_path: Path) -> None:
    one, other = (loaded(name, tmp_path / folder) for folder in ("one", "other"))
    assert one.fingerprint == other.fingerprint
    assert [len(one.train_labels), len(one.val_labels), len(one.test_labels)] == [1440, 160, 400]
    part = loaded({"name": name, "train_size": 100, "val_fraction": 0.2}, tmp_path)
    assert (part.test_images == one.test_images).all()
    assert (part.val_images[:160] == one.val_images).all()
    assert len(part.train_labels) == 100


@pytest.mark.parametrize("name", TOYS)
def test_mean_and_deviation_are_those_of_the_training_part(name: str, tmp_path: Path) -> None:
    data = loaded(name, tmp_path)
    x = data.train_images[:, :, 0, 0]
    assert data.mean == pytest.approx(tuple(x.mean(0)), abs=1e-12)
    assert data.std == pytest.approx(tuple(x.std(0)), abs=1e-12)


def test_a_formula_without_a_value_somewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dataset 'regression': log\(x\) has no finite value at x = -"):
        loaded({"name": "regression", "function": "log(x)"}, tmp_path)


def test_a_constant_formula_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the targets of all 1600 training examples are equal"):
        loaded({"name": "regression", "function": "0 * x"}, tmp_path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"low": 1, "high": 1}, "'low' should be below 'high', not 1 and 1"),
        ({"function": "y"}, "unknown name 'y' in the formula"),
        ({"function": "abs(x"}, "not a formula"),
        ({"examples": 5}, "'examples' should be greater than or equal to 10"),
    ],
)
def test_odd_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("datasets", {"name": "regression", **options})
    assert text in caught.value.messages
