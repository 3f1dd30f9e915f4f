from dataclasses import replace

import pytest

from fairnad.config import DraftsConfig
from fairnad.generators.base import Parent, Request
from fairnad.records import Costs, Draft, Failed, Failure, Idea, Limits, MutationTarget, Verdict
from fairnad.verification.loop import MAX_MENDS, feedback_loop
from tests.fakes import TextGenerator

IDEA = Idea("a", "an idea")
REQUEST = Request(Parent("", Costs(1, 1)), IDEA, MutationTarget.NETWORK, Limits(), "seed")


def run(source, judge, **settings):
    return feedback_loop(
        Draft(source, "text", IDEA), REQUEST, generator=TextGenerator(), judge=judge, config=DraftsConfig(**settings)
    )


def by_words(source):
    if "broken" in source:
        return Verdict(Failure.FORWARD_ERROR, "it breaks")
    if "big" in source:
        return Verdict(Failure.BUDGET, "it is too big")
    return Verdict(None)


def test_an_accepted_draft_is_judged_once():
    assert [(draft.source, verdict.failure) for draft, verdict in run("fine", by_words)] == [("fine", None)]


def test_a_draft_is_repaired_then_shrunk_until_it_fits():
    judged = run("broken big big", by_words)
    assert [verdict.failure for _, verdict in judged] == [Failure.FORWARD_ERROR, Failure.BUDGET, Failure.BUDGET, None]
    assert [draft.rewrites for draft, _ in judged] == [0, 1, 2, 3]


@pytest.mark.parametrize(("failure", "calls"), [(Failure.FORWARD_ERROR, 3), (Failure.BUDGET, 5)])
def test_at_most_two_repairs_and_four_shrinks(failure, calls):
    judged = run("never good", lambda source: Verdict(failure, "no"))
    assert len(judged) == calls
    assert judged[-1][1].failure is failure


def test_repairs_and_shrinks_are_counted_over_the_whole_draft():
    verdicts = iter([Failure.FORWARD_ERROR, Failure.BUDGET] * 4)
    judged = run("never good", lambda source: Verdict(next(verdicts), "no"))
    # Two repairs are spent at the fifth verdict, which asks for a third.
    assert len(judged) == 5


def test_no_rewrite_mends_a_network_that_is_not_new():
    assert len(run("the same", lambda source: Verdict(Failure.STRUCTURE, "known"))) == 1


def test_a_generator_with_nothing_to_offer_ends_the_loop():
    class Mute(TextGenerator):
        def repair(self, draft, verdict, request):
            return Failed(Failure.NO_DRAFT, "nothing")

    judged = feedback_loop(
        Draft("broken", "text", IDEA), REQUEST, generator=Mute(), judge=by_words, config=DraftsConfig()
    )
    assert [verdict.failure for _, verdict in judged] == [Failure.FORWARD_ERROR]


class Handy(TextGenerator):
    """Repairs nothing; its program takes out one word a time."""

    def repair(self, draft, verdict, request):
        return replace(draft, source=f"{draft.source} again", rewrites=draft.rewrites + 1)

    def mend(self, draft, verdict, request):
        if "hopeless" in draft.source:
            return Failed(Failure.NO_DRAFT, "no program mends this")
        return replace(draft, source=draft.source.partition(" ")[2], note=f"{draft.note}mended ")


def handy(source):
    draft = Draft(source, "text", IDEA)
    return feedback_loop(draft, REQUEST, generator=Handy(), judge=by_words, config=DraftsConfig())


def test_a_program_mends_what_the_tries_left_refused():
    judged = handy("broken broken big fine")
    failures = [Failure.FORWARD_ERROR] * 4 + [Failure.BUDGET, None]
    assert [verdict.failure for _, verdict in judged] == failures
    assert [draft.note for draft, _ in judged] == ["", "", "", "mended ", "mended mended ", "mended mended mended "]


