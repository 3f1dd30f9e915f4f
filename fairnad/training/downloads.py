"""Raw files of data sets: fetched where the network allows, their sums checked, kept whole or not at all.

What is in a file is not its business.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairnad.errors import DatasetError

__all__ = ["check_sum", "download", "download_text", "md5"]

_SILENT_SECONDS = 60.0
"""How long a server may say nothing."""
_MAX_TEXT_BYTES = 2**24


def md5(data: bytes) -> str:
    """Return the MD5 sum as published lists have it; it tells damage, not forgery."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def check_sum(path: Path, found: str, expected: str) -> None:
    """Pass if the sums are equal.

    Raises:
        DatasetError: they are not; it names both.
    """
    if found != expected:
        raise DatasetError(
            f"{path}: checksum {found}, expected {expected}: it is damaged or of another version; "
            "delete it and get the published file"
        )


def download(url: str, target: Path, expected_md5: str) -> None:
    """Fetch `url` to `target` with torchvision.

    Raises:
        DatasetError: torchvision or the network is not there, or the sum is another; nothing is left behind.
    """
    advice = f"download {url} yourself and put it into {target.parent} as {target.name}"
    try:
        from torchvision.datasets.utils import download_url
    except ImportError as error:
        raise DatasetError(
            f"{target} is not there, and without torchvision nothing is downloaded: "
            f'{advice}, or install torchvision (pip install "fairnad[vision]")'
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".downloading-") as temporary:
        staged = Path(temporary, target.name)
        try:
            with _patience():
                download_url(url, temporary, filename=target.name)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            raise DatasetError(f"{target} is not there, and {url} cannot be read ({error}): {advice}") from error
        check_sum(target, md5(staged.read_bytes()), expected_md5)
        staged.rename(target)


@contextmanager
def _patience() -> Iterator[None]:
    """Let no read inside wait for ever, which torchvision would."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def download_text(url: str) -> bytes:
    """Return what a small file at `url` holds.

    Raises:
        DatasetError: it cannot be read; why, without advice.
    """
    try:
        with urllib.request.urlopen(url, timeout=_SILENT_SECONDS) as response:
            data: bytes = response.read(_MAX_TEXT_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise DatasetError(f"{url} cannot be read ({error})") from error
    return data
