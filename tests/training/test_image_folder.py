import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairnad.errors import DatasetError
from fairnad.training import image_folder
from tests.training.raw_files import write_images


@pytest.fixture
def pictures(tmp_path):
    return write_images(tmp_path / "pictures")


def load(info, name):
    return np.load(Path(info.folder) / f"{name}.npy")


def test_classes_are_the_sorted_folders_and_pixels_are_planes(pictures, prepared):
    info = prepared(f"image-folder:{pictures}")
    assert (info.num_classes, info.input_shape, info.crop_padding) == (2, (3, 8, 10), 1)
    assert (info.num_train, info.num_val, info.num_test) == (8, 8, 8)
    assert info.notes == ("class 0: cat", "class 1: dog")
    with Image.open(pictures / "train" / "dog" / "2.png") as image:
        np.testing.assert_array_equal(load(info, "train_images")[6], np.asarray(image).transpose(2, 0, 1))
    assert load(info, "train_labels").tolist() == [0] * 4 + [1] * 4
    np.testing.assert_allclose(info.mean, load(info, "train_images").mean(axis=(0, 2, 3)))


def test_missing_splits_are_a_tenth_of_each_class(tmp_path, prepared):
    folder = write_images(tmp_path / "pictures", splits=("train",), num=20)
    info = prepared(f"image-folder:{folder}")
    assert (info.num_train, info.num_val, info.num_test) == (32, 4, 4)
    images = [image.tobytes() for name in ("train", "val", "test") for image in load(info, f"{name}_images")]
    assert len(set(images)) == 40
    assert info.notes[2:] == tuple(f"{name} is a tenth of each class of the train folder" for name in ("val", "test"))


def test_unchanged_folders_are_not_read_again_and_changed_ones_are(pictures, prepared, tmp_path):
    first = prepared(f"image-folder:{pictures}")
    path = pictures / "train" / "cat" / "0.png"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))  # no image, but of the same size and time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert prepared(f"image-folder:{pictures}") == first
    shutil.copy(pictures / "train" / "cat" / "1.png", path)
    assert prepared(f"image-folder:{pictures}").folder != first.folder
    assert prepared(f"image-folder:{shutil.copytree(pictures, tmp_path / 'copy')}").folder != first.folder


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_8_bit_modes_become_rgb(mode, pictures, prepared):
    with Image.open(pictures / "train" / "cat" / "0.png") as image:
        converted = image.convert(mode)
    converted.save(pictures / "train" / "cat" / "0.png")
    found = load(prepared(f"image-folder:{pictures}"), "train_images")[0]
    np.testing.assert_array_equal(found, np.asarray(converted.convert("RGB")).transpose(2, 0, 1))


def test_a_palette_with_transparency_is_read(pictures, prepared):
    image = Image.new("P", (10, 8), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(pictures / "train" / "cat" / "0.png", transparency=b"\x00\x80")
    assert load(prepared(f"image-folder:{pictures}"), "train_images")[0, :, 0, 0].tolist() == [200, 100, 50]


def cut_short(folder):
    path = folder / "train" / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:-60])


BROKEN = {
    "no folder": (shutil.rmtree, r"no folder .+/pictures/train; expected image-folder:PATH"),
    "no class": (lambda at: [shutil.rmtree(p) for p in (at / "train").iterdir()], "train holds no class folder"),
    "one class": (
        lambda at: shutil.rmtree(at / "train" / "dog"),
        "one class, 'cat'; expected two class folders at least",
    ),
    "empty class": (
        lambda at: [p.unlink() for p in (at / "train" / "dog").iterdir()],
        "class folder .+/train/dog is empty",
    ),
    "empty val class": (
        lambda at: [p.unlink() for p in (at / "val" / "cat").iterdir()],
        "class folder .+/val/cat is empty",
    ),
    "other classes": (
        lambda at: (at / "val" / "dog").rename(at / "val" / "cow"),
        "other class folders than train: cow, dog",
    ),
    "stray file": (
        lambda at: (at / "train" / "list.txt").write_text("x"),
        "train/list.txt lies beside the class folders",
    ),
    "no image": (lambda at: (at / "test" / "cat" / "a.txt").write_text("x"), "cat/a.txt cannot be read as an image"),
    "folder in class": (lambda at: (at / "test" / "cat" / "more").mkdir(), "cat/more cannot be read as an image"),
    "cut short": (cut_short, "dog/1.png cannot be read as an image"),
    "other size": (
        lambda at: Image.new("RGB", (8, 10)).save(at / "val" / "dog" / "3.png"),
        "val/dog/3.png is 8 x 10, expected 10 x 8",
    ),
    "16 bit": (lambda at: Image.new("I;16", (10, 8)).save(at / "train" / "cat" / "3.png"), "pixels of mode I;16"),
}


@pytest.mark.parametrize(("damage", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_explained(damage, expected, pictures, prepared, tmp_path):
    damage(pictures)
    with pytest.raises(DatasetError, match=expected) as caught:
        prepared(f"image-folder:{pictures}")
    assert caught.value.exit_status == 2
    assert not (tmp_path / "root").exists() or list((tmp_path / "root").iterdir()) == []


@pytest.mark.parametrize(("num", "splits", "least"), [(2, ("train",), 3), (1, ("train", "test"), 2)])
def test_a_class_too_small_to_split_is_named(num, splits, least, tmp_path, prepared):
    folder = write_images(tmp_path / "pictures", splits=splits)
    for number in range(num, 4):
        (folder / "train" / "dog" / f"{number}.png").unlink()
    with pytest.raises(DatasetError, match=f"class 'dog' has too few images .+: expected {least} at least"):
        prepared(f"image-folder:{folder}")


def test_hidden_files_are_passed_over(pictures, prepared):
    (pictures / "train" / "cat" / ".DS_Store").write_text("x")
    (pictures / "train" / ".cache").mkdir()
    assert prepared(f"image-folder:{pictures}").num_train == 8


def test_too_much_for_the_memory_is_refused_before_it_is_read(pictures, prepared, monkeypatch):
    monkeypatch.setattr(image_folder, "_MAX_BYTES", 5000)
    with pytest.raises(DatasetError, match="24 images of 10 x 8 take"):
        prepared(f"image-folder:{pictures}")


def test_the_family_alone_asks_for_a_path(prepared):
    with pytest.raises(DatasetError, match="expected image-folder:PATH"):
        prepared("image-folder")
