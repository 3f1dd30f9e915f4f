"""From tagged ideas to lines: who is cited, what is counted, what is merged."""

from pathlib import Path

from fairnad.knowledge.attributes import Attribute
from fairnad.knowledge.build.openaccess import Listed
from fairnad.knowledge.build.results import compose
from fairnad.knowledge.build.sources import Source
from fairnad.knowledge.build.steps import Candidate, Judged
from fairnad.knowledge.build.store import KnownPaper

PLACE = Attribute("performance", "block", "residual connections and multi-branch architectures", "residual connections")
GATE = "Scale each shortcut by a learned gate for every channel"
SOURCES = tuple(Source(Path(f"papers/{name}.pdf"), name) for name in ("a", "b", "c"))
PAPERS = {
    "a": KnownPaper("a", "a.pdf", "Gates", ("Ada Example", "B. Mueller")),
    "b": KnownPaper("b", "b.pdf", "Mor e gat es", ("Chiara",)),
    "c": KnownPaper("c", "c.pdf", "Losses"),
}
JUDGED = {"a": Judged(True), "b": Judged(True), "c": Judged(False, "about a loss")}
TAGGED = {
    "b": (Candidate(f"{GATE} again", 7, "More gates.", PLACE), Candidate("Use a loss", 8, "A loss.", None, "loss")),
    "a": (Candidate(GATE, 3, "A gate.", PLACE), Candidate("Pool tokens over axes", None, "", PLACE)),
}


def test_lines_follow_the_papers_and_know_all_their_sources():
    url = "https://papers.example/b.pdf"
    entry = Listed("b.pdf", "More Gates", ("Chiara Esempio",), url, "https://papers.example")
    listed = {SOURCES[1].path: entry, Path("elsewhere/a.pdf"): entry}
    outcome = compose(SOURCES, PAPERS, JUDGED, TAGGED, grade="llm", listed=listed)
    assert [line.text for line in outcome.lines] == [GATE, "Pool tokens over axes"]
    gate = outcome.lines[0]
    assert gate.sources == ("Ada Example et al., Gates, a.pdf", f"Chiara Esempio, More Gates, {url}")
    assert [(one.paper, one.sha256, one.page, one.passage) for one in gate.evidence] == [
        ("a.pdf", "a", 3, "A gate."),
        ("b.pdf", "b", 7, "More gates."),
    ]
    assert (gate.place, gate.grade) == (PLACE, "llm")
    assert (outcome.kept, outcome.rejected, outcome.found) == (2, {"about a loss": 1}, 4)
    assert (outcome.dropped, outcome.merged) == ({"loss": 1}, 1)


def test_an_id_stands_for_a_text_whatever_else_is_found():
    first = compose(SOURCES, PAPERS, JUDGED, TAGGED, grade="llm").lines
    alone = compose(SOURCES[:1], PAPERS, JUDGED, TAGGED, grade="keywords").lines
    assert [line.id for line in alone] == [line.id for line in first]
    assert len({line.id for line in first}) == len(first)


def test_papers_that_are_not_done_count_nothing():
    outcome = compose(SOURCES, {}, {}, {}, grade="llm")
    assert (outcome.lines, outcome.kept, outcome.found) == ((), 0, 0)
