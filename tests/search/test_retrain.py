"""The final training of a pick through real child processes: a small search, then `retrain` and what it keeps."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from fairnad.config import load_config
from fairnad.errors import HistoryError
from fairnad.history.store import History
from fairnad.search.replay import replay
from fairnad.search.retrain import retrain
from fairnad.search.run import resume_search, start_search

pytestmark = pytest.mark.slow

FAIRNAD = Path(sys.executable).with_name("fairnad")
SMALL = ("budget=1", "plan.initial=1", "recipe.epochs=1", "recipe.batch_size=256")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished search of one child, and the best one."""
    place = tmp_path_factory.mktemp("retrain")
    folder = place / "runs" / "tiny"
    config = load_config("demo", [*SMALL, f"data_root={place / 'data'}"])
    return folder, start_search(config, folder)


@pytest.fixture(scope="module")
def retrained(run):
    """What the command said, and the records that it left."""
    folder, _ = run
    done = subprocess.run(
        [FAIRNAD, "retrain", "tiny", "best", "--seeds", "3"],
        cwd=folder.parents[1],
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, recorded(folder)


def recorded(folder):
    """Return the final trainings as (child, evaluation)."""
    with History.open(folder) as history:
        return [
            (child.id, one)
            for child in history.children()
            for one in history.evaluations(child.id)
            if one.purpose == "retrain"
        ]


def test_the_history_has_the_best_childs_trainings_on_the_test_split(run, retrained):
    folder, best = run
    _, records = retrained
    assert [(child, one.outcome.split) for child, one in records] == [(best.id, "test")] * 3
    assert len({one.seed for _, one in records} - {best.outcome.seed}) == 3
    with History.open(folder) as history:
        (opened,) = history.events("test_split_opened")
        assert history.child(best.id).outcome == best.outcome
    assert opened.data["child"] == best.id


def test_jobs_and_weights_are_kept_apart_from_the_searchs_own(run, retrained):
    folder, best = run
    for _, one in retrained[1]:
        kept = folder / f"children/{best.id}-test-seed-{one.seed}"
        job = json.loads((kept / "job.json").read_text())
        assert Path(job["data"]["eval_images"]).name == "test_images.npy"
        assert job["seed"] == one.seed
        with safe_open(kept / "weights.safetensors", "numpy") as weights:
            assert any(name.endswith("weight") for name in weights.keys())  # noqa: SIM118 - it is no dict
    job = json.loads((folder / f"children/{best.id}/job.json").read_text())
    assert Path(job["data"]["eval_images"]).name == "val_images.npy"


def test_the_command_tells_mean_and_spread(retrained):
    output, records = retrained
    accuracies = [100 * one.outcome.accuracy for _, one in records]
    told = f"{statistics.mean(accuracies):.2f} +- {statistics.stdev(accuracies):.2f} % (n = 3, seeds "
    assert told in output
    assert len(re.findall(r"child \d+, seed \d+: [\d.]+ % \(test\)", output)) == 3


def test_what_is_recorded_is_not_trained_again(run, retrained):
    folder, best = run
    _, records = retrained
    times = {path: path.stat().st_mtime_ns for path in folder.glob("children/*/logits.bin")}
    again = retrain(folder, best.id, num_seeds=3)
    assert sorted(again.accuracies) == sorted(one.outcome.accuracy for _, one in records)
    assert recorded(folder) == records
    assert {path: path.stat().st_mtime_ns for path in folder.glob("children/*/logits.bin")} == times


def test_another_seed_is_trained_alone(run, retrained):
    folder, best = run
    done = retrain(folder, best.id, num_seeds=4)
    assert len(done.accuracies) == 4
    assert len(recorded(folder)) == 4
    assert done.fvcore_flops > 10**6


def test_a_child_that_is_not_there_is_named(run, retrained):
    folder, _ = run
    with pytest.raises(HistoryError, match="there is no child 99; the history holds 2"):
        retrain(folder, 99, num_seeds=1)
    assert {child for child, _ in recorded(folder)} == {run[1].id}


def test_the_data_may_have_moved_and_a_replay_needs_none(run, retrained):
    folder, _ = run
    made, moved = folder.parents[1] / "data", folder.parents[1] / "moved"
    made.rename(moved)
    assert replay(folder).differences == ()
    assert len(retrain(folder, None, num_seeds=3, data_root=str(moved)).accuracies) == 3
    assert resume_search(folder, data_root=str(moved)) == run[1]
    assert not made.exists(), "neither looked for nor made anew where the configuration has it"
    moved.rename(made)
