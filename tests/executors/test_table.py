"""The table of known results: what the file must hold, what a search sees of it, and how it is trained by look-up."""

import random
import statistics

import pytest

from fairnad.architectures.cells import Cell
from fairnad.errors import ConfigError
from fairnad.executors.base import Finished, Started, Training
from fairnad.executors.table import Lookups, Signal, Spent, TableExecutor, read_table
from tests import cell_tables

BEST = Cell(("nor_conv_3x3",) * 6)
CELLS = [Cell((name, *("none",) * 5)) for name in cell_tables.OPERATIONS]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return read_table(cell_tables.write(tmp_path_factory.mktemp("table") / "table.csv"), "cifar100")


def lookups(table, signal=Signal.FRESH, *, seed=0, budget=100):
    return Lookups(table, signal, seed=seed, budget=budget)


def test_a_table_holds_fractions_and_knows_its_operations_and_its_best(table):
    assert len(table.entries) == 729
    assert table.operations == cell_tables.OPERATIONS
    assert table.best == table.entries[BEST].truth == pytest.approx(cell_tables.accuracy(BEST) / 100)


def test_random_cells_are_in_the_table(table):
    rng = random.Random(0)
    drawn = [table.random_cell(rng) for _ in range(50)]
    assert all(cell in table.entries for cell in drawn)
    assert len(set(drawn)) > 40


def refused(tmp_path, match, **table):
    with pytest.raises(ConfigError, match=match):
        read_table(cell_tables.write(tmp_path / "bad.csv", **table), "cifar100")


def test_missing_columns_are_named(tmp_path):
    columns = ("index", "arch", "cifar100_test", "something")
    refused(tmp_path, "no column cifar100_test_one_seed; it has index, arch, cifar100_test, something", columns=columns)


def test_another_data_set_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"no column cifar10_test, .*the nearest known is 'cifar100'"):
        read_table(cell_tables.write(tmp_path / "table.csv"), "cifar10")


def test_a_cell_that_is_not_known_is_named_with_its_line(tmp_path):
    rows = cell_tables.lines()
    rows[4][1] = rows[4][1].replace("none", "nor_conv_7x7")
    refused(tmp_path, "line 6: cell .*'nor_conv_7x7' is not known: the nearest known is 'nor_conv", rows=rows)


def test_a_missing_cell_is_named(tmp_path):
    rows = cell_tables.lines()
    gone = rows.pop(100)[1]
    refused(tmp_path, "1 are missing, such as ", rows=rows)
    with pytest.raises(ConfigError) as error:
        read_table(tmp_path / "bad.csv", "cifar100")
    assert gone in str(error.value)


def test_a_cell_that_is_there_twice_is_refused(tmp_path):
    refused(tmp_path, "line 731: .* is there twice", rows=[*cell_tables.lines(), cell_tables.lines()[0]])


@pytest.mark.parametrize("text", ["", "high", "nan", "-1", "123.4"])
def test_an_accuracy_must_be_a_percentage(tmp_path, text):
    rows = cell_tables.lines()
    rows[0][3] = text
    refused(tmp_path, f"line 2: cifar100_test_one_seed is '{text}', expected an accuracy in percent", rows=rows)


def test_a_short_line_is_refused(tmp_path):
    refused(tmp_path, "line 3: cifar100_test is None", rows=[cell_tables.lines()[0], cell_tables.lines()[1][:2]])


def test_an_empty_table_is_refused(tmp_path):
    refused(tmp_path, "0 cells", rows=[])


def test_a_file_that_is_not_there_or_is_no_text_is_refused(tmp_path):
    with pytest.raises(ConfigError) as refusal:
        read_table(tmp_path / "none.csv", "cifar100")
    told = str(refusal.value)
    assert told.startswith(f"table {tmp_path / 'none.csv'} cannot be read: No such file or directory; expected a CSV")
    assert "the columns arch, cifar100_test, cifar100_test_one_seed and a line for each of the 15,625 cells" in told
    assert "benchmarks/README.md" in told
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_table(tmp_path / "bytes.csv", "cifar100")


def test_clean_and_one_seed_are_the_columns_of_the_file(table):
    clean, one_seed = lookups(table, Signal.CLEAN), lookups(table, Signal.ONE_SEED, seed=5)
    for cell in CELLS:
        assert clean(cell) == table.entries[cell].truth
        assert one_seed(cell) == table.entries[cell].one_seed


def test_fresh_noise_is_one_for_each_search_seed_and_has_the_spread_of_a_training(table):
    assert [lookups(table, seed=1)(cell) for cell in CELLS] == [lookups(table, seed=1)(cell) for cell in CELLS]
    noise = [lookups(table, seed=seed)(BEST) - table.entries[BEST].truth for seed in range(2000)]
    assert statistics.mean(noise) == pytest.approx(0, abs=4 * 0.0046 / 2000**0.5)
    assert statistics.stdev(noise) == pytest.approx(0.0046, rel=0.1)


def test_another_training_of_the_same_search_has_other_luck(table):
    asked = lookups(table)
    assert asked.train(BEST, 0) == asked(BEST)
    assert len({asked.train(BEST, repeat) for repeat in range(4)}) == 4


def test_noise_that_is_not_known_is_refused(tmp_path):
    columns = ("index", "arch", "imagenet_test", "imagenet_test_one_seed")
    other = read_table(cell_tables.write(tmp_path / "table.csv", columns=columns), "imagenet")
    assert lookups(other, Signal.CLEAN)(BEST) == other.best
    with pytest.raises(ConfigError, match="noise of 'imagenet' is not known"):
        lookups(other)


def test_repeats_are_free_and_the_budget_counts_different_cells(table):
    asked = lookups(table, budget=2)
    first = asked(CELLS[0])
    asked(CELLS[1])
    assert asked(CELLS[0]) == first
    with pytest.raises(Spent):
        asked(CELLS[2])
    assert list(asked.seen) == CELLS[:2]


def test_a_search_that_only_repeats_itself_is_ended(table):
    asked = lookups(table, budget=3)
    answers = [asked(BEST) for _ in range(150)]
    assert set(answers) == {asked.seen[BEST]}
    with pytest.raises(Spent):
        asked(BEST)


def test_the_executor_answers_in_the_order_of_submission(table):
    asked = lookups(table)
    executor = TableExecutor(asked)
    trainings = [Training(number, str(cell), seed=0, predicted_seconds=0) for number, cell in enumerate(CELLS)]
    for training in trainings:
        executor.submit(training)
    messages = executor.messages(timeout_seconds=None)
    assert [(type(one), one.training) for one in messages] == [
        (kind, training) for training in trainings for kind in (Started, Finished)
    ]
    outcomes = [message.outcome for message in messages if isinstance(message, Finished)]
    assert [one.accuracy for one in outcomes] == [asked(cell) for cell in CELLS]
    assert {one.split for one in outcomes} == {"test"}
    assert executor.messages(timeout_seconds=0) == ()
