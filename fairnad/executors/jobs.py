"""From a training asked for to the job of a child process, and from its report to an outcome. Starts nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from fairnad.executors.scoring import score
from fairnad.records import DatasetInfo, Failed, Recipe, Trained
from fairnad.sandbox.wire import TrainingData, TrainJob, TrainReport

__all__ = ["Split", "finished_before", "outcome", "training_job"]

Split = Literal["val", "test"]


def training_job(
    source: str,
    dataset: DatasetInfo,
    recipe: Recipe,
    *,
    seed: int,
    split: Split = "val",
    threads: int = 1,
    gpu: int | None = None,
    memory_share: float = 1.0,
) -> TrainJob:
    """Return the job that trains `source` on the CPU or a `gpu`, and evaluates it on the images of `split`.

    For the test split it trains on all that the protocol allows then: on CIFAR-10 the validation images too.
    """
    images = Path(dataset.folder)
    train_images, train_labels = images / "train_images.npy", images / "train_labels.npy"
    if split == "test" and dataset.num_final_train is not None:
        train_images = images / "final_train_images.npy"
        train_labels = Path(dataset.labels_folder) / "final_train_labels.npy"
    data = TrainingData(
        train_images=str(train_images),
        train_labels=str(train_labels),
        eval_images=str(images / f"{split}_images.npy"),
        num_classes=dataset.num_classes,
        mean=dataset.mean,
        std=dataset.std,
        flip=dataset.flip,
        crop_padding=dataset.crop_padding,
    )
    return TrainJob(
        source=source, data=data, recipe=recipe, seed=seed, threads=threads, gpu=gpu, memory_share=memory_share
    )


def outcome(
    job: TrainJob, report: TrainReport, folder: Path, dataset: DatasetInfo, *, split: Split = "val"
) -> Trained | Failed:
    """Return what came of `job`: the report, and the accuracy of the logits that the child left in `folder`."""
    if report.failure is not None:
        return Failed(report.failure, report.reason, report.details, report.seconds)
    labels = Path(dataset.labels_folder) / f"{split}_labels.npy"
    accuracy = score(folder / "logits.bin", labels, dataset.num_classes)
    if isinstance(accuracy, Failed):
        return replace(accuracy, seconds=report.seconds)
    return Trained(
        accuracy=accuracy,
        split=split,
        epochs=job.recipe.epochs,
        seed=job.seed,
        losses=report.losses,
        seconds=report.seconds,
        images_per_second=report.images_per_second,
        peak_memory_bytes=report.peak_memory_bytes,
    )


def finished_before(folder: Path, job: TrainJob) -> TrainReport | None:
    """Return the report of the same job that a killed controller never recorded, if there is one.

    Where it was trained makes no other job of it: which of several places a child gets is chance.
    """
    anywhere = {"gpu": None, "memory_share": 1.0, "threads": 1}
    try:
        known = TrainJob.model_validate_json((folder / "job.json").read_bytes())
        if known.model_copy(update=anywhere) != job.model_copy(update=anywhere):
            return None
        report = TrainReport.model_validate_json((folder / "report.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return report if report.failure is None and (folder / "logits.bin").is_file() else None
