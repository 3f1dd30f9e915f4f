import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fairnad.errors import SandboxError
from fairnad.records import Failure, Recipe
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import (
    MeasureJob,
    MeasureReport,
    PrepareJob,
    PrepareReport,
    TrainingData,
    TrainJob,
    TrainReport,
    VerifyJob,
    VerifyReport,
)

HANG = "while True:\n    pass"


def _wait_until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_job_gives_its_report_and_keeps_its_folder(verify, network, tmp_path):
    folder = tmp_path / "new" / "job"
    report = verify(network(forward="print('shape', tuple(h.shape))"), folder=folder)
    assert isinstance(report, VerifyReport)
    assert report.failure is None, report.reason
    assert report.costs is not None
    assert report.costs.params == 8 * 27 + 8 + 80 + 10
    assert report.seconds > 0
    assert VerifyReport.model_validate_json((folder / "report.json").read_bytes()) == report
    assert "shape (1, 8, 8, 8)" in (folder / "output.txt").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "output.txt", "report.json"]


def test_reports_have_the_type_of_their_job(sandbox, network, tmp_path):
    sources = (network(), "no python", network(init="self.more = nn.Linear(2, 2)"))
    measured = sandbox.run(MeasureJob(sources=sources, input_shape=(3, 8, 8), num_classes=10), timeout_seconds=60)
    assert isinstance(measured, MeasureReport)
    assert [costs and costs.params for costs in measured.costs] == [314, None, 320]
    prepared = sandbox.run(PrepareJob(dataset="no-such-set", root=str(tmp_path)), timeout_seconds=60)
    assert isinstance(prepared, PrepareReport)
    assert prepared.failure is Failure.CRASH
    assert "'no-such-set' is unknown" in prepared.reason


