import random
from collections import Counter

import pytest

from fairnad.config import PlanConfig
from fairnad.generators.base import Refinement
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.mutations.base import Workshop, mutation_target
from fairnad.mutations.fair_idea import FairIdeaMutation
from fairnad.mutations.iterative import IterativeMutation
from fairnad.mutations.pareto import ParetoMutation
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.records import Idea, IdeaKind, Limits, MutationTarget
from fairnad.resources import resource
from tests.fakes import child


@pytest.fixture(scope="module")
def workshop():
    ideas = IdeaDatabase.load(resource("knowledge", "ideas.jsonl"), AttributeTree.load())
    return Workshop(ideas, SamplingLevel.MAIN, Limits(params=1000, flops=1000), PlanConfig())


def test_a_network_idea_changes_the_network():
    idea = Idea("a", "deeper", granularity="network")
    assert {mutation_target(idea, random.Random(seed)) for seed in range(20)} == {MutationTarget.NETWORK}


@pytest.mark.parametrize("granularity", ["operation", "block"])
def test_other_ideas_make_or_change_a_module_with_equal_chance(granularity):
    idea = Idea("a", "sharper", granularity=granularity)
    drawn = Counter(mutation_target(idea, random.Random(seed)) for seed in range(2000))
    assert set(drawn) == {MutationTarget.NEW_MODULE, MutationTarget.CHANGE_MODULE}
    assert abs(drawn[MutationTarget.NEW_MODULE] - 1000) < 4 * 22.4  # four standard deviations


def test_no_parent_meets_an_idea_twice_while_others_remain(workshop):
    mutation, parent, used = FairIdeaMutation(workshop), child(1), set()
    for attempt in range(len(workshop.ideas)):
        idea = mutation.assign(parent, [parent], used={1: frozenset(used)}, seed=f"s/{attempt}").request.idea
        assert idea.id not in used
        used.add(idea.id)
    assert mutation.assign(parent, [parent], used={1: frozenset(used)}, seed="more").request.idea.id in used


def test_the_stream_of_an_attempt_is_named_by_its_seed(workshop):
    mutation, parent = FairIdeaMutation(workshop), child(1)
    first = [mutation.assign(parent, [], used={}, seed=f"7/{slot}").request for slot in range(20)]
    again = [mutation.assign(parent, [], used={}, seed=f"7/{slot}").request for slot in range(20)]
    assert first == again
    assert len({request.idea.id for request in first}) > 5


def test_a_small_parent_is_scaled_up_and_a_large_one_tuned(workshop):
    mutation = ParetoMutation(workshop)
    small = mutation.assign(child(1, params=899, flops=899), [], used={}, seed="a").request
    large = mutation.assign(child(1, params=900, flops=10), [], used={}, seed="a").request
    assert small.idea in SCALE_UP_IDEAS
    assert small.target is MutationTarget.NETWORK
    assert large.idea in HYPERPARAMETER_IDEAS
    assert large.target is MutationTarget.CHANGE_MODULE


def test_the_papers_switch_scales_up_when_any_cost_is_low(workshop):
    paper = Workshop(workshop.ideas, workshop.level, workshop.limits, PlanConfig(scale_up_when="any"))
    assert ParetoMutation(paper).has_room(child(1, params=999, flops=10))
    assert not ParetoMutation(paper).has_room(child(1, params=999, flops=999))


def test_refinement_ideas_are_four_and_four():
    assert [idea.kind for idea in SCALE_UP_IDEAS] == [IdeaKind.SCALE_UP] * 4
    assert [idea.kind for idea in HYPERPARAMETER_IDEAS] == [IdeaKind.HYPERPARAMETER] * 4


def test_after_a_gain_the_child_is_edited(workshop):
    known = [child(0, 0.5), child(1, 0.6, parent=0)]
    assignment = IterativeMutation(workshop).assign(known[1], known, used={1: frozenset({"x"})}, seed="a")
    request = assignment.request
    assert isinstance(request, Refinement)
    assert (assignment.edits.id, assignment.refines) == (1, None)
    assert request.has_improved
    assert request.edit.source == known[1].source
    assert (request.before, request.after) == (known[0].source, known[1].source)
    assert request.used == {"x"}


@pytest.mark.parametrize("accuracy", [0.4, 0.5])
def test_after_a_loss_or_a_draw_the_grandparent_is_edited(workshop, accuracy):
    known = [child(0, 0.5), child(1, accuracy, parent=0)]
    assignment = IterativeMutation(workshop).assign(known[1], known, used={}, seed="a")
    assert (assignment.edits.id, assignment.refines.id) == (0, 1)
    assert assignment.request.edit.source == known[0].source


def test_a_parent_without_a_record_is_passed_over(workshop):
    mutation = IterativeMutation(workshop)
    assert [one.id for one in mutation.parents([child(0, 0.9), child(1, 0.1)], 2)] == [1, 1]
    assert mutation.parents([child(0, 0.9)], 2) == ()
