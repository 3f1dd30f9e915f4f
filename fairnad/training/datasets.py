"""Data sets: the table of the known ones, and their files on disk, which appear whole or not at all.

A maker returns arrays and knows nothing of files; `prepare` knows nothing of pictures. No torch here.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import inspect
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fairnad.errors import DatasetError
from fairnad.records import DatasetInfo
from fairnad.sandbox.wire import PrepareJob, PrepareReport

__all__ = ["DATASETS", "RawDataset", "Split", "channel_statistics", "prepare"]

DATASETS = {
    "cluttered-digits": "fairnad.training.digits:make",
}
"""Known data sets: name -> "module:function". `my_package.data:make` works from a configuration too."""

_INFO = "dataset.json"
_ADAPTER = TypeAdapter(DatasetInfo)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images uint8 (N, 3, H, W) and labels int64 (N,), counted from 0."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RawDataset:
    """What a maker returns. `mean` and `std` are in units of 0..255, one a channel; padding in pixels."""

    train: Split
    val: Split
    test: Split
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    crop_padding: int
    notes: tuple[str, ...] = ()


Maker = Callable[[Path], RawDataset]
"""Takes the root folder, below which it finds or keeps raw files, and returns the same arrays at every call."""


def prepare(job: PrepareJob, folder: Path) -> PrepareReport:
    """Return the data set of `job`, made below `job.root` unless it is there already.

    Nothing is written to `folder`, the job's own. The files live in `<name>-<version>`, where the version is a hash of
    the maker's module, so that an edited maker never meets the files of an older one.

    Raises:
        DatasetError: the name is unknown, the maker cannot be imported, or its arrays cannot be used.
    """
    started = time.perf_counter()
    maker = _find_maker(job.dataset)
    version = hashlib.sha256(Path(inspect.getfile(maker)).read_bytes()).hexdigest()[:12]
    place = Path(job.root).resolve() / f"{job.dataset.replace(':', '.')}-{version}"
    if not (place / _INFO).is_file():
        _make(job.dataset, maker, place)
    return PrepareReport(dataset=_read_info(place), seconds=time.perf_counter() - started)


def channel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, in units of 0..255."""
    mean, std = images.mean(axis=(0, 2, 3), dtype=np.float64), images.std(axis=(0, 2, 3), dtype=np.float64)
    return tuple(float(value) for value in mean), tuple(float(value) for value in std)


def _find_maker(name: str) -> Maker:
    module_name, colon, function = DATASETS.get(name, name).partition(":")
    if not colon:
        near = difflib.get_close_matches(name, DATASETS, n=1, cutoff=0.0)[0]
        raise DatasetError(
            f"data set {name!r} is unknown; did you mean {near!r}? "
            f'Known: {", ".join(sorted(DATASETS))}; your own is named "my_package.data:make"'
        )
    try:
        maker = getattr(importlib.import_module(module_name), function, None)
    except ImportError as error:
        raise DatasetError(f"data set {name!r}: module {module_name!r} cannot be imported: {error}") from error
    if not inspect.isfunction(maker):
        raise DatasetError(f"data set {name!r}: {module_name!r} has no function {function!r}")
    return cast(Maker, maker)


def _make(name: str, maker: Maker, place: Path) -> None:
    """Write the data set beside `place`, then move it there: whoever comes second keeps the first one's files."""
    place.parent.mkdir(parents=True, exist_ok=True)
    raw = maker(place.parent)
    _check(name, raw)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".making-") as temporary:
        staged = Path(temporary) / place.name
        _write(name, raw, staged)
        try:
            staged.rename(place)
        except OSError:  # a folder that is not empty is never replaced
            if not (place / _INFO).is_file():
                raise


def _check(name: str, raw: RawDataset) -> None:
    for split, part in (("train", raw.train), ("val", raw.val), ("test", raw.test)):
        shape, found = part.images.shape, f"{part.images.dtype} {part.images.shape}"
        if part.images.dtype != np.uint8 or len(shape) != 4 or shape[1:] != (3, *raw.train.images.shape[2:]):
            raise DatasetError(f"data set {name!r}: {split} images are {found}, expected uint8 (N, 3, H, W)")
        if part.labels.dtype != np.int64 or part.labels.shape != shape[:1] or not shape[0]:
            found = f"{part.labels.dtype} {part.labels.shape}"
            raise DatasetError(f"data set {name!r}: {split} labels are {found}, expected int64 ({shape[0]},), N > 0")
        low, high = int(part.labels.min()), int(part.labels.max())
        if low < 0 or high >= raw.num_classes:
            expected = f"0..{raw.num_classes - 1}"
            raise DatasetError(f"data set {name!r}: {split} labels are {low}..{high}, expected {expected}")


def _write(name: str, raw: RawDataset, place: Path) -> None:
    images, labels = place / "images", place / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    np.save(images / "train_images.npy", raw.train.images)
    np.save(images / "train_labels.npy", raw.train.labels)
    np.save(images / "val_images.npy", raw.val.images)
    np.save(images / "test_images.npy", raw.test.images)
    np.save(labels / "val_labels.npy", raw.val.labels)
    np.save(labels / "test_labels.npy", raw.test.labels)
    info = DatasetInfo(
        name=name,
        num_classes=raw.num_classes,
        input_shape=cast(tuple[int, int, int], raw.train.images.shape[1:]),
        num_train=len(raw.train.labels),
        num_val=len(raw.val.labels),
        num_test=len(raw.test.labels),
        mean=raw.mean,
        std=raw.std,
        flip=raw.flip,
        crop_padding=raw.crop_padding,
        folder=images.name,
        labels_folder=labels.name,
        notes=raw.notes,
    )
    (place / _INFO).write_bytes(_ADAPTER.dump_json(info, indent=1))


def _read_info(place: Path) -> DatasetInfo:
    """Return the description at `place`. On disk its folders are relative, so that a root may be moved."""
    try:
        info = _ADAPTER.validate_json((place / _INFO).read_bytes())
    except ValidationError as error:
        raise DatasetError(f"{place / _INFO} cannot be read; delete {place} to make it afresh: {error}") from error
    return replace(info, folder=str(place / info.folder), labels_folder=str(place / info.labels_folder))
