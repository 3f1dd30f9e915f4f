"""Where in a paper an idea comes from."""

from fairnad.knowledge.build.papers import Paper, Section
from fairnad.knowledge.build.passages import Passage, Passages

PAGES = (
    "Small networks are limited by their parameters, and shortcuts merely copy features.",
    "Each gate is a sigmoid of a learned scalar, and multiplies the shortcut before the addition [3, 4]. "
    "We train for ninety epochs with a step schedule, and with weight decay on all parameters.",
    "References. A gate that multiplies every shortcut by a learned scalar sigmoid before addition. Journal, 2019.",
)
PAPER = Paper(
    file="p.pdf",
    title="Gates",
    authors=(),
    abstract=PAGES[0],
    sections=(Section("Method", PAGES[1], 2),),
    method=PAGES[1],
    warnings=(),
    sha256="0",
    pages=PAGES,
)


def test_the_sentence_with_the_most_telling_words_and_its_page():
    found = Passages(PAPER).find("Multiply shortcuts by learned sigmoid gates before they are added")
    assert found == Passage(PAGES[1].split(" We train")[0], 2)


def test_references_are_no_passage():
    assert "Journal" not in Passages(PAPER).find("A gate multiplies every shortcut, Journal 2019").text


def test_an_idea_from_elsewhere_has_no_passage():
    assert Passages(PAPER).find("Quantize wavelets of point clouds") == Passage("", None)


def test_a_paper_without_sections_is_searched_by_its_pages():
    bare = Paper("p.txt", "T", (), "", (), PAGES[1], (), "0", (PAGES[1],))
    assert Passages(bare).find("a learned scalar gates the shortcut").page == 1


def test_an_empty_paper_has_no_passage():
    assert Passages(Paper("p.txt", "T", (), "", (), "", (), "0", ())).find("a learned gate") == Passage()