@pytest.fixture
def train_job(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", random.integers(0, 256, (20, 3, 8, 8), dtype=np.uint8))
    np.save(tmp_path / "labels.npy", random.integers(0, 3, 20))
    images, labels = str(tmp_path / "images.npy"), str(tmp_path / "labels.npy")
    look = {"num_classes": 3, "mean": (127.5,) * 3, "std": (64.0,) * 3, "flip": True, "crop_padding": 1}
    data = TrainingData(train_images=images, train_labels=labels, eval_images=images, **look)

    recipe = Recipe(epochs=2, batch_size=8, lr=0.01)
    return lambda source, threads=1: TrainJob(source=source, data=data, recipe=recipe, seed=1, threads=threads)


@pytest.fixture
def train(sandbox, train_job, tmp_path):
    def run(source, *, timeout_seconds=60, **options):
        return sandbox.run(train_job(source, **options), folder=tmp_path / "job", timeout_seconds=timeout_seconds)

    return run


def test_the_guard_lets_fvcore_count(sandbox, network):
    job = MeasureJob(sources=(network(),), input_shape=(3, 8, 8), num_classes=10, with_fvcore=True)
    report = sandbox.run(job, timeout_seconds=60)
    assert report.fvcore_flops == (report.costs[0].flops,)


def test_a_training_leaves_its_results_in_its_folder(train, network, tmp_path):
    report = train(network(), threads=2)
    assert isinstance(report, TrainReport)
    assert report.failure is None, f"{report.reason}\n{report.details}"
    assert len(report.losses) == 2
    assert np.fromfile(tmp_path / "job" / "logits.bin", np.float32).shape == (20 * 3,)
    assert (tmp_path / "job" / "weights.safetensors").stat().st_size > 4 * (8 * 27 + 8 + 24 + 3)


BACKWARD = """
class Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()
    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("odd gradient")
h = Broken.apply(h)
"""


@pytest.mark.parametrize(
    ("code", "failure", "message"),
    [
        ({"prelude": "a ="}, Failure.SYNTAX, "invalid syntax"),
        ({"prelude": "raise ValueError('odd module')"}, Failure.IMPORT, "odd module"),
        ({"init": "raise ValueError('odd layer')"}, Failure.INIT_ERROR, "odd layer"),
        ({"forward": "raise ValueError('odd image')"}, Failure.FORWARD_ERROR, "odd image"),
        ({"forward": BACKWARD}, Failure.BACKWARD_ERROR, "odd gradient"),
        ({"forward": "h = h.repeat(1, 10 ** 7, 1, 1)"}, Failure.MEMORY, "memory"),
        ({"forward": "open('logits.bin', 'w'); open('logits.txt', 'w')"}, Failure.FORBIDDEN_OPERATION, "logits.txt"),
        ({"forward": "open(job, 'r')", "prelude": "job = '/etc/passwd'"}, Failure.FORBIDDEN_OPERATION, "passwd"),
    ],
)
def test_a_training_fails_by_its_stage(train, network, code, failure, message):
    report = train(network(**code))
    assert report.failure is failure, f"{report.reason}\n{report.details}"
    assert message in report.reason
    assert report.details


def test_an_old_report_is_never_taken_for_a_new_one(verify, network, tmp_path):
    assert verify(network(), folder=tmp_path).failure is None
    assert verify(network(HANG), folder=tmp_path, timeout_seconds=0.3).failure is Failure.TIMEOUT
    assert not (tmp_path / "report.json").exists()


def test_a_hanging_job_ends_at_its_time_limit(verify, network, strays):
    report = verify(network(forward="while True: pass"), timeout_seconds=0.5)
    assert report.failure is Failure.TIMEOUT
    assert "0.5 seconds" in report.reason
    assert 0.5 <= report.seconds < 5
    assert strays() == []


@pytest.mark.parametrize(
    ("code", "told"),
    [("while True: pass", "processor time"), ("import time; time.sleep(60)", "not done after 10")],
)
def test_a_training_is_limited_in_processor_time_and_may_wait_for_others(train, network, code, told):
    report = train(network(forward=code), timeout_seconds=1)
    assert report.failure is Failure.TIMEOUT
    assert told in report.reason


def test_jobs_of_several_threads_run_at_once(verify, network):
    sources = [network(), network(HANG), network("raise ValueError"), network(HANG), network()]
    with ThreadPoolExecutor(len(sources)) as pool:
        ended = list(pool.map(lambda source: (verify(source, timeout_seconds=3), time.monotonic()), sources))
    failures = [report.failure for report, _ in ended]
    assert failures == [None, Failure.TIMEOUT, Failure.IMPORT, Failure.TIMEOUT, None]
    assert abs(ended[1][1] - ended[3][1]) < 3, "one after the other, each takes three seconds of its own"


def test_a_thread_that_ends_does_not_take_the_zygote_along(verify, network, zygotes):
    before = zygotes()
    thread = threading.Thread(target=verify, args=(network(),))
    thread.start()
    thread.join()
    assert verify(network()).failure is None
    assert zygotes() == before


@pytest.mark.slow
def test_a_dead_zygote_is_replaced_and_the_job_repeated(network, zygotes, strays):
    job = VerifyJob(source=network(HANG), input_shape=(3, 8, 8), num_classes=2)
    others = zygotes()
    with Sandbox() as sandbox, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(sandbox.run, job, timeout_seconds=60)
        for _ in range(2):
            _wait_until(strays)
            (zygote,) = set(zygotes()) - set(others)
            os.kill(zygote, signal.SIGKILL)
            _wait_until(lambda dead=zygote: dead not in zygotes())
        with pytest.raises(SandboxError, match="died twice"):
            ending.result()
        _wait_until(lambda: strays() == [])


def test_a_training_gives_way_to_others_as_a_process_and_as_a_session(train_job, network, strays):
    expected = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    with ThreadPoolExecutor(1) as pool:
        with Sandbox() as sandbox:
            ending = pool.submit(sandbox.run, train_job(network(HANG)), timeout_seconds=60)
            _wait_until(lambda: any(os.getpriority(os.PRIO_PROCESS, process) == expected for process in strays()))
            groups = [path for process in strays() if (path := Path(f"/proc/{process}/autogroup")).exists()]
            _wait_until(lambda: all(group.read_text().endswith("nice 10\n") for group in groups))
        with pytest.raises(SandboxError, match="closed"):
            ending.result()


def test_close_ends_jobs_under_way(network, strays):
    job = VerifyJob(source=network(HANG), input_shape=(3, 8, 8), num_classes=2)
    with ThreadPoolExecutor(1) as pool:
        with Sandbox() as sandbox:
            ending = pool.submit(sandbox.run, job, timeout_seconds=60)
            _wait_until(strays)
        with pytest.raises(SandboxError, match="closed"):
            ending.result()
    assert strays() == []
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run(job, timeout_seconds=1)
    sandbox.close()


def test_a_python_that_cannot_run_the_zygote_is_an_error(network, tmp_path):
    job = VerifyJob(source=network(), input_shape=(3, 8, 8), num_classes=2)
    with Sandbox(python="/bin/false") as sandbox, pytest.raises(SandboxError, match="died twice"):
        sandbox.run(job, timeout_seconds=1)
    with Sandbox(python=str(tmp_path / "none")) as sandbox, pytest.raises(SandboxError, match="cannot be started"):
        sandbox.start()


def test_the_start_does_not_wait_for_the_warming():
    with Sandbox() as sandbox:
        began = time.monotonic()
        sandbox.start()
        assert time.monotonic() - began < 1.0


@pytest.mark.slow
def test_nothing_is_left_of_a_trusted_job_either(tmp_path, monkeypatch, strays):
    """Preparation runs unguarded; the daemon that it leaves behind shows the layer below the guard."""
    (tmp_path / "leaving_maker.py").write_text(
        textwrap.dedent("""
        import os, time
        from pathlib import Path

        daemon = Path(__file__).with_name("daemon")
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                daemon.write_text(str(os.getpid()))
                time.sleep(60)
            os._exit(0)
        while not daemon.exists() or not daemon.read_text():
            time.sleep(0.01)
        raise ImportError("made nothing")
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    with Sandbox() as sandbox:
        job = PrepareJob(dataset="leaving_maker:make", root=str(tmp_path / "data"))
        report = sandbox.run(job, timeout_seconds=60)
        assert "made nothing" in report.reason
        assert not Path("/proc", (tmp_path / "daemon").read_text()).exists()
        assert strays() == []


CONTROLLER = """
import json, sys
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import VerifyJob

with Sandbox() as sandbox:
    for source, seconds in json.load(sys.stdin):
        job = VerifyJob(source=source, input_shape=(3, 8, 8), num_classes=2)
        report = sandbox.run(job, timeout_seconds=seconds)
        print(report.failure, "torch" in sys.modules, flush=True)
"""


def _start_controller(jobs, **environment):
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(jobs))
    process.stdin.close()
    return process


@pytest.mark.slow
def test_the_controller_has_no_torch_and_its_secrets_stay_with_it(network, tmp_path):
    """The child looks for the canary in its environment and in that of its ancestors."""
    look = "import os\nassert 'canary' not in str(os.environ)"
    peek = "import os\nprint(open(f'/proc/{os.getppid()}/environ').read())"
    with _start_controller([(network(look), 60), (network(peek), 60)], FAIRNAD_API_KEY="canary") as process:
        assert process.stdout is not None
        lines = process.stdout.read().split("\n")
    assert lines[:2] == ["None False", "Failure.FORBIDDEN_OPERATION False"]
    assert process.returncode == 0


@pytest.mark.slow
def test_children_die_with_a_controller_that_is_killed(network, tmp_path):
    """The descendants share the environment of the zygote, in which the language is a mark of this test."""
    mark = f"LC_MARK={tmp_path.name}".encode()

    def marked():
        return [path for path in Path("/proc").glob("[0-9]*/environ") if _holds(path, mark)]

    with _start_controller([(network(), 60), (network(HANG), 60)], LC_MARK=tmp_path.name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "None False\n"
        _wait_until(lambda: len(marked()) == 3)  # controller, zygote, child
        process.kill()
    _wait_until(lambda: marked() == [], seconds=5)


def _holds(path, mark):
    try:
        return mark in path.read_bytes()
    except OSError:
        return False
