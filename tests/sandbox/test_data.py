from dataclasses import replace

import pytest

from fairnad.errors import DatasetError
from fairnad.records import DatasetInfo, Failure
from fairnad.sandbox.data import data_root, prepare_dataset
from fairnad.sandbox.wire import PrepareReport

INFO = DatasetInfo("tiny", 5, (3, 8, 8), 10, 10, 10, (0.0,), (1.0,), False, 0, "", "")


class Recorder:
    """Stands in for the sandbox and keeps the jobs."""

    def __init__(self, report):
        self.report, self.jobs = report, []

    def run(self, job, *, timeout_seconds):
        self.jobs.append(job)
        return self.report


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("FAIRNAD_DATA", "FAIRNAD_IMAGENET16", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_a_child_is_told_absolute_places(tmp_path, monkeypatch):
    sandbox = Recorder(PrepareReport(dataset=INFO))
    monkeypatch.setenv("FAIRNAD_IMAGENET16", "~/imagenet")
    assert prepare_dataset(sandbox, "image-folder:pictures", "data", split_dir="splits") == INFO
    prepare_dataset(sandbox, "imagenet16-120", "data")
    folder, imagenet = sandbox.jobs
    assert (folder.dataset, folder.root) == (f"image-folder:{tmp_path / 'pictures'}", str(tmp_path / "data"))
    assert (folder.split_dir, folder.raw_dir) == (str(tmp_path / "splits"), None)
    assert (imagenet.split_dir, imagenet.raw_dir) == (None, str(tmp_path / "home" / "imagenet"))


def test_what_a_child_reports_is_raised(tmp_path):
    sandbox = Recorder(PrepareReport(failure=Failure.CRASH, reason="no such data"))
    with pytest.raises(DatasetError, match="no such data"):
        prepare_dataset(sandbox, "tiny", "data")


def test_what_broke_in_a_maker_is_told_with_its_trace():
    details = "Traceback (most recent call last):\n  File 'mine.py', line 3\nKeyError: 'labels'\n"
    sandbox = Recorder(PrepareReport(failure=Failure.CRASH, reason="KeyError: 'labels'", details=details))
    with pytest.raises(DatasetError, match=r"(?s)data set 'mine:make': KeyError: 'labels'\nTraceback.*line 3"):
        prepare_dataset(sandbox, "mine:make", "data")
    sandbox = Recorder(PrepareReport(failure=Failure.TIMEOUT, reason="not done after 3600 s; make tensors smaller"))
    with pytest.raises(DatasetError, match=r"data set 'mine:make' was not made within 3600 s$"):
        prepare_dataset(sandbox, "mine:make", "data")


def test_the_root_is_what_was_given_or_the_environment_or_the_cache(tmp_path, monkeypatch):
    assert data_root(None) == tmp_path / "home" / ".cache" / "fairnad"
    monkeypatch.setenv("FAIRNAD_DATA", "from-environment")
    assert data_root(None) == tmp_path / "from-environment"
    assert data_root("given") == tmp_path / "given"


def test_a_root_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match=r"data folder .+/file/data cannot be made: .+; set --data-root"):
        prepare_dataset(Recorder(PrepareReport(dataset=INFO)), "tiny", "file/data")


def test_what_is_to_be_noted_of_the_data_is_logged(caplog):
    noted = replace(INFO, notes=("60 of 50,000 images", "class 0: cat"))
    with caplog.at_level("INFO", logger="fairnad"):
        prepare_dataset(Recorder(PrepareReport(dataset=noted)), "tiny", "data")
    assert caplog.messages == ["data set tiny: 60 of 50,000 images; class 0: cat"]
