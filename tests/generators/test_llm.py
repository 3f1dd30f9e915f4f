import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fairnad.architectures.bases import base_source
from fairnad.architectures.source import Source
from fairnad.config import Config, DraftsConfig, IdeasConfig
from fairnad.errors import LLMError
from fairnad.generators.base import GENERATORS, Mender, Parent, Refinement, Request
from fairnad.generators.llm import LLMGenerator
from fairnad.generators.modules import choose_part
from fairnad.knowledge.attributes import AttributeTree
from fairnad.llm.prompts import Prompts
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.plugins import load
from fairnad.records import Costs, Draft, Failed, Failure, Idea, IdeaKind, Limits, MutationTarget, Verdict
from fairnad.verification.loop import feedback_loop
from tests.fakes import child
from tests.generators.scripted import ScriptedLLM, cut, fenced

BASE = base_source("resnet", width=8, depth=1)
COSTS = Costs(43_186, 1_429_504)
IDEA = Idea(
    "a", "Use SiLU in the blocks.", target="performance", granularity="operation", main="activation", sub="silu"
)
GATE = Idea("b", "Gate the channels.", target="performance", granularity="block", main="adaptive feature recalibration")
LIMITS = Limits(112_000, 3_700_000)
CHILD = BASE.replace("nn.ReLU()", "nn.SiLU()")
BROKEN = CHILD.replace("conv2 = nn.Conv2d(out_channels,", "conv2 = nn.Conv2d(in_channels,")
BLOCK = CHILD[CHILD.index("class ResidualBlock") : CHILD.index("class Network")].strip()
EDIT = "<<<<<<< SEARCH\n        self.act1 = nn.ReLU()\n=======\n        self.act1 = nn.SiLU()\n>>>>>>> REPLACE\n"
ERROR = Verdict(Failure.FORWARD_ERROR, "forward raised RuntimeError: expected 8 channels", "Traceback: line 25")
TOO_BIG = Verdict(Failure.BUDGET, "params are over the limit", costs=Costs(120_000, 3_000_000))


def make(llm, style="rewrite", *, source="structured", fallback="rules", library=0, measure=None):
    drafts = DraftsConfig(style=style, fallback=fallback, library=library)
    config = Config(drafts=drafts, ideas=IdeasConfig(source=source))
    return LLMGenerator(
        [IDEA, GATE, *SCALE_UP_IDEAS, *HYPERPARAMETER_IDEAS],
        measure or (lambda sources: [None] * len(sources)),
        llm=llm,
        prompts=Prompts(),
        config=config,
        input_shape=(3, 16, 16),
        num_classes=10,
        tree=AttributeTree.load(),
    )


def request(idea=IDEA, target=MutationTarget.CHANGE_MODULE, seed="1/1/I/0/0/write"):
    return Request(Parent(BASE, COSTS), idea, target, LIMITS, seed)


def refinement(*, has_improved=True, idea=IDEA, used=frozenset({"b"})):
    return Refinement(Parent(BASE, COSTS), BASE, CHILD, idea, has_improved, used, LIMITS, "1/1/III/0/0/write")


def test_it_is_a_known_generator_with_a_program_behind_it():
    assert load("llm", GENERATORS, what="generator") is LLMGenerator
    assert isinstance(make(ScriptedLLM()), Mender)


def test_a_rewrite_is_read_from_the_reply_and_keeps_what_passed():
    llm = ScriptedLLM(fenced(CHILD))
    draft = make(llm).draft(request())
    assert draft.source == CHILD
    assert (draft.generator, draft.idea, draft.note) == ("llm", IDEA, "mutation")
    assert draft.reply == fenced(CHILD)
    assert draft.prompt == llm.prompts[0].text
    assert IDEA.text in draft.prompt
    assert "self.layers3: 16 channels in, 32 channels out" in draft.prompt
    assert "112,000 parameters" in draft.prompt


