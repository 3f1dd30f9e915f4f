"""One child process, from the fork to its report: limits first, then the guard, then the runner of the job's kind.

`main` never returns and leaves by `os._exit`, so that no exit hook and no thread of generated code gets a turn.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import math
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from fairnad.errors import FairNADError
from fairnad.records import Failure
from fairnad.sandbox.child.generated import Refused, build, load_network, phase
from fairnad.sandbox.child.guard import UNREPORTED, Access, Reporter, arm, make_reporter, readable_places
from fairnad.sandbox.child.landlock import confine_files
from fairnad.sandbox.child.seccomp import confine_calls
from fairnad.sandbox.wire import ForkRequest, Job, MeasureJob, PrepareJob, Report, TrainJob, parse_job

__all__ = ["RUNNERS", "find", "main"]

RUNNERS = {
    "verify": "fairnad.sandbox.child.execute:verify",
    "measure": "fairnad.sandbox.child.execute:measure",
    "train": "fairnad.training.loop:train",
    "prepare": "fairnad.training.datasets:prepare",
}
"""What runs a job: kind -> "module:function"."""

_RESULTS = ("logits.bin", "logits.tmp", "weights.safetensors", "weights.tmp")
"""The files that a training may write in its folder."""

_MAX_REPORT_BYTES = 2**28
_MAX_OPEN_FILES = 256
_CPU_GRACE_SECONDS = 5
_TRAINING_NICENESS = 10  # what is drafted and verified meanwhile fills the next slot, so it goes first
_MAX_TRACE_CHARACTERS = 8000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

_libc = ctypes.CDLL(None)


def find(target: str) -> Callable[..., Any]:
    """Return what "module:function" names."""
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def main(request: ForkRequest, *, parent: int) -> NoReturn:
    """Be the child that `request` asks for, right after the zygote `parent` forked it."""
    leave, describe = os._exit, _describe  # generated code may replace both
    reporter = make_reporter(str(Path(request.folder, "report.json")))
    try:
        try:
            _detach(request.folder, parent)
            job = parse_job(Path("job.json").read_bytes())
            _limit(request, job)
            _settle(request, job, reporter)
            runner = _runner(job)
            if isinstance(job, MeasureJob) and job.with_fvcore:
                find("fvcore.nn:FlopCountAnalysis")  # its import looks into files that a network may not read
            if not isinstance(job, PrepareJob):
                access = _access(request.folder, job)
                confine_files(access.readable, (request.folder,), is_gpu=_uses_gpu(job))
                confine_calls(is_gpu=_uses_gpu(job))
                arm(access, reporter)
            report: Report = runner()
        except BaseException as error:  # noqa: BLE001 - generated code raises whatever it likes, SystemExit too
            report = describe(error)
        reporter.end(report.model_dump_json().encode())
    finally:
        leave(UNREPORTED)


def _detach(folder: str, parent: int) -> None:
    """Leave the zygote's session, descriptors and signals behind, but die with it."""
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(UNREPORTED)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    null = os.open("/dev/null", os.O_RDONLY)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    for descriptor, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, target)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(3, 2**20 if most == resource.RLIM_INFINITY else most)


def _limit(request: ForkRequest, job: Job) -> None:
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with contextlib.suppress(OSError):  # when memory runs out, this process is to go, not the controller
        Path("/proc/self/oom_score_adj").write_text("1000")
    if isinstance(job, TrainJob):
        os.nice(_TRAINING_NICENESS)
        with contextlib.suppress(OSError):  # a job is a session, and where those are scheduled as groups this counts
            Path("/proc/self/autogroup").write_text(str(_TRAINING_NICENESS))
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: _MAX_OPEN_FILES}
    if not isinstance(job, PrepareJob):  # the largest file is a report, or what a training held in memory
        is_training = isinstance(job, TrainJob)
        limits[resource.RLIMIT_FSIZE] = max(_MAX_REPORT_BYTES, request.memory_bytes if is_training else 0)
    if not _uses_gpu(job):  # CUDA reserves far more addresses than it uses, and its threads spin
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + request.memory_bytes
        limits[resource.RLIMIT_CPU] = math.ceil(request.timeout_seconds * _num_threads(job)) + 1
    for limit, value in limits.items():
        most = resource.getrlimit(limit)[1]
        lowered = value if most == resource.RLIM_INFINITY else min(value, most)
        # At the hard limit of processor time comes SIGKILL, which says less than the SIGXCPU of the soft one.
        grace = _CPU_GRACE_SECONDS if limit == resource.RLIMIT_CPU and most == resource.RLIM_INFINITY else 0
        resource.setrlimit(limit, (lowered, lowered + grace))


