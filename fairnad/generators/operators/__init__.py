"""Transformations of a network's source, each a small function that says which ideas it realises."""

from __future__ import annotations

from fairnad.generators.operators import (
    activation,
    addition,
    arrangement,
    convolution,
    normalization,
    scaling,
    stage,
    stem,
)
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.specialize import specialize

__all__ = ["OPERATORS", "Operator", "Rewrite", "Scope", "specialize"]

OPERATORS: tuple[Operator, ...] = (
    *convolution.OPERATORS,
    *addition.OPERATORS,
    *normalization.OPERATORS,
    *activation.OPERATORS,
    *arrangement.OPERATORS,
    *stem.OPERATORS,
    *stage.OPERATORS,
    *scaling.OPERATORS,
)
"""All operators. Another one is a function in one of the modules and a line in its table."""
