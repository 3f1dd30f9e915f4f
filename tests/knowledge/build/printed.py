"""Prints small papers as PDFs in the layouts of conferences and journals, and files that are none."""

import functools
import itertools
from dataclasses import dataclass

import pymupdf

TITLE = "Gated Shortcut Mixing for Small Convolutional Networks"
AUTHORS = ("Ada Example", "Bram van der Proef", "Chiara Esempio")
ABSTRACT = (
    "Small networks lose accuracy when their shortcuts only copy features. We let a gate decide, for each channel, how "
    "much of a shortcut is mixed into the residual branch. The gate costs two weights a channel and no extra "
    "convolution. On three classification tasks it improves small networks by one to two points, and the well-known "
    "gains of normalization are kept. The change is difficult to see in the training time."
)
SENTENCES = (
    "Convolutional networks for small devices are limited by their parameters and by their operations.",
    "A shortcut copies what it is given, which is cheap but leaves nothing to be learned.",
    "Earlier gates were computed by additional layers, and these layers need additional parameters.",
    "Normalization statistics are collected for each channel of the residual branch separately.",
    "The configuration is otherwise that of the baseline, so that differences come from the gate.",
)
BODY = ("Introduction", "Related Work", "Gated Shortcuts", "Experiments", "Conclusion")
OWN_WORDS = "Each gate is a sigmoid of a learned scalar, and multiplies the shortcut before the addition."
CITED = "Somebody, A. A paper about something else. Journal of Other Things, 2019."


@dataclass(frozen=True)
class Style:
    """How a paper is printed; sizes in points."""

    columns: int = 1
    size: float = 10
    title_size: float = 17
    title_font: str = "tibo"
    heading_size: float = 12
    heading_font: str = "tibo"
    numbering: str = "{number}\t{title}"
    is_upper: bool = False
    abstract: str = "heading"
    abstract_font: str = "tiro"
    abstract_size: float = 10
    running_head: str | None = None
    stamp: str | None = None
    masthead: tuple[tuple[str, float], ...] = ()
    note: str | None = None


class Printer:
    """Sets rows of text in columns, with words broken at the ends of rows."""

    def __init__(self, style):
        self.style = style
        self.document = pymupdf.open()
        self.left, self.right, self.bottom = 54.0, 558.0, 720.0
        self.new_page(top=72.0)

    def new_page(self, top=72.0):
        self.page = self.document.new_page(width=612, height=792)
        self.column, self.top, self.y = 0, top, top
        number = len(self.document)
        if self.style.running_head and number > 1:
            self.page.insert_text((self.left, 48), self.style.running_head, fontname="tiit", fontsize=8)
        self.page.insert_text((303, 765), str(number), fontname="tiro", fontsize=9)

    @property
    def width(self):
        gap = 20
        return (self.right - self.left - gap * (self.style.columns - 1)) / self.style.columns

    @property
    def x(self):
        return self.left + self.column * (self.width + 20)

    def need(self, height):
        if self.y + height <= self.bottom:
            return
        if self.column + 1 < self.style.columns:
            self.column, self.y = self.column + 1, self.top
        else:
            self.new_page()

    def centred(self, text, size, font="tiro"):
        for row in broken(text, self.right - self.left - 60, size, font):
            self.y += 1.25 * size
            x = (self.left + self.right - text_width(row, font, size)) / 2
            self.page.insert_text((x, self.y), row, fontname=font, fontsize=size)

    def paragraph(self, text, size=None, font="tiro", indent=0.0):
        size = size or self.style.size
        for row in broken(text, self.width - 2 * indent, size, font):
            self.need(1.2 * size)
            self.y += 1.2 * size
            self.page.insert_text((self.x + indent, self.y), row, fontname=font, fontsize=size)
        self.y += 0.4 * size

    def heading(self, number, title):
        style = self.style
        self.need(5 * style.heading_size)
        self.y += 2 * style.heading_size
        text = style.numbering.format(number=number, title=title.upper() if style.is_upper else title)
        x = self.x
        for part in text.split("\t"):
            self.page.insert_text((x, self.y), part, fontname=style.heading_font, fontsize=style.heading_size)
            x += text_width(part, style.heading_font, style.heading_size) + 12
        self.y += 0.3 * style.heading_size

    def columns_begin(self):
        self.top = self.y = self.y + 12


@functools.cache
def letter_widths(font):
    return {chr(code): pymupdf.Font(font).text_length(chr(code), 1) for code in range(32, 127)}


def text_width(text, font, size):
    return size * sum(map(letter_widths(font).__getitem__, text))


