import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fairnad.errors import DatasetError
from fairnad.training.cifar import CIFAR10, CIFAR100, read
from fairnad.training.datasets import Sources
from tests.training.raw_files import NUM_BATCH, NUM_TEST, python2_pickle, rows, write_cifar10, write_cifar100


def load(info, name, *, label=False):
    return np.load(Path(info.labels_folder if label else info.folder) / f"{name}.npy")


def test_cifar10_halves_the_training_images_and_keeps_all_for_the_final_training(tmp_path, prepared, tiny_splits):
    write_cifar10(tmp_path / "root" / "raw")
    info = prepared("cifar10", split_dir=tiny_splits)
    every = np.concatenate([rows(NUM_BATCH, 32, seed=n) for n in range(5)]).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(load(info, "train_images"), every[0::2])
    np.testing.assert_array_equal(load(info, "val_images"), every[1::2])
    np.testing.assert_array_equal(load(info, "final_train_images"), every)
    np.testing.assert_array_equal(load(info, "test_images"), rows(NUM_TEST, 32, seed=5).reshape(-1, 3, 32, 32))
    final = load(info, "final_train_labels", label=True)
    assert final.tolist() == [n % 10 for _ in range(5) for n in range(NUM_BATCH)]
    np.testing.assert_array_equal(load(info, "val_labels", label=True), final[1::2])
    assert (info.num_train, info.num_val, info.num_test, info.num_final_train) == (30, 30, 20, 60)
    assert not list(Path(info.folder).glob("*val_labels*")) + list(Path(info.folder).glob("final*labels*"))


