"""Lets the kernel refuse what the guard cannot see: native code that opens files (Landlock, Linux 5.13 and newer).

Reading alone is confined. Where the kernel has no Landlock nothing changes, and the guard stands alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
import sys
from collections.abc import Sequence

__all__ = ["confine_reading"]

# System call numbers are the same on all architectures; rights and structures are those of linux/landlock.h.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3

_NATIVE = (
    "/dev /etc/group /etc/nsswitch.conf /etc/nvidia /etc/passwd /lib /lib32 /lib64 /nix /proc/devices /proc/driver "
    "/proc/modules /proc/self /proc/sys /run/opengl-driver /sys /usr"
)
"""Where the loader, the C library and a GPU's driver read; nothing of a user's is there."""

_libc = ctypes.CDLL(None, use_errno=True)


def confine_reading(places: Sequence[str]) -> bool:
    """Refuse, for good, to open files outside `places` and the system's own for reading; return whether it is done.

    `places` are files, or folders with all that is below them. What is open stays readable. New privileges must have
    been given up before.
    """
    handled = ctypes.create_string_buffer(struct.pack("Q", _READ_FILE | _READ_DIR), 8)
    ruleset = _libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    try:
        for place in {*places, *_NATIVE.split(), sys.prefix, sys.base_prefix, *filter(None, libraries)}:
            with contextlib.suppress(OSError):  # it is not on this machine
                _allow(ruleset, place)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, place: str) -> None:
    descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rights = _READ_FILE | (_READ_DIR if is_folder else 0)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor), 12)
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
