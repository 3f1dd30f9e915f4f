"""The check of a source's text, before anything runs: syntax, imports, and operations that no network needs.

It saves a child process and gives the author of the source a line number. It is not the defence: what it misses, and
whether there is a class `Network` at all, is decided in the child process, where time and memory are limited too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from fairnad.architectures.parsing import parse_quietly
from fairnad.records import Failure

__all__ = ["MAX_SOURCE_BYTES", "check"]

MAX_SOURCE_BYTES = 1_000_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of the standard library. Other packages are left to the child, which knows whether they are installed.
_ALLOWED_IMPORTS = _words(
    "__future__ abc bisect cmath collections concurrent contextlib copy dataclasses decimal enum fractions functools "
    "heapq itertools logging math numbers operator queue random re statistics string textwrap threading time types "
    "typing warnings"
)
# Below a package that may be imported: what reaches files, processes, the network, or the counting of costs.
_FORBIDDEN_NAMES = _words(
    "fairnad concurrent.futures.process concurrent.futures.ProcessPoolExecutor "
    "torch._C torch.classes.load_library torch.compile torch.distributed torch.from_file torch.hub "
    "torch.jit.load torch.jit.save torch.load torch.multiprocessing torch.onnx torch.ops.load_library torch.package "
    "torch.save torch.serialization torch.utils._python_dispatch torch.utils.bundled_inputs torch.utils.cpp_extension "
    "torch.utils.data torch.utils.flop_counter torch.utils.model_zoo torch.utils.tensorboard "
    "torch.autograd.profiler.profile torch.profiler.ExecutionTraceObserver torch.profiler.profile "
    "torch.builtins torch.ctypes torch.glob torch.importlib torch.inspect torch.os torch.platform torch.sys "
    "torch.threading torch.nn.functional.importlib numpy.ctypeslib "
    "numpy.fromfile numpy.load numpy.loadtxt numpy.memmap numpy.save numpy.savetxt numpy.savez "
    "numpy.savez_compressed types.CodeType"
)
_FORBIDDEN_BUILTINS = _words(
    "__builtins__ __import__ __loader__ __spec__ breakpoint compile eval exec exit globals input open quit"
)
_FORBIDDEN_ATTRIBUTES = _words(
    "__base__ __bases__ __builtins__ __closure__ __code__ __globals__ __import__ __loader__ __mro__ __self__ __spec__ "
    "__subclasses__ ag_frame cr_frame f_back f_builtins f_globals f_locals gi_frame tb_frame"
)
_MOST_DOTS = max(name.count(".") for name in _FORBIDDEN_NAMES)
_CHANGING_CALLS = frozenset({"setattr", "delattr", "vars"})


def check(source: str) -> tuple[Failure, str] | None:
    """Return why `source` is refused, with a reason that tells its author what to change; None if it may be run."""
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAX_SOURCE_BYTES:
        return Failure.TOO_LARGE, f"the source has {size:,} bytes; write a network of at most {MAX_SOURCE_BYTES:,}"
    try:
        problem = min(_Names(parse_quietly(source, is_compiled=True)).problems(), default=None)
    except SyntaxError as error:
        return Failure.SYNTAX, f"line {error.lineno or 1}: {error.msg}; write valid Python"
    except (ValueError, RecursionError, MemoryError) as error:
        return Failure.SYNTAX, f"the source cannot be parsed ({str(error) or type(error).__name__}); write simpler code"
    if problem is None:
        return None
    line, reason = problem
    return Failure.FORBIDDEN_OPERATION, f"line {line}: {reason}"


class _Names:
    """The names of one module: which of them stand for imported things, and what is done to those."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = [node for part in tree.body if not _is_for_scripts(part) for node in ast.walk(part)]
        self._imported: dict[str, str] = {}
        for node in self._nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._imported |= dict(_bindings(node))
        self._add_aliases()
        self._bound = self._imported.keys() | {name for node in self._nodes for name in _bound_names(node)}

    def problems(self) -> Iterator[tuple[int, str]]:
        """Yield (line, reason) of each thing that is not allowed, in no particular order."""
        for node in self._nodes:
            for reason in self._problems_of(node):
                yield node.lineno, reason  # type: ignore[attr-defined]  # each kind that has a problem has a line

    def _problems_of(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import_problems(node)
        elif isinstance(node, ast.Name):
            if node.id in _FORBIDDEN_BUILTINS - self._bound:
                yield f"`{node.id}` is not allowed in a network; remove it"
        elif isinstance(node, ast.Attribute | ast.Subscript):
            yield from self._access_problems(node)
        elif isinstance(node, ast.Call):
            yield from self._call_problems(node)

    def _access_problems(self, node: ast.Attribute | ast.Subscript) -> Iterator[str]:
        if isinstance(node, ast.Attribute) and node.attr in _FORBIDDEN_ATTRIBUTES:
            yield f"the attribute `{node.attr}` is not allowed in a network; remove it"
        name = self._dotted(node)
        if name is not None and _forbidden_prefix(name):
            yield f"`{name}` is not allowed in a network; remove it"
        if isinstance(node.ctx, ast.Store | ast.Del) and self._is_foreign(node.value):
            yield f"`{ast.unparse(node)}` changes something outside this module; remove it, or define your own"

    def _call_problems(self, node: ast.Call) -> Iterator[str]:
        called = node.func.id if isinstance(node.func, ast.Name) else None
        if (attribute := _attribute_of_getattr(node)) is not None:
            name = self._dotted(node)
            if attribute in _FORBIDDEN_ATTRIBUTES or (name is not None and _forbidden_prefix(name)):
                yield f"getattr of `{attribute}` is not allowed in a network; remove it"
        if called in _CHANGING_CALLS and node.args and self._is_foreign(node.args[0]):
            yield f"`{called}` on `{ast.unparse(node.args[0])}` changes something outside this module; remove it"

    def _is_foreign(self, node: ast.AST) -> bool:
        """Return whether `node` is an imported thing, a part of one, or the class of some object but `self`."""
        if isinstance(node, ast.Subscript):
            return self._is_foreign(node.value)
        if isinstance(node, ast.Attribute) and node.attr in ("__class__", "__dict__"):
            return not (isinstance(node.value, ast.Name) and node.value.id == "self")
        return self._dotted(node) is not None

    def _dotted(self, node: ast.AST) -> str | None:
        """Return the full name of what `node` stands for, if it starts at an import."""
        if isinstance(node, ast.Name):
            return self._imported.get(node.id)
        if isinstance(node, ast.Attribute):
            owner, attribute = self._dotted(node.value), node.attr
            if owner is not None and owner.count(".") >= _MOST_DOTS:  # nothing that is forbidden is so deep
                return owner
        elif isinstance(node, ast.Call) and (constant := _attribute_of_getattr(node)) is not None:
            owner, attribute = self._dotted(node.args[0]), constant
        else:
            return None
        return owner and f"{owner}.{attribute}"

    def _add_aliases(self) -> None:
        """Follow assignments such as `Tensor = torch.Tensor` in the order of the text."""
        for node in self._nodes:
            if isinstance(node, ast.Assign) and (name := self._dotted(node.value)) is not None:
                self._imported |= {target.id: name for target in node.targets if isinstance(target, ast.Name)}


def _bindings(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Yield each name that an import binds, with the full name of what it stands for."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"
        elif alias.asname:
            yield alias.asname, alias.name
        else:
            top = alias.name.partition(".")[0]
            yield top, top


def _attribute_of_getattr(node: ast.Call) -> str | None:
    """Return the name that `getattr` is called with, if it is spelled out."""
    if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1:
        name = node.args[1]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return name.value
    return None


def _bound_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name


def _import_problems(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.level:
        yield "a relative import is not possible: the source is one module on its own"
        return
    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    for name in (prefix + alias.name for alias in node.names):
        top = name.partition(".")[0]
        is_refused = top in sys.stdlib_module_names and top not in _ALLOWED_IMPORTS
        if is_refused or _forbidden_prefix(name):
            what = top if is_refused else name
            yield f"import of {what} is not allowed; a network may import torch, math, typing and the like"


def _forbidden_prefix(name: str) -> bool:
    parts = name.split(".")[: _MOST_DOTS + 1]
    return any(".".join(parts[:end]) in _FORBIDDEN_NAMES for end in range(1, len(parts) + 1))


def _is_for_scripts(node: ast.stmt) -> bool:
    """Return whether `node` runs only where its file is a script, which it never is here."""
    return isinstance(node, ast.If) and not node.orelse and ast.unparse(node.test) == "__name__ == '__main__'"
