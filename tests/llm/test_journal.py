"""Recording, replay and resume, with the journal of a history."""

import pytest

from fairnad.errors import LLMError, SpendLimitError
from fairnad.history import History
from fairnad.llm.base import Message, Prompt, Reply, Service
from fairnad.llm.journal import JournaledLLM

PROMPT = Prompt("draft", (Message("user", "Write a network."),))
OTHER = Prompt("draft", (Message("user", "Write another."),))
SERVICE = Service("0/1/I/2/0", 0)


class Scripted:
    """Answers with one text after the other; an error among them is raised."""

    name = "scripted"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def complete(self, prompt, service):
        self.asked.append((prompt, service))
        answer = self.answers.pop(0)
        if isinstance(answer, LLMError):
            raise answer
        return Reply(answer)


@pytest.fixture
def history():
    with History.in_memory() as history:
        yield history


def test_a_call_is_paid_once(history):
    llm = Scripted("first", "second")
    journaled = JournaledLLM(llm, history.journal(llm.name))
    assert journaled.name == "scripted"
    assert journaled.complete(PROMPT, SERVICE).text == "first"
    assert journaled.complete(PROMPT, SERVICE).text == "first"
    assert journaled.complete(PROMPT, Service(SERVICE.served, 1)).text == "second"
    assert len(llm.asked) == 2


def test_a_replay_answers_without_a_model(history):
    JournaledLLM(Scripted("first"), history.journal()).complete(PROMPT, SERVICE)
    replay = JournaledLLM(None, history.journal())
    assert (replay.name, replay.complete(PROMPT, SERVICE).text) == ("replay", "first")


def test_a_replay_says_what_is_missing(history):
    replay = JournaledLLM(None, history.journal())
    with pytest.raises(LLMError, match=r"replay: call 0 of '0/1/I/2/0' \(draft\) is not in the journal") as caught:
        replay.complete(PROMPT, SERVICE)
    assert caught.value.kind == "replay"


def test_a_replay_says_that_the_prompt_changed(history):
    JournaledLLM(Scripted("first"), history.journal()).complete(PROMPT, SERVICE)
    message = f"recorded with another prompt .{PROMPT.hash[:8]}, now {OTHER.hash[:8]}"
    with pytest.raises(LLMError, match=message):
        JournaledLLM(None, history.journal()).complete(OTHER, SERVICE)


def test_a_changed_prompt_is_asked_again(history):
    journaled = JournaledLLM(Scripted("first", "second"), history.journal())
    journaled.complete(PROMPT, SERVICE)
    assert journaled.complete(OTHER, SERVICE).text == "second"
    assert JournaledLLM(None, history.journal()).complete(OTHER, SERVICE).text == "second"


def test_a_build_asks_again_what_was_not_answered(history):
    llm = Scripted(LLMError("no whole answer", kind="timeout"), "fine")
    journaled = JournaledLLM(llm, history.journal(), keeps_faults=False)
    with pytest.raises(LLMError, match="no whole answer"):
        journaled.complete(PROMPT, SERVICE)
    assert journaled.complete(PROMPT, SERVICE).text == "fine"


def test_a_failure_is_recorded_and_asked_again(history):
    llm = Scripted(LLMError("no whole answer", kind="network"), "fine")
    journaled = JournaledLLM(llm, history.journal())
    with pytest.raises(LLMError, match="no whole answer"):
        journaled.complete(PROMPT, SERVICE)
    assert [(one.calls, one.failed) for one in history.task_calls()] == [(1, 1)]
    assert journaled.complete(PROMPT, SERVICE).text == "fine"


def test_a_prompt_without_an_answer_is_an_empty_reply_that_no_resume_asks_for_again(history):
    llm = Scripted(LLMError("the prompt is too long", kind="context_length"), "fine")
    journaled = JournaledLLM(llm, history.journal())
    assert journaled.complete(PROMPT, SERVICE).text == ""
    assert JournaledLLM(None, history.journal()).complete(PROMPT, SERVICE).text == ""


def test_an_endpoint_that_answers_nothing_at_all_stops_the_search(history):
    llm = Scripted(*[LLMError("no whole answer", kind="timeout")] * 5)
    journaled = JournaledLLM(llm, history.journal())
    for number in range(4):
        assert journaled.complete(PROMPT, Service("0/1/I/0/0", number)).text == ""
    with pytest.raises(LLMError, match="no whole answer"):
        journaled.complete(PROMPT, Service("0/1/I/0/0", 4))


def test_a_call_that_was_not_made_is_not_recorded(history):
    journaled = JournaledLLM(Scripted(SpendLimitError("reached")), history.journal())
    with pytest.raises(SpendLimitError):
        journaled.complete(PROMPT, SERVICE)
    assert history.task_calls() == ()
