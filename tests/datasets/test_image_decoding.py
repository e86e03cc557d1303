"""Every way in which image files store pixels, against NumPy's arithmetic."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from actbench import datasets
from actbench.errors import DatasetError
from actbench.schema import components

SEED = 5
SHAPE = (6, 8)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "user-cache" / name)


def numbers(below=256, *, shape=SHAPE, count=4):
    """Arrays of whole numbers, of which the first holds the largest and the smallest."""
    arrays = np.random.default_rng(SEED).integers(0, below, (count, *shape))
    arrays[0].flat[:2] = 0, below - 1
    return arrays


@pytest.fixture
def read(tmp_path):
    """Save images, two of a class, in both parts of a folder; return what the dataset makes of them, in their order."""

    def read(images, suffix, saving=None, **options):
        root = tmp_path / "pictures"
        for part in ("train", "test"):
            for number, image in enumerate(images):
                path = root / part / f"class-{number % 2}" / f"{number}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path, **(saving or {}))
        value = {"name": "image_folder", "root": str(root), "val_fraction": 0.0, **options}
        return datasets.load(components.resolve("datasets", value), tmp_path)

    return read


def assert_holds(data, expected):
    """The training images are the expected arrays (N, H, W) or (N, H, W, 3), in any order, in three channels."""
    wanted = np.array([image if image.ndim == 3 else np.stack([image] * 3, axis=-1) for image in expected])
    wanted = wanted.transpose(0, 3, 1, 2)
    assert data.train_images.dtype == np.uint8
    assert sorted(image.tolist() for image in data.train_images) == sorted(image.tolist() for image in wanted)


def noted(data, text):
    return [note for note in data.notes if text in note]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bit_levels_are_scaled_from_0_to_65535(suffix, read):
    stored = numbers(65536)
    kind = np.int32 if suffix == ".pgm" else np.uint16  # Pillow 10 writes no others
    data = read([Image.fromarray(array.astype(kind)) for array in stored], suffix)
    assert_holds(data, np.rint(stored * (255 / 65535)))
    assert not noted(data, "bits")


@pytest.mark.parametrize(("peak", "bits"), [(255, 8), (1000, 10), (1023, 10), (3344, 12), (9999, 14), (16384, 16)])
def test_levels_are_scaled_by_the_bits_that_the_whole_dataset_uses(peak, bits, read):
    stored = numbers(peak + 1)
    data = read([Image.fromarray(array.astype(np.uint16)) for array in stored], ".tif")
    assert_holds(data, np.rint(stored * (255 / (2**bits - 1))))
    said = noted(data, f"go up to {peak} only: read as {bits} bits, 0 … {2**bits - 1}")
    assert len(said) == (bits < 16)


def test_big_endian_16_bit_levels_are_read(read):
    stored = numbers(65536)
    data = read([Image.fromarray(array.astype(">u2")) for array in stored], ".tif")
    assert_holds(data, np.rint(stored * (255 / 65535)))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


class DeepPng:
    """A PNG of 16 bits a channel, written byte by byte, as Pillow writes none in colour; (H, W, channels)."""

    def __init__(self, levels):
        self.levels = levels

    def save(self, path):
        height, width, channels = self.levels.shape
        kind = {2: 4, 3: 2, 4: 6}[channels]  # grey with alpha, RGB, RGB with alpha
        header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in self.levels)
        chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


class DeepTiff:
    """An uncompressed little-endian TIFF of 16 bits in each of three channels; (H, W, 3)."""

    def __init__(self, levels):
        self.levels = levels

    def save(self, path):
        height, width, _ = self.levels.shape
        pixels = self.levels.astype("<u2").tobytes()
        behind = 8 + len(pixels)
        short, long = 3, 4
        tags = [
            (256, short, 1, width), (257, short, 1, height), (258, short, 3, behind), (259, short, 1, 1),
            (262, short, 1, 2), (273, long, 1, 8), (277, short, 1, 3), (278, short, 1, height),
            (279, long, 1, len(pixels)),
        ]  # fmt: skip
        entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
        bits = struct.pack("<HHH", 16, 16, 16)
        directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
        path.write_bytes(b"II*\0" + struct.pack("<I", behind + len(bits)) + pixels + bits + directory)


@pytest.mark.parametrize(("make", "suffix"), [(DeepPng, ".png"), (DeepTiff, ".tif")])
def test_colour_of_16_bits_is_read_by_its_upper_8_and_that_is_said(make, suffix, read):
    stored = numbers(65536, shape=(*SHAPE, 3))
    data = read([make(array) for array in stored], suffix)
    assert_holds(data, stored // 256)
    (said,) = noted(data, "16 bits a channel")
    assert said.startswith("8 of 8 images hold 16 bits a channel, of which the upper 8 are read")


def test_grey_with_alpha_of_16_bits_is_read_by_its_upper_8_and_that_is_said(read):
    stored = numbers(65536, shape=(*SHAPE, 2))
    stored[..., 1] = 65535  # opaque
    data = read([DeepPng(array) for array in stored], ".png")
    assert_holds(data, stored[..., 0] // 256)
    assert noted(data, "16 bits a channel")


def test_of_images_of_8_bits_no_note_speaks_of_16(read):
    stored = numbers(256, shape=(*SHAPE, 3))
    assert not noted(read([Image.fromarray(array.astype(np.uint8)) for array in stored], ".png"), "16 bits")


def test_levels_of_32_bit_whole_numbers_are_those_of_16_bits(read):
    stored = numbers(65536)
    assert_holds(read([Image.fromarray(array.astype(np.int32)) for array in stored], ".tif"), np.rint(stored / 257))


@pytest.mark.parametrize(("low", "high"), [(-1, 100), (0, 65536)])
def test_whole_numbers_without_a_known_white_are_refused_by_name(low, high, read):
    stored = numbers(100).astype(np.int32)
    stored[0].flat[:2] = low, high
    with pytest.raises(DatasetError, match=rf"class-0/0\.tif: its whole numbers run from {low} to {high}; expected 0"):
        read([Image.fromarray(array) for array in stored], ".tif")


def test_floats_from_0_to_1_are_scaled(read):
    stored = (numbers(1001) / 1000).astype(np.float32)
    assert_holds(read([Image.fromarray(array) for array in stored], ".tif"), np.rint(stored * 255.0))


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1.5), (0, 255), (0, float("nan"))])
def test_floats_of_another_range_are_refused_by_name(low, high, read):
    stored = (numbers() / 255).astype(np.float32)
    stored[0].flat[:2] = low, high
    with pytest.raises(DatasetError, match=r"class-0/0\.tif: its floats run from (-1|0|nan) to (1|1\.5|255|nan);"):
        read([Image.fromarray(array) for array in stored], ".tif")


def test_deep_images_are_scaled_before_they_are_resized(read):
    stored = np.repeat(numbers(65536, shape=(4, 1)), 4, axis=2)
    stored[0, :, :] = 65535
    data = read([Image.fromarray(array.astype(np.uint16)) for array in stored], ".png", size=2, grey=True)
    white = [image for image in data.train_images if image.min() == 255]
    assert len(white) == 1
    assert data.shape == (1, 2, 2)


def test_a_palette_is_looked_up(read):
    colours, stored = numbers(shape=(16, 3), count=1)[0], numbers(16)
    images = []
    for array in stored:
        image = Image.frombytes("P", SHAPE[::-1], array.astype(np.uint8).tobytes())
        image.putpalette(colours.astype(np.uint8).tobytes())
        images.append(image)
    assert_holds(read(images, ".png"), colours[stored])


@pytest.mark.parametrize(("mode", "suffix"), [("1", ".png"), ("1", ".pbm"), ("L", ".bmp"), ("L", ".pgm")])
def test_images_of_one_and_eight_bits_are_read_as_they_are(mode, suffix, read):
    stored = numbers() if mode == "L" else numbers(2) * 255
    assert_holds(read([Image.fromarray(array.astype(np.uint8)).convert(mode) for array in stored], suffix), stored)


def test_lab_is_read_as_colour_and_as_grey(read):
    # L 0 and 255 with neutral a and b are black and white.
    images = [Image.frombytes("LAB", SHAPE[::-1], bytes([level, 0, 0]) * (SHAPE[0] * SHAPE[1])) for level in
              (0, 255, 255, 0)]  # fmt: skip
    for grey, channels in ((False, 3), (True, 1)):
        found = read(images, ".tif", grey=grey).train_images.astype(int)
        assert found.shape == (4, channels, *SHAPE)
        means = sorted(image.mean() for image in found)
        assert means == pytest.approx([0, 0, 255, 255], abs=2)  # its conversion by colour profiles rounds


def test_cmyk_is_converted(read):
    stored = numbers(shape=(*SHAPE, 4))
    images = [Image.frombytes("CMYK", SHAPE[::-1], array.astype(np.uint8).tobytes()) for array in stored]
    ink = 255 - stored.astype(np.float64)
    expected = np.rint(ink[..., :3] * ink[..., 3:] / 255)
    found = read(images, ".tif").train_images.transpose(0, 2, 3, 1).astype(int)
    for image in found:  # Pillow's whole-number arithmetic rounds otherwise by one level
        assert min(np.abs(image - other).max() for other in expected) <= 1


def laid_on_white(colour, alpha):
    alpha = alpha[..., None] / 255
    return np.floor(colour * alpha + 255 * (1 - alpha) + 0.5)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparent_images_are_laid_on_white(suffix, read):
    stored = numbers(shape=(*SHAPE, 4))
    saving = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    data = read([Image.fromarray(array.astype(np.uint8)) for array in stored], suffix, saving)
    assert_holds(data, laid_on_white(stored[..., :3], stored[..., 3]))


def test_grey_with_alpha_is_laid_on_white(read):
    stored = numbers(shape=(*SHAPE, 2))
    images = [Image.frombytes("LA", SHAPE[::-1], array.astype(np.uint8).tobytes()) for array in stored]
    data = read(images, ".png")
    grey = np.stack([stored[..., 0]] * 3, axis=-1)
    assert_holds(data, laid_on_white(grey, stored[..., 1]))


def test_a_palette_with_transparency_is_laid_on_white(read):
    colours, stored = numbers(shape=(16, 4), count=1)[0], numbers(16)
    images = []
    for array in stored:
        image = Image.frombytes("P", SHAPE[::-1], array.astype(np.uint8).tobytes())
        image.putpalette(colours.astype(np.uint8).tobytes(), "RGBA")
        images.append(image)
    looked_up = colours[stored]
    assert_holds(read(images, ".png"), laid_on_white(looked_up[..., :3], looked_up[..., 3]))


def test_a_transparent_colour_becomes_white(read):
    stored = numbers(8)
    data = read([Image.fromarray(array.astype(np.uint8)) for array in stored], ".png", {"transparency": 3})
    assert_holds(data, np.where(stored == 3, 255, stored))


def test_a_transparent_level_of_16_bits_becomes_white(read):
    stored = numbers(65536)
    stored[:, 2, 2] = 300
    data = read([Image.fromarray(array.astype(np.uint16)) for array in stored], ".png", {"transparency": 300})
    assert_holds(data, np.where(stored == 300, 255, np.rint(stored / 257)))


@pytest.mark.parametrize("colour", [0, 255])
def test_a_drawing_in_the_alpha_channel_comes_out_black_on_white(colour, read):
    alpha = numbers()
    layers = [np.dstack([np.full((*SHAPE, 3), colour), drawn]).astype(np.uint8) for drawn in alpha]
    data = read([Image.fromarray(image) for image in layers], ".png")
    assert_holds(data, 255 - alpha)
    said = noted(data, "8 of 8 images are white on a transparent ground: read as black on white")
    assert len(said) == (colour == 255)


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_image_that_is_white_all_over_stays_white(alpha, read):
    layers = [np.dstack([np.full((*SHAPE, 3), 255), np.full(SHAPE, alpha)]).astype(np.uint8)]
    layers += [np.dstack([drawn, drawn, drawn, np.full(SHAPE, 255)]).astype(np.uint8) for drawn in numbers()[:3]]
    data = read([Image.fromarray(image) for image in layers], ".png")
    assert_holds(data, [np.full(SHAPE, 255), *numbers()[:3]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_orientation_says(orientation, read):
    """The tag names the sides of the scene at which the stored row 0 and column 0 lie (EXIF 2.3, table 4)."""
    scene = numbers()
    stored = {
        1: lambda seen: seen,
        2: lambda seen: seen[:, ::-1],
        3: lambda seen: seen[::-1, ::-1],
        4: lambda seen: seen[::-1],
        5: lambda seen: seen.T,
        6: lambda seen: seen[:, ::-1].T,
        7: lambda seen: seen[::-1, ::-1].T,
        8: lambda seen: seen[::-1].T,
    }[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    images = [Image.fromarray(np.ascontiguousarray(stored(seen)).astype(np.uint8)) for seen in scene]
    assert_holds(read(images, ".png", {"exif": exif}), scene)


def test_a_photo_with_torn_exif_data_is_read_as_it_is_and_counted(read):
    stored = numbers()
    torn = b"Exif\0\0" + b"nonsense"
    data = read(
        [Image.fromarray(array.astype(np.uint8)) for array in stored], ".webp", {"lossless": True, "exif": torn}
    )
    assert_holds(data, stored)
    assert noted(data, "8 of 8 images have unreadable EXIF data: read as they are stored, not turned")


@pytest.mark.parametrize("suffix", [".gif", ".png", ".tif"])
def test_the_first_of_several_frames_is_read_and_that_is_said(suffix, read):
    stored = numbers(200)
    more = [Image.fromarray(np.full(SHAPE, 77, np.uint8))]
    saving = {"save_all": True, "append_images": more}
    data = read([Image.fromarray(array.astype(np.uint8)) for array in stored], suffix, saving)
    assert_holds(data, stored)
    assert noted(data, "8 of 8 images hold several frames, of which the first is read")


@pytest.mark.parametrize("suffix", [".PNG", ".Tif", ".gif", ".webp", ".jp2", ".tga", ".ico", ".ppm", ".qoi"])
def test_lossless_formats_are_known_by_their_endings_in_any_case(suffix, read):
    if Image.registered_extensions()[suffix.lower()] not in Image.SAVE:
        pytest.skip("this Pillow does not write it")
    stored = numbers(shape=(16, 16), count=4)
    saving = {".webp": {"lossless": True}, ".jp2": {"irreversible": False}, ".ico": {"sizes": [(16, 16)]}}.get(suffix)
    images = [Image.fromarray(array.astype(np.uint8)) for array in stored]
    images = [image.convert("RGB") for image in images] if suffix in (".ico", ".qoi") else images
    assert_holds(read(images, suffix, saving), stored)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".avif"])
def test_lossy_formats_are_read(suffix, read):
    if suffix not in Image.registered_extensions() and suffix != ".JPG":
        pytest.skip("this Pillow has no such codec")
    stored = np.repeat(np.repeat(numbers(shape=(2, 2)), 16, axis=1), 16, axis=2)
    found = read([Image.fromarray(array.astype(np.uint8)) for array in stored], suffix, {"quality": 100})
    for image in found.train_images[:, 0].astype(int):
        assert min(np.abs(image - other).max() for other in stored) <= 4


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "no bytes": lambda content: b"",
    "text": lambda content: b"this is no image",
    "torn chunk": lambda content: content[:40] + bytes(20) + content[60:],
    "huge": lambda content: content[:16] + struct.pack(">II", 2**20, 2**20) + content[24:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named(damage, read, tmp_path):
    images = [Image.fromarray(array.astype(np.uint8)) for array in numbers(shape=(40, 40))]
    read(images, ".png")
    path = tmp_path / "pictures" / "test" / "class-1" / "3.png"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"dataset 'image_folder': can't decode .*/test/class-1/3\.png: ."):
        read(images[:1], ".png")
