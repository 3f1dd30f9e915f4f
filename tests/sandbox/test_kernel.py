"""What native code may not do either, wherever the kernel has Landlock and seccomp: no Python of it is announced."""

import platform
import subprocess
import sys

import pytest

from fairnad.records import Failure
from fairnad.sandbox.child import seccomp
from tests.sandbox.test_test_split import HAS_LANDLOCK

HAS_SECCOMP = platform.machine() in ("x86_64", "aarch64")
needs_landlock = pytest.mark.skipif(not HAS_LANDLOCK, reason="this kernel has no Landlock")
needs_seccomp = pytest.mark.skipif(not HAS_SECCOMP, reason="no system calls are known of this machine")

LIBC = "import torch\nlibc = torch.sys.modules['fairnad.sandbox.child.landlock']._libc\n"
NUMBERS = {
    "x86_64": {"open": 257, "write": 1, "socket": 41, "fork": 57, "clone": 56, "kill": 62, "execve": 59, "unlink": 263},
    "aarch64": {"open": 56, "write": 64, "socket": 198, "clone": 220, "kill": 129, "execve": 221, "unlink": 35},
}.get(platform.machine(), {})

WRITERS = {
    "system call": LIBC + f"fd = libc.syscall({NUMBERS.get('open')}, -100, b'{{place}}/new', 0o101, 0o644)\n"
    f"libc.syscall({NUMBERS.get('write')}, fd, b'x', 1)",
    "truncation": LIBC + f"libc.syscall({NUMBERS.get('open')}, -100, b'{{place}}/decoy.txt', 0o1001, 0o644)",
    "removal": LIBC + f"libc.syscall({NUMBERS.get('unlink')}, -100, b'{{place}}/decoy.txt', 0)",
    "saved profile": "import torch\nwith torch.autograd.profiler.profile(use_kineto=True) as found:\n"
    "    torch.ones(3) + 1\ntry:\n    found.kineto_results.save('{place}/new')\nexcept RuntimeError:\n    pass",
    "trace": "import torch\nimport torch.profiler\nfound = torch.profiler.ExecutionTraceObserver()\n"
    "found.register_callback('{place}/new')\nfound.start()\ntorch.ones(2) + 1\nfound.stop()",
}
CALLS = {
    "connection": f"libc.syscall({NUMBERS.get('socket')}, 2, 1, 0)",
    "process": f"libc.syscall({NUMBERS.get('clone')}, 17, 0, 0, 0, 0)",
    "signal": f"libc.syscall({NUMBERS.get('kill')}, torch.os.getppid(), 0)",
    "program": f"libc.syscall({NUMBERS.get('execve')}, b'/bin/true', 0, 0)",
} | ({"older fork": f"libc.syscall({NUMBERS['fork']})"} if "fork" in NUMBERS else {})


@needs_landlock
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_native_code_changes_no_file_of_others(writer, network, verify, tmp_path):
    place = tmp_path / "others"
    place.mkdir()
    (place / "decoy.txt").write_text("decoy")
    verify(network(writer.replace("{place}", str(place))), folder=tmp_path / "job")
    assert [path.name for path in place.iterdir()] == ["decoy.txt"]
    assert (place / "decoy.txt").read_text() == "decoy"


@needs_seccomp
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_native_code_reaches_nobody(call, network, verify):
    report = verify(network(LIBC + call))
    assert report.failure is Failure.FORBIDDEN_OPERATION
    assert "system call" in report.reason


AFTERWARDS = """
import ctypes, os, pwd, socket, threading
from fairnad.sandbox.child.seccomp import confine_calls
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
assert confine_calls(is_gpu={is_gpu})
threads = [threading.Thread(target=os.getpid) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
pwd.getpwuid(os.getuid())
os.kill(os.getpid(), 0)
for family in socket.AF_UNIX, socket.AF_INET if {is_gpu} else socket.AF_UNIX:
    try:
        socket.socket(family)
        print(family.name)
    except PermissionError:
        pass
"""


@needs_seccomp
@pytest.mark.parametrize(("is_gpu", "families"), [(False, ""), (True, "AF_UNIX\n")], ids=["cpu", "gpu"])
def test_threads_and_names_of_users_go_on(is_gpu, families):
    script = AFTERWARDS.format(is_gpu=is_gpu)
    assert subprocess.check_output([sys.executable, "-c", script], text=True, timeout=60) == families


def test_every_machine_has_a_number_of_each_call_or_no_such_call():
    calls = [entry.split() for entry in seccomp._REFUSED.split(",")]
    assert all(len(entry) == 1 + len(seccomp._MACHINES) for entry in calls)
    for place in (1, 2):
        numbers = [entry[place] for entry in calls if entry[place] != "-"]
        assert len(set(numbers)) == len(numbers) > 30
