"""What a program mends in a network that does not run. Finds the first thing that it knows how to mend."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fairnad.architectures.source import Source
from fairnad.errors import ConfigError
from fairnad.generators.fit import Measure
from fairnad.generators.mending_sizes import mend_sizes
from fairnad.generators.mending_text import Mended, mend_names, mend_wording
from fairnad.records import Verdict

__all__ = ["Mended", "mend"]


def mend(
    source: str, verdict: Verdict, parent: str, measure: Measure, *, shown: Mapping[str, str] = MappingProxyType({})
) -> Mended | None:
    """Return `source` with what `verdict` complains of mended, or None; `parent` is the network it was made from.

    `shown` are the classes, name to code, that its writer was shown: it may use one as if it were there.
    """
    try:
        parsed, before = Source(source), Source(parent)
    except ConfigError:
        return None
    return mend_names(parsed, before, shown) or mend_wording(parsed) or mend_sizes(parsed, before, verdict, measure)
