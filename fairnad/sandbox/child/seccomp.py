"""Lets the kernel refuse the system calls that no network needs, whoever makes them (seccomp, Linux 3.17 and newer).

A connection, another process, a signal to one, a look into one, another owner or mode for a file: the guard refuses
them in Python, this also in native code. On a machine of another kind than those listed the guard stands alone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Mapping

__all__ = ["confine_calls"]

_PR_SET_SECCOMP, _FILTER_MODE = 22, 2
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in struct seccomp_data
_KILL, _FAIL, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000  # of linux/seccomp.h
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD = 0x10000
_AF_UNIX, _AF_NETLINK = 1, 16
_OTHER_ABI = 0x40000000  # numbers from here on are the same calls by other names (x32)

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""By their names in linux/audit.h; the numbers of their system calls stand below in this order."""

_REFUSED = """
execve 59 221, execveat 322 281, ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271,
tkill 200 130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, pidfd_send_signal 424 424,
pidfd_open 434 434, pidfd_getfd 438 438, io_uring_setup 425 425, fchmodat2 452 452, bpf 321 280,
perf_event_open 298 241, userfaultfd 323 282, unshare 272 97, setns 308 268, mount 165 40, umount2 166 39,
pivot_root 155 41, chroot 161 51, keyctl 250 219, add_key 248 217, request_key 249 218, setpriority 141 140,
fchmod 91 52, fchmodat 268 53, fchown 93 55, fchownat 260 54, setxattr 188 5, lsetxattr 189 6,
fsetxattr 190 7, utimensat 280 88, chmod 90 -, chown 92 -, lchown 94 -, utime 132 -, utimes 235 -,
futimesat 261 -, fork 57 -, vfork 58 -
"""
_CLONE, _SOCKET, _PRLIMIT, _CLONE3 = (56, 220), (41, 198), (302, 261), (435, 435)
_SIGNALS = (62, 129), (234, 131)  # kill, tgkill
_FORKS = ("fork", "vfork")


def confine_calls(*, is_gpu: bool) -> bool:
    """Refuse those system calls for good, in this thread and those that it starts; return whether it is done.

    They end the process by SIGSYS. With `is_gpu` they only fail, and a driver may talk to its daemon and try to start
    its helper, which fails like one that is not there. New privileges must have been given up before.
    """
    if platform.machine() not in _MACHINES:
        return False
    code = b"".join(_program(platform.machine(), os.getpid(), is_gpu=is_gpu))
    instructions = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("HP", len(code) // 8, ctypes.addressof(instructions)))
    return bool(ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, _FILTER_MODE, program, 0, 0) == 0)


def _program(machine: str, own: int, *, is_gpu: bool) -> Iterator[bytes]:
    """Yield the instructions of the filter, for the process `own`."""
    place = list(_MACHINES).index(machine)
    refusal = _FAIL | _EPERM if is_gpu else _KILL
    yield _step(_LOAD, _ARCHITECTURE)
    yield from (_step(_IF_EQUAL, _MACHINES[machine], if_so=1), _step(_RETURN, _KILL))
    yield _step(_LOAD, _NUMBER)
    yield from (_step(_IF_AT_LEAST, _OTHER_ABI, if_not=1), _step(_RETURN, _KILL))
    yield from _at(_CLONE3[place], [_step(_RETURN, _FAIL | _ENOSYS)])  # the C library then asks for `clone`
    if not is_gpu:
        yield from _at(_CLONE[place], _unless(_IF_SET, {_CLONE_THREAD: _ALLOW}, refusal))
    for name, *numbers in map(str.split, _REFUSED.split(",")):
        if numbers[place] != "-" and not (is_gpu and name in _FORKS):
            yield from _at(int(numbers[place]), [_step(_RETURN, refusal)])
    for signal in _SIGNALS:
        yield from _at(signal[place], _unless(_IF_EQUAL, {own: _ALLOW}, refusal))
    yield from _at(_PRLIMIT[place], _unless(_IF_EQUAL, {0: _ALLOW, own: _ALLOW}, refusal))
    # What asks a daemon for names, such as that of the user, goes on without.
    families = {_AF_UNIX: _ALLOW, _AF_NETLINK: _ALLOW} if is_gpu else {_AF_UNIX: _FAIL | _EPERM}
    yield from _at(_SOCKET[place], _unless(_IF_EQUAL, families, refusal))
    yield _step(_RETURN, _ALLOW)


def _at(number: int, steps: list[bytes]) -> Iterator[bytes]:
    """Yield what does `steps`, the last of which returns, at the system call of that number."""
    yield _step(_IF_EQUAL, number, if_not=len(steps))
    yield from steps


def _unless(test: int, endings: Mapping[int, int], refusal: int) -> list[bytes]:
    """Return what refuses a call unless its first argument passes the test with a value, which has its own ending."""
    steps = [_step(_LOAD, _FIRST_ARGUMENT)]
    for value, ending in endings.items():
        steps += [_step(test, value, if_not=1), _step(_RETURN, ending)]
    return [*steps, _step(_RETURN, refusal)]


def _step(code: int, value: int, *, if_so: int = 0, if_not: int = 0) -> bytes:
    """Return one instruction; `if_so` and `if_not` are the numbers of instructions to leave out."""
    return struct.pack("HBBI", code, if_so, if_not, value)
