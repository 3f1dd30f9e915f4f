import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairnad.config import ExecutorConfig
from fairnad.errors import ConfigError
from fairnad.executors.devices import Device, discover, find_gpus, places

FOUR = tuple(Device(f"A100 {index}", index, 40 * 2**30) for index in range(4))


def found(config, gpus):
    return discover(config, gpus=lambda: gpus)


def test_every_gpu_is_taken_and_else_the_cpu():
    assert found(ExecutorConfig(), FOUR) == FOUR
    assert found(ExecutorConfig(), ()) == (Device("cpu"),)


def test_devices_can_be_named():
    assert found(ExecutorConfig(device="cpu"), FOUR) == (Device("cpu"),)
    assert found(ExecutorConfig(device="cuda:2,0"), FOUR) == (FOUR[2], FOUR[0])
    assert found(ExecutorConfig(device="cuda"), FOUR) == FOUR


@pytest.mark.parametrize(
    ("device", "gpus", "told"),
    [
        ("cuda", (), "no NVIDIA driver or no visible GPU here; take --device cpu"),
        ("cuda:7", FOUR, r"there is no GPU 7 here; there are cuda:0 \(A100 0\)"),
        ("gpu", FOUR, "expected auto, cpu, cuda, or cuda:0,1"),
        ("cuda:x", FOUR, "expected auto, cpu, cuda, or cuda:0,1"),
    ],
)
def test_a_device_that_is_not_there_is_named(device, gpus, told):
    with pytest.raises(ConfigError, match=told):
        found(ExecutorConfig(device=device), gpus)


def test_four_gpus_of_two_streams_are_eight_places():
    config = ExecutorConfig(streams_per_gpu=2)
    eight = places(FOUR, config, num_cores=64)
    assert sorted((place.device.index, place.stream) for place in eight) == [(d, s) for d in range(4) for s in (0, 1)]
    assert {place.memory_share for place in eight} == {0.5}


def test_few_slots_are_spread_over_the_gpus():
    config = ExecutorConfig(streams_per_gpu=2, slots=3)
    assert [place.device.index for place in places(FOUR, config, num_cores=64)] == [0, 1, 2]


def test_slots_that_there_are_not_are_told(caplog):
    config = ExecutorConfig(streams_per_gpu=2, slots=8)
    assert len(places(FOUR, config, num_cores=64)) == 8
    assert caplog.messages == []
    assert len(places(FOUR[:1], config, num_cores=64)) == 2
    assert caplog.messages == [
        "8 slots are asked for, 2 are there (GPUs 1 x streams 2); for more raise executor.streams_per_gpu"
    ]


@pytest.mark.parametrize(
    ("cores", "threads", "slots", "expected"), [(2, 1, None, 2), (8, 4, None, 2), (1, 2, None, 1), (2, 1, 5, 5)]
)
def test_on_a_cpu_one_child_takes_its_threads(cores, threads, slots, expected):
    config = ExecutorConfig(threads=threads, slots=slots)
    where = places((Device("cpu"),), config, num_cores=cores)
    assert len(where) == expected
    assert {place.threads for place in where} == {threads}


def test_gpus_are_read_from_the_driver(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\nprintf '0, NVIDIA A100, 40960, GPU-aa0\\n1, NVIDIA A100, 40960, GPU-ab1\\n"
        "3, NVIDIA GB10, [N/A], GPU-cc3\\n'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [(device.index, device.memory_bytes) for device in find_gpus()] == [
        (0, 40960 * 2**20),
        (1, 40960 * 2**20),
        (3, 0),
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert [device.index for device in find_gpus()] == [1, 3]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-cc,GPU-ab1")
    assert [device.index for device in find_gpus()] == [1, 3]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find_gpus() == ()


def test_a_driver_that_fails_is_no_gpu(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_gpus() == ()
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_gpus() == ()


@pytest.mark.parametrize(
    ("tool", "visible", "told"),
    [
        ("exit 9", None, "nvidia-smi shows no GPU; mend that"),
        ("echo 0, NVIDIA A100, 40960, GPU-aa0", "MIG-11", "no GPU that CUDA_VISIBLE_DEVICES=MIG-11 names by number"),
        (None, "0", "no GPU that CUDA_VISIBLE_DEVICES=0 names"),
        (None, None, None),
        ("exit 9", "", None),
        ("exit 9", "-1", None),
        ("echo 0, NVIDIA A100, 40960, GPU-aa0", "0", None),
    ],
)
def test_a_gpu_that_seems_to_be_meant_and_is_not_found_is_told(tool, visible, told, tmp_path, monkeypatch, caplog):
    if tool is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    discover(ExecutorConfig())
    assert len(caplog.messages) == (told is not None)
    assert (told or "") in "".join(caplog.messages)


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        (None, "device 'cuda:7': no NVIDIA driver or no visible GPU here; take --device cpu"),
        ("exit 9", "device 'cuda:7': no NVIDIA driver or no visible GPU here; take --device cpu"),
        (
            "echo 0, NVIDIA A100, 40960, GPU-aa0",
            "device 'cuda:7': there is no GPU 7 here; there are cuda:0 (NVIDIA A100)",
        ),
    ],
)
def test_the_command_names_a_gpu_that_is_not_there_and_leaves_nothing(tool, told, tmp_path):
    (tmp_path / "bin").mkdir()
    if tool is not None:
        (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n")
        (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}", "FAIRNAD_DATA": str(tmp_path / "data")}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    command = [Path(sys.executable).with_name("fairnad"), "search", "--config", "demo", "--device", "cuda:7"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (2, f"fairnad: {told}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
