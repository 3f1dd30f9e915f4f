"""Near-duplicates: what says the same in nearly the same words is one group, with all its members."""

import random

import pytest

from fairnad.knowledge.build.duplicates import merge_duplicates

SEEDS = (
    "Replace the second convolution of each block by a depthwise convolution with a larger kernel.",
    "Add the features of the first stage to those of the last stage after pooling them to its resolution.",
    "Normalise within groups of channels rather than over the batch, so that small batches do no harm.",
)


def test_groups_hold_every_index_once_in_order():
    texts = [SEEDS[0], SEEDS[1], SEEDS[0].upper(), SEEDS[2], SEEDS[1] + " "]
    assert merge_duplicates(texts) == ((0, 2), (1, 4), (3,))


def test_other_wording_of_the_same_words_is_a_duplicate():
    same = "Replacing the second convolutions of every block by depthwise convolutions with larger kernels."
    other = "Replace the first activation of each stage by a learnable gate with a larger bias."
    assert merge_duplicates([SEEDS[0], same, other]) == ((0, 1), (2,))


def test_nothing_and_empty_texts_are_no_problem():
    assert merge_duplicates([]) == ()
    assert merge_duplicates(["", "the", "..."]) == ((0, 2), (1,))


def test_among_many_ideas_the_planted_duplicates_are_found():
    rng = random.Random(0)
    words = [f"w{number}" for number in range(400)]
    texts = [" ".join(rng.sample(words, 16)) for _ in range(300)]
    planted = [" ".join([*rng.sample(text.split(), 16)[:14], "other"]) for text in texts[:40]]
    groups = merge_duplicates(texts + planted)
    assert len(groups) == 300
    assert {group for group in groups if len(group) > 1} == {(index, 300 + index) for index in range(40)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Use GELU activation in each residual block", "Use ReLU activation in each residual block"),
        ("Apply channel attention after each stage", "Apply spatial attention after each stage"),
        (
            "Replace batch normalization with layer normalization in every block",
            "Replace layer normalization with batch normalization in every block",
        ),
        ("Replace 3x3 kernels by 7x7 kernels in the stem", "Replace 7x7 kernels by 3x3 kernels in the stem"),
        ("Normalize before the attention of each block", "Normalize after the attention of each block"),
        ("Use average pooling between all stages", "Use max pooling between all stages"),
        ("Stack more blocks in the third stage", "Stack fewer blocks in the third stage"),
        ("Use dilated convolutions in the last stage", "Use grouped convolutions in the last stage"),
    ],
)
def test_nearly_the_same_words_may_say_the_opposite(one, other):
    assert merge_duplicates([one, other, one.lower()]) == ((0, 2), (1,))
