"""Papers in many layouts are understood; a file that is no paper is refused in one line."""

import contextlib
import hashlib
import json
from pathlib import Path

import pymupdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairnad.commands.paper import show_papers
from fairnad.errors import KnowledgeError
from fairnad.knowledge.build import prose
from fairnad.knowledge.build.papers import find_papers, read_paper
from fairnad.knowledge.build.sections import Section, pick_method
from tests.knowledge.build.printed import (
    ABSTRACT,
    AUTHORS,
    BODY,
    CITED,
    OWN_WORDS,
    STYLES,
    TITLE,
    Printer,
    Style,
    plain_heading,
    print_paper,
    text_width,
)

CONCEPTS = "Computing methodologies, neural networks. Permission to copy this work is granted. " * 8
SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "pdf"
GOLDEN = json.loads((Path(__file__).parent / "golden_papers.json").read_text())


def read(data, folder, name="paper.pdf"):
    path = folder / name
    path.write_bytes(data)
    return read_paper(path)


@pytest.fixture(scope="module")
def two_columns():
    return print_paper(STYLES["two columns"])


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_every_layout_is_understood(style, tmp_path):
    paper = read(print_paper(style), tmp_path)
    assert paper.warnings == ()
    assert paper.title == TITLE
    assert paper.authors == AUTHORS
    assert paper.abstract == ABSTRACT
    assert [section.title.capitalize() for section in paper.sections] == [title.capitalize() for title in BODY]
    assert OWN_WORDS in paper.method
    assert len(paper.method) < len(paper.sections[2].text) + 50
    everything = " ".join(section.text for section in paper.sections)
    for unwanted in (CITED, style.stamp, style.running_head, style.note):
        assert unwanted is None or unwanted not in everything


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_pages_that_are_shown_turned_are_read_as_shown(turned, two_columns, tmp_path):
    turned_pages = pymupdf.open()
    with pymupdf.open(stream=two_columns) as document:
        for number, page in enumerate(document):
            width, height = page.rect.width, page.rect.height
            new = (
                turned_pages.new_page(width=height, height=width)
                if turned != 180
                else turned_pages.new_page(-1, width, height)
            )
            new.show_pdf_page(new.rect, document, number, rotate=turned)
            new.set_rotation(turned)
    paper, upright = read(turned_pages.tobytes(), tmp_path), read(two_columns, tmp_path)
    assert (paper.title, paper.abstract, paper.method) == (upright.title, upright.abstract, upright.method)


def test_an_appendix_is_not_the_method():
    def picked(*titles):
        sections = [Section(title, "A sentence of it. " * 20, page) for page, title in enumerate(titles)]
        return [section.title for section in pick_method(sections, "Gates")]

    assert picked("Introduction", "Gated Shortcuts", "Experiments", "Model Details") == ["Gated Shortcuts"]
    assert picked("Introduction", "Our Method", "Experiments", "Model Details") == ["Our Method"]
    assert picked("Main", "Results", "Discussion", "Methods") == ["Methods"]
    assert picked("Introduction", "Gated Shortcuts", "Experiments", "Research Methods") == ["Gated Shortcuts"]
    assert picked("Introduction", "Experiments", "Model Details") == ["Model Details"]


def test_a_title_over_other_titles_is_no_method_by_itself():
    texts = {"Introduction": 20, "Method": 0, "Gates": 20, "Shortcuts": 20, "Results": 20}
    sections = [Section(title, "A sentence of it. " * count, 1) for title, count in texts.items()]
    assert [section.title for section in pick_method(sections, "Mixing")] == ["Gates", "Shortcuts"]


def test_sections_without_numbers_and_an_abstract_without_its_name(tmp_path):
    style = Style(columns=2, size=9, title_size=22, numbering="{title}", abstract="none", abstract_font="tibo")
    paper = read(print_paper(style, sections=("Results", "Discussion", "Methods")), tmp_path)
    assert paper.abstract == ABSTRACT
    assert [section.title for section in paper.sections] == ["Results", "Discussion", "Methods"]
    assert paper.method.startswith("Methods\n\n")


def test_what_stands_between_abstract_and_introduction_is_neither(tmp_path):
    style = Style(columns=2, size=9, heading_size=11, abstract_size=9, is_upper=True)
    paper = read(print_paper(style, between=(("CCS Concepts", CONCEPTS), ("Keywords", "gates, mixing"))), tmp_path)
    assert paper.abstract == ABSTRACT
    assert paper.sections[0].title == "INTRODUCTION"
    assert "Permission" not in paper.method


