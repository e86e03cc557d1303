"""Decode one image file to grey levels 0 … 255, whatever its format stores: the rules for every mode of Pillow.

| stored | read as |
|---|---|
| 1, L, P, RGB, CMYK, YCbCr, HSV, LAB | 8-bit grey or RGB, by Pillow's own conversion |
| several channels of 16 bits each | the upper 8 bits, which is all that Pillow reads; a note says so |
| an alpha channel, a transparent colour | (c·a + 255·(255 - a)) / 255, laid on white; 255 - a where c is white |
| whole numbers of 16 or 32 bits | v · 255 / (2ᵇ - 1), with b the bits in use in the whole dataset |
| floats | v · 255, when all of them lie in 0 … 1 |

A picture with an EXIF orientation is turned upright first; of several frames the first is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from actbench.errors import DatasetError
from actbench.system.files import path_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from actbench.datasets._data import Images

WHITE = 255
BITS = (8, 10, 12, 14, 16)
"""Bits of a level that cameras, scanners and microscopes deliver; files store more than 8 of them as 16 or 32."""

UNDECODABLE = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"))
"""Formats that Pillow recognises, but decodes not at all or only with the help of another program."""

ORIENTATION = 0x0112
"""The EXIF tag; its values 2 … 8 name the transpositions below, as the standard orders them."""

UPRIGHT = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")

WHITE_ON_TRANSPARENT = "are white on a transparent ground: read as black on white"
SEVERAL_FRAMES = "hold several frames, of which the first is read"
UPPER_BITS = (
    "hold 16 bits a channel, of which the upper 8 are read: white is 65535 (where it is less, as 4095 for 12 bits, "
    "save them as 8 bits a channel)"
)
BAD_ORIENTATION = "have unreadable EXIF data: read as they are stored, not turned"


@dataclass(frozen=True)
class Reading:
    """How image files are read.

    Args:
        grey: To one channel instead of three.
        size: Resize to size × size pixels (bilinear); None to leave the size.
        bits: The bits in use in images of whole numbers of more than 8 bits.
    """

    grey: bool
    size: int | None
    bits: int = BITS[-1]


@dataclass(frozen=True, eq=False)
class Decoded:
    """One image.

    Args:
        pixels: (C, H, W), grey levels 0 … 255.
        peak: The largest stored whole number of more than 8 bits; None for any other image.
        remarks: What its reader should know, as the end of a sentence about several images.
    """

    pixels: Images
    peak: int | None = None
    remarks: tuple[str, ...] = ()


def bits_in_use(peak: int) -> int:
    """Return the fewest of ``BITS`` that can hold a level.

    >>> bits_in_use(200), bits_in_use(3344), bits_in_use(65535)
    (8, 12, 16)
    """
    return next(bits for bits in BITS if peak < 2**bits)


def suffixes() -> frozenset[str]:
    """Return the endings of the files that this Pillow decodes, in lower case, as ``.png``, ``.jfif`` and ``.avif``."""
    from PIL import Image

    found = Image.registered_extensions()
    return frozenset(suffix for suffix, kind in found.items() if kind in Image.OPEN and kind not in UNDECODABLE)


def decode(file: str, reading: Reading) -> Decoded:
    """Decode one file.

    Raises:
        DatasetError: Naming the file, when it is damaged, or holds numbers whose white is not known.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            is_cut = _loses_bits(image)
            image.load()
            remarks = [UPPER_BITS] if is_cut else []
            remarks += [SEVERAL_FRAMES] if getattr(image, "is_animated", False) else []
            upright, is_readable = _upright(image)
            remarks += [] if is_readable else [BAD_ORIENTATION]
            if upright.mode == "F" or upright.mode.startswith("I"):
                pixels, peak = _deep(upright, reading)
                return Decoded(pixels, peak, tuple(remarks))
            if upright.has_transparency_data:
                upright, is_inverted = _on_white(upright)
                remarks += [WHITE_ON_TRANSPARENT] if is_inverted else []
            return Decoded(_shallow(upright, reading), None, tuple(remarks))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything when a file is damaged
        reason = str(error) or type(error).__name__
        raise DatasetError(f"dataset 'image_folder': can't decode {path_text(file)}: {reason}") from error


