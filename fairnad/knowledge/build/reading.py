"""Reads papers side by side in processes: a file that crashes or hangs its reader costs that file alone.

Processes and not threads, because PyMuPDF is not thread-safe; each ends by itself when this process is gone.
"""

from __future__ import annotations

import multiprocessing
import queue
import resource
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.papers import Paper, ReadingError, read_paper

__all__ = ["Readers"]

_SECONDS = 120.0
_MEMORY_BYTES = 4 * 2**30


class Readers:
    """`count` processes that read papers; `read` may be called from as many threads at once. A context manager."""

    def __init__(self, count: int, *, seconds: float = _SECONDS) -> None:
        self.count = count
        self._seconds = seconds
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._workers: set[_Worker] = set()

    def __enter__(self) -> Readers:
        self._idle.put(self._start())
        for _ in range(self.count - 1):
            self._idle.put(None)  # started when it is needed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.copy():
            self._end(worker)

    def read(self, path: Path) -> Paper:
        """Return what is found in one file.

        Raises:
            KnowledgeError: the file cannot be used; the message is one line that names the file.
            ReadingError: its reader crashed, took too long or had too little memory.
        """
        worker = self._idle.get()
        try:
            worker = worker or self._start()
            return worker.read(path, self._seconds)
        except (EOFError, OSError, TimeoutError) as error:
            if worker is not None:
                self._end(worker)
                worker = None
            how = f"took over {self._seconds:g} s" if isinstance(error, TimeoutError) else "made its reader crash"
            raise ReadingError(f"{path}: cannot be read: it {how}") from error
        finally:
            self._idle.put(worker)

    def _start(self) -> _Worker:
        worker = _Worker()
        self._workers.add(worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        worker.end()
        self._workers.discard(worker)


class _Worker:
    """One process, which reads one paper at a time."""

    def __init__(self) -> None:
        # Spawned: a fork would copy the locks of threads that are at work here.
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def read(self, path: Path, seconds: float) -> Paper:
        self._ours.send(path)
        if not self._ours.poll(seconds):
            raise TimeoutError
        found: Paper | KnowledgeError = self._ours.recv()
        if isinstance(found, Paper):
            return found
        raise found

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._ours.close()


def _serve(theirs: Connection) -> None:
    """Read what is asked for until the other end is closed."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            path = theirs.recv()
            try:
                found: Paper | KnowledgeError = read_paper(path)
            except KnowledgeError as error:
                found = error
            except MemoryError:
                limit = _MEMORY_BYTES // 2**30
                found = ReadingError(f"{path}: cannot be read: it takes more than {limit} GiB of memory")
            theirs.send(found)
