"""Where data sets are kept, and how the controller asks for one; making them is a child's work."""

from __future__ import annotations

import os
from pathlib import Path

from fairnad.errors import DatasetError
from fairnad.records import DatasetInfo
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import PrepareJob

__all__ = ["data_root", "prepare_dataset"]

_PREPARE_SECONDS = 3600.0


def prepare_dataset(sandbox: Sandbox, name: str, root: str | None) -> DatasetInfo:
    """Make or find the data set `name` below `root`, and return where it is.

    Raises:
        DatasetError: it cannot be had, and what to do.
    """
    where = data_root(root)
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"data folder {where} cannot be made: {error.strerror}; set --data-root or FAIRNAD_DATA"
        ) from error
    report = sandbox.run(PrepareJob(dataset=name, root=str(where)), timeout_seconds=_PREPARE_SECONDS)
    if report.dataset is None:
        raise DatasetError(report.reason)
    return report.dataset


def data_root(given: str | None) -> Path:
    """Return the folder of data sets: `given`, or FAIRNAD_DATA, or the user's cache."""
    if chosen := given or os.environ.get("FAIRNAD_DATA"):
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "fairnad"
