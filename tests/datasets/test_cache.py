"""The cache of decoded datasets: found again, verified, replaced when damaged, and never in a read-only folder."""

import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from actbench import datasets
from actbench.datasets import _cache
from actbench.datasets._source import ARRAYS, Source
from actbench.schema import components

IMAGES = np.arange(6 * 4, dtype=np.uint8).reshape(6, 1, 2, 2)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    """The user's cache folder of this test, so that no test sees the real one."""
    import platformdirs

    folder = tmp_path / "user-cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: folder / name)
    return folder / "actbench" / "datasets" / _cache.FOLDER


def decode():
    labels = np.arange(6) % 2
    return Source(IMAGES, labels, IMAGES[:3], labels[:3], ("even", "odd"))


def refuse_to_decode():
    raise AssertionError("decoded although it was cached")


def entries(folder):
    return sorted(folder.iterdir()) if folder.exists() else []


def equal(first, second):
    return first.classes == second.classes and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ARRAYS
    )


def test_a_dataset_is_decoded_once(tmp_path):
    first = _cache.cached("tiny", "key", decode, tmp_path)
    again = _cache.cached("tiny", "key", refuse_to_decode, tmp_path)
    assert equal(first, again)
    assert first.fingerprint == again.fingerprint
    assert sorted(again.train_images[:, 0, 0, 0].tolist()) == IMAGES[:, 0, 0, 0].tolist()


def test_another_key_is_another_entry(tmp_path):
    _cache.cached("tiny", ["size", 1], decode, tmp_path)
    _cache.cached("tiny", ["size", 2], decode, tmp_path)
    assert len(entries(tmp_path / _cache.FOLDER)) == 2


def test_cached_arrays_are_mapped_and_writing_to_them_stays_private(tmp_path):
    first = _cache.cached("tiny", "key", decode, tmp_path)
    assert isinstance(first.train_images.base, np.memmap)
    assert first.train_images.flags.writeable
    first.train_images[:] = 0
    assert _cache.cached("tiny", "key", refuse_to_decode, tmp_path).train_images.any()


def truncate(entry):
    file = entry / "train_images.npy"
    file.write_bytes(file.read_bytes()[:-1])


def flip_a_pixel(entry):
    file = entry / "test_images.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


def lose_an_array(entry):
    (entry / "test_labels.npy").unlink()


def garble_a_header(entry):
    (entry / "train_labels.npy").write_bytes(b"no array")


def garble_the_manifest(entry):
    (entry / _cache.MANIFEST).write_text('{"classes": ["even"')


def lose_the_manifest(entry):
    (entry / _cache.MANIFEST).unlink()


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_pixel, lose_an_array, garble_a_header, garble_the_manifest, lose_the_manifest]
)
def test_a_damaged_entry_is_replaced_with_a_warning(damage, tmp_path, caplog):
    whole = _cache.cached("tiny", "key", decode, tmp_path)
    (entry,) = entries(tmp_path / _cache.FOLDER)
    expected = [getattr(whole, name).copy() for name in ARRAYS]
    damage(entry)
    with caplog.at_level(logging.WARNING, "actbench.datasets"):
        mended = _cache.cached("tiny", "key", decode, tmp_path)
    assert "damaged" in caplog.text
    assert str(entry) in caplog.text
    assert all(np.array_equal(getattr(mended, name), array) for name, array in zip(ARRAYS, expected, strict=True))
    assert entries(tmp_path / _cache.FOLDER) == [entry]
    assert equal(_cache.cached("tiny", "key", refuse_to_decode, tmp_path), mended)


def test_a_read_only_data_folder_is_left_alone_and_the_user_cache_used(tmp_path, user_cache, caplog):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    with caplog.at_level(logging.INFO, "actbench.datasets"):
        _cache.cached("tiny", "key", decode, folder)
    assert "read-only" in caplog.text
    assert entries(folder) == []
    assert len(entries(user_cache)) == 1
    _cache.cached("tiny", "key", refuse_to_decode, folder)


def test_without_any_writable_folder_the_data_is_right_and_a_warning_says_so(tmp_path, user_cache, caplog):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    user_cache.parent.mkdir(parents=True)
    user_cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, "actbench.datasets"):
        source = _cache.cached("tiny", "key", decode, folder)
    assert "could not be cached" in caplog.text
    assert equal(source, _cache.cached("tiny", "key", decode, tmp_path))


def test_concurrent_writers_leave_one_whole_entry(tmp_path, caplog):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: _cache.cached("tiny", "key", decode, tmp_path), range(16)))
    assert all(equal(found[0], other) for other in found)
    assert caplog.messages == []
    assert len(entries(tmp_path / _cache.FOLDER)) == 1


def test_of_many_processes_that_find_no_entry_one_decodes(tmp_path):
    calls = []

    def decode_slowly():
        calls.append(1)
        time.sleep(0.2)  # without a lock all would be within this
        return decode()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: _cache.cached("tiny", "key", decode_slowly, tmp_path), range(4)))
    assert len(calls) == 1
    assert all(equal(one, found[0]) for one in found)


def test_a_failed_decode_leaves_nothing_behind(tmp_path):
    with pytest.raises(AssertionError):
        _cache.cached("tiny", "key", refuse_to_decode, tmp_path)
    assert entries(tmp_path / _cache.FOLDER) == []


def test_a_cached_dataset_loads_without_heavy_imports(tmp_path):
    datasets.load(components.resolve("datasets", "digits"), tmp_path)
    program = (
        "import sys, pathlib; from actbench import datasets; from actbench.schema import components\n"
        f"datasets.load(components.resolve('datasets', 'digits'), pathlib.Path({str(tmp_path)!r}))\n"
        "print({'torch', 'torchvision', 'scipy', 'sklearn', 'pandas', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
