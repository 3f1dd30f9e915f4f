"""A run goes on with the data that it began with, or not at all."""

import pytest

from fairnad.config import load_config
from fairnad.errors import DatasetError
from fairnad.history.store import History
from fairnad.records import DataShape
from fairnad.sandbox.launch import Sandbox
from fairnad.search.data import known_data, open_data, record_data
from tests.history.samples import CREATE
from tests.training.raw_files import write_images


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def history(tmp_path):
    with History.create(tmp_path / "run", **CREATE) as history:
        yield history


@pytest.fixture
def pictures(tmp_path):
    return write_images(tmp_path / "pictures", splits=("train",), num=20)


@pytest.fixture
def config(pictures, tmp_path):
    return load_config("default", [f"dataset=image-folder:{pictures}", f"data_root={tmp_path / 'data'}"])


def test_the_same_data_are_found_again(sandbox, config, history):
    first = open_data(sandbox, config, history)
    record_data(history, first)
    assert open_data(sandbox, config, history) == first


def test_splits_that_are_drawn_anew_are_refused(sandbox, config, history, pictures):
    """One picture more moves others from the training images to the test images."""
    record_data(history, open_data(sandbox, config, history))
    more = next((pictures / "train" / "cat").iterdir())
    (more.with_name(f"more{more.suffix}")).write_bytes(more.read_bytes())
    with pytest.raises(DatasetError, match=r"is not what the run began with.*2 classes.*put its files back"):
        open_data(sandbox, config, history)


def test_the_shape_of_the_data_is_known_where_they_are_not(sandbox, config, history):
    assert known_data(history) is None, "a run of an older version"
    dataset = open_data(sandbox, config)
    record_data(history, dataset)
    assert known_data(history) == DataShape(dataset.name, 2, dataset.input_shape, dataset.num_train)
