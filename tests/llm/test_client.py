"""The client against an endpoint that plays all kinds of behaviour; only time limits take real time."""

import json
import logging
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError, LLMError, SpendLimitError
from fairnad.llm.base import Finish, Message, Prompt, Service
from fairnad.llm.client import Client
from fairnad.llm.endpoint import EndpointFacts
from fairnad.llm.exchange import Exchange
from fairnad.llm.spend import Spend
from tests.llm.endpoint import FakeEndpoint, completion

SHARED = Path(__file__).parents[2].parent / "shared" / "cases" / "transport.jsonl"
PROMPT = Prompt("draft", (Message("system", "Be brief."), Message("user", "Write a network.")))
SERVICE = Service("0/1/I/3/0", 0)
FACTS = EndpointFacts("coder", ("coder",))
CANARY = "sk-canary-0123456789"


def read_cases(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


OWN = read_cases(Path(__file__).with_name("transport.jsonl"))
SAMPLES = read_cases(SHARED)


class Time:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now = 0.0
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds

    def clock(self):
        return self.now


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def ask():
    """Start an endpoint of these steps and a client for it, which are closed in the end."""
    open_ = []

    def start(steps=(), *, facts=None, spend=None, time=None, **settings):
        endpoint = FakeEndpoint(steps)
        time = time or Time()
        config = LLMConfig(base_url=endpoint.url, model="coder", **settings)
        client = Client(config, facts, spend=spend, wait=time.wait, clock=time.clock)
        client.time, client.endpoint = time, endpoint
        open_.extend([client, endpoint])
        return client

    yield start
    for one in open_:
        one.close()


def play(case, ask):
    """Return what came of a case: the text or the kind of error, and the client."""
    client = ask(case["steps"], max_retries=3, total_seconds=0.4)
    try:
        reply = client.complete(PROMPT, SERVICE)
    except LLMError as error:
        return {"error": error.kind}, client
    if reply.finish is Finish.LENGTH:
        return {"error": "truncated"}, client
    return {"result": reply.text} if reply.text else {"error": "empty"}, client


def check_case(case, ask):
    expected = case["expected"]
    found, client = play(case, ask)
    assert found == {key: expected[key] for key in ("result", "error") if key in expected}
    if "calls" in expected:
        assert len(client.endpoint.requests) == expected["calls"]
    assert sum(client.time.waits) >= expected.get("min_wait_s", 0)


@pytest.mark.parametrize("case", OWN, ids=lambda case: case["id"])
def test_every_behaviour_of_an_endpoint_has_its_end(case, ask):
    check_case(case, ask)


@pytest.mark.skipif(not SAMPLES, reason="the shared transport cases are not on this machine")
@pytest.mark.parametrize("case", SAMPLES, ids=lambda case: case["id"])
def test_the_shared_cases(case, ask):
    check_case(case, ask)


def test_a_request_holds_what_is_configured(ask):
    client = ask(temperature=0.3, top_p=0.9, max_tokens=77, thinking=False, extra_body={"min_p": 0.1})
    client.complete(PROMPT, SERVICE)
    client.complete(PROMPT, SERVICE)
    client.complete(Prompt("draft", PROMPT.messages, temperature=0.0), Service(SERVICE.served, 1))
    first, again, other = client.endpoint.requests
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Write a network."},
    ]
    settings = {"model": "coder", "temperature": 0.3, "top_p": 0.9, "max_tokens": 77, "min_p": 0.1}
    assert {name: first[name] for name in settings} == settings
    assert first["chat_template_kwargs"] == {"enable_thinking": False}
    assert first == again
    assert (other["temperature"], other["seed"] != first["seed"]) == (0.0, True)


def test_thinking_is_left_to_the_endpoint_unless_configured(ask):
    client = ask()
    client.complete(PROMPT, SERVICE)
    assert "chat_template_kwargs" not in client.endpoint.requests[0]


def test_a_reply_tells_tokens_and_cost(ask):
    client = ask([completion("yes", usage=(1000, 500))], price_prompt=2.0, price_reply=4.0)
    reply = client.complete(PROMPT, SERVICE)
    assert (reply.prompt_tokens, reply.reply_tokens, reply.cost) == (1000, 500, pytest.approx(0.004))
    assert (reply.text, reply.finish) == ("yes", Finish.STOP)


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": "many", "completion_tokens": -1}])
def test_token_counts_that_nobody_told_are_unknown_but_limited(ask, usage):
    step = completion("yes" * 100, usage=None)
    step["json"]["usage"] = usage
    spend = Spend(LLMConfig(max_total_tokens=50))
    client = ask([step], spend=spend)
    reply = client.complete(PROMPT, SERVICE)
    assert (reply.prompt_tokens, reply.reply_tokens) == (None, None)
    with pytest.raises(SpendLimitError, match=r"llm\.max_total_tokens is reached"):
        client.complete(PROMPT, SERVICE)
    assert len(client.endpoint.requests) == 1


def test_waits_grow_and_are_jittered(ask):
    client = ask([{"status": 500}], max_retries=8)
    with pytest.raises(LLMError, match=r"status 500.*given up after 9 attempts"):
        client.complete(PROMPT, SERVICE)
    for wait, most in zip(client.time.waits, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert most / 2 <= wait <= most
    assert len(set(client.time.waits)) == 8


def test_no_more_calls_at_once_than_configured(ask):
    client = ask([{"hang_s": 0.02}], concurrency=3)
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda number: client.complete(PROMPT, Service("s", number)), range(12)))
    assert {reply.text for reply in replies} == {"yes"}
    assert client.endpoint.most_at_once == 3


