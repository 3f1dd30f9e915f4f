import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fairnad.errors import DatasetError
from fairnad.sandbox.wire import PrepareJob
from fairnad.training import fashion_mnist
from fairnad.training.datasets import channel_statistics, prepare
from tests.training.raw_files import write_cifar10, write_cifar100, write_fashion_mnist

MAKER = """
import numpy as np
from fairnad.training.datasets import RawDataset, Split

def make(sources):
    with (sources.root / "calls.txt").open("a") as calls:
        calls.write("called\\n")
    split = Split(np.zeros((4, 3, 8, 8), np.uint8), np.arange(4, dtype=np.int64))
    broken = Split(split.images.astype(np.float32), split.labels)
    return RawDataset(split, BROKEN, split, NUM, (1.0,) * 3, (1.0,) * 3, flip=True, crop_padding=2)
"""
NAMES = itertools.count()


@pytest.fixture
def maker(tmp_path, monkeypatch):
    """Write a module of its own, and return the name of its data set."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(val="split", num_classes=4):
        name = f"maker{os.getpid()}_{next(NAMES)}"
        text = MAKER.replace("BROKEN", val).replace("NUM", str(num_classes))
        (tmp_path / f"{name}.py").write_text(text)
        return f"{name}:make"

    return write


def job(name, root):
    return PrepareJob(dataset=name, root=str(root))


def test_labels_of_evaluated_images_lie_apart(tmp_path):
    info = prepare(job("cluttered-digits", tmp_path), tmp_path).dataset
    images, labels = Path(info.folder), Path(info.labels_folder)
    assert sorted(path.name for path in images.iterdir()) == [
        "test_images.npy",
        "train_images.npy",
        "train_labels.npy",
        "val_images.npy",
    ]
    assert sorted(path.name for path in labels.iterdir()) == ["test_labels.npy", "val_labels.npy"]
    assert not images.is_relative_to(labels)
    assert np.load(images / "train_images.npy", mmap_mode="r").shape == (info.num_train, *info.input_shape)


def test_a_second_call_finds_the_first_ones_files(tmp_path, maker):
    name, root = maker(), tmp_path / "root"
    first = prepare(job(name, root), tmp_path).dataset
    assert prepare(job(name, root), tmp_path).dataset == first
    assert (root / "calls.txt").read_text() == "called\n"


def test_a_root_may_be_moved(tmp_path, maker):
    name = maker()
    prepare(job(name, tmp_path / "old"), tmp_path)
    (tmp_path / "old").rename(tmp_path / "new")
    info = prepare(job(name, tmp_path / "new"), tmp_path).dataset
    assert Path(info.folder).is_relative_to(tmp_path / "new")
    assert (tmp_path / "new" / "calls.txt").read_text() == "called\n"


def test_a_half_made_data_set_is_never_seen(tmp_path, maker):
    name, root = maker(val="broken"), tmp_path / "root"
    with pytest.raises(DatasetError, match="val images are float32"):
        prepare(job(name, root), tmp_path)
    assert [path.name for path in root.iterdir()] == ["calls.txt"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"name": 3}'])
def test_a_damaged_description_is_told_in_one_sentence(damage, tmp_path, maker):
    name, root = maker(), tmp_path / "root"
    path = Path(prepare(job(name, root), tmp_path).dataset.folder).with_name("dataset.json")
    path.write_bytes(damage)
    with pytest.raises(DatasetError) as caught:
        prepare(job(name, root), tmp_path)
    assert str(caught.value) == f"{path} is damaged; delete {path.parent}, and it is made anew"


@pytest.mark.parametrize(
    ("name", "write", "folder"),
    [
        ("cifar10", write_cifar10, "cifar-10-batches-py"),
        ("cifar100", write_cifar100, "cifar-100-python"),
        ("fashion-mnist", lambda raw: write_fashion_mnist(raw / "fashion-mnist"), "fashion-mnist"),
    ],
)
def test_replaced_raw_files_are_prepared_anew(name, write, folder, tmp_path, prepared, tiny_splits, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    write(tmp_path / "root" / "raw")
    place = tmp_path / "root" / "raw" / folder
    first = prepared(name, split_dir=tiny_splits)
    assert prepared(name, split_dir=tiny_splits) == first
    for path in place.iterdir():
        os.utime(path, ns=(1, 1))
    second = prepared(name, split_dir=tiny_splits)
    assert second.folder != first.folder
    assert Path(first.folder).is_dir()  # a search may be under way on it
    shutil.rmtree(place)
    assert prepared(name, split_dir=tiny_splits) == second


def test_processes_that_prepare_at_once_agree(tmp_path):
    code = (
        "import sys; from pathlib import Path; from fairnad.sandbox.wire import PrepareJob; "
        "from fairnad.training.datasets import prepare; "
        "print(prepare(PrepareJob(dataset='cluttered-digits', root=sys.argv[1]), Path()).dataset.folder)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "root")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=120)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(folders) == 1
    assert [path.name for path in (tmp_path / "root").iterdir()] == [Path(folders.pop()).parent.name]


def test_labels_beyond_the_classes_are_refused(tmp_path, maker):
    with pytest.raises(DatasetError, match=r"labels are 0\.\.3, expected 0\.\.2"):
        prepare(job(maker(num_classes=3), tmp_path / "root"), tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clutered-digits", "the nearest known is 'cluttered-digits'"),
        ("no_such_package.data:make", "'no_such_package.data' cannot be imported"),
        ("fairnad.records:make", "'fairnad.records' has no function 'make'"),
    ],
)
def test_a_name_that_is_none_is_explained(tmp_path, name, message):
    with pytest.raises(DatasetError, match=message):
        prepare(job(name, tmp_path), tmp_path)


def test_channel_statistics_are_those_of_numpy():
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 4), dtype=np.uint8)
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(images.mean((0, 2, 3)).tolist())
    assert std == pytest.approx(images.std((0, 2, 3)).tolist())
