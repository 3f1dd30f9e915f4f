"""An OpenAI-compatible endpoint on this machine that plays steps: one for each completion, the last one again.

A step is an object of these keys: `status`, `headers`, `json` or `body` (as it is), `reset_after_bytes` (then the
connection is reset), `close_after_bytes` (then it ends early), `hang_s` (before the answer), `drip_s` (between the
bytes of the whole answer, its head included), `has_length` (false: the answer ends with its connection).
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["MODELS", "FakeEndpoint", "completion"]

MODELS: dict[str, Any] = {"object": "list", "data": [{"id": "coder", "object": "model", "max_model_len": 40960}]}


def completion(text: str | None, *, finish: str = "stop", usage: object = (10, 5)) -> dict[str, Any]:
    """Return the step of a completion that says `text`."""
    body: dict[str, Any] = {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
    }
    if isinstance(usage, tuple):
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return {"json": body}


class FakeEndpoint:
    """Serves in a thread until it is closed. `pages` are the steps of other paths, such as "/v1/models"."""

    def __init__(
        self, steps: Sequence[Mapping[str, Any]] = (), *, pages: Mapping[str, Mapping[str, Any]] | None = None, port=0
    ) -> None:
        self.steps = list(steps) or [completion("##response##yes")]
        self.pages = {"/v1/models": {"json": MODELS}} if pages is None else pages
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.most_at_once = 0
        self.closing = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.endpoint = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeEndpoint:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and end the connections; the port is free afterwards."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_step(self, request: dict[str, Any], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """Take note of a completion that is asked for, and return the step that answers it."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.requests.append(request)
            self.headers.append(headers)
            return self.steps[min(len(self.requests), len(self.steps)) - 1]

    def done(self) -> None:
        """Take note that a completion was answered."""
        with self._lock:
            self._at_once -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256
    endpoint: FakeEndpoint

    def handle_error(self, request, client_address) -> None:
        """The client may go away in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        step = self.server.endpoint.next_step(request, {name.lower(): value for name, value in self.headers.items()})
        try:
            self._play(step)
        finally:
            self.server.endpoint.done()

    def do_GET(self) -> None:
        self._play(self.server.endpoint.pages.get(self.path, {"status": 404, "json": {"error": {"message": "no"}}}))

    def log_message(self, *values: object) -> None:
        """Say nothing."""

    def _play(self, step: Mapping[str, Any]) -> None:
        self.close_connection = True
        if self.server.endpoint.closing.wait(step.get("hang_s", 0)):
            return
        answer = _bytes_of(step)
        for ending in ("reset_after_bytes", "close_after_bytes"):
            if ending in step:
                self.wfile.write(answer[: step[ending]])
                if ending == "reset_after_bytes":
                    self._reset()
                return
        if "drip_s" not in step:
            self.wfile.write(answer)
            return
        for byte in answer:
            self.wfile.write(bytes([byte]))
            if self.server.endpoint.closing.wait(step["drip_s"]):
                return

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _bytes_of(step: Mapping[str, Any]) -> bytes:
    body = step["body"] if "body" in step else json.dumps(step.get("json", completion("yes")["json"]))
    content = body.encode()
    lines = [f"HTTP/1.1 {step.get('status', 200)} Played", "Connection: close"]
    lines += [f"Content-Length: {len(content)}"] if step.get("has_length", True) else []
    headers = {"Content-Type": "application/json", **step.get("headers", {})}
    lines += [f"{name}: {_date(value)}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _date(value: str) -> str:
    """Return `value`, or the date that it describes: "<HTTP date, 2 s ahead>"."""
    if not value.startswith("<HTTP date, "):
        return value
    return formatdate(time.time() + float(value.split()[2]), usegmt=True)
