import numpy as np
import pytest

from fairnad.executors.scoring import score
from fairnad.records import Failed, Failure

LABELS = np.array([2, 0, 1, 1], dtype=np.int64)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "labels.npy", LABELS)

    def write(logits):
        (tmp_path / "logits.bin").write_bytes(np.asarray(logits, dtype="<f4").tobytes())
        return tmp_path / "logits.bin", tmp_path / "labels.npy", 3

    return write


def test_the_accuracy_is_the_fraction_of_right_rows_in_their_order(files):
    logits = np.eye(3)[LABELS]
    assert score(*files(logits)) == 1.0
    logits[0] = [9, 0, 1]
    assert score(*files(logits)) == 0.75


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_a_failure(files, value):
    logits = np.zeros((4, 3))
    logits[2, 1] = value
    outcome = score(*files(logits))
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.NAN


@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (0, 3)])
def test_a_wrong_size_names_the_bytes_found_and_expected(files, shape):
    outcome = score(*files(np.zeros(shape)))
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.CRASH
    assert f"{4 * shape[0] * shape[1]} bytes" in outcome.reason
    assert "expected 48" in outcome.reason
