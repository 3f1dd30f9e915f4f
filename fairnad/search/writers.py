"""Who writes the drafts of a search: the rules, or a language model with its endpoint, journal and spend.

The same language model may judge their structure.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fairnad.config import Config, LLMConfig
from fairnad.errors import ConfigError
from fairnad.generators.base import GENERATORS, Generator
from fairnad.generators.fit import Measure
from fairnad.generators.library import MAX_CHARS
from fairnad.history.store import History
from fairnad.llm.base import LLM
from fairnad.llm.endpoint import EndpointFacts
from fairnad.llm.journal import JournaledLLM
from fairnad.llm.spend import Spend, estimate, guess_tokens
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.plugins import load
from fairnad.records import DataShape
from fairnad.search.setting import Setting
from fairnad.verification.model_judge import ModelJudge

__all__ = ["Model", "connected", "writer"]

logger = logging.getLogger(__name__)

_LONGEST_PROMPT_CHARS = {"rewrite": 40_000, "edits": 30_000, "module": 16_000, "auto": 16_000}
"""The longest prompts by `drafts.style`: the whole of two networks and a trace, or one class and what is around it."""

_CALLS_A_CHILD, _REPLY_TOKENS, _SECONDS_A_CALL = 3, 1500, 30.0
"""For the estimate before a run: of a model that gets one draft of two right."""


@dataclass(frozen=True, slots=True)
class Model:
    """A language model that can be asked: where it is, and what its endpoint said of itself."""

    config: LLMConfig
    facts: EndpointFacts


@contextlib.contextmanager
def connected(config: Config) -> Iterator[Model | None]:
    """Yield the language model of `config`, served for as long as this lasts if it is a file; None for the rules.

    Raises:
        ConfigError: there is no such endpoint, model, file or prompt, or its context is too small.
        LLMError: the endpoint does not answer as one should.
    """
    if config.drafts.generator != "llm":
        yield None
        return
    from fairnad.llm.endpoint import check_endpoint
    from fairnad.llm.local import served
    from fairnad.llm.prompts import Prompts

    Prompts(_root(config)).check()
    if config.llm.base_url is None:
        raise ConfigError("drafts.generator is llm, but there is no endpoint; give --llm URL, or --llm local:FILE.gguf")
    with served(config.llm) as llm:
        facts = check_endpoint(llm, _longest_prompt_chars(config))
        _tell_estimate(config, llm, facts)
        yield Model(llm, facts)


@contextlib.contextmanager
def writer(
    setting: Setting,
    dataset: DataShape,
    measure: Measure,
    history: History,
    *,
    model: Model | None = None,
    replayed: History | None = None,
) -> Iterator[tuple[Generator, ModelJudge | None]]:
    """Yield the generator that `setting` names, and the judge of structure, where that is a language model.

    Where a search is `replayed`, its journal answers for the model.
    """
    config, ideas = setting.config, setting.ideas.ideas
    make = load(config.drafts.generator, GENERATORS, what="generator")
    if config.drafts.generator != "llm":
        yield make(ideas=ideas, measure=measure), None
        return
    from fairnad.llm.client import Client
    from fairnad.llm.prompts import Prompts

    with contextlib.ExitStack() as stack:
        client: LLM | None = None
        if model is not None:
            client = stack.enter_context(Client(model.config, model.facts, spend=Spend(model.config, history.spent())))
        llm = JournaledLLM(client, (replayed or history).journal(model.facts.model if model is not None else ""))
        prompts = Prompts(_root(config))
        generator = make(
            ideas=(*ideas, *SCALE_UP_IDEAS, *HYPERPARAMETER_IDEAS),
            measure=measure,
            llm=llm,
            prompts=prompts,
            config=config,
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
            tree=setting.tree,
        )
        yield generator, ModelJudge(llm, prompts) if _judges_structure(config) else None


def _tell_estimate(config: Config, llm: LLMConfig, facts: EndpointFacts) -> None:
    prompt_tokens = guess_tokens(_longest_prompt_chars(config) // 2)
    told = estimate(
        llm,
        calls=(_CALLS_A_CHILD + _judges_structure(config)) * config.num_children,
        prompt_tokens=prompt_tokens,
        reply_tokens=_REPLY_TOKENS,
        seconds_per_call=_SECONDS_A_CALL,
    )
    logger.info(
        "language model %s: about %d calls, %.1f million tokens, %.2f in money, %.1f hours of calls",
        facts.model,
        told.calls,
        told.tokens / 1e6,
        told.cost,
        told.hours,
    )


def _longest_prompt_chars(config: Config) -> int:
    style = "rewrite" if _judges_structure(config) else config.drafts.style  # the judge is shown two whole networks
    return _LONGEST_PROMPT_CHARS[style] + config.drafts.library * MAX_CHARS


def _judges_structure(config: Config) -> bool:
    return config.verification.structure_judge == "llm"


def _root(config: Config) -> Path | None:
    return None if config.prompts.root is None else Path(config.prompts.root)
