"""The method on fakes that take no time: who is planned, chosen, drafted, trained and recorded."""

import logging
from collections import Counter
from dataclasses import replace

import pytest

from fairnad.config import Config
from fairnad.errors import ConfigError, ExecutorError, SpendLimitError
from fairnad.executors.base import Finished
from fairnad.executors.recorded import RecordedExecutor
from fairnad.generators.base import Refinement
from fairnad.history.store import History
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.mutations.base import Workshop
from fairnad.mutations.fair_idea import FairIdeaMutation
from fairnad.records import Draft, Failure, FilledSlot, JudgedDraft, SlotKey, Stage
from fairnad.resources import resource
from fairnad.search.loop import Search, Tools
from fairnad.search.progress import Progress
from fairnad.search.schedule import RecordedSchedule
from fairnad.verification.base import Known
from tests.fakes import InlineExecutor, TextGenerator, TextVerifier, digest, trained

PLAN = {"initial": 4, "fair": 4, "pareto": 4, "iterative_parents": 2, "iterative_steps": 2}


@pytest.fixture(scope="module")
def ideas():
    return IdeaDatabase.load(resource("knowledge", "ideas.jsonl"), AttributeTree.load())


class Bench:
    """A search on fakes, and what came of it."""

    def __init__(self, ideas, *, executor=None, generator=None, verifier=None, history=None, **settings):
        self.config = Config.model_validate({"budget": 28, "plan": PLAN, **settings})
        self.history = history or self.new_history(verifier or TextVerifier())
        self.executor = executor or InlineExecutor()
        self.generator = generator or TextGenerator()
        self.tools = Tools(
            history=self.history,
            executor=self.executor,
            generator=self.generator,
            verifier=verifier or TextVerifier(),
            workshop=Workshop(ideas, SamplingLevel.MAIN, self.config.limits, self.config.plan),
            num_train_images=100,
        )
        self.search = Search(self.config, self.tools, Progress(self.config.budget, 2))

    @staticmethod
    def new_history(verifier):
        history = History.in_memory()
        base = Draft("# base", "base", None)
        judged = JudgedDraft(base, TextVerifier().judge(base.source, Known()), 0)
        history.record_slot(FilledSlot(SlotKey(0, Stage.BASE, 0), None, None, (judged,), 0))
        return history

    def run(self):
        return self.search.run()

    @property
    def children(self):
        return self.history.children()


def told(children):
    """Everything about children but times."""
    return [(c.id, c.key, c.parent, c.refines, c.idea, c.source, c.accuracy) for c in children]


def test_the_demo_plan_trains_28_children_in_all_stages(ideas):
    bench = Bench(ideas)
    best = bench.run()
    stages = Counter((child.key.generation, child.key.stage) for child in bench.children)
    assert stages == {
        (0, Stage.BASE): 1,
        (0, Stage.INITIAL): 4,
        (1, Stage.FAIR): 4,
        (1, Stage.PARETO): 4,
        (1, Stage.ITERATIVE): 4,
        (2, Stage.FAIR): 4,
        (2, Stage.PARETO): 4,
        (2, Stage.ITERATIVE): 4,
    }
    assert best.accuracy == max(child.accuracy for child in bench.children)
    assert {child.parent for child in bench.children if child.key.stage is Stage.INITIAL} == {0}


def test_the_last_stage_is_cut_to_the_budget(ideas):
    bench = Bench(ideas, budget=10)
    bench.run()
    assert len(bench.children) == 11
    assert Counter(child.key.stage for child in bench.children)[Stage.PARETO] == 2


def test_parents_of_stage_one_are_the_best_known_before_it(ideas):
    bench = Bench(ideas, budget=8)
    bench.run()
    first = [child for child in bench.children if child.key.generation == 0]
    best = sorted(first, key=lambda child: -child.accuracy)[:4]
    assert [child.parent for child in bench.children if child.key.stage is Stage.FAIR] == [child.id for child in best]


def test_what_finishes_first_changes_nothing(ideas):
    plain, last_first = Bench(ideas), Bench(ideas, executor=InlineExecutor(order=lambda waiting: len(waiting) - 1))
    plain.run()
    last_first.run()
    assert told(plain.children) == told(last_first.children)


