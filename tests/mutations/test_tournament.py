"""Regularised evolution's choice of parents: among the living alone, the better ones more often, one for a slot."""

from collections import Counter

import pytest

from fairnad.config import PlanConfig
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.mutations.base import Workshop
from fairnad.mutations.tournament import TournamentMutation
from fairnad.records import Idea, Limits
from tests.fakes import child


@pytest.fixture(scope="module")
def mutation():
    ideas = IdeaDatabase(tuple(Idea(f"i{n}", "an idea", main="activation", granularity="block") for n in range(9)))
    return TournamentMutation(Workshop(ideas, SamplingLevel.MAIN, Limits(), PlanConfig(initial=8)))


def winner(mutation, known, seed):
    return mutation.assign(known[0], known, used={}, seed=seed).edits.id


def test_the_old_are_dead_however_good(mutation):
    known = [child(number, 0.99 if number < 4 else 0.5 + number / 100) for number in range(12)]
    wins = Counter(winner(mutation, known, f"0/{slot}/0") for slot in range(400))
    assert set(wins) == set(range(4, 12))
    assert wins[11] > 2 * wins[4]
    assert [wins[number] for number in (4, 11)] == pytest.approx([400 / 64, 400 * 15 / 64], abs=25)


def test_all_attempts_of_a_slot_have_one_parent_and_ideas_of_their_own(mutation):
    known = [child(number, 0.5) for number in range(8)]
    for slot in range(20):
        assert len({winner(mutation, known, f"0/{slot}/{attempt}") for attempt in range(6)}) == 1
    used = {winner(mutation, known, "0/0/0"): frozenset(f"i{n}" for n in range(8))}
    assert mutation.assign(known[0], known, used=used, seed="0/0/0").request.idea.id == "i8"


def test_a_single_child_wins_alone(mutation):
    assert winner(mutation, [child(3, 0.5)], "0/0/0") == 3
