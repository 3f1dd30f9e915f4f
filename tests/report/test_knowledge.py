"""The tables, the figure and the page of a database of ideas show what its statistics say."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fairnad.errors import ConfigError
from fairnad.knowledge import AttributeTree, IdeaDatabase, SamplingLevel
from fairnad.knowledge.statistics import describe
from fairnad.report.figures import to_svg
from fairnad.report.knowledge import draw_knowledge, knowledge_page, sheets, write_knowledge


@pytest.fixture(scope="module")
def told():
    return describe(IdeaDatabase.load(), AttributeTree.load())


def test_tables_have_a_row_for_each_thing(told):
    found = {sheet.title.split(":")[0].split(",")[0]: sheet for sheet in sheets(told)}
    assert [row[0] for row in found["Imbalance over the main categories"].rows] == [one.value for one in SamplingLevel]
    shares = found["Expected share of the draws"]
    assert [row[0] for row in shares.rows] == [main for _, main in told.by_category]
    assert {row[shares.columns.index("main")] for row in shares.rows} == {"6.7"}
    assert len(found[f"Share of each of {len(told.papers)} sources"].rows) == len(told.papers)
    for sheet in found.values():
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}


def test_the_figure_shows_counts_and_shares(told):
    counts, shares, papers, words, off_topic = draw_knowledge(told).axes
    assert [patch.get_width() for patch in counts.patches] == list(told.by_category.values())
    before, after, _even = shares.lines
    assert list(before.get_xdata()) == [100 * share for share in told.shares[SamplingLevel.NONE].values()]
    assert list(after.get_xdata()) == [100 * share for share in told.shares[SamplingLevel.MAIN].values()]
    assert papers.patches[0].get_width() == pytest.approx(100 * max(told.papers.values()))
    assert len(words.patches) == len(told.attribute_words) + len(told.blocks)
    assert [patch.get_width() for patch in off_topic.patches] == list(told.off_topic_words.values())


def test_the_colour_of_a_bar_is_that_of_its_target(told):
    counts = draw_knowledge(told).axes[0]
    colours = {
        (target, patch.get_facecolor()) for (target, _), patch in zip(told.by_category, counts.patches, strict=True)
    }
    assert len(colours) == 2
    labels = [text.get_text() for text in counts.get_legend().get_texts()]
    assert labels == [f"{target}: {count} ideas" for target, count in told.by_target.items()]


def test_long_and_many_sources_still_leave_room_for_the_figure(told):
    papers = {f"Author{number}_A_Very_Long_Title_Without_One_Space_CVPR_2023_paper.pdf": 0.01 for number in range(99)}
    svg = to_svg(draw_knowledge(replace(told, papers=papers)))  # too little room is a warning, and that an error here
    assert ET.fromstring(svg).tag.endswith("svg")


class Page(HTMLParser):
    """Notes the tags of a page and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "href"} and not value.startswith("#")]


def test_the_page_is_whole_and_harmless(told):
    page = knowledge_page(replace(told, papers={"<script>alert(1)</script>": 1.0}), "<b>ideas", "<svg></svg>")
    found = Page(page)
    assert not found.loads
    assert not {"script", "b", "img", "link"} & set(found.tags)
    assert found.tags.count("svg") == 1
    assert found.tags.count("table") == len(sheets(told))


def test_equal_ideas_give_equal_files(told, tmp_path):
    for name in ("one", "two"):
        image, page = write_knowledge(told, "ideas", tmp_path / name)
        assert image.read_bytes().startswith(b"\x89PNG")
        assert page.suffix == ".html"
    for name in ("ideas.png", "ideas.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_told(told, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="name another with --out"):
        write_knowledge(told, "ideas", tmp_path / "file")