def test_another_seed_gives_other_children(ideas):
    one, other = Bench(ideas, seed=1), Bench(ideas, seed=2)
    one.run()
    other.run()
    assert [child.idea for child in one.children[1:]] != [child.idea for child in other.children[1:]]


@pytest.mark.parametrize("stop_after", range(0, 29, 4))
def test_a_stopped_search_goes_on_to_the_same_history(ideas, stop_after):
    whole = Bench(ideas)
    whole.run()

    class Unplugged(InlineExecutor):
        def messages(self, *, timeout_seconds):
            if len(stopped.history.children()) > stop_after:
                raise KeyboardInterrupt
            return super().messages(timeout_seconds=timeout_seconds)

    stopped = Bench(ideas, executor=Unplugged())
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    evaluated = {child.id for child in stopped.children if child.outcome is not None}
    resumed = Bench(ideas, history=stopped.history)
    resumed.run()
    assert told(resumed.children) == told(whole.children)
    assert not evaluated & {training.child_id for training in resumed.executor.submitted}


def test_a_failed_training_is_no_score_and_is_made_up_for(ideas):
    bench = Bench(ideas, executor=InlineExecutor(fails=lambda training: training.child_id in {2, 9}))
    bench.run()
    assert [child.id for child in bench.children if child.accuracy is None] == [2, 9]
    assert sum(child.accuracy is not None for child in bench.children[1:]) == 28
    assert not any(child.parent in {2, 9} for child in bench.children)


def test_a_base_that_cannot_be_trained_ends_the_search(ideas):
    bench = Bench(ideas, executor=InlineExecutor(fails=lambda training: training.child_id == 0))
    with pytest.raises(ExecutorError, match="base could not be trained"):
        bench.run()


def test_a_refused_draft_is_followed_by_another_idea_for_the_same_parent(ideas):
    verifier = TextVerifier(refuses=lambda source: Failure.STRUCTURE if digest(source) % 2 else None)
    bench = Bench(ideas, verifier=verifier)
    bench.run()
    filled = [bench.history.slot(child.key) for child in bench.children[1:]]
    assert any(len(slot.drafts) > 1 for slot in filled)
    for slot in filled:
        assert slot.chosen == len(slot.drafts) - 1
        used = [judged.draft.idea.id for judged in slot.drafts if slot.key.stage is not Stage.PARETO]
        assert len(set(used)) == len(used)


def test_a_slot_stays_empty_after_six_ideas_and_the_plan_goes_on(ideas):
    generator = TextGenerator(is_mute=lambda seed: seed.startswith("0/1/I/2/"))
    bench = Bench(ideas, generator=generator)
    bench.run()
    slot = bench.history.slot(SlotKey(1, Stage.FAIR, 2))
    assert slot.chosen is None
    assert [judged.verdict.failure for judged in slot.drafts] == [Failure.NO_DRAFT] * 6
    assert sum(child.accuracy is not None for child in bench.children[1:]) == 28


def test_a_search_that_brings_nothing_stops(ideas, caplog):
    bench = Bench(ideas, generator=TextGenerator(is_mute=lambda seed: True))
    with caplog.at_level(logging.WARNING):
        best = bench.run()
    assert best.id == 0
    assert "brought no trained child" in caplog.text


def test_step_two_of_a_chain_refines_what_step_one_made(ideas):
    bench = Bench(ideas)
    bench.run()
    by_slot = {child.key: child for child in bench.children}
    requests = [request for request in bench.generator.requests if isinstance(request, Refinement)]
    assert len(requests) == 8
    for slot in (0, 1):
        first = by_slot[SlotKey(1, Stage.ITERATIVE, slot)]
        second = by_slot[SlotKey(1, Stage.ITERATIVE, slot + 2)]
        before = bench.history.child(first.parent)
        if first.accuracy > before.accuracy:
            assert (second.parent, second.refines) == (first.id, None)
        else:
            assert (second.parent, second.refines) == (before.id, first.id)


