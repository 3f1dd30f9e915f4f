import hashlib
import json

import numpy as np
import pytest

from fairnad.errors import DatasetError
from fairnad.training import splits
from fairnad.training.splits import PUBLISHED, hold_out, split_indices
from tests.training.raw_files import PUBLISHED_SPLITS

needs_published = pytest.mark.skipif(not PUBLISHED_SPLITS.is_dir(), reason="the published split files are not here")


@needs_published
@pytest.mark.parametrize(
    ("name", "train", "val", "test"),
    [("cifar10", 25_000, 25_000, None), ("cifar100", None, 5_000, 5_000), ("imagenet16-120", None, 3_000, 3_000)],
)
def test_the_published_splits_are_disjoint_and_complete(name, train, val, test, tmp_path):
    found = split_indices(name, tmp_path, split_dir=PUBLISHED_SPLITS)
    for indices, num in ((found.train, train), (found.val, val), (found.test, test)):
        assert (indices is None) == (num is None)
        assert indices is None or len(indices) == num
    both = [indices for indices in (found.train, found.val, found.test) if indices is not None]
    assert all((np.diff(indices) > 0).all() for indices in both)
    np.testing.assert_array_equal(np.sort(np.concatenate(both)), np.arange(sum(map(len, both))))


def test_the_users_folder_comes_before_the_cache(tmp_path, tiny_splits):
    cached = tmp_path / "splits" / "cifar-split.txt"
    cached.parent.mkdir()
    cached.write_text("another")
    assert split_indices("cifar10", tmp_path, split_dir=tiny_splits).train[:3].tolist() == [0, 2, 4]
    with pytest.raises(DatasetError, match=str(cached)):
        split_indices("cifar10", tmp_path, split_dir=None)


def test_another_file_is_refused_with_both_sums(tmp_path, tiny_splits):
    path = tiny_splits / "cifar100-test-split.txt"
    path.write_text(json.dumps({"xvalid": ["int", ["0"]], "xtest": ["int", ["1"]]}))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DatasetError) as caught:
        split_indices("cifar100", tmp_path, split_dir=tiny_splits)
    assert all(part in str(caught.value) for part in (str(path), found, PUBLISHED["cifar100"].sha256))


@pytest.fixture
def server(tiny_splits, serve, monkeypatch):
    """The folder of split files, which a server of this machine shows."""
    monkeypatch.setattr(splits, "URL", serve(tiny_splits))
    return tiny_splits


def test_a_download_is_kept(tmp_path, server, monkeypatch):
    first = split_indices("imagenet16-120", tmp_path)
    monkeypatch.setattr(splits, "URL", "http://127.0.0.1:9/")
    np.testing.assert_array_equal(split_indices("imagenet16-120", tmp_path).val, first.val)
    assert [path.name for path in (tmp_path / "splits").iterdir()] == ["imagenet-16-120-test-split.txt"]


def test_a_wrong_download_is_not_kept(tmp_path, server):
    (server / "cifar-split.txt").write_text("a page that says that you are offline")
    with pytest.raises(DatasetError, match=r"checksum \w{64}, expected \w{64}"):
        split_indices("cifar10", tmp_path)
    assert not (tmp_path / "splits").exists()


def test_without_a_network_the_error_says_what_to_do(tmp_path, offline):
    with pytest.raises(DatasetError) as caught:
        split_indices("cifar10", tmp_path)
    expected = ("http://127.0.0.1:9/cifar-split.txt", f"put the file into {tmp_path / 'splits'}", "--split-dir")
    assert all(part in str(caught.value) for part in expected)
    assert caught.value.exit_status == 2


def test_holding_out_takes_its_share_of_each_class_and_repeats_itself():
    labels = np.array([0] * 40 + [1] * 20 + [2] * 3)
    kept, held = hold_out(labels, 10)
    assert np.bincount(labels[held]).tolist() == [4, 2, 1]
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held])), np.arange(63))
    for first, second in zip((kept, held), hold_out(labels, 10), strict=True):
        np.testing.assert_array_equal(first, second)
    assert held.tolist() == sorted(held.tolist()) != list(range(7))
