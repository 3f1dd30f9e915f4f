"""What the generator with a language model asks: the templates' inputs, out of requests and verdicts. Asks nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from fairnad.architectures.source import try_parse
from fairnad.generators.base import Parent, Refinement, Request
from fairnad.generators.library import ProvenClass
from fairnad.generators.modules import Part, describe_stages
from fairnad.knowledge.attributes import AttributeTree
from fairnad.llm.base import Prompt
from fairnad.llm.prompts import Prompts
from fairnad.llm.replies import LEVELS
from fairnad.records import Draft, Idea, IdeaKind, Limits, Verdict

__all__ = ["Questions", "is_far_over"]

_FAR_OVER = 1.5
"""Over this many times a limit the added module is used only once (paper, F.2.5)."""
_SURE = 0.2
"""The temperature of a small model's repairs: there is one right answer."""
_REFINEMENTS = (IdeaKind.SCALE_UP, IdeaKind.HYPERPARAMETER)


class Questions:
    """Renders the prompts of one search. `ideas` are all that there are, those of Stage II among them."""

    def __init__(
        self,
        prompts: Prompts,
        ideas: Sequence[Idea],
        tree: AttributeTree,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
    ) -> None:
        self._prompts = prompts
        self._texts = {idea.id: idea.text for idea in ideas}
        self._refinement_ideas = [idea.text for idea in ideas if idea.kind in _REFINEMENTS]
        self._tree = tree
        self._shape = {"input_shape": input_shape, "num_classes": num_classes}

    def mutation(self, task: str, request: Request) -> Prompt:
        """Return the question for the parent changed by the idea, as `task` (mutation or edits) asks it."""
        parent = request.parent
        inputs = {"idea": request.idea.text, "target": request.target, **_told(parent), **self._rules(request.limits)}
        if task == "edits":
            inputs["shapes"] = ""  # a small model takes them for lines of the source, and edits them
        return self._render(task, inputs)

    def module(self, part: Part, idea: Idea, library: Sequence[ProvenClass] = (), *, error: str = "") -> Prompt:
        """Return the question for one class beside those in `library`, after an `error` or without."""
        told = {"contract": part.contract, "context": part.context, "example": part.example, "library": library}
        return self._render("module", {"idea": idea.text, "error": error, **told})

    def own_idea(self, parent: Parent, limits: Limits) -> Prompt:
        """Return the question for an idea of the model's own, and the parent changed by it."""
        return self._render("own_idea", {"used": [], **_told(parent), **self._rules(limits)})

    def refinement(self, refinement: Refinement) -> Prompt:
        """Return the question for the next step after a recorded one."""
        costs = refinement.edit.costs
        inputs = {
            "before": refinement.before,
            "after": refinement.after,
            "refinement_ideas": self._refinement_ideas,
            "params": costs.params,
            "flops": costs.flops,
        }
        task = "refine_improved" if refinement.has_improved else "refine_degraded"
        return self._render(task, {**inputs, **self._record(refinement), **self._rules(refinement.limits)})

    def next_idea(self, refinement: Refinement) -> Prompt:
        """Return the question for the idea of the next step alone."""
        return self._render("next_idea", {"has_improved": refinement.has_improved, **self._record(refinement)})

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Prompt:
        """Return the question for a whole network mended, with all that there is to know."""
        assert verdict.failure is not None
        error = {"stage": verdict.failure, "reason": verdict.reason, "trace": verdict.details}
        inputs = {"failed": draft.source, **error, **_intent(draft, request)}
        return self._render("debug", {**inputs, **self._rules(request.limits)})

    def short_repair(self, code: str, verdict: Verdict) -> Prompt:
        """Return the question for `code` mended, and nothing else."""
        inputs = {"failed": code, "reason": verdict.reason, "trace": verdict.details}
        return self._render("debug_short", inputs, temperature=_SURE)

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Prompt:
        """Return the question for a smaller network, in one of the wordings that its template has."""
        is_refined = draft.idea is not None and draft.idea.kind in _REFINEMENTS
        task = "shrink_module" if is_far_over(verdict, request.limits) and not is_refined else "shrink_size"
        digest = hashlib.sha256(f"{request.seed}/shrink/{draft.rewrites}".encode()).digest()
        inputs = {"source": draft.source, "reason": verdict.reason, "draw": int.from_bytes(digest[:4], "big")}
        return self._render(task, {**inputs, **_intent(draft, request), **self._rules(request.limits)})

    def _render(self, task: str, inputs: Mapping[str, object], *, temperature: float | None = None) -> Prompt:
        return self._prompts.render(task, temperature=temperature, **inputs)

    def _record(self, refinement: Refinement) -> dict[str, object]:
        """Return what the recorded step was, and what was tried since."""
        return {
            "idea": refinement.idea.text,
            "category": self._category(refinement.idea),
            "used": [self._texts[id] for id in sorted(refinement.used) if id in self._texts],
            "tree": self._tree,
        }

    def _rules(self, limits: Limits) -> dict[str, object]:
        return {**self._shape, "limits_params": limits.params, "limits_flops": limits.flops}

    def _category(self, idea: Idea) -> str:
        if idea.main is None or not self._tree.attributes:
            return ""
        return f"{idea.target}*{LEVELS.get(idea.granularity or '', '')}*{idea.main}"


def is_far_over(verdict: Verdict, limits: Limits) -> bool:
    """Return whether a cost is over 1.5 times its limit."""
    return verdict.costs is not None and any(used > _FAR_OVER for used in limits.usage(verdict.costs).values())


def _told(parent: Parent) -> dict[str, object]:
    """Return what a question tells of the network to change."""
    costs = parent.costs
    return {
        "parent": parent.source,
        "shapes": _stages(parent.source),
        "params": costs.params,
        "flops": costs.flops,
    }


def _intent(draft: Draft, request: Request | Refinement) -> dict[str, object]:
    """Return what a draft was made from: the parent, the idea and the target."""
    idea = draft.idea.text if draft.idea is not None else ""
    if isinstance(request, Request):
        return {"parent": request.parent.source, "idea": idea, "target": request.target}
    return {"parent": request.edit.source, "idea": idea, "target": None}


def _stages(source: str) -> str:
    parsed = try_parse(source)
    return describe_stages(parsed) if parsed is not None else ""
