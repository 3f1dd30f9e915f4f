"""Data sets: the table of the known ones, and their files on disk, which appear whole or not at all.

A maker returns arrays and knows nothing of files; `prepare` knows nothing of pictures. No torch here.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fairnad.errors import DatasetError, nearest
from fairnad.records import DatasetInfo
from fairnad.sandbox.wire import PrepareJob, PrepareReport

__all__ = ["DATASETS", "RAW_FOLDERS", "RawDataset", "Sources", "Split", "channel_statistics", "prepare"]

DATASETS = {
    "cluttered-digits": "fairnad.training.digits:make",
    "cifar10": "fairnad.training.cifar:make_cifar10",
    "cifar100": "fairnad.training.cifar:make_cifar100",
    "imagenet16-120": "fairnad.training.imagenet16:make",
    "fashion-mnist": "fairnad.training.fashion_mnist:make",
    "image-folder": "fairnad.training.image_folder:make",
}
"""Known data sets: name -> "module:function". `my_package.data:make` works from a configuration too."""

_FINGERPRINTS = {"image-folder": "fairnad.training.image_folder:fingerprint"}
"""Those named "<family>:<argument>": what tells, of an argument, when the prepared files are out of date."""

RAW_FOLDERS = {
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "fashion-mnist": "fashion-mnist",
}
"""Where those keep raw files that need not be the published ones: when they are replaced, the data set is made anew."""

_INFO = "dataset.json"
_BLOCK = 4096
"""Images counted at a time."""
_ADAPTER = TypeAdapter(DatasetInfo)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images uint8 (N, 3, H, W) and labels int64 (N,), counted from 0."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64] | None) -> Split:
        """Return the images at `indices`, all for None. Indices past the end are left out.

        So a small file set in a published form takes its part of the published split.
        """
        if indices is None:
            return self
        inside = indices[indices < len(self.labels)]
        return Split(self.images[inside], self.labels[inside])


@dataclass(frozen=True, slots=True, eq=False)
class RawDataset:
    """What a maker returns. `mean` and `std` are in units of 0..255, one a channel; padding in pixels.

    `final_train` is what the final training uses, where that is more than `train`.
    """

    train: Split
    val: Split
    test: Split
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    crop_padding: int
    notes: tuple[str, ...] = ()
    final_train: Split | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a maker finds what it needs, and below `root` keeps what it downloads.

    `split_dir` is the user's folder of split files, `raw_dir` that of this data set's raw files; `argument` is what
    follows the colon in "image-folder:PATH".
    """

    root: Path
    split_dir: Path | None = None
    raw_dir: Path | None = None
    argument: str = ""

    def raw(self, folder: str) -> Path:
        """Return where raw files are: the user's folder, else `folder` below `<root>/raw`."""
        return self.raw_dir or self.root / "raw" / folder


Maker = Callable[[Sources], RawDataset]
"""Returns the same arrays at every call."""


def prepare(job: PrepareJob, folder: Path) -> PrepareReport:
    """Return the data set of `job`, made below `job.root` unless it is there already.

    Nothing is written to `folder`, the job's own. The files live in `<name>-<version>`, where the version is a hash of
    the maker's module, so that an edited maker never meets the files of an older one, and of the state of the argument
    or of the raw files. Once these are gone, what was made of them last is kept.

    Raises:
        DatasetError: the name is unknown, the maker cannot be imported, it finds no data, or they cannot be used.
    """
    started = time.perf_counter()
    name, _, argument = job.dataset.partition(":")
    if name not in _FINGERPRINTS:
        name, argument = job.dataset, ""
    maker = _find_function(name, DATASETS.get(name, name))
    version = hashlib.sha256(Path(inspect.getfile(maker)).read_bytes())
    if name in _FINGERPRINTS:
        version.update(_find_function(name, _FINGERPRINTS[name])(argument).encode())
    sources = Sources(
        root=Path(job.root).resolve(),
        split_dir=Path(job.split_dir) if job.split_dir else None,
        raw_dir=Path(job.raw_dir) if job.raw_dir else None,
        argument=argument,
    )
    stem = sources.root / f"{name.replace(':', '.')}-{version.hexdigest()[:12]}"
    raw_folder = sources.raw(RAW_FOLDERS[name]) if name in RAW_FOLDERS else None
    place = _find(stem, raw_folder) or _make(job.dataset, maker, sources, partial(_stamped, stem, raw_folder))
    return PrepareReport(dataset=_read_info(place), seconds=time.perf_counter() - started)


