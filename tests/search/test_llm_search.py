"""A whole search whose drafts a language model writes: a loopback endpoint that changes the code it is shown."""

from __future__ import annotations

import re

import pytest

from fairnad.config import load_config
from fairnad.errors import ConfigError, LLMError
from fairnad.history.store import History
from fairnad.records import Trained
from fairnad.search.replay import replay
from fairnad.search.run import resume_search, start_search
from tests.llm.endpoint import FakeEndpoint, completion

CANARY = "sk-canary-5f0c1d"
_CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
_SETTINGS = ("drafts.generator=llm", "drafts.style=rewrite", "recipe.epochs=1", "executor.slots=1", "llm.concurrency=2")


class Coder(FakeEndpoint):
    """Puts one more dropout before the classifier of the last network it is shown; sometimes it forgets an import."""

    def next_step(self, request, headers):
        super().next_step(request, headers)
        with self._lock:
            number = len(self.requests)
        prompt = request["messages"][-1]["content"]
        if "You judge changes" in request["messages"][0]["content"]:
            return completion("##response##yes", usage=(1000, 500))
        code = _CODE.findall(prompt)[-1 if "parent" not in prompt[-400:] else 0]
        rate = 0.001 * number
        code = code.replace("return self.fc(x)", f"return self.fc(nn.functional.dropout(x, {rate}, self.training))")
        code = re.sub(r"dropout\(x, [\d.]+", f"dropout(x, {rate}", code)
        return completion(f"Idea: drop {rate} of the features.\n\n```python\n{code}```", usage=(1000, 500))


@pytest.fixture
def coder(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    with Coder() as endpoint:
        yield endpoint


def settings(url, *more):
    return load_config("demo", [*_SETTINGS, f"llm.base_url={url}", *more])


@pytest.mark.slow
def test_a_search_by_a_language_model_can_be_replayed_and_holds_no_key(coder, tmp_path):
    folder = tmp_path / "run"
    plan = ("budget=3", "plan.initial=1", "plan.fair=1", "plan.pareto=0", "plan.iterative_parents=1")
    start_search(settings(coder.url, *plan, "verification.structure_judge=llm"), folder)
    with History.open(folder) as history:
        children = history.children()[1:]
        assert len(children) == 3
        assert all(isinstance(child.outcome, Trained) for child in children)
        assert {child.idea.kind.value for child in children} == {"knowledge", "own"}
        drafts = [judged.draft for child in children for judged in history.slot(child.key).drafts]
        assert all(draft.generator == "llm" and draft.prompt and draft.reply for draft in drafts)
        calls = {one.task: one.calls for one in history.task_calls()}
        assert sum(calls.values()) == len(coder.requests)
        assert calls["structure"] == len(children)
        assert history.totals().tokens == 1500 * len(coder.requests)
    held = [path for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert held == []
    num_requests = len(coder.requests)
    replayed = replay(folder)
    assert replayed.differences == ()
    assert replayed.rows["children"] == 4
    assert len(coder.requests) == num_requests


@pytest.mark.slow
def test_an_endpoint_that_dies_stops_a_search_that_can_be_resumed(coder, tmp_path):
    folder = tmp_path / "run"
    config = settings(coder.url, "budget=2", "plan.initial=2", "llm.outage_seconds=0.5", "llm.max_retries=0")
    dying = coder.next_step
    coder.next_step = lambda request, headers: dying(request, headers) if not coder.requests else {"status": 503}
    with pytest.raises(LLMError):
        start_search(config, folder)
    coder.next_step = dying
    best = resume_search(folder)
    with History.open(folder) as history:
        assert len(history.children()) == 3
    assert best.accuracy is not None


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("llm.base_url=null",), "give --llm URL"),
        (("llm.model=codr",), "coder"),
        (("llm.context_tokens=300",), "300"),
        (("llm.base_url=local:nothing.gguf",), "nothing.gguf"),
        (("prompts.root=nowhere",), "nowhere"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_written(coder, tmp_path, overrides, told):
    with pytest.raises(ConfigError, match=told):
        start_search(settings(coder.url, *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()
