from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from fairnad.cli import app
from fairnad.errors import ConfigError, HistoryError
from fairnad.history import History
from fairnad.history.export import export
from fairnad.records import DatasetInfo, Failed, Failure, Limits
from tests.history.samples import CREATE, accepted, base_slot, child_slot, idea, trained

DATASET = DatasetInfo("tiny", 5, (3, 8, 8), 10, 10, 10, (0.0,), (1.0,), False, 0, "", "")
OPTIONS = {"dataset": DATASET, "limits": Limits(params=1000), "fvcore_flops": 321}
SOURCE = '''"""A small network."""

from __future__ import annotations

import torch
from torch import nn

images = 2.0


class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, bias=False)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.head(images * self.stem(x).mean((2, 3)))
'''
PARAMS, FLOPS = 4 * 27 + 4 * 5 + 5, 36 * 4 * 27 + 4 * 5


@pytest.fixture
def run(tmp_path):
    """A run under way: the base and two children, the second one trained twice; open for writing."""
    named = {**CREATE, "name": "demo"}
    with History.create(tmp_path / "run", **named) as history:
        history.record_slot(base_slot())
        history.record_slot(child_slot(1))
        drafts = (accepted("2", of=idea(main="pooling\nimport os"), params=PARAMS, flops=FLOPS + 9, source=SOURCE),)
        history.record_slot(replace(child_slot(2, parent=1), drafts=drafts, chosen=0))
        for child_id, accuracy in ((0, 0.5), (1, 0.6), (2, 0.7)):
            history.record_outcome(child_id, trained(accuracy))
        history.record_outcome(2, replace(trained(0.65), split="test"), purpose="retrain")
        history.record_outcome(2, Failed(Failure.CRASH, "mend it"), purpose="retrain", seed=4)
        yield history


def run_model(folder):
    command = [sys.executable, "-W", "error", "model.py"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_the_exported_model_runs_alone(run, tmp_path):
    shapes = {"stem.weight": (4, 3, 3, 3), "head.weight": (5, 4), "head.bias": (5,)}
    folder = tmp_path / "run" / "children" / "2"
    folder.mkdir(parents=True)
    save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, folder / "weights.safetensors")
    files = export(tmp_path / "run", run.child(2), tmp_path / "out", **OPTIONS)
    assert [file.name for file in files] == ["model.py", "metrics.json", "weights.safetensors"]
    assert files[2].read_bytes() == (folder / "weights.safetensors").read_bytes()
    assert json.loads(files[1].read_text())["weights_of"]["purpose"] == "search"
    text = files[0].read_text()
    assert text.startswith(
        "# FairNAD run 'demo', child 2, for tiny.\n"
        "# Lineage: 0 (base) -> 1 (I, attention) -> 2 (I, pooling import os)\n\n" + SOURCE
    )
    assert run_model(tmp_path / "out") == [
        "weights  weights.safetensors",
        "input    (1, 3, 8, 8)",
        "output   (1, 5)",
        f"params   {PARAMS}",
        f"FLOPs    {FLOPS + 9} by the search: multiply-accumulates, elements of normalisation and pooling",
    ]


def test_an_exported_file_is_a_network_to_verify_and_to_begin_with(run, tmp_path):
    layers = "        self.middle = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1))\n"
    deep = SOURCE.replace("        self.head", f"{layers}        self.head").replace(
        "images * self.stem(x)", "self.middle(self.stem(x))"
    )
    base = replace(base_slot(), drafts=(accepted("7", source=deep),))
    with History.create(tmp_path / "first", **CREATE) as history:
        history.record_slot(base)
        (exported, _) = export(tmp_path / "first", history.child(0), tmp_path / "once", **OPTIONS)
    done = CliRunner().invoke(app, ["verify", str(exported), "--input", "3x8x8", "--num-classes", "5"])
    assert done.exit_code == 0, done.output
    lines = run_model(tmp_path / "once")
    assert lines[0].startswith("weights  not loaded: ")
    with History.create(tmp_path / "second", **CREATE) as history:
        history.record_slot(replace(base, drafts=(accepted("8", source=exported.read_text()),)))
        export(tmp_path / "second", history.child(0), tmp_path / "twice", **OPTIONS)
    assert run_model(tmp_path / "twice") == [line.replace("once", "twice") for line in lines], "one report, not two"


def test_the_weights_are_those_of_a_final_training(run, tmp_path):
    for name in ("2", "2-test-seed-8", "2-test-seed-9"):
        (tmp_path / "run" / "children" / name).mkdir(parents=True)
        (tmp_path / "run" / "children" / name / "weights.safetensors").write_text(name)
    for seed in (9, 8):
        final, path = replace(trained(0.6, seed=seed), split="test"), f"children/2-test-seed-{seed}/weights.safetensors"
        run.record_outcome(2, final, purpose="retrain", weights=path)
    files = export(tmp_path / "run", run.child(2), tmp_path / "out", **OPTIONS)
    assert files[2].read_text() == "2-test-seed-8"
    training = json.loads(files[1].read_text())["weights_of"]
    assert (training["purpose"], training["seed"], training["accuracy"]) == ("retrain", 8, 0.6)


def test_metrics_say_where_every_number_comes_from(run, tmp_path):
    files = export(tmp_path / "run", run.child(2), tmp_path / "out", **OPTIONS)
    assert [file.name for file in files] == ["model.py", "metrics.json"], "nobody stored weights"
    metrics = json.loads(files[1].read_text())
    known = {"epochs": 2, "seconds": 10.0}
    assert metrics["evaluations"] == [
        {"purpose": "search", "seed": 3, "split": "val", "accuracy": 0.7, **known},
        {"purpose": "retrain", "seed": 3, "split": "test", "accuracy": 0.65, **known},
        {"purpose": "retrain", "seed": 4, "failure": "crash", "reason": "mend it"},
    ]
    assert (metrics["params"], metrics["flops"], metrics["fvcore_flops"]) == (PARAMS, FLOPS + 9, 321)
    assert metrics["limits"] == {"params": 1000, "flops": None}
    assert [(step["child"], step["idea"], step["accuracy"]) for step in metrics["lineage"]] == [
        *((0, None, 0.5), (1, "Try idea attention.", 0.6), (2, "Try squeeze.", 0.7))
    ]
    assert (metrics["dataset"], metrics["run"], metrics["num_classes"]) == ("tiny", "demo", 5)
    assert metrics["versions"].keys() == {"fairnad", "python", "torch"}


def test_a_folder_that_cannot_be_used_is_refused(run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty; export to a new folder"):
        export(tmp_path / "run", run.child(2), tmp_path / "full", **OPTIONS)
    with pytest.raises(ConfigError, match="export to a folder that can be written"):
        export(tmp_path / "run", run.child(2), tmp_path / "full" / "mine.txt", **OPTIONS)
    with pytest.raises(HistoryError, match="no run in"):
        export(tmp_path / "full", run.child(2), tmp_path / "out", **OPTIONS)
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]
