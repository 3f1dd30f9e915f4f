"""What generated code may not do, and that nothing it does keeps the process from ending with a report."""

import pytest

from fairnad.records import Failure

REFUSED = {
    "open for writing": "open('new.txt', 'w')",
    "open elsewhere for writing": "open('{place}/new.txt', 'w')",
    "open for appending": "open('{place}/decoy.txt', 'a')",
    "open for updating": "open('{place}/decoy.txt', 'r+b')",
    "write with pathlib": "__import__('pathlib').Path('{place}/new.txt').write_text('x')",
    "write the report": "open('report.json', 'w')",
    "write to the package": "import torch\nopen(torch.__file__, 'a')",
    "read a secret": "open('{place}/decoy.txt').read()",
    "read through a folder": "open('/usr/lib/../../{place}/decoy.txt').read()",
    "read bytes": "open(b'{place}/decoy.txt').read()",
    "read another environment": "import os\nopen(f'/proc/{{os.getppid()}}/environ').read()",
    "read through the root link": "open('/proc/self/root{place}/decoy.txt')",
    "open by descriptor": "import os\nos.open('{place}/decoy.txt', os.O_RDONLY)",
    "open relative to a folder": "import os\nos.open('decoy.txt', 0, dir_fd=os.open('/usr/lib', os.O_RDONLY))",
    "list": "import os\nos.listdir('{place}')",
    "remove": "import os\nos.remove('{place}/decoy.txt')",
    "remove own": "import os\nos.remove('job.json')",
    "rename": "import os\nos.rename('{place}/decoy.txt', '{place}/gone.txt')",
    "replace own": "import os\nos.replace('job.json', 'report.json')",
    "rmtree": "import shutil\nshutil.rmtree('{place}')",
    "copy": "import shutil\nshutil.copy('{place}/decoy.txt', 'copy.txt')",
    "mkdir": "import os\nos.mkdir('{place}/new')",
    "mkfifo": "import os\nos.mkfifo('{place}/new')",
    "symlink": "import os\nos.symlink('{place}', 'link')",
    "truncate": "import os\nos.truncate('{place}/decoy.txt', 0)",
    "chmod": "import os\nos.chmod('{place}/decoy.txt', 0)",
    "chdir": "import os\nos.chdir('/')",
    "torch.save": "import torch\ntorch.save(torch.zeros(1), '{place}/new.pt')",
    "from_file": "import torch\ntorch.from_file('{place}/new.bin', shared=True, size=4)",
    "storage from_file": "import torch\ntorch.UntypedStorage.from_file('{place}/new.bin', True, 4)",
    "script save": "import torch\ntorch.jit.script(torch.nn.ReLU()).save('{place}/new.pt')",
    "numpy save": "import numpy\nnumpy.save('{place}/new.npy', numpy.zeros(1))",
    "sqlite": "import sqlite3\nsqlite3.connect('{place}/new.db')",
    "tempfile": "import tempfile\ntempfile.mkdtemp()",
    "fork": "import os\nos.fork()",
    "system": "import os\nos.system('true')",
    "subprocess": "import subprocess\nsubprocess.run(['true'])",
    "fork_exec": "import _posixsubprocess\n_posixsubprocess.fork_exec()",
    "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "exec": "import os\nos.execv('/bin/true', ['true'])",
    "kill": "import os\nos.kill(os.getppid(), 18)",
    "kill by descriptor": "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(os.getppid()), 18)",
    "socket": "import socket\nsocket.socket()",
    "name look-up": "import socket\nsocket.getaddrinfo('localhost', 9)",
    "url": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')",
    "ctypes": "import ctypes\nctypes.CDLL(None)",
    "live objects": "import gc\ngc.get_objects()",
    "referrers": "import gc\ngc.get_referrers(gc)",
    "tracing": "import sys\nsys.settrace(print)",
    "another hook": "import sys\nsys.addaudithook(print)",
    "environment": "import os\nos.environ['A'] = 'b'",
    "limits": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))",
    "fresh posix": "import sys\ndel sys.modules['posix']\nimport posix",
    "new code": "(lambda: 0).__code__.replace(co_name='x')",
    # An object that lies about what it is, and one that is a string but not the one it says.
    "lying path": (
        "import io\nclass Path:\n    __class__ = int\n    def __fspath__(self): return '{place}/new'\n"
        "io.FileIO(Path(), 'w')"
    ),
    "lying string": (
        "class Text(str):\n    def startswith(self, *a): return True\n    def encode(self, *a): return b'/dev/null'\n"
        "    def __str__(self): return '/dev/null'\nopen(Text('{place}/new'), 'w')"
    ),
}

