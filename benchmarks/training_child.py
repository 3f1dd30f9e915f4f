"""What a training child of full size costs: seconds to its first step, and its memory, on 50,000 CIFAR-10 images.

The images are random, in files of the published form; the search trains on half of them, `retrain` on all.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from report import print_table

from fairnad.executors.jobs import Split, training_job
from fairnad.records import DatasetInfo, Recipe
from fairnad.sandbox.data import prepare_dataset
from fairnad.sandbox.launch import Sandbox

# Small, so that what is measured is the data's; it prints when its first step is done, then takes ten more and ends.
NETWORK = """
import time
from torch import nn


class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8, num_classes)
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps == 2 and self.training:
            print(time.monotonic(), flush=True)
        return self.classifier(self.features(images).mean((2, 3)))
"""
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Measured:
    """One training: seconds from the request to the end of the first step, and peaks in bytes.

    `rss` counts the pages that the child shares with the zygote, `own` does not; mapped files are in both.
    """

    first_step_seconds: float
    rss: int
    pss: int
    own: int


def write_cifar10(folder: Path) -> None:
    """Write 50,000 training and 10,000 test images as the published archive holds them, unpacked."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        batch = {
            "batch_label": name,
            "labels": rng.integers(0, 10, 10_000).tolist(),
            "data": rng.integers(0, 256, (10_000, 3072), dtype=np.uint8),
            "filenames": [f"{number}.png" for number in range(10_000)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


def measure(sandbox: Sandbox, dataset: DatasetInfo, split: Split) -> Measured:
    """Train one epoch in a child process and watch its memory from outside."""
    job = training_job(NETWORK, dataset, Recipe(epochs=1, precision="fp32"), seed=0, split=split)
    with tempfile.TemporaryDirectory() as folder:
        watch = _Watch()
        began = time.monotonic()
        report = sandbox.run(job, folder=Path(folder), timeout_seconds=300, memory_bytes=8 * 2**30)
        watch.end()
        if report.failure is not None:
            raise SystemExit(f"the training failed: {report.reason}")
        stepped = float((Path(folder) / "output.txt").read_text().split()[0])
    return Measured(stepped - began, watch.rss, watch.pss, watch.own)


class _Watch:
    """Reads the memory of the child process, a child of the zygote, which is a child of this process."""

    def __init__(self) -> None:
        self.rss = self.pss = self.own = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.02):
            for zygote in _children("self"):
                for child in _children(zygote):
                    self._note(child)

    def _note(self, process: str) -> None:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
            peak = Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]
        except (OSError, IndexError):  # it ended meanwhile
            return
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        private = sizes["Private_Clean"] + sizes["Private_Dirty"]
        self.rss = max(self.rss, int(peak) * 1024)
        self.pss = max(self.pss, sizes["Pss"])
        self.own = max(self.own, private)


def _children(process: str) -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += task.read_text().split()
        except OSError:  # it ended meanwhile
            continue
    return found


def main(split_dir: str | None = None, times: int = 5) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as root, Sandbox(memory_bytes=8 * 2**30) as sandbox:
        write_cifar10(Path(root, "raw", "cifar-10-batches-py"))
        dataset = prepare_dataset(sandbox, "cifar10", root, split_dir=split_dir)
        splits: tuple[tuple[Split, int], ...] = (("val", dataset.num_train), ("test", dataset.num_final_train or 0))
        for split, num_train in splits:
            num_eval = dataset.num_val if split == "val" else dataset.num_test
            data = (num_train + num_eval) * int(np.prod(dataset.input_shape))
            measured = [measure(sandbox, dataset, split) for _ in range(times)]
            least = min(one.first_step_seconds for one in measured)
            most = max(one.rss for one in measured)
            rows.append(
                (
                    f"{num_train:,} + {num_eval:,} images",
                    f"{least:.2f} s",
                    f"{max(one.first_step_seconds for one in measured):.2f} s",
                    f"{data / MIB:.0f}",
                    f"{most / MIB:.0f}",
                    f"{(most - data) / MIB:.0f}",
                    f"{max(one.pss for one in measured) / MIB:.0f}",
                    f"{max(one.own for one in measured) / MIB:.0f}",
                )
            )
    print_table(
        f"A training child on full-size CIFAR-10, {times} trainings each",
        (
            "trained + evaluated",
            "first step after, best (<= 1 s)",
            "slowest",
            "data, MiB",
            "peak RSS, MiB",
            "beyond the data (<= 1,024)",
            "peak PSS",
            "not shared",
        ),
        rows,
    )


if __name__ == "__main__":
    main(*sys.argv[1:2])
