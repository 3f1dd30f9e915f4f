"""Placing, out of memory, broken devices, and what an earlier controller left; the sandbox only notes its jobs."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fairnad.config import ExecutorConfig
from fairnad.errors import ExecutorError
from fairnad.executors.base import Finished, Started, Training
from fairnad.executors.devices import Device, places
from fairnad.executors.local import LocalExecutor
from fairnad.records import DatasetInfo, Failed, Failure, Recipe, Trained
from fairnad.sandbox.wire import TrainReport

NUM_VAL, NUM_CLASSES = 8, 2


class NotedSandbox:
    """Answers every job at once, or as `answer` says, and keeps what was asked."""

    def __init__(self, answer=lambda job: None, *, seconds=0.0):
        self.jobs = []
        self.limits = []
        self.most_at_once = {}
        self._now = {}
        self._answer = answer
        self._seconds = seconds
        self._lock = threading.Lock()

    def run(self, job, *, folder, timeout_seconds, memory_bytes):
        with self._lock:
            self.jobs.append(job)
            self.limits.append(timeout_seconds)
            self._now[job.gpu] = self._now.get(job.gpu, 0) + 1
            self.most_at_once[job.gpu, job.memory_share] = max(
                self._now[job.gpu], self.most_at_once.get((job.gpu, job.memory_share), 0)
            )
        time.sleep(self._seconds)
        with self._lock:
            self._now[job.gpu] -= 1
        failed = self._answer(job)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(job.model_dump_json())
        if failed is not None:
            return failed
        right = np.eye(NUM_CLASSES, dtype="<f4")[np.zeros(NUM_VAL, dtype=int)]
        (folder / "logits.bin").write_bytes(right.tobytes())
        report = TrainReport(losses=(1.0,), seconds=0.5, images_per_second=9.0, peak_memory_bytes=3, num_logits=NUM_VAL)
        (folder / "report.json").write_text(report.model_dump_json())
        return report


@pytest.fixture
def dataset(tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    np.save(labels / "val_labels.npy", np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    return DatasetInfo(
        name="made-up",
        num_classes=NUM_CLASSES,
        input_shape=(3, 4, 4),
        num_train=10,
        num_val=NUM_VAL,
        num_test=8,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        flip=False,
        crop_padding=0,
        folder=str(tmp_path / "images"),
        labels_folder=str(labels),
    )


def executor(sandbox, dataset, tmp_path, *, gpus=0, **settings):
    config = ExecutorConfig(**settings)
    devices = tuple(Device("A100", index, 40 * 2**30) for index in range(gpus)) or (Device("cpu"),)
    where = places(devices, config, num_cores=2)
    return LocalExecutor(
        sandbox=sandbox,
        dataset=dataset,
        recipe=Recipe(epochs=1),
        config=config,
        places=where,
        folder=tmp_path / "children",
    )


def train(runner, count, *, seconds=lambda number: 1.0):
    """Train `count` children to the end and return all messages."""
    for number in range(count):
        runner.submit(
            Training(number, f"# network {number}", seed=7, predicted_seconds=seconds(number), size=seconds(number))
        )
    messages = []
    while sum(isinstance(m, Finished) and m.outcome is not None for m in messages) < count:
        messages += runner.messages(timeout_seconds=20)
    runner.close()
    return messages


def outcomes(messages):
    return {m.training.child_id: m.outcome for m in messages if isinstance(m, Finished) and m.outcome is not None}


def test_the_controller_scores_the_logits(dataset, tmp_path):
    messages = train(executor(NotedSandbox(), dataset, tmp_path), 1)
    assert isinstance(messages[0], Started)
    outcome = outcomes(messages)[0]
    assert isinstance(outcome, Trained)
    assert (outcome.accuracy, outcome.split, outcome.seed, outcome.epochs) == (0.75, "val", 7, 1)


def test_eight_children_on_four_gpus_of_two_streams(dataset, tmp_path):
    sandbox = NotedSandbox(seconds=0.3)
    train(executor(sandbox, dataset, tmp_path, gpus=4, streams_per_gpu=2), 8)
    assert sorted(job.gpu for job in sandbox.jobs) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert {job.memory_share for job in sandbox.jobs} == {0.5}
    assert {job.device for job in sandbox.jobs} == {"cuda"}


def test_on_a_cpu_no_child_sees_a_gpu(dataset, tmp_path):
    sandbox = NotedSandbox()
    train(executor(sandbox, dataset, tmp_path, threads=1), 2)
    assert {(job.gpu, job.device, job.threads) for job in sandbox.jobs} == {(None, "cpu", 1)}


def test_no_job_of_a_search_names_the_test_split(dataset, tmp_path):
    sandbox = NotedSandbox()
    train(executor(sandbox, dataset, tmp_path), 3)
    for job in sandbox.jobs:
        named = {Path(name).name for name in (job.data.train_images, job.data.train_labels, job.data.eval_images)}
        assert named == {"train_images.npy", "train_labels.npy", "val_images.npy"}
        assert dataset.labels_folder not in job.model_dump_json()


def test_the_largest_of_those_that_wait_starts_first(dataset, tmp_path):
    sandbox = NotedSandbox(seconds=0.1)
    train(executor(sandbox, dataset, tmp_path, slots=1), 4, seconds=lambda number: float(number))
    order = [int(job.source.split()[-1]) for job in sandbox.jobs]
    assert order[1:] == sorted(order[1:], reverse=True)


def test_the_time_limit_follows_the_prediction_above_a_floor(dataset, tmp_path):
    sandbox = NotedSandbox()
    runner = executor(sandbox, dataset, tmp_path, slots=1, timeout_factor=5.0, timeout_floor_seconds=120.0)
    train(runner, 2, seconds=lambda number: (1.0, 100.0)[number])
    assert sorted(sandbox.limits) == [120.0, 500.0]


def test_out_of_memory_beside_a_neighbour_is_tried_again_alone(dataset, tmp_path):
    def answer(job):
        if job.source == "# network 1" and job.memory_share < 1.0:
            return TrainReport(failure=Failure.MEMORY, reason="CUDA out of memory")
        return None

    sandbox = NotedSandbox(answer, seconds=0.1)
    messages = train(executor(sandbox, dataset, tmp_path, gpus=1, streams_per_gpu=2), 4)
    assert all(isinstance(outcome, Trained) for outcome in outcomes(messages).values())
    assert [job.memory_share for job in sandbox.jobs if job.source == "# network 1"] == [0.5, 1.0]
    assert sandbox.most_at_once[0, 1.0] == 1


def test_out_of_memory_alone_is_the_networks_own(dataset, tmp_path):
    def answer(job):
        return TrainReport(failure=Failure.MEMORY, reason="CUDA out of memory") if job.source == "# network 1" else None

    messages = train(executor(NotedSandbox(answer), dataset, tmp_path, gpus=1), 3)
    failed = outcomes(messages)[1]
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.MEMORY


def test_a_gpu_that_fails_two_children_is_left_out(dataset, tmp_path):
    def answer(job):
        return (
            TrainReport(failure=Failure.CRASH, reason="CUDA error: unspecified launch failure")
            if job.gpu == 0
            else None
        )

    sandbox = NotedSandbox(answer, seconds=0.05)
    messages = train(executor(sandbox, dataset, tmp_path, gpus=2, streams_per_gpu=1), 8)
    assert all(isinstance(outcome, Trained) for outcome in outcomes(messages).values())
    assert sum(job.gpu == 0 for job in sandbox.jobs) == 2


def test_a_network_that_crashes_everywhere_is_to_blame_itself(dataset, tmp_path):
    def answer(job):
        crash = TrainReport(failure=Failure.CRASH, reason="CUDA error: device-side assert")
        return crash if job.source in {"# network 1", "# network 3"} else None

    sandbox = NotedSandbox(answer, seconds=0.02)
    messages = train(executor(sandbox, dataset, tmp_path, gpus=1, streams_per_gpu=1), 5)
    failed = {number for number, outcome in outcomes(messages).items() if isinstance(outcome, Failed)}
    assert failed == {1, 3}


def test_a_training_that_finished_unseen_is_scored_and_not_repeated(dataset, tmp_path):
    sandbox = NotedSandbox()
    train(executor(sandbox, dataset, tmp_path), 1)
    again = NotedSandbox()
    messages = train(executor(again, dataset, tmp_path), 1)
    assert again.jobs == []
    assert outcomes(messages)[0].accuracy == 0.75


def test_it_is_not_repeated_where_another_place_takes_it(dataset, tmp_path):
    train(executor(NotedSandbox(), dataset, tmp_path, gpus=2, streams_per_gpu=2), 4)
    again = NotedSandbox()
    messages = train(executor(again, dataset, tmp_path, gpus=1, streams_per_gpu=1), 4)
    assert again.jobs == []
    assert len(outcomes(messages)) == 4


def test_a_report_of_another_job_is_not_taken(dataset, tmp_path):
    train(executor(NotedSandbox(), dataset, tmp_path), 1)
    (tmp_path / "children" / "0" / "job.json").write_text("{}")
    again = NotedSandbox()
    train(executor(again, dataset, tmp_path), 1)
    assert len(again.jobs) == 1


@pytest.mark.parametrize("gpus", [1, 3])
def test_the_last_gpu_is_never_left_out(gpus, dataset, tmp_path):
    def answer(job):
        crash = TrainReport(failure=Failure.CRASH, reason="NotImplementedError: no kernel for the 'CUDA' backend")
        return None if job.source == "# network 7" else crash

    sandbox = NotedSandbox(answer, seconds=0.02)
    found = outcomes(train(executor(sandbox, dataset, tmp_path, gpus=gpus, streams_per_gpu=2), 8))
    assert [isinstance(found[number], Failed) for number in range(8)] == [True] * 7 + [False]
    assert len(sandbox.jobs) == 2 * 7 + 1


def test_a_child_that_crashes_twice_clears_the_gpu_it_crashed_on_first(dataset, tmp_path, caplog):
    def answer(job):
        crash = TrainReport(failure=Failure.CRASH, reason="CUDA error: device-side assert")
        return crash if job.source in {f"# network {number}" for number in (2, 5, 8)} else None

    sandbox = NotedSandbox(answer, seconds=0.05)
    train(executor(sandbox, dataset, tmp_path, gpus=2, streams_per_gpu=1), 12)
    assert not [message for message in caplog.messages if "is left out" in message]


def test_whatever_stops_a_slot_is_told(dataset, tmp_path):
    (Path(dataset.labels_folder) / "val_labels.npy").write_bytes(b"")
    runner = executor(NotedSandbox(), dataset, tmp_path)
    runner.submit(Training(4, "# network 4", seed=7, predicted_seconds=1.0))
    with pytest.raises(ExecutorError, match="a training slot stopped: child 4: EOFError: No data left in file"):
        list(iter(lambda: runner.messages(timeout_seconds=10), ()))
