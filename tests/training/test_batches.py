"""Batches: every example once an epoch, normalised, in an order that only the seed decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from actbench.datasets import Data
from actbench.datasets._data import Scale
from actbench.nn.rng import stream
from actbench.schema.spec import Augment
from actbench.training.batches import Images, Shuffled, crop_and_flip, to_device


@pytest.fixture
def images() -> Images:
    return images_of("standard", torch.float64)


def images_of(scale: Scale, dtype: torch.dtype) -> Images:
    """Ten 2-channel images; every pixel of image k holds k (first channel) and 100 + k (second)."""
    values = np.arange(10, dtype=np.uint8)
    pixels = np.stack([values, values + 100], axis=1)[:, :, None, None] * np.ones((1, 1, 3, 4), dtype=np.uint8)
    labels = values.astype(np.int64)
    some = (pixels[:2].copy(), labels[:2].copy())
    names = tuple("0123456789")
    data = Data("made", pixels, labels, *some, *some, names, (0.1, 0.2), (0.5, 0.25), "none", scale=scale)
    return to_device(data, torch.device("cpu"), dtype)


def test_every_example_comes_once_an_epoch_in_another_order_each_time(images: Images) -> None:
    batches = Shuffled(images, [7], 4, None)
    epochs = [[labels[0].tolist() for _, labels in batches.epoch()] for _ in range(2)]
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[4, 4, 2]] * 2
    assert len(batches) == 3
    flat = [[label for batch in epoch for label in batch] for epoch in epochs]
    assert [sorted(epoch) for epoch in flat] == [list(range(10))] * 2
    assert flat[0] != flat[1]


def test_pixels_are_scaled_by_the_training_parts_mean_and_deviation(images: Images) -> None:
    x, labels = next(Shuffled(images, [0], 10, None).epoch())
    expected = (labels[0].double() / 255 - 0.1) / 0.5
    assert torch.allclose(x[0, :, 0, 0, 0], expected, atol=1e-14)
    expected = ((labels[0].double() + 100) / 255 - 0.2) / 0.25
    assert torch.allclose(x[0, :, 1, 2, 3], expected, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unit_and_symmetric_pixels_have_the_bits_of_torchs_transforms(dtype: torch.dtype) -> None:
    """All 256 grey levels: ``ToTensor`` divides by 255, ``Normalize(0.5, 0.5)`` then subtracts and divides in place."""
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    divided = levels.to(dtype).div(255)
    assert torch.equal(images_of("unit", dtype).normalise(levels), divided)
    assert torch.equal(images_of("symmetric", dtype).normalise(levels), divided.clone().sub_(0.5).div_(0.5))


def test_unit_and_symmetric_pixels_are_those_of_torchvision() -> None:
    v1 = pytest.importorskip("torchvision.transforms")
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    levels = torch.from_numpy(picture).permute(2, 0, 1)
    divided = v1.ToTensor()(picture)
    assert torch.equal(images_of("unit", torch.float32).normalise(levels), divided)
    assert torch.equal(images_of("symmetric", torch.float32).normalise(levels), v1.Normalize(0.5, 0.5)(divided))


@pytest.mark.parametrize("scale", ["standard", "unit", "symmetric"])
def test_the_mean_square_of_the_inputs_is_that_of_the_training_images(scale: Scale) -> None:
    images = images_of(scale, torch.float64)
    expected = 1.0 if scale == "standard" else images.normalise(images.train.pixels).square().mean().item()
    assert images.input_moment == pytest.approx(expected, rel=1e-12)


def test_what_a_crop_pads_with_is_black_under_every_scale() -> None:
    white = torch.full((200, 1, 3, 3), 255, dtype=torch.uint8)
    cropped = crop_and_flip(white, Augment(crop=3), stream(0, "data.augment"))
    assert images_of("unit", torch.float32).normalise(cropped).unique().tolist() == [0, 1]
    assert images_of("symmetric", torch.float32).normalise(cropped).unique().tolist() == [-1, 1]


def test_drop_last_leaves_out_the_smaller_batch_of_the_same_order(images: Images) -> None:
    whole, cut = Shuffled(images, [3, 4], 4, None), Shuffled(images, [3, 4], 4, None, drop_last=True)
    assert (len(whole), len(cut)) == (3, 2)
    for _ in range(2):  # the second epoch's order is that of an undisturbed stream too
        kept = [labels.tolist() for _, labels in cut.epoch()]
        assert kept == [labels.tolist() for _, labels in whole.epoch()][:2]
    assert [labels.tolist() for _, labels in cut.epoch(skip=1)] == [labels.tolist() for _, labels in whole.epoch()][1:2]


def test_drop_last_leaves_full_batches_alone(images: Images) -> None:
    assert len(Shuffled(images, [0], 5, None, drop_last=True)) == 2
    assert len(Shuffled(images, [0], 10, None, drop_last=True)) == 1


def test_runs_of_several_seeds_get_their_own_batches(images: Images) -> None:
    together = Shuffled(images, [3, 4, 3], 10, None)
    x, labels = next(together.epoch())
    for run, seed in enumerate([3, 4, 3]):
        alone_x, alone_labels = next(Shuffled(images, [seed], 10, None).epoch())
        assert torch.equal(labels[run], alone_labels[0])
        assert torch.equal(x[run], alone_x[0])


def test_a_crop_is_a_shifted_image_with_black_beyond_its_edge() -> None:
    picture = torch.arange(1, 21, dtype=torch.uint8).view(1, 1, 4, 5).expand(300, 1, 4, 5)
    cropped = crop_and_flip(picture, Augment(crop=1), stream(0, "data.augment"))
    padded = torch.nn.functional.pad(picture[:1], (1, 1, 1, 1))[0, 0]
    windows = {tuple(padded[y : y + 4, x : x + 5].flatten().tolist()) for y in range(3) for x in range(3)}
    seen = {tuple(image.flatten().tolist()) for image in cropped}
    assert seen == windows


def test_half_of_the_images_are_mirrored() -> None:
    picture = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4).expand(1000, 1, 3, 4)
    flipped = crop_and_flip(picture, Augment(flip=True), stream(0, "data.augment"))
    mirrored = (flipped == picture.flip(3)).flatten(1).all(1)
    assert ((flipped == picture).flatten(1).all(1) | mirrored).all()
    assert 430 < int(mirrored.sum()) < 570  # 4.4 standard deviations of a fair coin


def test_a_flip_does_not_change_which_crops_are_drawn() -> None:
    picture = torch.randint(0, 255, (1, 1, 6, 6), dtype=torch.uint8, generator=stream(0, "dropout")).expand(50, 1, 6, 6)
    plain = crop_and_flip(picture, Augment(crop=2), stream(0, "data.augment"))
    mirrored = crop_and_flip(picture, Augment(crop=2, flip=True), stream(0, "data.augment"))
    same = (mirrored == plain).flatten(1).all(1)
    assert 10 < int(same.sum()) < 40


def test_augmentation_draws_from_its_own_stream(images: Images) -> None:
    plain = [labels.tolist() for _, labels in Shuffled(images, [1], 4, None).epoch()]
    changed = [labels.tolist() for _, labels in Shuffled(images, [1], 4, Augment(crop=1)).epoch()]
    assert plain == changed
