"""Runs the server of a language model as a child process: starts it, waits until it answers, ends it. Asks it nothing.

Holds the command line of vLLM; that of llama.cpp is in `local`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from fairnad.errors import ConfigError, LLMError

__all__ = ["ServerProcess", "free_port", "vllm_command"]

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.2
_END_SECONDS = 15
_TAIL_LINES = 20
_TAIL_BYTES = 65536
# Becomes a command. Beside it waits a shell that ends all of its group when the standard input ends.
_GUARDED = f"""
exec 3<&0
{{ trap '' TERM; cat; kill -TERM 0; sleep {_END_SECONDS}; kill -KILL 0; }} <&3 >/dev/null 2>&1 3<&- &
exec "$@" <&3 3<&-
"""
# What vLLM's logger puts before each line of a traceback.
_LOG_PREFIX = re.compile(r"\([\w-]+ pid=\d+\) [A-Z]+ [^\]]*\] ?")


class ServerProcess:
    """`command` as a child in a process group of its own, listening at `port` of this machine. A context manager.

    Entering it returns when the server answers; leaving it ends the whole group. What it says goes to `log`,
    which is kept if it does not start. Its standard input is a pipe: when this process ends, by kill -9 too, the pipe
    does, and with it the group.

    Raises:
        ConfigError: the port is taken, or the server ended before it answered: it cannot serve what it was given.
        LLMError: it did not answer within `start_seconds`. Both messages have the end of its log.
    """

    def __init__(self, command: Sequence[str], port: int, *, start_seconds: float = 1800.0) -> None:
        self.url = f"http://{_HOST}:{port}/v1"
        self.model = ""
        """The first model that it serves, once it answers."""
        self.log = Path(tempfile.gettempdir()) / f"fairnad-server-{os.getpid()}-{port}.log"
        self._command = tuple(command)
        self._port = port
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServerProcess:
        _check_free(self._port)
        try:
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _GUARDED, "sh", *self._command],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._await(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self.log.unlink(missing_ok=True)

    def wait(self) -> None:
        """Wait until the server ends by itself, which it should not.

        Raises:
            LLMError: always, with the end of its log.
        """
        if self._process is not None:
            self._process.wait()
        raise LLMError(self._ended("ended"), kind="server")

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_seconds
        while (model := _first_model(self._port)) is None:
            if process.poll() is not None:
                raise ConfigError(self._ended("ended before it answered"))
            if time.monotonic() > deadline:
                raise LLMError(self._ended(f"did not answer within {self._start_seconds:g} s"), kind="server")
            time.sleep(_POLL_SECONDS)
        self.model = model

    def _ended(self, how: str) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            lines = list(_without_frames(log.read().decode(errors="replace").splitlines()))[-_TAIL_LINES:]
        said = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
        return f"{' '.join(self._command[:3])} {how}; the last it said ({self.log}):\n{said}"

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        # Whatever the server started may outlive it.
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._process = None


def vllm_command(
    model: str, port: int, *, tensor_parallel: int = 1, gpu_memory: float = 0.9, extra: Sequence[str] = ()
) -> list[str]:
    """Return the command that serves `model` by vLLM; `extra` are more of its own options.

    Raises:
        ConfigError: vLLM is not installed, or `model` is a path where nothing is.
    """
    if model.startswith(("/", ".")) and not Path(model).exists():
        raise ConfigError(f"there is no model at {model}: give its folder, or a name such as Qwen/Qwen3-8B")
    beside = Path(sys.executable).with_name("vllm")
    program = shutil.which("vllm") or (str(beside) if beside.is_file() else None)
    if program is None:
        raise ConfigError(
            "vLLM is not installed: pip install 'fairnad[vllm]' (it needs a GPU; without one: --backend llama.cpp)"
        )
    options = ["--host", _HOST, "--port", str(port), "--enable-prefix-caching"]
    options += ["--tensor-parallel-size", str(tensor_parallel), "--gpu-memory-utilization", str(gpu_memory)]
    return [program, "serve", model, *options, *extra]


def free_port() -> int:
    """Return a port of this machine that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used ({error.strerror}): choose another by --port") from error


def _first_model(port: int) -> str | None:
    """Return the first model that is served at `port`, or None as long as there is none."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        body = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    match body:
        case {"data": [{"id": str(name)}, *_]} if answer.status == 200:
            return name
    return None


def _without_frames(lines: Sequence[str]) -> Iterator[str]:
    """Yield `lines` without the frames of tracebacks: those of three processes push the cause out of sight."""
    is_frame = False
    for line in lines:
        text = _LOG_PREFIX.sub("", line, count=1)
        is_frame = text.startswith("Traceback (") or (is_frame and text[:1].strip() == "")
        if not is_frame:
            yield line


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
