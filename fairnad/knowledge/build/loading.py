"""Loads heavy modules faster: without looking for garbage among what they make, of which nothing is ever let go."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["loading"]


@contextmanager
def loading() -> Iterator[None]:
    """Collect no garbage within the block, and never again look at what was made until its end.

    A third of the time that the modules of a build take to load is else the collector's, as is a part of its end.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
