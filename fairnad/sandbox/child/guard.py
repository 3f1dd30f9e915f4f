"""Refuses what a network has no business with: an audit hook (PEP 578), armed just before generated code runs.

A refusal ends the process on the spot, with its report, so generated code can neither catch nor undo it. All that the
hook needs is bound when it is armed: replacing builtins or modules later changes nothing.

This layer sees what the interpreter announces, and a few native functions that it replaces, and says what was refused
where. It does not see other native code, `os.write` to an open descriptor, or code that finds the hook's own cells
through frames. For those the kernel stands behind it (`landlock`, `seccomp`), entered just before. What is left is
narrowed by `run`: no inherited descriptors, no secrets in the environment, limits on memory, files and time; and by the
zygote, which ends whatever a child leaves behind.
"""

from __future__ import annotations

import _thread
import importlib
import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import NoReturn

from fairnad.records import Failure

__all__ = ["UNREPORTED", "Access", "Reporter", "arm", "make_reporter", "readable_places"]

UNREPORTED = 97
"""Exit status of a child whose report could not be written."""

Refuse = Callable[[str], NoReturn]
Rule = Callable[[str, tuple[object, ...]], None]


@dataclass(frozen=True, slots=True)
class Access:
    """Absolute paths without symbolic links: files, or folders with all that is below them."""

    readable: tuple[str, ...]
    writable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a child ends: `end` writes its report and leaves at once; `is_ending` tells if this thread is doing that."""

    end: Callable[[bytes], NoReturn]
    is_ending: Callable[[], bool]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REFUSED = _words(
    "code.__new__ cpython.PyInterpreterState_New gc.get_objects gc.get_referents gc.get_referrers os.chdir os.chflags "
    "os.chmod os.chown os.exec os.fork os.forkpty os.getxattr os.kill os.killpg os.link os.lockf os.mkdir "
    "os.posix_spawn os.putenv os.removexattr os.rmdir os.setxattr os.spawn os.symlink os.system os.truncate "
    "os.unsetenv os.utime pty.spawn resource.prlimit resource.setrlimit signal.pthread_kill sqlite3.connect "
    "sys._current_exceptions sys._current_frames sys.addaudithook sys.monitoring.register_callback sys.setprofile "
    "sys.settrace urllib.Request webbrowser.open"
)
_REFUSED_FAMILIES = _words("ctypes ftplib http imaplib poplib shutil smtplib socket subprocess syslog")

# What the interpreter does not announce: native writers, and system calls that reach other processes.
_UNANNOUNCED = _words(
    "os:chroot os:memfd_create os:mkfifo os:mknod os:pidfd_open os:setpriority os:setns os:unshare "
    "posix:chroot posix:memfd_create posix:mkfifo posix:mknod posix:pidfd_open posix:setpriority posix:setns "
    "posix:unshare signal:pidfd_send_signal _signal:pidfd_send_signal _posixsubprocess:fork_exec "
    "torch:from_file torch:UntypedStorage.from_file torch._C:PyTorchFileReader torch._C:PyTorchFileWriter "
    "torch._C:import_ir_module torch._C:_load_for_lite_interpreter torch._C:_save_jit_module "
    "torch._C:_save_mobile_module torch._C:_save_parameters torch._C:_gds_save_storage torch._C:ScriptModule.save "
    "torch._C:ScriptModule._save_for_mobile"
)
# Loaded anew, they would bring back what was replaced; the data bases open files natively.
_REFUSED_IMPORTS = _words("_ctypes _dbm _gdbm _posixshmem _posixsubprocess _signal _socket _sqlite3 posix")

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = ("/dev/null", "/dev/urandom")
_SYSTEM_FILES = (
    "/etc/ld.so.cache /etc/ld.so.conf /etc/ld.so.conf.d /etc/localtime /etc/timezone /lib /lib64 /proc/cpuinfo "
    "/proc/meminfo /proc/self/maps /proc/self/stat /proc/self/statm /proc/self/status /proc/stat /sys/devices "
    "/sys/fs/cgroup /usr/lib /usr/lib64 /usr/share/zoneinfo"
)


def readable_places() -> tuple[str, ...]:
    """Return where any Python program reads from: its own libraries, and what the system tells about itself."""
    paths = sysconfig.get_paths()
    libraries = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    packages = [file for name in ("fairnad", "numpy", "torch") if (file := sys.modules[name].__file__)]
    places = [*libraries, *(str(Path(file).parent) for file in packages), *_SYSTEM_FILES.split(), *_DEVICES]
    return tuple(os.path.realpath(place) for place in places)


def make_reporter(path: str) -> Reporter:
    """Return how to end this process with the report at `path`."""
    create, write, close, replace, leave, thread = os.open, os.write, os.close, os.replace, os._exit, _thread.get_ident
    flags, trouble, temporary = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, OSError, f"{path}.tmp"
    ending = [0]

    def end(report: bytes) -> NoReturn:
        ending[0] = thread()
        try:
            descriptor = create(temporary, flags, 0o600)
            while report:
                report = report[write(descriptor, report) :]
            close(descriptor)
            replace(temporary, path)
        except trouble:
            leave(UNREPORTED)
        leave(0)

    return Reporter(end=end, is_ending=lambda: ending[0] == thread())


def arm(access: Access, reporter: Reporter) -> None:
    """Refuse from now on, for good and in every thread of this process, what `access` does not allow."""
    refuse = _make_refuse(reporter)
    rules = _make_rules(access, refuse)
    is_ending, find, ignore = reporter.is_ending, rules.get, _ignore

    def hook(event: str, args: tuple[object, ...]) -> None:
        rule = find(event)
        if rule is None:  # met for the first time: judged by its family
            rule = rules[event] = find(event.partition(".")[0] + ".*", ignore)
        if rule is not ignore and not is_ending():
            rule(event, args)

    for door in _UNANNOUNCED:
        _close(door, refuse)
    sys.addaudithook(hook)


def _make_refuse(reporter: Reporter) -> Refuse:
    end, frame_of, quote = reporter.end, sys._getframe, encode_basestring_ascii
    here, outermost = __file__, str(Path(__file__).with_name("run.py"))
    template = f'{{"failure": "{Failure.FORBIDDEN_OPERATION.value}", "reason": %s, "details": %s}}'

    def refuse(operation: str) -> NoReturn:
        lines: list[str] = []
        place, frame = "", frame_of()
        while frame is not None:
            code, number = frame.f_code, frame.f_lineno
            if code.co_filename == outermost:
                break  # what is further out concerns nobody
            if code.co_filename != here:
                lines = [f'  File "{code.co_filename}", line {number}, in {code.co_name}', *lines]
            if not place and code.co_filename.startswith("architecture_"):  # the generated module
                place = f" (line {number})"
            frame = frame.f_back  # type: ignore[assignment]
        reason = f"{operation} is not allowed{place}: a network only computes logits from images; remove it"
        end((template % (quote(reason), quote("\n".join(lines)))).encode())

    return refuse


def _make_rules(access: Access, refuse: Refuse) -> dict[str, Rule]:
    """Return what to do at each event, and as "family.*" at those that are not listed."""
    refused_imports = _REFUSED_IMPORTS

    def refuse_event(event: str, args: tuple[object, ...]) -> None:
        refuse(event)

    def import_(event: str, args: tuple[object, ...]) -> None:
        if args[0] in refused_imports:
            refuse(f"import of {args[0]}")

    list_, change = _list_rule(access, refuse), _change_rule(access, refuse)
    rules: dict[str, Rule] = dict.fromkeys([*_REFUSED, *(f"{family}.*" for family in _REFUSED_FAMILIES)], refuse_event)
    rules |= {"open": _open_rule(access, refuse), "import": import_}
    return rules | {"os.listdir": list_, "os.scandir": list_, "os.remove": change, "os.rename": change}


def _open_rule(access: Access, refuse: Refuse) -> Rule:
    resolve, write_flags = _make_resolve(), _WRITE_FLAGS
    may_read, may_write = _make_test((*access.readable, *access.writable)), _make_test(access.writable)

    def open_(event: str, args: tuple[object, ...]) -> None:
        name, mode, flags = args
        path = resolve(name)
        if path is None or path == "/dev/null":
            return
        writes = flags & write_flags  # type: ignore[operator]
        # Without a mode it is os.open, whose path may be relative to a folder that the event does not tell.
        if mode is None or not (may_write(path) if writes else may_read(path)):
            refuse(f"{'writing to' if writes else 'reading'} {path}")

    return open_


def _list_rule(access: Access, refuse: Refuse) -> Rule:
    resolve, may_list = _make_resolve(), _make_test((*access.readable, *sys.path))

    def list_(event: str, args: tuple[object, ...]) -> None:
        path = resolve(args[0])
        if path is not None and not may_list(path):
            refuse(f"listing {path}")

    return list_


def _change_rule(access: Access, refuse: Refuse) -> Rule:
    resolve, may_write = _make_resolve(), _make_test(access.writable)

    def change(event: str, args: tuple[object, ...]) -> None:
        for argument in args:  # one or two paths, then the folders that they are relative to: -1 for none
            path = resolve(argument)
            if argument != -1 if path is None else not may_write(path):
                refuse(f"{event} of {path}")

    return change


def _make_test(places: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a test whether a path is one of `places` or below one of them."""
    exact, folders = frozenset(places), tuple(f"{place}/" for place in places)
    return lambda path: path in exact or path.startswith(folders)


