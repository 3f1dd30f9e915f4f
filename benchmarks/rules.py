"""How many random rules drafts run and are new, and how often a network is brought to its limits.

python benchmarks/rules.py [DRAFTS FITS]
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from report import print_table

from fairnad.architectures.bases import base_source
from fairnad.config import VerificationConfig
from fairnad.generators.base import Parent, Request
from fairnad.generators.fit import Direction, fit
from fairnad.generators.rules import RulesGenerator
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.mutations.base import mutation_target
from fairnad.records import Costs, Draft, Limits
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import MeasureJob
from fairnad.verification.base import Known
from fairnad.verification.verifier import NetworkShape, Verifier

SHAPE = NetworkShape((3, 16, 16), 10)
BASES = (base_source("resnet", width=16, depth=5), base_source("resnet", width=8, depth=1))
MAX_CHAIN = 6
FREE = Limits()


def main(num_drafts: int, num_fits: int) -> None:
    rng, ideas = random.Random(0), IdeaDatabase.load()
    with Sandbox() as sandbox:

        def measure(sources: Sequence[str]) -> Sequence[Costs | None]:
            job = MeasureJob(sources=tuple(sources), input_shape=SHAPE.input_shape, num_classes=SHAPE.num_classes)
            return sandbox.run(job, timeout_seconds=300).costs

        generator = RulesGenerator(ideas.ideas, measure)
        verifier = Verifier(sandbox, SHAPE, FREE, VerificationConfig())
        outcomes, made, seconds = draft_chains(num_drafts, rng, ideas, generator, verifier)
        fitted = fit_all(num_fits, rng, made, measure)
    accepted = outcomes["accepted"]
    rows = [
        ("drafts that pass execution, with a new graph", f"{accepted} of {num_drafts} ({accepted / num_drafts:.1%})"),
        ("the others", dict(outcomes - Counter(accepted=accepted))),
        ("seconds to write a draft, mean", f"{seconds / num_drafts:.3f}"),
        ("networks up to 8 times over, brought within the limits", f"{fitted} of {num_fits} ({fitted / num_fits:.1%})"),
    ]
    print_table("The rules generator", ("what", "measured"), rows)


def draft_chains(
    count: int, rng: random.Random, ideas: IdeaDatabase, generator: RulesGenerator, verifier: Verifier
) -> tuple[Counter[str], list[str], float]:
    """Return how `count` drafts ended, the sources of those accepted, and the seconds that writing them took."""
    outcomes: Counter[str] = Counter()
    made: list[str] = []
    source, hashes, seconds = rng.choice(BASES), set(), 0.0
    for number in range(count):
        if len(hashes) > MAX_CHAIN or not hashes:
            source = rng.choice(BASES)
            hashes = {verifier.judge(source, Known()).graph_hash or ""}
        idea = ideas.sample(rng)
        request = Request(Parent(source, Costs(1, 1)), idea, mutation_target(idea, rng), FREE, f"rules/{number}")
        began = time.perf_counter()
        draft = generator.draft(request)
        seconds += time.perf_counter() - began
        if not isinstance(draft, Draft):
            outcomes["no draft"] += 1
            continue
        verdict = verifier.judge(draft.source, Known(frozenset(hashes)))
        outcomes["accepted" if verdict.is_accepted else str(verdict.failure and verdict.failure.value)] += 1
        if verdict.is_accepted:
            source = draft.source
            hashes.add(verdict.graph_hash or "")
            made.append(source)
    return outcomes, made, seconds


def fit_all(count: int, rng: random.Random, made: list[str], measure: object) -> int:
    """Return how many of `count` networks, drawn from `made`, are brought under limits that they exceed."""
    fitted = 0
    for _ in range(count):
        source = rng.choice(made)
        (costs,) = measure([source])
        over = rng.uniform(1.1, 8.0)
        limits = Limits(int(costs.params / over), int(costs.flops / over))
        result = fit(source, limits, measure, direction=Direction.ALL)
        if result is not None and limits.allow(measure([result])[0]):
            fitted += 1
    return fitted


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*(arguments or (300, 200)))
