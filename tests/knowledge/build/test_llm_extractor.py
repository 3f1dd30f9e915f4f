"""What a language model is asked about a paper, and what is made of its replies."""

import re

import pytest

from fairnad.errors import ReplyError
from fairnad.knowledge.attributes import Attribute, AttributeTree
from fairnad.knowledge.build.llm_extractor import LLMExtractor, longest_prompt, parts_of
from fairnad.knowledge.build.papers import Paper, Section
from fairnad.knowledge.build.steps import Candidate, Step
from fairnad.llm.base import Finish, Reply
from fairnad.llm.prompts import Prompts
from fairnad.resources import resource

TREE = AttributeTree.load()
PROMPTS = Prompts()
RELU = "##response##performance*operation level*activation*relu"
METHOD = "Each gate is a sigmoid of a learned scalar.\n\nIt multiplies the shortcut before the addition."
PAPER = Paper(
    file="gates.pdf",
    title="Gated Shortcuts",
    authors=("Ada Example",),
    abstract="We gate shortcuts.",
    sections=(Section("Introduction", "Shortcuts copy. " * 900, 1), Section("Method", METHOD, 2)),
    method=f"Method\n\n{METHOD}",
    warnings=(),
    sha256="ab" * 32,
    pages=("Shortcuts copy. " * 900, METHOD),
)


class Scripted:
    """Answers with one reply after the other."""

    name = "scripted"

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []

    def complete(self, prompt, service):
        self.asked.append((prompt, service))
        reply = self.replies.pop(0)
        return reply if isinstance(reply, Reply) else Reply(reply)


def extractor(*replies, **options):
    llm = Scripted(*replies)
    return LLMExtractor(llm, PROMPTS, TREE, **options), llm


@pytest.mark.parametrize(
    ("reply", "is_kept"),
    [
        (f"It is.\n{RELU}", True),
        (f"##response##yes\n\n{RELU.removeprefix('##response##')}", True),
        ("It trains only.\n##response##no", False),
        ("No.\n", False),
    ],
)
def test_a_paper_is_judged_by_its_abstract(reply, is_kept):
    asked, llm = extractor(reply)
    judged = asked.judge(PAPER)
    assert (judged.is_kept, bool(judged.why)) == (is_kept, not is_kept)
    ((prompt, service),) = llm.asked
    assert PAPER.abstract in prompt.text
    assert METHOD not in prompt.text
    assert service.served == f"paper_filter of {PAPER.sha256[:16]} by scripted"


def test_a_reply_that_cannot_be_read_is_asked_for_once_more():
    asked, llm = extractor("What a nice paper.", RELU)
    assert asked.judge(PAPER).is_kept
    assert [service.number for _, service in llm.asked] == [0, 1]
    asked, llm = extractor("What a nice paper.", "I enjoyed it.")
    with pytest.raises(ReplyError, match="no ##response##"):
        asked.judge(PAPER)
    assert len(llm.asked) == 2


def test_ideas_know_their_page_and_passage():
    asked, llm = extractor("- Multiply each shortcut by a learned sigmoid gate\n- Quantize wavelet codebooks jointly")
    gate, other = asked.extract(PAPER)
    assert (gate.text, gate.page) == ("Multiply each shortcut by a learned sigmoid gate", 2)
    assert gate.passage in METHOD.split("\n\n")
    assert (other.page, other.passage) == (None, "")
    assert PAPER.sections[0].text in llm.asked[0][0].text
    assert METHOD in llm.asked[0][0].text


def test_the_examples_of_the_prompt_are_no_ideas_of_a_paper():
    shown = re.findall(r"^- (\w.*)$", PROMPTS.render("ideas", paper="", tree=TREE).text, re.MULTILINE)[-2:]
    asked, _ = extractor("\n".join([*(f"- {example}." for example in shown), "- Multiply shortcuts by a sigmoid gate"]))
    assert [one.text for one in asked.extract(PAPER)] == ["Multiply shortcuts by a sigmoid gate"]


def test_a_long_paper_is_read_by_the_parts_of_its_method():
    long = Paper(
        file="long.pdf", title="T", authors=(), abstract="A.", sections=(Section("Method", "x. " * 9000, 1),),
        method="\n\n".join(f"Part {number}. " + "A gate is added here. " * 250 for number in range(3)), warnings=(),
        sha256="cd" * 32, pages=("x",),
    )  # fmt: skip
    room = longest_prompt(PROMPTS, TREE)
    asked, llm = extractor("- Add a gate to it", "- add a gate to it\n- Add two gates", "- Add three gates", room=room)
    assert [one.text for one in asked.extract(long)] == ["Add a gate to it", "Add two gates", "Add three gates"]
    assert [service.number for _, service in llm.asked] == [0, 2, 4]
    assert all(len(prompt.text) <= room for prompt, _ in llm.asked)


