"""Searches sizes of layers that fit: candidates that change one argument of one layer, then two, until one runs.

No layer is taken out, and none is written.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairnad.architectures.roles import method, parameter_names
from fairnad.architectures.source import Edit, Source, argument_of, callee_name, splice, try_parse
from fairnad.generators.fit import Measure
from fairnad.generators.llm_edits import add_imports, code_of
from fairnad.generators.mending_text import CHANNEL_NORM, Mended, mend_names
from fairnad.records import Failure, Verdict

__all__ = ["mend_sizes"]

_CHANNELS = {
    "Conv2d": ("in_channels", "out_channels"),
    "Conv1d": ("in_channels", "out_channels"),
    "Linear": ("in_features", "out_features"),
    "BatchNorm2d": ("num_features",),
    "InstanceNorm2d": ("num_features",),
    "LayerNorm": ("normalized_shape",),
}
_DIVISORS = {
    "Conv2d": ("groups", 6, "in_channels", 0),
    "GroupNorm": ("num_groups", 0, "num_channels", 1),
    "MultiheadAttention": ("num_heads", 1, "embed_dim", 0),
}
"""Layers with a number that must divide another: both arguments, with their places."""
_NOT_WIDTHS = re.compile(r"stride|kernel|padding|dilation|groups?$|reduction|ratio|heads|drop|prob|classes|eps|bias")
_WIDTHS = re.compile(r"channels|features|dim$")
_TOLD = re.compile(r"(?<![\w.])\d{1,5}(?![\w.])|(?<=\dx)\d{1,5}")
"""Sizes in a message of PyTorch's; of two matrices "1x512 and 32x10" the last dimensions."""
_SIZE_FAILURES = frozenset({Failure.INIT_ERROR, Failure.FORWARD_ERROR, Failure.SHAPE})
_MAX_CANDIDATES = 160
_BATCH = 8


@dataclass(frozen=True, slots=True)
class _Step:
    """One argument of one layer, changed."""

    edit: Edit
    note: str
    is_blamed: bool
    """Whether the error names its layer."""
    is_harmless: bool
    """Whether a layer that was right stays right: a padding that keeps the resolution, a divisor that divides."""
    is_layout: bool = False
    """Whether a layer of the last dimension becomes one of the channels."""


def mend_sizes(source: Source, parent: Source, verdict: Verdict, measure: Measure) -> Mended | None:
    """Return `source` with sizes of its layers changed so that it runs, if `verdict` may come of sizes, or None."""
    if verdict.failure not in _SIZE_FAILURES:
        return None
    candidates = list(itertools.islice(_candidates(source, parent, verdict), _MAX_CANDIDATES))
    for first in range(0, len(candidates), _BATCH):
        batch = candidates[first : first + _BATCH]
        texts = [_changed(source, candidate) for candidate in batch]
        for candidate, text, costs in zip(batch, texts, measure(texts), strict=True):
            if costs is not None:
                return Mended(text, ", ".join(step.note for step in candidate))
    return None


def _candidates(source: Source, parent: Source, verdict: Verdict) -> Iterator[tuple[_Step, ...]]:
    """Yield what to try: one step, all layouts, then all that are hardly ever wrong, with another one, then pairs."""
    steps = sorted(_steps(source, parent, verdict), key=lambda step: (not step.is_blamed, not step.is_harmless))
    yield from ((step,) for step in steps)
    layouts = [step for step in steps if step.is_layout]
    for several in ([step for step in layouts if step.is_blamed], layouts):
        if len(several) > 1:
            yield tuple(several)
    harmless = [step for step in steps if step.is_harmless]
    if len(harmless) > 1:
        yield tuple(harmless)
    if harmless:
        yield from ((*harmless, step) for step in steps if not any(_overlap(step, other) for other in harmless))
    pairs = [pair for pair in itertools.combinations(steps, 2) if not _overlap(*pair)]
    yield from sorted(pairs, key=lambda pair: -sum(step.is_blamed for step in pair))


def _overlap(first: _Step, second: _Step) -> bool:
    return first.edit.start <= second.edit.end and second.edit.start <= first.edit.end


def _changed(source: Source, steps: Sequence[_Step]) -> str:
    text = splice(source.text, [step.edit for step in steps])
    parsed = try_parse(text)
    if parsed is None:
        return text  # which does not run, as is measured
    if any(step.edit.text.startswith(CHANNEL_NORM) for step in steps):
        mended = mend_names(parsed, parsed, {})
        text = mended.source if mended is not None else text
    return add_imports(text, [], names=["math"]) if "math." in text else text


def _steps(source: Source, parent: Source, verdict: Verdict) -> Iterator[_Step]:
    """Yield the single changes of sizes in the classes that the parent does not have as they are."""
    lines = {int(number) for number in re.findall(r"line (\d+)", f"{verdict.details} {verdict.reason}")}
    told = _attributes_at(source, lines)
    for owner in source.used:
        definition = source.definitions[owner]
        is_known = owner in parent.definitions and code_of(parent, owner) == code_of(source, owner)
        if is_known or not isinstance(definition, ast.ClassDef):
            continue
        widths = _widths(source, definition, verdict.reason)
        for call in [node for node in ast.walk(definition) if isinstance(node, ast.Call)]:
            attribute = _attribute(source, call)
            is_blamed = attribute in told or call.lineno in lines
            label = f"{owner}.{attribute}" if attribute else owner
            if (over_channels := _over_channels(source, call)) is not None:
                yield _Step(
                    Edit(*source.span(call), over_channels), f"{label}: {over_channels}", is_blamed, False, True
                )
            for name, place, text in _alternatives(source, call, widths, definition):
                edit = _argument_edit(source, call, name, place, text)
                yield _Step(edit, f"{label}: {name}={text}", is_blamed, name == "padding" or "gcd(" in text)


