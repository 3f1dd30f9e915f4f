"""Lets the kernel refuse what the guard cannot see: native code that opens files (Landlock, Linux 5.13 and newer).

Reading, writing and starting programs are confined. Where the kernel has no Landlock the guard stands alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
import sys
from collections.abc import Sequence

__all__ = ["confine_files"]

# System call numbers are the same on all architectures; rights and structures are those of linux/landlock.h.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8
_TRUNCATE = 1 << 14
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
"""The rights that a file can have; the others are a folder's."""
_RIGHTS = (0, 0x1FFF, 0x3FFF, 0x7FFF)
"""All that a version of Landlock knows about files; later ones know of more than opening, making and removing."""
_VERSION_FLAG = 1

_NATIVE = (
    "/dev /etc/group /etc/nsswitch.conf /etc/nvidia /etc/passwd /lib /lib32 /lib64 /nix /proc/devices /proc/driver "
    "/proc/modules /proc/self /proc/sys /run/opengl-driver /sys /usr"
)
"""Where the loader, the C library and a GPU's driver read; nothing of a user's is there."""

_libc = ctypes.CDLL(None, use_errno=True)


def confine_files(readable: Sequence[str], writable: Sequence[str], *, is_gpu: bool) -> bool:
    """Refuse, for good, to open other files than those named, to make or remove any, and to start programs.

    Both are files, or folders with all that is below them; the system's own are readable, and with `is_gpu` devices
    are writable. Return whether it is done. What is open stays open. New privileges must have been given up before.
    """
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    known = _RIGHTS[max(0, min(version, len(_RIGHTS) - 1))]
    handled = ctypes.create_string_buffer(struct.pack("Q", known), 8)
    ruleset = _libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    devices = ("/dev", "/proc/self") if is_gpu else ("/dev/null",)
    reading = _READ_FILE | _READ_DIR
    writing = _WRITE_FILE | _MAKE_FILE | _REMOVE_FILE | _TRUNCATE
    try:
        for place in {*readable, *_NATIVE.split(), sys.prefix, sys.base_prefix, *filter(None, libraries)}:
            with contextlib.suppress(OSError):  # it is not on this machine
                _allow(ruleset, place, reading & known)
        for place in (*writable, *devices):
            with contextlib.suppress(OSError):
                _allow(ruleset, place, (reading | writing) & known)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, place: str, rights: int) -> None:
    descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rights = rights if is_folder else rights & _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor), 12)
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