def test_a_part_without_ideas_takes_none_from_the_others():
    long = Paper("long.pdf", "T", (), "A.", (), "\n\n".join("A gate. " * 700 for _ in range(2)), (), "cd" * 32, ("x",))
    none = ["There are no ideas in it."] * 2
    room = longest_prompt(PROMPTS, TREE)
    asked, _ = extractor(*none, "- Add two gates", room=room)
    assert [one.text for one in asked.extract(long)] == ["Add two gates"]
    asked, llm = extractor(*none, *none, room=room)
    with pytest.raises(ReplyError, match="lists no idea"):
        asked.extract(long)
    assert len(llm.asked) == 4


def test_parts_have_the_whole_text_and_no_more_than_is_allowed():
    text = "\n\n".join(["one " * 30, "two " * 400, "three " * 10])
    paper = Paper("p", "T", (), "A", (), text, (), "0", ())
    assert parts_of(paper, None) == (f"T\n\nA\n\n{text}",)
    parts = parts_of(paper, 200)
    assert max(map(len, parts)) <= 200
    assert "".join(part.removeprefix("T\n\n") for part in parts).split() == text.split()


def test_the_last_idea_of_a_reply_that_was_cut_short_is_left_out():
    asked, _ = extractor(Reply("- Add a gate to each block\n- Add a second", Finish.LENGTH))
    assert [one.text for one in asked.extract(PAPER)] == ["Add a gate to each block"]


def test_tags_are_mapped_into_the_tree_or_the_idea_is_dropped():
    texts = (
        "Put a ReLU behind each convolution",
        "Use a contrastive loss function",
        "Replace the pooling layers by strided convolutions",
        "Add a residual connection around each block",
        "Concatenate the features of all stages",
    )
    reply = f"1 {RELU}\n2. ##response##no\n\n3: ##response##performance*operation level*painting*oil\n"
    asked, llm = extractor(reply)
    tagged = asked.tag("ef" * 32, tuple(Candidate(text, 1, "p") for text in (*texts[:1], *texts[1:])))
    assert [one.text for one in tagged] == list(texts)
    assert tagged[0].place == Attribute("performance", "operation", "activation", "relu")
    assert [one.place for one in tagged[1:]] == [None] * 4
    assert tagged[1].why.startswith("off topic")
    assert texts[1] not in llm.asked[0][0].text
    assert [one.why for one in tagged[2:]] == [
        "not about the architecture of a backbone",
        "outside the tree",
        "no tags that can be read",
    ]


def test_a_place_without_its_target_is_found_by_its_names():
    asked, _ = extractor("1 ##response##network level*dynamic computation")
    (tagged,) = asked.tag("ef" * 32, (Candidate("Skip each block by a gate that depends on its input", 1, ""),))
    assert tagged.place == Attribute("efficiency", "network", "dynamic computation")


def test_tags_of_nothing_ask_nothing():
    asked, llm = extractor()
    assert asked.tag("ef" * 32, ()) == ()
    assert llm.asked == []


def test_tags_without_any_line_that_can_be_read_are_no_reply():
    asked, _ = extractor("Nice ideas!", "Really!")
    with pytest.raises(ReplyError):
        asked.tag("ef" * 32, (Candidate("Put a ReLU behind it", 1, ""), Candidate("Put a GELU behind it", 1, "")))


def test_a_version_follows_prompts_and_tree(tmp_path):
    first = extractor()[0].versions
    assert extractor()[0].versions == first
    fewer = AttributeTree(tuple(place for place in TREE.attributes if place.sub != "relu"))
    assert not set(LLMExtractor(Scripted(), PROMPTS, fewer).versions.values()) & set(first.values())
    shipped = PROMPTS.render("ideas", paper="", tree=TREE)
    assert shipped.hash
    (tmp_path / "ideas.j2").write_text(
        "{# inputs: paper, tree #}\n{% block user %}List ideas. {{ paper }}{{ tree.mains() | length }}{% endblock %}\n"
    )
    changed = LLMExtractor(Scripted(), Prompts(tmp_path), TREE).versions
    assert [changed[step] == first[step] for step in Step] == [True, False, False]


def test_a_version_follows_what_a_prompt_writes_for_each_idea(tmp_path):
    shipped = resource("prompts", "tags.j2").read_text()
    (tmp_path / "tags.j2").write_text(shipped.replace("{{ loop.index }}", "{{ loop.index }}."))
    changed = LLMExtractor(Scripted(), Prompts(tmp_path), TREE).versions
    assert [changed[step] == extractor()[0].versions[step] for step in Step] == [True, True, False]
