"""A copy of a block class under a new name, used in some stages of `Network`: new modules by changing known ones."""

from __future__ import annotations

import ast
import random
import re

from fairnad.architectures.source import Edit, Source, splice, try_parse
from fairnad.generators.operators.base import Operator, Rewrite, Scope

__all__ = ["block_uses", "choose_uses", "free_name", "specialize"]


def specialize(source: Source, operator: Operator, prefixes: set[str], wish: str, rng: random.Random) -> Rewrite | None:
    """Return `source` with a changed copy of one of its blocks in one or more stages, or None where there is no way.

    `prefixes` are those of all operators: a copy of a copy is named after the original block.
    """
    uses = block_uses(source)
    if not operator.prefix or not uses:
        return None
    block = rng.choice(list(uses))
    name = free_name(source.text, operator.prefix + _stripped(block, prefixes))
    statements = choose_uses(uses[block], wish, rng)
    copied = try_parse(_with_copy(source, block, name, [node for nodes in statements.values() for node in nodes]))
    rewrite = operator.apply(copied, Scope((name,), wish), rng) if copied is not None else None
    if rewrite is None:
        return None
    places = ", ".join(source.code(statement).split("=")[0].strip() for statement in statements)
    return Rewrite(rewrite.text, f"{places}: {name} from {block}; {rewrite.note}")


def block_uses(source: Source) -> dict[str, dict[ast.stmt, list[ast.Name]]]:
    """Return where `Network` names each block: by class, the statements and the names within them."""
    found: dict[str, dict[ast.stmt, list[ast.Name]]] = {}
    for node in ast.walk(source.classes["Network"]):
        if isinstance(node, ast.Name) and node.id in source.classes and node.id != "Network":
            statement = source.statement(node)
            if isinstance(statement, ast.Assign | ast.Expr) and not isinstance(source.parents[node], ast.Attribute):
                found.setdefault(node.id, {}).setdefault(statement, []).append(node)
    return {block: places for block, places in found.items() if _is_block(source.classes[block])}


def _is_block(definition: ast.ClassDef) -> bool:
    """Return whether the class holds a spatial convolution of its own, and can therefore be changed with effect."""
    return any(
        isinstance(node, ast.Attribute | ast.Name) and _name(node).endswith("Conv2d") for node in ast.walk(definition)
    )


def _name(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def choose_uses(
    places: dict[ast.stmt, list[ast.Name]], wish: str, rng: random.Random
) -> dict[ast.stmt, list[ast.Name]]:
    """Return the statements that will use the copy: those the idea names, or the last few."""
    statements = sorted(places, key=lambda statement: statement.lineno)
    if wish.startswith("in the first stage"):
        kept = statements[:1]
    elif "last stage" in wish or "final stage" in wish:
        kept = statements[-1:]
    else:
        kept = statements[-rng.randint(1, len(statements)) :]
    return {statement: places[statement] for statement in kept}


def _with_copy(source: Source, block: str, name: str, uses: list[ast.Name]) -> str:
    definition = source.classes[block]
    start = source.offset(min([definition.lineno, *(d.lineno for d in definition.decorator_list)]), 0)
    end = source.span(definition)[1]
    copy = re.sub(rf"\b{block}\b", name, source.text[start:end])
    edits = [Edit(*source.span(use), name) for use in uses]
    return splice(source.text, [Edit(end, end, f"\n\n\n{copy}"), *edits])


def _stripped(block: str, prefixes: set[str]) -> str:
    """Return `block` without the prefixes of earlier operators and without a number."""
    name = block.rstrip("0123456789")
    for prefix in sorted(prefixes, key=len, reverse=True):
        if name.startswith(prefix) and len(name) > len(prefix):
            return _stripped(name.removeprefix(prefix), prefixes)
    return name


def free_name(text: str, wanted: str) -> str:
    """Return `wanted`, with a number behind it if `text` has that word already."""
    name, number = wanted, 2
    while re.search(rf"\b{name}\b", text):
        name, number = f"{wanted}{number}", number + 1
    return name