def test_names_in_capitals_are_not_places_in_small_letters(tmp_path):
    names = "ADA EXAMPLE, Exampletown Works, Examplia and BRAM VAN DER PROEF, The Works, Examplia"
    paper = read(print_paper(Style(), authors=names), tmp_path)
    assert paper.authors == ("ADA EXAMPLE", "BRAM VAN DER PROEF")


def test_small_capitals_are_words(tmp_path):
    printer = Printer(Style())
    printer.centred(TITLE, 17)
    printer.centred("Ada Example", 10)
    for number, title in enumerate(("ABSTRACT", "INTRODUCTION", "METHOD", "EXPERIMENTS")):
        printer.y += 30
        x = printer.left
        for text, size in ((f"{number} " if number else "", 12), (title[0], 12), (title[1:], 9.6)):
            printer.page.insert_text((x, printer.y), text, fontname="tiro", fontsize=size)
            x += text_width(text, "tiro", size)
        printer.paragraph(ABSTRACT)
    paper = read(printer.document.tobytes(), tmp_path)
    assert paper.abstract == ABSTRACT
    assert [section.title for section in paper.sections] == ["INTRODUCTION", "METHOD", "EXPERIMENTS"]


def test_a_column_beside_the_abstract_is_not_part_of_it(tmp_path):
    printer = Printer(Style(numbering="{number}. {title}", heading_size=11))
    printer.centred(TITLE, 15)
    printer.centred("Ada Example", 11)
    beside = ("article info", "Article history:", "Received 1 May 2019", "Keywords:", "Small networks of example")
    for row, text in enumerate(beside):
        printer.page.insert_text((54, 160 + 12 * row), text, fontname="tiro", fontsize=8)
    printer.page.insert_text((220, 160), "a b s t r a c t", fontname="tiro", fontsize=8)
    printer.left, printer.y = 220.0, 162.0
    printer.paragraph(ABSTRACT, size=8)
    printer.left = 54.0
    for number, title in enumerate(("Introduction", "Proposed method", "Results"), start=1):
        printer.heading(number, title)
        printer.paragraph(ABSTRACT * 2)
    paper = read(printer.document.tobytes(), tmp_path)
    assert paper.abstract == ABSTRACT
    assert paper.authors == ("Ada Example",)
    assert paper.method.startswith("Proposed method")


def test_a_figure_a_caption_and_a_footnote_do_not_interrupt_a_paragraph(tmp_path):
    printer = Printer(Style(columns=2, numbering="{number}. {title}"))
    printer.centred(TITLE, 15)
    printer.columns_begin()
    plain_heading(printer, "Abstract")
    printer.paragraph(ABSTRACT)
    for number, title in enumerate(("Introduction", "Method", "Experiments"), start=1):
        printer.heading(number, title)
        printer.paragraph(ABSTRACT * 3)
    page = printer.document[0]
    page.insert_text((60, 745), "1 Code is to be found elsewhere.", fontname="tiro", fontsize=8)
    for number in range(12):
        page.insert_text((330 + 15 * number, 748), "conv", fontname="helv", fontsize=4)
    paper = read(printer.document.tobytes(), tmp_path)
    assert [section.title for section in paper.sections] == ["Introduction", "Method", "Experiments"]
    for section in paper.sections:
        assert section.text.replace("\n\n", " ") == (ABSTRACT * 3)


def test_a_table_of_contents_is_no_section(tmp_path):
    printer = Printer(Style())
    printer.centred(TITLE, 17)
    plain_heading(printer, "Abstract")
    printer.paragraph(ABSTRACT)
    plain_heading(printer, "Contents")
    titles = ("Introduction", "Gates", "Experiments", "Conclusion")
    for number, title in enumerate(titles, start=1):
        printer.heading(number, title)
        printer.page.insert_text((540, printer.y), str(number + 3), fontname="tibo", fontsize=12)
    printer.new_page()
    for number, title in enumerate(titles, start=1):
        printer.heading(number, title)
        printer.paragraph(f"{title} are told here. {ABSTRACT}")
    paper = read(printer.document.tobytes(), tmp_path)
    assert paper.abstract == ABSTRACT
    assert [(section.title, section.page) for section in paper.sections] == [(title, 2) for title in titles]
    assert paper.method.startswith("Gates\n\nGates are told here.")


def test_line_numbers_of_a_submission_are_left_out(tmp_path):
    with pymupdf.open(stream=print_paper(STYLES["one column"])) as document:
        for page in document:
            for row in range(50):
                page.insert_text((30, 75 + 13 * row), f"{row:03}", fontname="tiro", fontsize=7)
        paper = read(document.tobytes(), tmp_path)
    assert paper.abstract == ABSTRACT
    assert "\n012" not in paper.method


