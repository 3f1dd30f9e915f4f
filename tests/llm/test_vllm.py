"""The client and `fairnad llm serve` against a real vLLM of random weights: its words are noise, its protocol is real.

Runs where FAIRNAD_TEST_VLLM names the `vllm` command, of a build for the CPU too, and FAIRNAD_TEST_VLLM_MODEL a folder
with a tokenizer, a chat template and the configuration of a small model, whose weights are not read.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from fairnad.architectures.bases import base_source
from fairnad.config import Config, DraftsConfig, LLMConfig, load_config
from fairnad.errors import ConfigError, LLMError
from fairnad.generators.base import Parent, Request
from fairnad.generators.llm import LLMGenerator
from fairnad.knowledge.attributes import AttributeTree
from fairnad.llm.base import Finish, Message, Prompt, Service
from fairnad.llm.client import Client
from fairnad.llm.endpoint import check_endpoint
from fairnad.llm.prompts import Prompts
from fairnad.llm.replies import LEVELS, read_attributes, read_choice, read_filter
from fairnad.llm.server import ServerProcess, free_port, vllm_command
from fairnad.records import Costs, Failed, Idea, Limits, MutationTarget
from tests.llm.test_server import are_gone

VLLM, MODEL = (os.environ.get(name) for name in ("FAIRNAD_TEST_VLLM", "FAIRNAD_TEST_VLLM_MODEL"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        VLLM is None or MODEL is None, reason="FAIRNAD_TEST_VLLM and FAIRNAD_TEST_VLLM_MODEL name no vLLM and no model"
    ),
]
ROOT = Path(__file__).parents[2]
CONTEXT = 8192
PROMPT = Prompt("draft", (Message("system", "Be brief."), Message("user", "Write a network.")))
ONCE = Service("test", 0)


@pytest.fixture(scope="module", autouse=True)
def _random_weights(tmp_path_factory):
    """Put a `vllm` on the PATH: the real one, which reads no weights and takes little memory."""
    folder = tmp_path_factory.mktemp("vllm")
    program = folder / "vllm"
    # A CPU build (0.32) dies of a prompt with a seed that it reads in parts.
    options = f"--load-format dummy --enforce-eager --max-num-batched-tokens {CONTEXT}"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(VLLM)} "$@" {options}\n')
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("OPENAI_API_KEY", raising=False)
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(scope="module")
def served(_random_weights):
    """Serve the model; return the configuration of its endpoint."""
    port = free_port()
    line = vllm_command(MODEL, port, gpu_memory=0.1, extra=["--max-model-len", str(CONTEXT)])
    with ServerProcess(line, port) as server:
        yield LLMConfig(base_url=server.url, max_tokens=64)


@pytest.fixture
def ask(served):
    """Ask once with other settings."""

    def once(prompt=PROMPT, service=ONCE, **settings):
        config = served.model_copy(update=settings)
        with Client(config, check_endpoint(config, 1000)) as client:
            return client.complete(prompt, service)

    return once


def test_the_endpoint_tells_its_model_and_context(served):
    facts = check_endpoint(served, 1000)
    assert (facts.model, facts.models, facts.context_tokens) == (MODEL, (MODEL,), CONTEXT)


def test_another_model_is_refused_with_those_that_are_served(served):
    with pytest.raises(ConfigError, match=f"'qwen' is not served at .*it serves {re.escape(MODEL)}$"):
        check_endpoint(served.model_copy(update={"model": "qwen"}), 1000)


def test_a_model_that_is_not_checked_for_is_a_fault_of_its_own(served):
    with Client(served.model_copy(update={"model": "qwen"})) as client, pytest.raises(LLMError, match="404") as caught:
        client.complete(PROMPT, ONCE)
    assert caught.value.kind == "model"


def test_a_context_that_is_too_small_is_told_before_anything_is_asked(served):
    with pytest.raises(
        ConfigError, match=rf"holds {CONTEXT} tokens, .* \(about 8000\) .* need 8264: .* llm.max_tokens"
    ):
        check_endpoint(served.model_copy(update={"max_tokens": 264}), 24_000)


def test_a_prompt_over_the_context_is_known_as_such(ask):
    with pytest.raises(LLMError, match="context length") as caught:
        ask(Prompt("draft", (Message("user", "word " * CONTEXT),)))
    assert caught.value.kind == "context_length"


def test_a_reply_tells_text_tokens_and_why_it_ended(ask):
    bound = {"structured_outputs": {"choice": ["class Network"]}}
    reply = ask(extra_body=bound, price_prompt=1.0, price_reply=2.0)
    assert (reply.text, reply.finish) == ("class Network", Finish.STOP)
    assert reply.prompt_tokens > 10
    assert 1 < reply.reply_tokens < 64
    assert reply.cost == pytest.approx((reply.prompt_tokens + 2 * reply.reply_tokens) / 1e6)


def test_the_same_call_has_the_same_reply_and_another_one_another(ask):
    settings = {"temperature": 0.9, "top_p": 0.9, "thinking": False, "extra_body": {"min_p": 0.001, "top_k": 50}}
    texts = [ask(service=Service("test", number), **settings).text for number in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_a_setting_that_vllm_refuses_is_told(ask):
    with pytest.raises(LLMError, match="top_p") as caught:
        ask(top_p=2.0)
    assert caught.value.kind == "bad_request"


class Recorder:
    """Passes calls on, and keeps them."""

    def __init__(self, llm):
        self.name, self._llm, self.calls = llm.name, llm, []

    def complete(self, prompt, service):
        reply = self._llm.complete(prompt, service)
        self.calls.append((prompt, service, reply))
        return reply


def test_a_reply_that_is_cut_off_is_asked_for_once_more_with_the_code_alone(served):
    config = served.model_copy(update={"max_tokens": 16, "extra_body": {"ignore_eos": True}})
    parent = Parent(base_source("resnet", width=8, depth=1), Costs(43_186, 1_429_504))
    idea = Idea("a", "Use SiLU.", target="performance", granularity="operation", main="activation", sub="silu")
    with Client(config, check_endpoint(config, 1000)) as client:
        llm = Recorder(client)
        generator = LLMGenerator(
            [idea],
            lambda sources: [None] * len(sources),
            llm=llm,
            prompts=Prompts(),
            config=Config(drafts=DraftsConfig(style="rewrite")),
            input_shape=(3, 16, 16),
            num_classes=10,
            tree=AttributeTree(()),
        )
        limits = Limits(112_000, 3_700_000)
        draft = generator.draft(Request(parent, idea, MutationTarget.CHANGE_MODULE, limits, "1/1/I/0/0/write"))
    assert isinstance(draft, Failed)
    assert "(truncated)" in draft.reason
    assert [(service.number, reply.finish, reply.reply_tokens) for _, service, reply in llm.calls] == [
        (0, Finish.LENGTH, 16),
        (1, Finish.LENGTH, 16),
    ]
    assert ["code alone" in prompt.text for prompt, _, _ in llm.calls] == [False, True]


def object_of(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


LEVEL = object_of(**{"activation function": {"type": "array", "items": {"enum": ["silu", "mish"]}, "minItems": 1}})
TREE = object_of(**{name: object_of(**{LEVELS["operation"]: LEVEL}) for name in ("Performance", "Efficiency")})


@pytest.mark.parametrize(
    "extra_body",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "tree", "schema": TREE}}},
        {"structured_outputs": {"json": TREE}},
    ],
    ids=["response_format", "structured_outputs"],
)
def test_a_reply_is_bound_to_json_by_the_extra_body(ask, extra_body):
    reply = ask(max_tokens=4000, temperature=1.0, extra_body=extra_body)
    assert reply.finish is Finish.STOP
    named = read_attributes(reply.text)
    assert [(one.target, one.granularity, one.main) for one in named] == [
        ("performance", "operation", "activation function"),
        ("efficiency", "operation", "activation function"),
    ]
    assert all(set(one.names) <= {"silu", "mish"} and one.names for one in named)


@pytest.mark.parametrize(
    ("bound", "read", "values"),
    [
        ({"regex": "##response##(yes|no)"}, read_choice, (True, False)),
        ({"choice": ["##response##no"]}, read_filter, (None,)),
    ],
)
def test_a_reply_is_bound_to_a_form_by_the_extra_body(ask, bound, read, values):
    assert read(ask(extra_body={"structured_outputs": bound}).text) in values


def test_a_call_over_its_time_is_given_up_at_both_ends(ask, served):
    with pytest.raises(LLMError, match=r"no whole answer within 0\.5 s") as caught:
        ask(total_seconds=0.5, max_tokens=CONTEXT - 1000, extra_body={"ignore_eos": True})
    assert caught.value.kind == "timeout"
    deadline = time.monotonic() + 60
    while running(served) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(served) == 0


def running(config):
    """Return how many requests the server works at, by its own count."""
    with urllib.request.urlopen(config.base_url.replace("/v1", "/metrics"), timeout=60) as page:
        counts = re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} ([\d.]+)$", page.read().decode(), re.M)
    return sum(map(float, counts))


def descendants(pid):
    """Return the processes that `pid` started, and those that they started."""
    stats = [path.read_text().rsplit(")", 1) for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    parents = {int(head.split()[0]): int(tail.split()[1]) for head, tail in stats}
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        children = [child for child, known in parents.items() if known == parent]
        found += children
        waiting += children
    return found


def command(*arguments):
    """Start `fairnad llm serve`."""
    line = [sys.executable, "-m", "fairnad.cli", "llm", "serve", *arguments]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_serves_the_search_until_it_is_interrupted(tmp_path):
    port = free_port()
    with command("--model", MODEL, "--port", str(port), "--context", "4096", "--gpu-memory", "0.1") as serving:
        lines = []
        while not lines or lines[-1] not in ("", "Ctrl-C ends it.\n"):
            lines.append(serving.stdout.readline())
        try:
            settings = tmp_path / "search.yaml"
            settings.write_text("".join(lines[lines.index("llm:\n") : -1]))
            config = load_config(str(settings), ["llm.max_tokens=100"]).llm
            facts = check_endpoint(config, 1000)
            assert (facts.model, facts.context_tokens) == (MODEL, 4096)
            started = descendants(serving.pid)
            assert len(started) >= 2
        finally:
            serving.send_signal(signal.SIGINT)
            said = serving.communicate(timeout=120)
    assert (serving.returncode, said) == (0, ("", ""))
    assert are_gone(started)
    with pytest.raises(ConfigError, match="no language model answers"):
        check_endpoint(config, 1000)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (["--model", "nobody/no-such-model"], "cached snapshot"),
        (["--model", str(MODEL), "--context", "1000000"], "max_model_len"),
        (["--model", str(MODEL), "--gpu-memory", "1.0"], "less than desired"),
    ],
    ids=["model", "context", "memory"],
)
def test_a_server_that_cannot_start_says_why(monkeypatch, options, cause):
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE")
    with command(*options, "--port", str(free_port())) as serving:
        said, error = serving.communicate(timeout=900)
    assert serving.returncode == 2
    first, *log = error.splitlines()
    assert re.match(r"fairnad: .*vllm serve .* ended before it answered; the last it said \(.*\.log\):$", first)
    assert cause in "".join(log)
    assert len(log) <= 20
    assert "Ctrl-C ends it" not in said
