"""Finding what a table or a configuration names: "module:attribute", imported where it is used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from fairnad.errors import ConfigError

__all__ = ["load"]


def load(name: str, table: Mapping[str, str], *, what: str) -> Any:  # noqa: ANN401 - whatever the table holds
    """Return what `name` stands for in `table`, or what it names itself as "module:attribute".

    Raises:
        ConfigError: the name is not known, or what it names cannot be imported.
    """
    target = table.get(name, name)
    if ":" not in target:
        nearest = difflib.get_close_matches(name, table, n=1, cutoff=0.5)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ConfigError(
            f"{what} {name!r} is not known{hint} Known are {', '.join(sorted(table))}, or my_package.my_module:name"
        )
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{what} {name!r}: {target} cannot be imported: {error}") from error
