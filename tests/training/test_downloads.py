import hashlib
import socket

import pytest

from fairnad.errors import DatasetError
from fairnad.training import downloads
from fairnad.training.downloads import download, download_text


@pytest.fixture
def silent_server(monkeypatch):
    """The URL of a server that takes connections and never answers."""
    monkeypatch.setattr(downloads, "_SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/file"


def test_a_server_that_says_nothing_is_given_up(tmp_path, silent_server):
    pytest.importorskip("torchvision")
    with pytest.raises(DatasetError, match=r"cannot be read \(.*timed out.*\): download .+ yourself"):
        download(silent_server, tmp_path / "raw" / "file", "0" * 32)
    assert list((tmp_path / "raw").iterdir()) == []
    assert socket.getdefaulttimeout() is None
    with pytest.raises(DatasetError, match="timed out"):
        download_text(silent_server)


def test_a_page_that_is_not_there_is_no_file(tmp_path, serve):
    pytest.importorskip("torchvision")
    url = serve(tmp_path) + "missing"
    with pytest.raises(DatasetError, match=f"{url} cannot be read .+404"):
        download(url, tmp_path / "raw" / "file", "0" * 32)
    assert list((tmp_path / "raw").iterdir()) == []


def test_what_is_fetched_lies_there_whole(tmp_path, serve):
    pytest.importorskip("torchvision")
    (tmp_path / "file").write_bytes(b"content")
    download(serve(tmp_path) + "file", tmp_path / "raw" / "named", hashlib.md5(b"content").hexdigest())
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "raw").iterdir()] == [("named", b"content")]
