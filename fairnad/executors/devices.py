"""What this machine can train on, and how its devices are divided into places for children. No torch, no CUDA call."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fairnad.config import ExecutorConfig
from fairnad.errors import ConfigError

__all__ = ["Device", "Place", "discover", "find_gpus", "places"]

logger = logging.getLogger(__name__)

_QUERY = ("nvidia-smi", "--query-gpu=index,name,memory.total,uuid", "--format=csv,noheader,nounits")
_QUERY_SECONDS = 30.0
_HIDDEN = {"", "-1", "NoDevFiles"}
"""Values of CUDA_VISIBLE_DEVICES of those who want no GPU to be seen."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU (`index` as nvidia-smi numbers it), or the CPU with index None."""

    name: str
    index: int | None = None
    memory_bytes: int = 0

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.index is not None

    def __str__(self) -> str:
        return f"cuda:{self.index} ({self.name})" if self.is_gpu else self.name


@dataclass(frozen=True, slots=True)
class Place:
    """Where one child trains: a device, which of its streams, and the share of its memory that the child may take."""

    device: Device
    stream: int = 0
    memory_share: float = 1.0
    threads: int = 1

    def __str__(self) -> str:
        return f"{self.device}, stream {self.stream}"


def find_gpus() -> tuple[Device, ...]:
    """Return the NVIDIA GPUs that the driver shows and CUDA_VISIBLE_DEVICES allows; none without a driver."""
    if shutil.which(_QUERY[0]) is None:
        return ()
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError):
        return ()
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(
        Device(name, int(index), int(mebibytes) * 2**20 if mebibytes.isdigit() else 0)  # some share the system's memory
        for index, name, mebibytes, uuid in rows
        if _is_visible(index, uuid, visible)
    )


def discover(config: ExecutorConfig, *, gpus: Callable[[], Sequence[Device]] = find_gpus) -> tuple[Device, ...]:
    """Return the devices that `config.device` asks for: auto, cpu, cuda, or cuda:0,1.

    Raises:
        ConfigError: CUDA is asked for and there is no driver or no such GPU.
    """
    cpu = (Device("cpu"),)
    if config.device == "cpu":
        return cpu
    found = tuple(gpus())
    if config.device == "auto":
        if not found:
            _warn_of_none()
        return found or cpu
    kind, _, numbers = config.device.partition(":")
    if kind != "cuda" or not all(number.isdigit() for number in numbers.split(",") if numbers):
        raise ConfigError(f"device {config.device!r} is not known; expected auto, cpu, cuda, or cuda:0,1")
    if not found:
        raise ConfigError(f"device {config.device!r}: no NVIDIA driver or no visible GPU here; take --device cpu")
    wanted = [int(number) for number in numbers.split(",")] if numbers else [device.index for device in found]
    by_index = {device.index: device for device in found}
    if missing := [number for number in wanted if number not in by_index]:
        there = ", ".join(str(device) for device in found)
        raise ConfigError(f"device {config.device!r}: there is no GPU {missing[0]} here; there are {there}")
    return tuple(by_index[number] for number in wanted)


def places(devices: Sequence[Device], config: ExecutorConfig, *, num_cores: int) -> tuple[Place, ...]:
    """Return where children train: GPUs x streams, or CPU cores / threads; at most `config.slots` of them.

    On a CPU one child has one thread: on two cores two such children see 1.9 times the images of one child with two
    threads. Streams go round the GPUs, so that few slots are spread over all of them.
    """
    gpus = [device for device in devices if device.is_gpu]
    if not gpus:
        count = config.slots or max(1, num_cores // config.threads)
        return tuple(Place(devices[0], stream, threads=config.threads) for stream in range(count))
    share = 1.0 / config.streams_per_gpu
    every = [Place(gpu, stream, share, config.threads) for stream in range(config.streams_per_gpu) for gpu in gpus]
    if config.slots is not None and config.slots > len(every):
        logger.warning(
            "%d slots are asked for, %d are there (GPUs %d x streams %d); for more raise executor.streams_per_gpu",
            config.slots,
            len(every),
            len(gpus),
            config.streams_per_gpu,
        )
    return tuple(every[: config.slots])


def _warn_of_none() -> None:
    """Tell of training on the CPU where a driver is there or CUDA_VISIBLE_DEVICES names a GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    has_driver = shutil.which(_QUERY[0]) is not None
    if visible in _HIDDEN or (visible is None and not has_driver):
        return
    named = "" if visible is None else f" that CUDA_VISIBLE_DEVICES={visible} names by number or GPU- id, not MIG- id"
    logger.warning("children train on the CPU: nvidia-smi shows no GPU%s; mend that, or take --device cpu", named)


def _is_visible(index: str, uuid: str, visible: str | None) -> bool:
    """Return whether `visible` (CUDA_VISIBLE_DEVICES) names the GPU, by its number or by the start of its UUID."""
    if visible is None:
        return True
    names = [name.strip() for name in visible.split(",")]
    return any(name == index or (name.startswith("GPU-") and uuid.startswith(name)) for name in names)
