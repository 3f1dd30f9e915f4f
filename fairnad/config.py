"""Configuration: YAML files with `_base_`, overrides `a.b=c`, checked into frozen models. The one home of mmengine."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from fairnad.errors import ConfigError
from fairnad.records import Limits, Recipe
from fairnad.resources import resource

__all__ = [
    "BaseConfig",
    "Config",
    "DraftsConfig",
    "ExecutorConfig",
    "IdeasConfig",
    "PlanConfig",
    "VerificationConfig",
    "dump_config",
    "load_config",
    "read_config",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseConfig(_Section):
    """The network the search starts from: one of the shipped ones, or `file`, the user's own source."""

    name: str = "resnet"
    file: str | None = None
    width: PositiveInt = 16
    """Channels of the first stage of a shipped base."""
    depth: PositiveInt = 5
    """Blocks a stage of a shipped base, its strided ones not counted."""


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
    scale_up_below: PositiveFloat = 0.9
    """Stage II scales a parent up while its costs are under this fraction of their limits ..."""
    scale_up_when: Literal["all", "any"] = "all"
    """... all of them, or any of them (the paper's Algorithm 2)."""


class IdeasConfig(_Section):
    """Where ideas come from and how they are drawn."""

    path: str | None = None
    """An idea database (JSON lines); the shipped seed ideas without it."""
    level: Literal["none", "granularity", "main", "sub"] = "main"
    """The level of the attribute tree at which every group is equally likely (paper, Table 6)."""


class DraftsConfig(_Section):
    """The feedback loop: who writes code, and how often it may be mended."""

    generator: str = "rules"
    max_per_slot: PositiveInt = 6
    max_repairs: NonNegativeInt = 2
    max_shrinks: NonNegativeInt = 4


class VerificationConfig(_Section):
    """What a draft must pass before it is trained."""

    static: bool = True
    integrity: Literal["enforce", "warn", "off"] = "enforce"
    novel_in: Literal["history", "parent"] = "history"
    """A graph must be new in the whole history, or merely differ from its parent's (the paper)."""
    timeout_seconds: PositiveFloat = 60.0
    memory_bytes: PositiveInt = 4 * 2**30


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
    """A training is ended after this many times its predicted duration ..."""
    timeout_floor_seconds: PositiveFloat = 120.0
    """... but never before this."""
    memory_bytes: PositiveInt = 8 * 2**30


class Config(_Section):
    """Everything that decides a search. Two runs of equal configuration and version make the same children."""

    dataset: str = "cluttered-digits"
    data_root: str | None = None
    """The folder of the data sets; FAIRNAD_DATA or the user's cache without it."""
    split_dir: str | None = None
    """The folder of the published NAS-Bench-201 split files; `<data_root>/splits` without it."""
    budget: PositiveInt = 500
    """Children to train to the end; the base, drafts and rejections are counted apart."""
    seed: NonNegativeInt = 0
    base: BaseConfig = BaseConfig()
    limits: Limits = Limits()
    plan: PlanConfig = PlanConfig()
    ideas: IdeasConfig = IdeasConfig()
    drafts: DraftsConfig = DraftsConfig()
    verification: VerificationConfig = VerificationConfig()
    recipe: Recipe = Recipe()
    executor: ExecutorConfig = Field(default_factory=ExecutorConfig)


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
        f"configuration {name!r} is not known{_nearest(name, shipped_configs())}; give a .yaml file or one"
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
        return f"key {key!r} is not known{_nearest(key, _known_keys())}"
    return f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r}"


def _known_keys() -> tuple[str, ...]:
    keys = []
    for name, value in Config().model_dump().items():
        keys.append(name)
        if isinstance(value, dict):
            keys.extend(f"{name}.{inner}" for inner in value)
    return tuple(keys)


def _nearest(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; the nearest known is {found[0]!r}" if found else f"; known are {', '.join(known)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
