"""FairNAD's stages on a table: the controller itself, with cells for sources and look-ups for trainings."""

from __future__ import annotations

from dataclasses import dataclass

from fairnad.architectures.cells import EDGES, Cell, cell_costs, parse_cell
from fairnad.config import Config, DraftsConfig, PlanConfig, VerificationConfig
from fairnad.executors.table import CellTable, Lookups, TableExecutor
from fairnad.generators.cells import CellGenerator, cell_ideas
from fairnad.history.store import History
from fairnad.knowledge.ideas import SamplingLevel
from fairnad.mutations.base import Workshop
from fairnad.records import Draft, Failure, FilledSlot, JudgedDraft, Limits, SlotKey, Stage, Verdict
from fairnad.search.cell_strategies.base import NUM_START, start_cells
from fairnad.search.loop import Search, Tools
from fairnad.search.progress import Progress
from fairnad.verification.base import Known

__all__ = ["STAGES", "STAGES_HALF", "STAGES_REPEATS", "CellVerifier", "FairNADStages"]

_MAX_CHILDREN = 2
"""Children for each cell of the budget that a search with repeats may train: it ends by repeating itself."""


class CellVerifier:
    """Accepts a cell that no child of the search is, or, where repeats are allowed, that differs from its parent."""

    def __init__(self, *, allows_repeats: bool) -> None:
        self._allows_repeats = allows_repeats

    def judge(self, source: str, known: Known) -> Verdict:
        """Return the verdict on the cell `source`; cells are compared as text, as the table knows them."""
        is_known = source == known.parent or (source in known.history and not self._allows_repeats)
        return Verdict(
            Failure.STRUCTURE if is_known else None,
            "the cell was there before; make a different change" if is_known else "",
            costs=cell_costs(parse_cell(source)),
            graph_hash=source,
        )


@dataclass(frozen=True, slots=True)
class FairNADStages:
    """The whole method by `plan`; random start cells stand in place of the base and its initial children."""

    plan: PlanConfig
    allows_repeats: bool = False

    def __call__(self, lookups: Lookups) -> None:
        """Search with a history in memory."""
        with History.in_memory(seed=lookups.seed) as history:
            self.search(lookups, history)

    def search(self, lookups: Lookups, history: History) -> None:
        """Search with a new `history`. Without repeats the plan ends with the budget; with them `Spent` ends it."""
        operations, limits = lookups.table.operations, _largest(lookups.table)
        num_children = lookups.budget * (_MAX_CHILDREN if self.allows_repeats else 1)
        # The base, which the plan does not count, is a look-up too.
        config = Config(
            budget=num_children - 1,
            seed=lookups.seed,
            plan=self.plan,
            limits=limits,
            drafts=DraftsConfig(concurrency=1),
            verification=VerificationConfig(novel_in="parent" if self.allows_repeats else "history"),
        )
        verifier = CellVerifier(allows_repeats=self.allows_repeats)
        tools = Tools(
            history=history,
            executor=TableExecutor(lookups),
            generator=CellGenerator(operations, known=() if self.allows_repeats else lookups.seen),
            verifier=verifier,
            workshop=Workshop(cell_ideas(operations), SamplingLevel.MAIN, limits, self.plan),
            num_train_images=0,
        )
        for number, cell in enumerate(start_cells(lookups)):
            history.record_slot(_started(number, cell, verifier))
        Search(config, tools, Progress(config.budget, num_slots=1)).run()


def _largest(table: CellTable) -> Limits:
    """Return limits that the largest cell just meets: none is refused, and Stage II knows what is large."""
    costs = [cell_costs(Cell((operation,) * len(EDGES))) for operation in table.operations]
    return Limits(max(one.params for one in costs), max(one.flops for one in costs))


def _started(number: int, cell: Cell, verifier: CellVerifier) -> FilledSlot:
    """Return the slot of a start cell: the first one is the base, the others are children without parent and idea."""
    key = SlotKey(0, Stage.INITIAL, number - 1) if number else SlotKey(0, Stage.BASE, 0)
    draft = Draft(str(cell), "random", None)
    judged = JudgedDraft(draft, verifier.judge(draft.source, Known()), attempt=0)
    return FilledSlot(key, parent=None, refines=None, drafts=(judged,), chosen=0)


_FULL = PlanConfig(initial=NUM_START - 1, fair=8, pareto=8, iterative_parents=4, iterative_steps=2)
_HALF = PlanConfig(initial=NUM_START - 1, fair=4, pareto=4, iterative_parents=2, iterative_steps=2)

STAGES = FairNADStages(_FULL)
STAGES_REPEATS = FairNADStages(_FULL, allows_repeats=True)
STAGES_HALF = FairNADStages(_HALF)
