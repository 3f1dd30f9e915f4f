"""`fairnad build-knowledge` as a function: checks all it is given, builds, and writes the result whole or not at all.

The folder `out` holds knowledge.db, which makes the build go on, and the result: ideas.jsonl and attributes.json.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from fairnad.config import Config, LLMConfig
from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.build.draft import DRAFT, TreeDraft, tree_json, write_draft
from fairnad.knowledge.build.keyword_extractor import KeywordExtractor
from fairnad.knowledge.build.layout import check_pymupdf
from fairnad.knowledge.build.llm_extractor import LLMExtractor, longest_prompt
from fairnad.knowledge.build.loading import loading
from fairnad.knowledge.build.openaccess import Listed, read_index
from fairnad.knowledge.build.papers import is_pdf
from fairnad.knowledge.build.pipeline import Extractor, Progress, run_steps
from fairnad.knowledge.build.reading import Readers
from fairnad.knowledge.build.reference import (
    Reference,
    asker,
    build_tree,
    load_template,
    reference_sources,
)
from fairnad.knowledge.build.results import Outcome, compose
from fairnad.knowledge.build.review import PATCH, Patch, patched, read_patch
from fairnad.knowledge.build.sources import Skipped, Source, count_papers, find_sources
from fairnad.knowledge.build.steps import Step
from fairnad.knowledge.build.store import DATABASE, Store
from fairnad.knowledge.files import IDEAS, TREE, dump_lines, write_whole
from fairnad.llm.client import Client
from fairnad.llm.endpoint import EndpointFacts, check_endpoint
from fairnad.llm.journal import JournaledLLM
from fairnad.llm.local import served
from fairnad.llm.prompts import Prompts
from fairnad.llm.spend import Spend, Spent
from fairnad.resources import resource

__all__ = ["Built", "Plan", "Told", "build"]

logger = logging.getLogger(__name__)

_CHARS_PER_TOKEN = 3

Told = Callable[[Progress, Spent], None]
"""Is told how far the build is, and what it cost so far."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build. `uses_llm` says who extracts; a `llm.base_url` of "local:FILE" is a model to serve meanwhile.

    `references` are names of known reference models, "all" for all of them, and Python files; files alone join all.
    """

    papers: Path
    out: Path
    config: Config
    uses_llm: bool
    tree: Path | None = None
    references: tuple[str, ...] = ()
    max_papers: int | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: the result's folder is `out`; `spent` counts all sessions of the build."""

    out: Path
    grade: str
    papers: int
    skipped: tuple[Skipped, ...]
    outcome: Outcome
    spent: Spent

    @property
    def ideas(self) -> Path:
        """The file of the ideas."""
        return self.out / IDEAS


def build(plan: Plan, told: Told = lambda progress, spent: None) -> Built:
    """Build, or go on with, the knowledge that `plan` asks for.

    Raises:
        KnowledgeError: the folder, the tree, a reference or all papers cannot be used, or no idea was found.
        ConfigError: the language model cannot be used, or there are PDFs and nothing to read them.
        LLMError: it does not answer, or a limit on spend is reached; the same call goes on later.
    """
    sources, left_out = find_sources(plan.papers, limit=plan.max_papers)
    if any(is_pdf(source.path) for source in sources):
        check_pymupdf()
    _check_out(plan.out)
    tree, references = _given_tree(plan), _references(plan.references)
    for one in left_out:
        logger.warning("skipped %s", one.message)
    listed = {folder / entry.file: entry for folder in {one.path.parent for one in sources} for entry in _index(folder)}
    num_readers = max(1, min(len(sources), len(os.sched_getaffinity(0))))
    prompts = _prompts(plan)
    model = served(plan.config.llm) if _asks(plan) else nullcontext(plan.config.llm)
    with Readers(num_readers) as readers, model as asked:  # the readers start while the endpoint is checked
        with loading():  # the first look at an endpoint loads its client
            facts = check_endpoint(asked, longest_prompt(prompts, tree.tree)) if _asks(plan) else None
        with Store(plan.out) as store, _Work(plan, prompts, store, asked, facts) as work:
            tree = work.built_tree(references) if references else tree
            extractor = work.extractor(tree.tree)
            skipped = run_steps(
                sources,
                extractor,
                store,
                readers,
                concurrency=asked.concurrency if plan.uses_llm else 1,
                told=lambda progress: told(progress, work.spend.total),
            )
            outcome = _outcome(sources, extractor, store, listed)
            if not outcome.lines:
                raise _nothing_found(plan.out, outcome, store)
            if plan.tree is not None:
                (plan.out / DRAFT).unlink(missing_ok=True)  # it is no longer what this tree comes from
            write_whole(tree.text, plan.out / TREE)
            write_whole(dump_lines(outcome.lines), plan.out / IDEAS)
            return Built(
                plan.out, extractor.name, len(sources) + len(left_out), (*left_out, *skipped), outcome, work.spend.total
            )


