import random

import pytest

from fairnad.architectures.bases import base_source
from fairnad.architectures.source import Source
from fairnad.generators.base import Parent, Refinement, Request
from fairnad.generators.operators import categories
from fairnad.generators.rules import RulesGenerator
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.records import Costs, Draft, Failed, Failure, Idea, IdeaKind, Limits, MutationTarget, Verdict
from tests.generators.styles import STYLES

BASE = base_source("resnet", width=8, depth=1)
COSTS = Costs(43_186, 1_429_504)
NO_LIMITS = Limits()


def idea(number, text, granularity, main, sub=None):
    return Idea(f"idea-{number}", text, granularity=granularity, main=main, sub=sub)


IDEAS = [
    idea(1, "Enlarge the kernel of the first convolution from 3x3 to 5x5.", "operation", categories.EXTRACTION),
    idea(2, "Use group normalisation in the residual blocks.", "operation", categories.NORMALIZATION),
    idea(3, "Replace every ReLU by SiLU.", "operation", categories.ACTIVATION, "silu"),
    idea(4, "Build the stem from two convolutions.", "block", categories.INPUT, "cnn stem"),
    idea(5, "Multiply each branch by a learnable layer scale.", "block", categories.BRANCHES),
    idea(6, "Concatenate two kernel sizes.", "block", categories.FUSION, "channel concatenation"),
    idea(7, "Put squeeze-and-excitation behind the last convolution.", "block", categories.RECALIBRATION),
    idea(8, "Widen the later stages of the network.", "network", categories.PATTERNS),
    idea(9, "Reorder all blocks to pre-activation.", "network", categories.ARRANGEMENT, "pre-activation"),
    idea(10, "Replace a convolution by a depthwise separable one.", "operation", categories.EFFICIENT_CONVOLUTION),
    idea(11, "Attend within windows.", "operation", categories.EFFICIENT_TRANSFORMER, "windowed attention"),
    idea(12, "Use bottleneck blocks.", "block", categories.BLOCKS, "bottleneck block"),
    idea(13, "Concatenate the input of a block with its output.", "block", categories.DENSE),
    idea(14, "Scale depth and width together.", "network", categories.SCALING, "compound scaling"),
    idea(15, "Apply stochastic depth.", "network", categories.DYNAMIC, "stochastic depth"),
]
BY_MAIN = {each.main: each for each in IDEAS}


def request(parent, which, target=MutationTarget.CHANGE_MODULE, *, limits=NO_LIMITS, seed="0"):
    return Request(Parent(parent, COSTS), which, target, limits, seed)


def refinement(which, *, has_improved, used=(), limits=NO_LIMITS, seed="0"):
    edit = Parent(BASE, COSTS)
    return Refinement(edit, BASE, BASE, which, has_improved, frozenset(used), limits, seed)


@pytest.fixture
def generator(measure):
    return RulesGenerator([*IDEAS, *SCALE_UP_IDEAS], measure)


def test_chains_of_drafts_run_and_change_the_network(generator, trace):
    """Sixty drafts in chains of six: each must run, and differ from its parent in what is executed."""
    rng = random.Random(0)
    ideas = [*IDEAS, *HYPERPARAMETER_IDEAS]
    for _ in range(10):
        source, (graph, _) = BASE, trace(BASE)
        for _ in range(6):
            chosen, target = rng.choice(ideas), rng.choice(list(MutationTarget))
            draft = generator.draft(request(source, chosen, target, seed=str(rng.random())))
            changed, unused = trace(draft.source)
            assert changed != graph, draft.note
            assert unused == [], draft.note
            source, graph = draft.source, changed


@pytest.mark.parametrize("which", [*IDEAS, *HYPERPARAMETER_IDEAS], ids=lambda which: which.main or which.id)
@pytest.mark.parametrize("target", MutationTarget)
def test_every_idea_gives_a_draft(which, target, generator):
    draft = generator.draft(request(BASE, which, target))
    assert isinstance(draft, Draft)
    assert draft.source != BASE
    assert draft.idea is which
    assert draft.note


@pytest.mark.parametrize("style", STYLES)
def test_every_draft_is_python_whatever_the_style_of_its_parent(style, generator):
    for which in [*IDEAS, *HYPERPARAMETER_IDEAS]:
        for target in MutationTarget:
            draft = generator.draft(request(STYLES[style], which, target))
            assert isinstance(draft, Draft), (which.text, target, draft)
            assert Source(draft.source).used, (which.text, target)


def test_equal_requests_give_equal_drafts(generator):
    asked = request(BASE, IDEAS[5], MutationTarget.NEW_MODULE, seed="a")
    assert generator.draft(asked) == generator.draft(asked)
    others = {generator.draft(request(BASE, IDEAS[5], MutationTarget.NEW_MODULE, seed=str(n))).source for n in range(8)}
    assert len(others) > 1


@pytest.mark.parametrize("which", [IDEAS[1], IDEAS[2], IDEAS[8], IDEAS[9]], ids=lambda which: which.main)
def test_a_new_module_is_defined_and_used(which, generator):
    source = Source(generator.draft(request(BASE, which, MutationTarget.NEW_MODULE)).source)
    assert set(source.used) - set(Source(BASE).used)


@pytest.mark.parametrize("which", [IDEAS[1], IDEAS[2], IDEAS[9], IDEAS[14]], ids=lambda which: which.main)
def test_a_changed_module_is_not_network(which, generator):
    source = Source(generator.draft(request(BASE, which, MutationTarget.CHANGE_MODULE)).source)
    assert source.code(source.classes["Network"]) in BASE
    assert source.code(source.classes["ResidualBlock"]) not in BASE


