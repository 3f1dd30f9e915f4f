import sys
import threading

import pytest

from fairnad.records import Failure
from fairnad.verification.static import MAX_SOURCE_BYTES, check

NETWORK = """
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
{prelude}


class Network(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(3, num_classes)
        {init}

    def forward(self, x):
        {forward}
        return self.head(x.mean((2, 3)))
"""

REFUSED = [
    "import os",
    "import os.path as p",
    "from os import path",
    "import sys",
    "import subprocess, math",
    "import atexit",
    "import importlib",
    "import builtins",
    "import gc",
    "import pickle",
    "import fairnad.records",
    "from . import records",
    "import torch.utils.flop_counter as fc",
    "from torch.utils import flop_counter",
    "from torch.utils.cpp_extension import load_inline",
    "from torch import hub",
    "import torch.multiprocessing",
    "from torch._C import PyTorchFileWriter",
    "torch.save(1, 'a')",
    "torch.hub.load('a', 'b')",
    "torch.sys.modules",
    "torch.os.getppid()",
    "torch.profiler.ExecutionTraceObserver()",
    "torch.ops.load_library('a.so')",
    "getattr(torch, 'save')(1, 'a')",
    "torch.utils.data.DataLoader([])",
    "t = torch\nt.load('a')",
    "open('a')",
    "eval('1')",
    "exec('a = 1')",
    "compile('1', 'a', 'eval')",
    "__import__('os')",
    "input()",
    "breakpoint()",
    "globals()['a'] = 1",
    "run = eval",
    "__builtins__['open']",
    "print.__self__",
    "(lambda: 0).__code__",
    "().__class__.__bases__[0].__subclasses__()",
    "getattr(print, '__globals__')",
    "check = (lambda: 0).__globals__",
    "torch.Tensor.argmax = None",
    "nn.Module.parameters = None",
    "F.cross_entropy = None",
    "F.relu, a = None, 1",
    "for math.pi in (3, 4): pass",
    "del torch.relu",
    "math.pi += 1",
    "torch.__dict__['relu'] = None",
    "setattr(torch.Tensor, 'argmax', None)",
    "delattr(nn, 'Linear')",
    "vars(torch)['relu'] = None",
    "T = torch.Tensor\nT.argmax = None",
    "Tensor = getattr(torch, 'Tensor')\nTensor.argmax = None",
    "from torch import Tensor\nTensor.__eq__ = None",
    "torch.zeros(1).__class__.argmax = None",
]

ALLOWED = [
    "if __name__ == '__main__':\n    import sys\n    torch.save(open(sys.argv[1]), 'x')",
    "import numpy as np",
    "from typing import Optional",
    "from collections import OrderedDict",
    "import time, threading, queue",
    "try:\n    from timm.layers import DropPath\nexcept ImportError:\n    DropPath = nn.Identity",
    "from torch.nn.utils.parametrizations import weight_norm",
    "from torch.utils.checkpoint import checkpoint",
    "@torch.jit.script\ndef act(x):\n    return x * torch.sigmoid(x)",
    "CONFIG = {}\nCONFIG['width'] = 3",
    "class Block(nn.Module):\n    expansion = 4\nBlock.expansion = 2",
    "def eval_mode(open, compile=False, *, input=None):\n    return open(input) if compile else None",
    "text = 'import os; eval(1)'  # exec open subprocess",
    "pattern = '\\d+'",
    "if __name__ == '__main__':\n    print(Network().__class__.__name__, Network.__doc__)",
]
ALLOWED_IN_INIT = [
    "self.system = nn.Identity(); self.eval_head = nn.Identity(); self.open_gate = 1; self.exec_path = 2",
    "self.eval(); self.compile = True; self.input = None",
    "setattr(self, 'layer1', nn.Identity()); getattr(self, f'layer{1}')",
    "self.head.weight.data.zero_(); self.head.weight.data[0] = 1; self.head.bias = None",
    "self.__class__.instances = 1; self.__dict__['n'] = 2",
    "for m in self.modules(): m.training = True; setattr(m, 'momentum', 0.1)",
    "self.act = getattr(F, 'relu'); self.cls = self.__class__.__name__",
]


def source_with(prelude="", *, init="pass", forward="pass"):
    return NETWORK.format(prelude=prelude, init=init, forward=forward)


@pytest.mark.parametrize("prelude", REFUSED)
def test_refuses_with_the_line(prelude):
    failure, reason = check(source_with(prelude))
    assert failure is Failure.FORBIDDEN_OPERATION
    line = 6 + prelude.count("\n")
    assert reason.startswith(f"line {line}: ")


def test_a_long_chain_of_names_is_followed_no_further_than_a_forbidden_one_goes():
    lines = ["import torch", "a0 = torch", *(f"a{number + 1} = a{number}.nn" for number in range(20_000))]
    assert check(source_with("\n".join(lines))) is None
    assert check(source_with(f"torch{800 * '.nn'}")) is None
    assert check(source_with("a = torch\nb = a.utils\nc = b.data\nc.x.y.z.DataLoader")) is not None


@pytest.mark.parametrize("prelude", ALLOWED)
def test_allows_what_networks_contain(prelude):
    assert check(source_with(prelude)) is None


@pytest.mark.parametrize("init", ALLOWED_IN_INIT)
def test_names_alone_refuse_nothing(init):
    assert check(source_with(init=init)) is None


def test_looks_into_functions():
    failure, reason = check(source_with(forward="torch.Tensor.relu = None"))
    assert failure is Failure.FORBIDDEN_OPERATION
    assert reason == (
        "line 16: `torch.Tensor.relu` changes something outside this module; remove it, or define your own"
    )


def test_names_the_first_line_of_several():
    assert check("import math\nimport sys\nimport os\n")[1].startswith("line 2: import of sys is not allowed")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = (1,\n", "line 1: '(' was never closed"),
        ("if 1:\n        a = 1\n\tb = 1\n", "line 3: inconsistent use of tabs"),
        ("a = 1\nreturn a\n", "line 2: 'return' outside function"),
        ("def f(a, a): pass", "line 1: duplicate argument 'a'"),
        ("a = 1\0", "null bytes"),
        ("a = '\ud800'", "cannot be parsed"),
        ("(" * 500, "too many nested parentheses"),
    ],
)
def test_a_broken_text_is_a_syntax_error(source, message):
    failure, reason = check(source)
    assert failure is Failure.SYNTAX
    assert message in reason


@pytest.mark.parametrize(
    "source", ["-" * 100_000 + "1", "+".join(["a"] * 200_000), "f" + "()" * 100_000, "a" + ".b" * 900]
)
def test_deep_nesting_harms_nobody(source):
    """In a thread, whose stack may be small."""
    results = []
    thread = threading.Thread(target=lambda: results.append(check(source)))
    thread.start()
    thread.join()
    assert results
    assert results[0] is None or results[0][0] is Failure.SYNTAX


def test_size_is_counted_in_bytes():
    padding = MAX_SOURCE_BYTES - len("a = 1\n#")
    assert check("a = 1\n#" + "x" * padding) is None
    failure, reason = check("a = 1\n#" + "x" * (padding - 1) + "é")
    assert failure is Failure.TOO_LARGE
    assert "1,000,001 bytes" in reason


def test_nothing_is_executed_and_the_class_is_left_to_the_child():
    assert check("import math\nraise SystemExit\nNetwork = math.pi") is None
    assert "torch" not in check.__globals__
    assert not hasattr(sys.modules["fairnad.verification.static"], "torch")
