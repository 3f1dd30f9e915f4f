"""Children of the base alone: nothing that was found is built on. Not a part of the method, but of its comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from fairnad.mutations.fair_idea import FairIdeaMutation
from fairnad.records import Child

__all__ = ["BaseAloneMutation"]


class BaseAloneMutation(FairIdeaMutation):
    """The base, with an idea that it was not changed by before."""

    def parents(self, known: Sequence[Child], count: int) -> tuple[Child, ...]:
        """Return the base `count` times."""
        return tuple(child for child in known if child.id == 0) * count
