"""CIFAR-100 as a user meets it: no files, then files in their published form, then a search and what follows."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fairnad.sandbox.wire import PrepareJob
from fairnad.training.datasets import prepare
from tests.training.raw_files import PUBLISHED_SPLITS, write_cifar100, write_tiny_splits

pytestmark = pytest.mark.slow

FAIRNAD = Path(sys.executable).with_name("fairnad")
URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
SEARCH = ["search", "--dataset", "cifar100", "--budget", "3", "--data-root", "data", "--run", "small"]
SMALL = [
    *("--set", "recipe.epochs=1", "--set", "recipe.batch_size=64", "--set", "base.width=8", "--set", "base.depth=1"),
    *("--set", "plan.initial=1", "--set", "plan.fair=1", "--set", "plan.pareto=1", "--set", "limits.flops=20000000"),
]

NO_NETWORK = """
import socket

def fail(*arguments, **options):
    raise socket.gaierror(-3, "Temporary failure in name resolution")

socket.getaddrinfo = fail
"""


def fairnad(folder, *arguments, timeout=120):
    """Run the command in `folder`, on a machine without a network and with the packages of `folder`/site first."""
    return subprocess.run(
        [FAIRNAD, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "site"), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def make_folder(place):
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    return place


@pytest.mark.parametrize("has_torchvision", [True, False])
def test_without_files_and_a_network_it_says_what_to_put_where(tmp_path, has_torchvision):
    folder = make_folder(tmp_path)
    if has_torchvision:
        pytest.importorskip("torchvision")
    else:
        (folder / "site" / "torchvision.py").write_text("raise ImportError('not installed')")
    done = fairnad(folder, *SEARCH)
    assert done.returncode == 2, done.stderr
    assert f"download {URL} yourself" in done.stderr
    assert f"put it into {folder}/data/raw as cifar-100-python.tar.gz" in done.stderr
    assert ("cannot be read" if has_torchvision else "fairnad[vision]") in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "runs").exists()
    assert [path for path in (folder / "data").rglob("*") if path.is_file()] == []


def test_without_the_split_file_it_says_where_it_belongs(tmp_path):
    folder = make_folder(tmp_path)
    write_cifar100(folder / "data" / "raw")
    done = fairnad(folder, *SEARCH)
    assert done.returncode == 2, done.stderr
    assert "split file cifar100-test-split.txt: https://raw.githubusercontent.com/" in done.stderr
    assert f"put the file into {folder}/data/splits, or name its folder with --split-dir" in done.stderr
    assert [path.name for path in (folder / "data").iterdir()] == ["raw"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A folder with CIFAR-100 files of the published form, where a small search has been run, and what it said."""
    folder = make_folder(tmp_path_factory.mktemp("cifar"))
    write_cifar100(folder / "data" / "raw", num_train=300, num_test=100)
    split_dir = PUBLISHED_SPLITS
    if not split_dir.is_dir():  # then with tiny ones, which only this process takes for the published ones
        with pytest.MonkeyPatch.context() as patch:
            split_dir = write_tiny_splits(folder / "split-files", patch)
            prepare(PrepareJob(dataset="cifar100", root=str(folder / "data"), split_dir=str(split_dir)), folder)
    done = fairnad(folder, *SEARCH, "--split-dir", split_dir, *SMALL, timeout=280)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_search_goes_from_the_files_to_a_network(searched):
    folder, output = searched
    assert "The best network of runs/small is child" in output
    shown = fairnad(folder, "show", "small").stdout
    assert "3 of 3 children trained on cifar100, seed 0" in shown
    graph = json.loads(fairnad(folder, "lineage", "small", "--format", "json").stdout)
    assert len(graph["nodes"]) == 4


def test_children_saw_the_images_of_the_protocol(searched):
    folder, _ = searched
    (info,) = folder.glob("data/cifar100-*/dataset.json")
    told = json.loads(info.read_text())
    assert (told["num_train"], told["num_val"] + told["num_test"]) == (300, 100 if PUBLISHED_SPLITS.is_dir() else 20)
    for child in range(4):
        job = json.loads((folder / "runs" / "small" / "children" / str(child) / "job.json").read_text())
        assert Path(job["data"]["eval_images"]).name == "val_images.npy"
        assert job["data"]["num_classes"] == 100
        logits = np.fromfile(folder / "runs" / "small" / "children" / str(child) / "logits.bin", "<f4")
        assert logits.size == told["num_val"] * 100


def test_the_pick_is_retrained_for_the_test_split_and_exported(searched):
    folder, _ = searched
    done = fairnad(folder, "retrain", "small", "best", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    assert "test split, last epoch" in done.stdout
    with contextlib.closing(sqlite3.connect(folder / "runs" / "small" / "history.db")) as history:
        rows = history.execute("SELECT split, purpose FROM evaluations ORDER BY id").fetchall()
    assert rows == [("val", "search")] * 4 + [("test", "retrain")]
    done = fairnad(folder, "export", "small", "--out", "best")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "best" / "metrics.json").read_text())["dataset"] == "cifar100"