def _over_channels(source: Source, call: ast.Call) -> str | None:
    """Return the same layer over the channels of a feature map, for one that works on the last dimension."""
    kind = callee_name(call)
    if kind == "LayerNorm" and (channels := argument_of(call, "normalized_shape", 0)) is not None:
        return f"{CHANNEL_NORM}({source.code(channels)})"
    if kind == "Linear" and len(call.args) >= 2:
        return f"nn.Conv2d({source.code(call.args[0])}, {source.code(call.args[1])}, 1)"
    return None


def _alternatives(
    source: Source, call: ast.Call, widths: Sequence[str], owner: ast.ClassDef
) -> Iterator[tuple[str, int, str]]:
    """Yield (argument, its place, another value) for the arguments of a layer that decide its sizes."""
    kind = callee_name(call)
    for name, place in _channel_arguments(source, kind):
        value = argument_of(call, name, place)
        if value is not None:
            yield from ((name, place, text) for text in widths if text != source.code(value))
    if kind in _DIVISORS:
        name, place, other, other_place = _DIVISORS[kind]
        divisor, whole = argument_of(call, name, place), argument_of(call, other, other_place)
        if divisor is not None and whole is not None and "gcd" not in source.code(divisor):
            yield name, place, f"math.gcd({source.code(whole)}, {source.code(divisor)})"
    if kind == "Conv2d":
        yield from _geometry(source, call, owner)
    elif kind in ("MaxPool2d", "AvgPool2d"):
        yield "kernel_size", 0, "3, stride=1, padding=1"


def _channel_arguments(source: Source, kind: str) -> list[tuple[str, int]]:
    """Return the arguments of a layer that are numbers of channels, with their places."""
    init = method(source.classes.get(kind), "__init__")
    if init is None:
        return [(name, place) for place, name in enumerate(_CHANNELS.get(kind, ()))]
    return [(name, place) for place, name in enumerate(parameter_names(init)) if _WIDTHS.search(name)]


def _geometry(source: Source, call: ast.Call, owner: ast.ClassDef) -> Iterator[tuple[str, int, str]]:
    """Yield the padding that keeps the resolution, and the strides that there may be."""
    kernel, dilation = argument_of(call, "kernel_size", 2), argument_of(call, "dilation", 5)
    size = ast.literal_eval(kernel) if isinstance(kernel, ast.Constant) else None
    spread = ast.literal_eval(dilation) if isinstance(dilation, ast.Constant) else 1
    padding = argument_of(call, "padding", 4)
    if isinstance(size, int) and size % 2 and isinstance(spread, int):
        same = str(spread * (size - 1) // 2)
        if same != (source.code(padding) if padding is not None else "0"):
            yield "padding", 4, same
    stride = argument_of(call, "stride", 3)
    now = source.code(stride) if stride is not None else "1"
    init = method(owner, "__init__")
    known = ["1", *(name for name in parameter_names(init) if name == "stride")] if init is not None else ["1"]
    yield from (("stride", 3, text) for text in known if text != now)


def _argument_edit(source: Source, call: ast.Call, name: str, place: int, text: str) -> Edit:
    value = argument_of(call, name, place)
    if callee_name(call) in ("MaxPool2d", "AvgPool2d"):
        start = source.span(call.func)[1]
        return Edit(start, source.span(call)[1], f"({text})")
    if value is not None:
        return Edit(*source.span(value), text)
    end = source.span(call)[1] - 1
    has_comma = source.text[:end].rstrip().endswith(("(", ","))
    return Edit(end, end, f"{name}={text}" if has_comma else f", {name}={text}")


def _widths(source: Source, owner: ast.ClassDef, reason: str) -> list[str]:
    """Return the numbers of channels that layers of `owner` may have, as text, the likeliest first."""
    init = method(owner, "__init__")
    own = [name for name in parameter_names(init) if not _NOT_WIDTHS.search(name)] if init is not None else []
    used = [
        source.code(value)
        for call in ast.walk(owner) if isinstance(call, ast.Call)
        for place, name in enumerate(_CHANNELS.get(callee_name(call), ()))
        if (value := argument_of(call, name, place)) is not None
    ]  # fmt: skip
    sums = [f"{first} + {second}" for first, second in itertools.combinations(own, 2)]
    told = _TOLD.findall(reason) if not own else []
    return list(dict.fromkeys([*own, *used, *(f"2 * {name}" for name in own), *sums, *told]))


def _attribute(source: Source, call: ast.Call) -> str | None:
    """Return the attribute of `self` that the layer belongs to."""
    statement = source.statement(call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    is_own = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    return target.attr if is_own and isinstance(target, ast.Attribute) else None


def _attributes_at(source: Source, lines: set[int]) -> set[str]:
    """Return the attributes that the code on these lines mentions."""
    nodes = [node for node in ast.walk(source.tree) if isinstance(node, ast.Attribute) and node.lineno in lines]
    return {node.attr for node in nodes}
