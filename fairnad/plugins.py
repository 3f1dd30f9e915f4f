"""Finding what a table or a configuration names: "module:attribute", imported where it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from fairnad.errors import ConfigError, nearest

__all__ = ["load"]


def load(name: str, table: Mapping[str, str], *, what: str) -> Any:  # noqa: ANN401 - whatever the table holds
    """Return what `name` stands for in `table`, or what it names itself as "module:attribute".

    Raises:
        ConfigError: the name is not known, or what it names cannot be imported.
    """
    target = table.get(name, name)
    if ":" not in target:
        raise ConfigError(
            f"{what} {name!r} is not known: {nearest(name, sorted(table))}; my_package.my_module:name works too"
        )
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # code of others, which may raise anything when it is imported
        told = f"{error}" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{what} {name!r}: {target} cannot be imported: {told}") from error
