import pytest

from fairnad.architectures.source import Source
from fairnad.config import DraftsConfig
from fairnad.errors import ConfigError
from fairnad.generators.base import Parent, Request
from fairnad.llm.prompts import Prompts
from fairnad.mutations.base import Assignment
from fairnad.records import Draft, Failure, Idea, IdeaKind, Limits, MutationTarget, SlotKey, Stage, Verdict
from fairnad.search.drafting import Decision, Drafting
from fairnad.verification.model_judge import ModelJudge
from tests.fakes import TextGenerator, TextVerifier, child
from tests.generators.scripted import ScriptedLLM

BASE = child(0)


def decision(kind=IdeaKind.KNOWLEDGE):
    idea = Idea("an idea", "do it", kind)
    request = Request(Parent(BASE.source, BASE.costs), idea, MutationTarget.NETWORK, Limits(), "1/0")
    return Decision(
        key=SlotKey(1, Stage.FAIR, 0),
        mutation=None,
        parent=BASE,
        first=Assignment(request, BASE),
        known=(BASE,),
        used={},
        hashes=frozenset(),
        seed="1",
        decided=1,
        seen=1,
    )


@pytest.mark.parametrize(
    ("kind", "has_own_ideas", "used"),
    [
        (IdeaKind.KNOWLEDGE, False, {0: {"an idea"}}),
        (IdeaKind.KNOWLEDGE, True, {}),
        (IdeaKind.SCALE_UP, True, {0: {"an idea"}}),
    ],
)
def test_an_idea_that_the_generator_replaces_is_not_used_up(kind, has_own_ideas, used):
    found = {}
    decision(kind).add_idea(found, has_own_ideas=has_own_ideas)
    assert found == used


class TwoForms(TextGenerator):
    def redraft(self, draft, request):
        return Draft(f"{draft.source} again", self.name, draft.idea)


def test_the_model_judges_each_form_by_a_question_of_its_own():
    llm = ScriptedLLM("##response##no", "##response##yes")
    drafting = Drafting(TwoForms(), TextVerifier(), DraftsConfig(), ModelJudge(llm, Prompts()))
    filled = drafting.fill(decision())
    assert [judged.verdict.is_accepted for judged in filled.drafts] == [False, True]
    assert filled.chosen == 1
    assert llm.services == [("1/0/structure", 0), ("1/0/structure", 2)]


class Garbling(TextGenerator):
    """Reads a text of its own that is no Python: when it drafts, or when it mends."""

    def __init__(self, verb):
        super().__init__()
        self._verb = verb

    def draft(self, request):
        return Source("class (") if self._verb == "draft" else super().draft(request)

    def repair(self, draft, verdict, request):
        return Source("class (")


class Refusing(TextVerifier):
    def judge(self, source, known):
        return Verdict(Failure.SHAPE, "mend it")


@pytest.mark.parametrize("verb", ["draft", "repair"])
def test_a_text_that_the_generator_garbled_is_no_draft_and_no_end(verb):
    drafting = Drafting(Garbling(verb), Refusing(), DraftsConfig(max_per_slot=1))
    (judged,) = drafting.fill(decision()).drafts
    assert judged.verdict.failure is Failure.NO_DRAFT
    assert "cannot be parsed" in judged.verdict.reason
    assert judged.draft.idea.id == "an idea"


def test_a_setting_that_cannot_be_used_ends_the_search():
    class Misconfigured(TextGenerator):
        def draft(self, request):
            raise ConfigError("the prompt cannot be used")

    with pytest.raises(ConfigError, match="the prompt"):
        Drafting(Misconfigured(), TextVerifier(), DraftsConfig()).fill(decision())
