"""The steps of a build with an extractor that answers by rule: what is recorded, what is skipped, what goes on."""

import threading
import time

import pytest

from fairnad.errors import KnowledgeError, LLMError, ReplyError, SpendLimitError
from fairnad.knowledge.attributes import Attribute
from fairnad.knowledge.build.pipeline import run_steps
from fairnad.knowledge.build.reading import Readers
from fairnad.knowledge.build.sources import find_sources
from fairnad.knowledge.build.steps import Candidate, Judged, Step
from fairnad.knowledge.build.store import Store

PLACE = Attribute("performance", "operation", "activation", "relu")
NUM_PAPERS = 6


class Rules:
    """Keeps papers with an even number; `fails` says what happens instead of a step, `wait` how long it takes."""

    name = "rules"

    def __init__(self, version="1", *, fails=lambda step, title: None, wait=lambda title: 0.0):
        self.versions = {step: f"{step.value} {version}" for step in Step}
        self.asked = []
        self.is_closed = False
        self._fails, self._wait = fails, wait
        self._lock = threading.Lock()
        self._titles = {}

    def judge(self, paper):
        self._titles[paper.sha256] = paper.title
        self._ask(Step.FILTER, paper.title)
        return Judged(int(paper.title[-1]) % 2 == 0, "odd" if int(paper.title[-1]) % 2 else "")

    def extract(self, paper):
        self._titles[paper.sha256] = paper.title
        self._ask(Step.IDEAS, paper.title)
        return (Candidate(f"an idea of {paper.title}", 1, "a passage"), Candidate("a loss", None, ""))

    def tag(self, sha256, candidates):
        self._ask(Step.TAGS, self._titles.get(sha256, sha256))
        first, second = candidates
        return (Candidate(first.text, first.page, first.passage, PLACE), Candidate(second.text, None, "", None, "loss"))

    def close(self):
        self.is_closed = True

    def _ask(self, step, title):
        with self._lock:
            self.asked.append((step, title))
        time.sleep(self._wait(title))
        if problem := self._fails(step, title):
            raise problem


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers")
    for number in range(NUM_PAPERS):
        text = f"Paper Number {number}\n\nAda Example\n\nAbstract\n\nWe study gates.\n\n1 Method\n\nA gate scales it.\n"
        (folder / f"{number}.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def readers():
    with Readers(2) as readers:
        yield readers


@pytest.fixture
def build(papers, readers, tmp_path):
    """Run a build in one folder; return what was skipped and what the database holds."""

    def run(extractor, *, folder="out", limit=None, told=lambda progress: None):
        sources, _ = find_sources(papers, limit=limit)
        with Store(tmp_path / folder) as store:
            try:
                skipped = run_steps(sources, extractor, store, readers, concurrency=2, told=told)
            finally:
                run.rows = {step: store.results(step, extractor.versions[step]) for step in Step}
        return skipped

    return run


def test_every_step_is_a_row_whatever_ends_first(build):
    build(Rules())
    rows = build.rows
    assert [len(rows[step]) for step in Step] == [NUM_PAPERS, NUM_PAPERS // 2, NUM_PAPERS // 2]
    build(Rules(wait=lambda title: 0.03 - 0.005 * int(title[-1])), folder="other")
    assert build.rows == rows


def test_a_second_run_does_only_what_is_new(build):
    build(Rules(), limit=3)
    again = Rules()
    build(again)
    assert {title for _, title in again.asked} == {f"Paper Number {number}" for number in (3, 4, 5)}
    unchanged = Rules()
    build(unchanged)
    assert unchanged.asked == []
    other = Rules(version="2")
    build(other)
    assert len(other.asked) == 2 * NUM_PAPERS


def test_a_build_that_was_stopped_goes_on(build):
    limit = SpendLimitError("llm.max_cost is reached", kind="spend")
    stopped = Rules(fails=lambda step, title: limit if step is Step.IDEAS and title.endswith("2") else None)
    with pytest.raises(SpendLimitError, match="max_cost"):
        build(stopped)
    done = sum(map(len, build.rows.values()))
    assert done > 0
    assert stopped.is_closed
    rest = Rules()
    build(rest)
    assert len(rest.asked) == 2 * NUM_PAPERS - done
    assert [len(build.rows[step]) for step in Step] == [NUM_PAPERS, NUM_PAPERS // 2, NUM_PAPERS // 2]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ReplyError("no_ideas", "the reply lists no idea"), "the reply cannot be read"),
        (LLMError("status 400", kind="context_length"), "no reply"),
    ],
)
def test_a_paper_without_a_usable_reply_is_skipped_and_asked_about_again(build, error, reason):
    skipped = build(Rules(fails=lambda step, title: error if (step, title[-1]) == (Step.IDEAS, "4") else None))
    assert [(one.path.name, one.reason) for one in skipped] == [("4.txt", reason)]
    assert str(error) in skipped[0].message
    again = Rules()
    assert build(again) == ()
    assert again.asked == [(Step.IDEAS, "Paper Number 4"), (Step.TAGS, "Paper Number 4")]


def test_without_any_usable_reply_the_build_ends_in_clear_words(build):
    prose = ReplyError("no_response_marker", "the reply has no ##response##")
    with pytest.raises(KnowledgeError, match=r"none of the replies for 6 papers can be used: .*no ##response##"):
        build(Rules(fails=lambda step, title: prose))
    assert not any(build.rows.values())


def test_an_endpoint_that_is_gone_ends_the_build(build):
    gone = LLMError("it was away for 3600 s", kind="network")
    with pytest.raises(LLMError, match="away"):
        build(Rules(fails=lambda step, title: gone if title.endswith("3") else None))


def test_a_bad_paper_is_skipped_once_and_for_all(papers, readers, tmp_path):
    bad = tmp_path / "papers"
    bad.mkdir()
    (bad / "good 0.txt").write_bytes((papers / "0.txt").read_bytes())
    (bad / "same.txt").write_bytes((papers / "0.txt").read_bytes())
    (bad / "bad.pdf").write_bytes(b"no PDF at all")
    sources, left_out = find_sources(bad)
    assert [(one.path.name, one.reason) for one in left_out] == [("same.txt", "the same file twice")]
    for _ in range(2):
        with Store(tmp_path / "out") as store:
            skipped = run_steps(sources, Rules(), store, readers, concurrency=1)
            assert [(one.path.name, one.reason) for one in skipped] == [("bad.pdf", "cannot be read")]
            assert skipped[0].message.startswith(f"{bad / 'bad.pdf'}: ")
            assert {paper.file: bool(paper.error) for paper in store.papers().values()} == {
                "good 0.txt": False,
                "bad.pdf": True,
            }


def test_a_paper_whose_reader_failed_is_read_by_the_next_run(papers, readers, tmp_path):
    sources, _ = find_sources(papers, limit=1)
    with Store(tmp_path / "out") as store:
        with Readers(1, seconds=0.0) as hasty:
            (skipped,) = run_steps(sources, Rules(), store, hasty, concurrency=1)
        assert (skipped.reason, "took over 0 s" in skipped.message) == ("cannot be read", True)
        assert store.papers() == {}
        again = Rules()
        assert run_steps(sources, again, store, readers, concurrency=1) == ()
    assert [step for step, _ in again.asked] == list(Step)


def test_progress_counts_to_the_end(build):
    seen = []
    build(Rules(), told=seen.append)
    assert (seen[0].finished, seen[0].share) == (0, 0.0)
    assert [one.share for one in seen] == sorted(one.share for one in seen)
    last = seen[-1]
    assert (last.papers, last.finished, last.kept, last.skipped, last.ideas, last.share) == (6, 6, 3, 0, 3, 1.0)


class Counted:
    """One reader, which counts what it reads."""

    count = 1

    def __init__(self, readers):
        self.num_read = 0
        self._readers = readers

    def read(self, path):
        time.sleep(0.05)
        self.num_read += 1
        return self._readers.read(path)


def test_papers_that_wait_are_not_read_after_an_interrupt(papers, readers, tmp_path):
    def told(progress):
        if counted.num_read:
            raise KeyboardInterrupt

    counted, extractor = Counted(readers), Rules()
    sources, _ = find_sources(papers)
    with Store(tmp_path) as store, pytest.raises(KeyboardInterrupt):
        run_steps(sources, extractor, store, counted, concurrency=2, told=told)
    assert 0 < counted.num_read < NUM_PAPERS
    assert extractor.is_closed
