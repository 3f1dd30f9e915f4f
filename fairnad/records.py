"""The frozen records that pass from room to room: data, and arithmetic on their own fields.

Accuracies are fractions, times seconds, memory bytes. FLOPs are multiply-accumulates in fvcore's definition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fairnad.errors import ConfigError

__all__ = [
    "Child",
    "Costs",
    "DataShape",
    "DatasetInfo",
    "Draft",
    "Failed",
    "Failure",
    "FilledSlot",
    "Graph",
    "Idea",
    "IdeaKind",
    "JudgedDraft",
    "Limits",
    "MutationTarget",
    "Node",
    "Recheck",
    "Recipe",
    "SlotKey",
    "Stage",
    "Trained",
    "Verdict",
]


class Stage(str, Enum):
    """The stage of the method that a slot of the plan belongs to (paper, Algorithm 2)."""

    BASE = "base"
    INITIAL = "initial"
    FAIR = "I"
    PARETO = "II"
    ITERATIVE = "III"


class Failure(str, Enum):
    """Where a draft was refused or a training ended; the names are those of `fairnad verify`."""

    SYNTAX = "syntax"
    TOO_LARGE = "too_large"
    IMPORT = "import"
    NO_NETWORK_CLASS = "no_network_class"
    INIT_ERROR = "init_error"
    FORWARD_ERROR = "forward_error"
    BACKWARD_ERROR = "backward_error"
    SHAPE = "shape"
    NAN = "nan"
    NO_GRAD = "no_grad"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    OUTPUT_FLOOD = "output_flood"
    FORBIDDEN_OPERATION = "forbidden_operation"
    BUDGET = "budget"
    STRUCTURE = "structure"
    INTEGRITY = "integrity"
    NO_DRAFT = "no_draft"
    """The generator could not write anything for this parent and idea (never a verdict on a source)."""


class IdeaKind(str, Enum):
    """Where an idea comes from."""

    KNOWLEDGE = "knowledge"
    SCALE_UP = "scale_up"
    HYPERPARAMETER = "hyperparameter"
    OWN = "own"
    """Written by the generator itself (Stage III of an LLM, and the ablation without papers)."""


class MutationTarget(str, Enum):
    """Which part of the source an idea is to change (paper, F.2.3, "specifying mutation target")."""

    NEW_MODULE = "new_module"
    CHANGE_MODULE = "change_module"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Idea:
    """One design idea with its tags. `target` is performance or efficiency; tags are None for refinement ideas."""

    id: str
    text: str
    kind: IdeaKind = IdeaKind.KNOWLEDGE
    target: str | None = None
    granularity: str | None = None
    main: str | None = None
    sub: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs on one image: trainable scalars, and FLOPs in eval mode at batch 1."""

    params: int
    flops: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits on costs, inclusive; None is no limit."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    params: PositiveInt | None = None
    flops: PositiveInt | None = None

    def usage(self, costs: Costs) -> dict[str, float]:
        """Return each limited cost as a fraction of its limit."""
        pairs = {"params": (costs.params, self.params), "flops": (costs.flops, self.flops)}
        return {name: cost / limit for name, (cost, limit) in pairs.items() if limit is not None}

    def allow(self, costs: Costs) -> bool:
        """Return whether every cost is at most its limit."""
        return all(used <= 1.0 for used in self.usage(costs).values())


@dataclass(frozen=True, slots=True)
class Node:
    """One executed operator.

    `op` is the operator's name without its namespace ("convolution", "addmm"), or "input", "parameter", "buffer" or
    "constant" for what enters the graph. `inputs` are indices of earlier nodes in argument order; `shape` is that of
    the (first) output with the batch dimension as executed; `attributes` is the canonical JSON of all other arguments.
    """

    op: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    attributes: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """The executed operators of one forward, in execution order; `output` is the index of the logits."""

    nodes: tuple[Node, ...]
    output: int

    @property
    def activations(self) -> int:
        """Elements of all that the operators put out; on small networks the training time goes with it."""
        entered = {"input", "parameter", "buffer", "constant"}
        return sum(math.prod(node.shape) for node in self.nodes if node.op not in entered)


@dataclass(frozen=True, slots=True)
class Draft:
    """Source that somebody wrote. `rewrites` counts the repairs and shrinks that led to it; a base has no idea."""

    source: str
    generator: str
    idea: Idea | None
    note: str = ""
    """What the generator did, in one line, for people."""
    prompt: str | None = None
    reply: str | None = None
    rewrites: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one source. An accepted one has costs, graph and hash; a refused one a stage and a reason.

    `reason` is written as an instruction to whoever repairs the source. `details` is the traceback, if any.
    `step_seconds` is the measured time of one training step at `step_batch` images.
    """

    failure: Failure | None
    reason: str = ""
    details: str = ""
    costs: Costs | None = None
    graph: Graph | None = None
    graph_hash: str | None = None
    is_dynamic: bool = False
    dead_parameters: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    step_seconds: float | None = None
    step_batch: int | None = None
    seconds: float = 0.0

    @property
    def is_accepted(self) -> bool:
        """Whether the source may be trained."""
        return self.failure is None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. The defaults are those of NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326).

    SGD with Nesterov momentum, weight decay on every parameter, cross entropy; the learning rate is constant within an
    epoch: lr_e = lr / 2 * (1 + cos(pi * e / epochs)). `precision` is bf16 or fp32.
    """

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid", "allow_inf_nan": False}

    epochs: PositiveInt = 200
    batch_size: PositiveInt = 256
    lr: PositiveFloat = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: NonNegativeFloat = 5e-4
    precision: Literal["bf16", "fp32"] = "bf16"


