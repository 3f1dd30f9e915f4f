from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fairnad.training.datasets import Sources
from fairnad.training.digits import compose, make, split_sources

LABELS = load_digits().target.astype(np.int64)


@pytest.fixture(scope="module")
def raw():
    return make(Sources(root=Path()))


def test_no_source_digit_is_in_two_splits():
    parts = split_sources(LABELS)
    assert [len(part) for part in parts] == [1297, 250, 250]
    assert len(np.unique(np.concatenate(parts))) == len(LABELS)


def test_the_evaluated_splits_are_balanced_and_the_training_split_nearly(raw):
    assert np.bincount(raw.val.labels).tolist() == np.bincount(raw.test.labels).tolist() == [100] * 10
    assert np.ptp(np.bincount(raw.train.labels)) <= 0.1 * len(raw.train.labels) / 10


def test_every_call_makes_the_same_canvases(raw):
    again = make(Sources(root=Path()))
    for split in ("train", "val", "test"):
        assert np.array_equal(getattr(raw, split).images, getattr(again, split).images)
        assert np.array_equal(getattr(raw, split).labels, getattr(again, split).labels)


def test_canvases_of_one_digit_differ(raw):
    assert raw.train.images.shape == (5188, 3, 16, 16)
    assert raw.train.images.dtype == np.uint8
    assert len(np.unique(raw.train.images.reshape(5188, -1), axis=0)) == 5188


def test_a_canvas_shows_its_own_digit_over_fragments_of_the_given_ones():
    # Each glyph is one column: the whole one is 8 pixels high, a fragment 4.
    glyphs = np.zeros((6, 8, 8), dtype=np.float32)
    glyphs[np.arange(6), :, np.arange(6)] = 1.0
    split = compose(glyphs, np.arange(6), np.random.default_rng(0))
    assert split.labels.tolist() == [label for label in range(6) for _ in range(4)]
    bright = (split.images.min(axis=1) > 0.45 * 255).sum(axis=1).max(axis=1)
    assert (bright >= 6).mean() > 0.8
