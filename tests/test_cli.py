"""The commands as a user types them: a whole small search, looks at it, and what is said to wrong input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fairnad.architectures.bases import base_source

ROOT = Path(__file__).resolve().parents[1]
FAIRNAD = Path(sys.executable).with_name("fairnad")
SMALL = ["--set", "recipe.epochs=1", "--set", "plan.initial=2", "--set", "plan.fair=1", "--set", "plan.pareto=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder in which a small search has been run as run `small`, in a process that told its modules."""
    place = tmp_path_factory.mktemp("cli")
    arguments = ["search", "--config", "demo", "--budget", "5", "--run", "small", *SMALL]
    code = "import sys; from fairnad.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=place,
        env=environment(place),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    (place / "output.txt").write_text(done.stdout)
    return place


def environment(place):
    return {**os.environ, "FAIRNAD_DATA": str(place / "data"), "COLUMNS": "100", "SECRET_API_KEY": "canary-3141"}


def fairnad(folder, *arguments, timeout=120):
    return subprocess.run(
        [FAIRNAD, *map(str, arguments)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.slow
def test_a_search_says_what_it_found_and_never_imports_torch(folder):
    output = (folder / "output.txt").read_text()
    assert "The best network of runs/small is child" in output
    modules = output.splitlines()[-1].split()
    assert "fairnad.search.loop" in modules
    assert not {"torch", "sklearn", "torchvision"} & set(modules)


@pytest.mark.slow
def test_a_run_folder_holds_what_the_readme_says(folder):
    run = folder / "runs" / "small"
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {event["run"] for event in events} == {"small"}
    assert any("accepted" in event["event"] for event in events)
    assert {path.name for path in (run / "children" / "0").iterdir()} >= {"job.json", "report.json", "logits.bin"}
    assert "recipe:" in (run / "config.yaml").read_text()


@pytest.mark.slow
def test_no_secret_of_the_environment_is_anywhere_in_the_run(folder):
    for path in (folder / "runs").rglob("*"):
        assert not path.is_file() or b"canary-3141" not in path.read_bytes(), path


@pytest.mark.slow
def test_show_tells_the_leaderboard_and_where_time_went(folder):
    shown = fairnad(folder, "show", "latest").stdout
    assert "5 of 5 children trained on cluttered-digits, seed 0" in shown
    assert re.search(r"slot time .* training [\d.]+ %, barrier of the stages [\d.]+ %", shown.replace("\n", " "))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format_", "expected"), [("tree", "%"), ("dot", "digraph"), ("graphml", "<graphml"), ("json", '"nodes"')]
)
def test_lineage_in_every_format(folder, format_, expected):
    done = fairnad(folder, "lineage", "small", "--format", format_)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


@pytest.mark.slow
def test_an_exported_network_runs_with_torch_alone(folder):
    done = fairnad(folder, "export", "latest", "--out", "best")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((folder / "best" / "metrics.json").read_text())
    run = subprocess.run(
        [sys.executable, folder / "best" / "model.py"], capture_output=True, text=True, timeout=120, check=True
    )
    assert str(metrics["params"]) in run.stdout.replace(",", "")
    again = fairnad(folder, "export", "latest", "--out", "best")
    assert again.returncode == 2
    assert "best" in again.stderr


@pytest.mark.slow
def test_resuming_a_finished_search_changes_nothing(folder):
    before = fairnad(folder, "lineage", "small", "--format", "json").stdout
    done = fairnad(folder, "resume", "small")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "small is already finished")
    assert fairnad(folder, "lineage", "small", "--format", "json").stdout == before


