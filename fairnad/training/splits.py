"""Which images train, validate and test: the published splits of NAS-Bench-201, and our own for other data sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairnad.errors import DatasetError
from fairnad.training.downloads import check_sum, download_text

__all__ = ["PUBLISHED", "URL", "PublishedSplit", "Splits", "hold_out", "split_indices"]

URL = "https://raw.githubusercontent.com/D-X-Y/AutoDL-Projects/main/configs/nas-benchmark/"
_SEED = 20_240_613

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PublishedSplit:
    """A split file and the names of its lists; None where the whole of a file set is meant."""

    file: str
    sha256: str
    val: str
    train: str | None = None
    test: str | None = None


PUBLISHED = {
    "cifar10": PublishedSplit(
        "cifar-split.txt",
        "986da6174822048d4c5a25ee8ebdb7e754cd5372b51c633ffd4898ace8db9e32",
        train="train",
        val="valid",
    ),
    "cifar100": PublishedSplit(
        "cifar100-test-split.txt",
        "14a5e3708e790ad57f987cdbcf202f724519475d6e8b0db34d0182e73b581bba",
        val="xvalid",
        test="xtest",
    ),
    "imagenet16-120": PublishedSplit(
        "imagenet-16-120-test-split.txt",
        "c0edac1d3676a9f21acea8feeb31336202d75b1a73df62aec31c6b45bb289a18",
        val="xvalid",
        test="xtest",
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Indices of images; `train` and `test` are None where all training or evaluation images are meant."""

    train: Indices | None
    val: Indices
    test: Indices | None


def split_indices(dataset: str, root: Path, *, split_dir: Path | None = None) -> Splits:
    """Return the NAS-Bench-201 index split of `dataset`.

    Indices are 0-based, ascending and disjoint. cifar10: `train` and `val` index the 50,000 training images; cifar100,
    imagenet16-120: `val` and `test` index the evaluation images. The file is looked for in `split_dir`, then in
    `<root>/splits`, where a download is kept.
    Source: Dong & Yang 2020 (arXiv:2001.00326), section 2.2; configs/nas-benchmark of D-X-Y/AutoDL-Projects.

    Raises:
        DatasetError: the file is another than the published one, or is nowhere.
    """
    split = PUBLISHED[dataset]
    lists = json.loads(_read(split, root / "splits", split_dir))
    return Splits(
        train=None if split.train is None else _indices(lists, split.train),
        val=_indices(lists, split.val),
        test=None if split.test is None else _indices(lists, split.test),
    )


def hold_out(labels: NDArray[np.int64], one_in: int) -> tuple[Indices, Indices]:
    """Return ascending indices of those kept and of one in `one_in` of each class held out, at least one each.

    The same for the same labels, whatever the machine.
    """
    rng = np.random.default_rng(_SEED)
    classes = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    sizes = [max(1, len(members) // one_in) for members in classes]
    kept = [members[size:] for members, size in zip(classes, sizes, strict=True)]
    held = [members[:size] for members, size in zip(classes, sizes, strict=True)]
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))


def _read(split: PublishedSplit, cache: Path, split_dir: Path | None) -> bytes:
    folders = [cache] if split_dir is None else [split_dir, cache]
    path = next((folder / split.file for folder in folders if (folder / split.file).is_file()), None)
    data = _fetch(split, cache) if path is None else path.read_bytes()
    check_sum(path or cache / split.file, hashlib.sha256(data).hexdigest(), split.sha256)
    if path is None:
        _keep(data, cache / split.file)
    return data


def _fetch(split: PublishedSplit, cache: Path) -> bytes:
    try:
        return download_text(URL + split.file)
    except DatasetError as error:
        raise DatasetError(
            f"split file {split.file}: {error}; put the file into {cache}, or name its folder with --split-dir"
        ) from error


def _keep(data: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".part")
    staged.write_bytes(data)
    staged.rename(path)


def _indices(lists: Mapping[str, tuple[str, list[str]]], name: str) -> Indices:
    """Return a list of the file, which has ["int", ["0", "5", ...]] under each name."""
    return np.array([int(index) for index in lists[name][1]], dtype=np.int64)
