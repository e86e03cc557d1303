"""Keep images on the device as uint8, and give batches of them as normalised floats: shuffled, augmented, scaled.

Normalising each batch costs little more than gathering floats would, and one byte per pixel instead of four keeps
full MNIST at 47 MB per worker. Examples that are no images are floats from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn.rng import get_states, set_states, stream
from actbench.nn.torch_draws import TorchDraws, epoch_order
from actbench.schema.spec import Augment

if TYPE_CHECKING:
    from numpy import ndarray

    from actbench.datasets import Data
    from actbench.datasets._data import Scale


Batch = tuple[Tensor, Tensor]
"""X (R, B, C, H, W) and targets: labels (R, B), or numbers (R, B, K)."""


@dataclass(frozen=True)
class Examples:
    """Hold one part of a dataset.

    Args:
        pixels: uint8 (N, C, H, W), or floats (N, C, 1, 1).
        labels: int64 (N,); or floats (N, K), the numbers to be learned.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def first(self, count: int) -> Examples:
        """Return the first ``count`` examples, or all of them where there are fewer."""
        return Examples(self.pixels[:count], self.labels[:count])


@dataclass(frozen=True)
class Images:
    """Hold a dataset on a device.

    Args:
        train: What is trained on; the probe is its first examples (they lie in a fixed random order).
        val: For selection; may be empty.
        test: For reporting at the last epoch only.
        scale: (C, 1, 1), 1 / (255 σ) of the training part; 1 / σ where the examples are no images.
        shift: (C, 1, 1), -μ / σ of the training part.
        classes: Number of classes; of outputs, where the targets are numbers.
        fingerprint: sha256 of the source's images and labels, to tell data apart that have one name.
        pixel_scale: How a network sees the pixels: ``standard``, by ``scale`` and ``shift``; ``unit`` or ``symmetric``.
        white: (), 255, the divisor of the other two; 1 where the examples are no images.
        input_moment: E[x²] of the numbers that a network sees, over the training part.
        notes: Sentences about the data that its user should read.
    """

    train: Examples
    val: Examples
    test: Examples
    scale: Tensor
    shift: Tensor
    classes: int
    fingerprint: str
    pixel_scale: Scale
    white: Tensor
    input_moment: float
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W) of one image."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    @property
    def has_classes(self) -> bool:
        """Whether the targets are classes, of which some share is predicted right; else they are numbers."""
        return not self.train.labels.is_floating_point()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return uint8 pixels x (…, C, H, W) as floats of the same shape, as a network sees them.

        ``standard``: (x/255 - μ) / σ. ``unit``: x/255. ``symmetric``: (x/255 - 0.5) / 0.5. Of examples that are no
        images the numbers themselves stand in place of x/255.
        """
        x = pixels.to(self.scale.dtype, copy=True)
        if self.pixel_scale == "standard":
            return x.mul_(self.scale).add_(self.shift)
        # Divided, as torchvision's ToTensor does: a product with 1/255 has another last bit for 126 of the 256 grey
        # levels in float32. By a tensor on the device, because CUDA makes that product of a division by a number.
        x.div_(self.white)
        return x if self.pixel_scale == "unit" else x.sub_(0.5).mul_(2)

    def in_order(self, examples: Examples, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches for evaluation: x (1, B, C, H, W) and targets (B, …), in the data's own order."""
        for start in range(0, len(examples), size):
            stop = start + size
            yield self.normalise(examples.pixels[start:stop]).unsqueeze(0), examples.labels[start:stop]


def to_device(data: Data, device: torch.device, dtype: torch.dtype) -> Images:
    """Put a dataset's arrays on the device; on the CPU this shares their memory."""

    def part(pixels: ndarray, labels: ndarray) -> Examples:
        return Examples(placed(pixels), placed(labels))

    def placed(array: ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        # Not float64 on the way: there are devices without it.
        return tensor.to(dtype).to(device) if tensor.is_floating_point() else tensor.to(device)

    white = 255 if data.train_images.dtype == "uint8" else 1
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (data.mean, data.std))
    return Images(
        train=part(data.train_images, data.train_labels),
        val=part(data.val_images, data.val_labels),
        test=part(data.test_images, data.test_labels),
        scale=(1 / (white * std)).to(device=device, dtype=dtype),
        shift=(-mean / std).to(device=device, dtype=dtype),
        classes=data.outputs,
        fingerprint=data.fingerprint,
        pixel_scale=data.scale,
        white=torch.tensor(white, device=device, dtype=dtype),
        input_moment=data.input_moment,
        notes=data.notes,
    )


