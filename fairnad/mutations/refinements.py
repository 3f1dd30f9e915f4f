"""The predefined ideas of Stage II (paper, F.2.3): four to scale a network up, four to adjust a hyper-parameter."""

from __future__ import annotations

from fairnad.records import Idea, IdeaKind

__all__ = ["HYPERPARAMETER_IDEAS", "SCALE_UP_IDEAS"]

SCALE_UP_IDEAS = (
    Idea(
        "scale-up-1",
        "Make the network deeper: raise the numbers of repeated blocks in the stages of Network, most of all in the "
        "middle stages.",
        IdeaKind.SCALE_UP,
    ),
    Idea(
        "scale-up-2",
        "Make the network deeper: raise the numbers of repeated blocks in the stages of Network, most of all in the "
        "last stages.",
        IdeaKind.SCALE_UP,
    ),
    Idea(
        "scale-up-3",
        "Make the network wider: raise all channel numbers in Network, and keep the ratios between the stages.",
        IdeaKind.SCALE_UP,
    ),
    Idea(
        "scale-up-4",
        "Make the network wider: raise the channel numbers in Network, and choose new ratios between the stages.",
        IdeaKind.SCALE_UP,
    ),
)
HYPERPARAMETER_IDEAS = (
    Idea("hyperparameter-1", "Choose another kernel size in one of the blocks.", IdeaKind.HYPERPARAMETER),
    Idea(
        "hyperparameter-2",
        "Change where or how one of the blocks downsamples, such as its stride.",
        IdeaKind.HYPERPARAMETER,
    ),
    Idea(
        "hyperparameter-3",
        "Change the use of squeeze-and-excitation in one of the blocks: add, move or resize it.",
        IdeaKind.HYPERPARAMETER,
    ),
    Idea("hyperparameter-4", "Choose another activation function in one of the blocks.", IdeaKind.HYPERPARAMETER),
)
