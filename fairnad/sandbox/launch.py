"""Starts every child process and turns whatever becomes of it into a report. The controller's side: no torch.

The children are forks of a zygote, a separate process that has torch loaded; see `zygote` for what they share,
`child.run` for the limits they live in, and `child.guard` for what generated code may not do.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import overload

from pydantic import ValidationError

from fairnad.errors import SandboxError
from fairnad.records import Failure
from fairnad.sandbox.wire import (
    ForkRequest,
    Job,
    MeasureJob,
    MeasureReport,
    PrepareJob,
    PrepareReport,
    Report,
    TrainJob,
    TrainReport,
    VerifyJob,
    VerifyReport,
)

__all__ = ["Sandbox"]

_REPORTS: dict[str, type[Report]] = {
    "verify": VerifyReport,
    "measure": MeasureReport,
    "train": TrainReport,
    "prepare": PrepareReport,
}
# Everything else in the user's environment, keys above all, stays with the controller.
_PASSED_ON = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_SINGLE_THREADED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_MAX_REPORT_BYTES = 2**28
_MAX_TAIL_BYTES = 4096
_WARM_UP_SECONDS = 180.0
_KILL_SECONDS = 30.0
_MOST_WAITING = 10
"""A training on CPU cores is limited in processor time; others may keep the cores from it for this many times that."""

_SIGNAL_FAILURES = {
    signal.SIGKILL: (
        Failure.MEMORY,
        "the system ended the process, most likely for want of memory; make tensors smaller",
    ),
    signal.SIGSYS: (
        Failure.FORBIDDEN_OPERATION,
        "a system call of native code (a connection, another process) is not allowed: a network only computes logits "
        "from images; remove it",
    ),
    signal.SIGXCPU: (Failure.TIMEOUT, "the process used more processor time than its time limit allows; compute less"),
}


class Sandbox:
    """Runs jobs in child processes, any number at once, from any thread. A context manager; `close` ends everything.

    `memory_bytes` is what a child may allocate unless `run` says otherwise, `max_output_bytes` what it may print.
    """

    def __init__(
        self, *, memory_bytes: int = 4 * 2**30, max_output_bytes: int = 4 * 2**20, python: str = sys.executable
    ) -> None:
        self._memory_bytes = memory_bytes
        self._max_output_bytes = max_output_bytes
        self._python = python
        self._lock = threading.Lock()
        self._zygote: _Zygote | None = None
        self._is_closed = False

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Let the zygote get warm (seconds) while the caller does other things; `run` does it when nobody has.

        Raises:
            SandboxError: it cannot be started, or the sandbox is closed.
        """
        self._living_zygote()

    @overload
    def run(
        self, job: VerifyJob, *, folder: Path | None = ..., timeout_seconds: float, memory_bytes: int | None = ...
    ) -> VerifyReport: ...
    @overload
    def run(
        self, job: MeasureJob, *, folder: Path | None = ..., timeout_seconds: float, memory_bytes: int | None = ...
    ) -> MeasureReport: ...
    @overload
    def run(
        self, job: TrainJob, *, folder: Path | None = ..., timeout_seconds: float, memory_bytes: int | None = ...
    ) -> TrainReport: ...
    @overload
    def run(
        self, job: PrepareJob, *, folder: Path | None = ..., timeout_seconds: float, memory_bytes: int | None = ...
    ) -> PrepareReport: ...
    def run(
        self, job: Job, *, folder: Path | None = None, timeout_seconds: float, memory_bytes: int | None = None
    ) -> Report:
        """Run `job` in a child process and return its report; whatever goes wrong there is a failure in it.

        `folder` is made if need be, and keeps the job, the report, the output and the results; without one they are
        thrown away. When this returns, no process of the job is left.

        Raises:
            SandboxError: the machinery failed twice, or the sandbox is closed.
        """
        if folder is None:
            with tempfile.TemporaryDirectory(prefix="fairnad-job-") as temporary:
                return self._run(job, Path(temporary).resolve(), timeout_seconds, memory_bytes)
        folder.mkdir(parents=True, exist_ok=True)
        return self._run(job, folder.resolve(), timeout_seconds, memory_bytes)

    def close(self) -> None:
        """Kill and reap every process of this sandbox. Jobs under way end with a SandboxError."""
        with self._lock:
            self._is_closed = True
            if self._zygote is not None:
                self._zygote.end()

    def _run(self, job: Job, folder: Path, timeout_seconds: float, memory_bytes: int | None) -> Report:
        request = ForkRequest(
            folder=str(folder),
            timeout_seconds=timeout_seconds,
            memory_bytes=memory_bytes or self._memory_bytes,
            max_output_bytes=self._max_output_bytes,
        )
        for stale in ("report.json", "output.txt"):
            (folder / stale).unlink(missing_ok=True)
        (folder / "job.json").write_text(job.model_dump_json(), encoding="utf-8")
        is_on_cores = isinstance(job, TrainJob) and job.gpu is None
        most_seconds = timeout_seconds * (_MOST_WAITING if is_on_cores else 1)
        for _ in range(2):
            zygote = self._living_zygote()
            ending = zygote.run(request, most_seconds)
            if ending is not None:
                return _report(_REPORTS[job.kind], request, ending)
        raise SandboxError(f"the process that starts child processes died twice; its last words:\n{zygote.last_words}")

    def _living_zygote(self) -> _Zygote:
        with self._lock:
            if self._is_closed:
                raise SandboxError("the sandbox is closed")
            if self._zygote is None or not self._zygote.is_alive():
                if self._zygote is not None:
                    self._zygote.end()
                self._zygote = _Zygote(self._python)
            return self._zygote


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a child ended: its wait status, or None when it was killed at its time limit."""

    status: int | None
    seconds: float
    most_seconds: float


class _Zygote:
    """A zygote process, seen from the controller."""

    def __init__(self, python: str) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="fairnad-sandbox-"))
        self._log = self._scratch / "zygote.log"
        self._has_children = False
        self.last_words = ""
        # Its end by the death of the controller is the end of this connection. (A parent-death signal would come when
        # the thread that starts it ends.)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [python, "-m", "fairnad.sandbox.zygote", str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._scratch,
                    env=_environment(self._scratch),
                    start_new_session=True,
                )
        except OSError as error:
            self._control.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise SandboxError(f"{python} cannot be started: {error}") from error

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def run(self, request: ForkRequest, most_seconds: float) -> _Ending | None:
        """Have a child forked and wait for its end, `most_seconds`; None when the zygote died instead."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            try:
                with theirs:
                    socket.send_fds(self._control, [request.model_dump_json().encode()], [theirs.fileno()])
                return self._wait(ours, most_seconds)
            except OSError:  # the connection is gone
                self._mourn()
                return None

    def _wait(self, job: socket.socket, timeout_seconds: float) -> _Ending | None:
        job.settimeout(_WARM_UP_SECONDS)
        if not job.recv(32):  # the process id
            self._mourn()
            return None
        self._has_children = True
        began = time.monotonic()
        job.settimeout(timeout_seconds)
        try:
            status = job.recv(32)
        except TimeoutError:
            self._await_kill(job)
            return _Ending(None, time.monotonic() - began, timeout_seconds)
        if not status:
            self._mourn()
            return None
        return _Ending(int(status), time.monotonic() - began, timeout_seconds)

    def _await_kill(self, job: socket.socket) -> None:
        """Have the child killed, with all that it started; if the zygote cannot do that, kill the zygote."""
        job.shutdown(socket.SHUT_WR)
        job.settimeout(_KILL_SECONDS)
        try:
            job.recv(32)
        except OSError:
            self._mourn()

    def _mourn(self) -> None:
        """Make sure that the process is dead, and keep what it said."""
        self._process.kill()
        self._process.wait()
        if self._log.exists():
            self.last_words = _tail(self._log)

    def end(self) -> None:
        """Have the process kill its children and end; reap it."""
        self._control.close()
        if not self._has_children:
            self._process.kill()  # it may still be warming up
        try:
            self._process.wait(timeout=_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _environment(scratch: Path) -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("LC_")}
    return (
        passed
        | dict.fromkeys(_SINGLE_THREADED, "1")
        | {
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path),
            "PYTHONSAFEPATH": "1",
        }
    )