def test_cifar100_halves_the_test_images(tmp_path, prepared, tiny_splits):
    write_cifar100(tmp_path / "root" / "raw")
    info = prepared("cifar100", split_dir=tiny_splits)
    evaluated = rows(NUM_TEST, 32, seed=1).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(load(info, "train_images"), rows(200, 32).reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(load(info, "val_images"), evaluated[0::2])
    np.testing.assert_array_equal(load(info, "test_images"), evaluated[1::2])
    assert load(info, "test_labels", label=True).tolist() == list(range(1, NUM_TEST, 2))
    assert info.num_final_train is None


@pytest.mark.parametrize(
    ("name", "write", "classes", "mean", "std"),
    [
        ("cifar10", write_cifar10, 10, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        ("cifar100", write_cifar100, 100, (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    ],
)
def test_constants_are_those_of_the_protocol(name, write, classes, mean, std, tmp_path, prepared, tiny_splits):
    write(tmp_path / "root" / "raw")
    info = prepared(name, split_dir=tiny_splits)
    assert (info.num_classes, info.mean, info.std, info.flip, info.crop_padding) == (classes, mean, std, True, 4)
    assert info.input_shape == (3, 32, 32)


def test_a_row_is_the_red_plane_then_green_and_blue(tmp_path):
    folder = write_cifar100(tmp_path / "raw", num_train=2)
    row = np.repeat(np.array([10, 20, 30], dtype=np.uint8), 1024)
    row[1] = 99  # red, first row, second column
    batch = {"data": np.stack([row, row]), "fine_labels": [3, 99]}
    (folder / "train").write_bytes(python2_pickle(batch))
    images = read(CIFAR100, Sources(tmp_path)).train.images
    assert images[0, :, 1, 0].tolist() == [10, 20, 30]
    assert images[0, 0, 0, :3].tolist() == [10, 99, 10]


def test_a_second_call_needs_no_raw_files(tmp_path, prepared, tiny_splits):
    folder = write_cifar10(tmp_path / "root" / "raw")
    first = prepared("cifar10", split_dir=tiny_splits)
    shutil.rmtree(folder.parent)
    shutil.rmtree(tiny_splits)
    assert prepared("cifar10", split_dir=tiny_splits) == first


def test_notes_tell_what_is_not_the_published_data(tmp_path):
    folder = write_cifar10(tmp_path / "raw")
    raw = read(CIFAR10, Sources(tmp_path))
    assert "data_batch_1, data_batch_2" in raw.notes[0]
    assert "are not those of the published files" in raw.notes[0]
    assert raw.notes[1].startswith("60 of 50,000 training images")
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    archive = replace(CIFAR10, train={n: sums[n] for n in CIFAR10.train}, test={n: sums[n] for n in CIFAR10.test})
    assert read(archive, Sources(tmp_path)).notes[0] == "raw files: MD5 sums are those of the published files"


@pytest.fixture
def packed(tmp_path):
    """An archive below `tmp_path` / "raw", without its folder."""
    folder = write_cifar100(tmp_path / "raw")
    path = folder.with_name("cifar-100-python.tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    shutil.rmtree(folder)
    return path


def test_an_archive_is_read_without_unpacking_it(tmp_path, packed):
    archive = replace(CIFAR100, md5=hashlib.md5(packed.read_bytes()).hexdigest())
    raw = read(archive, Sources(tmp_path))
    np.testing.assert_array_equal(raw.train.images, rows(200, 32).reshape(-1, 3, 32, 32))
    assert list(packed.parent.iterdir()) == [packed]


def test_another_archive_is_refused_with_both_sums(tmp_path, packed):
    found = hashlib.md5(packed.read_bytes()).hexdigest()
    with pytest.raises(DatasetError, match=f"{packed}: checksum {found}, expected {CIFAR100.md5}"):
        read(CIFAR100, Sources(tmp_path))


@pytest.mark.parametrize(("name", "archive"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_without_files_and_torchvision_the_error_says_what_to_do(name, archive, tmp_path, prepared, offline):
    with pytest.raises(DatasetError) as caught:
        prepared(name)
    url = f"https://www.cs.toronto.edu/~kriz/{archive.file}"
    expected = (f"download {url} yourself", f"{tmp_path / 'root' / 'raw'} as {archive.file}", "fairnad[vision]")
    assert all(part in str(caught.value) for part in expected)
    assert caught.value.exit_status == 2
    assert list((tmp_path / "root").iterdir()) == []


def test_a_truncated_file_is_named(tmp_path, prepared, tiny_splits):
    path = write_cifar100(tmp_path / "root" / "raw") / "train"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DatasetError, match=rf"{path} cannot be read \(.+\): it is cut short"):
        prepared("cifar100", split_dir=tiny_splits)
    assert [entry.name for entry in (tmp_path / "root").iterdir()] == ["raw"]


def test_a_missing_file_is_named(tmp_path):
    folder = write_cifar10(tmp_path / "raw")
    (folder / "data_batch_4").unlink()
    with pytest.raises(DatasetError, match=f"{folder / 'data_batch_4'} cannot be read"):
        read(CIFAR10, Sources(tmp_path))


def test_too_many_images_are_another_data_set(tmp_path):
    write_cifar100(tmp_path / "raw", num_test=10_001)
    with pytest.raises(DatasetError, match="10,001 test images, expected 10,000 at most"):
        read(CIFAR100, Sources(tmp_path))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"labels": [*range(9), 10] + [0] * 2}, "label of image 9 is 10, expected 0..9"),
        ({"labels": [0] * 11 + [-1]}, "label of image 11 is -1, expected 0..9"),
        ({"labels": [0] * 11}, "'labels' must be 12 whole numbers"),
        ({"labels": ["cat"] * 12}, "'labels' must be 12 whole numbers"),
        ({"labels": [0.5] * 12}, "'labels' must be 12 whole numbers"),
        ({"data": rows(12, 16)}, r"images are uint8 \(12, 768\), expected uint8 \(N, 3072\): 32 x 32"),
        ({"data": rows(12, 32).astype(np.float32)}, r"images are float32 \(12, 3072\)"),
        ({"data": b"bytes"}, "images are no array"),
    ],
)
def test_another_form_is_refused(change, expected, tmp_path):
    folder = write_cifar10(tmp_path / "raw")
    (folder / "data_batch_3").write_bytes(python2_pickle({"data": rows(12, 32), "labels": [0] * 12} | change))
    with pytest.raises(DatasetError, match=expected) as caught:
        read(CIFAR10, Sources(tmp_path))
    assert str(folder / "data_batch_3") in str(caught.value)


def test_one_class_only_is_refused(tmp_path, prepared, tiny_splits):
    folder = write_cifar100(tmp_path / "root" / "raw")
    (folder / "train").write_bytes(python2_pickle({"data": rows(8, 32), "fine_labels": [7] * 8}))
    with pytest.raises(DatasetError, match="all train images are of class 7; expected two classes at least"):
        prepared("cifar100", split_dir=tiny_splits)
    assert [entry.name for entry in (tmp_path / "root").iterdir()] == ["raw"]


class Hostile:
    """Unpickling it runs a command."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, subprocess.check_output, np.load])
def test_a_hostile_pickle_is_refused_and_not_executed(function, protocol, tmp_path):
    folder, proof = write_cifar100(tmp_path / "raw"), tmp_path / "executed"
    command = f"open({str(proof)!r}, 'w')" if function in (eval, exec) else f"touch {proof}"
    batch = {"data": rows(2, 32), "fine_labels": [0, 1], "more": Hostile(function, command)}
    (folder / "train").write_bytes(pickle.dumps(batch, protocol=protocol))
    with pytest.raises(DatasetError, match=rf"it names [\w.]+\.{function.__name__}, which is refused"):
        read(CIFAR100, Sources(tmp_path))
    assert not proof.exists()


def test_a_codec_of_choice_is_refused(tmp_path):
    folder = write_cifar100(tmp_path / "raw")
    (folder / "train").write_bytes(b"c_codecs\nencode\n(Vtext\nVrot13\ntR.")
    with pytest.raises(DatasetError, match="it names the encoding 'rot13'"):
        read(CIFAR100, Sources(tmp_path))


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_python_3_is_read(protocol, tmp_path):
    folder = write_cifar100(tmp_path / "raw")
    batch = {"data": rows(2, 32), "fine_labels": np.array([0, 1]), "mean": np.float64(0.5)}
    (folder / "train").write_bytes(pickle.dumps(batch, protocol=protocol))
    np.testing.assert_array_equal(read(CIFAR100, Sources(tmp_path)).train.images.reshape(2, -1), rows(2, 32))


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    write_cifar10(tmp_path / "root" / "raw")
    script = """
import json, resource, sys
from pathlib import Path
from fairnad.errors import DatasetError
from fairnad.sandbox.wire import PrepareJob
from fairnad.training import splits
from fairnad.training.datasets import prepare
from tests.training.raw_files import write_tiny_splits

class Patch:
    def setitem(self, table, key, value):
        table[key] = value

folder = Path(sys.argv[1])
split_dir = write_tiny_splits(folder / "split-files", Patch())
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # a file of 92 kB fits, one of 184 kB does not
try:
    prepare(PrepareJob(dataset="cifar10", root=str(folder / "root"), split_dir=str(split_dir)), folder)
except DatasetError as error:
    print(error)
"""
    python = [sys.executable, "-c", script, str(tmp_path)]
    run = subprocess.run(python, capture_output=True, text=True, check=True, timeout=60)
    assert "data set 'cifar10' cannot be made below" in run.stdout
    assert "MB are free" in run.stdout
    assert "--data-root" in run.stdout
    assert [entry.name for entry in (tmp_path / "root").iterdir()] == ["raw"]


def test_torchvision_fetches_an_archive_and_a_wrong_one_is_not_kept(tmp_path, packed, serve, monkeypatch):
    pytest.importorskip("torchvision")
    served = packed.rename(tmp_path / packed.name)
    monkeypatch.setattr("fairnad.training.cifar._URL", serve(tmp_path))
    with pytest.raises(DatasetError, match="checksum"):
        read(CIFAR100, Sources(tmp_path))
    assert list(packed.parent.iterdir()) == []
    archive = replace(CIFAR100, md5=hashlib.md5(served.read_bytes()).hexdigest())
    assert len(read(archive, Sources(tmp_path)).train.labels) == 200
    assert list(packed.parent.iterdir()) == [packed]
