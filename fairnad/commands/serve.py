"""`fairnad llm serve`: a language model on this machine, for as long as the command runs."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from fairnad.errors import ConfigError

__all__ = ["Backend", "serve"]


class Backend(str, Enum):
    """What serves the model."""

    VLLM = "vllm"
    LLAMA_CPP = "llama.cpp"


def serve(
    model: Annotated[str, typer.Option(help="vLLM: the model, by its name or folder.")] = "Qwen/Qwen3-8B",
    backend: Annotated[Backend, typer.Option(help="vllm on GPUs, llama.cpp on anything.")] = Backend.VLLM,
    gguf: Annotated[Path | None, typer.Option(metavar="FILE", help="llama.cpp: the model.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8000,
    tensor_parallel: Annotated[int, typer.Option(min=1, help="vLLM: GPUs that share the model.")] = 1,
    gpu_memory: Annotated[float, typer.Option(min=0.05, max=1.0, help="vLLM: fraction of each GPU's memory.")] = 0.9,
    context: Annotated[int | None, typer.Option(min=512, help="Tokens of a prompt and its reply.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="llama.cpp: calls answered at once.")] = 1,
) -> None:
    """Serve a language model for the search; Ctrl-C ends it."""
    from fairnad.llm.local import llama_command
    from fairnad.llm.server import ServerProcess, vllm_command

    if backend is Backend.LLAMA_CPP or gguf is not None:
        if gguf is None:
            raise ConfigError("--backend llama.cpp needs the model: --gguf FILE")
        command = llama_command(gguf, port, context_tokens=context or 16384, parallel=parallel)
    else:
        extra = ["--max-model-len", str(context)] if context is not None else []
        command = vllm_command(model, port, tensor_parallel=tensor_parallel, gpu_memory=gpu_memory, extra=extra)
    server = ServerProcess(command, port)
    print(f"starting {' '.join(command)}\nits log: {server.log}", flush=True)
    with _ended_by_signal(), server:
        print(f"\nllm:\n  base_url: {server.url}\n  model: {json.dumps(server.model)}\n\nCtrl-C ends it.", flush=True)
        server.wait()


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, in peace; and Ctrl-C too where a shell has it ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if is_main else ()
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
