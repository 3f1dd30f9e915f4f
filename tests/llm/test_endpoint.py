"""What is said about an endpoint before anything is trained."""

import json

import pytest

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError, FairNADError, LLMError
from fairnad.llm.client import Client
from fairnad.llm.endpoint import EndpointFacts, check_endpoint
from tests.llm.endpoint import FakeEndpoint

LLAMA = {"json": {"data": [{"id": "coder.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 32768}}]}}


def models(*names):
    return {"/v1/models": {"json": {"data": [{"id": name} for name in names]}}}


def check(pages=None, *, chars=3000, **settings):
    with FakeEndpoint(pages=pages) as endpoint:
        return check_endpoint(LLMConfig(**{"base_url": endpoint.url, **settings}), chars)


def test_the_only_model_is_taken():
    facts = check()
    assert facts == EndpointFacts("coder", ("coder",), 40960)
    with FakeEndpoint() as endpoint, Client(LLMConfig(base_url=endpoint.url), facts) as client:
        assert client.name == "coder"


def test_a_trailing_slash_is_no_matter():
    with FakeEndpoint() as endpoint:
        assert check_endpoint(LLMConfig(base_url=f"{endpoint.url}/"), 10).model == "coder"


@pytest.mark.parametrize(
    ("props", "context"),
    [
        ({"json": {"default_generation_settings": {"n_ctx": 8192}}}, 8192),
        ({"status": 404}, 32768),
        ({"body": "?"}, 32768),
    ],
)
def test_llama_cpp_tells_the_context_of_one_call(props, context):
    pages = {"/v1/models": LLAMA, "/props": props}
    assert check(pages, max_tokens=100).context_tokens == context


def test_the_configured_context_wins():
    assert check(context_tokens=20000).context_tokens == 20000


def test_an_endpoint_without_a_list_of_models_is_believed():
    assert check({}, model="anything") == EndpointFacts("anything", ())
    assert check({"/v1/models": {"status": 405}}, model="anything") == EndpointFacts("anything", ())
    assert check({"/v1/models": {"json": {"models": []}}}, model="anything") == EndpointFacts("anything", ())
    with pytest.raises(LLMError, match="does not list models"):
        check({"/v1/models": {"body": "<html>"}}, model="anything")


def test_a_bare_list_of_models_is_one():
    assert check({"/v1/models": {"json": [{"id": "a"}, {"id": "b"}]}}, model="b") == EndpointFacts("b", ("a", "b"))


@pytest.mark.parametrize(
    ("pages", "settings", "message"),
    [
        (
            models("qwen-8b", "llama"),
            {"model": "qwen-7b"},
            "'qwen-7b' is not served.*nearest known is 'qwen-8b'.*, llama",
        ),
        (models("a", "b"), {}, "llm.model is not set, and .* serves a, b: name one"),
        (models(), {}, "serves none"),
        ({}, {}, "/models does not exist: llm.base_url ends with /v1"),
        ({"/v1/models": {"status": 401}}, {}, "refuses the key in OPENAI_API_KEY"),
        (
            None,
            {"max_tokens": 40000},
            r"coder holds 40960 tokens, .* \(about 1000\) .* need 41000: .* lower llm.max_tokens",
        ),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(pages, settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check(pages, **settings)
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)


def test_no_endpoint_is_one_sentence():
    endpoint = FakeEndpoint()
    endpoint.close()
    with pytest.raises(ConfigError, match=r"no language model answers at http://127.*: start it, or set llm.base_url"):
        check_endpoint(LLMConfig(base_url=endpoint.url), 100)


@pytest.mark.parametrize(
    "page", [{"status": 500}, {"body": "<html>"}, {"body": "[" * 100_000}, {"json": {"data": None}}, {"json": [1]}]
)
def test_an_endpoint_that_is_ill_is_a_fault(page):
    with pytest.raises(LLMError, match="models") as caught:
        check({"/v1/models": page})
    assert caught.value.exit_status == 1


def test_entries_that_are_no_models_are_passed_over():
    page = {"/v1/models": {"json": {"data": [7, {"name": "x"}, {"id": "coder", "max_model_len": "long"}]}}}
    assert check(page) == EndpointFacts("coder", ("coder",), None)


def test_the_key_is_not_told(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    page = {"/v1/models": {"status": 401, "json": {"error": {"message": "wrong: sk-canary"}}}}
    with pytest.raises(FairNADError) as caught:
        check(page)
    assert "sk-canary" not in json.dumps(str(caught.value))
