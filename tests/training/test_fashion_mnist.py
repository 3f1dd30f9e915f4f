import gzip
import hashlib
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from fairnad.errors import DatasetError
from fairnad.training import fashion_mnist
from fairnad.training.fashion_mnist import DEBIAN
from tests.training.raw_files import labels, write_fashion_mnist, write_idx


@pytest.fixture(autouse=True)
def _without_debians_package(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")


@pytest.fixture
def raw(tmp_path):
    return write_fashion_mnist(tmp_path / "root" / "raw" / "fashion-mnist")


def test_one_training_image_in_twelve_validates_and_grey_fills_three_channels(raw, prepared):
    info = prepared("fashion-mnist")
    train, val = (np.load(Path(info.folder) / f"{name}_images.npy") for name in ("train", "val"))
    assert (len(train), len(val), info.num_test, info.input_shape) == (110, 10, 20, (3, 28, 28))
    every = np.random.default_rng(0).integers(0, 256, (120, 28, 28), dtype=np.uint8)
    seen = {image[0].tobytes() for image in (*train, *val)}
    assert seen == {image.tobytes() for image in every}
    assert all((image == image[0]).all() for image in train)
    assert sorted(np.load(Path(info.labels_folder) / "val_labels.npy")) == list(range(10))
    np.testing.assert_allclose(info.mean, train.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(info.std, train.std(axis=(0, 2, 3)))
    assert "is not that of the published file" in info.notes[0]
    shutil.rmtree(raw)
    assert prepared("fashion-mnist") == info


def test_debians_package_is_found(tmp_path, prepared):
    write_fashion_mnist(tmp_path / "debian")
    assert prepared("fashion-mnist").num_train == 110
    assert not (tmp_path / "root" / "raw").exists()


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_debians_own_files_are_the_published_ones(prepared, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", DEBIAN)
    info = prepared("fashion-mnist")
    assert (info.num_train, info.num_val, info.num_test) == (55_000, 5_000, 10_000)
    assert info.notes == (f"raw files in {DEBIAN}: contents are those of the published files",)


def test_without_files_and_torchvision_the_error_says_what_to_do(tmp_path, prepared, offline):
    with pytest.raises(DatasetError) as caught:
        prepared("fashion-mnist")
    name, folder = "train-images-idx3-ubyte.gz", tmp_path / "root" / "raw" / "fashion-mnist"
    url = f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}"
    assert all(
        part in str(caught.value)
        for part in (url, f"put it into {folder} as {name}", "fairnad[vision]", "t10k-labels", "Debian")
    )


def test_torchvision_fetches_the_files(tmp_path, prepared, serve, monkeypatch):
    pytest.importorskip("torchvision")
    served = write_fashion_mnist(tmp_path / "served")
    monkeypatch.setattr(fashion_mnist, "_URL", serve(served))
    for name, (_, unpacked) in list(fashion_mnist._FILES.items()):
        packed = hashlib.md5((served / name).read_bytes()).hexdigest()
        monkeypatch.setitem(fashion_mnist._FILES, name, (packed, unpacked))
    assert prepared("fashion-mnist").num_train == 110


def gzipped(content):
    """Return `content` as gzip packs it; the time would be in it, and so in the name of a test."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("train-images", b"not packed", "cannot be unpacked .+ damaged or cut short"),
        ("train-images", gzipped(bytes(9000))[:-20], "cannot be unpacked .+ damaged or cut short"),
        ("train-images", gzipped(b"short"), r"header is \(\), expected \(2051, N up to 60000, 28, 28\)"),
        ("train-images", gzipped(struct.pack(">4I", 2051, 120, 32, 32)), "images are 32 x 32"),
        (
            "train-images",
            gzipped(struct.pack(">4I", 2051, 120, 28, 28)),
            "holds 0 bytes of items, expected 94080",
        ),
        ("train-images", gzipped(struct.pack(">4I", 2051, 2**32 - 1, 28, 28)), "N up to 60000"),
        ("train-labels", gzipped(struct.pack(">2I", 2051, 120)), r"expected \(2049, N up to 60000\)"),
        (
            "train-labels",
            gzipped(struct.pack(">2I", 2049, 9) + bytes(9)),
            "9 labels, expected one for each of 120",
        ),
    ],
)
def test_another_form_is_refused(name, content, expected, raw, prepared):
    path = next(raw.glob(f"{name}*"))
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=expected) as caught:
        prepared("fashion-mnist")
    assert str(path) in str(caught.value)


def test_labels_out_of_range_are_refused(raw, prepared):
    given = np.array(labels(120, 10), dtype=np.uint8)
    given[77] = 10
    write_idx(raw / "train-labels-idx1-ubyte.gz", struct.pack(">2I", 2049, 120), given)
    with pytest.raises(DatasetError, match=r"label of image 77 is 10, expected 0\.\.9"):
        prepared("fashion-mnist")
