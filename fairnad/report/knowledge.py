"""What a database of ideas holds and how even it is: tables for the terminal and the page, one figure, one page."""

from __future__ import annotations

import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairnad.knowledge.ideas import SamplingLevel
from fairnad.knowledge.statistics import KnowledgeStatistics
from fairnad.report.figures import COLOURS, check_matplotlib, styled, to_svg
from fairnad.report.page import document, figure, table, write_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Sheet", "draw_knowledge", "knowledge_page", "sheets", "write_knowledge"]

_BEFORE, _AFTER = SamplingLevel.NONE, SamplingLevel.MAIN
_LEVELS = tuple(level.value for level in SamplingLevel)
_TOP_PAPERS = 12
_CAPTION = (
    "Top: the ideas of each main category, and the share of the draws that it can expect when every idea is alike and "
    "under fair sampling; the line is an even share. Below: the sources of the ideas, what the ideas on feature "
    "extraction (by sub-category) and on blocks are about, and the words that tell an idea off the topic."
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of the report; the first column is text, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(told: KnowledgeStatistics) -> tuple[Sheet, ...]:
    """Return all tables."""
    return (_imbalance(told), _categories(told), _targets(told), _papers(told), *_words(told))


def write_knowledge(told: KnowledgeStatistics, name: str, folder: Path) -> tuple[Path, ...]:
    """Write ideas.png and ideas.html to `folder`; return both. Equal databases give equal files.

    Raises:
        ConfigError: matplotlib is missing, or they cannot be written.
    """
    check_matplotlib()
    image, drawn = io.BytesIO(), draw_knowledge(told)
    drawn.savefig(image, format="png", dpi=110, metadata={"Software": None})
    page = knowledge_page(told, name, to_svg(drawn))
    return write_files({folder / "ideas.png": image.getvalue(), folder / "ideas.html": page})


def knowledge_page(told: KnowledgeStatistics, name: str, svg: str) -> str:
    """Return the HTML page around the figure `svg`; it needs no other file."""
    first, *others = (f"<h2>{html.escape(one.title)}</h2>\n{table(one.columns, one.rows)}\n" for one in sheets(told))
    title = f"Design knowledge: {told.num_ideas} ideas of {name}"
    return document(title, "".join([first, figure(svg, _CAPTION), "\n", *others]))


def draw_knowledge(told: KnowledgeStatistics) -> Figure:
    """Return the one figure of five panels."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(14.5, 10.5), layout="constrained")
    above, below = drawn.subfigures(2, 1, squeeze=False, height_ratios=(1.15, 1))[:, 0]
    counts, shares = map(styled, above.subplots(1, 2, sharey=True))
    papers, words, off_topic = map(styled, below.subplots(1, 3))
    _draw_counts(counts, told)
    _draw_shares(shares, told)
    shown = {name: 100 * share for name, share in list(told.papers.items())[:_TOP_PAPERS]}
    _bars(papers, f"share of the ideas by source, % (the largest of {len(told.papers)})", shown)
    named = {**told.attribute_words, **told.blocks}
    _bars(words, "ideas: on feature extraction by word, on blocks by category", named, COLOURS[4])
    for patch in words.patches[: len(told.attribute_words)]:
        patch.set_color(COLOURS[3])
    _bars(off_topic, "ideas with a word that is off the topic", told.off_topic_words, COLOURS[6])
    off_topic.set_xlim(0, max(10, 1.15 * max(told.off_topic_words.values())))
    return drawn


def _draw_counts(axes: Axes, told: KnowledgeStatistics) -> None:
    targets = list(told.by_target)
    _bars(axes, "ideas", {main: count for (_, main), count in told.by_category.items()})
    for (target, _), patch in zip(told.by_category, axes.patches, strict=True):
        patch.set_color(_colour(targets.index(target)))
    seen = [next(i for i, (target, _) in enumerate(told.by_category) if target == one) for one in targets]
    labels = [f"{target}: {count} ideas" for target, count in told.by_target.items()]
    axes.legend([axes.patches[place] for place in seen], labels, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))


def _draw_shares(axes: Axes, told: KnowledgeStatistics) -> None:
    places = range(len(told.by_category))
    drawn = ((_BEFORE, "every idea alike", COLOURS[6], "o"), (_AFTER, "fair by main category", COLOURS[3], "D"))
    for level, name, colour, marker in drawn:
        values = [100 * share for share in told.shares[level].values()]
        found = told.imbalance[level]
        label = f"{name}: entropy {found.entropy:.2f} bits, largest share {100 * found.largest_share:.1f} %"
        axes.plot(values, places, marker, color=colour, markersize=7, alpha=0.85, label=label)
    axes.axvline(100 / len(places), color=COLOURS[0], linewidth=1, linestyle="--")
    axes.set_xlim(0, 105 * max(max(told.shares[level].values()) for level in (_BEFORE, _AFTER)))
    axes.set_xlabel("expected share of the draws, %")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))


def _bars(axes: Axes, label: str, values: Mapping[str, float], colour: str = COLOURS[5]) -> None:
    bars = axes.barh(range(len(values)), list(values.values()), color=colour)
    axes.bar_label(bars, [f"{value:.3g}" for value in values.values()], padding=3, fontsize=8, color="#444444")
    axes.set_yticks(range(len(values)), [_wrapped(name) for name in values])
    axes.tick_params(axis="y", labelsize=8.5)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.set_xlabel(label)


def _wrapped(name: str) -> str:
    lines = textwrap.wrap(name, 30)
    return "\n".join(lines[:2]) + ("\u2026" if len(lines) > 2 else "")


def _colour(place: int) -> str:
    return (COLOURS[5], COLOURS[1])[place % 2]


def _imbalance(told: KnowledgeStatistics) -> Sheet:
    columns = ("fair by", "entropy", "at most", "effective", "largest %", "largest category")
    rows = (
        (
            level.value,
            f"{found.entropy:.3f}",
            f"{found.max_entropy:.3f}",
            f"{found.effective:.1f}",
            f"{100 * found.largest_share:.1f}",
            found.largest,
        )
        for level, found in told.imbalance.items()
    )
    title = "Imbalance over the main categories: entropy in bits, before (none) and after fair sampling"
    return Sheet(title, columns, tuple(rows))


def _categories(told: KnowledgeStatistics) -> Sheet:
    rows = [
        (main, target, str(count), *(_percent(told.shares[level][target, main]) for level in SamplingLevel))
        for (target, main), count in told.by_category.items()
    ]
    return Sheet(
        "Expected share of the draws, %, by level of fair sampling",
        ("main category", "target", "ideas", *_LEVELS),
        tuple(rows),
    )


def _targets(told: KnowledgeStatistics) -> Sheet:
    rows = [
        (target, str(count), *(_percent(told.target_shares[level][target]) for level in SamplingLevel))
        for target, count in told.by_target.items()
    ]
    return Sheet("The same by target, %", ("target", "ideas", *_LEVELS), tuple(rows))


def _papers(told: KnowledgeStatistics) -> Sheet:
    rows = tuple((name, _percent(share)) for name, share in told.papers.items())
    return Sheet(f"Share of each of {len(rows)} sources, %", ("source", "share, %"), rows)


def _words(told: KnowledgeStatistics) -> Sequence[Sheet]:
    named = {
        "Words in the sub-categories of ideas on feature extraction": told.attribute_words,
        "Main categories of the ideas on blocks and connectivity": told.blocks,
        "Words of ideas that are off the topic, or of one domain": told.off_topic_words,
    }
    return [
        Sheet(title, ("word", "ideas"), tuple((word, str(count)) for word, count in counts.items()))
        for title, counts in named.items()
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
