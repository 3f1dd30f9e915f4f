"""Where a network constructs its layers: the calls that operators replace, or put other layers before or behind."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from fairnad.architectures.parts import part_sources
from fairnad.architectures.roles import Roles
from fairnad.architectures.source import Source, argument_of, callee_name

__all__ = [
    "ACTIVATIONS",
    "IMAGE_CHANNELS",
    "NORMS",
    "Conv",
    "Holder",
    "Site",
    "Stage",
    "calls_of",
    "exposed_attributes",
    "find_convs",
    "find_sites",
    "find_stages",
    "is_part",
    "norm_channels",
]

NORMS = {
    "BatchNorm2d": ("num_features", 0),
    "GroupNorm": ("num_channels", 1),
    "InstanceNorm2d": ("num_features", 0),
    "ChannelLayerNorm": ("channels", 0),
    "InstanceBatchNorm": ("channels", 0),
}
"""Normalisation layers: the argument with the number of channels, and its place."""

ACTIVATIONS = frozenset({"ReLU", "SiLU", "GELU", "PReLU", "Hardswish", "ReLU6", "LeakyReLU", "ELU", "Mish"})
_SIDE = ("shortcut", "down", "skip", "proj", "residual", "identity", "se", "gate", "attn", "attention")
_FLAT = frozenset({"Linear", "Flatten", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "LazyLinear"})


IMAGE_CHANNELS = frozenset({"3", "3 + 2"})
"""What a convolution that reads images has for `in_channels`: with coordinates, there are two more."""
_CONV_ARGUMENTS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")


class Holder(str, Enum):
    """What holds a constructed layer."""

    ATTRIBUTE = "attribute"
    """`self.x = layer`, and `self.x(...)` is called."""
    ELEMENT = "element"
    """An argument of `nn.Sequential`."""
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One constructed layer. `attribute` is the `self.` attribute that it belongs to, if any."""

    owner: str
    call: ast.Call
    kind: str
    holder: Holder
    attribute: str | None

    @property
    def label(self) -> str:
        """The place in words."""
        return f"{self.owner}.{self.attribute}" if self.attribute else self.owner

    @property
    def is_on_side(self) -> bool:
        """Whether the layer stands on a shortcut or in a gate, going by its name."""
        return self.attribute is not None and self.attribute.startswith(_SIDE)


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """A site of `nn.Conv2d` with its arguments, as nodes and as text; `is_same` where padding keeps the size."""

    site: Site
    nodes: Mapping[str, ast.expr]
    in_channels: str
    out_channels: str
    kernel: str
    stride: str
    groups: str
    is_same: bool

    @property
    def is_plain(self) -> bool:
        """Whether it is a spatial convolution of all channels that reads features, not images."""
        return self.is_same and self.kernel != "1" and self.groups == "1" and self.in_channels not in IMAGE_CHANNELS


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """An attribute of `Network` that maps feature maps to feature maps, with its channels as text."""

    site: Site
    in_channels: str
    out_channels: str


def find_sites(source: Source, owners: Collection[str], kinds: Collection[str]) -> list[Site]:
    """Return the layers of `kinds` that `owners` construct and use, in the order of the text."""
    found = []
    for owner in owners:
        definition = source.definitions[owner]
        called = _called_attributes(definition)
        loaded = _loaded_attributes(definition)
        for node in ast.walk(definition):
            if not isinstance(node, ast.Call) or callee_name(node) not in kinds:
                continue
            site = _site(source, owner, node, called)
            if site.attribute is None or site.attribute in loaded:
                found.append(site)
    return sorted(found, key=lambda site: (site.call.lineno, site.call.col_offset))


def find_convs(source: Source, owners: Collection[str]) -> list[Conv]:
    """Return the two-dimensional convolutions that `owners` construct and use."""
    return [conv for site in find_sites(source, owners, {"Conv2d"}) if (conv := _conv(source, site)) is not None]


def norm_channels(source: Source, site: Site) -> str | None:
    """Return the number of channels that the normalisation layer `site` is made for, as text."""
    value = argument_of(site.call, *NORMS[site.kind])
    return source.code(value) if value is not None else None


def find_stages(source: Source) -> list[Stage]:
    """Return the stages of `Network`: attributes that are called once with one argument and hold feature layers."""
    network = source.classes["Network"]
    called = _called_attributes(network)
    shapes = _Shapes(source)
    found = []
    for node in ast.walk(network):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            site = _site(source, "Network", node.value, called)
            shape = shapes.of(node.value)
            if site.holder is Holder.ATTRIBUTE and shape is not None:
                found.append(Stage(site, *shape))
    return found


def calls_of(definition: ast.AST, attribute: str) -> list[ast.Call]:
    """Return the calls `self.<attribute>(x)` with exactly one argument."""
    return [call for call in _own_calls(definition) if _self_attribute(call.func) == attribute]


