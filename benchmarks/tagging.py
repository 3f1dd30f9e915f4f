"""How well ideas are told apart and tagged without a language model, and which papers the keyword filter keeps.

python benchmarks/tagging.py IDEAS_UNTAGGED.json [FOLDER_OF_PDFS]

The labels are those of tests/knowledge/build/labels.json: two readers, 200 ideas; only those on which they agree count.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from pathlib import Path

from report import print_table

from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.build.papers import find_papers, read_paper
from fairnad.knowledge.build.tagging import Rejected, Tagged, extract_ideas, judge_abstract, merge_duplicates, tag_idea
from fairnad.knowledge.ideas import IdeaDatabase

TREE = AttributeTree.load()
LABELS = Path(__file__).resolve().parents[1] / "tests" / "knowledge" / "build" / "labels.json"


def main(ideas_path: Path, pdfs: Path | None) -> None:
    texts = [idea["idea"] for idea in json.loads(ideas_path.read_text())]
    began = time.perf_counter()
    tagged = [tag_idea(text, TREE) for text in texts]
    tag_seconds = time.perf_counter() - began
    began = time.perf_counter()
    groups = merge_duplicates(texts)
    merge_seconds = time.perf_counter() - began
    rows = [
        *labelled(tagged),
        *shipped(),
        (f"seconds to tag {len(texts)} ideas", f"{tag_seconds:.1f}"),
        (f"seconds to find the {len(texts) - len(groups)} near-duplicates among them", f"{merge_seconds:.1f}"),
    ]
    print_table("Ideas told apart by their words", ("what", "measured"), rows)
    by_main = Counter((one.place.target, one.place.main) for one in tagged if isinstance(one, Tagged))
    off = sum(isinstance(one, Rejected) for one in tagged)
    counts = [(*names, count) for names, count in by_main.most_common()]
    print_table(
        f"The {len(texts)} untagged ideas", ("target", "main category", "ideas"), [*counts, ("", "off the topic", off)]
    )
    if pdfs is not None:
        print_table("Papers by the keyword extractor", ("paper", "kept", "score", "ideas", "because of"), judged(pdfs))


def labelled(tagged: list[Tagged | Rejected]) -> list[tuple[str, str]]:
    """Return the shares of the labelled ideas that are kept and discarded as they should be."""
    labels = json.loads(LABELS.read_text())
    agreed = {int(index): first for index, (first, second, _) in labels.items() if first == second}
    kept = [isinstance(tagged[index], Tagged) for index, is_on in agreed.items() if is_on]
    gone = [isinstance(tagged[index], Rejected) for index, is_on in agreed.items() if not is_on]
    return [
        ("labels on which both readers agree", share(len(agreed), len(labels))),
        ("on the topic and kept", share(sum(kept), len(kept))),
        ("off the topic and discarded", share(sum(gone), len(gone))),
    ]


def shipped() -> list[tuple[str, str]]:
    """Return what becomes of the seed ideas, whose places were given by hand."""
    seeds = [idea for idea in IdeaDatabase.load().ideas if idea.id.startswith("seed-")]
    found = [(idea, one) for idea in seeds if isinstance(one := tag_idea(idea.text, TREE), Tagged)]
    first = sum(one.place.main == idea.main for idea, one in found)
    near = sum(idea.main in {place.main for place in (one.place, *one.others)} for idea, one in found)
    return [
        ("seed ideas kept", share(len(found), len(seeds))),
        ("main category as by hand", share(first, len(seeds))),
        ("main category as by hand, or among the next two", share(near, len(seeds))),
    ]


def judged(folder: Path) -> list[tuple[str, bool, str, int, str]]:
    rows = []
    for path in find_papers(folder):
        paper = read_paper(path)
        verdict = judge_abstract(paper.title, paper.abstract, TREE)
        ideas = extract_ideas(paper, TREE) if verdict.kept else ()
        rows.append((path.stem, verdict.kept, f"{verdict.score:.1f}", len(ideas), ", ".join(verdict.reasons)))
    return rows


def share(part: int, whole: int) -> str:
    """Return a share with its 95 % interval (Wilson)."""
    z, p = 1.96, part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z / (1 + z * z / whole) * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    return f"{part} of {whole}: {p:.1%} [{middle - half:.1%}, {middle + half:.1%}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