def test_a_registered_network_is_unwrapped():
    registered = CHILD.replace("class Network", "@MODELS.register_module(force=True)\nclass Network")
    draft = make(ScriptedLLM(fenced(f"from mmengine.registry import MODELS\n{registered}"))).draft(request())
    assert "MODELS" not in draft.source
    assert list(Source(draft.source).classes) == ["ResidualBlock", "Network"]


def test_edits_change_the_parent():
    draft = make(ScriptedLLM(f"The first activation changes.\n\n{EDIT}"), "edits").draft(request())
    assert draft.source == BASE.replace("self.act1 = nn.ReLU()", "self.act1 = nn.SiLU()")
    assert draft.note == "edits"


def test_a_whole_network_is_taken_where_edits_were_asked_for():
    assert make(ScriptedLLM(fenced(CHILD)), "edits").draft(request()).source == CHILD


def test_one_class_is_put_in_the_place_of_a_block():
    llm = ScriptedLLM(fenced(BLOCK.replace("ResidualBlock", "NewBlock")))
    draft = make(llm, "module").draft(request())
    parsed = Source(draft.source)
    assert list(parsed.classes) == ["NewBlock", "Network"]
    assert "nn.SiLU()" in parsed.code(parsed.classes["NewBlock"])
    assert "class Network" not in draft.prompt
    assert "NewBlock(in_channels, out_channels, stride=1)" in draft.prompt
    assert draft.note == "module: block NewBlock in place of ResidualBlock"


def test_a_class_by_another_name_is_taken_for_the_one_that_was_asked_for():
    draft = make(ScriptedLLM(fenced(BLOCK.replace("ResidualBlock", "SiluBlock"))), "auto").draft(request())
    assert list(Source(draft.source).classes) == ["NewBlock", "Network"]


def test_an_alias_of_the_class_that_was_asked_for_names_it():
    written = f"{BLOCK.replace('ResidualBlock', 'SiluBlock')}\n\n\nNewBlock = SiluBlock"
    draft = make(ScriptedLLM(fenced(written)), "auto").draft(request())
    assert list(Source(draft.source).classes) == ["NewBlock", "Network"]
    assert "SiLU" in draft.source


def test_one_class_that_was_cut_off_is_asked_for_once_more():
    llm = ScriptedLLM(cut(""), fenced(BLOCK.replace("ResidualBlock", "NewBlock")))
    assert "SiLU" in make(llm, "auto").draft(request()).source
    assert "code alone" in llm.prompts[1].messages[1].text


def test_an_idea_is_kept_where_the_code_alone_is_asked_for():
    llm = ScriptedLLM(cut(f"Idea: Use SiLU.\n```python\n{CHILD[:300]}"), fenced(CHILD))
    assert make(llm, source="llm").draft(request()).idea.text == "Use SiLU."


def test_a_reply_that_was_cut_off_is_asked_for_once_more_with_code_alone():
    llm = ScriptedLLM(cut(f"First I think.\n\n```python\n{CHILD[:300]}"), fenced(CHILD))
    draft = make(llm).draft(request())
    assert draft.source == CHILD
    first, second = llm.prompts
    assert second.messages[0] == first.messages[0]
    assert second.messages[1].text.startswith(first.messages[1].text)
    assert "code alone" in second.messages[1].text
    assert llm.services == [("1/1/I/0/0", 0), ("1/1/I/0/0", 1)]


def test_edits_of_what_is_not_there_are_asked_for_once_more():
    llm = ScriptedLLM(EDIT.replace("nn.ReLU()", "nn.Softplus()"), EDIT)
    draft = make(llm, "edits").draft(request())
    assert "self.act1 = nn.SiLU()" in draft.source
    assert "exactly" in llm.prompts[1].text.removeprefix(llm.prompts[0].text)


@pytest.mark.parametrize(
    ("style", "reply", "kind"),
    [
        ("rewrite", "I would rather not.", "no_code"),
        ("rewrite", "", "empty"),
        ("rewrite", fenced(BASE), "unchanged"),
        ("edits", EDIT.replace("nn.ReLU()", "nn.Softplus()"), "edit"),
        ("module", "I would rather not.", "no_code"),
    ],
)
def test_a_reply_without_a_draft_is_a_failure_that_names_its_kind(style, reply, kind):
    failed = make(ScriptedLLM(reply, reply), style).draft(request())
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.NO_DRAFT
    assert f"({kind})" in failed.reason


