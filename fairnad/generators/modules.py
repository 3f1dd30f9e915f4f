"""One class of a network for a language model to write: which one, by what contract, and where a program puts it.

A small model writes one class far better than a whole network, so everything else is settled here: the name, the
constructor, the shapes, and the place in the parent's source.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from fairnad.architectures.parsing import parse_quietly
from fairnad.architectures.roles import method
from fairnad.architectures.source import Edit, Source, splice, try_parse
from fairnad.generators.llm_edits import code_of, merge
from fairnad.generators.operators import categories
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.choice import main_sites
from fairnad.generators.operators.sites import NORMS, Site, find_sites, find_stages, is_part, norm_channels
from fairnad.generators.operators.specialize import block_uses, choose_uses, free_name
from fairnad.llm.completeness import is_same_code
from fairnad.records import Idea, IdeaKind, MutationTarget

__all__ = ["Part", "PartKind", "choose_part", "constructor", "describe_stages", "shapes"]


class PartKind(str, Enum):
    """What the class is within the network."""

    LAYER = "layer"
    """A new layer that keeps the shape of features."""
    BLOCK = "block"
    """A new block in the place of one that `Network` uses, in some of its stages or in all."""
    NETWORK = "network"
    """`Network` itself."""

    def is_name_of(self, name: str) -> bool:
        """Return whether a class of this name was asked for as one of this kind."""
        wanted = _NAMES.get(self)
        return wanted is not None and name.rstrip("0123456789") == wanted


_NAMES = {PartKind.LAYER: "AddedLayer", PartKind.BLOCK: "NewBlock"}
"""How new classes are called; a number follows where the parent has the name already."""


@dataclass(frozen=True, slots=True)
class Part:
    """A class to write. `skeleton` is the parent's source with the class in use, but not there yet.

    `contract` tells what it must be, `example` is a class of such a contract, `context` those that it may use.
    """

    kind: PartKind
    name: str
    skeleton: str
    contract: str
    context: str = ""
    example: str = ""
    replaced: str | None = None
    """The class whose place it takes."""

    @property
    def note(self) -> str:
        """What is asked for, in a few words."""
        place = f" in place of {self.replaced}" if self.replaced else ""
        return f"{self.kind.value} {self.name}{place}"

    def put(self, written: str) -> str:
        """Return the network with the class out of `written`.

        Raises:
            ReplyError: as `merge` does.
        """
        source = Source(self.skeleton)
        written = _with_own_names(written, source, self.name)
        merged = Source(merge(self.skeleton, written, wanted=self.name, kept=source.definitions.keys()))
        if self.replaced is None or self.replaced in merged.used or self.replaced not in merged.definitions:
            return merged.text
        start, end = merged.text.index(code_of(merged, self.replaced)), len(code_of(merged, self.replaced))
        return merged.text[:start] + merged.text[start + end :].lstrip("\n")


_LAYER_MAINS = frozenset({categories.RECALIBRATION, categories.EFFICIENT_TRANSFORMER})
_BLOCK_MAINS = frozenset({categories.BLOCKS, categories.ACTIVATION, categories.NORMALIZATION, categories.DYNAMIC})
_LAYER_WORDS = re.compile(r"attention|attend|\bgate|gating|squeeze|recalibrat|layer scale|positional", re.IGNORECASE)
_NETWORK_WORDS = re.compile(
    r"\bstem\b|the network|number of blocks|stage's (?:in|out)put|stages together", re.IGNORECASE
)

_LAYER_EXAMPLE = '''
class ChannelScale(nn.Module):
    """Scales each channel by a learned number; (B, channels, H, W) before and after."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x):
        return x + self.scale * self.conv(x)
