"""How many children a language model makes, on fixed pairs of parent and idea; and what a program adds to that.

python benchmarks/pass_rate.py --llm URL|local:FILE.gguf [--pairs N] [--first N] [--config paper|default] [--out FOLDER]

Runs that were stopped go on from the journal in the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from report import print_table
from visibility import distance, is_visible

from fairnad.architectures.bases import base_source
from fairnad.config import Config, load_config
from fairnad.generators.base import Parent, Request
from fairnad.generators.llm import LLMGenerator
from fairnad.generators.rules import RulesGenerator
from fairnad.history.store import History
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.llm.client import Client
from fairnad.llm.endpoint import check_endpoint
from fairnad.llm.journal import JournaledLLM
from fairnad.llm.local import served
from fairnad.llm.prompts import Prompts
from fairnad.mutations.base import mutation_target
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.records import Child, Costs, Draft, Failed, Idea, SlotKey, Stage, Verdict
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import MeasureJob
from fairnad.verification.base import Known
from fairnad.verification.loop import feedback_loop
from fairnad.verification.verifier import NetworkShape, Verifier

SHAPE = NetworkShape((3, 16, 16), 10)
LIMITS = load_config("cluttered-digits").limits
NUM_DESCENDANTS = 10
MENDED, FITTED = "mended by program: ", "; fitted by"
COLUMNS = ("the model alone", "+ program repair", "+ exact shrink")

Judged = Sequence[tuple[Draft, Verdict]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one pair: the drafts with their verdicts, or why there is none."""

    request: Request
    parent: Verdict
    judged: Judged

    def at(self, column: int) -> tuple[Draft, Verdict]:
        """Return the last draft that neither a program's repair (from column 1 on) nor its shrink (2) made."""
        signs = ((MENDED, FITTED), (FITTED,), ())[column]
        return [pair for pair in self.judged if not any(sign in pair[0].note for sign in signs)][-1]

    @property
    def forms(self) -> int:
        """The number of drafts that were written anew."""
        return sum(draft.rewrites == 0 for draft, _ in self.judged)


def main(arguments: argparse.Namespace) -> None:
    # Whatever the configuration: the children of both are counted by the same judge.
    config = load_config(arguments.config, [*arguments.set, "verification.structure_judge=graph"])
    with contextlib.ExitStack() as stack:
        llm = stack.enter_context(journaled(arguments.llm, config, arguments.out))
        sandbox = stack.enter_context(Sandbox())
        verifier = Verifier(sandbox, SHAPE, LIMITS, config.verification)
        bench = Bench(sandbox, verifier)
        parents = bench.parents()
        generator = LLMGenerator(
            (*IdeaDatabase.load().ideas, *SCALE_UP_IDEAS, *HYPERPARAMETER_IDEAS),
            bench.measure,
            llm=llm,
            prompts=Prompts(),
            config=config,
            input_shape=SHAPE.input_shape,
            num_classes=SHAPE.num_classes,
            tree=AttributeTree.load(),
        )
        outcomes = []
        for number in range(arguments.first, arguments.first + arguments.pairs):
            began = time.monotonic()
            outcome = bench.ask(number, parents, generator, config)
            outcomes.append(outcome)
            print(f"<!-- {number}: {told(outcome)}; {time.monotonic() - began:.0f} s -->", flush=True)
    report(outcomes, f"Pass rate: {llm.name}, {arguments.config}, style {config.drafts.style}")


class Bench:
    """The pairs, and what becomes of them; a later pair knows the children of earlier ones (`drafts.library`)."""

    def __init__(self, sandbox: Sandbox, verifier: Verifier) -> None:
        self._sandbox = sandbox
        self._verifier = verifier
        self._ideas = IdeaDatabase.load()
        self._children: list[Child] = []

    def measure(self, sources: Sequence[str]) -> Sequence[Costs | None]:
        """Count the costs of `sources`."""
        job = MeasureJob(sources=tuple(sources), input_shape=SHAPE.input_shape, num_classes=SHAPE.num_classes)
        return self._sandbox.run(job, timeout_seconds=300).costs or (None,) * len(sources)

    def parents(self) -> list[tuple[str, Verdict]]:
        """Return the base, and descendants of it that the rules made."""
        rules = RulesGenerator(self._ideas.ideas, self.measure)
        base = base_source("resnet", width=8, depth=1)
        found = [(base, self._verifier.judge(base, Known()))]
        rng = random.Random("parents")
        while len(found) <= NUM_DESCENDANTS:
            source, verdict = rng.choice(found)
            request = self._request(source, verdict, rng, f"parents/{rng.random()}")
            draft = rules.draft(request)
            if isinstance(draft, Failed):
                continue
            hashes = frozenset(known.graph_hash or "" for _, known in found)
            judged = self._verifier.judge(draft.source, Known(hashes))
            if judged.is_accepted:
                found.append((draft.source, judged))
        for source, verdict in found:
            self._keep(None, None, source, verdict)
        return found

    def ask(self, number: int, parents: list[tuple[str, Verdict]], generator: LLMGenerator, config: Config) -> Outcome:
        """Return what becomes of pair `number`."""
        parent = number % len(parents)
        source, verdict = parents[parent]
        name = f"{config.drafts.style}/pair-{number}/write"
        request = self._request(source, verdict, random.Random(f"pair/{number}"), name)
        request = replace(request, earlier=tuple(self._children))
        known = Known(parent=verdict.graph_hash)
        judged = feedback_loop(
            generator.draft(request),
            request,
            generator=generator,
            judge=lambda text: self._verifier.judge(text, known),
            config=config.drafts,
        )
        draft, outcome = judged[-1]
        if outcome.is_accepted:
            self._keep(parent, draft.idea, draft.source, outcome)
        return Outcome(request, verdict, judged)

    def _keep(self, parent: int | None, idea: Idea | None, source: str, verdict: Verdict) -> None:
        number, costs = len(self._children), verdict.costs or Costs(1, 1)
        key = SlotKey(0, Stage.INITIAL, number)
        self._children.append(
            Child(number, key, parent, None, idea, source, costs, verdict.graph_hash or "", None, None)
        )

    def _request(self, source: str, verdict: Verdict, rng: random.Random, name: str) -> Request:
        idea = self._ideas.sample(rng)
        costs = verdict.costs or Costs(1, 1)
        return Request(Parent(source, costs), idea, mutation_target(idea, rng), LIMITS, name)


