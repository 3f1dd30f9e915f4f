"""The data of a run: as its search began with it, whatever became of the files since."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairnad.config import Config
from fairnad.errors import DatasetError
from fairnad.history.store import History
from fairnad.records import DatasetInfo, DataShape
from fairnad.sandbox.data import prepare_dataset
from fairnad.sandbox.launch import Sandbox

__all__ = ["known_data", "open_data", "record_data"]

_EVENT = "dataset"


def open_data(sandbox: Sandbox, config: Config, history: History | None = None) -> DatasetInfo:
    """Return the data set of `config`, which is to be the one that the search of `history` began with.

    Raises:
        DatasetError: it cannot be had, or is another one: splits that are drawn anew mix what was kept apart.
    """
    dataset = prepare_dataset(sandbox, config.dataset, config.data_root, split_dir=config.split_dir)
    known = _recorded(history) if history is not None else None
    if known is not None and known["labels"] != (now := _content(dataset))["labels"]:
        raise DatasetError(
            f"{config.dataset} is not what the run began with ({_counted(known)}; now {_counted(now)}): put its files "
            "back as they were, or begin another search"
        )
    return dataset


def record_data(history: History, dataset: DatasetInfo) -> None:
    """Record what the search of `history` begins with."""
    history.event(_EVENT, notes=list(dataset.notes), **_content(dataset))


def known_data(history: History) -> DataShape | None:
    """Return what is recorded of the data of a run, wherever they are by now; None for a run of an older version."""
    known = _recorded(history)
    if known is None:
        return None
    return DataShape(known["name"], known["classes"], tuple(known["input_shape"]), num_train=known["images"][0])


def _recorded(history: History) -> Mapping[str, Any] | None:
    return next((event.data for event in history.events(_EVENT) if "labels" in event.data), None)


def _content(dataset: DatasetInfo) -> dict[str, object]:
    """Return what tells one data set from another; a hash of the labels in their order also tells its splits."""
    files = (Path(dataset.folder, "train_labels.npy"), *Path(dataset.labels_folder).glob("*_labels.npy"))
    labels = b"".join(file.read_bytes() for file in sorted(files, key=lambda file: file.name))
    return {
        "name": dataset.name,
        "classes": dataset.num_classes,
        "input_shape": dataset.input_shape,
        "images": [dataset.num_train, dataset.num_val, dataset.num_test],
        "labels": hashlib.sha256(labels).hexdigest()[:16],
    }


def _counted(content: Mapping[str, Any]) -> str:
    return f"{content['classes']} classes, {' + '.join(map(str, content['images']))} images"
