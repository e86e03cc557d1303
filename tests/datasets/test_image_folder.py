"""An image folder: one subfolder a class, any format that Pillow reads."""

import shutil

import numpy as np
import pytest

from actbench import datasets
from actbench.datasets import _cache
from actbench.errors import DatasetError
from actbench.schema import components

PINK, TEAL = (200, 30, 100), (0, 128, 129)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "user-cache" / name)


def load(folder, **options):
    return datasets.load(components.resolve("datasets", {"name": "image_folder", **options}), folder)


def write_image(path, colour, size=(5, 4)):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / "pictures"
    for number in range(5):
        write_image(root / "train" / "pink" / f"{number}.png", PINK)
        write_image(root / "train" / "teal" / f"{number}.png", TEAL)
    write_image(root / "test" / "pink" / "0.png", PINK)
    write_image(root / "test" / "teal" / "0.png", TEAL)
    return root


def test_an_image_folder_has_a_class_for_each_subfolder(pictures, tmp_path):
    data = load(tmp_path, root=str(pictures))
    assert (data.shape, data.classes) == ((3, 4, 5), ("pink", "teal"))
    assert (len(data.train_labels), len(data.val_labels), len(data.test_labels)) == (9, 1, 2)
    for image, label in zip(data.train_images, data.train_labels, strict=True):
        assert np.array_equal(image, np.broadcast_to(np.reshape((PINK, TEAL)[label], (3, 1, 1)), (3, 4, 5)))


def test_an_image_folder_can_be_grey_and_resized(pictures, tmp_path):
    data = load(tmp_path, root=str(pictures), grey=True, size=7)
    assert data.shape == (1, 7, 7)
    assert data.test_images[data.test_labels == 0][0, 0, 0, 0] == round(0.299 * 200 + 0.587 * 30 + 0.114 * 100)
    assert len(list((tmp_path / _cache.FOLDER).iterdir())) == 1


def test_images_of_different_sizes_are_refused_until_size_is_given(pictures, tmp_path):
    write_image(pictures / "train" / "teal" / "tall.png", TEAL, size=(5, 9))
    with pytest.raises(DatasetError, match=r"tall.png is 5×9 pixels, the first image is 5×4; set 'size'"):
        load(tmp_path, root=str(pictures))
    assert load(tmp_path, root=str(pictures), size=4).shape == (3, 4, 4)


def test_an_image_that_can_not_be_decoded_is_named(pictures, tmp_path):
    (pictures / "test" / "pink" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(DatasetError, match=r"can't decode .*broken\.png"):
        load(tmp_path, root=str(pictures))


def test_an_image_folder_without_its_parts_or_classes_is_refused(pictures, tmp_path):
    shutil.rmtree(pictures / "test" / "teal")
    with pytest.raises(DatasetError, match="classes in only one of train and test: teal"):
        load(tmp_path, root=str(pictures))
    (pictures / "test" / "teal").mkdir()
    with pytest.raises(DatasetError, match="teal"):
        load(tmp_path, root=str(pictures))
    shutil.rmtree(pictures / "test")
    with pytest.raises(DatasetError, match="expected test/<class>/<images>"):
        load(tmp_path, root=str(pictures))


def test_a_new_image_is_seen_although_the_folder_is_cached(pictures, tmp_path):
    assert len(load(tmp_path, root=str(pictures)).test_labels) == 2
    write_image(pictures / "test" / "teal" / "1.png", TEAL)
    assert len(load(tmp_path, root=str(pictures)).test_labels) == 3
