"""Test images and the labels of evaluated ones are out of a network's reach, until `retrain` asks for the images.

No static check stands before these sources: what refuses them is the child process itself.
"""

import contextlib
import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fairnad.config import ExecutorConfig
from fairnad.executors.base import Finished, Training
from fairnad.executors.devices import Device, places
from fairnad.executors.jobs import training_job
from fairnad.executors.local import LocalExecutor
from fairnad.records import Failure, Recipe, Trained
from fairnad.sandbox.wire import PrepareJob
from fairnad.training.datasets import prepare
from tests.training.raw_files import write_cifar10, write_tiny_splits

RECIPE = Recipe(epochs=1, batch_size=20, precision="fp32")
HAS_LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
HIDDEN = ("images/test_images", "images/final_train_images", "labels/test_labels", "labels/val_labels")

ORDINARY = {
    "open": "open(path, 'rb').read()",
    "open bytes": "open(os.fsencode(path), 'rb').read()",
    "open through a link": "open('/proc/self/root' + path, 'rb').read()",
    "open_code": "io.open_code(path).read()",
    "FileIO": "io.FileIO(path).read()",
    "opener": "open('any', 'rb', opener=lambda name, flags: os.open(path, os.O_RDONLY)).read()",
    "pathlib": "pathlib.Path(path).read_bytes()",
    "os.open": "os.read(os.open(path, os.O_RDONLY), 100)",
    "os.open in a folder": "os.read(os.open(path[1:], os.O_RDONLY, dir_fd=os.open('/', os.O_RDONLY)), 100)",
    "mmap": "mmap.mmap(os.open(path, os.O_RDONLY), 0, prot=mmap.PROT_READ)[:100]",
    "np.load": "np.load(path)",
    "np.load mapped": "np.load(path, mmap_mode='r')[0]",
    "np.memmap": "np.memmap(path, mode='r')[:100]",
    "np.fromfile": "np.fromfile(path, np.uint8)",
    "fileinput": "next(fileinput.input(path, mode='rb'))",
    "ctypes": "ctypes.CDLL(None).open(path.encode(), os.O_RDONLY)",
    "torch.from_file": "torch.from_file(path, False, 100, dtype=torch.uint8)",
    "storage": "torch.UntypedStorage.from_file(path, False, 100)",
}
NATIVE = {
    "torch.ops": "torch.ops.aten.from_file(path, False, 100, dtype=torch.uint8)",
    "torch._VF": "torch._VF.from_file(path, False, 100, dtype=torch.uint8)",
    "operator table": "torch._C._jit_get_operation('aten::from_file')[0](path, False, 100, dtype=torch.uint8)",
    "storage base": "torch._C.StorageBase.from_file(path, False, 100)",
}
needs_landlock = pytest.mark.skipif(not HAS_LANDLOCK, reason="this kernel has no Landlock: native code is not confined")
READERS = [
    *(pytest.param(code, id=name) for name, code in ORDINARY.items()),
    *(pytest.param(code, id=name, marks=needs_landlock) for name, code in NATIVE.items()),
]
IMPORTS = "import ctypes, fileinput, io, mmap, os, pathlib\nimport numpy as np\nimport torch"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """CIFAR-10 from tiny raw files: it has all the files that a data set may have."""
    place = tmp_path_factory.mktemp("data")
    write_cifar10(place / "root" / "raw")
    with pytest.MonkeyPatch.context() as patch:
        splits = write_tiny_splits(place / "splits", patch)
        return prepare(PrepareJob(dataset="cifar10", root=str(place / "root"), split_dir=str(splits)), place).dataset


def path_of(name, dataset):
    return str(Path(dataset.folder).parent / f"{name}.npy")


def test_the_readers_read_where_nothing_guards(dataset):
    """Else their refusal would prove nothing."""
    readers = "".join(f"assert {code} is not None\n" for code in (ORDINARY | NATIVE).values())
    script = f"{IMPORTS}\npath = {path_of('images/test_images', dataset)!r}\n{readers}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=120)


@pytest.mark.parametrize("reader", READERS)
def test_no_child_of_a_search_reads_the_test_images(reader, dataset, sandbox, network, verify, tmp_path):
    theft = f"path = {path_of('images/test_images', dataset)!r}\nfound = {reader}\nprint('LEAK', found)"
    reports = [
        verify(network(IMPORTS, init=theft), folder=tmp_path / "verify"),
        train(sandbox, network(IMPORTS, forward=theft), dataset, tmp_path / "train"),
    ]
    assert_refused(reports, tmp_path)


@pytest.mark.parametrize("name", HIDDEN)
def test_no_child_of_a_search_reads_anything_else_of_evaluated_images(
    name, dataset, sandbox, network, verify, tmp_path
):
    theft = f"print('LEAK', open({path_of(name, dataset)!r}, 'rb').read())"
    reports = [
        verify(network(IMPORTS, forward=theft), folder=tmp_path / "verify"),
        train(sandbox, network(IMPORTS, init=theft), dataset, tmp_path / "train"),
    ]
    assert_refused(reports, tmp_path)


def test_not_even_the_retraining_reads_labels(dataset, sandbox, network, tmp_path):
    theft = f"print('LEAK', open({path_of('labels/test_labels', dataset)!r}, 'rb').read())"
    assert_refused([train(sandbox, network(forward=theft), dataset, tmp_path / "train", split="test")], tmp_path)


def train(sandbox, source, dataset, folder, *, split="val"):
    return sandbox.run(training_job(source, dataset, RECIPE, seed=0, split=split), folder=folder, timeout_seconds=60)


def assert_refused(reports, place):
    refused = {Failure.FORBIDDEN_OPERATION, Failure.INIT_ERROR, Failure.FORWARD_ERROR}
    assert {report.failure for report in reports} <= refused, [report.reason for report in reports]
    for output in place.glob("*/output.txt"):
        assert "LEAK" not in output.read_text()
    assert not list(place.glob("*/logits.bin"))


@pytest.mark.parametrize("split", ["val", "test"])
def test_only_the_job_of_a_retraining_names_the_test_images(split, dataset, sandbox, network, tmp_path):
    config = ExecutorConfig(slots=1)
    executor = LocalExecutor(
        sandbox=sandbox,
        dataset=dataset,
        recipe=RECIPE,
        config=config,
        places=places((Device("cpu"),), config, num_cores=1),
        folder=tmp_path,
    )
    with contextlib.closing(executor):
        executor.submit(Training(0, network(), seed=3, predicted_seconds=1.0, split=split))
        messages = []
        while not any(isinstance(message, Finished) for message in messages):
            messages += executor.messages(timeout_seconds=60)
    assert isinstance(messages[-1].outcome, Trained)
    (job,) = tmp_path.glob("*/job.json")
    data = json.loads(job.read_text())["data"]
    named = {Path(value).name for value in data.values() if str(value).endswith(".npy")}
    if split == "val":
        assert named == {"train_images.npy", "train_labels.npy", "val_images.npy"}
        assert dataset.labels_folder not in job.read_text()
    else:
        assert named == {"final_train_images.npy", "final_train_labels.npy", "test_images.npy"}
        assert "test_labels" not in job.read_text()
