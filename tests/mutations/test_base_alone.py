"""The mutation that builds on nothing."""

from fairnad.config import PlanConfig
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.mutations.base import Workshop
from fairnad.mutations.base_alone import BaseAloneMutation
from fairnad.records import Idea, Limits
from tests.fakes import child


def test_the_base_is_the_only_parent_however_poor():
    ideas = IdeaDatabase((Idea("a", "an idea", main="activation", granularity="block"),))
    mutation = BaseAloneMutation(Workshop(ideas, SamplingLevel.NONE, Limits(), PlanConfig()))
    known = [child(0, 0.1), child(1, 0.9), child(2, 0.8)]
    assert mutation.parents(known, 3) == (known[0],) * 3
    assert mutation.parents(known[1:], 3) == ()
