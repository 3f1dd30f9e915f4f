"""What can be mended in the text of a network by reading it: names, imports, constructors, calls. Executes nothing.

No layer is written: a name that the network uses may stand for a class of its parent, or of those that were shown. The
one ready-made part is the norm over channels, which stands for `nn.LayerNorm` where that cannot be.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairnad.architectures.parts import part_source
from fairnad.architectures.roles import method, parameter_names
from fairnad.architectures.source import Edit, Source, callee_name, splice
from fairnad.generators.llm_edits import add_imports, code_of
from fairnad.llm.names import bindings, missing_names

__all__ = ["CHANNEL_NORM", "Mended", "mend_names", "mend_wording"]

CHANNEL_NORM = "ChannelLayerNorm"

_LAYERS = (
    "AdaptiveAvgPool2d AdaptiveMaxPool2d AvgPool2d BatchNorm2d Conv1d Conv2d ConvTranspose2d Dropout Flatten GELU "
    "GroupNorm Hardswish Identity InstanceNorm2d LayerNorm LeakyReLU Linear MaxPool2d Mish Module ModuleList "
    "MultiheadAttention PReLU Parameter PixelShuffle ReLU SiLU Sequential Sigmoid Softmax Tanh Upsample"
)
"""What `torch.nn` has under these names."""

_HOMES = {
    "torch": (
        "abs amax bmm cat chunk clamp concat concatenate einsum exp flatten hstack matmul mean outer permute reshape "
        "roll rsqrt split sqrt squeeze stack sum topk transpose unsqueeze vstack"
    ),
    "torch.nn.functional": (
        "adaptive_avg_pool2d adaptive_max_pool2d avg_pool2d elu fold gelu glu hardsigmoid hardswish hardtanh "
        "interpolate leaky_relu linear mish normalize pad relu6 scaled_dot_product_attention silu softplus unfold"
    ),
}
"""What only the one of the two has."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A mended source, and in a few words what was done."""

    source: str
    note: str


def mend_names(source: Source, parent: Source, shown: Mapping[str, str]) -> Mended | None:
    """Import what is used but not imported, and take what was left out from the parent or from what was shown."""
    missing = missing_names(source.tree)
    if "Network" not in source.definitions:
        missing = missing | {"Network"}
    ready = {CHANNEL_NORM: part_source(CHANNEL_NORM), **shown}
    parts = {name: text for name, text in ready.items() if name in missing and name not in parent.definitions}
    left_out = {name for start in missing for name in parent.reached_from(start)} - source.definitions.keys()
    taken = {name: code_of(parent, name) for name in parent.definitions if name in left_out} | parts
    layers = sorted(name for name in missing & {*_LAYERS.split()} if name not in taken)
    text = _with(source, list(taken.values()))
    imports = [f"from torch.nn import {', '.join(layers)}"] if layers else []
    if left_out:
        imports += [parent.code(node) for node in parent.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    text = add_imports(text, imports, names=sorted(missing | missing_names(Source(text).tree)))
    if text == source.text:
        return None
    origin = "an earlier child" if shown.keys() & parts else "the parts" if parts else "the parent"
    return Mended(text, f"took {', '.join(sorted(taken))} from {origin}" if taken else "imported what was missing")


def _with(source: Source, definitions: Sequence[str]) -> str:
    """Return the text of `source` with `definitions` ahead of its own ones, which may be built on them."""
    first = next((node for node in source.tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)), None)
    if not definitions:
        return source.text
    if first is None:
        return "\n\n\n".join([source.text.rstrip("\n"), *definitions]) + "\n"
    lines = [first.lineno, *(decorator.lineno for decorator in first.decorator_list)]
    start = source.offset(min(lines), 0)
    return splice(source.text, [Edit(start, start, "".join(f"{text}\n\n\n" for text in definitions))])


def mend_wording(source: Source) -> Mended | None:
    """Return the first of the mends of one faulty expression that applies."""
    mends = (_mend_spelling, _mend_homes, _mend_constructors, _mend_sequences, _mend_parameters)
    return next((mended for mend in mends if (mended := mend(source)) is not None), None)


