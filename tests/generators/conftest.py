"""Counting and executing networks within the test's own process."""

import pytest

from fairnad.sandbox.child.execute import measure as measure_job
from fairnad.sandbox.child.execute import verify as verify_job
from fairnad.sandbox.wire import MeasureJob, VerifyJob


@pytest.fixture
def measure(tmp_path):
    """Return the counter of costs that generators are given."""

    def count(sources):
        job = MeasureJob(sources=tuple(sources), input_shape=(3, 16, 16), num_classes=10)
        return measure_job(job, tmp_path).costs

    return count


@pytest.fixture
def verify(tmp_path):
    """Return what executes a source once."""

    def execute(source):
        job = VerifyJob(source=source, input_shape=(3, 16, 16), num_classes=10, train_steps=1, batch_size=8)
        return verify_job(job, tmp_path)

    return execute
