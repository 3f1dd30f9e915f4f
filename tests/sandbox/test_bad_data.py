"""Data that cannot be used, as the controller meets it: named, explained, exit status 2, and nothing left behind."""

import hashlib
import shutil

import pytest
from PIL import Image

from fairnad.errors import DatasetError
from fairnad.sandbox.data import prepare_dataset
from fairnad.training import cifar
from fairnad.training.splits import PUBLISHED
from tests.training.raw_files import (
    python2_pickle,
    rows,
    write_cifar10,
    write_cifar100,
    write_fashion_mnist,
    write_images,
)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def write_batch(path, *, labels, size=32):
    path.write_bytes(python2_pickle({"data": rows(len(labels), size), "fine_labels": labels, "labels": labels}))


def write_wrong_split(root):
    write_cifar100(root / "raw")
    (root / "splits").mkdir()
    (root / "splits" / PUBLISHED["cifar100"].file).write_text("{}")


CIFAR10, CIFAR100 = "raw/cifar-10-batches-py", "raw/cifar-100-python"
BROKEN = {
    "wrong archive": (
        "cifar100",
        lambda root: (root / "raw" / "cifar-100-python.tar.gz").write_bytes(b"another"),
        f"checksum {hashlib.md5(b'another').hexdigest()}, expected {cifar.CIFAR100.md5}: it is damaged",
    ),
    "wrong split file": (
        "cifar100",
        lambda root: write_wrong_split(root),
        f"checksum {hashlib.sha256(b'{}').hexdigest()}, expected {PUBLISHED['cifar100'].sha256}: it is damaged",
    ),
    "truncated pickle": (
        "cifar10",
        lambda root: truncate(write_cifar10(root / "raw") / "data_batch_2"),
        f"{CIFAR10}/data_batch_2 cannot be read",
    ),
    "labels out of range": (
        "cifar100",
        lambda root: write_batch(write_cifar100(root / "raw") / "train", labels=[0, 1, 100]),
        f"{CIFAR100}/train: the label of image 2 is 100, expected 0..99",
    ),
    "another size": (
        "cifar10",
        lambda root: write_batch(write_cifar10(root / "raw") / "test_batch", labels=[0, 1], size=28),
        "images are uint8 (2, 2352), expected uint8 (N, 3072): 32 x 32 pixels",
    ),
    "another image size": (
        "fashion-mnist",
        lambda root: write_fashion_mnist(root / "raw" / "fashion-mnist", size=32),
        "images are 32 x 32",
    ),
    "no ImageNet16": ("imagenet16-120", lambda root: None, "or set FAIRNAD_IMAGENET16 to the folder where they are"),
}
BROKEN_FOLDERS = {
    "one class only": (lambda at: shutil.rmtree(at / "train" / "dog"), "train holds one class, 'cat'"),
    "empty class folder": (
        lambda at: [path.unlink() for path in (at / "train" / "dog").iterdir()],
        "train/dog is empty; put images into it, or remove the class",
    ),
    "an image of another size": (
        lambda at: Image.new("RGB", (9, 9)).save(at / "train" / "cat" / "x.png"),
        "train/cat/x.png is 9 x 9, expected 10 x 8",
    ),
}


def refusal(sandbox, name, root):
    """Return what is said, having seen that nothing came of it."""
    before = contents(root)
    with pytest.raises(DatasetError) as caught:
        prepare_dataset(sandbox, name, str(root))
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)
    assert contents(root) == before
    return str(caught.value)


def contents(root):
    return {path: path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


@pytest.mark.parametrize(("name", "damage", "told"), BROKEN.values(), ids=BROKEN)
def test_raw_files_that_cannot_be_used(name, damage, told, sandbox, tmp_path, monkeypatch):
    monkeypatch.delenv("FAIRNAD_IMAGENET16", raising=False)
    (tmp_path / "raw").mkdir()
    damage(tmp_path)
    assert told in refusal(sandbox, name, tmp_path)


@pytest.mark.parametrize(("damage", "told"), BROKEN_FOLDERS.values(), ids=BROKEN_FOLDERS)
def test_an_image_folder_that_cannot_be_used(damage, told, sandbox, tmp_path):
    pictures = write_images(tmp_path / "pictures")
    damage(pictures)
    (tmp_path / "root").mkdir()
    assert told in refusal(sandbox, f"image-folder:{pictures}", tmp_path / "root")


def test_a_root_that_cannot_be_written(sandbox, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "data folder" in refusal(sandbox, "cluttered-digits", tmp_path / "file")
