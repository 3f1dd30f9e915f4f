"""A user's own pictures: PATH/train/<class>/*.png, and likewise val/ and test/, which are split off if they are absent.

All images must be of one size: resizing is a choice that belongs to whoever owns them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fairnad.errors import DatasetError
from fairnad.training.datasets import RawDataset, Sources, Split, channel_statistics
from fairnad.training.splits import hold_out

__all__ = ["fingerprint", "make"]

_SPLITS = ("train", "val", "test")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
"""Of Pillow: 8 bits or less a channel, so that RGB loses nothing but transparency."""
_ONE_IN = 10
_MAX_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class _Item:
    path: Path
    label: int


def fingerprint(argument: str) -> str:
    """Return a digest of the names, sizes and times of all files below the folder.

    Raises:
        DatasetError: there is no such folder.
    """
    folder = _folder(argument)
    digest = hashlib.sha256(str(folder).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def make(sources: Sources) -> RawDataset:
    """Return the pictures of the folder that `sources.argument` names, flipped and cropped by an eighth in training.

    Classes are the sorted names of the folders. A val or test folder that is absent is split off the training images:
    a tenth of each class, the same ones at every call.
    """
    folder = _folder(sources.argument)
    classes = _classes(folder / "train")
    if len(classes) < 2:
        raise DatasetError(f"{folder / 'train'} holds one class, {classes[0]!r}; expected two class folders at least")
    given = {name: _items(folder / name, classes) for name in _SPLITS if (folder / name).is_dir()}
    parts = _split_off(given, classes)
    size = _size(parts["train"][0].path)
    _check_memory(sum(map(len, parts.values())), size)
    train, val, test = (_read(parts[name], size) for name in _SPLITS)
    mean, std = channel_statistics(train.images)
    notes = [f"class {label}: {name}" for label, name in enumerate(classes)]
    notes += [f"{name} is a tenth of each class of the train folder" for name in _SPLITS if name not in given]
    return RawDataset(
        train=train,
        val=val,
        test=test,
        num_classes=len(classes),
        mean=mean,
        std=tuple(max(value, 1.0) for value in std),  # a constant channel stays finite
        flip=True,
        crop_padding=min(size) // 8,
        notes=tuple(notes),
    )


def _folder(argument: str) -> Path:
    folder = Path(argument)
    if not argument or not (folder / "train").is_dir():
        raise DatasetError(
            f"data set image-folder:{argument}: no folder {folder / 'train'}; expected image-folder:PATH "
            "with PATH/train/<class>/<image> (and PATH/val, PATH/test or none)"
        )
    return folder.resolve()


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _classes(folder: Path) -> list[str]:
    for path in (entries := _visible(folder)):
        if not path.is_dir():
            raise DatasetError(f"{path} lies beside the class folders; move it into one of them, or away")
    if not entries:
        raise DatasetError(f"{folder} holds no class folder; expected {folder}/<class>/<image>")
    return [path.name for path in entries]


def _items(folder: Path, classes: list[str]) -> list[_Item]:
    """Return the images below a split's folder, whose class folders must be `classes`."""
    if (found := _classes(folder)) != classes:
        odd = ", ".join(sorted(set(found) ^ set(classes)))
        raise DatasetError(f"{folder} has other class folders than train: {odd}; expected the same in both")
    items = []
    for label, name in enumerate(classes):
        paths = _visible(folder / name)
        if not paths:
            raise DatasetError(f"class folder {folder / name} is empty; put images into it, or remove the class")
        items += [_Item(path, label) for path in paths]
    return items


def _split_off(given: dict[str, list[_Item]], classes: list[str]) -> dict[str, list[_Item]]:
    """Return all three splits: those that are missing are taken from train."""
    parts = dict(given)
    missing = [name for name in _SPLITS if name not in given]
    for taken, name in enumerate(missing):
        labels = np.array([item.label for item in parts["train"]])
        if min(counts := np.bincount(labels, minlength=len(classes)).tolist()) < 2:
            poorest = classes[counts.index(min(counts))]
            raise DatasetError(
                f"class {poorest!r} has too few images in train to split off {' and '.join(missing)}: "
                f"expected {1 + len(missing)} at least; add images, or folders val and test"
            )
        kept, held = hold_out(labels, _ONE_IN - taken)  # a tenth of all is a ninth of the rest
        parts[name] = [parts["train"][index] for index in held]
        parts["train"] = [parts["train"][index] for index in kept]
    return parts


def _check_memory(num: int, size: tuple[int, int]) -> None:
    needed = num * 3 * size[0] * size[1]
    if needed > _MAX_BYTES:
        raise DatasetError(
            f"{num:,} images of {size[0]} x {size[1]} take {needed / 2**30:.1f} GiB, expected {_MAX_BYTES / 2**30:g} "
            "at most; make them smaller"
        )


def _read(items: list[_Item], size: tuple[int, int]) -> Split:
    images = np.empty((len(items), 3, size[1], size[0]), dtype=np.uint8)
    for image, item in zip(images, items, strict=True):
        image[...] = _pixels(item.path, size).transpose(2, 0, 1)
    return Split(images, np.array([item.label for item in items], dtype=np.int64))


def _size(path: Path) -> tuple[int, int]:
    """Return width and height."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return image.size
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _pixels(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.size != size:
                found, expected = (f"{width} x {height}" for width, height in (image.size, size))
                raise DatasetError(f"{path} is {found}, expected {expected} as the first image; make all of one size")
            if image.mode not in _MODES:
                raise DatasetError(f"{path} has pixels of mode {image.mode}, expected 8 bits a channel; convert it")
            return np.asarray(image.convert("RGBA" if image.mode == "P" else "RGB").convert("RGB"))
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path} cannot be read as an image ({error}); replace it or take it away")


_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
