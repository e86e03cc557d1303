"""Datasets that are read from files: torchvision's layouts and IDX; and what their errors say."""

import gzip
import hashlib
import logging
import os
import pickle
import socket
import struct
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from actbench import datasets
from actbench.datasets._idx import FILES
from actbench.errors import DatasetError
from actbench.schema import components

REAL_DATA = Path(os.environ.get("ACTBENCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
GREY = np.arange(10 * 3 * 4, dtype=np.uint8).reshape(10, 3, 4)
LABELS = np.arange(10, dtype=np.uint8) % 3


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "user-cache" / name)


def load(name, folder, **options):
    return datasets.load(components.resolve("datasets", {"name": name, **options}), folder)


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(root, train=GREY, train_labels=LABELS, test=GREY[:4], test_labels=LABELS[:4], spelled=str, zipped=False):
    root.mkdir(parents=True, exist_ok=True)
    for name, array in zip(FILES, (train, train_labels, test, test_labels), strict=True):
        content = idx_bytes(array)
        path = root / (spelled(name) + (".gz" if zipped else ""))
        path.write_bytes(gzip.compress(content) if zipped else content)
    return root


def sorted_rows(images):
    return sorted(map(bytes, images.reshape(len(images), -1)))


@pytest.mark.parametrize("spelled", [str, lambda name: name.replace("-idx", ".idx")], ids=["dashed", "dotted"])
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
def test_idx_files_are_read_under_every_spelling(spelled, zipped, tmp_path):
    root = write_idx(tmp_path / "set", spelled=spelled, zipped=zipped)
    data = load("idx", tmp_path, root=str(root), val_fraction=0.0)
    assert data.shape == (1, 3, 4)
    assert data.classes == ("0", "1", "2")
    assert sorted_rows(data.train_images) == sorted_rows(GREY)
    expected = {bytes(image.ravel()): int(label) for image, label in zip(GREY, LABELS, strict=True)}
    assert [expected[image.tobytes()] for image in data.train_images] == data.train_labels.tolist()


def test_a_relative_root_starts_at_the_current_folder(tmp_path, monkeypatch):
    write_idx(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    assert len(load("idx", tmp_path, root="set").test_labels) == 4


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)], ids=["channels last", "channels first"])
def test_colour_idx_files_become_channels_first(axes, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 5, 4, 3), dtype=np.uint8)
    stored = images.transpose(axes)
    root = write_idx(tmp_path / "set", train=stored, test=stored[:4])
    data = load("idx", tmp_path, root=str(root), val_fraction=0.0)
    assert data.shape == (3, 5, 4)
    assert sorted_rows(data.train_images) == sorted_rows(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (b"", "not an IDX file"),
        (b"\x1f\x8b\x08\x00 text", "not an IDX file"),
        (bytes((0, 0, 13, 3)) + idx_bytes(GREY)[4:], "not an IDX file of unsigned bytes: it starts with 00 00 0d 03"),
        (idx_bytes(GREY)[:-1], "damaged: 135 bytes, but its header .10, 3, 4. promises 136"),
        (idx_bytes(GREY) + b"\0", "damaged: 137 bytes"),
        (idx_bytes(GREY)[:9], "not an IDX file"),
        (idx_bytes(GREY[0]), "has the sizes"),
    ],
)
def test_a_damaged_idx_file_is_named(damaged, message, tmp_path):
    root = write_idx(tmp_path / "set")
    (root / FILES[0]).write_bytes(damaged)
    with pytest.raises(DatasetError, match=f"{FILES[0]}.*{message}"):
        load("idx", tmp_path, root=str(root))


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"no gzip", lambda content: b""])
def test_a_damaged_gz_file_is_named(damage, tmp_path):
    root = write_idx(tmp_path / "set", zipped=True)
    path = root / f"{FILES[2]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=path.name):
        load("idx", tmp_path, root=str(root))


def test_labels_that_do_not_fit_the_images_are_named(tmp_path):
    root = write_idx(tmp_path / "set", test_labels=LABELS[:3])
    with pytest.raises(DatasetError, match=rf"{FILES[3]} holds labels of shape \(3,\) for 4 images"):
        load("idx", tmp_path, root=str(root))


def test_labels_from_one_become_classes_named_after_them(tmp_path):
    """As those of EMNIST's letters, 1 … 26."""
    root = write_idx(tmp_path / "set", train_labels=LABELS + 1, test_labels=LABELS[:4] + 1)
    data = load("idx", tmp_path, root=str(root), val_fraction=0.0)
    assert data.classes == ("1", "2", "3")
    assert data.notes[:1] == ("the labels are 3 numbers from 1 to 3: read as 3 classes",)
    expected = {bytes(image.ravel()): int(label) for image, label in zip(GREY, LABELS, strict=True)}
    assert [expected[image.tobytes()] for image in data.train_images] == data.train_labels.tolist()
    assert load("idx", tmp_path, root=str(root)).notes == data.notes  # from the cache, too


def test_labels_of_a_named_set_are_never_numbered_anew(tmp_path):
    write_idx(tmp_path / "MNIST" / "raw", train_labels=LABELS * 2, test_labels=LABELS[:4] * 2)
    data = load("mnist", tmp_path, val_fraction=0.0)
    assert len(data.classes) == 10
    assert set(data.train_labels.tolist()) == {0, 2, 4}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train": GREY * 0}, "all 10 training images are equal .every pixel is 0."),
        ({"train_labels": LABELS * 0 + 1}, "all 10 training images are of one class, '1'"),
        (
            {
                "train": np.arange(40 * 12, dtype=np.uint8).reshape(40, 3, 4),
                "train_labels": np.arange(40, dtype=np.uint8),
            },
            "40 training images have 40 different labels, from 0 to 39",
        ),
    ],
)
def test_idx_files_from_which_nothing_can_be_learned_are_refused(arrays, message, tmp_path):
    root = write_idx(tmp_path / "set", **arrays)
    with pytest.raises(DatasetError, match=message):
        load("idx", tmp_path, root=str(root))


