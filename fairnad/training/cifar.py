"""CIFAR-10 and CIFAR-100 in the splits of NAS-Bench-201, from the published python archives.

A folder of unpacked files that the user put there is taken as it is, and the notes tell if it is the published one.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairnad.errors import DatasetError
from fairnad.training.datasets import RAW_FOLDERS, RawDataset, Sources, Split
from fairnad.training.downloads import check_sum, download, md5
from fairnad.training.pickled_images import BatchForm, read_batch
from fairnad.training.splits import split_indices

__all__ = ["CIFAR10", "CIFAR100", "Archive", "Raw", "make_cifar10", "make_cifar100", "read"]

_PADDING = 4
_URL = "https://www.cs.toronto.edu/~kriz/"
_NUM_TRAIN, _NUM_TEST = 50_000, 10_000


@dataclass(frozen=True, slots=True)
class Archive:
    """A published archive: its file and sum, its folder, and the batch files in it with theirs."""

    file: str
    md5: str
    folder: str
    train: dict[str, str]
    test: dict[str, str]
    form: BatchForm


# The sums are those that torchvision.datasets.cifar lists.
CIFAR10 = Archive(
    file="cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    folder=RAW_FOLDERS["cifar10"],
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    form=BatchForm(size=32, labels_key="labels", num_classes=10),
)
CIFAR100 = Archive(
    file="cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    folder=RAW_FOLDERS["cifar100"],
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    form=BatchForm(size=32, labels_key="fine_labels", num_classes=100),
)


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """All images of an archive in its order, and what is to be noted."""

    train: Split
    test: Split
    notes: tuple[str, ...]


def make_cifar10(sources: Sources) -> RawDataset:
    """Return CIFAR-10: half of its training images to train, half to validate, all of them for the final training."""
    raw = read(CIFAR10, sources)
    splits = split_indices("cifar10", sources.root, split_dir=sources.split_dir)
    return RawDataset(
        train=raw.train.take(splits.train),
        val=raw.train.take(splits.val),
        test=raw.test,
        final_train=raw.train,
        num_classes=10,
        mean=(125.3, 123.0, 113.9),
        std=(63.0, 62.1, 66.7),
        flip=True,
        crop_padding=_PADDING,
        notes=raw.notes,
    )


def make_cifar100(sources: Sources) -> RawDataset:
    """Return CIFAR-100: all of its training images to train, half of its test images to validate, half to test."""
    raw = read(CIFAR100, sources)
    splits = split_indices("cifar100", sources.root, split_dir=sources.split_dir)
    return RawDataset(
        train=raw.train,
        val=raw.test.take(splits.val),
        test=raw.test.take(splits.test),
        num_classes=100,
        mean=(129.3, 124.1, 112.4),
        std=(68.2, 65.4, 70.4),
        flip=True,
        crop_padding=_PADDING,
        notes=raw.notes,
    )


def read(archive: Archive, sources: Sources) -> Raw:
    """Return the images of the unpacked folder, else of the archive, which is downloaded if need be.

    Raises:
        DatasetError: they cannot be had, or are not of the archive's form.
    """
    with _members(archive, sources) as (place, member):
        others: list[str] = []
        train = _read_batches(archive.train, place, member, archive.form, others)
        test = _read_batches(archive.test, place, member, archive.form, others)
    notes = [_origin(place, others)]
    for split, name, num in ((train, "training", _NUM_TRAIN), (test, "test", _NUM_TEST)):
        if len(split.labels) > num:
            raise DatasetError(f"{place} holds {len(split.labels):,} {name} images, expected {num:,} at most")
        if len(split.labels) < num:
            notes.append(
                f"{len(split.labels):,} of {num:,} {name} images: accuracies compare with nothing that is published"
            )
    return Raw(train, test, tuple(notes))


def _origin(place: Path, others: list[str]) -> str:
    if not others:
        return "raw files: MD5 sums are those of the published files"
    return f"raw files: MD5 sums of {', '.join(others)} in {place} are not those of the published files"


@contextmanager
def _members(archive: Archive, sources: Sources) -> Iterator[tuple[Path, Callable[[str], bytes]]]:
    """Give the place of the batch files and what reads one by its name."""
    folder = sources.raw(archive.folder)
    if folder.is_dir():
        yield folder, lambda name: (folder / name).read_bytes()
        return
    path = folder.with_name(archive.file)
    if not path.is_file():
        download(_URL + archive.file, path, archive.md5)
    check_sum(path, md5(path.read_bytes()), archive.md5)
    with tarfile.open(path) as tar:
        yield path, lambda name: _extract(tar, f"{archive.folder}/{name}")


def _extract(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, name  # by its sum it is the published archive
    with file:
        return file.read()


def _read_batches(
    files: dict[str, str], place: Path, member: Callable[[str], bytes], form: BatchForm, others: list[str]
) -> Split:
    """Return the images of `files` (name -> MD5) in their order; those of another sum are added to `others`."""
    batches = []
    for name, published in files.items():
        try:
            data = member(name)
        except OSError as error:
            raise DatasetError(
                f"{place / name} cannot be read ({error.strerror}); expected {', '.join(files)}: get them again"
            ) from error
        if md5(data) != published:
            others.append(name)
        batches.append(read_batch(data, str(place / name), form))
    if len(batches) == 1:
        return batches[0]
    return Split(np.concatenate([b.images for b in batches]), np.concatenate([b.labels for b in batches]))
