"""The embedded data set: handwritten digits among fragments of others, in random colours, on 16 x 16 canvases.

Made from the 1,797 real 8 x 8 digits that scikit-learn carries, so that a search runs without a download. They are
split before anything is composed: no stroke of an evaluated canvas was ever seen in training.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from fairnad.training.datasets import RawDataset, Sources, Split, channel_statistics

__all__ = ["compose", "make", "split_sources"]

_SEED = 20_240_613
_SIZE = 16
_GLYPH = 8
_HELD_OUT = 25
"""Source digits of a class in each of the two evaluated splits."""
_CANVASES = 4
"""Canvases of each source digit."""
_FRAGMENTS = 4
_FRAGMENT = 4
"""Height and width of a fragment: enough for a stroke, too little for a digit."""
_DARKEST_DIGIT, _LIGHTEST_GROUND = 0.5, 0.4
"""Brightness in any channel: a digit is lighter than its ground. With both signs, a small network never starts."""
_NOISE = 0.05
"""Standard deviation of the noise, as a fraction of full brightness."""
_PADDING = 1
"""Of the random crop. A digit lies at least this far inside, so that no crop cuts a stroke of the class away."""

Floats = NDArray[np.float32]


def make(sources: Sources) -> RawDataset:
    """Return the data set; the same arrays at every call. Nothing is read from `sources`."""
    bunch = load_digits()
    glyphs, labels = (bunch.images / 16.0).astype(np.float32), bunch.target.astype(np.int64)
    parts = split_sources(labels)
    streams = np.random.default_rng(_SEED).spawn(len(parts))
    train, val, test = (compose(glyphs[part], labels[part], rng) for part, rng in zip(parts, streams, strict=True))
    mean, std = channel_statistics(train.images)
    return RawDataset(
        train=train,
        val=val,
        test=test,
        num_classes=10,
        mean=mean,
        std=std,
        flip=False,  # a mirrored digit is another sign
        crop_padding=_PADDING,
        notes=("scikit-learn load_digits: UCI Optical Recognition of Handwritten Digits, CC BY 4.0",),
    )


def split_sources(labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the train, val and test digits: ascending, disjoint, the last two balanced by class."""
    rng = np.random.default_rng(_SEED)
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    val = np.concatenate([indices[:_HELD_OUT] for indices in shuffled])
    test = np.concatenate([indices[_HELD_OUT : 2 * _HELD_OUT] for indices in shuffled])
    train = np.concatenate([indices[2 * _HELD_OUT :] for indices in shuffled])
    return np.sort(train), np.sort(val), np.sort(test)


def compose(glyphs: Floats, labels: NDArray[np.int64], rng: np.random.Generator) -> Split:
    """Return `_CANVASES` canvases of each of `glyphs` (N, 8, 8; 0..1), in the order of the glyphs.

    Distractors are fragments of other digits among `glyphs`.
    """
    owners = np.repeat(np.arange(len(glyphs)), _CANVASES)
    canvases, colours = _backgrounds(len(owners), rng)
    for _ in range(_FRAGMENTS):
        others = (owners + rng.integers(1, len(glyphs), len(owners))) % len(glyphs)
        fragments = _place(_fragments(glyphs[others], rng), rng, margin=0)
        canvases = _paint(canvases, fragments, rng.random((len(owners), 3), dtype=np.float32))
    canvases = _paint(canvases, _place(glyphs[owners], rng, margin=_PADDING), colours)
    canvases += _NOISE * rng.standard_normal(canvases.shape, dtype=np.float32)
    return Split(np.rint(canvases.clip(0, 1) * 255).astype(np.uint8), labels[owners])


def _backgrounds(num: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return plain canvases (num, 3, H, W) and, for each, the colour (num, 3) of its digit."""
    tints = _LIGHTEST_GROUND * rng.random((num, 3), dtype=np.float32)
    colours = _DARKEST_DIGIT + (1 - _DARKEST_DIGIT) * rng.random((num, 3), dtype=np.float32)
    return np.broadcast_to(tints[:, :, None, None], (num, 3, _SIZE, _SIZE)), colours


def _fragments(glyphs: Floats, rng: np.random.Generator) -> Floats:
    """Return a random window of each glyph: (N, 8, 8) -> (N, _FRAGMENT, _FRAGMENT)."""
    rows, columns = rng.integers(0, _GLYPH - _FRAGMENT + 1, (2, len(glyphs), 1, 1))
    steps = np.arange(_FRAGMENT)
    windows: Floats = glyphs[np.arange(len(glyphs))[:, None, None], rows + steps[:, None], columns + steps]
    return windows


def _place(patches: Floats, rng: np.random.Generator, *, margin: int) -> Floats:
    """Return canvases (N, H, W) of zeros, each with its patch (N, h, h) at a random place `margin` pixels inside."""
    size = patches.shape[1]
    rows, columns = rng.integers(margin, _SIZE - size - margin + 1, (2, len(patches), 1, 1))
    steps = np.arange(size)
    placed = np.zeros((len(patches), _SIZE, _SIZE), dtype=np.float32)
    placed[np.arange(len(patches))[:, None, None], rows + steps[:, None], columns + steps] = patches
    return placed


def _paint(canvases: Floats, opacity: Floats, colours: Floats) -> Floats:
    """Return `canvases` (N, 3, H, W) with each one's colour (N, 3) laid over it by `opacity` (N, H, W)."""
    return canvases + opacity[:, None] * (colours[:, :, None, None] - canvases)