@pytest.mark.parametrize(("style", "kept"), [("rewrite", "return self.fc(x"), ("module", "class Network")])
def test_code_with_an_error_is_a_draft_for_the_repair(style, kept):
    broken = CHILD.replace("return self.fc(x)", "return self.fc(x")
    draft = make(ScriptedLLM(fenced(broken)), style).draft(request())
    assert isinstance(draft, Draft)
    assert kept in draft.source
    assert "syntax" in draft.note


def test_an_error_of_the_endpoint_ends_the_search():
    class Gone(ScriptedLLM):
        def complete(self, prompt, service):
            raise LLMError("it is gone", kind="network")

    with pytest.raises(LLMError, match="gone"):
        make(Gone()).draft(request())


def test_a_repair_shows_the_failed_network_its_parent_and_the_error():
    llm = ScriptedLLM(fenced(BROKEN), fenced(CHILD))
    generator = make(llm)
    draft = generator.draft(request())
    mended = generator.repair(draft, ERROR, request())
    assert (mended.source, mended.rewrites, mended.note) == (CHILD, 1, "mutation; debug")
    assert all(told in mended.prompt for told in (BROKEN.strip(), BASE.strip(), IDEA.text, ERROR.reason, ERROR.details))
    assert llm.services[-1] == ("1/1/I/0/0", 1)


def test_a_repair_of_one_class_asks_for_it_once_more_and_shows_the_error_alone():
    block = BROKEN[BROKEN.index("class ResidualBlock") : BROKEN.index("class Network")].strip()
    llm = ScriptedLLM(*(fenced(text.replace("ResidualBlock", "NewBlock")) for text in (block, BLOCK)))
    generator = make(llm, "module")
    mended = generator.repair(generator.draft(request()), ERROR, request())
    assert llm.prompts[1].text.startswith(llm.prompts[0].text)
    assert ERROR.reason in llm.prompts[1].text
    assert Source(mended.source).definitions.keys() == {"NewBlock", "Network"}
    assert BLOCK.replace("ResidualBlock", "NewBlock") in mended.source


def test_a_repair_after_edits_is_edits_too():
    llm = ScriptedLLM(EDIT, EDIT.replace("nn.SiLU()", "nn.GELU()").replace("nn.ReLU()", "nn.SiLU()"))
    generator = make(llm, "edits")
    mended = generator.repair(generator.draft(request()), ERROR, request())
    assert mended.source == BASE.replace("self.act1 = nn.ReLU()", "self.act1 = nn.GELU()")
    assert (mended.rewrites, llm.prompts[1].task) == (1, "debug_short")
    assert llm.prompts[1].temperature < 0.7


def test_a_repair_that_cannot_be_read_is_a_try_less():
    generator = make(ScriptedLLM(fenced(BROKEN), "Sorry."))
    mended = generator.repair(generator.draft(request()), ERROR, request())
    assert (mended.source, mended.rewrites) == (BROKEN, 1)
    assert "debug failed (no_code)" in mended.note


@pytest.mark.parametrize(
    ("costs", "idea", "task"),
    [
        (Costs(120_000, 3_000_000), IDEA, "shrink_size"),
        (Costs(169_000, 3_000_000), IDEA, "shrink_module"),
        (Costs(169_000, 3_000_000), SCALE_UP_IDEAS[0], "shrink_size"),
    ],
)
def test_what_is_far_too_large_is_used_once_except_in_stage_ii(costs, idea, task):
    llm = ScriptedLLM(fenced(CHILD))
    big = Verdict(Failure.BUDGET, "params are over the limit", costs=costs)
    shrunk = make(llm).shrink(Draft(BROKEN, "llm", idea, "mutation"), big, request(idea))
    assert llm.prompts[0].task == task
    assert (shrunk.source, shrunk.note) == (CHILD, f"mutation; {task}")


