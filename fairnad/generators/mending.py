"""What a program mends in a network that does not run. Finds the first thing that it knows how to mend."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fairnad.architectures.source import try_parse
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
    parsed, before = try_parse(source), try_parse(parent)
    if parsed is None or before is None:
        return None
    mended = mend_names(parsed, before, shown) or mend_wording(parsed)
    if mended is not None and try_parse(mended.source) is not None:
        return mended
    return mend_sizes(parsed, before, verdict, measure)