def broken(text, width, size, font):
    """Yield rows of at most `width`; a long word is broken after its fifth letter."""
    row = ""
    for word in text.split():
        longer = f"{row} {word}" if row else word
        if text_width(longer, font, size) <= width:
            row = longer
            continue
        head = f"{row} {word[:5]}-"
        if word.isalpha() and len(word) > 9 and text_width(head, font, size) <= width:
            yield head
            row = word[5:]
        else:
            yield row
            row = word
    yield row


def print_paper(style, sections=BODY, num_sentences=30, authors=None, between=()):
    """Return the PDF of the paper in one style; `between` are titles with texts, behind the abstract."""
    printer = Printer(style)
    for text, size in style.masthead:
        printer.centred(text, size)
    printer.y += 12
    printer.centred(TITLE, style.title_size, style.title_font)
    printer.y += 8
    printer.centred(authors or ", ".join(AUTHORS), 11)
    printer.centred("Institute of Examples, Exampletown", 10, "tiit")
    printer.centred("{ada,bram,chiara}@example.org", 9)
    printer.columns_begin()
    print_abstract(printer)
    for title, text in between:
        plain_heading(printer, title)
        printer.paragraph(text)
    for number, title in enumerate(sections, start=1):
        printer.heading(("I", "II", "III", "IV", "V")[number - 1] if "roman" in style.abstract else number, title)
        sentences = list(itertools.islice(itertools.cycle(SENTENCES), number, number + num_sentences))
        if title in {"Gated Shortcuts", "Methods"}:
            sentences.insert(3, OWN_WORDS)
        for start in range(0, len(sentences), 5):
            printer.paragraph(" ".join(sentences[start : start + 5]))
    printer.heading("", "References") if style.numbering == "{title}" else plain_heading(printer, "References")
    for number in range(1, 20):
        printer.paragraph(f"[{number}] {CITED}", size=style.size - 1)
    page = printer.document[0]
    page.insert_text((30, 560), style.stamp or "", fontname="tiro", fontsize=20, rotate=90)
    page.insert_text((54, 740), style.note or "", fontname="tiro", fontsize=8)
    return printer.document.tobytes()


def plain_heading(printer, title):
    style = printer.style
    printer.need(4 * style.heading_size)
    printer.y += 2 * style.heading_size
    text = title.upper() if style.is_upper else title
    printer.page.insert_text((printer.x, printer.y), text, fontname=style.heading_font, fontsize=style.heading_size)


def print_abstract(printer):
    style = printer.style
    if "heading" in style.abstract:
        plain_heading(printer, "Abstract")
    text = {"run-in": "Abstract. ", "roman": "Abstract: "}.get(style.abstract, "") + ABSTRACT
    printer.paragraph(text, style.abstract_size, style.abstract_font, indent=30 if style.columns == 1 else 0)
    if style.abstract in {"run-in", "roman"}:
        printer.paragraph("Index Terms: networks, gates, shortcuts", style.abstract_size, style.abstract_font)


STYLES = {
    "one column": Style(note="Preprint. Under review at a workshop."),
    "two columns": Style(
        columns=2,
        title_size=14.3,
        numbering="{number}. {title}",
        abstract_font="tiit",
        stamp="arXiv:2101.00001v1 [cs.CV] 1 Jan 2021",
    ),
    "headings in capitals": Style(
        is_upper=True,
        heading_font="tiro",
        title_font="tiro",
        running_head="Published as a conference paper at EX 2020",
        masthead=(("Published as a conference paper at EX 2020", 10),),
    ),
    "roman numbers": Style(
        columns=2,
        title_size=24,
        title_font="tiro",
        heading_size=10,
        heading_font="tiro",
        is_upper=True,
        numbering="{number}. {title}",
        abstract="roman",
        abstract_font="tibo",
        abstract_size=9,
        running_head="TRANSACTIONS ON EXAMPLES, VOL. 3, NO. 2, 2020",
        masthead=(("TRANSACTIONS ON EXAMPLES, VOL. 3, NO. 2, 2020", 8),),
    ),
    "journal with masthead": Style(
        columns=2,
        size=8,
        title_size=13.5,
        title_font="tiro",
        heading_size=8,
        numbering="{number}. {title}",
        abstract_size=7.2,
        running_head="A. Example et al. / Pattern Examples 12 (2020) 1-10",
        masthead=(
            ("Contents lists available at Example", 8),
            ("Pattern Examples", 16),
            ("journal homepage: www.example.org/pe", 8),
        ),
    ),
    "no word for the abstract": Style(abstract="none", numbering="{number}. {title}"),
    "abstract run in": Style(columns=2, abstract="run-in", numbering="{number} {title}"),
    "headings in body type": Style(heading_size=10, heading_font="tiro", numbering="{number}. {title}", title_size=14),
    "headings in bold body type": Style(columns=2, heading_size=10, numbering="{number}. {title}", title_size=14),
    "large headings without numbers": Style(heading_size=14, heading_font="helv", numbering="{title}"),
}