@pytest.mark.slow
def test_verify_judges_any_file(tmp_path):
    good, same, bad = tmp_path / "good.py", tmp_path / "same.py", tmp_path / "bad.py"
    good.write_text(base_source("resnet", width=8, depth=1))
    same.write_text("# other words\n" + good.read_text().replace("ResidualBlock", "Block"))
    bad.write_text("import os\n")
    done = fairnad(tmp_path, "verify", good, "--input", "3x16x16", "--json")
    row = json.loads(done.stdout)
    assert (done.returncode, row["verdict"], row["stage"], row["params"]) == (0, "accept", None, 43186)
    done = fairnad(tmp_path, "verify", same, bad, "--input", "3x16x16", "--parent", good, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3
    assert [(row["verdict"], row["stage"]) for row in rows] == [
        ("reject", "structure"),
        ("reject", "forbidden_operation"),
    ]
    assert rows[0]["graph_hash"] == row["graph_hash"]


@pytest.mark.slow
def test_verify_takes_the_limits_of_a_data_set(tmp_path):
    (tmp_path / "large.py").write_text(base_source("resnet", width=16, depth=5))
    done = fairnad(tmp_path, "verify", "large.py", "--dataset", "cluttered-digits", "--json")
    row = json.loads(done.stdout)
    assert (done.returncode, row["stage"]) == (3, "budget")
    assert "over the limit of 112,000" in row["reason"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search", "--dataset", "cluttered-digit"], "the nearest known is 'cluttered-digits'"),
        (["search", "--config", "demo", "--set", "plan.fare=3"], "the nearest known is 'plan.fair'"),
        (["search", "--config", "demo", "--budget", "0"], "budget: input should be greater than 0"),
        (["search", "--config", "demo", "--base", "missing.py"], "missing.py cannot be read"),
        (["search", "--config", "demo", "--base", "resnat"], "'resnet'"),
        (["search", "--config", "demo", "--set", "limits.params=40000"], "params 43,186 are over the limit of 40,000"),
        (["search", "--config", "demo", "--device", "cuda:9"], "take --device cpu"),
        (["resume", "nothing"], "nothing is no run folder"),
        (["show", "latest"], "no run in ./runs yet"),
        (["verify", "missing.py"], "missing.py cannot be read"),
        (["verify", "missing.py", "--input", "32x32"], "expected CxHxW"),
    ],
)
def test_wrong_input_is_one_clear_line_and_nothing_is_written(tmp_path, arguments, told):
    done = fairnad(tmp_path, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("base", "file"), [("mine.py", "mine.py"), ("exported", "exported/model.py")])
def test_a_base_that_does_not_run_is_refused_with_its_error(tmp_path, base, file):
    (tmp_path / "exported").mkdir()
    (tmp_path / file).write_text(base_source("resnet", width=8, depth=1).replace("self.fc(", "self.fcc("))
    done = fairnad(tmp_path, "search", "--config", "demo", "--base", base)
    assert done.returncode == 2
    assert f"the base ({Path(file).name}) does not verify: forward_error" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_base_by_name_is_taken_where_the_configuration_names_a_file(tmp_path):
    (tmp_path / "own.yaml").write_text("dataset: cluttered-digits\nbase:\n  file: mine.py\n")
    done = fairnad(tmp_path, "search", "--config", "own.yaml", "--base", "resnat", "--budget", "1")
    assert (done.returncode, "the nearest known is 'resnet'" in done.stderr) == (2, True), done.stderr


def test_a_run_name_that_is_taken_is_refused(tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "notes.txt").write_text("precious")
    done = fairnad(tmp_path, "search", "--config", "demo", "--run", "mine")
    assert (done.returncode, "exists and is not empty" in done.stderr) == (2, True)


def test_every_command_is_in_the_readme():
    helped = subprocess.run([FAIRNAD, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    commands = set(re.findall(r"^│ ([a-z][a-z-]*)  ", helped, flags=re.MULTILINE))
    readme = (ROOT / "README.md").read_text()
    assert commands >= {"search", "resume", "show", "lineage", "export", "verify"}
    assert not [command for command in commands if f"fairnad {command}" not in readme]


def test_the_readme_opens_with_the_two_commands():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    assert readme.index("make demo") < readme.index("make test") < 300
    assert "demo:" in makefile
    assert "test:" in makefile
