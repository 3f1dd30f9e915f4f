"""The shipped configurations say what the protocol, the paper and their own names say."""

import pytest

from fairnad.config import load_config, shipped_configs
from fairnad.records import Limits, Recipe
from fairnad.training.datasets import DATASETS

ABLATIONS = {
    "ablations/all-stages": {},
    "ablations/stage-i-only": {"plan.pareto": 0, "plan.iterative_parents": 0},
    "ablations/no-stage-ii": {"plan.pareto": 0},
    "ablations/no-stage-iii": {"plan.iterative_parents": 0},
    "ablations/level-none": {"plan.pareto": 0, "plan.iterative_parents": 0, "ideas.level": "none"},
    "ablations/level-granularity": {"plan.pareto": 0, "plan.iterative_parents": 0, "ideas.level": "granularity"},
    "ablations/level-sub": {"plan.pareto": 0, "plan.iterative_parents": 0, "ideas.level": "sub"},
    "ablations/flat-ideas": {"plan.pareto": 0, "plan.iterative_parents": 0, "ideas.source": "flat"},
    "ablations/own-ideas": {"plan.pareto": 0, "plan.iterative_parents": 0, "ideas.source": "llm"},
    "ablations/no-repair": {"drafts.max_repairs": 0},
    "ablations/no-shrink": {"drafts.max_shrinks": 0},
}


def flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def differences(name, other):
    first, second = (dict(flat(load_config(each).model_dump())) for each in (name, other))
    return {key: value for key, value in first.items() if value != second[key]}


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"image-folder"}))
def test_every_data_set_has_a_configuration_of_its_name(name):
    assert load_config(name).dataset == name


@pytest.mark.parametrize(
    ("name", "flops"), [("cifar10", 200_000_000), ("cifar100", 200_000_000), ("imagenet16-120", 50_000_000)]
)
def test_the_benchmarks_data_sets_are_searched_to_its_protocol(name, flops):
    config = load_config(name)
    assert config.limits == Limits(params=1_500_000, flops=flops)
    assert config.recipe == Recipe(200, 256, 0.1, 0.9, True, 5e-4, "bf16")
    assert (config.budget, config.base.name, config.base.width, config.base.depth) == (500, "resnet", 16, 5)


def test_the_paper_differs_from_the_defaults_as_the_method_page_says():
    assert differences("paper", "cifar100") == {
        "plan.base_is_eligible": False,
        "plan.scale_up_when": "any",
        "drafts.generator": "llm",
        "drafts.style": "rewrite",
        "drafts.forms": 1,
        "drafts.fallback": "none",
        "verification.integrity": "warn",
        "verification.novel_in": "parent",
        "verification.structure_judge": "llm",
    }


def test_every_ablation_is_listed_here():
    assert {name for name in shipped_configs() if name.startswith("ablations/")} == ABLATIONS.keys()


@pytest.mark.parametrize(("name", "expected"), ABLATIONS.items(), ids=ABLATIONS)
def test_an_ablation_is_the_paper_but_for_what_its_name_says(name, expected):
    assert differences(name, "paper") == {"budget": 200, **expected}