def _mend_spelling(source: Source) -> Mended | None:
    """Write layers as `torch.nn` does, which has MultiheadAttention and no MultiHeadAttention."""
    edits = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and (name := _spelt(node.attr)) is not None:
            if ast.unparse(node.value) in ("nn", "torch.nn"):
                end = source.span(node)[1]
                edits.append(Edit(end - len(node.attr), end, name))
        elif isinstance(node, ast.ImportFrom) and node.module == "torch.nn":
            for alias in node.names:
                if (name := _spelt(alias.name)) is not None:
                    edits.append(Edit(*source.span(alias), f"{name} as {alias.asname or alias.name}"))
    return Mended(splice(source.text, edits), f"spelt {', '.join(edit.text for edit in edits)}") if edits else None


def _mend_homes(source: Source) -> Mended | None:
    """Call functions where they are: `torch.cat`, not `F.cat`; `torch.nn.functional.gelu`, not `torch.gelu`."""
    edits, names = [], []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Attribute):
            continue
        written = ast.unparse(node.value)
        home = "torch.nn.functional" if written in ("F", "nn.functional") else written
        other = next((place for place, found in _HOMES.items() if node.attr in found.split()), home)
        if home in _HOMES and other != home:
            edits.append(Edit(*source.span(node.value), other))
            names.append(f"{other}.{node.attr}")
    return Mended(splice(source.text, edits), f"called {', '.join(names)}") if edits else None


def _spelt(name: str) -> str | None:
    """Return the layer that `name` is but for its capitals, if it begins with one and is none itself."""
    found = next((layer for layer in _LAYERS.split() if layer.lower() == name.lower()), None)
    return found if found != name and name[0].isupper() else None


def _mend_constructors(source: Source) -> Mended | None:
    """Begin every constructor of a module with that of `nn.Module`."""
    edits, names = [], []
    for name, node in source.classes.items():
        init = method(node, "__init__")
        if init is None or not node.bases or any(callee_name(call) == "__init__" for call in ast.walk(init)):
            continue
        has_docstring = ast.get_docstring(init, clean=False) is not None and len(init.body) > 1
        first = init.body[has_docstring]
        edit = source.line_before(first, "super().__init__()")
        if edit is not None:
            edits.append(edit)
            names.append(name)
    return Mended(splice(source.text, edits), f"super().__init__() in {', '.join(names)}") if edits else None


def _mend_sequences(source: Source) -> Mended | None:
    """Unpack what is given to `nn.Sequential` as one list."""
    edits = []
    for call in ast.walk(source.tree):
        if callee_name(call) != "Sequential" or not isinstance(call, ast.Call) or len(call.args) != 1:
            continue
        layers, end = call.args[0], source.span(call)[1]
        start, layers_end = source.span(layers)
        if isinstance(layers, ast.GeneratorExp) and layers_end == end:  # it shares the parentheses of the call
            edits += [Edit(start, start, "(*"), Edit(end, end, ")")]
        elif isinstance(layers, ast.GeneratorExp | ast.ListComp | ast.List):
            edits.append(Edit(start, start, "*"))
    return Mended(splice(source.text, edits), "unpacked the layers of nn.Sequential") if edits else None


def _mend_parameters(source: Source) -> Mended | None:
    """Keep in `self` the parameters of a constructor that another method uses as if they were its own."""
    shared = {name for node in source.tree.body for name in bindings(node)}
    edits, kept = [], []
    for owner, node in source.classes.items():
        init = method(node, "__init__")
        if init is None:
            continue
        parameters = {*parameter_names(init)} - shared
        others = [other for other in node.body if isinstance(other, ast.FunctionDef) and other is not init]
        uses = [
            name
            for other in others
            for name in ast.walk(other)
            if isinstance(name, ast.Name) and name.id in parameters & missing_names(other)
        ]
        stored = {name.attr for name in ast.walk(init) if isinstance(name, ast.Attribute)}
        names = sorted({use.id for use in uses})
        lines = [f"self.{name} = {name}" for name in names if name not in stored]
        added = [edit for line in lines if (edit := source.line_after(init.body[-1], line)) is not None]
        if len(added) < len(lines):
            continue
        edits += [*added, *(Edit(*source.span(use), f"self.{use.id}") for use in uses)]
        kept += [f"{owner}.{name}" for name in names]
    return Mended(splice(source.text, edits), f"kept {', '.join(kept)}") if edits else None
