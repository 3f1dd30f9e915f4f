"""Who drafts: several threads side by side, or none for one place at a time."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from fairnad.records import FilledSlot, SlotKey
from fairnad.search.drafting import Decision

__all__ = ["Crew"]

_POLL_SECONDS = 0.05


class Crew:
    """Up to `size` places are drafted at once. A crew of one drafts at once and in the thread that asks for it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="draft") if size > 1 else None
        self._work: dict[SlotKey, tuple[Decision, Future[FilledSlot]]] = {}

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=kind is None, cancel_futures=True)

    @property
    def has_room(self) -> bool:
        """Whether another place can be begun."""
        return len(self._work) < self._size

    @property
    def places(self) -> Collection[SlotKey]:
        """The places that were begun and not taken back."""
        return self._work.keys()

    def decisions(self) -> tuple[Decision, ...]:
        """Return the decisions of these places."""
        return tuple(decision for decision, _ in self._work.values())

    def begin(self, decision: Decision, draft: Callable[[], FilledSlot]) -> None:
        """Have a place drafted."""
        if self._threads is not None:
            self._work[decision.key] = decision, self._threads.submit(draft)
            return
        done: Future[FilledSlot] = Future()
        done.set_result(draft())
        self._work[decision.key] = decision, done

    @property
    def is_busy(self) -> bool:
        """Whether a place is under way that is not drafted yet."""
        return any(not future.done() for _, future in self._work.values())

    def wait(self) -> None:
        """Wait a moment for a place to be drafted, if any is under way."""
        futures = [future for _, future in self._work.values() if not future.done()]
        concurrent.futures.wait(futures, _POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)

    def drafted(self) -> tuple[SlotKey, ...]:
        """Return the places that are drafted and not taken back, in the order begun."""
        return tuple(key for key, (_, future) in self._work.items() if future.done())

    def take(self, key: SlotKey) -> tuple[Decision, FilledSlot]:
        """Take back a place that is drafted."""
        decision, future = self._work.pop(key)
        return decision, future.result()