@contextlib.contextmanager
def journaled(where: str, config: Config, folder: Path) -> Iterator[JournaledLLM]:
    """Yield the model at `where`, whose calls are written down in `folder`."""
    with contextlib.ExitStack() as stack:
        settings = stack.enter_context(served(config.llm.model_copy(update={"base_url": where})))
        client = stack.enter_context(Client(settings, check_endpoint(settings, longest_prompt_chars=20_000)))
        is_known = (folder / "history.db").is_file()
        history = stack.enter_context(
            History.open(folder, write=True)
            if is_known
            else History.create(folder, name=folder.name, config={}, seed=0, dataset="cluttered-digits")
        )
        yield JournaledLLM(client, history.journal(client.name))


def report(outcomes: Sequence[Outcome], title: str) -> None:
    """Print how many children there are, where the others were lost, and how much the children differ."""
    rows: list[list[object]] = []
    passed = [[outcome for outcome in outcomes if outcome.at(column)[1].is_accepted] for column in range(len(COLUMNS))]
    rows.append(["children / asked for", *(f"{len(some)} / {len(outcomes)}" for some in passed)])
    rows.append(["95 % interval", *(interval(len(some), len(outcomes)) for some in passed)])
    rows.append(["of these by the first reply", *(sum(len(one.judged) == 1 for one in some) for some in passed)])
    rows.append(["of these in the first form", *(sum(one.forms == 1 for one in some) for some in passed)])
    lost = [Counter(kind(outcome.at(column)) for outcome in outcomes) for column in range(len(COLUMNS))]
    for name in sorted(set().union(*lost) - {"accepted"}):
        rows.append([f"lost: {name}", *(count[name] for count in lost)])
    for name, measured in (("idea visible", seen), ("distinct graphs", distinct), ("graph distance, median", far)):
        rows.append([name, *(measured(some, column) for column, some in enumerate(passed))])
    print_table(title, ("what", *COLUMNS), rows)


def kind(judged: tuple[Draft, Verdict]) -> str:
    """Return where a draft was lost; for a reply without a draft, in which way."""
    draft, verdict = judged
    if verdict.failure is None:
        return "accepted"
    _, bracket, rest = draft.note.partition("(")
    return f"no draft ({rest.partition(')')[0]})" if not draft.source and bracket else verdict.failure.value


def told(outcome: Outcome) -> str:
    """Return one line on what became of a pair."""
    draft, verdict = outcome.at(2)
    return f"{outcome.request.idea.main}: {kind((draft, verdict))}; {draft.note}; {verdict.reason[:160]}"


def seen(outcomes: Sequence[Outcome], column: int) -> str:
    """Return in how many of the children their idea can be seen."""
    views = [
        is_visible(outcome.request.idea, outcome.parent.graph, verdict.graph)
        for outcome in outcomes
        if (verdict := outcome.at(column)[1]).graph is not None and outcome.parent.graph is not None
    ]
    return f"{sum(view is True for view in views)} / {len(views)}"


def distinct(outcomes: Sequence[Outcome], column: int) -> int:
    """Return the number of different networks among the children."""
    return len({outcome.at(column)[1].graph_hash for outcome in outcomes})


def far(outcomes: Sequence[Outcome], column: int) -> str:
    """Return the median number of nodes in which a child and its parent differ."""
    found = [
        distance(outcome.parent.graph, verdict.graph)
        for outcome in outcomes
        if (verdict := outcome.at(column)[1]).graph is not None and outcome.parent.graph is not None
    ]
    return f"{statistics.median(found):g}" if found else "-"


def interval(hits: int, total: int) -> str:
    """Return Wilson's 95 % interval of a share."""
    if total == 0:
        return "-"
    z, share = 1.96, hits / total
    middle, spread = share + z * z / (2 * total), z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    low, high = ((middle + sign * spread) / (1 + z * z / total) for sign in (-1, 1))
    return f"{max(low, 0.0):.0%} to {min(high, 1.0):.0%}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Children that pass verification, by fixed pairs of parent and idea.")
    parser.add_argument("--llm", required=True, help="URL of an endpoint, or local:FILE.gguf")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--first", type=int, default=10, help="number of the first pair; prompts were tuned on 0 to 9")
    parser.add_argument("--config", default="default", help="configuration: its drafts and verification count")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="override of one setting")
    parser.add_argument("--out", type=Path, default=Path("runs/pass-rate"))
    main(parser.parse_args())