@pytest.mark.parametrize("which", [IDEAS[7], IDEAS[8], IDEAS[13], IDEAS[14]], ids=lambda which: which.main)
def test_a_changed_network(which, generator):
    source = Source(generator.draft(request(BASE, which, MutationTarget.NETWORK)).source)
    assert source.code(source.classes["Network"]) not in BASE


def test_words_choose_the_operator(generator):
    draft = generator.draft(request(BASE, BY_MAIN[categories.ACTIVATION]))
    assert "nn.SiLU()" in draft.source
    draft = generator.draft(request(BASE, HYPERPARAMETER_IDEAS[2]))
    assert "SqueezeExcitation(" in draft.source


@pytest.mark.parametrize(("which", "factor"), list(zip(SCALE_UP_IDEAS, (1.6, 1.6, 3, 3), strict=True)))
def test_scaling_up_grows_wide_to_the_limits_and_deep_by_a_step(which, factor, generator, measure):
    costs = measure([BASE])[0]
    limits = Limits(3 * costs.params, 3 * costs.flops)
    draft = generator.draft(Request(Parent(BASE, costs), which, MutationTarget.NETWORK, limits, "0"))
    grown = measure([draft.source])[0]
    reached = Limits(round(factor * costs.params), round(factor * costs.flops))
    assert reached.allow(grown)
    assert max(reached.usage(grown).values()) > 0.75


def test_no_room_to_grow_is_a_failure(generator, measure):
    costs = measure([BASE])[0]
    limits = Limits(costs.params, costs.flops)
    result = generator.draft(Request(Parent(BASE, costs), SCALE_UP_IDEAS[0], MutationTarget.NETWORK, limits, "0"))
    assert isinstance(result, Failed)
    assert result.failure is Failure.NO_DRAFT


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_shrinking_meets_the_limits(seed, generator, measure):
    large = base_source("resnet", width=16, depth=2)
    costs = measure([large])[0]
    limits = Limits(costs.params // 3, costs.flops // 3)
    draft = Draft(large, "rules", IDEAS[0], note="a note", rewrites=1)
    small = generator.shrink(draft, Verdict(Failure.BUDGET), request(BASE, IDEAS[0], limits=limits, seed=seed))
    assert limits.allow(measure([small.source])[0])
    assert small.rewrites == 2
    assert small.idea is IDEAS[0]
    assert small.note.startswith("a note; ")


def test_what_cannot_shrink_is_a_failure(generator):
    draft = Draft(BASE, "rules", IDEAS[0])
    asked = request(BASE, IDEAS[0], limits=Limits(params=10))
    assert isinstance(generator.shrink(draft, Verdict(Failure.BUDGET), asked), Failed)


def test_rules_do_not_repair(generator):
    result = generator.repair(Draft("x", "rules", IDEAS[0]), Verdict(Failure.SYNTAX), request(BASE, IDEAS[0]))
    assert isinstance(result, Failed)
    assert result.failure is Failure.NO_DRAFT


def test_after_a_loss_the_idea_is_of_another_category(generator):
    for seed in range(8):
        draft = generator.refine(refinement(IDEAS[2], has_improved=False, seed=str(seed), limits=Limits(10**6)))
        assert draft.idea.main != IDEAS[2].main


def test_after_a_gain_the_idea_is_of_the_same_category(measure):
    near = [
        idea(n, f"Use {name}.", "operation", categories.ACTIVATION) for n, name in enumerate(["GELU", "SiLU", "PReLU"])
    ]
    generator = RulesGenerator([*near, *IDEAS], measure)
    chosen = {generator.refine(refinement(near[0], has_improved=True, seed=str(seed))).idea.id for seed in range(12)}
    assert chosen == {near[1].id, near[2].id, IDEAS[2].id}


def test_used_ideas_come_last(measure):
    near = [
        idea(n, f"Use {name}.", "operation", categories.ACTIVATION) for n, name in enumerate(["GELU", "SiLU", "PReLU"])
    ]
    generator = RulesGenerator(near, measure)
    for seed in range(6):
        draft = generator.refine(refinement(near[0], has_improved=True, used={near[1].id}, seed=str(seed)))
        assert draft.idea is near[2]


def test_after_a_scale_up_that_helped_comes_another_one(generator, measure):
    costs = measure([BASE])[0]
    limits = Limits(2 * costs.params, 2 * costs.flops)
    draft = generator.refine(refinement(SCALE_UP_IDEAS[2], has_improved=True, limits=limits))
    assert draft.idea.kind is IdeaKind.SCALE_UP
    assert draft.idea is not SCALE_UP_IDEAS[2]


def test_without_ideas_there_is_no_refinement(measure):
    assert isinstance(RulesGenerator([], measure).refine(refinement(IDEAS[0], has_improved=True)), Failed)


@pytest.mark.parametrize("parent", ["x = 1\n", "class Network(:\n"])
def test_a_parent_without_network_gives_no_draft(parent, generator):
    assert isinstance(generator.draft(request(parent, IDEAS[0])), Failed)


def test_refinement_ideas_are_four_and_four():
    assert [each.kind for each in SCALE_UP_IDEAS] == [IdeaKind.SCALE_UP] * 4
    assert [each.kind for each in HYPERPARAMETER_IDEAS] == [IdeaKind.HYPERPARAMETER] * 4
    assert len({each.id for each in (*SCALE_UP_IDEAS, *HYPERPARAMETER_IDEAS)}) == 8