def _make_resolve() -> Callable[[object], str | None]:
    """Return what turns a path into an absolute one without symbolic links; a descriptor or nothing gives None.

    It is not os.path.realpath because that looks its parts up in modules, where generated code could replace them.
    Types are compared by `type`, and subclasses made exact, since an object's class may lie about itself.
    """
    kind, is_kind, number, raw, text = type, issubclass, int, bytes, str
    here, follow = os.getcwd, _make_follow()

    def resolve(name: object) -> str | None:
        if name is None or is_kind(kind(name), number):
            return None
        if is_kind(kind(name), text):
            name = text.encode(name, "utf-8", "surrogateescape")  # type: ignore[arg-type]
        elif not is_kind(kind(name), raw):
            return "an object that is no path"
        path = raw.decode(name, "utf-8", "surrogateescape")  # type: ignore[arg-type]
        return follow(path if path.startswith("/") else f"{here()}/{path}")

    return resolve


def _make_follow() -> Callable[[str], str]:
    read_link, trouble = os.readlink, OSError

    def follow(path: str) -> str:
        done, todo, links = "", path.split("/")[::-1], 0
        while todo and links < 40:
            part = todo.pop()
            if part == "..":
                done = done.rpartition("/")[0]
            elif part not in ("", "."):
                try:
                    target = read_link(f"{done}/{part}")
                except trouble:  # not a link
                    done = f"{done}/{part}"
                    continue
                links += 1
                todo += target.split("/")[::-1]
                done = "" if target.startswith("/") else done
        return "a path of too many links" if todo else done or "/"

    return follow


def _close(door: str, refuse: Refuse) -> None:
    """Replace a native function, "module:name.name", by a refusal, if this version has it."""
    module, _, names = door.partition(":")
    *owners, name = names.split(".")
    owner: object = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part, None)
    if hasattr(owner, name):
        setattr(owner, name, lambda *args, **kwargs: refuse(door.replace(":", ".")))


def _ignore(event: str, args: tuple[object, ...]) -> None:
    """Do nothing: the event is harmless."""