'''.strip()


def _with_own_names(written: str, source: Source, wanted: str) -> str:
    """Return `written` with other names for the classes that `source` has otherwise; a stub means the one there."""
    new = try_parse(written)
    if new is None:
        return written
    for name in new.reached_from(wanted):
        if name in (wanted, "Network") or name not in source.classes or name not in new.classes:
            continue
        forward = method(new.classes[name], "forward")
        if forward is None or all(isinstance(node, ast.Pass | ast.Expr) for node in forward.body):
            continue
        if not is_same_code(parse_quietly(code_of(new, name)), parse_quietly(code_of(source, name))):
            other = free_name(f"{source.text}\n\n{written}", name)
            written = re.sub(rf"(?<![.\w]){name}\b", other, written)
    return written


def choose_part(parent: str, idea: Idea, target: MutationTarget, rng: random.Random, *, form: int = 0) -> Part | None:
    """Return the class to write for `idea`, the best but `form`; None where the parent's source gives no hold for one.

    What only the network itself can hold has that twice.
    """
    source = try_parse(parent)
    if source is None or "Network" not in source.classes:
        return None
    parts = (_MAKERS[kind](source, idea, target, rng) for kind in _kinds(idea, target))
    return next(islice((part for part in parts if part is not None), form, None), None)


def describe_stages(source: Source) -> str:
    """Return the channels that each stage of `Network` reads and writes, a line each."""
    if "Network" not in source.classes:
        return ""
    stages = [(stage.site.attribute, stage.in_channels, stage.out_channels) for stage in find_stages(source)]
    return "\n".join(f"self.{name}: {read} channels in, {written} channels out" for name, read, written in stages)


def constructor(source: Source, block: str) -> str:
    """Return the arguments of the constructor of a class, with their defaults."""
    init = method(source.classes[block], "__init__")
    if init is None:
        return ""
    names = [argument.arg for argument in (*init.args.posonlyargs, *init.args.args)][1:]
    defaults = [f"={ast.unparse(value)}" for value in init.args.defaults]
    texts = [""] * (len(names) - len(defaults)) + defaults
    return ", ".join(f"{name}{text}" for name, text in zip(names, texts, strict=True))


def shapes(source: Source, block: str) -> str:
    """Return what the `forward` of a block takes and returns, in a sentence."""
    init = method(source.classes[block], "__init__")
    names = [argument.arg for argument in init.args.args[1:]] if init is not None else []
    if {"in_channels", "out_channels", "stride"} <= set(names):
        return (
            "Its `forward(self, x)` takes x of shape (B, in_channels, H, W) and returns a tensor of shape "
            "(B, out_channels, H / stride, W / stride)."
        )
    return f"Its `forward` takes and returns what that of `{block}` does."


def _kinds(idea: Idea, target: MutationTarget) -> tuple[PartKind, ...]:
    """Return what can hold the idea, the best first."""
    layer, block, network = PartKind.LAYER, PartKind.BLOCK, PartKind.NETWORK
    if idea.kind is IdeaKind.SCALE_UP or idea.main == categories.INPUT or _NETWORK_WORDS.search(idea.text) is not None:
        return network, network
    if target is MutationTarget.NETWORK or idea.granularity == "network":
        return network, block, layer
    is_layer = (
        idea.main in _LAYER_MAINS
        or (idea.main is None and _LAYER_WORDS.search(idea.text) is not None)
        or (target is MutationTarget.NEW_MODULE and idea.main not in _BLOCK_MAINS)
    )
    return (layer, block, network) if is_layer else (block, layer, network)


def _network(source: Source, idea: Idea, target: MutationTarget, rng: random.Random) -> Part:
    stages = describe_stages(source)
    told = f"\n\nThe channels of its stages:\n{stages}" if stages else ""
    contract = (
        "Class `Network`, built as `Network(num_classes)`. Its `forward(self, x)` takes images (B, 3, H, W) and "
        f"returns logits (B, num_classes). This is it now:\n\n```python\n{code_of(source, 'Network')}\n```{told}\n\n"
        "Write it anew with the change that the idea asks for. The new one must differ from this one."
    )
    return Part(PartKind.NETWORK, "Network", source.text, contract, context=_others(source, "Network"))


def _layer(source: Source, idea: Idea, target: MutationTarget, rng: random.Random) -> Part | None:
    place = _layer_place(source, idea, rng)
    if place is None:
        return None
    site, channels = place
    name = free_name(source.text, _NAMES[PartKind.LAYER])
    change = Change(source)
    change.put_behind(site, "added", f"{name}({channels})")
    skeleton = change.finish("")
    if skeleton is None:
        return None
    contract = (
        f"Class `{name}`, built as `{name}(channels)`. Its `forward(self, x)` takes a feature map x of shape "
        "(B, channels, H, W) and returns a tensor of exactly the same shape."
    )
    return Part(PartKind.LAYER, name, skeleton.text, contract, example=_LAYER_EXAMPLE)


def _layer_place(source: Source, idea: Idea, rng: random.Random) -> tuple[Site, str] | None:
    """Return the last normalisation of a block, where its residual branch ends, or a stage; and its channels.

    Attention over positions goes behind the last stage: its cost grows with the square of the positions.
    """
    blocks = [name for name in source.used if name in block_uses(source)]
    norms = [(site, norm_channels(source, site)) for site in find_sites(source, blocks, NORMS)]
    known = {site: channels for site, channels in norms if channels is not None}
    sites = main_sites(source, list(known))
    stages = find_stages(source)
    is_late = idea.main == categories.EFFICIENT_TRANSFORMER or "last stage" in idea.text or not sites
    if is_late and stages:
        return stages[-1].site, stages[-1].out_channels
    if not sites:
        return None
    owner = rng.choice(list(dict.fromkeys(site.owner for site in sites)))
    site = [site for site in sites if site.owner == owner][-1]
    return site, known[site]


def _block(source: Source, idea: Idea, target: MutationTarget, rng: random.Random) -> Part | None:
    uses = block_uses(source)
    blocks = [name for name in uses if not is_part(source, name)] or list(uses)
    if not blocks:
        return None
    block = rng.choice(blocks)
    statements = (
        choose_uses(uses[block], idea.text.lower(), rng) if target is MutationTarget.NEW_MODULE else uses[block]
    )
    name = free_name(source.text, _NAMES[PartKind.BLOCK])
    edits = [Edit(*source.span(node), name) for nodes in statements.values() for node in nodes]
    contract = (
        f"Class `{name}`, built as `{name}({constructor(source, block)})`. {shapes(source, block)} It takes the "
        f"place of `{block}`, so the same arguments and shapes must work, but inside it follows the idea."
    )
    return Part(
        PartKind.BLOCK,
        name,
        splice(source.text, edits),
        contract,
        context=_others(source, block),
        example=code_of(source, block),
        replaced=block,
    )


def _others(source: Source, name: str) -> str:
    """Return the first lines of the other classes in use: their names and constructors."""
    lines = []
    for other in source.used:
        init = method(source.definitions[other], "__init__")
        if other not in ("Network", name) and init is not None:
            lines.append(f"class {other}(nn.Module):  # {other}({constructor(source, other)})")
    return "\n".join(lines)


_MAKERS: dict[PartKind, Callable[[Source, Idea, MutationTarget, random.Random], Part | None]] = {
    PartKind.LAYER: _layer,
    PartKind.BLOCK: _block,
    PartKind.NETWORK: _network,
}
