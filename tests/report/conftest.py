"""A finished job on stand-ins, shared by the tests of this folder."""

from __future__ import annotations

import pytest

from tests import fake_runs


@pytest.fixture(scope="package")
def job(tmp_path_factory):
    """The folder of a job of three strategies and three seeds."""
    folder = tmp_path_factory.mktemp("jobs") / "job"
    fake_runs.job(folder, strategies="fairnad,base,random-idea", num_seeds=3)
    return folder
