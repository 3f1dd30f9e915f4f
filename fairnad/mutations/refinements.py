"""The refinement ideas of Stage II, as data: four ways to scale up, four hyper-parameters to adjust (paper, F.2.3)."""

from __future__ import annotations

from fairnad.records import Idea, IdeaKind

__all__ = ["HYPERPARAMETER_IDEAS", "SCALE_UP_IDEAS"]


def _ideas(kind: IdeaKind, prefix: str, *texts: str) -> tuple[Idea, ...]:
    return tuple(Idea(f"{prefix}-{number}", text, kind) for number, text in enumerate(texts, start=1))


SCALE_UP_IDEAS = _ideas(
    IdeaKind.SCALE_UP,
    "scale-up",
    "Make Network deeper: repeat its blocks more often, most of all in the middle stages.",
    "Make Network deeper: repeat its blocks more often, most of all in the last stages.",
    "Make Network wider: raise all its channel numbers and keep their ratios from stage to stage.",
    "Make Network wider: raise its channel numbers and change their ratios from stage to stage.",
)

HYPERPARAMETER_IDEAS = _ideas(
    IdeaKind.HYPERPARAMETER,
    "hyperparameter",
    "Choose another kernel size in one of the blocks.",
    "Choose another stride, or another way to lower the resolution, in one of the blocks.",
    "Switch channel recalibration (squeeze-and-excitation) on or off in one of the blocks.",
    "Choose another activation in one of the blocks.",
)
