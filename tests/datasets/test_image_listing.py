"""Image folders as people have them: hidden files, links, loops, odd names; and the way out of a wrong layout."""

import itertools
import os
import shutil

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from actbench import datasets
from actbench.datasets import _listing
from actbench.errors import DatasetError
from actbench.schema import components


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "user-cache" / name)


@pytest.fixture
def root(tmp_path):
    """Two classes with six and two images, all different."""
    root = tmp_path / "pictures"
    for part, count in (("train", 6), ("test", 2)):
        for label in ("left", "right"):
            for number in range(count):
                picture(root / part / label / f"{number}.png")
    return root


@pytest.fixture
def load(tmp_path, root):
    def load(**options):
        value = {"name": "image_folder", "root": str(root), "val_fraction": 0.0, **options}
        return datasets.load(components.resolve("datasets", value), tmp_path)

    return load


drawn = itertools.count()


def picture(path):
    """Write an image that no other equals: its number in its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = np.frombuffer(b"\xff" + next(drawn).to_bytes(3, "big"), np.uint8).reshape(2, 2)
    Image.fromarray(np.kron(digits, np.ones((2, 2), np.uint8))).save(path)


def only_note(data):
    (note,) = data.notes
    return note


def same(one, other):
    return one.classes == other.classes and one.fingerprint == other.fingerprint


def hidden_file(root):
    (root / "train/left/._0.png").write_bytes(b"\0\5\x16\7")
    return "hidden files and folders: 1 (train/left/._0.png)"


def hidden_folders(root):
    picture(root / "train/.ipynb_checkpoints/0-checkpoint.png")
    picture(root / "test/.ipynb_checkpoints/0-checkpoint.png")
    picture(root / "test/right/@eaDir/thumb.png")
    picture(root / "test/__MACOSX/a.png")
    return "hidden files and folders: 4 (train/.ipynb_checkpoints, test/.ipynb_checkpoints, test/__MACOSX, …)"


def emacs_lock(root):
    (root / "train/left/.#notes.txt").symlink_to("someone@host.1234:1")
    return "hidden files and folders: 1 (train/left/.#notes.txt)"


def dangling_links(root):
    (root / "train/left/99.png").symlink_to("/nonexistent/annex/99.png")
    (root / "train/middle").symlink_to("/nonexistent/annex")
    return "links that lead nowhere: 2 (train/left/99.png, train/middle)"


def link_to_itself(root):
    (root / "train/left/9.png").symlink_to("9.png")
    return "links that lead nowhere: 1 (train/left/9.png)"


def loop(root):
    (root / "train/left/all").symlink_to("..")
    return "links back to a folder above: 1 (train/left/all)"


def loop_of_the_whole_disk(root):
    (root / "train/left/all").symlink_to("/")
    return "links back to a folder above: 1 (train/left/all)"


def loop_in_a_nested_folder(root):
    (root / "test/left/more").mkdir()
    (root / "test/left/more/again").symlink_to("../more")
    return "links back to a folder above: 1 (test/left/more/again)"


def other_files(root):
    (root / "train/left/Thumbs.db").write_text("")
    (root / "train/left/labels.csv").write_text("")
    (root / "test/right/README").write_text("")
    return "files that don't end as images do: 3 (train/left/Thumbs.db, train/left/labels.csv, test/right/README)"


def recognised_but_not_decodable(root):
    (root / "train/left/clip.mpg").write_text("")
    return "files that don't end as images do: 1 (train/left/clip.mpg)"


def outside(root):
    picture(root / "train/lost.png")
    return "files outside of every class folder: 1 (train/lost.png)"


def pipe(root):
    os.mkfifo(root / "train/left/7.png")
    return "entries that are not files: 1 (train/left/7.png)"


LEFT_OUT = (
    hidden_file,
    hidden_folders,
    emacs_lock,
    dangling_links,
    link_to_itself,
    loop,
    loop_of_the_whole_disk,
    loop_in_a_nested_folder,
    other_files,
    recognised_but_not_decodable,
    outside,
    pipe,
)


@pytest.mark.parametrize("leave", LEFT_OUT)
def test_what_is_no_image_of_a_class_is_left_out_counted_and_named(leave, root, load):
    clean = load()
    assert clean.notes == ()
    expected = leave(root)
    found = load()
    assert same(found, clean)
    assert only_note(found) == f"skipped in {root}, {expected}"
    assert load().notes == found.notes  # also from the cache


def test_all_that_is_left_out_is_said_in_one_sentence(root, load):
    reasons = sorted([hidden_file(root), dangling_links(root), outside(root)])
    assert only_note(load()) == f"skipped in {root}, {'; '.join(reasons)}"


def test_names_that_are_no_utf_8_are_kept_and_shown(root, load):
    for part in ("train", "test"):
        odd = os.fsencode(root / part) + b"/K\xe4fer"
        os.mkdir(odd)
        for number in range(2):
            picture(root / "scratch.png")
            os.rename(root / "scratch.png", odd + b"/%d.p\xffg" % number if number else odd + b"/\xff.png")
    data = load()
    assert data.classes == ("K\\xe4fer", "left", "right")
    assert len(data.train_labels) == 13
    assert "K\\xe4fer/1.p\\xffg" in only_note(data)
    os.rename(os.fsencode(root / "train") + b"/K\xe4fer/\xff.png", os.fsencode(root / "train") + b"/K\xe4fer/0.txt")
    with pytest.raises(DatasetError, match=r"no image in .*/train for the class K\\xe4fer; add images"):
        load()


def test_a_damaged_file_with_an_odd_name_is_named(root, load):
    with open(os.fsencode(root / "train/left") + b"/\xff.png", "wb") as file:
        file.write(b"no image")
    with pytest.raises(DatasetError, match=r"can't decode .*/train/left/\\xff\.png"):
        load()


def test_a_class_may_be_a_link_and_its_images_lie_at_any_depth(root, load, tmp_path):
    for part in ("train", "test"):
        shutil.move(root / part / "right", tmp_path / "elsewhere" / part)
        (root / part / "right").symlink_to(tmp_path / "elsewhere" / part)
        for name in ("b/c.PNG", "b-a/c.png", "b/a/c.png", "c.Png"):
            picture(root / part / "left" / name)
    data = load()
    assert data.notes == ()
    assert len(data.train_labels) == 16


def test_the_order_is_that_of_torchvision(root, load):
    """An image's place in the fixed random order depends on it, and with it every split and result."""
    for name in ("b/c.png", "b-a/c.png", "b/a/c.png", "a.png", "b/C.png"):
        picture(root / "train/right" / name)
    expected = [path for path, _ in torchvision.datasets.ImageFolder(root / "train").samples]
    assert [entry.path for entry in _listing.listed(root / "train").entries] == expected


