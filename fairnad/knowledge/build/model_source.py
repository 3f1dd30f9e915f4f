"""The source of one model, cut out of the file of a model library: what the model is made of, and nothing else.

Reads text by the syntax tree and imports nothing: to import a model library is to import torch. Leaves out what says
nothing about the architecture: weights, registration, checkpoints, initialization, comments and long docstrings.
"""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Iterator, Sequence

from fairnad.architectures.parsing import parse_quietly

__all__ = ["model_source"]

logger = logging.getLogger(__name__)

_LEFT_OUT = (
    "__all__", "_COMMON_META", "_cfg", "_checkpoint_filter_fn", "_init_vit_weights", "_init_weights", "_logger",
    "_ovewrite_named_param", "checkpoint_filter_fn", "default_cfgs", "init_weights",
)  # fmt: skip
_METHODS_LEFT_OUT = (
    "_apply", "_init_buffers", "_init_weights", "_load_from_state_dict", "_transform_input", "forward_intermediates",
    "get_classifier", "group_matcher", "init_non_persistent_buffers", "init_weights", "load_pretrained",
    "no_weight_decay", "prune_intermediate_layers", "reset_classifier", "reset_parameters", "set_distilled_training",
    "set_grad_checkpointing", "train",
)  # fmt: skip
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def model_source(text: str, *, roots: Sequence[str] = (), max_chars: int) -> str:
    """Return the definitions that `roots` need, in the order of the file; all definitions without `roots`.

    Where they pass `max_chars`, those furthest from the roots are left out, and a warning of the log names them.

    Raises:
        SyntaxError: `text` is no Python.
        KeyError: a root is not defined in `text`.
    """
    known = dict(_definitions(parse_quietly(text)))
    waiting = list(roots or known)
    kept: dict[str, str] = {}
    left_out: list[str] = []
    seen = set(waiting)
    while waiting:
        name = waiting.pop(0)
        node = _trimmed(known[name])
        source = ast.unparse(node)
        if sum(map(len, kept.values())) + len(source) > max_chars:
            left_out.append(name)
            continue
        kept[name] = source
        needed = [other for other in _names(node) if other in known and other not in seen]
        seen.update(needed)
        waiting += needed
    if left_out:
        logger.warning("left out, to keep the source within %d letters: %s", max_chars, ", ".join(left_out))
    return "\n\n".join(dict.fromkeys(kept[name] for name in known if name in kept))


def _definitions(module: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in module.body:
        for name in _defined(node):
            if name not in _LEFT_OUT and not _is_weights(node):
                yield name, node


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_weights(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("WeightsEnum") for base in node.bases)


def _names(node: ast.stmt) -> list[str]:
    return [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]


def _trimmed(node: ast.stmt) -> ast.stmt:
    """Return `node`, changed: without decorators and boilerplate, with the first line of each docstring."""
    for inner in ast.walk(node):
        if isinstance(inner, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            inner.decorator_list = []
            inner.body = _body(inner)
    return node


def _body(node: ast.ClassDef | _Function) -> list[ast.stmt]:
    doc = ast.get_docstring(node)
    body = node.body[1:] if doc is not None else node.body
    kept = [inner for inner in body if not (isinstance(inner, _Function) and inner.name in _METHODS_LEFT_OUT)]
    first = [line for line in inspect.cleandoc(doc or "").split("\n")[:1] if line.strip()]
    return [*(ast.Expr(ast.Constant(line)) for line in first), *kept] or [ast.Pass()]