def test_step_two_falls_back_to_the_same_parent(ideas):
    generator = TextGenerator()
    verifier = TextVerifier(
        refuses=lambda source: Failure.STRUCTURE if "own 0/1/III/0/" in source.splitlines()[-1] else None
    )
    bench = Bench(ideas, generator=generator, verifier=verifier)
    bench.run()
    by_slot = {child.key: child for child in bench.children}
    assert SlotKey(1, Stage.ITERATIVE, 0) not in by_slot
    tried = bench.history.slot(SlotKey(1, Stage.ITERATIVE, 0))
    second = by_slot[SlotKey(1, Stage.ITERATIVE, 2)]
    assert (second.parent, second.refines) == (tried.parent, tried.refines)


@pytest.mark.parametrize("is_eligible", [False, True])
def test_the_paper_keeps_the_base_out_of_later_parents(ideas, is_eligible):
    class BestBase(InlineExecutor):
        def messages(self, *, timeout_seconds):
            told = super().messages(timeout_seconds=timeout_seconds)
            best = trained(0.99)
            return tuple(replace(one, outcome=best) if _is_of_base(one) else one for one in told)

    bench = Bench(ideas, executor=BestBase(), plan={**PLAN, "base_is_eligible": is_eligible})
    bench.run()
    later = [child for child in bench.children if child.key.stage in {Stage.FAIR, Stage.PARETO}]
    assert any(child.parent == 0 for child in later) == is_eligible


def _is_of_base(message):
    return isinstance(message, Finished) and message.training.child_id == 0


def test_the_longest_training_is_predicted_from_measured_steps(ideas):
    bench = Bench(ideas, budget=4, recipe={"epochs": 3})
    bench.run()
    # 3 epochs of 100 images at 0.01 s for 10 images.
    assert [training.predicted_seconds for training in bench.executor.submitted] == pytest.approx([0.3] * 5)


def test_the_history_tells_where_slot_time_went(ideas):
    bench = Bench(ideas)
    bench.run()
    assert len(bench.history.events("stage")) == 7


WIDE = {"initial": 6, "fair": 4, "pareto": 2, "iterative_parents": 4, "iterative_steps": 2}


def picky():
    return TextVerifier(refuses=lambda source: Failure.STRUCTURE if digest(source) % 3 == 0 else None)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("concurrency", [1, 2, 5])
@pytest.mark.parametrize("order", [lambda waiting: 0, lambda waiting: len(waiting) - 1], ids=["first", "last"])
def test_how_many_are_drafted_at_once_and_what_ends_first_change_nothing(ideas, concurrency, order, seed):
    plain = Bench(ideas, plan=WIDE, seed=seed, verifier=picky(), drafts={"concurrency": 3})
    drafts = {"concurrency": concurrency}
    executor = InlineExecutor(order=order)
    other = Bench(ideas, plan=WIDE, seed=seed, verifier=picky(), drafts=drafts, executor=executor)
    plain.run()
    other.run()
    assert plain.history.content() == other.history.content()


@pytest.mark.parametrize("stop_after", range(1, 22, 2))
def test_a_search_that_was_stopped_in_a_step_sees_what_its_decisions_saw(ideas, stop_after):
    whole = Bench(ideas, plan=WIDE, budget=22, verifier=picky())
    whole.run()

    class Unplugged(History):
        def record_slot(self, filled):
            if len(self.children()) > stop_after:
                raise KeyboardInterrupt
            return super().record_slot(filled)

    stopped = Bench(ideas, plan=WIDE, budget=22, verifier=picky())
    stopped.history.__class__ = Unplugged
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    stopped.history.__class__ = History
    resumed = Bench(ideas, plan=WIDE, budget=22, verifier=picky(), history=stopped.history)
    resumed.run()
    assert resumed.history.content() == whole.history.content()


def test_a_base_that_failed_is_tried_again_and_the_search_is_the_same(ideas):
    bench = Bench(ideas, executor=InlineExecutor(fails=lambda training: training.child_id == 0))
    with pytest.raises(ExecutorError, match="`fairnad resume` tries again"):
        bench.run()
    resumed, whole = Bench(ideas, history=bench.history), Bench(ideas)
    resumed.run()
    whole.run()
    assert resumed.history.content() == whole.history.content()


def test_trainings_are_seen_to_their_end_when_a_model_cannot_be_asked(ideas):
    class Spent(TextGenerator):
        def draft(self, request):
            if len(self.requests) > 5:
                raise SpendLimitError("llm.max_cost is reached")
            return super().draft(request)

    bench = Bench(ideas, generator=Spent())
    with pytest.raises(SpendLimitError):
        bench.run()
    assert all(child.outcome is not None for child in bench.children)


