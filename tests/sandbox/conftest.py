"""One sandbox for all tests of the room (its zygote takes seconds to warm), and a small network to put code into."""

import os
from pathlib import Path

import pytest

from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import VerifyJob

_NETWORK = """
{prelude}
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = nn.Linear(8, num_classes)
        {init}

    def forward(self, x):
        h = self.stem(x).relu()
        {forward}
        return self.head(h.mean((2, 3)))
"""


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def network():
    """Make a source that runs `prelude` when imported, `init` when built and `forward` when called."""

    def make(prelude="", *, init="pass", forward="pass"):
        return _NETWORK.format(
            prelude=prelude, init=init.replace("\n", "\n        "), forward=forward.replace("\n", "\n        ")
        )

    return make


@pytest.fixture(scope="session")
def verify(sandbox):
    def run(source, *, timeout_seconds=60.0, memory_bytes=None, folder=None):
        job = VerifyJob(source=source, input_shape=(3, 16, 16), num_classes=10, train_steps=1, batch_size=2)
        return sandbox.run(job, timeout_seconds=timeout_seconds, memory_bytes=memory_bytes, folder=folder)

    return run


@pytest.fixture(scope="session")
def zygotes():
    """List the ids of the zygotes of this process."""

    def of_this_process():
        return [process for process in _processes() if _parent(process) == os.getpid() and _is_zygote(process)]

    return of_this_process


@pytest.fixture(scope="session")
def strays(zygotes):
    """List the processes that came from a zygote of this process, known by the HOME that they inherit."""

    def of_zygotes():
        parents = zygotes()
        homes = {_home(parent) for parent in parents} - {b""}
        return [process for process in _processes() if process not in parents and _home(process) in homes]

    return of_zygotes


def _processes():
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _read(process, name):
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def _parent(process):
    fields = _read(process, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def _is_zygote(process):
    return b"fairnad.sandbox.zygote" in _read(process, "cmdline")


def _home(process):
    variables = _read(process, "environ").split(b"\0")
    return next((variable for variable in variables if variable.startswith(b"HOME=")), b"")
