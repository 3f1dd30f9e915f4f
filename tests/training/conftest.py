import sys
import threading
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fairnad.sandbox.wire import PrepareJob
from fairnad.training import splits
from fairnad.training.datasets import prepare
from tests.training.raw_files import write_tiny_splits


@pytest.fixture
def tiny_splits(tmp_path, monkeypatch):
    """The folder of split files for tiny file sets, which count as the published ones."""
    return write_tiny_splits(tmp_path / "split-files", monkeypatch)


@pytest.fixture
def offline(monkeypatch):
    """Neither torchvision nor a network."""
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", None)
    monkeypatch.setattr(splits, "URL", "http://127.0.0.1:9/")


@pytest.fixture
def prepared(tmp_path):
    """A function that prepares a data set below `tmp_path` / "root"."""

    def run(name, *, split_dir=None, raw_dir=None):
        text = {"split_dir": split_dir, "raw_dir": raw_dir}
        places = {key: str(value) for key, value in text.items() if value is not None}
        return prepare(PrepareJob(dataset=name, root=str(tmp_path / "root"), **places), tmp_path).dataset

    return run


@pytest.fixture
def serve():
    """A function that has a server of this machine show a folder, and returns the URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ExitStack() as stack:

        def start(folder):
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/"

        yield start
