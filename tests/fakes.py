"""Small stand-ins for the slow rooms: training by arithmetic, a generator and a verifier of plain text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from fairnad.executors.base import Finished, Started, Training
from fairnad.generators.base import Refinement, Request
from fairnad.records import (
    Child,
    Costs,
    Draft,
    Failed,
    Failure,
    Graph,
    Idea,
    IdeaKind,
    Node,
    SlotKey,
    Stage,
    Trained,
    Verdict,
)
from fairnad.verification.base import Known


def digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def trained(accuracy: float, *, seed: int = 0) -> Trained:
    return Trained(
        accuracy=accuracy,
        split="val",
        epochs=2,
        seed=seed,
        losses=(1.0, 0.5),
        seconds=1.0,
        images_per_second=100.0,
        peak_memory_bytes=1,
    )


def child(
    id: int,
    accuracy: float | None = 0.5,
    *,
    params: int = 100,
    flops: int = 100,
    parent: int | None = 0,
    idea: Idea | None = None,
    key: SlotKey | None = None,
) -> Child:
    return Child(
        id=id,
        key=key or SlotKey(1, Stage.FAIR, id),
        parent=parent if id else None,
        refines=None,
        idea=idea or (Idea(f"idea-{id}", "an idea", main="activation") if id else None),
        source=f"# network {id}",
        costs=Costs(params, flops),
        graph_hash=f"hash-{id}",
        step_seconds=0.01,
        step_batch=10,
        outcome=None if accuracy is None else trained(accuracy),
    )


class InlineExecutor:
    """Trains in no time; what finishes first is up to `order`. `fails` decides which children do not end well."""

    def __init__(
        self,
        *,
        num_slots: int = 2,
        order: Callable[[list[Training]], int] = lambda waiting: 0,
        fails: Callable[[Training], bool] = lambda training: False,
    ) -> None:
        self.num_slots = num_slots
        self.submitted: list[Training] = []
        self._waiting: list[Training] = []
        self._order = order
        self._fails = fails

    def submit(self, training: Training) -> None:
        self.submitted.append(training)
        self._waiting.append(training)

    def messages(self, *, timeout_seconds: float | None) -> tuple[Started | Finished, ...]:
        if not self._waiting or timeout_seconds == 0:
            return ()
        training = self._waiting.pop(self._order(self._waiting))
        outcome = (
            Failed(Failure.NAN, "the loss is not finite")
            if self._fails(training)
            else trained(0.5 + digest(training.source) % 1000 / 2500, seed=training.seed)
        )
        return Started(training, 0, 1.0), Finished(training, 0, 2.0, outcome)

    def close(self) -> None:
        pass


class TextGenerator:
    """Writes one more comment line into the parent."""

    name = "text"

    def __init__(self, *, is_mute: Callable[[str], bool] = lambda seed: False) -> None:
        self.requests: list[Request | Refinement] = []
        self._is_mute = is_mute

    def draft(self, request: Request) -> Draft | Failed:
        self.requests.append(request)
        if self._is_mute(request.seed):
            return Failed(Failure.NO_DRAFT, "nothing applies")
        return Draft(f"{request.parent.source}\n# {request.idea.id} {request.seed}", self.name, request.idea)

    def refine(self, refinement: Refinement) -> Draft | Failed:
        self.requests.append(refinement)
        idea = Idea(f"own {refinement.seed} {len(refinement.used)}", "something better", IdeaKind.OWN)
        return Draft(f"{refinement.edit.source}\n# {idea.id}", self.name, idea)

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        return Draft(draft.source.replace("broken", "mended"), self.name, draft.idea, rewrites=draft.rewrites + 1)

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        return Draft(draft.source.replace("big", "", 1), self.name, draft.idea, rewrites=draft.rewrites + 1)


class TextVerifier:
    """Accepts whatever text it has not seen; `refuses` may object."""

    def __init__(
        self,
        *,
        refuses: Callable[[str], Failure | None] = lambda source: None,
        name: Callable[[str], str] = lambda source: f"{digest(source):x}",
    ) -> None:
        self._refuses = refuses
        self._name = name

    def judge(self, source: str, known: Known) -> Verdict:
        name = self._name(source)
        failure = self._refuses(source) or (Failure.STRUCTURE if name in known.history else None)
        return Verdict(
            failure,
            "" if failure is None else "refused",
            costs=Costs(100 + digest(source) % 900, 1000 + digest(source) % 9000),
            graph=Graph((Node("linear", (), (1 + digest(source) % 100,)),), 0),
            graph_hash=name,
            step_seconds=0.01,
            step_batch=10,
        )
