"""Whole runs in no time, in real folders: what `fairnad compare` makes, on the stand-ins of fakes.py."""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import replace

from fairnad.config import Config, dump_config, read_config
from fairnad.executors.base import Finished, Training
from fairnad.history.store import History
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.mutations.base import Workshop
from fairnad.records import Draft, FilledSlot, JudgedDraft, SlotKey, Stage, Trained
from fairnad.resources import resource
from fairnad.search.compare import Steps, compare_plan, run_compare
from fairnad.search.loop import Search, Tools
from fairnad.search.progress import Progress
from fairnad.search.recheck import recheck, train_again
from fairnad.search.retrain import final_seeds
from fairnad.search.strategies import apply
from fairnad.verification.base import Known
from tests.fakes import InlineExecutor, TextGenerator, TextVerifier, digest

PLAN = {"initial": 4, "fair": 4, "pareto": 4, "iterative_parents": 2, "iterative_steps": 2}


def accuracy(training: Training) -> float:
    """A network has a worth, a training has luck, and the two splits do not share it."""
    luck = digest(f"{training.source} {training.seed} {training.split}") % 1000
    return 0.5 + digest(training.source) % 1000 / 5000 + luck / 5000


class LuckyExecutor(InlineExecutor):
    """Trains by `accuracy`; kills its own process, as kill -9 does, when `die_after` trainings are recorded."""

    def __init__(self, *, die_after=None, fails=lambda training: False, order=lambda waiting: 0) -> None:
        super().__init__(fails=fails, order=order)
        self.die_after = die_after
        self.num_told = 0

    def messages(self, *, timeout_seconds):
        told = super().messages(timeout_seconds=timeout_seconds)
        if told and self.num_told == self.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        self.num_told += bool(told)
        return tuple(self._scored(message) for message in told)

    @staticmethod
    def _scored(message):
        if not isinstance(message, Finished) or not isinstance(message.outcome, Trained):
            return message
        training = message.training
        return replace(message, outcome=replace(message.outcome, accuracy=accuracy(training), split=training.split))


def steps(executor=None) -> Steps:
    """Return the steps of a job whose trainings are those of `executor`."""
    executor = executor or LuckyExecutor()
    return Steps(
        start=lambda config, folder: start(config, folder, executor),
        resume=lambda folder: resume(folder, executor),
        finish=lambda folder, number: finish(folder, number, executor),
    )


def start(config, folder, executor):
    settings = config.model_dump(mode="json")
    with History.create(folder, name=folder.name, config=settings, seed=config.seed, dataset=config.dataset) as history:
        (folder / "config.yaml").write_text(dump_config(config))
        source = "# base, widened" if apply(config).base.widened else "# base"
        judged = JudgedDraft(Draft(source, "base", None), TextVerifier().judge(source, Known()), 0)
        history.record_slot(FilledSlot(SlotKey(0, Stage.BASE, 0), None, None, (judged,), 0))
        _search(config, history, executor)


def resume(folder, executor):
    with History.open(folder, write=True) as history:
        _search(read_config(folder / "config.yaml"), history, executor)


def finish(folder, number, executor):
    with History.open(folder, write=True) as history:
        best = history.best()
        train_again(
            history,
            executor,
            [Training(best.id, best.source, seed, 0.0, split="test") for seed in final_seeds(history.run.seed, number)],
        )


def _search(config, history, executor):
    config = apply(config)
    workshop = Workshop(_ideas(), SamplingLevel(config.ideas.level), config.limits, config.plan)
    tools = Tools(history, executor, TextGenerator(), TextVerifier(), workshop, num_train_images=100)
    Search(config, tools, Progress(config.budget, executor.num_slots)).run()
    recheck(history, executor, config, 100)
    history.set_state("finished")


@functools.cache
def _ideas():
    return IdeaDatabase.load(resource("knowledge", "ideas.jsonl"), AttributeTree.load())


def plan(*, strategies=None, num_seeds=3, reference=None, final_trainings=2, **settings):
    config = Config.model_validate({"budget": 12, "plan": PLAN, "limits": {"params": 10_000}, **settings})
    return compare_plan(
        config, strategies=strategies, num_seeds=num_seeds, reference=reference, final_trainings=final_trainings
    )


def job(folder, *, executor=None, **settings):
    """Run a whole job in `folder`, and return what it told."""
    told: list[str] = []
    run_compare(plan(**settings), folder, steps=steps(executor), told=told.append)
    return told


def evaluations(folder):
    """Return all that the runs of a job hold of trainings: (run, child, purpose, seed) -> accuracy."""
    found = {}
    for place in sorted(path.parent for path in folder.glob("*/history.db")):
        with History.open(place) as history:
            for child in history.children():
                for one in history.evaluations(child.id):
                    found[place.name, child.id, one.purpose, one.seed] = getattr(one.outcome, "accuracy", None)
    return found