def _loses_bits(image: Image) -> bool:
    """Return whether Pillow will read only the upper 8 of 16 bits of an image that is opened and not yet loaded.

    It has no mode for several channels of 16 bits. The tiles that are to be decoded name the layout of the file, such
    as ``RGB;16B``; where they don't, as for JPEG 2000, the decoder scales the levels itself.
    """
    arguments = (tile[3] for tile in getattr(image, "tile", ()))  # the layout alone, or the layout and more
    layouts = (given if isinstance(given, str) else str((given or ("",))[0]) for given in arguments)
    return len(image.getbands()) > 1 and any(";16" in layout for layout in layouts)


def _upright(image: Image) -> tuple[Image, bool]:
    """Return the image as its EXIF orientation wants it seen, and whether its EXIF data could be read.

    Not by ``ImageOps.exif_transpose``: that writes the data anew, which fails for some that can be read.
    """
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a photo is still a photo where an editor has torn its EXIF data: it is counted, see ``remarks``
        return image, False
    if orientation not in range(2, 2 + len(UPRIGHT)):
        return image, True
    return image.transpose(Transpose[UPRIGHT[int(orientation) - 2]]), True


def _shallow(image: Image, reading: Reading) -> Images:
    """Return (C, H, W) of an image of at most 8 bits a channel, without transparency."""
    from PIL.Image import Resampling

    colour = image.convert("RGB") if image.mode == "LAB" else image  # which Pillow turns into no other mode
    converted = colour.convert("L" if reading.grey else "RGB")
    if reading.size is not None:
        converted = converted.resize((reading.size, reading.size), Resampling.BILINEAR)
    pixels = np.asarray(converted)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _on_white(image: Image) -> tuple[Image, bool]:
    """Return a transparent image laid on white, and whether it was drawn in black for that.

    Icons are often drawn in the alpha channel alone. Black ones come out right on white, and white ones would vanish:
    only white leaves nothing on white, so they are read from their alpha channel, 255 - a.
    """
    from PIL.Image import fromarray

    layers = np.asarray(image.convert("RGBA")).astype(np.uint16)  # (H, W, 4); 255² fits
    colour, alpha = layers[..., :3], layers[..., 3:]
    laid = (colour * alpha + WHITE * (WHITE - alpha) + WHITE // 2) // WHITE
    is_inverted = bool(np.all(laid == WHITE)) and bool(np.ptp(alpha))
    if is_inverted:
        laid = np.broadcast_to(WHITE - alpha, colour.shape)
    return fromarray(laid.astype(np.uint8)), is_inverted


def _deep(image: Image, reading: Reading) -> tuple[Images, int | None]:
    """Return (C, H, W), and the largest whole number, of an image of one channel with more than 8 bits or floats."""
    from PIL.Image import Resampling, fromarray

    stored = np.asarray(image)  # (H, W): uint16 of either byte order, int32 or float32
    low, high = stored.min(), stored.max()
    peak = None if image.mode == "F" else int(high)
    white = _white(low, high, peak, reading.bits)
    levels = stored.astype(np.float32) * np.float32(WHITE / white)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        levels[stored == transparent] = WHITE
    if reading.size is not None:
        resized = fromarray(levels).resize((reading.size, reading.size), Resampling.BILINEAR)
        levels = np.asarray(resized)
    pixels = np.rint(levels).clip(0, WHITE).astype(np.uint8)[None]
    return np.repeat(pixels, 1 if reading.grey else 3, axis=0), peak


def _white(low: Any, high: Any, peak: int | None, bits: int) -> int:
    """Return the number that is white.

    Raises:
        ValueError: When no rule names it.
    """
    if peak is None:
        if not 0 <= low <= high <= 1:  # NaN is refused, too
            raise ValueError(f"its floats run from {low:g} to {high:g}; scale them to 0 … 1, or save 8 or 16 bits")
        return 1
    if not 0 <= low <= high < 2 ** BITS[-1]:
        raise ValueError(f"its whole numbers run from {low} to {high}; expected 0 … 65535, or 8 bits")
    return int(2**bits - 1)
