"""What controller and child processes say to each other: job and report models, used by both sides, no behaviour.

A job is written to `job.json` in the job's folder; the child answers with `report.json`, replaced atomically.
Every report has `failure`, `reason` and `details`; a report without a failure carries the job's results.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fairnad.records import Costs, DatasetInfo, Failure, Graph, Limits, Recipe

__all__ = [
    "AnyJob",
    "ForkRequest",
    "Job",
    "MeasureJob",
    "MeasureReport",
    "PrepareJob",
    "PrepareReport",
    "Report",
    "TrainJob",
    "TrainReport",
    "TrainingData",
    "VerifyJob",
    "VerifyReport",
    "parse_job",
]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VerifyJob(_Message):
    """Execute one source once and report what was seen; judging is the controller's."""

    kind: Literal["verify"] = "verify"
    source: str
    input_shape: tuple[int, int, int]
    num_classes: int
    seed: int = 0
    check_integrity: bool = True
    train_steps: int = 2
    """Timed training steps after the traces."""
    batch_size: int | None = None
    """Images of a training step; None: a few sizes that are quick, or two images where those do not fit into memory."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Arithmetic of the training steps; all else is fp32."""
    timed_for: int = 256
    """The batch size that the time of a step is told for; from smaller ones it is extrapolated."""
    limits: Limits | None = None
    """A network over these is reported without its training steps: it will not be trained."""


class MeasureJob(_Message):
    """Count the costs of many sources at batch 1: no training step, no verdict."""

    kind: Literal["measure"] = "measure"
    sources: tuple[str, ...]
    input_shape: tuple[int, int, int]
    num_classes: int
    with_fvcore: bool = False
    """Also run fvcore's own counter (on the CPU, batch 1, eval mode)."""


class TrainingData(_Message):
    """The files a training child may map; labels of the evaluated images are not among them.

    Images are uint8 (N, 3, H, W) `.npy`, labels int64 (N,) `.npy`; `mean` and `std` are in units of 0..255.
    """

    train_images: str
    train_labels: str
    eval_images: str
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    crop_padding: int


class TrainJob(_Message):
    """Train one source by `recipe` and write the logits of the evaluated images.

    They go to `logits.bin`: (N, classes) float32, in the order of the images.
    """

    kind: Literal["train"] = "train"
    source: str
    data: TrainingData
    recipe: Recipe
    seed: int
    gpu: int | None = None
    """The only GPU that the child may see, as nvidia-smi numbers it; None trains on the CPU."""
    memory_share: float = 1.0
    """The part of the GPU's memory that the child may take."""
    threads: int = 1

    @property
    def device(self) -> str:
        """The device's name for torch; the one visible GPU is always the first."""
        return "cpu" if self.gpu is None else "cuda"


class PrepareJob(_Message):
    """Make or find a data set and write its files below `root`. Trusted code only.

    `split_dir` and `raw_dir` are folders of the user's: of split files, and of the raw files of this data set.
    `proxies` are environment variables for downloads, which no other child is given: they may hold a password.
    """

    kind: Literal["prepare"] = "prepare"
    dataset: str
    root: str
    split_dir: str | None = None
    raw_dir: str | None = None
    proxies: dict[str, str] = Field(default_factory=dict)


class Report(_Message):
    """What every child reports."""

    failure: Failure | None = None
    reason: str = ""
    details: str = ""
    seconds: float = 0.0


class VerifyReport(Report):
    """What was seen of a network.

    `deviation` is the largest dependence of a sample's logits on its batch, on order or on earlier calls, as a
    fraction of the logits' spread; None when it was not asked for.
    """

    costs: Costs | None = None
    batch_costs: Costs | None = None
    """Costs seen in train mode at batch 2, an image."""
    eval_graph: Graph | None = None
    train_graph: Graph | None = None
    is_dynamic: bool = False
    """The trace changes with the input or the seed of a forward; both costs are then the largest seen."""
    is_stable: bool = True
    """Three constructions under different seeds gave the same graph."""
    dead_parameters: tuple[str, ...] = ()
    deviation: float | None = None
    step_seconds: float | None = None
    step_batch: int | None = None


class MeasureReport(Report):
    """Costs of each source of the job in its order; None for one that cannot be built."""

    costs: tuple[Costs | None, ...] = ()
    fvcore_flops: tuple[int | None, ...] = ()


class TrainReport(Report):
    """What a training child saw; the accuracy is not its business."""

    losses: tuple[float, ...] = ()
    """Mean training loss of each epoch."""
    images_per_second: float = 0.0
    peak_memory_bytes: int = 0
    num_logits: int = 0


class PrepareReport(Report):
    """The prepared data set."""

    dataset: DatasetInfo | None = None


class ForkRequest(_Message):
    """What the zygote must know to fork the child of the job in `folder`, and what that child may use.

    `timeout_seconds` only sizes the child's limit on processor time: the controller watches the clock.
    """

    folder: str
    timeout_seconds: float
    memory_bytes: int
    max_output_bytes: int


AnyJob = Annotated[VerifyJob | MeasureJob | TrainJob | PrepareJob, Field(discriminator="kind")]
Job = VerifyJob | MeasureJob | TrainJob | PrepareJob

_ADAPTER: TypeAdapter[Job] = TypeAdapter(AnyJob)


def parse_job(text: str | bytes) -> Job:
    """Return the job in `text` (JSON).

    Raises:
        pydantic.ValidationError: it is none.
    """
    return _ADAPTER.validate_json(text)
