"""The order of layers within a block: pre-activation, and pooling ahead of a convolution instead of its stride."""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass

from fairnad.architectures.roles import method, parameter_names
from fairnad.architectures.source import Source, argument_of, callee_name
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.choice import main_sites
from fairnad.generators.operators.sites import ACTIVATIONS, NORMS, Conv, Holder, Site, calls_of, find_convs, find_sites

__all__ = ["OPERATORS"]

_FUNCTIONS = frozenset({"relu", "silu", "gelu", "hardswish", "relu6", "leaky_relu", "elu", "mish"})


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """`act(norm(conv(x)))` in a forward; `act` is None where the normalised features are used as they are."""

    conv: Site
    norm: Site
    conv_call: ast.Call
    norm_call: ast.Call
    act_call: ast.Call | None


def _pre_activate(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    convs = [x.site for x in find_convs(source, [o for o in scope.owners if o != "Network"]) if x.is_plain]
    owners = list(dict.fromkeys(site.owner for site in main_sites(source, convs)))
    rng.shuffle(owners)
    rewrites = (_reorder(source, owner) or _put_in_front(source, owner) for owner in owners)
    return next((rewrite for rewrite in rewrites if rewrite is not None), None)


def _reorder(source: Source, owner: str) -> Rewrite | None:
    """Turn every conv-norm-act of `owner` into norm-act-conv; an activation behind the sum moves into the branch."""
    chains = _chains(source, owner)
    if not chains:
        return None
    change = Change(source)
    final = _activation_of_sum(source, owner) if any(chain.act_call is None for chain in chains) else None
    spare = source.code(final.func) if final is not None else "F.relu"
    for chain in chains:
        act = source.code(chain.act_call.func) if chain.act_call is not None else spare
        head = f"{source.code(chain.conv_call.func)}({act}({source.code(chain.norm_call.func)}("
        change.rewrap(chain.act_call or chain.norm_call, chain.conv_call.args[0], head, ")))")
        channels = argument_of(chain.conv.call, "in_channels", 0)
        _set_channels(source, change, chain.norm, source.code(channels) if channels is not None else "")
    if final is not None:
        change.rewrap(final, final.args[0], "", "")
    return change.finish(f"{owner} -> pre-activation order")


def _chains(source: Source, owner: str) -> list[_Chain]:
    """Return the chains of layers that are called once each; convolutions may be any class with their arguments."""
    definition = source.definitions[owner]
    kinds = {"Conv2d", *(name for name in source.classes if name.rstrip("0123456789").endswith("Conv"))}
    convs = {site.attribute: site for site in find_sites(source, [owner], kinds) if site.holder is Holder.ATTRIBUTE}
    norms = [site for site in find_sites(source, [owner], NORMS) if site.holder is Holder.ATTRIBUTE]
    found = []
    for norm in norms:
        calls = calls_of(definition, norm.attribute or "")
        inner = calls[0].args[0] if len(calls) == 1 else None
        name = callee_name(inner) if inner is not None else ""
        if isinstance(inner, ast.Call) and name in convs and len(calls_of(definition, name)) == 1:
            outer = source.parents[calls[0]]
            act = outer if isinstance(outer, ast.Call) and _is_activation(source, owner, outer) else None
            found.append(_Chain(convs[name], norm, inner, calls[0], act))
    return found


def _activation_of_sum(source: Source, owner: str) -> ast.Call | None:
    """Return the activation that a block's result passes after the shortcut was added."""
    for node in ast.walk(source.definitions[owner]):
        if isinstance(node, ast.Call) and _is_activation(source, owner, node):
            is_sum = isinstance(node.args[0], ast.BinOp) and isinstance(node.args[0].op, ast.Add)
            if is_sum and isinstance(source.parents[node], ast.Return):
                return node
    return None


def _is_activation(source: Source, owner: str, call: ast.Call) -> bool:
    """Return whether `call` is `self.act(x)` or `F.relu(x)` with one argument."""
    if len(call.args) != 1 or call.keywords or not isinstance(call.func, ast.Attribute):
        return False
    layers = {site.attribute for site in find_sites(source, [owner], ACTIVATIONS) if site.holder is Holder.ATTRIBUTE}
    is_own = isinstance(call.func.value, ast.Name) and call.func.value.id == "self"
    return call.func.attr in layers if is_own else call.func.attr in _FUNCTIONS


def _set_channels(source: Source, change: Change, norm: Site, channels: str) -> None:
    if norm.kind == "GroupNorm":
        change.replace(norm.call, f"nn.GroupNorm(math.gcd(8, {channels}), {channels})")
        return
    value = argument_of(norm.call, *NORMS[norm.kind])
    if value is not None:
        change.replace(value, channels)


def _put_in_front(source: Source, owner: str) -> Rewrite | None:
    """Put a normalisation and an activation ahead of the first convolution of `owner`."""
    convs = [conv for conv in find_convs(source, [owner]) if conv.is_plain]
    sites = main_sites(source, [conv.site for conv in convs])
    conv = next((conv for conv in convs if sites and conv.site is sites[0]), None)
    if conv is None:
        return None
    change = Change(source)
    layers = f"nn.BatchNorm2d({conv.in_channels}), nn.ReLU()"
    is_element = conv.site.holder is Holder.ELEMENT
    change.put_before(conv.site, "pre", layers if is_element else f"nn.Sequential({layers})")
    return change.finish(f"{conv.site.label} + normalisation and activation in front")


def _pool_first(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    convs = [conv for conv in find_convs(source, scope.owners) if conv.is_same and _is_strided(source, conv)]
    if not convs:
        return None
    side = [conv for conv in convs if conv.site.is_on_side]
    chosen = side if side and ("shortcut" in scope.wish or rng.random() < 0.3) else [rng.choice(convs)]
    pool = "MaxPool2d" if "max" in scope.wish or rng.random() < 0.2 else "AvgPool2d"
    change = Change(source)
    for conv in chosen:
        change.put_before(conv.site, "pool", f"nn.{pool}({conv.stride}, ceil_mode=True)")
        change.replace(conv.nodes["stride"], "1")
    return change.finish(f"{chosen[0].site.label} -> pooling instead of a stride")


def _is_strided(source: Source, conv: Conv) -> bool:
    """Return whether the stride is above 1: a number, or a parameter that some call of the class passes."""
    stride = conv.nodes.get("stride")
    if not isinstance(stride, ast.Name):
        return conv.stride not in {"1", "(1, 1)"}
    calls = [node for node in ast.walk(source.tree) if callee_name(node) == conv.site.owner]
    definition = source.definitions[conv.site.owner]
    function = method(definition, "__init__") if isinstance(definition, ast.ClassDef) else definition
    names = parameter_names(function) if function is not None else []
    place = names.index(stride.id) if stride.id in names else len(names)
    passed = [argument_of(call, stride.id, place) for call in calls if isinstance(call, ast.Call)]
    return not calls or any(value is not None and source.code(value) != "1" for value in passed)


OPERATORS = (
    Operator(
        "pre-activation",
        _pre_activate,
        (c.ARRANGEMENT,),
        ("pre-activation", "preactivation", "reorder all", "order"),
        prefix="PreAct",
    ),
    Operator(
        "downsampling by pooling",
        _pool_first,
        (c.BLOCKS, c.SCALING, c.BRANCHES, c.ARRANGEMENT),
        ("pooling-based blocks", "hierarchical feature downsampling", "average pooling", "stride", "downsampl"),
        prefix="Pooled",
    ),
)