ALLOWED = {
    "null device": "open('/dev/null', 'w').write('x')",
    "own job": "assert 'source' in open('job.json').read()",
    "package data": "import torch\nopen(torch.__file__).read()",
    "random bytes": "import os, secrets\nassert len(os.urandom(4) + secrets.token_bytes(4)) == 8",
    "late imports": "import decimal, difflib, wave, torch.distributions, torch.fx, torch.nn.utils.parametrize",
    "threads": "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
    "collections": "import collections, dataclasses, enum\nN = collections.namedtuple('N', 'a b')\n"
    "@dataclasses.dataclass(frozen=True)\nclass C:\n    n: int = 1\nE = enum.Enum('E', 'A B')",
    "warnings": "import logging, warnings\nwarnings.warn('careful')\nlogging.getLogger('x').warning('careful')",
    "random numbers": "import random, numpy\nrandom.random(), numpy.random.rand(), numpy.hanning(4)",
    "scripting": "import torch\n@torch.jit.script\ndef swish(x):\n    return x * torch.sigmoid(x)",
}

LAYERS = {
    "lazy": ("self.layer = nn.LazyConv2d(8, 1)", "h = self.layer(h)"),
    "weight norm": ("self.layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1))", "h = self.layer(h)"),
    "spectral norm": ("self.layer = nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 8, 1))", "h = self.layer(h)"),
    "channels last": ("self.to(memory_format=torch.channels_last)", "h = h.contiguous()"),
    "autocast": ("pass", "with torch.autocast('cpu', torch.bfloat16):\n    h = (h @ h.mT).float()[..., :4]"),
    "checkpoint": (
        "self.layer = nn.Conv2d(8, 8, 1)",
        "from torch.utils.checkpoint import checkpoint\nh = checkpoint(self.layer, h, use_reentrant=False)",
    ),
    "fourier": ("pass", "h = torch.fft.irfft2(torch.fft.rfft2(h), s=h.shape[-2:])"),
    "einsum": ("pass", "h = torch.einsum('bchw,bdhw->bcd', h, h)[:, :, None] * 1e-3"),
    "attention": (
        "self.layer = nn.MultiheadAttention(8, 2, batch_first=True)",
        "q = h.flatten(2).mT\nh = self.layer(q, q, q)[0].mT[..., None]",
    ),
    "functional attention": (
        "pass",
        "q = h.flatten(2).mT\nh = nn.functional.scaled_dot_product_attention(q, q, q).mT[..., None]",
    ),
    "transformer": (
        "self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)",
        "h = self.layer(h.flatten(2).mT).mT[..., None]",
    ),
    "recurrence": (
        "self.layer = nn.LSTM(8, 8, batch_first=True)",
        "h = self.layer(h.flatten(2).mT)[0].mT[..., None]",
    ),
    "vmap": ("pass", "h = torch.func.vmap(lambda image: image * 2)(h)"),
    "copies": ("import copy\nself.layer = copy.deepcopy(self.stem)", "h = h + self.layer(x)"),
    "printing": ("print(self)", "print(h.shape, h.flatten()[:3])"),
}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "decoy.txt").write_text("keep")
    return tmp_path


def _is_untouched(place):
    return {path.name: path.read_text() for path in place.iterdir()} == {"decoy.txt": "keep"}


@pytest.mark.parametrize("operation", REFUSED)
def test_refuses(verify, network, place, operation):
    report = verify(network(REFUSED[operation].format(place=place)))
    assert report.failure is Failure.FORBIDDEN_OPERATION, report.reason
    assert "is not allowed" in report.reason
    assert "remove it" in report.reason
    assert _is_untouched(place)


@pytest.mark.parametrize("operation", ALLOWED)
def test_allows(verify, network, operation):
    report = verify(network(ALLOWED[operation]))
    assert report.failure is None, f"{report.reason}\n{report.details}"


@pytest.mark.parametrize("layer", LAYERS)
def test_does_not_disturb_torch(verify, network, layer):
    init, forward = LAYERS[layer]
    report = verify(network(init=init, forward=forward))
    assert report.failure is None, f"{report.reason}\n{report.details}"


def test_names_the_line(verify, network):
    report = verify(network("\n\nimport os\ndef clean():\n    os.remove('a')\nclean()"))
    assert "(line 6)" in report.reason
    assert 'py", line 6, in clean' in report.details
    assert 'py", line 7, in <module>' in report.details


def test_a_refusal_cannot_be_caught(verify, network):
    stubborn = "while True:\n    try:\n        open('new.txt', 'w')\n    except BaseException:\n        pass"
    assert verify(network(stubborn)).failure is Failure.FORBIDDEN_OPERATION


@pytest.mark.parametrize("where", ["", "init", "forward"])
def test_replacing_what_others_use_changes_nothing(verify, network, place, where):
    vandal = f"""
import builtins, io, json, os, posixpath, sys, types
for name in ("len", "isinstance", "issubclass", "type", "str", "bytes", "int", "any", "all", "OSError"):
    setattr(builtins, name, None)
os._exit = os.open = os.write = os.replace = os.getcwd = os.readlink = posixpath.realpath = lambda *a, **k: "/dev/null"
json.dumps = json.encoder.encode_basestring_ascii = lambda *a, **k: "{{}}"
sys.modules["json"] = sys.modules["os"] = types.ModuleType("gone")
open("{place}/new.txt", "w")
"""
    code = {where: vandal} if where else {}
    report = verify(network("" if where else vandal, **code))
    assert report.failure is Failure.FORBIDDEN_OPERATION
    assert _is_untouched(place)