def test_two_links_to_one_folder_are_no_loop(root, load):
    for part in ("train", "test"):
        (root / part / "left/again").symlink_to(root / part / "left/real")
        picture(root / part / "left/real/9.png")
    data = load()
    assert len(data.train_labels) == 14


def test_a_folder_that_may_not_be_read_is_named(root, load):
    (root / "train/left").chmod(0)
    if os.access(root / "train/left", os.R_OK):
        pytest.skip("root may read every folder")
    with pytest.raises(DatasetError, match=r"can't read .*/train/left: Permission denied"):
        load()
    (root / "train/left").chmod(0o755)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("val", "There is 'val': rename it to 'test' .actbench takes its own validation images from train"),
        ("validation", "There is 'validation': rename it to 'test' .actbench takes its own validation"),
        ("Test", "There is 'Test': rename it to 'test'$"),
        ("testing", "There is 'testing': rename it to 'test'$"),
        ("other", r"Move some images of each class there; or set root: .*/train and test_fraction: 0\.2"),
    ],
)
def test_a_folder_without_test_gets_a_way_out(given, named, root, load):
    (root / "test").rename(root / given)
    with pytest.raises(DatasetError, match=f"no folder .*/test; expected test/<class>/<images>. {named}"):
        load()


def test_a_flat_folder_gets_a_way_out_that_works(root, load, tmp_path):
    flat = str(root / "train")
    with pytest.raises(DatasetError, match=r"folders there .left, right. are the classes, set test_fraction: 0\.2"):
        load(root=flat)
    data = load(root=flat, test_fraction=0.34)
    assert (data.classes, len(data.train_labels), len(data.test_labels)) == (("left", "right"), 8, 4)
    assert np.bincount(data.test_labels).tolist() == [2, 2]
    held_out = {image.tobytes() for image in data.test_images}
    assert not held_out & {image.tobytes() for image in data.train_images}
    assert {image.tobytes() for image in load(root=flat, test_fraction=0.34).test_images} == held_out


def test_test_fraction_is_refused_where_train_and_test_are(root, load):
    with pytest.raises(DatasetError, match=r"'test_fraction' is for a folder of classes, but .* holds train and test"):
        load(test_fraction=0.2)


def test_other_layouts_are_refused_with_what_was_expected(root, load):
    with pytest.raises(DatasetError, match=r"'root' .*/nowhere is not a folder"):
        load(root=str(root / "nowhere"))
    shutil.rmtree(root / "test/left")
    with pytest.raises(DatasetError, match=r"in only one of train and test: left \(not in test\); make the folders"):
        load()
    (root / "test/left").mkdir()
    (root / "test/left/a.txt").write_text("")
    with pytest.raises(DatasetError, match=r"no image in .*/test for the class left; .*skipped in .*test/left/a\.txt"):
        load()
    shutil.rmtree(root / "train")
    picture(root / "train/0.png")
    with pytest.raises(DatasetError, match=r"/train holds no class folder; expected .*; skipped in .*train/0\.png"):
        load()


def test_one_class_is_refused(root, load):
    shutil.rmtree(root / "train/left")
    shutil.rmtree(root / "test/left")
    with pytest.raises(DatasetError, match="all 6 training images are of one class, 'right', so that any network is"):
        load()


def test_parts_of_different_sizes_are_refused_by_name(root, load):
    Image.new("L", (3, 5)).save(root / "test/left/0.png")
    with pytest.raises(DatasetError, match=r"test/left/0\.png is 3×5 pixels, the first image is 4×4; set 'size'"):
        load()
