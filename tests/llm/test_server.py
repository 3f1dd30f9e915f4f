"""Servers as child processes: a small script stands in for vLLM."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError, LLMError
from fairnad.llm.endpoint import check_endpoint
from fairnad.llm.server import ServerProcess, free_port, vllm_command
from tests.llm.endpoint import FakeEndpoint

ROOT = Path(__file__).parents[2]
VLLM = f"""#!{sys.executable}
import os, pathlib, subprocess, sys, threading
sys.path.insert(0, {str(ROOT)!r})
from tests.llm.endpoint import FakeEndpoint
arguments = sys.argv[1:]
engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("arguments:", *arguments, flush=True)
pathlib.Path(__file__).with_name("pids").write_text(str(os.getpid()) + " " + str(engine.pid))
page = dict(json=dict(data=[dict(id=arguments[1], max_model_len=32768)]))
FakeEndpoint(pages={{"/v1/models": page}}, port=int(arguments[arguments.index("--port") + 1]))
threading.Event().wait(600)
"""
SERVE = "from fairnad.commands.serve import serve; serve(model='Qwen/Qwen3-8B', port={port}, context=32768)"


def is_alive(pid):
    """Return whether a process runs; one that ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def are_gone(pids):
    """Return whether these processes end; the system takes a moment to end what was killed."""
    deadline = time.monotonic() + 10
    while any(is_alive(int(pid)) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(autouse=True)
def _logs_are_temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def pids(tmp_path, monkeypatch):
    """Put a stand-in for vLLM on the PATH; return the file where it writes the ids of its two processes."""
    program = tmp_path / "vllm"
    program.write_text(VLLM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path / "pids"


def test_the_command_of_vllm(pids):
    command = vllm_command("Qwen/Qwen3-8B", 8000, tensor_parallel=2, gpu_memory=0.8, extra=["--max-model-len", "99"])
    assert command[0] == str(pids.with_name("vllm"))
    assert " ".join(command[1:]) == (
        "serve Qwen/Qwen3-8B --host 127.0.0.1 --port 8000 --enable-prefix-caching"
        " --tensor-parallel-size 2 --gpu-memory-utilization 0.8 --max-model-len 99"
    )


def test_a_missing_vllm_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match=r"pip install 'fairnad\[vllm\]'"):
        vllm_command("m", 8000)


@pytest.mark.parametrize("model", ["/no/such/folder", "./no-such-folder"])
def test_a_model_that_is_nowhere_is_refused_before_anything_starts(pids, model):
    with pytest.raises(ConfigError, match=f"there is no model at {model}: give its folder, or a name"):
        vllm_command(model, 8000)


def test_a_server_answers_and_is_gone_afterwards_with_all_it_started(pids):
    port = free_port()
    with ServerProcess(vllm_command("Qwen/Qwen3-8B", port), port, start_seconds=60) as server:
        assert server.model == "Qwen/Qwen3-8B"
        facts = check_endpoint(LLMConfig(base_url=server.url), 1000)
        assert (facts.model, facts.context_tokens) == ("Qwen/Qwen3-8B", 32768)
        children = pids.read_text().split()
        assert [is_alive(int(pid)) for pid in children] == [True, True]
    assert are_gone(children)


def test_a_server_that_dies_shows_the_end_of_its_log(tmp_path):
    code = "print('loading'); raise SystemExit('no GPU was found')"
    with (
        pytest.raises(ConfigError, match=r"(?s)ended before it answered; the last it said .*loading.*no GPU was found"),
        ServerProcess([sys.executable, "-u", "-c", code], free_port()),
    ):
        pass


def test_the_cause_is_told_and_not_the_frames_of_those_who_met_it(tmp_path):
    prefix = "(EngineCore pid=7) ERROR 11-22 10:46:12 [core.py:1510]"
    frames = ['  File "core.py", line 1510, in run', "    self.run()", ""] * 20
    log = tmp_path / "log"
    lines = ["Traceback (most recent call last):", *frames, "ValueError: 21.6 of 23.5 GiB are free", "  (of node 0)"]
    log.write_text(
        "\n".join([*(f"{prefix} {line}" for line in lines), "Process EngineCore:", *lines[:-2], "RuntimeError"])
    )
    code = f"import sys; sys.exit(open({str(log)!r}).read())"
    with pytest.raises(ConfigError) as caught, ServerProcess([sys.executable, "-c", code], free_port()):
        pass
    assert str(caught.value).splitlines()[1:] == [
        f"  {prefix} ValueError: 21.6 of 23.5 GiB are free",
        f"  {prefix}   (of node 0)",
        "  Process EngineCore:",
        "  RuntimeError",
    ]


def test_a_server_that_never_answers_is_ended(tmp_path):
    place = tmp_path / "pid"
    code = f"import os, time; open({str(place)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with (
        pytest.raises(LLMError, match="did not answer within 2 s"),
        ServerProcess([sys.executable, "-c", code], free_port(), start_seconds=2),
    ):
        pass
    assert are_gone([place.read_text()])


def test_a_server_that_dies_later_is_told(pids):
    port = free_port()
    with ServerProcess(vllm_command("m", port), port, start_seconds=60) as server:
        os.kill(int(pids.read_text().split()[0]), signal.SIGKILL)
        with pytest.raises(LLMError, match=r"vllm serve m ended; the last it said .*log\):\n  arguments: serve m"):
            server.wait()


def test_a_port_in_use_is_refused_before_anything_starts():
    with (
        FakeEndpoint() as other,
        pytest.raises(ConfigError, match=f"port {other.port} cannot be used"),
        ServerProcess(["never-started"], other.port),
    ):
        pass


def test_a_server_ends_with_the_process_that_started_it_however_that_ends(pids):
    code, pipe = SERVE.format(port=free_port()), subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=pipe, text=True) as command:
        assert command.stdout is not None
        while command.stdout.readline() not in ("", "Ctrl-C ends it.\n"):
            pass
        children = pids.read_text().split()
        assert [is_alive(int(pid)) for pid in children] == [True, True]
        command.kill()
    assert are_gone(children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_the_configuration_and_ends_with_its_server(pids, number):
    port = free_port()
    code, pipe = SERVE.format(port=port), subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as command:
        lines = []
        while not lines or lines[-1] not in ("", "Ctrl-C ends it.\n"):
            lines.append(command.stdout.readline())
        command.send_signal(number)
        assert command.communicate(timeout=60) == ("", "")
    assert command.returncode == 0
    printed = yaml.safe_load("".join(lines[lines.index("llm:\n") : -1]))
    assert printed == {"llm": {"base_url": f"http://127.0.0.1:{port}/v1", "model": "Qwen/Qwen3-8B"}}
    assert "--max-model-len 32768" in lines[0]
    assert are_gone(pids.read_text().split())
