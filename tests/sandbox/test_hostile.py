"""Sources that hang, crash, flood, escape or lie: each ends as a failure of its kind, and leaves nothing behind."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from fairnad.records import Failure, Recipe
from fairnad.sandbox.wire import TrainingData, TrainJob, VerifyJob
from fairnad.verification import static

SHARED = Path(__file__).parents[2].parent / "shared" / "cases" / "networks"
SAMPLES = json.loads((SHARED / "manifest.json").read_text())["cases"] if SHARED.exists() else []
JUDGED_BY_CONTROLLER = {"budget", "structure", "integrity"}

# name: (source of the prelude, of forward, how it ends)
HOSTILE = {
    "fork bomb": ("import os\nfor _ in range(5):\n    os.fork()", "pass", {Failure.FORBIDDEN_OPERATION}),
    "thread bomb": (
        "import threading, time\nfor _ in range(20000):\n    threading.Thread(target=time.sleep, args=(60,)).start()",
        "pass",
        {Failure.MEMORY, Failure.IMPORT, Failure.TIMEOUT},
    ),
    "daemon": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\n"
        "    os._exit(0)",
        "pass",
        {Failure.FORBIDDEN_OPERATION},
    ),
    "forged report": (
        "import os\nwith open('report.json', 'w') as file:\n    file.write('{{}}')\nos._exit(0)",
        "pass",
        {Failure.FORBIDDEN_OPERATION},
    ),
    "quiet exit": ("import os\nos._exit(0)", "pass", {Failure.CRASH}),
    "exit": ("", "import sys; sys.exit(0)", {Failure.FORWARD_ERROR}),
    "interrupt": ("raise KeyboardInterrupt", "pass", {Failure.IMPORT}),
    "exception that cannot be shown": (
        "class Odd(BaseException):\n    def __str__(self): raise SystemExit\nraise Odd",
        "pass",
        {Failure.IMPORT},
    ),
    "segmentation fault": (
        "import numpy\nnumpy.lib.stride_tricks.as_strided(numpy.zeros(1), (2,), (1 << 46,))[1]",
        "pass",
        {Failure.CRASH},
    ),
    "abort": ("import os\nos.abort()", "pass", {Failure.CRASH}),
    "endless recursion": ("def f(): f()\nf()", "pass", {Failure.IMPORT}),
    "hang at import": ("while True: pass", "pass", {Failure.TIMEOUT}),
    "hang in C": ("sum(range(10 ** 15))", "pass", {Failure.TIMEOUT}),
    "hang that ignores signals": (
        "import signal, time\nfor number in (2, 15):\n    signal.signal(number, signal.SIG_IGN)\ntime.sleep(60)",
        "pass",
        {Failure.TIMEOUT},
    ),
    "memory in Python": ("x = [bytearray(1 << 26) for _ in range(200)]", "pass", {Failure.MEMORY}),
    "memory in torch": ("", "[torch.empty(1 << 24) for _ in range(200)]", {Failure.MEMORY}),
    "flood": ("while True: print('x' * 1000)", "pass", {Failure.OUTPUT_FLOOD}),
    "flood past the writer": (
        "import os\nfor _ in range(1 << 10):\n    os.write(1, b'x' * (1 << 20))",
        "pass",
        {Failure.OUTPUT_FLOOD},
    ),
    "flood that is caught": (
        "while True:\n    try: print('x' * 1000)\n    except BaseException: pass",
        "pass",
        {Failure.OUTPUT_FLOOD},
    ),
}
HARMLESS = {
    "exit hook": "import atexit, time\natexit.register(time.sleep, 60)",
    "thread that stays": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
    "exit replaced": "import os\nos._exit = lambda status: None",
    "modules replaced": "import sys, types\nsys.modules['json'] = sys.modules['fairnad'] = types.ModuleType('gone')",
    "output closed": "import os, sys\nsys.stdout.close()\nos.close(1)\nos.close(2)",
    "looks around": "import os\nassert not {{'FAIRNAD_TEST_SECRET'}} & os.environ.keys()\nassert len(os.environ) < 40",
}


@pytest.fixture(autouse=True)
def nothing_is_left(request, strays):
    yield
    assert strays() == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_source(verify, network, name):
    prelude, forward, endings = HOSTILE[name]
    timeout_seconds = 1.0 if Failure.TIMEOUT in endings else 60.0
    report = verify(network(prelude, forward=forward), timeout_seconds=timeout_seconds, memory_bytes=2**30)
    assert report.failure in endings, f"{report.failure}: {report.reason}\n{report.details}"
    assert report.reason
    assert verify(network()).failure is None  # the next job is none the worse


@pytest.mark.parametrize("name", HARMLESS)
def test_source_whose_mischief_comes_to_nothing(verify, network, monkeypatch, name):
    monkeypatch.setenv("FAIRNAD_TEST_SECRET", "canary")
    report = verify(network(HARMLESS[name].format()))
    assert report.failure is None, f"{report.reason}\n{report.details}"
    assert report.seconds < 30


def _mark(sample):
    is_long = {"timeout", "memory", "budget"} & set(sample["stage"]) or sample["phase"] == "train"
    return pytest.param(sample, id=Path(sample["file"]).stem, marks=[pytest.mark.slow] if is_long else [])


@pytest.mark.skipif(not SAMPLES, reason="the sample of networks lies beside the checkout only where it is developed")
@pytest.mark.parametrize("sample", [_mark(sample) for sample in SAMPLES])
def test_sample(sandbox, sample, tmp_path):
    """Each sample goes through the static check, and whatever that says, through the sandbox too."""
    marker = _make_decoys(tmp_path / "marker")
    before = _contents(marker)
    source = (SHARED / sample["file"]).read_text().replace("@MARKER@", str(marker))
    objection = static.check(source)
    assert objection is None or objection[0].value in sample["stage"]
    report = _run(sandbox, sample, source, tmp_path)
    assert _contents(marker) == before
    if "refused_only_by" not in sample and not JUDGED_BY_CONTROLLER & set(sample["stage"]):
        ending = "accepted" if report.failure is None else report.failure.value
        assert ending in sample["stage"], f"{report.reason}\n{report.details}"


def _run(sandbox, sample, source, tmp_path):
    can_hang = sample["stage"] == ["timeout"]
    limits = {
        "timeout_seconds": 4.0 if can_hang else 60.0,
        "memory_bytes": 2**30 if "memory" in sample["stage"] else 4 * 2**30,
    }
    # Another number of classes than usual, so that one who ignores it is found out.
    job = VerifyJob(source=source, input_shape=sample["input"], num_classes=7, train_steps=1, batch_size=4)
    report = sandbox.run(job, **limits)
    if sample["phase"] == "train" and report.failure is None:
        return sandbox.run(_train_job(source, tmp_path), **limits)
    return report


def _train_job(source, folder):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    arrays = {"train_images": images, "train_labels": random.integers(0, 7, 64), "eval_images": images}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    data = TrainingData(
        **{name: str(folder / f"{name}.npy") for name in arrays},
        num_classes=7,
        mean=(127.5,) * 3,
        std=(64.0,) * 3,
        flip=True,
        crop_padding=4,
    )
    return TrainJob(source=source, data=data, recipe=Recipe(epochs=8, batch_size=8, lr=0.01), seed=0)


def _make_decoys(folder):
    (folder / "victim_tree").mkdir(parents=True)
    for name in ("victim_delete.txt", "victim_pathlib.txt", "victim_tree/a.txt", "secret.txt", "test_labels.bin"):
        (folder / name).write_text("keep")
    connection = sqlite3.connect(folder / "history.db")
    connection.execute("CREATE TABLE evaluations (id, acc)")
    connection.execute("INSERT INTO evaluations VALUES (1, 0.5)")
    connection.commit()
    connection.close()
    return folder


def _contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