def _settle(request: ForkRequest, job: Job, reporter: Reporter) -> None:
    """Give the job its own randomness and output, and a CPU job no GPU."""
    _show_devices(job)
    if isinstance(job, PrepareJob):
        os.environ.update(job.proxies)
    seed = getattr(job, "seed", 0)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    raw = _BoundedOutput(request.max_output_bytes, reporter)
    output = io.TextIOWrapper(raw, "utf-8", "replace", write_through=True)  # type: ignore[type-var]
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = output  # type: ignore[misc, assignment]


def _show_devices(job: Job) -> None:
    """Let the job see its one GPU, or none; CUDA was not touched before the fork."""
    gpu = job.gpu if isinstance(job, TrainJob) else None
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the numbering of nvidia-smi
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if gpu is None else str(gpu)


def _uses_gpu(job: Job) -> bool:
    return isinstance(job, TrainJob) and job.gpu is not None


def _num_threads(job: Job) -> int:
    return job.threads if isinstance(job, TrainJob) else 1


def _runner(job: Job) -> Callable[[], Report]:
    run = find(RUNNERS[job.kind])
    if not isinstance(job, TrainJob):
        return lambda: run(job, Path.cwd())
    return lambda: run(lambda: build(load_network(job.source), job.data.num_classes), job, Path.cwd())


def _access(folder: str, job: Job) -> Access:
    place = Path(folder).resolve()
    readable = (*readable_places(), str(place))
    if not isinstance(job, TrainJob):
        return Access(readable)
    data = (job.data.train_images, job.data.train_labels, job.data.eval_images)
    results = tuple(f"{place}/{name}" for name in _RESULTS)
    return Access((*readable, *map(os.path.realpath, data)), results)


def _describe(error: BaseException) -> Report:
    """Return the report on an exception that the runner let pass."""
    trace = "".join(traceback.format_exception(error))[-_MAX_TRACE_CHARACTERS:]
    stage = _stage(error)
    if stage is not None:
        try:
            with phase(stage):
                raise error
        except Refused as refused:
            return Report(failure=refused.failure, reason=refused.reason, details=refused.details)
    if isinstance(error, FairNADError):
        return Report(failure=Failure.CRASH, reason=str(error))  # which says all that there is to say
    failure = Failure.MEMORY if isinstance(error, MemoryError) else Failure.CRASH
    return Report(failure=failure, reason="".join(traceback.format_exception_only(error)).strip(), details=trace)


def _stage(error: BaseException) -> Failure | None:
    """Return what a training was doing, by the code that the exception passed through; None if it was our own."""
    frames = traceback.extract_tb(error.__traceback__)
    if any(frame.filename.endswith(("torch/autograd/__init__.py", "torch/optim/optimizer.py")) for frame in frames):
        return Failure.BACKWARD_ERROR
    if isinstance(error, Refused) or any(frame.filename.endswith("torch/nn/modules/module.py") for frame in frames):
        return Failure.FORWARD_ERROR
    return None


class _BoundedOutput(io.RawIOBase):
    """What generated code prints, to the job's output; too much of it ends the process."""

    def __init__(self, max_bytes: int, reporter: Reporter) -> None:
        self._left = max_bytes
        self._end = reporter.end
        reason = f"the code printed more than {max_bytes:,} bytes; remove the printing"
        self._report = Report(failure=Failure.OUTPUT_FLOOD, reason=reason).model_dump_json().encode()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def write(self, data: Any) -> int:  # noqa: ANN401 - anything with a buffer
        size = memoryview(data).nbytes
        self._left -= size
        if self._left < 0:
            self._end(self._report)
        os.write(1, data)
        return size