@pytest.mark.parametrize("shape", [(10, 3, 6, 3), (10, 3, 6, 1), (10, 1, 6, 3)])
def test_where_both_axes_of_an_idx_file_could_be_the_channels_the_first_is(shape, tmp_path):
    stored = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    root = write_idx(tmp_path / "set", train=stored, test=stored[:4])
    assert load("idx", tmp_path, root=str(root)).shape == shape[1:]


def test_an_absent_idx_file_or_folder_is_named(tmp_path):
    root = write_idx(tmp_path / "set")
    (root / FILES[1]).unlink()
    with pytest.raises(DatasetError, match=f"no {FILES[1]} in "):
        load("idx", tmp_path, root=str(root))
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        load("idx", tmp_path, root=str(tmp_path / "nowhere"))


def test_a_replaced_file_is_read_anew(tmp_path):
    root = write_idx(tmp_path / "set")
    before = load("idx", tmp_path, root=str(root))
    write_idx(root, train=255 - GREY)
    os.utime(root / FILES[0], (1, 1))
    assert load("idx", tmp_path, root=str(root)).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("name", "kind"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_the_mnist_family_is_found_in_torchvisions_layout(name, kind, tmp_path):
    write_idx(tmp_path / kind / "raw")
    data = load(name, tmp_path, val_fraction=0.0)
    assert (len(data.train_labels), len(data.classes)) == (10, 10)
    assert sorted_rows(data.train_images) == sorted_rows(GREY)


def test_torchvision_reads_the_same_mnist(tmp_path):
    import torchvision.datasets

    write_idx(tmp_path / "MNIST" / "raw")
    reference = torchvision.datasets.MNIST(tmp_path, train=True)
    data = load("mnist", tmp_path, val_fraction=0.0)
    assert sorted_rows(data.train_images) == sorted_rows(reference.data.numpy())
    assert data.classes == tuple(reference.classes)


@pytest.mark.skipif(not (REAL_DATA / "MNIST").is_dir(), reason="needs MNIST under ACTBENCH_DATA")
def test_the_real_mnist_has_its_published_sizes_and_moments(tmp_path):
    (tmp_path / "MNIST").symlink_to(REAL_DATA.resolve() / "MNIST")
    data = load("mnist", tmp_path, val_fraction=0.0)
    assert (data.train_images.shape, data.test_images.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert (data.mean, data.std) == (pytest.approx([0.1307], abs=1e-4), pytest.approx([0.3081], abs=1e-4))
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100"])
def test_a_failed_download_names_folder_cause_and_alternatives(name, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "actbench.datasets"), pytest.raises(DatasetError) as raised:
        load(name, tmp_path)
    message = str(raised.value)
    expected = (
        f"'{name}'",
        str(tmp_path),
        "Searched",
        "no network in tests",
        "mnist-5k",
        "digits",
        "idx",
        "image_folder",
    )
    assert [part for part in expected if part not in message] == []
    assert caplog.messages == [f"downloading {name} into {tmp_path}"]
    assert socket.getdefaulttimeout() is None


def cifar_batch(images, labels, label_key):
    rows = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    return pickle.dumps({"data": rows, label_key: labels}, protocol=2)


@pytest.fixture(params=[("cifar10", "CIFAR10", "labels"), ("cifar100", "CIFAR100", "fine_labels")], ids=lambda p: p[0])
def cifar(request, tmp_path, monkeypatch):
    """Batches of two images in torchvision's own format, with torchvision told their checksums."""
    import torchvision.datasets

    name, kind, label_key = request.param
    kind = getattr(torchvision.datasets, kind)
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    taken = iter(range(0, 12, 2))

    def write(file, content):
        (folder / file).write_bytes(content)
        return [file, hashlib.md5(content).hexdigest()]

    def batch(file):
        start = next(taken)
        return write(file, cifar_batch(images[start : start + 2], [start % 5, 1], label_key))

    monkeypatch.setattr(kind, "train_list", [batch(file) for file, _ in kind.train_list])
    monkeypatch.setattr(kind, "test_list", [batch(file) for file, _ in kind.test_list])
    _, checksum = write(kind.meta["filename"], pickle.dumps({kind.meta["key"]: list("abcde")}, protocol=2))
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": checksum})
    return name, kind, images


def test_cifar_batches_become_channels_first_images(cifar, tmp_path):
    name, kind, images = cifar
    count = 2 * len(kind.train_list)
    data = load(name, tmp_path, val_fraction=0.0)
    assert (data.shape, data.classes) == ((3, 32, 32), tuple("abcde"))
    assert data.shape == datasets.image_shape(components.resolve("datasets", name))
    assert sorted_rows(data.train_images) == sorted_rows(np.ascontiguousarray(images[:count].transpose(0, 3, 1, 2)))
    assert sorted(data.train_labels.tolist()) == sorted(kind(tmp_path).targets)
    assert len(data.test_labels) == 2


def test_a_damaged_cifar_batch_is_named_and_not_unpickled(cifar, tmp_path):
    name, kind, _ = cifar
    path = tmp_path / kind.base_folder / kind.test_list[0][0]
    path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(DatasetError, match=f"{path.name} is damaged: its md5"):
        load(name, tmp_path)