@pytest.mark.parametrize("has_improved", [True, False])
def test_a_refinement_brings_its_own_idea(has_improved):
    llm = ScriptedLLM(f"It helped.\nIdea: Use *SiLU* everywhere.\n\n{fenced(CHILD)}")
    draft = make(llm).refine(refinement(has_improved=has_improved))
    assert (draft.idea.kind, draft.idea.text) == (IdeaKind.OWN, "Use *SiLU* everywhere.")
    assert draft.note == ("refine_improved" if has_improved else "refine_degraded")
    prompt = draft.prompt
    assert all(text in prompt for text in (GATE.text, SCALE_UP_IDEAS[0].text, "layer arrangement and order"))


def test_equal_ideas_of_the_models_own_have_equal_ids():
    ideas = [make(ScriptedLLM(f"Idea: {text}\n{fenced(CHILD)}")).refine(refinement()).idea for text in ("x", "x", "y")]
    assert ideas[0] == ideas[1]
    assert ideas[0].id != ideas[2].id


@pytest.mark.parametrize("style", ["edits", "module"])
def test_a_small_model_is_asked_for_the_idea_first_and_then_for_little_code(style):
    code = EDIT if style == "edits" else fenced(BLOCK.replace("ResidualBlock", "NewBlock"))
    llm = ScriptedLLM("Idea: Use SiLU in the blocks.", code)
    draft = make(llm, style).refine(refinement())
    assert [prompt.task for prompt in llm.prompts] == ["next_idea", style]
    assert "nn.SiLU()" in draft.source
    assert llm.services == [("1/1/III/0/0", 0), ("1/1/III/0/0", 1)]
    assert draft.idea.text == "Use SiLU in the blocks."
    assert BASE.strip() not in llm.prompts[0].text


def test_a_refinement_without_an_idea_is_no_draft():
    failed = make(ScriptedLLM("I cannot say."), "module").refine(refinement())
    assert failed.failure is Failure.NO_DRAFT


def test_without_papers_the_idea_is_the_models_own():
    llm = ScriptedLLM(f"Idea: Use SiLU.\n{fenced(CHILD)}", fenced(CHILD))
    generator = make(llm, "module", source="llm")
    draft = generator.draft(request())
    assert (draft.idea.kind, draft.idea.text) == (IdeaKind.OWN, "Use SiLU.")
    assert IDEA.text not in draft.prompt
    assert generator.repair(draft, ERROR, request()).source == CHILD
    assert "class Network" in llm.prompts[1].text


def test_flat_ideas_come_without_the_tree():
    llm = ScriptedLLM(f"Idea: x\n{fenced(CHILD)}")
    assert "layer arrangement and order" not in make(llm, source="flat").refine(refinement()).prompt


def test_what_the_tries_left_broken_is_mended_by_program(measure):
    generator = make(ScriptedLLM(), measure=measure)
    mended = generator.mend(Draft(BROKEN, "llm", IDEA, "mutation", rewrites=2), ERROR, request())
    assert measure([BROKEN]) == (None,)
    assert measure([mended.source])[0] is not None
    assert mended.note.startswith("mutation; mended by program: ResidualBlock.conv2")
    assert (mended.idea, mended.rewrites) == (IDEA, 3)


def test_what_the_tries_left_too_large_is_fitted_by_program(measure):
    wide = CHILD.replace("16", "24").replace("32", "64")
    (costs,) = measure([wide])
    big = Verdict(Failure.BUDGET, "params are over the limit", costs=costs)
    mended = make(ScriptedLLM(), measure=measure).mend(Draft(wide, "llm", IDEA, "mutation"), big, request())
    assert LIMITS.allow(measure([mended.source])[0])
    assert mended.note.startswith("mutation; mended by program; fitted by")


