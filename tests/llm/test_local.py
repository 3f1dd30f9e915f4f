"""Serving a GGUF file; the real thing runs where FAIRNAD_TEST_GGUF names a small model."""

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError, LLMError
from fairnad.llm.base import Message, Prompt, Service
from fairnad.llm.client import Client
from fairnad.llm.endpoint import check_endpoint
from fairnad.llm.local import LocalServer, check_gguf, llama_command

needs_llama = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed")
GGUF = os.environ.get("FAIRNAD_TEST_GGUF")


@pytest.fixture
def hollow(tmp_path, monkeypatch):
    """A file that begins as a GGUF file does, and holds no model."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "hollow.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(64))
    return path


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip", b"version https://git-lfs"])
def test_a_file_that_is_no_gguf_is_refused(tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"model.gguf is no GGUF file: it begins with .* download it again"):
        LocalServer(path)


@pytest.mark.parametrize(("name", "reason"), [("missing.gguf", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, reason):
    with pytest.raises(ConfigError, match=f"{reason}.*; expected a GGUF file"):
        check_gguf(tmp_path / name)


@needs_llama
def test_the_command_gives_each_call_its_context(hollow):
    command = llama_command(hollow, 8000, context_tokens=4096, parallel=2, threads=3)
    assert command[1:] == ["-m", "fairnad.llm.local", str(hollow), "8000", "8192", "2", "3"]


@needs_llama
def test_a_gguf_without_a_model_shows_what_llama_cpp_says(hollow):
    with (
        pytest.raises(ConfigError, match=r"(?s)fairnad.llm.local ended before it answered.*hollow.gguf"),
        LocalServer(hollow),
    ):
        pass


@pytest.mark.slow
@needs_llama
@pytest.mark.skipif(GGUF is None, reason="FAIRNAD_TEST_GGUF names no model")
def test_a_real_model_answers():
    prompt = Prompt("draft", (Message("user", "Write a Python function that adds two numbers. Only code."),))
    with LocalServer(Path(GGUF), context_tokens=2048, threads=1) as server:
        config = server.configured(LLMConfig(max_tokens=48, temperature=0.0))
        facts = check_endpoint(config, 1000)
        assert (facts.model, facts.context_tokens) == (Path(GGUF).stem, 2048)
        with Client(config, facts) as client:
            first, again = (client.complete(prompt, Service("test", 0)) for _ in range(2))
            assert "def " in first.text
            assert first.text == again.text
            assert first.prompt_tokens > 10
            with pytest.raises(LLMError) as caught:
                client.complete(Prompt("draft", (Message("user", "word " * 3000),)), Service("test", 1))
    assert caught.value.kind == "context_length"
