"""ImageNet16-120: the first 120 classes of ImageNet at 16 x 16 pixels, in the splits of NAS-Bench-201.

Its licence keeps it from being downloaded here: the pickles are the user's own, and must be the published ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairnad.errors import DatasetError
from fairnad.training.datasets import RawDataset, Sources, Split
from fairnad.training.downloads import check_sum, md5
from fairnad.training.pickled_images import BatchForm, read_batch
from fairnad.training.splits import split_indices

__all__ = ["MD5", "URL", "VAL_FILE", "make", "read"]

URL = "https://drive.google.com/drive/folders/1NE63Vdo2Nia0V7LK1CdybRLjBFY72w40"
"""Where the authors of NAS-Bench-201 publish the files (README of D-X-Y/NAS-Bench-201)."""

VAL_FILE = "val_data"
_NUM_CLASSES = 120
_PADDING = 2
_FORM = BatchForm(size=16, labels_key="labels", num_classes=1000, first_label=1)

# Those that lib/datasets/DownsampledImageNet.py of D-X-Y/AutoDL-Projects lists.
MD5 = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    VAL_FILE: "3410e3017fdaefba8d5073aaa65e4bd6",
}


def make(sources: Sources) -> RawDataset:
    """Return ImageNet16-120: all its training images to train, half of its validation images each to evaluate."""
    folder = sources.raw("ImageNet16")
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is not there: put {', '.join(MD5)} of ImageNet16 into it ({URL}), "
            "or set FAIRNAD_IMAGENET16 to the folder where they are"
        )
    splits = split_indices("imagenet16-120", sources.root, split_dir=sources.split_dir)
    train, evaluation = read(folder)
    return RawDataset(
        train=train,
        val=evaluation.take(splits.val),
        test=evaluation.take(splits.test),
        num_classes=_NUM_CLASSES,
        mean=(122.68, 116.66, 104.01),
        std=(63.22, 61.26, 65.09),
        flip=True,
        crop_padding=_PADDING,
        notes=("raw files: MD5 sums are those of the published files",),
    )


def read(folder: Path) -> tuple[Split, Split]:
    """Return the training and the validation images of the first 120 classes, in the order of the files.

    Raises:
        DatasetError: a file is missing, of another sum (it names both), or of another form.
    """
    parts = {name: _read_file(folder / name, expected) for name, expected in MD5.items()}
    evaluation = parts.pop(VAL_FILE)
    train = [*parts.values()]
    return Split(np.concatenate([p.images for p in train]), np.concatenate([p.labels for p in train])), evaluation


def _read_file(path: Path, expected_md5: str) -> Split:
    if not path.is_file():
        raise DatasetError(f"{path} is not there; put the file of ImageNet16 into this folder ({URL})")
    data = path.read_bytes()
    check_sum(path, md5(data), expected_md5)
    batch = read_batch(data, str(path), _FORM)
    return batch.take(np.flatnonzero(batch.labels < _NUM_CLASSES))