@pytest.mark.parametrize("verdict", [ERROR, TOO_BIG])
def test_without_the_fallback_nothing_is_mended(verdict, measure):
    generator = make(ScriptedLLM(), measure=measure)
    for fallback, is_mended in (("none", False), ("rules", True)):
        config = DraftsConfig(fallback=fallback, max_repairs=0, max_shrinks=0)
        draft = Draft(BROKEN if verdict is ERROR else base_source("resnet", width=16, depth=1), "llm", IDEA)
        verdicts = iter([verdict] + 9 * [Verdict(None)])
        judged = feedback_loop(
            draft, request(), generator=generator, judge=lambda _, v=verdicts: next(v), config=config
        )
        assert (len(judged) > 1) == is_mended, judged[-1][0].note


def test_calls_are_numbered_for_each_attempt_in_whatever_thread():
    class Echo(ScriptedLLM):
        def complete(self, prompt, service):
            self._replies.append("Sorry.")
            return super().complete(prompt, service)

    llm = Echo()
    generator = make(llm)

    def work(slot):
        asked = request(seed=f"1/1/I/{slot}/0/write")
        generator.draft(asked)
        for _ in range(3):
            generator.repair(Draft(BROKEN, "llm", IDEA), ERROR, asked)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sorted(llm.services) == [(f"1/1/I/{slot}/0", number) for slot in range(4) for number in range(4)]


def test_an_attempt_that_is_drafted_again_repeats_its_numbers():
    llm = ScriptedLLM(fenced(CHILD), fenced(CHILD))
    generator = make(llm)
    assert generator.draft(request()) == generator.draft(request())
    assert llm.services == [("1/1/I/0/0", 0)] * 2
    assert llm.prompts[0] == llm.prompts[1]


GATING = "class {name}(nn.Module):\n    def __init__(self, channels):\n        super().__init__()\n"
GATING += "        self.conv = {conv}\n\n    def forward(self, x):\n        return {result}\n"
CONV = "nn.Conv2d(channels, channels, 1)"


def gated():
    """Return the request for a gate, and the same one after a child that has one."""
    asked = request(GATE, MutationTarget.NEW_MODULE)
    part = choose_part(BASE, GATE, asked.target, random.Random(0))
    source = part.put(GATING.format(name=part.name, conv=CONV, result="x * torch.sigmoid(self.conv(x))"))
    earlier = (replace(child(0), source=BASE), replace(child(1, idea=GATE), source=source))
    return asked, replace(asked, earlier=earlier)


def test_a_class_of_an_earlier_child_is_shown_where_that_is_wanted():
    plain, asked = gated()
    reply = fenced(GATING.format(name="AddedLayer", conv=CONV, result="x * self.conv(x)"))
    prompts = {}
    for name, size, one in (("none", 1, plain), ("off", 0, asked), ("shown", 1, asked), ("again", 1, asked)):
        llm = ScriptedLLM(reply, reply)
        generator = make(llm, "module", library=size)
        draft = generator.draft(one)
        generator.repair(draft, ERROR, one)
        prompts[name] = [prompt.text for prompt in llm.prompts]
        assert prompts[name][1].startswith(prompts[name][0])
    assert prompts["none"] == prompts["off"]
    assert prompts["shown"] == prompts["again"]
    assert "AddedLayerBy1" not in prompts["off"][0]
    assert "```python\n# AddedLayerBy1(channels): x of shape" in prompts["shown"][0]
    assert "This class did well earlier" in prompts["shown"][0]
    assert "something else than the classes above" in prompts["shown"][0]


def test_a_class_that_was_shown_may_be_used_as_if_it_were_there(measure):
    _, asked = gated()
    llm = ScriptedLLM(
        fenced(GATING.format(name="AddedLayer", conv="AddedLayerBy1(channels)", result="x + self.conv(x)"))
    )
    generator = make(llm, "module", library=1, measure=measure)
    draft = generator.draft(asked)
    assert measure([draft.source]) == (None,)
    unknown = Verdict(Failure.FORWARD_ERROR, "forward raised NameError: AddedLayerBy1")
    mended = generator.mend(draft, unknown, asked)
    assert "took AddedLayerBy1 from an earlier child" in mended.note
    assert measure([mended.source])[0] is not None


NEW_BLOCK = fenced(BLOCK.replace("ResidualBlock", "NewBlock"))