def test_words_broken_at_the_end_of_a_row():
    known = prose.vocabulary(
        ["a convolution", "hardware is aware of it", "long-term work", "a normal-", "ization here"]
    )
    assert "normal" not in known
    assert prose.join(["a convo-", "lution"], known) == "a convolution"
    assert prose.join(["some unseen-", "word"], known) == "some unseenword"
    assert prose.join(["hardware-", "aware"], known) == "hardware-aware"
    assert prose.join(["long-", "term"], known) == "long-term"
    assert prose.join(["state-of-the-", "art"], known) == "state-of-the-art"
    assert prose.join(["Faster R-", "CNN"], known) == "Faster R-CNN"
    assert prose.join(["a range of 10-", "20 layers"], known) == "a range of 10- 20 layers"


def test_ligatures_and_accents_are_letters():
    assert prose.clean("e\ufb03cient classi\ufb01cation\u00a0 of di\ufb00erent \ufb02ows") == (
        "efficient classification of different flows"
    )
    assert prose.clean("Wojciech Ma\u00b4nke, M\u00a8uller") == "Wojciech Ma\u0144ke, M\u00fcller"
    assert (
        prose.clean("Fran\u00b8cois, \u02daAngstr\u00a8om, Erd\u02ddos")
        == "Fran\u00e7ois, \u00c5ngstr\u00f6m, Erd\u0151s"
    )


def test_ligatures_of_a_font_are_letters(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    document = pymupdf.open()
    page = document.new_page()
    page.insert_font("deja", fontfile=str(font))
    page.insert_text((72, 72), "A paper on e\ufb03cient networks", fontname="deja", fontsize=16)
    page.insert_text((72, 110), "Abstract", fontname="deja", fontsize=12)
    for row in range(6):
        text = "Di\ufb00erent classi\ufb01cation \ufb02ows are studied in small steps."
        page.insert_text((72, 130 + 12 * row), text, fontname="deja", fontsize=10)
    paper = read(document.tobytes(), tmp_path)
    assert paper.title == "A paper on efficient networks"
    assert paper.abstract.startswith("Different classification flows are studied")


def test_a_passage_leads_to_its_page(two_columns, tmp_path):
    paper = read(two_columns, tmp_path)
    assert len(paper.pages) == 4
    assert paper.sections[2].page == 2
    assert paper.page_of(OWN_WORDS) == 2
    assert paper.page_of("we gave each channel a sigmoid of a learned scalar that mixes") == 2
    assert paper.page_of(ABSTRACT[:80]) == 1
    assert paper.page_of("Nothing like this is printed anywhere in it.") is None
    assert paper.page_of("") is None


def test_the_file_is_known_by_its_bytes(two_columns, tmp_path):
    assert read(two_columns, tmp_path).sha256 == hashlib.sha256(two_columns).hexdigest()


def test_what_is_missing_is_said(tmp_path):
    printer = Printer(Style())
    for _ in range(12):
        printer.paragraph(f"It is. {ABSTRACT}")
    paper = read(printer.document.tobytes(), tmp_path)
    assert paper.sections == ()
    assert paper.method.count("decide") == 12
    assert any("no section headings" in warning for warning in paper.warnings)
    assert any("no method section found: the whole text" in warning for warning in paper.warnings)


def test_a_text_is_a_paper(tmp_path):
    text = (
        f"arXiv:2101.00001v1 [cs.LG]\n\n{TITLE}\n\nAda Example1  Bram van der Proef2\nExample University\n\n"
        f"Abstract\n\n{ABSTRACT}\n\n1 Introduction\n\n{CITED}\n\n2 Method\n\n2.1 Gates\n\n{OWN_WORDS}\n\n"
        f"3 Experiments\n\nThey went well.\n\nReferences\n\n[1] {CITED}\n"
    )
    paper = read(text.encode(), tmp_path, "paper.txt")
    assert (paper.title, paper.abstract) == (TITLE, ABSTRACT)
    assert paper.authors == AUTHORS[:2]
    assert [section.title for section in paper.sections] == ["Introduction", "Method", "Experiments"]
    assert OWN_WORDS in paper.method
    assert "They went well" not in paper.method


def test_markdown_is_a_paper(tmp_path):
    text = f"# {TITLE}\n\nAda Example\n\n## Abstract\n{ABSTRACT}\n\n## Introduction\nIt is hard.\n\n## Our approach\n"
    paper = read(f"{text}{OWN_WORDS}\n\n### Details\n\nFew.\n\n## References\n{CITED}".encode(), tmp_path, "paper.md")
    assert (paper.title, paper.abstract) == (TITLE, ABSTRACT)
    assert paper.method == f"Our approach\n\n{OWN_WORDS}\n\nDetails\n\nFew."


def scanned(stamp=""):
    document = pymupdf.open()
    picture = pymupdf.Pixmap(pymupdf.csGRAY, pymupdf.IRect(0, 0, 200, 200))
    picture.clear_with(200)
    for _ in range(3):
        page = document.new_page()
        page.insert_image(pymupdf.Rect(0, 0, 500, 700), pixmap=picture)
        page.insert_text((40, 830), stamp, fontsize=8)
    return document.tobytes()


def encrypted(data):
    with pymupdf.open(stream=data) as document:
        return document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="secret", owner_pw="owner")