@dataclass(frozen=True, slots=True)
class _Tree:
    """The tree of the tags, and the text of its file."""

    tree: AttributeTree
    text: str


class _Work:
    """Who is asked, once everything was checked."""

    def __init__(
        self, plan: Plan, prompts: Prompts, store: Store, asked: LLMConfig, facts: EndpointFacts | None
    ) -> None:
        self.spend = Spend(asked, store.spent())
        self._plan, self._prompts, self._asked, self._facts = plan, prompts, asked, facts
        self._client = Client(asked, facts, spend=self.spend) if facts is not None else None
        self._llm = (
            JournaledLLM(self._client, store.journal(self._client.name), keeps_faults=False)
            if self._client is not None
            else None
        )

    def __enter__(self) -> _Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def built_tree(self, references: Sequence[Reference]) -> _Tree:
        """Return the tree that the model names from reference models, with the corrections that are kept of it."""
        assert self._llm is not None
        template = load_template()
        ask = asker(self._llm, self._prompts, template)
        draft = build_tree(references, ask, template, workers=self._asked.concurrency)
        write_draft(draft, self._plan.out / DRAFT)
        corrected = patched(draft, read_patch(self._plan.out / PATCH))
        return _Tree(corrected.tree, tree_json(corrected.tree, source=corrected.source))

    def extractor(self, tree: AttributeTree) -> Extractor:
        """Return who says what is in the papers."""
        if self._client is None or self._llm is None or not self._plan.uses_llm:
            return KeywordExtractor(tree)
        context = self._facts.context_tokens if self._facts is not None else None
        room = None if context is None else _CHARS_PER_TOKEN * (context - self._asked.max_tokens)
        return LLMExtractor(self._llm, self._prompts, tree, room=room, close=self._client.close)


def _asks(plan: Plan) -> bool:
    return plan.uses_llm or bool(plan.references)


def _prompts(plan: Plan) -> Prompts:
    root = plan.config.prompts.root
    return Prompts(Path(root) if root is not None else None)


def _check_out(out: Path) -> None:
    if (out / IDEAS).exists() and not (out / DATABASE).exists():
        raise KnowledgeError(f"{out}: holds ideas that no build wrote, which would be lost; choose another --out")


def _given_tree(plan: Plan) -> _Tree:
    """Return the plan's tree, or that of an earlier build in its folder, or the one that is shipped."""
    earlier = plan.out / TREE
    path = plan.tree or (earlier if earlier.is_file() else resource("knowledge", TREE))
    tree, patch = AttributeTree.load(path), read_patch(plan.out / PATCH)
    if plan.tree is None or patch == Patch():
        return _Tree(tree, path.read_text(encoding="utf-8"))
    corrected = patched(TreeDraft(tree, source=path.name), patch)
    return _Tree(corrected.tree, tree_json(corrected.tree, source=corrected.source))


def _index(folder: Path) -> tuple[Listed, ...]:
    """Return what is known about the papers of a folder; another file of that name is left alone."""
    try:
        return read_index(folder)
    except KnowledgeError as error:
        logger.warning("%s; papers are cited by what stands in them", str(error).partition(";")[0])
        return ()


def _references(named: Sequence[str]) -> tuple[Reference, ...]:
    files = [Path(name) for name in named if name.endswith(".py")]
    names = [name for name in named if not name.endswith(".py")]
    return reference_sources(None if "all" in names or not names else names, files) if named else ()


def _outcome(sources: Sequence[Source], extractor: Extractor, store: Store, listed: Mapping[Path, Listed]) -> Outcome:
    judged, tagged = (store.results(step, extractor.versions[step]) for step in (Step.FILTER, Step.TAGS))
    return compose(sources, store.papers(), judged, tagged, grade=extractor.name, listed=listed)


def _nothing_found(out: Path, outcome: Outcome, store: Store) -> KnowledgeError:
    """Return the error that says what came of the papers; what is left are replies of a language model."""
    judged = outcome.kept + sum(outcome.rejected.values())
    kept = f"{outcome.kept} kept, with {outcome.found} ideas, none of use"
    found = f"no idea was found in {count_papers(judged)}: {kept}" if judged else "no paper can be used, as told above"
    written = "nothing is written" if store.discard() else f"nothing is written but {out / DATABASE}"
    return KnowledgeError(f"{found}; {written}")