def test_another_form_of_an_idea_is_another_class():
    llm = ScriptedLLM("Sorry.", NEW_BLOCK, NEW_BLOCK)
    generator, asked = make(llm, "auto"), request(GATE)
    assert isinstance(generator.draft(asked), Failed)
    other = replace(asked, form=1)
    draft = generator.redraft(Draft("", "llm", GATE), other)
    assert (draft.note, draft.idea) == ("module: block NewBlock in place of ResidualBlock", GATE)
    repaired = generator.repair(draft, ERROR, other)
    assert repaired.source == draft.source
    assert [("AddedLayer" in prompt.text, "NewBlock" in prompt.text) for prompt in llm.prompts] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    assert [number for _, number in llm.services] == [0, 1, 2]


def test_another_form_of_a_refinement_keeps_its_idea():
    llm = ScriptedLLM("Idea: Use SiLU in the blocks.", NEW_BLOCK, NEW_BLOCK)
    generator, asked = make(llm, "auto"), refinement()
    first = generator.refine(asked)
    second = generator.redraft(first, replace(asked, form=1))
    assert (first.idea.text, second.idea) == ("Use SiLU in the blocks.", first.idea)
    assert first.note != second.note
    assert len(llm.prompts) == 3


def test_a_refinement_without_a_draft_keeps_its_idea_too():
    llm = ScriptedLLM("Idea: Gate the channels.", "Sorry.", NEW_BLOCK)
    generator, asked = make(llm, "auto"), refinement()
    unread = generator.refine(asked)
    assert isinstance(unread, Failed)
    assert unread.idea.text == "Gate the channels."
    assert generator.redraft(Draft("", "llm", unread.idea), replace(asked, form=1)).idea == unread.idea


def test_an_idea_of_the_models_own_has_no_other_form():
    generator = make(ScriptedLLM("Sorry."), "auto", source="llm")
    unread = generator.draft(request())
    assert unread.idea.kind is IdeaKind.OWN
    assert generator.redraft(Draft("", "llm", unread.idea), replace(request(), form=1)) is None


def test_a_copy_of_the_class_that_was_shown_is_asked_for_again_without_it():
    copy = BASE[BASE.index("class ResidualBlock") : BASE.index("class Network")].strip()
    copy = fenced(copy.replace("ResidualBlock", "NewBlock").replace("shortcut around", "way around"))
    llm = ScriptedLLM(copy, NEW_BLOCK, copy, copy)
    generator, asked = make(llm, "auto"), request()
    draft = generator.draft(asked)
    assert "SiLU" in draft.source
    assert [IDEA.text in prompt.text for prompt in llm.prompts] == [True, True]
    assert ["class ResidualBlock" in prompt.text for prompt in llm.prompts] == [True, False]
    assert draft.prompt == llm.prompts[1].text
    repaired = generator.repair(draft, ERROR, asked)
    assert (repaired.source, repaired.rewrites) == (draft.source, 1)
    assert repaired.note.endswith("module failed (unchanged)")
    assert [ERROR.reason in prompt.text for prompt in llm.prompts[2:]] == [True, True]


def test_a_network_beside_the_class_is_not_taken_for_it():
    gate = "class Gate(nn.Module):\n    def forward(self, x):\n        return x * torch.sigmoid(x) + F.Gate\n"
    draft = make(ScriptedLLM(fenced(f"{gate}\n\n{CHILD}")), "auto").draft(request(GATE))
    assert (
        "class AddedLayer(nn.Module):\n    def forward(self, x):\n        return x * torch.sigmoid(x)" in draft.source
    )
    assert "F.Gate" in draft.source
    assert list(Source(draft.source).classes)[-1] == "Network"


@pytest.mark.parametrize(
    ("style", "form", "idea"), [("rewrite", 1, IDEA), ("edits", 1, IDEA), ("auto", 3, IDEA), ("auto", 1, None)]
)
def test_there_is_no_other_form(style, form, idea):
    asked = replace(request() if idea else refinement(), form=form)
    assert make(ScriptedLLM(), style).redraft(Draft("", "llm", idea), asked) is None
