"""`fairnad compare` as a user types it: a whole small job, the same table from its folder, and wrong input."""

import pytest
import typer
from typer.testing import CliRunner

from fairnad.commands.compare import compare
from fairnad.errors import ConfigError, HistoryError
from tests import fake_runs

app = typer.Typer()
app.command()(compare)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.mark.slow
def test_a_whole_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("--strategies", "widen", "--budget", 1, "--seeds", 1, "--final-trainings", 1)
    done = run(*arguments, "--set", "recipe.epochs=1", "--run", "job")
    assert done.exit_code == 0, done.output
    assert "ONE SEED, no spread: cluttered-digits, budget 1" in done.stdout
    stored = run("--from", "runs/job", "--out", "again")
    assert stored.exit_code == 0, stored.output
    for name in ("table.md", "page.html"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "runs" / "job" / name).read_bytes()
    table = (tmp_path / "again" / "table.md").read_text()
    assert table in stored.stdout
    assert "| widen | 0.110 M |" in table


def test_the_table_of_stored_runs(tmp_path):
    fake_runs.job(tmp_path / "job", strategies="base,widen", num_seeds=3, budget=2)
    done = run("--from", tmp_path / "job", "--out", tmp_path / "out", "--reference", "widen")
    assert done.exit_code == 0, done.output
    assert "test minus widen, paired [95 %]" in done.stdout
    assert done.stdout.split()[-2:] == [str(tmp_path / "out" / "table.md"), str(tmp_path / "out" / "page.html")]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (["--strategies", "bass"], ConfigError, "strategy 'bass' is not known: the nearest known is 'base'"),
        (["--recheck", "10"], ConfigError, "expected NETWORKSxTRAININGS"),
        (["--recheck", "20x2"], ConfigError, "leaves no child of a budget of 28"),
        (["--config", "demmo"], ConfigError, "'demmo' is not known"),
        (["--from", "nowhere"], HistoryError, "nowhere is no run and holds none"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(arguments, error, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert isinstance(done.exception, error)
    assert match in str(done.exception)
    assert not list(tmp_path.iterdir())