def test_a_program_mends_a_few_times_and_no_more():
    assert len(handy("broken " * 20)) == 3 + MAX_MENDS
    assert len(handy("broken hopeless")) == 3


@pytest.mark.parametrize(
    ("text", "graph_hash", "fallback", "calls"),
    [
        ("other text", "the graph", "rules", 1),
        ("other text", "the graph", "none", 4),
        ("other text", None, "rules", 4),
        ("", None, "rules", 1),
        ("", None, "none", 4),
    ],
)
def test_a_model_that_repeats_what_was_refused_is_not_asked_again_where_a_program_can_mend(
    text, graph_hash, fallback, calls
):
    class Stubborn(Handy):
        def shrink(self, draft, verdict, request):
            return replace(draft, source=draft.source + text, rewrites=draft.rewrites + 1)

        def mend(self, draft, verdict, request):
            return Failed(Failure.NO_DRAFT, "no program mends this")

    judged = feedback_loop(
        Draft("big", "text", IDEA),
        REQUEST,
        generator=Stubborn(),
        judge=lambda source: Verdict(Failure.BUDGET, "it is too big", graph_hash=graph_hash),
        config=DraftsConfig(fallback=fallback),
    )
    assert len(judged) == 1 + calls


def test_a_program_leaves_alone_what_is_accepted_or_not_new():
    assert len(handy("fine")) == 1
    draft = Draft("the same", "text", IDEA)
    known = Verdict(Failure.STRUCTURE, "known")
    judged = feedback_loop(draft, REQUEST, generator=Handy(), judge=lambda source: known, config=DraftsConfig())
    assert judged == ((draft, known),)


class Versatile(Handy):
    """Knows three forms of an idea, the last of them a good one."""

    def __init__(self, *forms):
        self.forms = forms
        self.asked = []

    def redraft(self, draft, request):
        self.asked.append((draft.source, request.form))
        return self.forms[request.form - 1] if request.form <= len(self.forms) else None


def versatile(draft, *forms, **settings):
    generator = Versatile(*forms)
    judged = feedback_loop(draft, REQUEST, generator=generator, judge=by_words, config=DraftsConfig(**settings))
    return generator, [(draft.source, verdict.failure) for draft, verdict in judged]


BROKEN = Draft("broken hopeless", "text", IDEA)
FINE = Draft("broken fine", "text", IDEA)


def test_an_idea_that_is_refused_for_good_is_drafted_in_another_form():
    generator, judged = versatile(BROKEN, FINE)
    assert judged[2] == ("broken hopeless again again", Failure.FORWARD_ERROR)
    assert judged[3:] == [
        ("broken fine", Failure.FORWARD_ERROR),
        ("broken fine again", Failure.FORWARD_ERROR),
        ("broken fine again again", Failure.FORWARD_ERROR),
        ("fine again again", None),
    ]
    assert generator.asked == [("broken hopeless again again", 1)]


def test_a_reply_without_a_draft_is_followed_by_another_form_too():
    unread = Failed(Failure.NO_DRAFT, "the reply is empty")
    generator, judged = versatile(unread, unread, FINE, forms=3)
    assert judged[:2] == [("", Failure.NO_DRAFT)] * 2
    assert judged[-1] == ("fine again again", None)
    assert generator.asked == [("", 1), ("", 2)]


@pytest.mark.parametrize(("forms", "asked"), [(1, 0), (2, 1), (3, 2), (9, 3)])
def test_forms_are_drafted_as_long_as_there_are_more(forms, asked):
    generator, judged = versatile(BROKEN, BROKEN, BROKEN, forms=forms)
    assert len(generator.asked) == asked
    assert len(judged) == 3 * min(forms, 3)


def test_an_accepted_draft_needs_no_other_form():
    generator, judged = versatile(Draft("fine", "text", IDEA), FINE)
    assert (judged, generator.asked) == ([("fine", None)], [])
