import pytest

from fairnad.config import Config, dump_config, load_config, read_config, shipped_configs
from fairnad.errors import ConfigError
from fairnad.search.recheck import FIRST_SEED as RECHECKED_FROM
from fairnad.search.recheck import SEEDS_A_RUN
from fairnad.search.retrain import final_seeds


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_configuration_loads(name):
    assert isinstance(load_config(name), Config)


def test_the_demo_is_the_small_plan_on_the_embedded_data():
    config = load_config("demo")
    plan = config.plan
    assert (config.dataset, config.budget) == ("cluttered-digits", 28)
    assert (plan.initial, plan.fair, plan.pareto, plan.iterative_parents, plan.iterative_steps) == (4, 8, 8, 4, 2)
    assert config.drafts.max_shrinks == 4


def test_overrides_reach_any_depth_and_are_yaml():
    config = load_config("demo", ["plan.fair=3", "limits.params=null", "recipe.lr=0.05", "budget=7"])
    assert (config.plan.fair, config.limits.params, config.recipe.lr, config.budget) == (3, None, 0.05, 7)


def test_a_user_file_builds_on_its_own_base(tmp_path):
    (tmp_path / "mine.yaml").write_text("_base_: theirs.yaml\nplan:\n  fair: 2\n")
    (tmp_path / "theirs.yaml").write_text("budget: 9\nplan:\n  initial: 3\n")
    config = load_config(str(tmp_path / "mine.yaml"))
    assert (config.budget, config.plan.fair, config.plan.initial) == (9, 2, 3)


def test_what_a_run_wrote_is_read_back(tmp_path):
    config = load_config("demo", ["seed=5"])
    (tmp_path / "config.yaml").write_text(dump_config(config))
    assert read_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("plan.fare=3", "'plan.fare' is not known: the nearest known is 'plan.fair'"),
        ("limits.prams=3", "nearest known is 'limits.params'"),
        ("recipe.epoch=3", "nearest known is 'recipe.epochs'"),
        ("budget=0", "budget: input should be greater than 0, found 0"),
        ("budget", "expected key=value"),
        ("budget.x=3", "'budget' is a value, not a section"),
        ("plan=[", "not YAML"),
        ("budget=many", "budget: input should be a valid integer"),
        ("plan.mutations.i=tournament", "plan.mutations: 'i' is no stage: known are initial, I, II, III"),
        ("plan.mutations.initialy=tournament", "'initialy' is no stage: the nearest known is 'initial'"),
        ("plan.mutations.base=tournament", "'base' is no stage"),
    ],
)
def test_a_wrong_override_is_named_with_the_nearest_key(override, told):
    with pytest.raises(ConfigError) as error:
        load_config("demo", [override])
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("limits.params", [0, -1]),
        ("limits.flops", [0, -1]),
        ("recipe.epochs", [0, -1]),
        ("recipe.batch_size", [0, -1]),
        ("recipe.lr", [0, -0.1, ".inf", ".nan"]),
        ("recipe.momentum", [-0.1, 1, ".nan"]),
        ("recipe.weight_decay", [-0.1, ".inf"]),
        ("seed", [-1, 2**53, 99999999999999999999]),
        ("plan.fair", [-1]),
        ("plan.scale_up_below", [0, 1.1, ".nan"]),
        ("drafts.max_repairs", [-1]),
        ("drafts.concurrency", [0, -1]),
        ("llm.concurrency", [0]),
        ("llm.max_retries", [-1]),
        ("llm.total_seconds", [0, ".inf", 1e300]),
        ("llm.max_hours", [0, ".inf"]),
        ("verification.timeout_seconds", [0, ".inf", 1e300]),
        ("verification.memory_bytes", [0, 2**63]),
        ("executor.slots", [0, -1]),
        ("executor.timeout_factor", [0, ".inf"]),
        ("executor.timeout_floor_seconds", [0, ".inf", 1e300]),
        ("executor.memory_bytes", [0, 2**63]),
    ],
)
def test_a_number_out_of_range_is_named(key, values):
    for value in values:
        with pytest.raises(ConfigError, match=rf"^configuration 'demo': {key}: input should be .+, found \S+$"):
            load_config("demo", [f"{key}={value}"])


def test_the_largest_seed_leaves_room_for_those_of_further_trainings():
    largest = load_config("demo", [f"seed={2**53 - 1}"]).seed
    assert max(*final_seeds(largest, SEEDS_A_RUN), RECHECKED_FROM + SEEDS_A_RUN * (largest + 1)) < 2**63


def test_nesterov_needs_momentum():
    with pytest.raises(ConfigError, match=r"recipe\.nesterov needs recipe\.momentum, which is 0"):
        load_config("demo", ["recipe.momentum=0"])
    assert load_config("demo", ["recipe.momentum=0", "recipe.nesterov=false"]).recipe.momentum == 0


def test_a_stage_may_have_another_mutation():
    overrides = [f"plan.mutations.{stage}=tournament" for stage in ("initial", "I", "II", "III")]
    assert set(load_config("demo", overrides).plan.mutations.values()) == {"tournament"}


@pytest.mark.parametrize(
    ("name", "told"), [("dema", "the nearest known is 'demo'"), ("none.yaml", "none.yaml does not exist")]
)
def test_an_unknown_configuration(name, told):
    with pytest.raises(ConfigError, match=told):
        load_config(name)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("plan: [")
    with pytest.raises(ConfigError, match=r"broken\.yaml: cannot be read"):
        load_config(str(tmp_path / "broken.yaml"))