def _report(model: type[Report], request: ForkRequest, ending: _Ending) -> Report:
    """Return the child's report, or one on the trouble that kept it from reporting."""
    folder = Path(request.folder)
    has_flooded = _size(folder / "output.txt") > request.max_output_bytes  # past the child's own count, natively
    if ending.status == 0 and not has_flooded and (folder / "report.json").is_file():
        report = _parse(folder / "report.json", model)
    else:
        failure, reason = _trouble(request, ending)
        report = model(failure=failure, reason=reason, details=_tail(folder / "output.txt"))
    return report if report.seconds else report.model_copy(update={"seconds": ending.seconds})


def _parse(path: Path, model: type[Report]) -> Report:
    with path.open("rb") as file:
        text = file.read(_MAX_REPORT_BYTES)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        return model(failure=Failure.CRASH, reason="the process wrote no valid report", details=str(error)[-2000:])


def _trouble(request: ForkRequest, ending: _Ending) -> tuple[Failure, str]:
    output = Path(request.folder) / "output.txt"
    if _size(output) > request.max_output_bytes:
        return (
            Failure.OUTPUT_FLOOD,
            f"the process wrote more than {request.max_output_bytes:,} bytes of output; write less",
        )
    if ending.status is None:
        limit = f"{ending.most_seconds:g} seconds"
        return Failure.TIMEOUT, f"the process was not done after {limit}; remove what hangs, or compute less"
    if "bad_alloc" in _tail(output):
        return Failure.MEMORY, "the process ran out of memory; make tensors smaller"
    if os.WIFSIGNALED(ending.status):
        number = os.WTERMSIG(ending.status)
        if number in _SIGNAL_FAILURES:
            return _SIGNAL_FAILURES[signal.Signals(number)]
        return (
            Failure.CRASH,
            f"the process was ended by {signal.strsignal(number)} (signal {number}); use plain PyTorch",
        )
    status = os.WEXITSTATUS(ending.status)
    return Failure.CRASH, f"the process ended with exit status {status} without a report; remove what ends it"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path) -> str:
    """Return the end of a file, "" if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MAX_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
