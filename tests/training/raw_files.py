"""Tiny data sets in the true formats of the published files, and tiny split files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from fairnad.training import imagenet16, splits

PUBLISHED_SPLITS = Path(__file__).resolve().parents[3] / "shared" / "data" / "splits"
NUM_BATCH, NUM_TEST = 12, 20
"""Images of a CIFAR-10 training batch, and of each evaluated file."""


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes alike as Python 2 did, as the CIFAR files have them."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, data):
        head = b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))
        self.write(head + data)
        self.memoize(data)

    def save_str(self, text):
        self.save_bytes(text.encode("latin1"))

    dispatch[bytes], dispatch[str] = save_bytes, save_str


def python2_pickle(batch):
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(batch)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def rows(num, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, 3 * size * size), dtype=np.uint8)


def labels(num, num_classes, first=0):
    return [first + index % num_classes for index in range(num)]


def write_cifar10(raw, *, num_batch=NUM_BATCH, num_test=NUM_TEST):
    """Write an unpacked archive below `raw` and return its folder."""
    folder = raw / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        num = num_test if name == "test_batch" else num_batch
        batch = {
            "batch_label": name,
            "labels": labels(num, 10),
            "data": rows(num, 32, seed=number),
            "filenames": [f"{n}.png" for n in range(num)],
        }
        (folder / name).write_bytes(python2_pickle(batch))
    meta = {"num_cases_per_batch": num_batch, "label_names": [f"class{n}" for n in range(10)], "num_vis": 3072}
    (folder / "batches.meta").write_bytes(python2_pickle(meta))
    return folder


def write_cifar100(raw, *, num_train=200, num_test=NUM_TEST):
    folder = raw / "cifar-100-python"
    folder.mkdir(parents=True)
    for seed, (name, num) in enumerate((("train", num_train), ("test", num_test))):
        batch = {
            "filenames": [f"{n}.png" for n in range(num)],
            "batch_label": name,
            "fine_labels": labels(num, 100),
            "coarse_labels": labels(num, 20),
            "data": rows(num, 32, seed=seed),
        }
        (folder / name).write_bytes(python2_pickle(batch))
    (folder / "meta").write_bytes(python2_pickle({"fine_label_names": [f"class{n}" for n in range(100)]}))
    return folder


def write_imagenet16(folder, monkeypatch, *, num_batch=15, num_val=30):
    """Write the eleven files, every third label past 120, and take their sums for the published ones."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(imagenet16.MD5):
        num = num_val if name == imagenet16.VAL_FILE else num_batch
        data = rows(num, 16, seed=seed)
        given = [121 + n if n % 3 == 2 else 1 + (seed + n) % 120 for n in range(num)]
        batch = {"data": data, "labels": given, "mean": data.mean(axis=0)}
        (folder / name).write_bytes(pickle.dumps(batch))
        monkeypatch.setitem(imagenet16.MD5, name, hashlib.md5((folder / name).read_bytes()).hexdigest())
    return folder


def write_fashion_mnist(folder, *, num_train=120, num_test=NUM_TEST, size=28):
    folder.mkdir(parents=True)
    for seed, (prefix, num) in enumerate((("train", num_train), ("t10k", num_test))):
        images = np.random.default_rng(seed).integers(0, 256, (num, size, size), dtype=np.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", struct.pack(">4I", 2051, num, size, size), images)
        given = np.array(labels(num, 10), dtype=np.uint8)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", struct.pack(">2I", 2049, num), given)
    return folder


def write_idx(path, header, items):
    path.write_bytes(gzip.compress(header + items.tobytes(), mtime=0))


def write_images(folder, *, splits=("train", "val", "test"), classes=("cat", "dog"), num=4, size=(10, 8)):
    """Write `num` PNGs of each class and split, of `size` (width, height); return `folder`."""
    for seed, (split, name) in enumerate((split, name) for split in splits for name in classes):
        place = folder / split / name
        place.mkdir(parents=True)
        for number in range(num):
            pixels = np.random.default_rng([seed, number]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def write_tiny_splits(folder, monkeypatch):
    """Write split files for tiny file sets, and take their sums for the published ones."""
    folder.mkdir(parents=True)
    totals = {"cifar10": 5 * NUM_BATCH, "cifar100": NUM_TEST, "imagenet16-120": NUM_TEST}
    for name, published in list(splits.PUBLISHED.items()):
        halves = [key for key in (published.train, published.val, published.test) if key]
        lists = {
            key: ["int", [str(n) for n in range(totals[name]) if n % 2 == half]] for half, key in enumerate(halves)
        }
        text = json.dumps(lists, indent=2)
        (folder / published.file).write_text(text)
        tiny = replace(published, sha256=hashlib.sha256(text.encode()).hexdigest())
        monkeypatch.setitem(splits.PUBLISHED, name, tiny)
    return folder
