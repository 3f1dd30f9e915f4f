"""Near-duplicates: what says the same in nearly the same words is one group, with all its members."""

import random

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