def test_a_network_that_was_recorded_meanwhile_is_drafted_anew(ideas):
    """All first drafts of a stage are the same: each place but the first needs another idea."""
    verifier = TextVerifier(name=lambda source: source if "/0/write" not in source.splitlines()[-1] else "same")
    bench = Bench(ideas, verifier=verifier, budget=4, drafts={"concurrency": 4})
    bench.run()
    filled = [bench.history.slot(SlotKey(0, Stage.INITIAL, number)) for number in range(4)]
    assert [[judged.verdict.failure for judged in slot.drafts] for slot in filled] == [
        [None],
        *[[Failure.STRUCTURE, None]] * 3,
    ]
    assert len({child.graph_hash for child in bench.children}) == 5


@pytest.mark.parametrize("schedule", ["stage", "async"])
def test_a_writer_is_told_of_the_children_that_the_decision_knew(ideas, schedule):
    bench = Bench(ideas, schedule=schedule)
    bench.run()
    known = {
        f"0/{key.generation}/{key.stage.value}/{key.slot}": one.known for key, one in bench.history.decisions().items()
    }
    assert bench.generator.requests
    for request in bench.generator.requests:
        slot = request.seed.removesuffix("/write").rpartition("/")[0]
        assert tuple(child.id for child in request.earlier) == known[slot]
        assert all(child.accuracy is not None for child in request.earlier if child.id)


def test_without_stages_the_budget_is_spent_on_what_is_known_by_then(ideas):
    bench = Bench(ideas, schedule="async")
    bench.run()
    assert sum(child.accuracy is not None for child in bench.children[1:]) == 28
    decisions = bench.history.decisions()
    assert sorted(one.decided for one in decisions.values()) == list(range(1, 29))
    for child in bench.children[1:]:
        known = decisions[child.key].known
        assert child.parent in known
        assert all(other < child.id for other in known)
    stages = {child.key.stage for child in bench.children}
    assert stages == {Stage.BASE, Stage.INITIAL, Stage.FAIR, Stage.PARETO, Stage.ITERATIVE}


@pytest.mark.parametrize("schedule", ["stage", "async"])
@pytest.mark.parametrize("order", [lambda waiting: 0, lambda waiting: len(waiting) - 1], ids=["first", "last"])
def test_a_search_is_the_same_when_its_decisions_are_taken_again(ideas, schedule, order):
    refuses = TextVerifier(refuses=lambda source: Failure.STRUCTURE if digest(source) % 3 == 0 else None)
    bench = Bench(ideas, schedule=schedule, executor=InlineExecutor(order=order), verifier=refuses)
    bench.run()
    again = Bench(ideas, schedule=schedule, executor=RecordedExecutor(bench.history), verifier=refuses)
    recorded = RecordedSchedule(bench.config.plan, bench.history.decisions())
    again.search = Search(again.config, again.tools, Progress(28, 2), schedule=recorded)
    again.run()
    assert again.history.content() == bench.history.content()


def test_a_killed_search_without_stages_loses_and_doubles_nothing(ideas):
    class Unplugged(InlineExecutor):
        def messages(self, *, timeout_seconds):
            if len(stopped.history.children()) > 9:
                raise KeyboardInterrupt
            return super().messages(timeout_seconds=timeout_seconds)

    stopped = Bench(ideas, executor=Unplugged(), schedule="async")
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    evaluated = {child.id for child in stopped.children if child.outcome is not None}
    resumed = Bench(ideas, history=stopped.history, schedule="async")
    resumed.run()
    assert not evaluated & {training.child_id for training in resumed.executor.submitted}
    assert sum(child.accuracy is not None for child in resumed.children[1:]) == 28


class Half(FairIdeaMutation):
    """Gives one parent, however many are asked for."""

    def parents(self, known, count):
        return super().parents(known, 1)


def test_a_mutation_that_gives_too_few_parents_is_named(ideas):
    bench = Bench(ideas, budget=12, plan={"mutations": {"I": f"{__name__}:Half"}})
    with pytest.raises(ConfigError, match=r"the mutation Half gave 1 parents of \d"):
        bench.run()
