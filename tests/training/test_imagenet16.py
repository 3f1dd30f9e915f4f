import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from fairnad.errors import DatasetError
from fairnad.training.imagenet16 import MD5, URL, read
from tests.training.raw_files import rows, write_imagenet16

PUBLISHED = dict(MD5)


def test_the_first_120_classes_are_kept_with_labels_from_zero(tmp_path, monkeypatch):
    train, evaluation = read(write_imagenet16(tmp_path / "files", monkeypatch))
    kept = np.arange(15) % 3 != 2
    batches = [rows(15, 16, seed=n)[kept] for n in range(10)]
    np.testing.assert_array_equal(train.images, np.concatenate(batches).reshape(-1, 3, 16, 16))
    assert train.labels[:10].tolist() == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13]
    assert train.labels[10:20].tolist() == [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]
    assert len(evaluation.labels) == 20
    assert 0 <= evaluation.labels.min() <= evaluation.labels.max() <= 119


def test_half_of_the_validation_images_validate_and_half_test(tmp_path, prepared, tiny_splits, monkeypatch):
    folder = write_imagenet16(tmp_path / "root" / "raw" / "ImageNet16", monkeypatch)
    info = prepared("imagenet16-120", split_dir=tiny_splits)
    evaluated = rows(30, 16, seed=10)[np.arange(30) % 3 != 2].reshape(-1, 3, 16, 16)
    for part, name in ((evaluated[0::2], "val_images"), (evaluated[1::2], "test_images")):
        np.testing.assert_array_equal(np.load(Path(info.folder) / f"{name}.npy"), part)
    assert (info.num_classes, info.input_shape, info.num_train) == (120, (3, 16, 16), 100)
    assert (info.mean, info.std) == ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09))
    assert (info.flip, info.crop_padding) == (True, 2)
    shutil.rmtree(folder)
    shutil.rmtree(tiny_splits)
    assert prepared("imagenet16-120", split_dir=tiny_splits) == info


def test_the_users_own_folder_is_read(tmp_path, prepared, tiny_splits, monkeypatch):
    folder = write_imagenet16(tmp_path / "elsewhere", monkeypatch)
    assert prepared("imagenet16-120", split_dir=tiny_splits, raw_dir=folder).num_val == 10


def test_another_file_is_refused_with_both_sums(tmp_path, prepared, tiny_splits, monkeypatch):
    folder = write_imagenet16(tmp_path / "root" / "raw" / "ImageNet16", monkeypatch)
    monkeypatch.setitem(MD5, "train_data_batch_7", PUBLISHED["train_data_batch_7"])
    path = folder / "train_data_batch_7"
    found = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(DatasetError, match=f"{path}: checksum {found}, expected 564926d8cbf8fc4818ba23d2faac7564"):
        prepared("imagenet16-120", split_dir=tiny_splits)
    assert [entry.name for entry in (tmp_path / "root").iterdir()] == ["raw"]


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    folder = write_imagenet16(tmp_path / "files", monkeypatch)
    (folder / "val_data").unlink()
    with pytest.raises(DatasetError, match=f"{folder / 'val_data'} is not there"):
        read(folder)


def test_without_files_the_error_says_where_they_belong(tmp_path, prepared):
    with pytest.raises(DatasetError) as caught:
        prepared("imagenet16-120")
    expected = (
        URL,
        str(tmp_path / "root" / "raw" / "ImageNet16"),
        "train_data_batch_10, val_data",
        "FAIRNAD_IMAGENET16",
    )
    assert all(part in str(caught.value) for part in expected)
