"""Strategies on a table: each keeps the rules, FairNAD's goes through the controller, and the measures are right."""

import contextlib
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

from fairnad.cli import app
from fairnad.errors import ConfigError
from fairnad.executors.table import Lookups, Signal, Spent, read_table
from fairnad.history.store import History
from fairnad.plugins import load
from fairnad.records import Recheck, Stage
from fairnad.search.bench import BenchPlan, bench_plan, passing, run_bench
from fairnad.search.bench_report import markdown, rows
from fairnad.search.cell_strategies.base import NUM_START, STRATEGIES, start_cells
from fairnad.search.cell_strategies.stages import STAGES, STAGES_HALF
from tests import cell_tables


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return cell_tables.write(tmp_path_factory.mktemp("table") / "table.csv")


@pytest.fixture(scope="module")
def table(path):
    return read_table(path, "cifar100")


def searched(table, name, *, seed=0, budget=120, signal=Signal.FRESH):
    lookups = Lookups(table, signal, seed=seed, budget=budget)
    strategy = load(name, STRATEGIES, what="strategy")
    with contextlib.suppress(Spent):
        strategy(lookups)
    return list(lookups.seen.items())


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_keeps_to_its_budget_and_its_seed(table, name):
    seen = searched(table, name)
    assert len(seen) <= 120
    assert len(seen) == 120 or name == "fairnad-repeats"
    assert seen == searched(table, name)
    assert seen != searched(table, name, seed=1)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "random"])
def test_a_strategy_begins_with_the_random_start_cells(table, name):
    lookups = Lookups(table, Signal.FRESH, seed=0, budget=120)
    assert [cell for cell, _ in searched(table, name)[:NUM_START]] == start_cells(lookups)


def test_every_strategy_is_better_than_chance(table):
    plan = BenchPlan(budget=60, num_seeds=5, signal=Signal.CLEAN)
    final = {outcome.strategy: outcome.truth[:, -1].mean() for outcome in run_bench(table, plan)}
    random_mean = final.pop("random")
    assert len(final) == 8
    assert all(mean > random_mean for mean in final.values()), final


@pytest.mark.parametrize(("stages", "per_generation"), [(STAGES, (8, 8, 8)), (STAGES_HALF, (4, 4, 4))])
def test_fairnad_goes_through_the_stages_of_the_controller(table, stages, per_generation):
    lookups = Lookups(table, Signal.FRESH, seed=3, budget=100)
    with History.in_memory(seed=3) as history:
        stages.search(lookups, history)
        children = history.children()
    assert len(children) == len(lookups.seen) == 100
    assert [lookups(cell) for cell in lookups.seen] == [child.accuracy for child in children]
    counts = Counter((child.key.generation, child.key.stage) for child in children)
    assert (counts[0, Stage.BASE], counts[0, Stage.INITIAL]) == (1, NUM_START - 1)
    assert tuple(counts[1, stage] for stage in (Stage.FAIR, Stage.PARETO, Stage.ITERATIVE)) == per_generation
    assert all((child.parent is None) == (child.idea is None) == (child.id < NUM_START) for child in children)
    assert len({child.source for child in children}) == 100


def test_a_history_in_a_file_gives_the_same_search(table, tmp_path):
    lookups = Lookups(table, Signal.FRESH, seed=0, budget=60)
    with History.create(tmp_path / "run", name="bench", config={}, seed=0, dataset="table") as history:
        STAGES.search(lookups, history)
    assert list(lookups.seen.items()) == searched(table, "fairnad", budget=60)
    with History.open(tmp_path / "run") as history:
        assert [child.source for child in history.children()] == [str(cell) for cell in lookups.seen]


def test_repeats_are_allowed_where_they_are_asked_for(table):
    lookups = Lookups(table, Signal.FRESH, seed=0, budget=80)
    with History.in_memory() as history:
        with contextlib.suppress(Spent):
            load("fairnad-repeats", STRATEGIES, what="strategy").search(lookups, history)
        children = history.children()
    accuracies = {}
    for child in children:
        accuracies.setdefault(child.source, set()).add(child.accuracy)
    assert len(accuracies) < len(children)
    assert all(len(found) == 1 for found in accuracies.values())
    assert not any(child.source == children[child.parent].source for child in children if child.parent is not None)


def test_truth_is_that_of_the_cell_of_the_highest_signal(table):
    plan = BenchPlan(("random",), budget=100, num_seeds=2)
    (outcome,) = run_bench(table, plan)
    for seed in range(2):
        seen = searched(table, "random", seed=seed, budget=100)
        for number in (1, 20, 100):
            best = max(seen[:number], key=lambda item: item[1])[0]
            assert outcome.truth[seed, number - 1] == table.entries[best].truth


