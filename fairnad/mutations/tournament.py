"""Parents by tournament among the youngest children: the selection of regularised evolution, with the same ideas.

Not a part of the method, but of its comparisons.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from fairnad.mutations.base import Assignment, UsedIdeas
from fairnad.mutations.fair_idea import FairIdeaMutation
from fairnad.mutations.selection import top_k
from fairnad.records import Child

__all__ = ["TournamentMutation"]


class TournamentMutation(FairIdeaMutation):
    """The best of a quarter of the living, drawn with replacement; the living are the youngest `plan.initial` children.

    A tournament is held when its slot is filled, by the slot's own stream: the parents of the stage are mere places.
    Source: Real et al. 2019, "Regularized evolution for image classifier architecture search": a tournament of 25 in a
    population of 100, the oldest of which dies whatever its accuracy.
    """

    def assign(self, parent: Child, known: Sequence[Child], *, used: UsedIdeas, seed: str) -> Assignment:
        """Return a request for the winner of a tournament, changed by a fairly sampled idea."""
        # Every attempt of a slot has the same parent: the stream of the tournament leaves out the attempt's number.
        rng = random.Random(f"{seed.rpartition('/')[0]}/tournament")
        living = sorted(known, key=lambda child: child.id)[-self._workshop.plan.initial :]
        (winner,) = top_k(rng.choices(living, k=max(2, len(living) // 4)), 1)
        return super().assign(winner, known, used=used, seed=seed)
