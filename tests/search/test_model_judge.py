"""A language model as the judge of structure in a search: a loopback endpoint, the client, the journal, replay."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fairnad.config import Config
from fairnad.errors import SpendLimitError
from fairnad.executors.recorded import RecordedExecutor
from fairnad.history.store import History
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.llm.client import Client
from fairnad.llm.journal import JournaledLLM
from fairnad.llm.prompts import Prompts
from fairnad.llm.spend import Spend
from fairnad.mutations.base import Workshop
from fairnad.records import Draft, Failure, FilledSlot, JudgedDraft, SlotKey, Stage
from fairnad.resources import resource
from fairnad.search.loop import Search, Tools
from fairnad.search.progress import Progress
from fairnad.verification.base import Known
from fairnad.verification.model_judge import ModelJudge
from tests.fakes import InlineExecutor, TextGenerator, TextVerifier, digest
from tests.llm.endpoint import FakeEndpoint, completion

ANSWERS = ("##response##yes", "##response##yes", "##response##no", "I would not know.")


def answer(child):
    """Return what the endpoint says of a child, whose source has lines of its own."""
    return ANSWERS[digest(child) % len(ANSWERS)]


class Judge(FakeEndpoint):
    def next_step(self, request, headers):
        super().next_step(request, headers)
        child = request["messages"][-1]["content"].split("```python\n")[2].partition("\n```")[0]
        return completion(answer(child), usage=(100, 10))


@dataclass
class Run:
    """A search on fakes, but for its judge of structure."""

    config: Config
    ideas: IdeaDatabase
    history: History = field(default_factory=History.in_memory)

    def search(self, llm, executor=None):
        if not self.history.children():
            base = Draft("# base", "base", None)
            judged = JudgedDraft(base, TextVerifier().judge(base.source, Known()), 0)
            self.history.record_slot(FilledSlot(SlotKey(0, Stage.BASE, 0), None, None, (judged,), 0))
        tools = Tools(
            history=self.history,
            executor=executor or InlineExecutor(),
            generator=TextGenerator(),
            verifier=TextVerifier(),
            workshop=Workshop(self.ideas, SamplingLevel.MAIN, self.config.limits, self.config.plan),
            num_train_images=100,
            model_judge=ModelJudge(llm, Prompts()),
        )
        return Search(self.config, tools, Progress(self.config.budget, 2)).run()

    def ask(self, **limits):
        """Search with the endpoint of the configuration, from what was spent before on."""
        llm = self.config.llm.model_copy(update=limits)
        with Client(llm, spend=Spend(llm, self.history.spent())) as client:
            return self.search(JournaledLLM(client, self.history.journal("coder")))


@pytest.fixture
def judge(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Judge() as endpoint:
        yield endpoint


@pytest.fixture
def new_run(judge):
    ideas = IdeaDatabase.load(resource("knowledge", "ideas.jsonl"), AttributeTree.load())
    config = Config.model_validate(
        {
            "budget": 8,
            "plan": {"initial": 4, "fair": 2, "pareto": 2},
            "drafts": {"generator": "llm"},
            "verification": {"structure_judge": "llm"},
            "llm": {"base_url": judge.url, "model": "coder", "concurrency": 4},
        }
    )
    return lambda: Run(config, ideas)


def test_children_are_those_that_the_model_takes_for_networks(judge, new_run):
    run = new_run()
    run.ask()
    judged = [one for child in run.history.children()[1:] for one in run.history.slot(child.key).drafts]
    answers = {one.draft.source: answer(one.draft.source) for one in judged}
    assert set(answers.values()) == set(ANSWERS)
    for one in judged:
        assert one.verdict.is_accepted == (answers[one.draft.source] == ANSWERS[0])
        is_unread = answers[one.draft.source] == ANSWERS[-1]  # the graphs of these fakes are too shallow
        assert ("weighted layers" in one.verdict.reason) == is_unread
        assert any("cannot be read" in warning for warning in one.verdict.warnings) == is_unread
        assert one.verdict.failure in (None, Failure.STRUCTURE)
    (calls,) = run.history.task_calls()
    assert (calls.task, calls.calls, calls.failed) == ("structure", len(judge.requests), 0)
    num_unread = sum(text == ANSWERS[-1] for text in answers.values())
    assert calls.calls >= len(answers) + num_unread
    assert run.history.totals().tokens == 110 * calls.calls


def test_a_replay_is_answered_from_the_journal(judge, new_run):
    run, again = new_run(), new_run()
    run.ask()
    num_requests = len(judge.requests)
    again.search(JournaledLLM(None, run.history.journal()), RecordedExecutor(run.history))
    assert again.history.content() == run.history.content()
    assert len(judge.requests) == num_requests


def test_a_limit_on_spend_stops_it_and_it_goes_on_to_the_same_history(judge, new_run):
    whole, stopped = new_run(), new_run()
    whole.ask()
    num_requests = len(judge.requests)
    with pytest.raises(SpendLimitError):
        stopped.ask(max_total_tokens=500)
    assert len(judge.requests) - num_requests < num_requests
    stopped.ask()
    assert stopped.history.content() == whole.history.content()
    assert len(judge.requests) <= 2 * num_requests + 4  # those under way when it stopped
