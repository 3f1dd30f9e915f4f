"""What an endpoint says of itself, checked before anything is trained. Asks for no completion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError, LLMError, nearest
from fairnad.llm.exchange import Exchange
from fairnad.llm.faults import Fault
from fairnad.llm.spend import guess_tokens

__all__ = ["EndpointFacts", "check_endpoint"]

_LOOK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """An endpoint that can be used: the model to ask, all that it serves, and the context length if it is known."""

    model: str
    models: tuple[str, ...]
    context_tokens: int | None = None


def check_endpoint(config: LLMConfig, longest_prompt_chars: int) -> EndpointFacts:
    """Return the facts of the endpoint of `config`, if it can serve prompts of that length.

    Raises:
        ConfigError: there is no endpoint, it refuses the key, does not serve the model, or its context is too small.
        LLMError: it is there but does not answer as an endpoint should.
    """
    exchange = Exchange(config)
    try:
        entries = _served(exchange, config)
        model = _choose(config, tuple(entries), exchange.url)
        context = config.context_tokens or _context_of(exchange, entries.get(model, {}))
    finally:
        exchange.close()
    _check_context(config, model, context, guess_tokens(longest_prompt_chars))
    return EndpointFacts(model, tuple(entries), context)


def _served(exchange: Exchange, config: LLMConfig) -> dict[str, Mapping[str, Any]]:
    """Return what the endpoint tells of each model; nothing where it has no such page, or another one there."""
    text = exchange.get("/models", seconds=_LOOK_SECONDS)
    if isinstance(text, Fault):
        if text.kind in ("model", "bad_request") and config.model is not None:  # it has no such page
            return {}
        raise _explained(text, exchange.url, config.key_variable)
    match _parsed(text):
        case {"data": [*entries]} | ([{"id": _}, *_] as entries):
            return {str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and "id" in entry}
        case dict() | list() if config.model is not None:
            return {}
    raise LLMError(f"{exchange.url}/models does not list models; check llm.base_url", kind="bad_body")


def _explained(fault: Fault, url: str, key_variable: str) -> ConfigError | LLMError:
    if fault.kind == "network":
        return ConfigError(f"no language model answers at {url}: start it, or set llm.base_url ({fault.text})")
    if fault.kind == "auth":
        return ConfigError(f"{url} refuses the key in {key_variable}: put the right one there ({fault.text})")
    if fault.kind == "model":
        return ConfigError(f"{url}/models does not exist: llm.base_url ends with /v1 most often ({fault.text})")
    return LLMError(f"{url} does not list its models ({fault.text})", kind=fault.kind)


def _choose(config: LLMConfig, models: tuple[str, ...], url: str) -> str:
    if config.model is not None:
        if models and config.model not in models:
            raise ConfigError(
                f"llm.model {config.model!r} is not served at {url}: {nearest(config.model, models)}; "
                f"it serves {', '.join(models)}"
            )
        return config.model
    if len(models) == 1:
        return models[0]
    raise ConfigError(f"llm.model is not set, and {url} serves {', '.join(models) or 'none'}: name one")


def _context_of(exchange: Exchange, entry: Mapping[str, Any]) -> int | None:
    """Return the context length: vLLM's `max_model_len`, what llama.cpp gives a call, or what it was trained with."""
    match entry:
        case {"max_model_len": int(tokens)}:
            return tokens
        case {"meta": {"n_ctx_train": int(trained)}}:
            page = exchange.get(urljoin(exchange.url, "/props"), seconds=_LOOK_SECONDS)
            match _parsed(page) if isinstance(page, str) else None:
                case {"default_generation_settings": {"n_ctx": int(tokens)}}:
                    return tokens
            return trained
    return None


def _check_context(config: LLMConfig, model: str, context: int | None, prompt_tokens: int) -> None:
    needed = prompt_tokens + config.max_tokens
    if context is not None and needed > context:
        raise ConfigError(
            f"the context of {model} holds {context} tokens, but the longest prompt (about {prompt_tokens}) and a "
            f"reply (llm.max_tokens {config.max_tokens}) need {needed}: serve it with a longer context, "
            "or lower llm.max_tokens"
        )


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