UNUSABLE = {
    "encrypted": (encrypted, "encrypted"),
    "scanned": (lambda data: scanned(), "scan"),
    "scanned and stamped": (
        lambda data: scanned("Licensed to the library of the University of Examples, for its readers only"),
        "no text",
    ),
    "empty": (lambda data: b"", "empty"),
    "truncated": (lambda data: data[: len(data) // 2], "truncated"),
    "truncated early": (lambda data: data[:300], "truncated"),
    "text": (lambda data: b"Only text, whatever its name says.", "not a PDF"),
    "head only": (lambda data: b"%PDF-1.7\n" + bytes(2000) + b"%%EOF", "damaged"),
}


@pytest.mark.parametrize(("make", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(make, reason, two_columns, tmp_path, capfd):
    with pytest.raises(KnowledgeError, match=reason) as refused:
        read(make(two_columns), tmp_path, "bad.pdf")
    assert "bad.pdf" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_a_text_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(KnowledgeError, match="not text"):
        read(b"\x00\x01\x02", tmp_path, "paper.txt")
    with pytest.raises(KnowledgeError, match="empty"):
        read(b" \n", tmp_path, "paper.md")
    with pytest.raises(KnowledgeError, match=r"paper\.txt: no text"):
        read(b"\xef\xbb\xbf", tmp_path, "paper.txt")
    with pytest.raises(KnowledgeError, match=r"absent\.pdf: cannot be read: No such file"):
        read_paper(tmp_path / "absent.pdf")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damage_is_an_error_of_ours_or_none(two_columns, tmp_path_factory, data):
    damaged = bytearray(two_columns)
    for _ in range(data.draw(st.integers(1, 30))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "paper.pdf"
    path.write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
    with contextlib.suppress(KnowledgeError):
        assert read_paper(path).method


def test_papers_are_found_below_a_folder(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("b.pdf", "more/a.PDF", "c.txt", "d.md", "README.md", "index.jsonl", ".hidden.pdf"):
        (tmp_path / name).write_text("x")
    names = [str(path.relative_to(tmp_path)) for path in find_papers(tmp_path)]
    assert names == ["b.pdf", "c.txt", "d.md", "more/a.PDF"]


def test_a_folder_without_papers_is_refused(tmp_path):
    (tmp_path / "notes.docx").write_text("x")
    with pytest.raises(KnowledgeError, match=r"holds no papers.*\.pdf"):
        find_papers(tmp_path)
    with pytest.raises(KnowledgeError, match="no such folder"):
        find_papers(tmp_path / "absent")


def test_one_object_a_line_and_the_rest_goes_on(two_columns, tmp_path, capsys):
    good, bad = tmp_path / "good.pdf", tmp_path / "bad.pdf"
    good.write_bytes(two_columns)
    bad.write_bytes(b"none")
    assert show_papers([bad, good], as_json=True) == 2
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["file"] == str(bad)
    assert first["error"] == first["warnings"][0] == f"{bad}: not a PDF: it does not begin with %PDF"
    assert list(second) == ["file", "title", "authors", "abstract", "sections", "method", "warnings"]
    assert second["title"] == TITLE
    assert second["sections"][2]["title"] == "Gated Shortcuts"
    assert second["sections"][2]["page"] == 2
    assert second["sections"][2]["chars"] > 1000
    assert show_papers([good], as_json=False) == 0
    assert TITLE in capsys.readouterr().out


@pytest.mark.skipif(not SHARED.exists(), reason="the real papers are not here")
@pytest.mark.parametrize("name", GOLDEN)
def test_real_papers_are_understood(name):
    expected, paper = GOLDEN[name], read_paper(SHARED / name)
    assert paper.title == expected["title"]
    assert list(paper.authors) == expected["authors"]
    words = paper.abstract.split()
    assert [" ".join(words[:4]), " ".join(words[-4:]), len(words)] == expected["abstract"]
    assert [section.title for section in paper.sections] == expected["sections"]
    told = [section.title for section in paper.sections if f"{section.title}\n\n{section.text}" in paper.method]
    assert told == expected["method"]
    assert paper.warnings == ()