def test_an_endpoint_that_dies_is_waited_for(ask, caplog):
    client = ask()
    client.complete(PROMPT, SERVICE)
    port = client.endpoint.port
    client.endpoint.close()
    revived = []

    def wait(seconds):
        client.time.wait(seconds)
        if client.time.now > 300 and not revived:
            revived.append(FakeEndpoint([completion("back")], port=port))

    client._wait = wait
    with caplog.at_level(logging.WARNING):
        assert client.complete(PROMPT, SERVICE).text == "back"
    revived[0].close()
    assert max(client.time.waits) <= 30
    assert [record.getMessage().split(" at ")[0].split(" after ")[0] for record in caplog.records] == [
        "the language model",
        "the language model is back",
    ]


def test_an_outage_uses_up_no_retries(ask):
    away = [{"status": 503}] * 20
    client = ask([*away, {"status": 429}, completion("back")], max_retries=1, facts=FACTS)
    assert client.complete(PROMPT, SERVICE).text == "back"
    assert max(client.time.waits) > 15


def test_an_endpoint_that_stays_away_ends_the_search(ask, caplog):
    client = ask(outage_seconds=600.0, facts=FACTS)
    client.endpoint.close()
    with caplog.at_level(logging.WARNING), pytest.raises(LLMError, match=r"cannot connect.*away for 6.. s.*resume"):
        client.complete(PROMPT, SERVICE)
    assert len(caplog.records) == 1
    assert 600 <= client.time.now <= 630


def test_an_endpoint_that_never_was_is_not_waited_for(ask):
    client = ask(max_retries=2)
    client.endpoint.close()
    with pytest.raises(LLMError, match=r"cannot connect.*given up after 3 attempts") as caught:
        client.complete(PROMPT, SERVICE)
    assert caught.value.kind == "network"


def test_an_endpoint_that_takes_no_connection_is_asked_again(ask):
    client = ask(max_retries=2, connect_seconds=0.1)
    client.endpoint.close()
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", client.endpoint.port))
        deaf.listen(0)
        with (
            socket.create_connection(deaf.getsockname()),  # all that it holds
            pytest.raises(LLMError, match=r"cannot connect to .*timed out; given up after 3 attempts") as caught,
        ):
            client.complete(PROMPT, SERVICE)
    assert caught.value.kind == "network"


def test_closing_ends_the_calls_under_way(ask):
    client = ask([{"hang_s": 3600}])
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(client.complete, PROMPT, Service("s", number)) for number in range(2)]
        while len(client.endpoint.requests) < 2:
            threading.Event().wait(0.01)
        client.close()
        assert [call.exception(timeout=30).kind for call in calls] == ["closed", "closed"]
    with pytest.raises(LLMError, match="the client was closed"):
        client.complete(PROMPT, SERVICE)


def test_one_thread_keeps_the_time_limit_of_each_attempt():
    before = set(threading.enumerate())
    with (
        FakeEndpoint([{"hang_s": 3600}]) as endpoint,
        ThreadPoolExecutor(1) as pool,
        closing(Exchange(LLMConfig(base_url=endpoint.url, model="coder"))) as exchange,
    ):
        long = pool.submit(exchange.post, "/chat/completions", {}, seconds=3600)
        while not endpoint.requests:
            threading.Event().wait(0.01)
        short = exchange.post("/chat/completions", {}, seconds=0.2)
        watchers = [one for one in set(threading.enumerate()) - before if one.name == "time limits"]
        assert short.kind == "timeout"
        assert len(watchers) == 1
        assert not long.done()
        exchange.close()
        assert long.result(timeout=30).kind == "closed"
        watchers[0].join(timeout=30)
        assert not watchers[0].is_alive()


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_the_key_is_sent_but_never_told(ask, monkeypatch, caplog, status):
    monkeypatch.setenv("OPENAI_API_KEY", f"{CANARY}\n")
    echo = {"error": {"message": "x" * 290 + f" your headers: Authorization: Bearer {CANARY}", "code": CANARY}}
    client = ask([{"status": status, "json": echo}, {"status": status, "body": f"{'x' * 60} {CANARY}"}], max_retries=1)
    with caplog.at_level(logging.DEBUG), pytest.raises(LLMError) as caught:
        client.complete(PROMPT, SERVICE)
    assert client.endpoint.headers[0]["authorization"] == f"Bearer {CANARY}"
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value.__context__)
    assert CANARY[:6] not in shown


def test_without_a_key_this_machine_is_asked_with_a_dummy(ask):
    client = ask()
    client.complete(PROMPT, SERVICE)
    assert client.endpoint.headers[0]["authorization"] == "Bearer none"


def test_a_proxy_is_not_asked_for_this_machine(ask, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(max_retries=0).complete(PROMPT, SERVICE).text == "##response##yes"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "base_url is not set.*fairnad llm serve"),
        ({"base_url": "127.0.0.1:8000/v1"}, "expected an address such as"),
        ({"base_url": "http://[::1/v1"}, "expected an address such as"),
        ({"base_url": "http://me:secret@host/v1"}, "holds a user or a password"),
        ({"base_url": "https://example.com/v1"}, "OPENAI_API_KEY is not set"),
        ({"base_url": "https://example.com/v1", "key_variable": "MY_KEY"}, "characters that no key has"),
    ],
)
def test_what_cannot_be_asked_is_a_mistake_of_the_configuration(monkeypatch, settings, message):
    monkeypatch.setenv("MY_KEY", "sk-\N{HORIZONTAL ELLIPSIS}")
    with pytest.raises(ConfigError, match=message) as caught:
        Client(LLMConfig(model="coder", **settings))
    assert "secret" not in str(caught.value)


def test_half_characters_of_a_prompt_are_replaced(ask):
    client = ask()
    client.complete(Prompt("draft", (Message("user", "a\ud800b"),)), SERVICE)
    assert client.endpoint.requests[0]["messages"][0]["content"] == "a?b"
