"""One attempt at an OpenAI-compatible endpoint: the key, the time limits, and what went wrong. Retries nothing.

The key comes from the environment alone, and no text that leaves this module holds it.
"""

from __future__ import annotations

import ipaddress
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError
from fairnad.llm.faults import Fault, one_line, status_fault

if TYPE_CHECKING:
    import openai

__all__ = ["Exchange"]

_DUMMY_KEY = "none"


class Exchange:
    """Sends requests to the endpoint of `config`, from any thread; `close` ends those under way.

    Raises:
        ConfigError: the address or the key cannot be used, or the `openai` package is missing.
    """

    def __init__(self, config: LLMConfig) -> None:
        self.url = _checked_url(config.base_url)
        self._key = _key(config.key_variable, self.url)
        self._lines = _Lines()
        self._of_thread = threading.local()
        self._is_closed = False
        self._client = self._open(config)

    def get(self, path: str, *, seconds: float) -> str | Fault:
        """Return the body of a page below the base URL, or of a whole URL."""
        return self._attempt(lambda: self._client.get(path, cast_to=str), seconds)

    def post(self, path: str, body: Mapping[str, object], *, seconds: float) -> str | Fault:
        """Return the body of the answer to `body`, within `seconds` whatever the endpoint does."""
        return self._attempt(lambda: self._client.post(path, cast_to=str, body=body), seconds)

    def clean(self, text: str) -> str:
        """Return `text` without the key."""
        return text.replace(self._key, "***") if self._key != _DUMMY_KEY else text

    def close(self) -> None:
        """End the attempts under way and let go of all connections."""
        self._is_closed = True
        self._lines.close()
        self._client.close()

    def _open(self, config: LLMConfig) -> openai.OpenAI:
        try:
            import openai
        except ImportError as error:
            raise ConfigError("asking a language model needs the openai package: pip install 'fairnad[llm]'") from error
        http_client = openai.DefaultHttpxClient(
            event_hooks={"request": [self._watch], "response": [_expect_utf8]},
            # A proxy of the environment does not know this machine's own addresses.
            trust_env=not _is_loopback(self.url),
        )
        return openai.OpenAI(
            base_url=self.url,
            api_key=self._key,
            max_retries=0,
            timeout=openai.Timeout(config.total_seconds, connect=config.connect_seconds),
            # Calls come minutes apart: a connection that was kept would mostly be found dead, which costs a retry.
            default_headers={"Connection": "close"},
            http_client=http_client,
        )

    def _watch(self, request: Any) -> None:  # noqa: ANN401 - a request of httpx, whose module openai chooses
        request.extensions["trace"] = self._of_thread.line.watch

    def _attempt(self, send: Callable[[], str], seconds: float) -> str | Fault:
        with self._lines.line(seconds) as line:
            self._of_thread.line = line
            found = self._send(send, line)
        if isinstance(found, Fault):
            # Cut short after the key is out, or a part of it could be left at the end.
            return replace(found, text=one_line(self.clean(found.text)))
        return found

    def _send(self, send: Callable[[], str], line: _Line) -> str | Fault:
        import openai

        try:
            found = send()
        except openai.APIStatusError as error:
            return status_fault(error.status_code, error.body, error.response.headers)
        except openai.APIConnectionError as error:
            return self._lost(line, f"{error.__cause__ or error}", is_late=isinstance(error, openai.APITimeoutError))
        # A body without a length ends with its connection, whoever ended that.
        return self._lost(line, "it was cut") if line.is_cut else found

    def _lost(self, line: _Line, reason: str, *, is_late: bool = False) -> Fault:
        if self._is_closed:
            return Fault("closed", "the client was closed")
        if not line.is_connected:
            return Fault("network", f"cannot connect to {self.url}: {reason}", is_retried=True, is_outage=True)
        if line.is_cut or is_late:
            # Not asked again: the same prompt would most likely take as long.
            within = f"no whole answer within {line.seconds:g} s"
            return Fault("timeout", f"{within}; allow more (llm.total_seconds) or ask less at once (llm.concurrency)")
        return Fault("network", f"the connection was lost: {reason}", is_retried=True)


class _Lines:
    """The attempts under way; one thread ends those whose time is over, whatever they wait for.

    The timeouts of an HTTP library hold for one read: an endpoint that sends a byte a minute never meets them. And a
    timer for each attempt would be a thread for each.
    """

    def __init__(self) -> None:
        self._under_way: set[_Line] = set()
        self._changed = threading.Condition()
        self._wakes_at = math.inf
        self._watcher: threading.Thread | None = None
        self._is_closed = False

    @contextmanager
    def line(self, seconds: float) -> Iterator[_Line]:
        """Yield the line of one attempt."""
        line = _Line(seconds)
        with self._changed:
            self._under_way.add(line)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="time limits", daemon=True)
                self._watcher.start()
            if self._is_closed:
                line.cut()
            elif line.ends_at < self._wakes_at:
                self._changed.notify()
        try:
            yield line
        finally:
            with self._changed:
                self._under_way.discard(line)
            line.close()

    def close(self) -> None:
        """End all attempts."""
        with self._changed:
            self._is_closed = True
            for line in self._under_way:
                line.cut()
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                for line in self._under_way:
                    if line.ends_at <= now:
                        line.cut()
                self._wakes_at = min((line.ends_at for line in self._under_way if not line.is_cut), default=math.inf)
                self._changed.wait(None if self._wakes_at == math.inf else self._wakes_at - now)


class _Line:
    """The connection of one attempt."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ends_at = time.monotonic() + seconds
        self.is_cut = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def is_connected(self) -> bool:
        """Whether the endpoint took the connection."""
        return bool(self._sockets)

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of a new connection, as httpx tells of it."""
        if not event.endswith("connect_tcp.complete"):
            return
        # A duplicate: it outlives TLS, which takes the socket over, and no closing elsewhere can pull it away.
        duplicate = info["return_value"].get_extra_info("socket").dup()
        with self._lock:
            self._sockets.append(duplicate)
        if self.is_cut:
            self.cut()

    def cut(self) -> None:
        """End whatever waits on the connection."""
        with self._lock:
            self.is_cut = True
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            for connection in self._sockets:
                connection.close()


def _expect_utf8(response: Any) -> None:  # noqa: ANN401 - as above
    """Have the body read as JSON is written, whatever its header says: that may name a codec that is no charset."""
    response.encoding = "utf-8-sig"


def _checked_url(base_url: str | None) -> str:
    if base_url is None:
        raise ConfigError(
            "llm.base_url is not set: name an OpenAI-compatible endpoint, or start one: fairnad llm serve"
        )
    if "@" in base_url:
        raise ConfigError("llm.base_url: it holds a user or a password; keys are read from the environment only")
    try:
        parts = urlsplit(base_url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigError(f"llm.base_url: expected an address such as http://127.0.0.1:8000/v1, found {base_url!r}")
    return base_url.rstrip("/")


def _key(variable: str, url: str) -> str:
    key = os.environ.get(variable, "").strip()
    if key:
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"the key in {variable} holds characters that no key has: copy it again")
        return key
    if _is_loopback(url):
        return _DUMMY_KEY
    raise ConfigError(f"{variable} is not set: put the key of {url} there (any word, if it wants none)")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
