"""Generated code, at arm's length: execute a source, build its network, and turn what it raises into a refusal."""

from __future__ import annotations

import hashlib
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from torch import nn

from fairnad.records import Failure
from fairnad.sandbox.child.trace import TooManyOperators

__all__ = ["Refused", "build", "load_network", "phase"]

_PREFIX = "architecture_"
"""Of the names of generated modules and their files."""

_MAX_DETAILS = 2_000
_MAX_ERROR = 300

_OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory", "bad_alloc")

_INSTRUCTIONS = {
    Failure.SYNTAX: "the source cannot be compiled: {error}; write one complete Python module",
    Failure.IMPORT: "importing the source raised {error}; import only torch and the standard library, "
    "and only define classes and functions at the top level",
    Failure.INIT_ERROR: "constructing Network(num_classes=...) raised {error}; mend the constructor, "
    "which must work with num_classes alone",
    Failure.FORWARD_ERROR: "forward raised {error}; make it work on images (B, 3, H, W) of any batch size B, "
    "in train and in eval mode",
    Failure.BACKWARD_ERROR: "the backward pass of the loss raised {error}; use only differentiable operators, "
    "and change nothing in place that a gradient needs",
}
_AUTOCAST = (
    "training runs under bf16 autocast, where layers return bfloat16: bring both to one type, as in y.to(out.dtype)"
)


class Refused(Exception):
    """The network cannot be used; ends the job. `reason` is an instruction, `details` the generated file's trace."""

    def __init__(self, failure: Failure, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason
        self.details = details


@contextmanager
def phase(failure: Failure) -> Iterator[None]:
    """Turn whatever generated code raises inside into `Refused` with `failure`, or MEMORY or TIMEOUT if it is that."""
    try:
        yield
    except Refused:
        raise
    except BaseException as error:  # noqa: BLE001 - generated code raises anything, SystemExit and KeyboardInterrupt too
        raise _refusal(failure, error) from None


def load_network(source: str) -> type[nn.Module]:
    """Return the class `Network` of `source`, executed as a module of its own.

    Raises:
        Refused: SYNTAX, IMPORT or NO_NETWORK_CLASS.
    """
    name = f"{_PREFIX}{hashlib.sha256(source.encode(errors='replace')).hexdigest()[:8]}"
    filename = f"{name}.py"
    module = ModuleType(name)
    module.__file__ = filename
    # dataclasses, typing and inspect look the module up by name; tracebacks look its lines up by file name.
    sys.modules[name] = module
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    with phase(Failure.SYNTAX):
        code = compile(source, filename, "exec", dont_inherit=True)
    with phase(Failure.IMPORT):
        exec(code, vars(module))  # noqa: S102 - the sandbox around this process is for this line
    return _network_class(module)


def build(network_class: type[nn.Module], num_classes: int) -> nn.Module:
    """Return a network of `num_classes` logits, on the default device.

    Raises:
        Refused: INIT_ERROR or MEMORY.
    """
    with phase(Failure.INIT_ERROR):
        network = network_class(num_classes=num_classes)
    if isinstance(network, nn.Module) and "_parameters" not in vars(network):
        raise Refused(Failure.INIT_ERROR, "the constructor of Network does not call super().__init__() first; add it")
    if not isinstance(network, nn.Module):
        raise Refused(Failure.INIT_ERROR, f"Network(...) gave a {type(network).__name__}; do not override __new__")
    return network


def _network_class(module: ModuleType) -> type[nn.Module]:
    found = vars(module).get("Network")
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    names = [name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, nn.Module)]
    listed = f"found the classes {', '.join(names)}" if names else "found no subclass of torch.nn.Module"
    what = "no class is called Network" if found is None else f"Network is a {type(found).__name__}, not a module class"
    raise Refused(
        Failure.NO_NETWORK_CLASS,
        f"{what}; {listed}; call the class of the whole network Network: a torch.nn.Module that takes num_classes",
    )


def _refusal(failure: Failure, error: BaseException) -> Refused:
    told = traceback.TracebackException.from_exception(error)  # never raises, whatever __str__ does
    lines = [_without_places(line) for line in told.format_exception_only()]
    frames = [frame for frame in told.stack if frame.filename.startswith(_PREFIX)]
    details = "".join([*traceback.format_list(frames), *lines])[-_MAX_DETAILS:]
    text, place = " ".join("".join(lines).split()), ""
    if frames:
        place = f" (line {frames[-1].lineno}: {frames[-1].line})"
    elif isinstance(error, SyntaxError):
        text, place = lines[-1].strip(), f" (line {error.lineno}: {(error.text or '').strip()})"
    if isinstance(error, TooManyOperators):
        return Refused(Failure.TIMEOUT, str(error), details)
    if isinstance(error, MemoryError) or any(sign in text.lower() for sign in _OUT_OF_MEMORY):
        return Refused(
            Failure.MEMORY,
            f"the memory limit was reached ({text[:_MAX_ERROR]}); use smaller weights and activations",
            details,
        )
    reason = _INSTRUCTIONS[failure].format(error=text[:_MAX_ERROR] + place)
    return Refused(failure, f"{reason}; {_AUTOCAST}" if "BFloat16" in text else reason, details)


def _without_places(text: str) -> str:
    """Return `text` with files of packages named from the package on: where they lie differs between machines."""
    for place in sorted(sys.path, key=len, reverse=True):
        if len(place) > 1:
            text = text.replace(f"{place}/", "")
    return text
