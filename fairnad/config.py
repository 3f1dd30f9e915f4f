"""Configuration: YAML files with `_base_`, overrides `a.b=c`, checked into frozen models. The one home of mmengine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from fairnad.errors import ConfigError, nearest
from fairnad.records import Limits, Recheck, Recipe, Stage
from fairnad.resources import resource

__all__ = [
    "BaseConfig",
    "Config",
    "DraftsConfig",
    "ExecutorConfig",
    "IdeasConfig",
    "LLMConfig",
    "PlanConfig",
    "PromptsConfig",
    "VerificationConfig",
    "dump_config",
    "load_config",
    "read_config",
]

_Seconds = Annotated[float, Field(gt=0, le=1e9)]
"""The clock of a wait knows no longer ones."""

_Bytes = Annotated[int, Field(gt=0, lt=2**63)]

_STAGES = tuple(stage.value for stage in Stage if stage is not Stage.BASE)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BaseConfig(_Section):
    """The network the search starts from: one of the shipped ones, or `file`, the user's own source."""

    name: str = "resnet"
    file: str | None = None
    width: PositiveInt = 16
    """Channels of the first stage of a shipped base."""
    depth: PositiveInt = 5
    """Blocks a stage of a shipped base, its strided ones not counted."""
    widened: bool = False
    """Whether its widths are raised in ratio until they meet the limits, before the search starts from it."""


