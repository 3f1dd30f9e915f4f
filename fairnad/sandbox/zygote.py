"""The warm parent of every child process: imports torch once, then forks at request (`python -m ... <descriptor>`).

It has one thread, no secrets, and never touches CUDA, so a fork is safe and costs milliseconds. It ends with its
controller, and with it all that its children started: whatever loses its parent becomes the zygote's and is killed.

Messages, each one packet: the controller sends a ForkRequest with one end of a socket pair; on that come back the
child's process id and later its wait status. When the controller closes its end, the child is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import torch

from fairnad.sandbox.child import run
from fairnad.sandbox.wire import ForkRequest, MeasureJob, VerifyJob

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER = 36
_MAX_REQUEST_BYTES = 2**16

_WARM_UP = """
import torch
import torch.nn.functional as F
from torch import nn


class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(F.relu(self.norm(self.conv(x))), 4).flatten(2).transpose(1, 2)
        x = x + self.attention(x, x, x)[0]
        return self.head(torch.einsum("bnc,bmc->bnm", x, x).mean(1))
"""


def main(control: socket.socket) -> None:
    """Serve the controller at the other end of `control` until it is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the controller decides what an interrupt means
    _warm_up()
    server = _Server(control)
    try:
        server.serve()
    finally:
        server.end()


def _warm_up() -> None:
    """Import and run what children need, so that they need not."""
    torch.set_num_threads(1)
    for target in run.RUNNERS.values():
        run.find(target)
    # With a GPU in the machine the first backward starts threads, which no fork survives.
    has_gpu = next(Path("/dev").glob("nvidia*"), None) is not None
    with tempfile.TemporaryDirectory() as folder:
        if has_gpu:
            measure = MeasureJob(sources=(_WARM_UP,), input_shape=(3, 8, 8), num_classes=2)
            run.find(run.RUNNERS["measure"])(measure, Path(folder))
        else:
            verify = VerifyJob(source=_WARM_UP, input_shape=(3, 8, 8), num_classes=2, train_steps=1, batch_size=2)
            run.find(run.RUNNERS["verify"])(verify, Path(folder))
    gc.collect()
    gc.freeze()  # the children's collections leave these objects, and so their shared pages, alone


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._jobs: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        self._woken, self._waker = woken, waker
        self._selector.register(woken, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waker.fileno())

    def serve(self) -> None:
        """Fork, kill and reap until the controller is gone."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    if not self._accept():
                        return
                elif key.fileobj is self._woken:
                    self._woken.recv(4096)
                else:  # a controller says nothing on a job's socket, so it has hung up
                    self._selector.unregister(key.fileobj)
                    _kill(key.data)
            self._reap()

    def end(self) -> None:
        """Kill every process that is left."""
        self._jobs.clear()
        self._sweep()

    def _accept(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, _MAX_REQUEST_BYTES, 1)
        if not message:
            return False
        job = socket.socket(fileno=descriptors[0])
        request, parent = ForkRequest.model_validate_json(message), os.getpid()
        pid = os.fork()
        if pid == 0:
            run.main(request, parent=parent)
        self._jobs[pid] = job
        self._selector.register(job, selectors.EVENT_READ, pid)
        _tell(job, pid)
        return True

    def _reap(self) -> None:
        ended = []
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0] != 0:
                pid, status = found
                if pid in self._jobs:
                    ended.append((self._jobs.pop(pid), status))
        if ended:
            self._sweep()  # before the controller hears of it: when it does, nothing of the job is left
        for job, status in ended:
            with contextlib.suppress(KeyError):  # it was killed because the controller hung up
                self._selector.unregister(job)
            _tell(job, status)
            job.close()

    def _sweep(self) -> None:
        """Kill what is ours and no job: orphans of children that ended, until they leave no further ones."""
        while strays := _children() - self._jobs.keys():
            for pid in strays:
                _kill(pid)
            for pid in strays:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _kill(pid: int) -> None:
    """Kill a process that is not reaped yet, and its group if it leads one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _children() -> set[int]:
    """Return the ids of all processes whose parent is this one."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # The name, in parentheses, may hold anything; state and parent follow it.
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.add(int(stat.parent.name))
    return found


def _tell(job: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # the controller has hung up
        job.send(str(number).encode())


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
    shutil.rmtree(os.environ["HOME"], ignore_errors=True)  # made for this process, by a controller that may be dead
    os._exit(0)  # to take torch down in order takes half a second, and nobody is left to see it
