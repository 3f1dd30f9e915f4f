"""What every strategy keeps: the setting, the budget and its seed; and what makes each of them what it is."""

import pytest

from fairnad.config import Config, PlanConfig, load_config
from fairnad.errors import ConfigError
from fairnad.history.store import History
from fairnad.records import Recheck
from fairnad.search.strategies import STRATEGIES, apply
from tests import fake_runs

SETTINGS = {"budget": 12, "plan": fake_runs.PLAN, "limits": {"params": 10_000}}
SAME = {"dataset", "budget", "seed", "limits", "drafts", "verification", "recipe", "executor", "llm", "strategy"}


def searched(folder, *, fails=lambda training: False, **settings):
    """Return children and all validation trainings of a whole search."""
    executor = fake_runs.LuckyExecutor(fails=fails)
    fake_runs.start(Config.model_validate({**SETTINGS, **settings}), folder, executor)
    with History.open(folder) as history:
        return history.children(), executor.submitted


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_changes_nothing_but_how_the_budget_is_spent(name):
    config = load_config("demo", [f"strategy={name}"])
    changed = apply(config)
    assert {key: getattr(changed, key) for key in SAME} == {key: getattr(config, key) for key in SAME}
    assert PlanConfig.model_validate(changed.plan.model_dump(mode="json")) == changed.plan


@pytest.mark.parametrize("recheck", [None, "3x2"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_spends_its_budget_beside_the_base(name, recheck, tmp_path):
    children, submitted = searched(tmp_path / "run", strategy=name, recheck=recheck)
    assert len(submitted) == 13
    assert all(training.split == "val" for training in submitted)
    assert sum(training.is_again for training in submitted) == 13 - len(children)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_a_function_of_its_seed(name, tmp_path):
    found = [searched(tmp_path / str(number), strategy=name, seed=seed)[1] for number, seed in enumerate((0, 0, 1))]
    assert found[0] == found[1]
    assert {(one.source, one.seed) for one in found[0]}.isdisjoint((one.source, one.seed) for one in found[2])


@pytest.mark.parametrize("name", ["base", "widen"])
def test_the_base_is_trained_as_often_as_others_train_children(name, tmp_path):
    children, submitted = searched(tmp_path / "run", strategy=name)
    assert len(children) == 1
    assert len({training.seed for training in submitted}) == 13
    assert {training.source for training in submitted} == {"# base" if name == "base" else "# base, widened"}


@pytest.mark.parametrize("name", ["best-of-n", "random-idea"])
def test_children_of_the_base_alone_even_when_some_fail(name, tmp_path):
    children, submitted = searched(
        tmp_path / "run", strategy=name, fails=lambda training: training.child_id in {3, 5, 7}
    )
    assert {child.parent for child in children[1:]} == {0}
    assert sum(child.accuracy is not None for child in children[1:]) == 12
    assert len({child.idea.id for child in children[1:]}) == len(children) - 1 == 15
    assert len(submitted) == 16


def test_random_ideas_are_drawn_without_regard_to_their_category():
    levels = {name: apply(load_config("demo", [f"strategy={name}"])).ideas.level for name in STRATEGIES}
    assert {name for name, level in levels.items() if level == "none"} == {"random-idea"}


def test_evolution_breeds_from_the_youngest_alone(tmp_path):
    children, _ = searched(tmp_path / "run", strategy="regularised-evolution", budget=60, plan=fake_runs.PLAN)
    population = 20
    bred = [child for child in children if child.key.generation > 0]
    assert len(bred) == 40
    for child in bred:
        before = [other.id for other in children if other.key.generation < child.key.generation]
        assert child.parent in before[-population:]
    assert max(child.key.generation for child in bred) == 10


def test_evolution_prefers_accurate_parents(tmp_path):
    children, _ = searched(tmp_path / "run", strategy="regularised-evolution", budget=120)
    living = {child.id: child.accuracy for child in children}
    chosen = [living[child.parent] for child in children if child.key.generation > 0]
    assert sum(chosen) / len(chosen) > sum(living.values()) / len(living) + 0.02


def test_base_spends_the_recheck_on_the_base():
    assert apply(Config(strategy="base", budget=28, recheck="10x2")).recheck == Recheck(1, 28)


def test_a_strategy_of_your_own_works_without_an_edit(tmp_path):
    children, _ = searched(tmp_path / "run", strategy="tests.search.strategies.test_strategies:timid")
    assert len(children) == 1


def timid(config):
    return config.model_copy(update={"recheck": Recheck(1, config.budget)})


def test_an_unknown_strategy_is_named_with_its_neighbour():
    with pytest.raises(ConfigError, match="strategy 'fairnat' is not known: the nearest known is 'fairnad'"):
        apply(Config(strategy="fairnat"))
