"""Keeps generated code from escaping the eyes of a verification: no threads, and torch as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, MappingProxyType, ModuleType
from typing import NoReturn

import torch
from torch import nn

from fairnad.records import Failure
from fairnad.sandbox.child.generated import Refused

__all__ = ["single_threaded", "unpatched"]

_WATCHED: tuple[ModuleType | type, ...] = (
    torch,
    nn,
    nn.functional,
    nn.init,
    torch.autograd,
    nn.Module,
    nn.Parameter,
    torch.Tensor,
)

_HOME = str(Path(torch.__file__).parent)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let nothing start a thread in a forward that is traced: its operators would be seen by nobody."""

    def refuse(*args: object) -> NoReturn:
        raise RuntimeError("forward starts a thread: its work cannot be counted; compute in forward itself")

    start = threading._start_new_thread  # type: ignore[attr-defined]  # what all of the standard library uses
    threading._start_new_thread = refuse  # type: ignore[attr-defined]
    try:
        yield
    finally:
        threading._start_new_thread = start  # type: ignore[attr-defined]


@contextmanager
def unpatched() -> Iterator[None]:
    """Refuse a network that replaces parts of torch.

    Raises:
        Refused: FORBIDDEN_OPERATION, whatever else was found: an error may come of what was replaced.
    """
    before = [dict(vars(watched)) for watched in _WATCHED]
    try:
        yield
    finally:
        for watched, then in zip(_WATCHED, before, strict=True):
            if name := _changed(then, MappingProxyType(vars(watched)), is_open=isinstance(watched, ModuleType)):
                raise Refused(
                    Failure.FORBIDDEN_OPERATION,
                    f"the network replaces {name} of {watched.__name__}; define a subclass or function of its own",
                )


def _changed(then: Mapping[str, object], now: Mapping[str, object], *, is_open: bool) -> str | None:
    """Return a name that is bound to something else than before; modules load parts of theirs when these are used."""
    names = then if is_open else now.keys() | then.keys()
    return next((name for name in names if now.get(name) is not then.get(name) and not _is_torchs(now.get(name))), None)


def _is_torchs(value: object) -> bool:
    """Return whether `value` is a function of torch or a mark: its compiler puts such there where it is loaded."""
    return isinstance(value, bool) or (isinstance(value, FunctionType) and value.__code__.co_filename.startswith(_HOME))
