"""The idea database: the shipped ideas, what is refused, and that the draw is fair."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import chisquare

from fairnad.errors import KnowledgeError
from fairnad.knowledge import MAIN_CATEGORIES, AttributeTree, IdeaDatabase, SamplingLevel
from fairnad.records import Idea, IdeaKind

NUM_DRAWS = 15_000
SIGNIFICANCE = 1e-3

GOOD_LINE = {
    "id": "a",
    "text": "Use SiLU.",
    "target": "performance",
    "granularity": "operation",
    "main": "activation",
    "sub": "silu",
    "sources": ["a test"],
}


@pytest.fixture(scope="module")
def tree() -> AttributeTree:
    return AttributeTree.load()


@pytest.fixture(scope="module")
def shipped(tree: AttributeTree) -> IdeaDatabase:
    return IdeaDatabase.load(tree=tree)


@pytest.fixture(scope="module")
def lopsided() -> IdeaDatabase:
    """Return two ideas for each main category, but forty for activation."""
    return IdeaDatabase(
        tuple(
            Idea(f"{main}-{number}", "text", target=target, granularity=granularity, main=main, sub=None)
            for target, granularity, main in MAIN_CATEGORIES
            for number in range(40 if main == "activation" else 2)
        )
    )


def uniformity(database: IdeaDatabase, level: SamplingLevel, key: Callable[[Idea], object], num_groups: int) -> float:
    """Return the p-value of the hypothesis that all `num_groups` values of `key` are equally likely."""
    rng = random.Random(7)
    counts = Counter(key(database.sample(rng, level=level)) for _ in range(NUM_DRAWS))
    return float(chisquare([*counts.values(), *[0] * (num_groups - len(counts))]).pvalue)


def write(folder: Path, *lines: object) -> Path:
    path = folder / "ideas.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_the_seed_ideas_cover_every_main_category(shipped: IdeaDatabase):
    assert len(shipped) == len(shipped.ideas) >= 60
    assert set(shipped.by_main) == {(target, main) for target, _, main in MAIN_CATEGORIES}
    assert min(len(ideas) for ideas in shipped.by_main.values()) >= 4


def test_the_seed_ideas_are_concrete_short_and_about_architecture(shipped: IdeaDatabase):
    foreign = re.compile(
        r"\b(loss|dataset|augment\w*|pre-?train\w*|optimi[sz]er|learning rate|classifier|head layer)\b"
    )
    for idea in shipped.ideas:
        assert 12 <= len(idea.text.split()) <= 45, idea.id
        assert foreign.search(idea.text.lower()) is None, idea.id
        assert idea.text.isascii(), idea.id
        assert idea.sources, idea.id
        assert idea.kind is IdeaKind.KNOWLEDGE
    assert len({idea.text for idea in shipped.ideas}) == len(shipped)


def test_the_seed_ideas_vary_in_sub_category(shipped: IdeaDatabase, tree: AttributeTree):
    for (target, main), ideas in shipped.by_main.items():
        used = {idea.sub for idea in ideas} - {None}
        assert len(used) >= min(3, len(tree.sub_categories(main, target=target))), main


def test_load_reads_every_field_and_skips_blank_lines(tmp_path: Path, tree: AttributeTree):
    second = {**GOOD_LINE, "id": "b", "sub": None}
    database = IdeaDatabase.load(write(tmp_path, GOOD_LINE, "", second), tree)
    assert database.ideas[0] == Idea(
        "a",
        "Use SiLU.",
        target="performance",
        granularity="operation",
        main="activation",
        sub="silu",
        sources=("a test",),
    )
    assert database.ideas[1].sub is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "b",', "Invalid JSON: "),
        ("[1, 2]", "Input should be an object, found [1, 2]"),
        ({key: GOOD_LINE[key] for key in GOOD_LINE if key != "main"}, "main: Field required"),
        ({**GOOD_LINE, "id": "b", "mein": "activation"}, "key 'mein' is not known"),
        ({**GOOD_LINE, "id": "b", "text": "  "}, "text: String should have at least 1 character, found '  '"),
        ({**GOOD_LINE, "id": "b", "sources": "a test"}, "sources: Input should be a valid array, found 'a test'"),
        ({**GOOD_LINE}, "id 'a' is that of line 1"),
        (
            {**GOOD_LINE, "id": "b", "main": "activations"},
            "'activations' is not known under 'performance / operation': the nearest known is 'activation'",
        ),
        ({**GOOD_LINE, "id": "b", "sub": "hard swish"}, "the nearest known is 'hardswish'"),
    ],
)
def test_load_names_the_line_and_what_is_wrong(tmp_path: Path, tree: AttributeTree, line: object, message: str):
    path = write(tmp_path, GOOD_LINE, line)
    with pytest.raises(KnowledgeError) as raised:
        IdeaDatabase.load(path, tree)
    assert str(raised.value).startswith(f"{path}, line 2: ")
    assert message in str(raised.value)


def test_load_refuses_an_empty_file(tmp_path: Path, tree: AttributeTree):
    with pytest.raises(KnowledgeError, match=r"ideas\.jsonl: holds no idea"):
        IdeaDatabase.load(write(tmp_path, "", ""), tree)


def test_load_refuses_a_missing_file(tmp_path: Path, tree: AttributeTree):
    with pytest.raises(KnowledgeError, match=r"none\.jsonl: the ideas cannot be read: No such file"):
        IdeaDatabase.load(tmp_path / "none.jsonl", tree)


def test_sampling_is_uniform_over_the_main_categories(lopsided: IdeaDatabase):
    assert uniformity(lopsided, SamplingLevel.MAIN, lambda idea: (idea.target, idea.main), 15) > SIGNIFICANCE


def test_flat_sampling_is_not_uniform_over_the_main_categories(lopsided: IdeaDatabase):
    assert uniformity(lopsided, SamplingLevel.NONE, lambda idea: (idea.target, idea.main), 15) < SIGNIFICANCE


@pytest.mark.parametrize(
    ("level", "key"),
    [
        (SamplingLevel.NONE, lambda idea: idea.id),
        (SamplingLevel.GRANULARITY, lambda idea: idea.granularity),
        (SamplingLevel.SUB, lambda idea: (idea.target, idea.main, idea.sub)),
    ],
)
def test_the_other_levels_are_uniform_over_their_groups(
    shipped: IdeaDatabase, level: SamplingLevel, key: Callable[[Idea], object]
):
    num_groups = len({key(idea) for idea in shipped.ideas})
    assert uniformity(shipped, level, key, num_groups) > SIGNIFICANCE


def test_sampling_is_uniform_within_a_group(lopsided: IdeaDatabase):
    rng = random.Random(3)
    drawn = (lopsided.sample(rng) for _ in range(NUM_DRAWS))
    counts = Counter(idea.id for idea in drawn if idea.main == "activation")
    assert len(counts) == 40
    assert chisquare(list(counts.values())).pvalue > SIGNIFICANCE


def test_a_group_without_unused_ideas_is_left_out_and_the_others_stay_uniform(lopsided: IdeaDatabase):
    used = frozenset(idea.id for idea in lopsided.ideas if idea.main == "normalization" or idea.id.endswith("-1"))
    rng = random.Random(5)
    drawn = [lopsided.sample(rng, exclude=used) for _ in range(NUM_DRAWS)]
    counts = Counter(idea.main for idea in drawn)
    assert used.isdisjoint(idea.id for idea in drawn)
    assert len(counts) == 14
    assert chisquare(list(counts.values())).pvalue > SIGNIFICANCE


def test_every_idea_is_drawn_once_before_any_repeats(shipped: IdeaDatabase):
    rng = random.Random(0)
    used: frozenset[str] = frozenset()
    for _ in range(len(shipped)):
        used |= {shipped.sample(rng, exclude=used).id}
    assert len(used) == len(shipped)
    assert shipped.sample(rng, exclude=used) in shipped.ideas


@pytest.mark.parametrize("level", list(SamplingLevel))
def test_equal_random_streams_give_equal_ideas(shipped: IdeaDatabase, level: SamplingLevel):
    def draw(seed: str) -> list[str]:
        rng = random.Random(seed)
        return [shipped.sample(rng, level=level).id for _ in range(20)]

    assert draw("a stream") == draw("a stream")
    assert draw("a stream") != draw("another")