def channel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, in units of 0..255."""
    counts = np.zeros((images.shape[1], 256))
    for start in range(0, len(images), _BLOCK):  # numpy's own `std` takes eight times the memory of the images
        for channel, values in enumerate(images[start : start + _BLOCK].swapaxes(0, 1)):
            counts[channel] += np.bincount(values.ravel(), minlength=256)
    shares, brightness = counts / counts.sum(axis=1, keepdims=True), np.arange(256)
    mean = shares @ brightness
    std = np.sqrt((shares * (brightness - mean[:, None]) ** 2).sum(axis=1))
    return tuple(float(value) for value in mean), tuple(float(value) for value in std)


def _find_function(name: str, target: str) -> Callable[..., Any]:
    """Return the function "module:function" of the data set `name`."""
    module_name, colon, function_name = target.partition(":")
    if not colon:
        raise DatasetError(
            f"data set {name!r} is unknown: {nearest(name, sorted(DATASETS))}; image-folder takes image-folder:PATH, "
            'your own is named "my_package.data:make"'
        )
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
    except ImportError as error:
        raise DatasetError(f"data set {name!r}: module {module_name!r} cannot be imported: {error}") from error
    if not inspect.isfunction(function):
        raise DatasetError(f"data set {name!r}: {module_name!r} has no function {function_name!r}")
    return cast(Callable[..., Any], function)


def _find(stem: Path, raw_folder: Path | None) -> Path | None:
    """Return where the data set was made of the raw files that are there, or last if there are none."""
    place = _stamped(stem, raw_folder)
    if place != stem:
        return place if (place / _INFO).is_file() else None
    made = stem.parent.glob(f"{stem.name}*/{_INFO}")
    newest = max(made, key=lambda path: path.stat().st_mtime_ns, default=None)
    return newest and newest.parent


def _stamped(stem: Path, raw_folder: Path | None) -> Path:
    """Return `stem` with a hash of the names, sizes and times of the raw files; alone where there are none."""
    if raw_folder is None or not (files := sorted(path for path in raw_folder.rglob("*") if path.is_file())):
        return stem
    state = hashlib.sha256()
    for path in files:
        status = path.stat()
        state.update(f"{path.relative_to(raw_folder)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return stem.with_name(f"{stem.name}-{state.hexdigest()[:12]}")


def _make(name: str, maker: Maker, sources: Sources, place: Callable[[], Path]) -> Path:
    """Make the data set and return its folder, which `place` tells when the maker has downloaded what it needs."""
    try:
        sources.root.mkdir(parents=True, exist_ok=True)
        raw = maker(sources)
        _check(name, raw)
        made = place()
        _place(name, raw, made)
        return made
    except OSError as error:
        free = shutil.disk_usage(sources.root).free // 10**6
        raise DatasetError(
            f"data set {name!r} cannot be made below {sources.root}, where {free:,} MB are free: {error}; "
            "make room or set the permissions there, or choose another folder with --data-root"
        ) from error


def _place(name: str, raw: RawDataset, place: Path) -> None:
    """Write the data set beside `place`, then move it there: whoever comes second keeps the first one's files."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".making-") as temporary:
        staged = Path(temporary) / place.name
        _write(name, raw, staged)
        try:
            staged.rename(place)
        except OSError:  # a folder that is not empty is never replaced
            if not (place / _INFO).is_file():
                raise


def _check(name: str, raw: RawDataset) -> None:
    parts = {"train": raw.train, "val": raw.val, "test": raw.test}
    if raw.final_train is not None:
        parts["final training"] = raw.final_train
    for split, part in parts.items():
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
    if raw.train.labels.min() == raw.train.labels.max():
        only = int(raw.train.labels[0])
        raise DatasetError(f"data set {name!r}: all train images are of class {only}; expected two classes at least")


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
    if raw.final_train is not None:
        np.save(images / "final_train_images.npy", raw.final_train.images)
        np.save(labels / "final_train_labels.npy", raw.final_train.labels)  # the validation labels are among them
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
        num_final_train=None if raw.final_train is None else len(raw.final_train.labels),
    )
    (place / _INFO).write_bytes(_ADAPTER.dump_json(info, indent=1))


def _read_info(place: Path) -> DatasetInfo:
    """Return the description at `place`. On disk its folders are relative, so that a root may be moved."""
    try:
        info = _ADAPTER.validate_json((place / _INFO).read_bytes())
    except ValidationError as error:
        raise DatasetError(f"{place / _INFO} is damaged; delete {place}, and it is made anew") from error
    return replace(info, folder=str(place / info.folder), labels_folder=str(place / info.labels_folder))