class PlanConfig(_Section):
    """How many children each stage of a generation makes (paper, Table 5)."""

    initial: PositiveInt = 8
    """Children of the base before the first generation (k0)."""
    fair: NonNegativeInt = 8
    pareto: NonNegativeInt = 8
    iterative_parents: NonNegativeInt = 4
    iterative_steps: PositiveInt = 2
    base_is_eligible: bool = True
    """Whether the trained base may be a parent after the initial children."""
    scale_up_below: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Stage II scales a parent up while its costs are under this fraction of their limits ..."""
    scale_up_when: Literal["all", "any"] = "all"
    """... all of them, or any of them (the paper's Algorithm 2)."""
    mutations: dict[str, str] = Field(default_factory=dict)
    """Stage (initial, I, II, III) -> the mutation that makes its children in place of the method's own."""

    @field_validator("mutations")
    @classmethod
    def _are_of_stages(cls, mutations: dict[str, str]) -> dict[str, str]:
        for name in mutations:
            if name not in _STAGES:
                raise ConfigError(f"plan.mutations: {name!r} is no stage: {nearest(name, _STAGES)}")
        return mutations


class IdeasConfig(_Section):
    """Where ideas come from and how they are drawn."""

    path: str | None = None
    """An idea database (JSON lines); the shipped seed ideas without it."""
    source: Literal["structured", "flat", "llm"] = "structured"
    """Ideas with their places in the attribute tree, a plain list of them, or the language model's own ideas."""
    level: Literal["none", "granularity", "main", "sub"] = "main"
    """The level of the attribute tree at which every group is equally likely (paper, Table 6)."""


class DraftsConfig(_Section):
    """The feedback loop: who writes code, and how often it may be mended."""

    generator: str = "rules"
    max_per_slot: PositiveInt = 6
    max_repairs: NonNegativeInt = 2
    max_shrinks: NonNegativeInt = 4
    style: Literal["rewrite", "edits", "module", "auto"] = "auto"
    """What a language model writes: the whole network (the paper), edits of it, or one class; auto: one class."""
    forms: PositiveInt = 2
    """Forms of one class, such as a new layer and a new block, in which an idea is drafted until one is accepted."""
    fallback: Literal["rules", "none"] = "rules"
    """Whether a program mends what a language model's tries left broken or too large."""
    library: NonNegativeInt = 0
    """Classes of trained children that a prompt for one class shows, by ideas of the same main category."""
    concurrency: PositiveInt | None = None
    """Places of the plan that are drafted side by side; without it 1, or `llm.concurrency` (at least 2) by a model."""


class LLMConfig(_Section):
    """The language model behind `drafts.generator: llm`: any OpenAI-compatible endpoint.

    The key is read from the environment variable named by `key_variable`, and from nowhere else.
    """

    base_url: str | None = None
    """Such as http://127.0.0.1:8000/v1; nothing is asked without it."""
    model: str | None = None
    """The name of the model; without it the only one that the endpoint serves."""
    key_variable: str = "OPENAI_API_KEY"
    temperature: NonNegativeFloat = 0.7
    top_p: PositiveFloat = 0.95
    max_tokens: PositiveInt = 8192
    """Tokens of one reply."""
    thinking: bool | None = None
    """Qwen3 and its like: think before the reply or not; None leaves it to the endpoint."""
    extra_body: dict[str, object] = Field(default_factory=dict)
    """Sent with every call as it is."""
    connect_seconds: _Seconds = 10.0
    total_seconds: _Seconds = 600.0
    """Limit on one call, whatever the endpoint does."""
    max_retries: NonNegativeInt = 6
    outage_seconds: _Seconds = 3600.0
    """How long a search waits for an endpoint that died before it stops, resumable."""
    concurrency: PositiveInt = 8
    """Calls under way at once."""
    max_total_tokens: PositiveInt | None = None
    max_cost: PositiveFloat | None = None
    max_hours: PositiveFloat | None = None
    """Wall time of this session, and that of all calls before it."""
    price_prompt: NonNegativeFloat = 0.0
    """Money for a million prompt tokens."""
    price_reply: NonNegativeFloat = 0.0
    """Money for a million reply tokens."""
    context_tokens: PositiveInt | None = None
    """The context length; without it what the endpoint says."""


class PromptsConfig(_Section):
    """The prompt files."""

    root: str | None = None
    """A folder of templates; those it does not hold are the shipped ones."""


class VerificationConfig(_Section):
    """What a draft must pass before it is trained."""

    static: bool = True
    integrity: Literal["enforce", "warn", "off"] = "enforce"
    novel_in: Literal["history", "parent"] = "history"
    """A graph must be new in the whole history, or merely differ from its parent's (the paper)."""
    structure_judge: Literal["graph", "llm"] = "graph"
    """Who says whether a new network is one of several layers: its graph, or the language model (the paper)."""
    timeout_seconds: _Seconds = 60.0
    memory_bytes: _Bytes = 4 * 2**30


class ExecutorConfig(_Section):
    """Where and when children train."""

    name: str = "local"
    slots: PositiveInt | None = None
    """Children trained at once; without it GPUs x streams, or CPU cores / threads."""
    device: str = "auto"
    """auto (every visible GPU, else the CPU), cpu, cuda, or cuda:0,1."""
    streams_per_gpu: PositiveInt = 2
    """Children side by side on one GPU."""
    threads: PositiveInt = 1
    """CPU threads of one training."""
    timeout_factor: PositiveFloat = 5.0
    """A training is ended after this many times its predicted duration (on CPU cores of processor time) ..."""
    timeout_floor_seconds: _Seconds = 120.0
    """... but never before this."""
    memory_bytes: _Bytes = 8 * 2**30


def _read_recheck(value: object) -> Recheck | None:
    return value if value is None or isinstance(value, Recheck) else Recheck.parse(str(value))


_OptionalRecheck = Annotated[
    Recheck | None, BeforeValidator(_read_recheck), PlainSerializer(str, when_used="unless-none")
]


class Config(_Section):
    """Everything that decides a search. Two runs of equal configuration and version make the same children."""

    dataset: str = "cluttered-digits"
    data_root: str | None = None
    """The folder of the data sets; FAIRNAD_DATA or the user's cache without it."""
    split_dir: str | None = None
    """The folder of the published NAS-Bench-201 split files; `<data_root>/splits` without it."""
    budget: PositiveInt = 500
    """Children to train to the end; the base, drafts and rejections are counted apart."""
    strategy: str = "fairnad"
    """How the budget is spent: the method, or one of those it is compared with."""
    recheck: _OptionalRecheck = None
    """Such as 10x2: before the best is named, the ten best are trained twice more, paid for inside the budget."""
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    """The seeds of further trainings are a thousand times it, and fit into 64 bits too."""
    schedule: Literal["stage", "async"] = "stage"
    """Whether each stage waits for the one before it (the paper), or places are decided as soon as there is room."""
    base: BaseConfig = BaseConfig()
    limits: Limits = Limits()
    plan: PlanConfig = PlanConfig()
    ideas: IdeasConfig = IdeasConfig()
    drafts: DraftsConfig = DraftsConfig()
    verification: VerificationConfig = VerificationConfig()
    llm: LLMConfig = LLMConfig()
    prompts: PromptsConfig = PromptsConfig()
    recipe: Recipe = Recipe()
    executor: ExecutorConfig = Field(default_factory=ExecutorConfig)

    def with_absolute_paths(self) -> Config:
        """Return the configuration with its files and folders as they are meant from here: a run may move on."""
        name, colon, folder = self.dataset.partition(":")
        dataset = f"{name}:{_absolute(folder)}" if name == "image-folder" and colon else self.dataset
        base = self.base.model_copy(update={"file": _absolute(self.base.file)})
        ideas = self.ideas.model_copy(update={"path": _absolute(self.ideas.path)})
        prompts = self.prompts.model_copy(update={"root": _absolute(self.prompts.root)})
        url = self.llm.base_url
        if url is not None and url.startswith("local:"):
            url = f"local:{_absolute(url.removeprefix('local:'))}"
        llm = self.llm.model_copy(update={"base_url": url})
        update = {
            "llm": llm,
            "data_root": _absolute(self.data_root),
            "split_dir": _absolute(self.split_dir),
            "dataset": dataset,
        }
        return self.model_copy(update={**update, "base": base, "ideas": ideas, "prompts": prompts})

    def with_data_in(self, data_root: str | None) -> Config:
        """Return the configuration with its data sets in another folder; None: where they were."""
        return self if data_root is None else self.model_copy(update={"data_root": data_root})

    @property
    def num_drafted_at_once(self) -> int:
        """The places of the plan that are drafted side by side."""
        return self.drafts.concurrency or (max(2, self.llm.concurrency) if self.drafts.generator == "llm" else 1)

    @property
    def num_children(self) -> int:
        """The children to train to the end before the recheck, which the budget pays too."""
        return self.budget - (self.recheck.cost if self.recheck is not None else 0)

    @model_validator(mode="after")
    def _pays_the_recheck(self) -> Config:
        if self.num_children < 1:
            raise ConfigError(
                f"recheck {self.recheck} leaves no child of a budget of {self.budget}; recheck less, or raise it"
            )
        return self

    @model_validator(mode="after")
    def _has_what_it_rechecks(self) -> Config:
        again, there = self.recheck, self.num_children + 1
        if again is None or again.networks <= there or self.strategy == "base":  # which spends it on the base alone
            return self
        most = min((self.budget + 1) // (again.trainings + 1), (self.budget - 1) // again.trainings)
        children = "1 child" if there == 2 else f"{there - 1} children"
        raise ConfigError(
            f"recheck {again} names {again.networks} networks, and {there} are there to be rechecked, {children} and "
            f"the base; {most}x{again.trainings} fits a budget of {self.budget}, or raise that"
        )

    @model_validator(mode="after")
    def _has_momentum_for_nesterov(self) -> Config:
        if self.recipe.nesterov and self.recipe.momentum == 0:
            raise ConfigError(
                "recipe.nesterov needs recipe.momentum, which is 0; raise it, or set recipe.nesterov=false"
            )
        return self

    @model_validator(mode="after")
    def _has_prices_for_its_limit(self) -> Config:
        if self.llm.max_cost is not None and not (self.llm.price_prompt or self.llm.price_reply):
            raise ConfigError(
                "llm.max_cost limits nothing while llm.price_prompt and llm.price_reply are 0; set them, in money a "
                "million tokens, or limit llm.max_total_tokens"
            )
        return self

    @model_validator(mode="after")
    def _has_its_judge(self) -> Config:
        if self.verification.structure_judge == "llm" and self.drafts.generator != "llm":
            raise ConfigError(
                "verification.structure_judge is llm, but no language model is asked: drafts.generator is "
                f"{self.drafts.generator}; set it to llm, or verification.structure_judge to graph"
            )
        return self


def load_config(name: str, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration `name` (a YAML file, or the name of a shipped one) with `overrides` like "a.b=c".

    Raises:
        ConfigError: there is no such file, it cannot be read, or a key or value in it is not known.
    """
    values = _read_file(_find(name))
    for override in overrides:
        _apply(values, override)
    return _check(values, origin=f"configuration {name!r}")


def read_config(path: Path) -> Config:
    """Return the resolved configuration that a run wrote to `path`.

    Raises:
        ConfigError: it cannot be read.
    """
    return _check(_read_file(path), origin=str(path))


def dump_config(config: Config) -> str:
    """Return `config` as YAML with every value spelt out."""
    return str(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def shipped_configs() -> tuple[str, ...]:
    """Return the names of the configurations that come with the package."""
    root = resource("configs")
    return tuple(sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml")))


def _find(name: str) -> Path:
    given = Path(name)
    if given.suffix in {".yaml", ".yml"}:
        if given.is_file():
            return given
        raise ConfigError(f"configuration file {name} does not exist")
    if name in shipped_configs():
        return resource("configs", f"{name}.yaml")
    raise ConfigError(
        f"configuration {name!r} is not known: {nearest(name, shipped_configs())}; give a .yaml file or one"
    )


def _read_file(path: Path) -> dict[str, Any]:
    # MMEngine is imported here: `fairnad --help` must answer at once.
    from mmengine.config import Config as MMConfig

    try:
        loaded = MMConfig.fromfile(str(path), use_predefined_variables=False).to_dict()
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration: {_first_line(error)}") from error
    return {str(key): value for key, value in loaded.items()}


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"override {override!r}: expected key=value, such as plan.fair=4")
    *parents, last = key.strip().split(".")
    section = values
    for parent in parents:
        inner = section.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"override {override!r}: {parent!r} is a value, not a section")
        section = inner
    try:
        section[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not YAML: {_first_line(error)}") from error


def _check(values: dict[str, Any], *, origin: str) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"key {key!r} is not known: {nearest(key, _known_keys())}"
    return f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r}"


def _known_keys() -> tuple[str, ...]:
    keys = []
    for name, value in Config().model_dump().items():
        keys.append(name)
        if isinstance(value, dict):
            keys.extend(f"{name}.{inner}" for inner in value)
    return tuple(keys)


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
