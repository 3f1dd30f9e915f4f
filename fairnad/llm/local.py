"""Serves a GGUF file on this machine: llama.cpp, through xllamacpp, in a child process. The one home of xllamacpp."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError
from fairnad.llm.server import ServerProcess, free_port

__all__ = ["LocalServer", "check_gguf", "llama_command", "served"]

_LOCAL = "local:"
_CONTEXT_TOKENS = 16384
_DRAFTED_TOKENS = 24
"""At once; with twice as many a model that goes on in its own way wastes more than the copied lines save."""
_MAGIC = b"GGUF"


class LocalServer:
    """A server of the model in the file `path`, for as long as the `with` lasts.

    `context_tokens` hold the prompt and the reply of one call. Calls are answered one after the other unless `parallel`
    says how many at once, each with a context of its own.

    Raises:
        ConfigError: the file is no GGUF file, xllamacpp is not installed, or it cannot be served; then the message has
            the end of the server's log.
        LLMError: it is not served in time.
    """

    def __init__(
        self,
        path: Path,
        *,
        port: int | None = None,
        context_tokens: int = _CONTEXT_TOKENS,
        parallel: int = 1,
        threads: int | None = None,
    ) -> None:
        port = port or free_port()
        self._parallel = parallel
        self._process = ServerProcess(
            llama_command(path, port, context_tokens=context_tokens, parallel=parallel, threads=threads), port
        )

    @property
    def process(self) -> ServerProcess:
        """The server itself."""
        return self._process

    def configured(self, config: LLMConfig) -> LLMConfig:
        """Return `config` for this server: its address and model, and no more calls at once than it answers."""
        known = {"base_url": self._process.url, "model": self._process.model, "concurrency": self._parallel}
        return config.model_copy(update=known)

    def __enter__(self) -> LocalServer:
        self._process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)


@contextmanager
def served(config: LLMConfig) -> Iterator[LLMConfig]:
    """Yield `config`, or where its `base_url` is "local:FILE" that of a server of the file, for as long as this lasts.

    Raises:
        ConfigError, LLMError: as `LocalServer` does.
    """
    url = config.base_url or ""
    if not url.startswith(_LOCAL):
        yield config
        return
    path = Path(url.removeprefix(_LOCAL))
    with LocalServer(path, context_tokens=config.context_tokens or _CONTEXT_TOKENS) as server:
        yield server.configured(config)


def llama_command(
    path: Path, port: int, *, context_tokens: int = _CONTEXT_TOKENS, parallel: int = 1, threads: int | None = None
) -> list[str]:
    """Return the command that serves the file `path` by llama.cpp; `threads` None are all cores.

    Raises:
        ConfigError: the file is no GGUF file, or xllamacpp is not installed.
    """
    check_gguf(path)
    if importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError("serving a GGUF file needs the xllamacpp package: pip install 'fairnad[llama-cpp]'")
    numbers = (port, context_tokens * parallel, parallel, threads or len(os.sched_getaffinity(0)))
    return [sys.executable, "-m", "fairnad.llm.local", str(path.resolve()), *map(str, numbers)]


def check_gguf(path: Path) -> None:
    """Return if `path` looks like a GGUF file.

    Raises:
        ConfigError: it is none, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a GGUF file") from error
    if start != _MAGIC:
        raise ConfigError(f"{path} is no GGUF file: it begins with {start!r} instead of {_MAGIC!r}; download it again")


def _serve(path: str, port: int, context_tokens: int, parallel: int, threads: int) -> None:
    """Serve until the standard input ends, as it does with the process that started this one."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = [Path(path).stem]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = context_tokens
    params.n_parallel = parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    # What stands in the prompt is drafted from it, for replies copy much code. Each token is the model's all the same.
    params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    params.speculative.ngram_simple.size_m = _DRAFTED_TOKENS
    server = xllamacpp.Server(params)
    sys.stdin.buffer.read()
    del server
    os._exit(0)  # its threads would hold the process


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:6]))