@dataclass(frozen=True, slots=True)
class Recheck:
    """Before the best is named, the `networks` best are trained `trainings` times more, paid for inside the budget."""

    networks: int
    trainings: int

    @classmethod
    def parse(cls, text: str) -> Recheck:
        """Return the recheck that "10x2" stands for.

        Raises:
            ConfigError: `text` is none.
        """
        parts = str(text).lower().split("x")
        if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise ConfigError(f"recheck {text!r}: expected NETWORKSxTRAININGS, such as 10x2")
        return cls(int(parts[0]), int(parts[1]))

    @property
    def cost(self) -> int:
        """The trainings that it takes from the budget."""
        return self.networks * self.trainings

    def __str__(self) -> str:
        return f"{self.networks}x{self.trainings}"


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that ran to its last epoch and was scored by the controller on `split`."""

    accuracy: float
    split: str
    epochs: int
    seed: int
    losses: tuple[float, ...]
    seconds: float
    images_per_second: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A training that did not end well, or a draft that was not written, by `idea` if one was chosen.

    A failure is a type, never a low score.
    """

    failure: Failure
    reason: str
    details: str = ""
    seconds: float = 0.0
    idea: Idea | None = None


@dataclass(frozen=True, slots=True, order=True)
class SlotKey:
    """One place of the plan. Generation 0 holds the base and the initial children; slots count from 0 in plan order."""

    generation: int
    stage: Stage
    slot: int


@dataclass(frozen=True, slots=True)
class JudgedDraft:
    """A draft with its verdict; every rewrite is one of its own.

    `attempt` counts the ideas tried for the slot, from 0.
    """

    draft: Draft
    verdict: Verdict
    attempt: int
    target: MutationTarget | None = None


@dataclass(frozen=True, slots=True)
class FilledSlot:
    """All that happened for one place of the plan until training: recorded in one transaction.

    `parent` is the child whose source was edited, `refines` the degraded child that Stage III answers. `chosen` is the
    index in `drafts` of the one that becomes a child; None when the slot stays empty.

    The rest is what the decision could see, so that it can be taken again: `known` are the ids of the evaluated
    children, `seen` is the number of drafts recorded by then, and `decided` counts the decisions of the search.
    """

    key: SlotKey
    parent: int | None
    refines: int | None
    drafts: tuple[JudgedDraft, ...]
    chosen: int | None
    known: tuple[int, ...] = ()
    decided: int = 0
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Child:
    """One row of the history as the search sees it: a verified draft that was chosen, and what came of its training.

    `id` 0 is the base. `outcome` is the evaluation of purpose "search": None while it is not trained.
    """

    id: int
    key: SlotKey
    parent: int | None
    refines: int | None
    idea: Idea | None
    source: str
    costs: Costs
    graph_hash: str
    step_seconds: float | None
    step_batch: int | None
    outcome: Trained | Failed | None = None
    activations: int | None = None
    """Those of its graph: what tells large children from small ones, and the same on every machine."""

    @property
    def accuracy(self) -> float | None:
        """The validation accuracy of the search's training, or None."""
        return self.outcome.accuracy if isinstance(self.outcome, Trained) else None


@dataclass(frozen=True, slots=True)
class DataShape:
    """What a network is given and has to return: `input_shape` is (channels, height, width).

    A search trains it on `num_train` images.
    """

    name: str
    num_classes: int
    input_shape: tuple[int, int, int]
    num_train: int


@dataclass(frozen=True, slots=True)
class DatasetInfo(DataShape):
    """A prepared data set: what a network must accept, and where the files are.

    `folder` holds what a training child may map: `train_images.npy` (N, 3, H, W) uint8, `train_labels.npy` (N,) int64,
    `val_images.npy`, `test_images.npy`. `labels_folder` holds `val_labels.npy` and `test_labels.npy`, which only the
    controller reads. `mean` and `std` are in units of 0..255, one a channel.

    Where the final training uses more than `train`, `num_final_train` tells how many: `final_train_images.npy` in
    `folder`, and `final_train_labels.npy` in `labels_folder`, since validation labels may be among them.
    """

    num_val: int
    num_test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    crop_padding: int
    folder: str
    labels_folder: str
    notes: tuple[str, ...] = field(default=())
    num_final_train: int | None = None
