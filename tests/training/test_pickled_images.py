import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairnad.errors import DatasetError
from fairnad.training.pickled_images import BatchForm, read_batch
from tests.training.raw_files import python2_pickle

FORM = BatchForm(size=2, labels_key="labels", num_classes=10)
BATCH = python2_pickle(
    {"data": np.arange(36, dtype=np.uint8).reshape(3, 12), "labels": [0, 5, 9], "batch_label": "one"}
)


def test_labels_start_at_zero_whatever_the_file_starts_with():
    data = python2_pickle({"data": np.zeros((2, 12), np.uint8), "labels": [1, 10]})
    form = BatchForm(size=2, labels_key="labels", num_classes=10, first_label=1)
    assert read_batch(data, "batch", form).labels.tolist() == [0, 9]


@given(st.integers(0, len(BATCH) - 1))
def test_wherever_a_file_is_cut_the_error_says_so(length):
    with pytest.raises(DatasetError, match=r"^batch cannot be read \("):
        read_batch(BATCH[:length], "batch", FORM)


@given(st.lists(st.tuples(st.integers(0, len(BATCH) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(changes):
    data = bytearray(BATCH)
    for place, value in changes:
        data[place] = value
    try:
        batch = read_batch(bytes(data), "batch", FORM)
    except DatasetError:
        return
    assert batch.images.shape[1:] == (3, 2, 2)
    assert batch.labels.dtype == np.int64


@pytest.mark.parametrize("content", [[1, 2], {"data": np.zeros((1, 12), np.uint8)}, {"labels": [1]}])
def test_a_pickle_of_something_else_is_refused(content):
    with pytest.raises(DatasetError, match="batch: expected a dict with 'data' and 'labels'"):
        read_batch(python2_pickle(content), "batch", FORM)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", [">i8", "<i4", "u1"])
def test_order_in_memory_and_of_bytes_does_not_matter(dtype, order):
    data = np.asarray(np.arange(24, dtype=np.uint8).reshape(2, 12), order=order)
    for protocol in range(6):
        batch = pickle.dumps({"data": data, "labels": np.array([3, 7], dtype=dtype)}, protocol=protocol)
        read = read_batch(batch, "batch", FORM)
        np.testing.assert_array_equal(read.images.reshape(2, 12), data)
        assert read.labels.tolist() == [3, 7]


def test_arrays_of_objects_are_refused():
    with pytest.raises(DatasetError, match="elements of type 'O8', expected numbers"):
        read_batch(pickle.dumps({"data": np.array([None]), "labels": [0]}), "batch", FORM)


def test_the_state_of_numpys_own_types_is_out_of_reach():
    # dtype("u1", align=False, copy=False) is the one uint8 of the process; the state would make its bytes pointers
    state = (3, "|", None, None, None, -1, -1, 0xFF)
    build = pickle.dumps(state, protocol=0)[:-1]
    hostile = b"cnumpy\ndtype\n(Vu1\nI00\nI00\ntR" + build + b"b."
    with pytest.raises(DatasetError):
        read_batch(hostile, "batch", FORM)
    assert np.dtype("u1").flags == 0