def exposed_attributes(source: Source) -> set[str]:
    """Return the attributes whose layers other code reads into, as `block.bn2.weight` does."""
    nodes = [node.value for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def _site(source: Source, owner: str, call: ast.Call, called: Collection[str]) -> Site:
    parent = source.parents[call]
    statement = source.statement(call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    attribute = _self_attribute(target)
    holder = Holder.OTHER
    if isinstance(parent, ast.Call) and callee_name(parent) == "Sequential" and call in parent.args:
        holder = Holder.ELEMENT
    elif parent is statement and attribute in called:
        holder = Holder.ATTRIBUTE
    return Site(owner, call, callee_name(call), holder, attribute)


def _conv(source: Source, site: Site) -> Conv | None:
    values = {name: argument_of(site.call, name, place) for place, name in enumerate(_CONV_ARGUMENTS)}
    nodes = {name: value for name, value in values.items() if value is not None}
    text = {name: source.code(node) for name, node in nodes.items()}
    if not {"in_channels", "out_channels", "kernel_size"} <= set(text):
        return None
    kernel, padding = text["kernel_size"], text.get("padding", "0")
    same = {f"{kernel} // 2", f"({kernel} - 1) // 2", "'same'", '"same"'}
    if kernel.isdigit() and int(kernel) % 2:
        same.add(str(int(kernel) // 2))
    return Conv(
        site=site,
        nodes=nodes,
        in_channels=text["in_channels"],
        out_channels=text["out_channels"],
        kernel=kernel,
        stride=text.get("stride", "1"),
        groups=text.get("groups", "1"),
        is_same=padding in same and text.get("dilation", "1") == "1",
    )


class _Shapes:
    """The channels that a layer reads and writes, as text that `Network.__init__` can evaluate."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._roles = Roles(source)

    def of(self, node: ast.expr) -> tuple[str, str] | None:
        """Return the channels of the feature layer `node`, or None."""
        if not isinstance(node, ast.Call):
            return None
        if callee_name(node) == "Sequential":
            return self._chain(list(_elements(node.args)))
        if node.args and callee_name(node.args[0]) == "Sequential":
            return self.of(node.args[0])
        slots = [("in_channels", 0), ("out_channels", 1)] if callee_name(node) == "Conv2d" else self._local_slots(node)
        values = [argument_of(node, name, place) for name, place in slots]
        texts = [self._source.code(value) for value in values if value is not None]
        if not texts or any(self._is_bound_within(value) for value in values):
            return None
        return texts[0], texts[-1]

    def _chain(self, layers: list[ast.expr]) -> tuple[str, str] | None:
        if any(callee_name(layer) in _FLAT for layer in layers):
            return None
        shapes = [shape for layer in layers if (shape := self.of(layer)) is not None]
        return (shapes[0][0], shapes[-1][1]) if shapes else None

    def _local_slots(self, call: ast.Call) -> list[tuple[str, int]]:
        function = self._roles.called(call)
        if function is None or callee_name(call) not in self._source.classes:
            return []
        names = [argument.arg for argument in function.args.args[1:]]
        return [(name, names.index(name)) for name in self._roles.widths(function)[:2] if name in names]

    def _is_bound_within(self, value: ast.expr | None) -> bool:
        """Return whether `value` names the variable of a comprehension around it."""
        names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)} if value is not None else set()
        for around in self._source.around(value) if value is not None else ():
            for comprehension in getattr(around, "generators", []):
                if names & {node.id for node in ast.walk(comprehension.target) if isinstance(node, ast.Name)}:
                    return True
        return False


def _elements(arguments: list[ast.expr]) -> Iterator[ast.expr]:
    for argument in arguments:
        value = argument.value if isinstance(argument, ast.Starred) else argument
        if isinstance(value, ast.ListComp | ast.GeneratorExp):
            yield value.elt
        elif isinstance(value, ast.List | ast.Tuple):
            yield from _elements(value.elts)
        else:
            yield value


def _self_attribute(node: ast.AST | None) -> str | None:
    is_own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if is_own and isinstance(node, ast.Attribute) else None


def _own_calls(definition: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of the definition's own attributes with exactly one argument."""
    calls = (node for node in ast.walk(definition) if isinstance(node, ast.Call) and _self_attribute(node.func))
    yield from (c for c in calls if len(c.args) == 1 and not c.keywords and not isinstance(c.args[0], ast.Starred))


def _called_attributes(definition: ast.AST) -> set[str]:
    return {name for call in _own_calls(definition) if (name := _self_attribute(call.func)) is not None}


def _loaded_attributes(definition: ast.AST) -> set[str]:
    nodes = [node for node in ast.walk(definition) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if isinstance(node.ctx, ast.Load) and _self_attribute(node)}


def is_part(source: Source, name: str) -> bool:
    """Return whether the class `name` is one of the ready-made parts."""
    return name.rstrip("0123456789") in part_sources()
