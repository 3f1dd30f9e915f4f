"""Parsing of Python text that nobody has read yet, without its warnings and from any thread. Runs nothing."""

from __future__ import annotations

import ast
import threading
import warnings

__all__ = ["parse_quietly", "with_unix_lines"]

# The filters of warnings belong to the whole process: two threads that change them at once leave them changed. And
# CPython 3.11 counts the depth of a tree under construction per interpreter: two threads in `ast.parse` raise
# SystemError ("AST constructor recursion depth mismatch"). So all parsing of this process goes through here.
_ONE_AT_A_TIME = threading.Lock()


def parse_quietly(text: str, *, is_compiled: bool = False) -> ast.Module:
    """Return the syntax tree of `text`; an invalid escape in a docstring is no error.

    What is compiled too shows what the parser lets pass, such as a `return` outside a function.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
        if is_compiled:
            compile(text, "model.py", "exec", dont_inherit=True)
    return tree


def with_unix_lines(text: str) -> str:
    r"""Return `text` with the ends of its lines as "\n": "\r\n" and "\r" end a line of Python too."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
