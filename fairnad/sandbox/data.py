"""Where data sets are kept, and how the controller asks for one; making them is a child's work."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from fairnad.errors import DatasetError
from fairnad.records import DatasetInfo, Failure
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import PrepareJob, PrepareReport

__all__ = ["data_root", "prepare_dataset"]

logger = logging.getLogger(__name__)

_PREPARE_SECONDS = 3600.0
_IMAGE_FOLDER = "image-folder:"
_RAW_FOLDERS = {"imagenet16-120": "FAIRNAD_IMAGENET16"}
"""Data sets that nobody may pass on, and what names the folder of the user's own files."""


def prepare_dataset(sandbox: Sandbox, name: str, root: str | None, *, split_dir: str | None = None) -> DatasetInfo:
    """Make or find the data set `name` below `root`, and return where it is.

    Published split files are looked for in `split_dir` first.

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
    if name.startswith(_IMAGE_FOLDER):
        name = _IMAGE_FOLDER + str(_absolute(name.removeprefix(_IMAGE_FOLDER)))
    raw_dir = os.environ.get(_RAW_FOLDERS.get(name, ""))
    job = PrepareJob(
        dataset=name,
        root=str(where),
        split_dir=str(_absolute(split_dir)) if split_dir else None,
        raw_dir=str(_absolute(raw_dir)) if raw_dir else None,
        proxies={key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")},
    )
    report = sandbox.run(job, timeout_seconds=_PREPARE_SECONDS)
    if report.dataset is None:
        raise DatasetError(_told(name, report))
    if report.dataset.notes:
        logger.info("data set %s: %s", name, "; ".join(report.dataset.notes))
    return report.dataset


def _told(name: str, report: PrepareReport) -> str:
    """Return why there is no data set; what broke in its maker is told with the trace of that."""
    if report.failure is Failure.TIMEOUT:
        return f"data set {name!r} was not made within {_PREPARE_SECONDS:.0f} s"
    if report.failure is Failure.MEMORY:
        return f"data set {name!r}: the memory is too small to make it: {report.reason}"
    return f"data set {name!r}: {report.reason}\n{report.details.rstrip()}" if report.details else report.reason


def data_root(given: str | None) -> Path:
    """Return the folder of data sets: `given`, or FAIRNAD_DATA, or the user's cache."""
    if chosen := given or os.environ.get("FAIRNAD_DATA"):
        return _absolute(chosen)
    return _absolute(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fairnad"


def _absolute(path: str) -> Path:
    """Return `path` as it is meant here: a child process has another home and another folder."""
    return Path(path).expanduser().absolute()
