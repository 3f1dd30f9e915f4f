"""The long job: every paper read, judged, searched for ideas, and its ideas tagged, as many at once as is allowed.

A step that was done is a row of the store at once, and is not done again: killed or stopped, the same call goes on.
What the steps mean is the extractor's; what comes of them all is put together in `results`.
"""

from __future__ import annotations

import heapq
import logging
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fairnad.errors import FairNADError, KnowledgeError, LLMError, ReplyError
from fairnad.knowledge.build.papers import Paper, ReadingError, name_of
from fairnad.knowledge.build.reading import Readers
from fairnad.knowledge.build.sources import Skipped, Source, count_papers
from fairnad.knowledge.build.steps import Candidate, Judged, Result, Step
from fairnad.knowledge.build.store import KnownPaper, StepRow, Store

__all__ = ["Extractor", "Progress", "run_steps"]

logger = logging.getLogger(__name__)

_STEPS = tuple(Step)
_CALLS_AHEAD = 2  # threads for each call: prompts are written and replies recorded while other calls are under way
_PAPERS_AHEAD = 2  # papers in memory for each thread, so that the next call is always at hand
_PATIENCE = 16  # failures without any success, after which nothing good is expected

_Found = Paper | Result


class Extractor(Protocol):
    """Says what is in papers; safe to call from several threads. All three raise LLMError where no reply can be used.

    `versions` holds, for each step, a hash of all that decides its result, the paper apart.
    """

    name: str
    versions: Mapping[Step, str]

    def judge(self, paper: Paper) -> Judged:
        """Return whether the paper is kept, by its abstract."""

    def extract(self, paper: Paper) -> tuple[Candidate, ...]:
        """Return the ideas in a paper that is kept."""

    def tag(self, sha256: str, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Return the ideas of a paper with their places in the tree, or the reasons why they are dropped."""

    def close(self) -> None:
        """End the calls under way, each with an LLMError."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is. `share` counts the steps of all papers; what earlier runs did counts as done."""

    papers: int
    finished: int
    kept: int
    skipped: int
    ideas: int
    share: float


def run_steps(
    sources: Sequence[Source],
    extractor: Extractor,
    store: Store,
    readers: Readers,
    *,
    concurrency: int,
    told: Callable[[Progress], None] = lambda progress: None,
) -> tuple[Skipped, ...]:
    """Do every step of every paper that is not done yet; return the papers that gave nothing, in their order.

    Raises:
        KnowledgeError: no reply at all could be used.
        LLMError: calls cannot go on, such as at a limit on spend. All that was done is recorded, also then.
    """
    num_calls = _CALLS_AHEAD * concurrency
    build = _Build(extractor, store, sources, num_calls)
    with ThreadPoolExecutor(readers.count) as reading, ThreadPoolExecutor(num_calls) as calling:

        def start(job: _Job) -> Future[_Found]:
            if job.is_to_be_read:
                return reading.submit(lambda: readers.read(job.source.path))
            return calling.submit(lambda: _do(extractor, job))

        try:
            build.run(start, told)
        except BaseException:
            reading.shutdown(wait=False, cancel_futures=True)
            extractor.close()
            raise
    return tuple(one for _, one in sorted(build.skipped.items()))


@dataclass
class _Job:
    """A paper on its way: the step that comes next, and what that needs."""

    order: int
    source: Source
    step: Step = Step.FILTER
    paper: Paper | None = None
    candidates: tuple[Candidate, ...] = ()

    @property
    def is_to_be_read(self) -> bool:
        return self.paper is None and self.step is not Step.TAGS

    @property
    def steps_left(self) -> int:
        return len(_STEPS) - _STEPS.index(self.step)


def _do(extractor: Extractor, job: _Job) -> _Found:
    """Return what the next step of `job` says."""
    if job.step is Step.TAGS:
        return extractor.tag(job.source.sha256, job.candidates)
    assert job.paper is not None
    return extractor.judge(job.paper) if job.step is Step.FILTER else extractor.extract(job.paper)


@dataclass
class _Build:
    """The state of a build, which one thread alone changes; the others read papers and ask."""

    extractor: Extractor
    store: Store
    sources: Sequence[Source]
    num_calls: int
    skipped: dict[int, Skipped] = field(default_factory=dict)
    _waiting: deque[_Job] = field(default_factory=deque)
    _ready: list[tuple[int, int, _Job]] = field(default_factory=list)
    _running: dict[Future[_Found], _Job] = field(default_factory=dict)
    _done: queue.SimpleQueue[Future[_Found]] = field(default_factory=queue.SimpleQueue)
    _num_asking: int = 0
    _fatal: FairNADError | None = None
    _answers: int = 0
    _failures: int = 0
    _finished: int = 0
    _kept: int = 0
    _ideas: int = 0
    _steps_left: int = 0

    def run(self, start: Callable[[_Job], Future[_Found]], told: Callable[[Progress], None]) -> None:
        """Work until every paper is through, or an error ends it all; what is under way is brought to its end."""
        self._take_up()
        told(self._progress())
        while self._start(start):
            self._take([(future, self._running.pop(future)) for future in self._next_done()])
            told(self._progress())
        if self._fatal is not None:
            raise self._fatal
        self._check_answers(patience=1)

    def _take_up(self) -> None:
        """Go on with each paper where earlier runs stopped."""
        known = {step: self.store.results(step, self.extractor.versions[step]) for step in _STEPS}
        papers = self.store.papers()
        self._steps_left = len(_STEPS) * len(self.sources)
        self._answers = sum(map(len, known.values()))
        for order, source in enumerate(self.sources):
            job, paper = _Job(order, source), papers.get(source.sha256)
            # What is wrong with a file may lie in its name: one that was renamed is read anew.
            if paper is not None and paper.error and Path(paper.file).suffix == source.path.suffix:
                self._skip(job, "cannot be read", f"{source.path}: {paper.error}")
                continue
            is_open = True
            while is_open and (result := known[job.step].get(source.sha256)) is not None:
                is_open = self._advance(job, result)
            if is_open:
                self._waiting.append(job)

    def _start(self, start: Callable[[_Job], Future[_Found]]) -> bool:
        """Start all that there is room for; return whether anything is under way."""
        if self._fatal is not None:
            return bool(self._running)
        while self._waiting and len(self._running) + len(self._ready) < _PAPERS_AHEAD * self.num_calls:
            job = self._waiting.popleft()
            if job.is_to_be_read:
                self._run(start, job)
            else:
                self._make_ready(job)
        while self._ready and self._num_asking < self.num_calls:
            # The longest way to go comes first: so the last calls of all end together.
            job = heapq.heappop(self._ready)[-1]
            self._run(start, job)
            self._num_asking += 1
        return bool(self._running)

    def _run(self, start: Callable[[_Job], Future[_Found]], job: _Job) -> None:
        future = start(job)
        self._running[future] = job
        future.add_done_callback(self._done.put)

    def _next_done(self) -> Iterator[Future[_Found]]:
        """Yield what is done; waits for the first."""
        yield self._done.get()
        while not self._done.empty():
            yield self._done.get()

    def _take(self, done: Iterable[tuple[Future[_Found], _Job]]) -> None:
        """Record what came back, in one transaction, and make the next steps ready."""
        papers: list[KnownPaper] = []
        rows: list[StepRow] = []
        for future, job in done:
            self._num_asking -= not job.is_to_be_read
            try:
                found = future.result()
            except FairNADError as error:
                papers += self._failed(job, error)
                continue
            is_open = True
            if isinstance(found, Paper):
                job.paper = found
                papers.append(_known_paper(job.source, found))
            else:
                rows.append(StepRow(job.source.sha256, job.step, self.extractor.versions[job.step], found))
                self._answers += 1
                is_open = self._advance(job, found)
            if is_open:
                self._make_ready(job)
        self.store.record(papers, rows)

    def _make_ready(self, job: _Job) -> None:
        heapq.heappush(self._ready, (_STEPS.index(job.step), job.order, job))

    def _advance(self, job: _Job, result: Result) -> bool:
        """Take in the result of a step; return whether the paper has another one."""
        is_last = job.step is Step.TAGS
        if isinstance(result, Judged):
            self._kept += result.is_kept
            is_last = not result.is_kept
        else:
            job.candidates, job.paper = result, None
            self._ideas += sum(one.place is not None for one in result) if is_last else 0
        if is_last:
            self._finish(job)
            return False
        self._steps_left -= 1
        job.step = _STEPS[_STEPS.index(job.step) + 1]
        return True

    def _failed(self, job: _Job, error: FairNADError) -> list[KnownPaper]:
        """Skip a paper, or end the build where the next paper would fare no better; return what is to be recorded."""
        path = job.source.path
        if job.is_to_be_read:
            why = str(error).removeprefix(f"{path}: ")
            self._skip(job, "cannot be read", f"{path}: {why}")
            # What is wrong with the file stays so; what befell its reader is told, and tried again by the next run.
            return [] if isinstance(error, ReadingError) else [KnownPaper(job.source.sha256, name_of(path), error=why)]
        if isinstance(error, ReplyError) or (isinstance(error, LLMError) and _is_of_one_paper(error)):
            reason = "the reply cannot be read" if isinstance(error, ReplyError) else "no reply"
            self._skip(job, reason, f"{path}: {job.step.value}: {error}")
            self._failures += 1
            try:
                self._check_answers(patience=_PATIENCE)
            except KnowledgeError as problem:
                self._fatal = self._fatal or problem
        else:
            self._fatal = self._fatal or error
        return []

    def _skip(self, job: _Job, reason: str, message: str) -> None:
        self.skipped[job.order] = Skipped(job.source.path, reason, message)
        self._finish(job)
        logger.warning("skipped %s", message)

    def _finish(self, job: _Job) -> None:
        self._finished += 1
        self._steps_left -= job.steps_left
        job.paper = None

    def _check_answers(self, *, patience: int) -> None:
        if self._failures >= patience and not self._answers:
            last = list(self.skipped.values())[-1].message
            raise KnowledgeError(
                f"none of the replies for {count_papers(self._failures)} can be used: try another model, or look at "
                f"the table calls of knowledge.db; the last: {last}"
            )

    def _progress(self) -> Progress:
        return Progress(
            papers=len(self.sources),
            finished=self._finished,
            kept=self._kept,
            skipped=len(self.skipped),
            ideas=self._ideas,
            share=1.0 - self._steps_left / max(1, len(_STEPS) * len(self.sources)),
        )


def _is_of_one_paper(error: LLMError) -> bool:
    """Return whether the next paper may fare better."""
    return error.is_of_one_prompt or error.kind == "bad_request"


def _known_paper(source: Source, paper: Paper) -> KnownPaper:
    return KnownPaper(source.sha256, paper.file, paper.title, paper.authors, paper.warnings)