def test_passing_is_the_first_look_up_of_the_mean_curve():
    early, late = [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]
    assert passing(np.array([early, early]), 0.9).first == 2
    assert passing(np.array([early, late]), 0.9).first == 4
    assert passing(np.array([early, late]), 0.5).first == 2
    never = passing(np.array([early, late]), 1.1)
    assert (never.first, never.low, never.high) == (None, None, None)


def test_the_interval_of_passing_covers_what_seeds_may_bring():
    curves = np.array([[0.0] * number + [1.0] * (40 - number) for number in range(5, 35)])
    found = passing(curves, 0.5)
    assert found.low < found.first < found.high
    assert passing(np.repeat(curves[:1], 30, axis=0), 0.5).low == passing(np.repeat(curves[:1], 30, axis=0), 0.5).high


def test_a_recheck_is_paid_inside_the_budget_and_corrects_a_lucky_pick(table):
    plan = BenchPlan(("random",), budget=300, num_seeds=40, recheck=Recheck(10, 4))
    (outcome,) = run_bench(table, plan)
    assert sorted(outcome.rechecked) == [50, 100, 200, 300]
    seen = searched(table, "random", budget=300)[:60]
    top = {table.entries[cell].truth for cell, _ in sorted(seen, key=lambda item: -item[1])[:10]}
    assert outcome.rechecked[100][0] in top
    # The same 260 cells: the best signal alone, and after ten of them were trained four times more.
    assert outcome.rechecked[300].mean() > outcome.truth[:, 259].mean()


def test_the_table_says_what_it_is_made_of(table):
    plan = bench_plan("random, local-search", budget=60, num_seeds=3, signal="fresh", recheck="10x2")
    text = markdown(table, plan, run_bench(table, plan))
    for told in ("both columns", "test accuracies", "signal fresh", "n = 3", "seeds 0 to 2", "Recheck 10x2"):
        assert told.lower() in text.lower()
    assert "| local-search, recheck 10x2 |" in text
    assert "truth at 50 | truth at 60 |" in text


def test_one_seed_is_labelled_in_the_title(table):
    plan = bench_plan("random", budget=50, num_seeds=1, signal="clean", recheck=None)
    outcomes = run_bench(table, plan)
    assert markdown(table, plan, outcomes).startswith("### ONE SEED, no spread: ")
    assert not any("+-" in text or "[" in text for row in rows(table, plan, outcomes) for text in row)


def test_a_search_that_ends_early_is_labelled(table):
    plan = bench_plan("tests.search.test_bench:lazy", budget=50, num_seeds=3, signal="clean", recheck=None)
    outcomes = run_bench(table, plan)
    assert "a search came to an end after 20 cells" in markdown(table, plan, outcomes)
    assert (outcomes[0].truth[:, 20:] == outcomes[0].truth[:, 19:20]).all()


def lazy(lookups):
    for cell in start_cells(lookups):
        lookups(cell)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"strategies": "fairnat"}, "strategy 'fairnat' is not known: the nearest known is 'fairnad'"),
        ({"strategies": ""}, "strategy '' is not known"),
        ({"signal": "freesh"}, "signal 'freesh' is not known: the nearest known is 'fresh'"),
        ({"recheck": "10"}, "recheck '10': expected NETWORKSxTRAININGS"),
        ({"recheck": "10x0"}, "recheck '10x0'"),
        ({"recheck": "10x2", "signal": "one-seed"}, "one-seed has no second training"),
        ({"budget": 19}, "budget 19: expected at least 20"),
        ({"budget": 730}, "at most 729"),
        ({"num_seeds": 0}, "0 seeds"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(table, settings, match):
    given = {"strategies": "random", "budget": 50, "num_seeds": 3, "signal": "fresh", "recheck": None} | settings
    with pytest.raises(ConfigError, match=match):
        run_bench(table, bench_plan(given.pop("strategies"), **given))


def test_the_command_prints_the_table(path):
    arguments = [
        "bench",
        "nas-bench-201",
        "--table",
        str(path),
        "--budget",
        "40",
        "--seeds",
        "2",
        "--strategies",
        "random",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "ONLY 2 SEEDS: NAS-Bench-201, cifar100, test accuracies, signal fresh, n = 2 seeds" in result.stdout


@pytest.mark.skipif(not cell_tables.REAL.is_file(), reason=f"{cell_tables.REAL} is not there")
def test_on_the_real_table_fairnad_finds_good_cells():
    table = read_table(cell_tables.REAL, "cifar100")
    assert len(table.entries) == 15_625
    (outcome,) = run_bench(table, BenchPlan(("fairnad",), budget=500, num_seeds=1))
    assert outcome.fewest_cells == 500
    assert outcome.truth[0, -1] > 0.97 * table.best