class Shuffled:
    """Give training batches in each run's own order; runs with equal seeds share theirs.

    Args:
        images: The dataset.
        seeds: One per run.
        size: Examples per batch; an epoch's last one may be smaller.
        augment: Random crops and flips, or None.
        drop_last: Whether an epoch's last batch is left out where it is smaller.
        draws: The runs' generators where all is drawn from one, as in a plain PyTorch script; None for streams of ours.
    """

    def __init__(
        self,
        images: Images,
        seeds: Sequence[int],
        size: int,
        augment: Augment | None,
        *,
        drop_last: bool = False,
        draws: TorchDraws | None = None,
    ) -> None:
        self._seeds = distinct = list(dict.fromkeys(seeds))
        self._images, self._size, self._augment = images, size, augment
        count = len(images.train)
        self._used = count - count % size if drop_last else count
        self._device = images.train.labels.device
        self._draws = draws
        group_of_run = [distinct.index(seed) for seed in seeds] if draws is None else draws.group_of_run
        self._seed_of_run = torch.tensor(group_of_run, device=self._device)
        # One generator of a script draws orders and dropout. A cohort that is taken up in the middle of an epoch needs
        # two states of it: that at the epoch's start, to draw the order again, and the present one. So the order is
        # drawn by a copy, which is set to the generator as an epoch begins, and the generator to the copy thereafter.
        self._order_streams = (
            [stream(seed, "data.order") for seed in distinct]
            if draws is None
            else [generator.clone_state() for generator in draws.generators]
        )
        self._augment_streams = [stream(seed, "data.augment") for seed in distinct]

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self._used // self._size)

    def epoch(self, *, skip: int = 0) -> Iterator[Batch]:
        """Draw the epoch's order and yield its batches, without the first ``skip`` of them.

        Yields:
            X (R, B, C, H, W) and targets (R, B, …): expanded views of one batch where all runs share a seed.
        """
        train = self._images.train
        orders = self._orders(len(train), begins=skip == 0)
        # All seeds' images in one call of each kernel: on a GPU, launches for each seed would outlast the step itself.
        for index in torch.split(orders[:, : self._used].to(self._device), self._size, dim=1)[skip:]:
            pixels = train.pixels.index_select(0, index.flatten())
            if self._augment is not None:
                pixels = crop_and_flip(pixels, self._augment, *self._augment_streams)
            x = self._images.normalise(pixels)
            labels = train.labels.index_select(0, index.flatten())
            yield (
                self._of_runs(torch.unflatten(x, 0, index.shape)),
                self._of_runs(torch.unflatten(labels, 0, index.shape)),
            )

    def _orders(self, examples: int, *, begins: bool) -> Tensor:
        """Draw the order of an epoch for each seed: (seeds, examples).

        Args:
            examples: How many there are.
            begins: Whether the epoch begins, rather than being taken up in the middle.
        """
        if self._draws is None:
            drawn = [torch.randperm(examples, generator=generator) for generator in self._order_streams]
            return torch.stack(drawn)
        if begins:
            set_states(self._order_streams, get_states(self._draws.generators))
        drawn = [epoch_order(examples, generator) for generator in self._order_streams]
        if begins:
            set_states(self._draws.generators, get_states(self._order_streams))
        return torch.stack(drawn)

    def close_epoch(self) -> None:
        """Draw what belongs to the end of an epoch, after its last step."""
        if self._draws is not None:
            self._draws.close_epoch()

    def sample(self, size: int, step: int) -> Tensor:
        """Draw training examples for each seed, from a stream of the step: x (R, B, C, H, W), none of them twice."""
        train = self._images.train
        streams = [stream(seed, "revive.examples", step=step) for seed in self._seeds]
        index = torch.stack([torch.randperm(len(train), generator=one)[:size] for one in streams]).to(self._device)
        x = self._images.normalise(train.pixels.index_select(0, index.flatten()))
        return self._of_runs(torch.unflatten(x, 0, index.shape))

    def state(self) -> dict[str, list[Tensor]]:
        """Return the states of the random streams as they stand: of the ``order``, and of the ``augment``-ation."""
        order = self._order_streams if self._draws is None else self._draws.generators
        return {"order": get_states(order), "augment": get_states(self._augment_streams)}

    def restore(self, state: Mapping[str, Sequence[Tensor]]) -> None:
        """Put the random streams back to where they stood when ``state`` returned this."""
        set_states(self._order_streams, state["order"])
        set_states(self._augment_streams, state["augment"])

    def _of_runs(self, by_seed: Tensor) -> Tensor:
        """Give each run its seed's examples: (seeds, …) -> (R, …)."""
        if len(by_seed) == 1:
            return by_seed.expand(len(self._seed_of_run), *by_seed.shape[1:])
        return by_seed.index_select(0, self._seed_of_run)


@dataclass
class EpochPosition:
    """Say how far a cohort is in an epoch.

    Args:
        order: States of the streams that draw the batches' order, as they stood at the epoch's start. An order is
            drawn whole at that moment, so a cohort that is taken up in the middle draws it again from here.
        steps: Steps of the epoch that have been taken.
    """

    order: list[Tensor]
    steps: int = 0


def crop_and_flip(pixels: Tensor, augment: Augment, *generators: torch.Generator) -> Tensor:
    """Shift each image by up to ``augment.crop`` pixels either way, black beyond its edge, and mirror half of them.

    Args:
        pixels: uint8 (S·B, C, H, W), B images for each generator.
        augment: How far, and whether to mirror.
        generators: CPU generators; per image, one crop offset for each of H and W and one coin for the flip are
            drawn, used or not.

    Returns:
        uint8 (S·B, C, H, W).
    """
    examples, channels, height, width = pixels.shape
    drawn = [_drawn(examples // len(generators), augment.crop, generator) for generator in generators]
    offsets, coins = (torch.cat(parts).to(pixels.device) for parts in zip(*drawn, strict=True))
    rows = offsets[:, :1] + torch.arange(height, device=pixels.device)
    columns = torch.arange(width, device=pixels.device).expand(examples, width)
    if augment.flip:
        columns = torch.where(coins[:, None], columns.flip(1), columns)
    columns = offsets[:, 1:] + columns
    padded = F.pad(pixels, (augment.crop,) * 4)
    example = torch.arange(examples, device=pixels.device)[:, None, None, None]
    channel = torch.arange(channels, device=pixels.device)[None, :, None, None]
    return padded[example, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _drawn(examples: int, crop: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw offsets (B, 2) in 0 … 2·crop, and coins (B,) bool."""
    offsets = torch.randint(0, 2 * crop + 1, (examples, 2), generator=generator)
    return offsets, torch.rand(examples, generator=generator) < 0.5
