"""Fashion-MNIST: 28 x 28 grey pictures of clothes, shown in three equal channels.

Debian's package dataset-fashion-mnist is used where it is installed; its files are the published ones, packed anew.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairnad.errors import DatasetError
from fairnad.training.datasets import RAW_FOLDERS, RawDataset, Sources, Split, channel_statistics
from fairnad.training.downloads import download, md5
from fairnad.training.splits import hold_out

__all__ = ["DEBIAN", "make", "read"]

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_PACKAGE = "dataset-fashion-mnist"
_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_SIZE = 28
_NUM_CLASSES = 10
_VAL_ONE_IN = 12
"""5,000 of the 60,000 training images validate."""
_PADDING = 4
"""With a flip, as Zhong et al. 2017 (arXiv:1708.04896) train on this data set."""
_MAX_ITEMS = 60_000
_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049

# name -> MD5 sums of the file as torchvision lists it, and of what it unpacks to.
_FILES = {
    "train-images-idx3-ubyte.gz": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    "train-labels-idx1-ubyte.gz": ("25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
    "t10k-images-idx3-ubyte.gz": ("bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
    "t10k-labels-idx1-ubyte.gz": ("bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
}


def make(sources: Sources) -> RawDataset:
    """Return Fashion-MNIST: 5,000 of its training images, 500 of each class, validate."""
    folder = _folder(sources)
    notes: list[str] = []
    train, test = (read(folder, prefix, notes) for prefix in ("train", "t10k"))
    kept, held = hold_out(train.labels, _VAL_ONE_IN)
    mean, std = channel_statistics(train.images[kept, :1])
    return RawDataset(
        train=train.take(kept),
        val=train.take(held),
        test=test,
        num_classes=_NUM_CLASSES,
        mean=mean * 3,
        std=std * 3,
        flip=True,
        crop_padding=_PADDING,
        notes=tuple(notes) or (f"raw files in {folder}: contents are those of the published files",),
    )


def read(folder: Path, prefix: str, notes: list[str]) -> Split:
    """Return the images and labels of "train" or "t10k"; notes are added on files that are not the published ones.

    Raises:
        DatasetError: a file is missing, damaged or of another form.
    """
    names = [name for name in _FILES if name.startswith(prefix)]
    images_data, labels_data = (_unpack(folder / name, notes) for name in names)
    images_path, labels_path = (folder / name for name in names)
    images = _array(images_data, images_path, _IMAGES_MAGIC, (_SIZE, _SIZE))
    labels = _array(labels_data, labels_path, _LABELS_MAGIC, ())
    if len(images) != len(labels):
        raise DatasetError(f"{labels_path} holds {len(labels)} labels, expected one for each of {len(images)} images")
    if (outside := np.flatnonzero(labels >= _NUM_CLASSES)).size:
        first = int(outside[0])
        raise DatasetError(
            f"{labels_path}: the label of image {first} is {labels[first]}, expected 0..{_NUM_CLASSES - 1}; "
            "get the published file"
        )
    return Split(images[:, None].repeat(3, axis=1), labels.astype(np.int64))


def _folder(sources: Sources) -> Path:
    """Return the folder of the four files: the user's, Debian's, or the one that they are downloaded to."""
    ours = sources.raw(RAW_FOLDERS["fashion-mnist"])
    if DEBIAN.is_dir() and not ours.is_dir():
        return DEBIAN
    missing = [name for name in _FILES if not (ours / name).is_file()]
    for name in missing:
        try:
            download(_URL + name, ours / name, _FILES[name][0])
        except DatasetError as error:
            raise DatasetError(
                f"{error}; missing in all: {', '.join(missing)}; Debian's package {_PACKAGE} has them too"
            ) from error
    return ours


def _unpack(path: Path, notes: list[str]) -> bytes:
    most = 16 + _MAX_ITEMS * _SIZE**2
    try:
        with gzip.open(path) as file:
            data = file.read(most + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be unpacked ({error}): it is damaged or cut short; get it again") from error
    if md5(data) != _FILES[path.name][1]:
        notes.append(f"raw files: the content of {path} is not that of the published file")
    return data


def _array(data: bytes, path: Path, magic: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return what an idx file holds: a big-endian header (magic, count, sizes), then the bytes."""
    form, start = f">{2 + len(shape)}I", 4 * (2 + len(shape))
    header = struct.unpack(form, data[:start]) if len(data) >= start else ()
    expected = (magic, min(header[1], _MAX_ITEMS), *shape) if header else ()
    if not header or header != expected:
        sizes = " x ".join(map(str, header[2:]))
        raise DatasetError(
            f"{path}: header is {header}, expected ({magic}, N up to {_MAX_ITEMS}{''.join(f', {s}' for s in shape)})"
            f"{f'; images are {sizes}' if sizes else ''}; get the published file"
        )
    size = int(np.prod(header[1:]))
    if len(data) - start != size:
        raise DatasetError(f"{path} holds {len(data) - start} bytes of items, expected {size}; get it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(header[1:])
