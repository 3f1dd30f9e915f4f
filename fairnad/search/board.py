"""How far a search is: which places of the plan are drafted, filled, trained. What a schedule may know of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fairnad.history.store import History
from fairnad.records import Child, SlotKey
from fairnad.search.plan import PlannedSlot, PlannedStage, is_before

__all__ = ["Board"]


class Board:
    """The state of a search in the words of its plan; `training` and `drafting` are kept by the search."""

    def __init__(self, history: History, num_slots: int) -> None:
        self._history = history
        self.num_slots = num_slots
        self.training: dict[int, Child] = {}
        """The children that train or wait for it, by id."""
        self.num_waiting = 0
        self.drafting: Collection[SlotKey] = ()
        self.passed_over: set[SlotKey] = set()
        """Places for which there was no parent."""

    @property
    def num_training(self) -> int:
        """Children that train or wait for it, the base included."""
        return len(self.training)

    @property
    def num_drafts(self) -> int:
        """Drafts that are recorded."""
        return self._history.num_drafts()

    def trained(self) -> list[Child]:
        """Return the trained children in the order of their ids, the base among them."""
        return [child for child in self._history.children() if child.accuracy is not None]

    def num_trained(self, before: PlannedStage | None = None) -> int:
        """Return how many children are trained, the base not counted; only those of stages `before` one."""
        return sum(child.id != 0 and (before is None or is_before(child.key, before)) for child in self.trained())

    def has_base(self) -> bool:
        """Return whether the base is trained."""
        return self._history.child(0).accuracy is not None

    def is_filled(self, key: SlotKey) -> bool:
        """Return whether a place is done: recorded, or passed over."""
        return key in self.passed_over or key in self._history.slots()

    def is_ended(self, key: SlotKey) -> bool:
        """Return whether a place is done and no child of it trains any more."""
        return self.is_filled(key) and all(child.key != key for child in self.training.values())

    def has_trained(self, generation: int) -> bool:
        """Return whether a generation brought a trained child."""
        return any(child.id != 0 and child.key.generation == generation for child in self.trained())

    def seen(self, step: Sequence[PlannedSlot]) -> int | None:
        """Return how many drafts the decisions of a step see that is partly recorded; None if none of it is."""
        filled = (self._history.slot(slot.key) for slot in step if slot.key in self._history.slots())
        return next((one.seen for one in filled if one is not None), None)

    def size(self, key: SlotKey) -> int:
        """Return the size of the child at a place; 0 where it is empty."""
        return next((child.activations or 0 for child in self._history.children() if child.key == key), 0)
