"""What people see in a terminal: the live view of a search, and tables of a finished one. Returns rich renderables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import fmean, mean, stdev

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fairnad.errors import name_of
from fairnad.history.lock import standing
from fairnad.history.pass_rates import FailureKind
from fairnad.history.store import History
from fairnad.records import Child, Costs, Failed, Failure, Stage, Trained
from fairnad.search.progress import Progress, SlotTime
from fairnad.search.retrain import Retrained
from fairnad.verification.files import CheckedFile

__all__ = ["duration", "farewell", "leaderboard", "live_view", "llm_summary", "retrained", "summary", "verdict_line"]

_STAGE_NAMES = {
    Stage.BASE: "base",
    Stage.INITIAL: "initial children",
    Stage.FAIR: "I fair ideas",
    Stage.PARETO: "II Pareto",
    Stage.ITERATIVE: "III iterative",
}


def live_view(name: str, progress: Progress) -> RenderableType:
    """Return the whole live view of the run `name`."""
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(name, style="bold"),
        ProgressBar(total=progress.budget, completed=progress.num_trained, width=30),
        f"{progress.num_trained} of {progress.budget} children",
        Text(f"{duration(time.time() - progress.began)} gone, {_left(progress)}", style="dim"),
    )
    generation = f"generation {progress.generation}, " if progress.generation else ""
    where = Text(f"{generation}{_STAGE_NAMES[progress.stage]}: {progress.activity}", style="dim")
    best = best_line(progress.best, progress.base, {})
    parts: list[RenderableType] = [head, where, best, _slots(progress)]
    if progress.rejections or progress.num_failed or progress.num_empty:
        parts.append(rejections_line(progress.rejections, progress.num_failed, progress.num_empty))
    return Group(*parts)


def best_line(best: Child | None, base: Child | None, again: Mapping[int, Sequence[float]]) -> Text:
    """Return one line on the best child so far, and its gain over the base; means where children trained `again`."""
    if best is None or best.accuracy is None:
        return Text("best so far: none is trained yet", style="dim")
    accuracy = fmean(again.get(best.id, [best.accuracy]))
    line = Text("best so far: ")
    line.append(f"{100 * accuracy:.2f} % validation", style="bold green")
    if best.id in again:
        line.append(f", the mean of {len(again[best.id])} trainings")
    if base is not None and base.accuracy is not None and best.id != base.id:
        line.append(f" ({100 * (accuracy - fmean(again.get(base.id, [base.accuracy]))):+.2f} over the base)")
    line.append(f", child {best.id}, {costs_text(best.costs)}")
    return line


def costs_text(costs: Costs) -> str:
    """Return params and FLOPs in the units of the field."""
    return f"{costs.params / 1e6:.3f} M params, {costs.flops / 1e6:.2f} M FLOPs"


def rejections_line(rejections: Mapping[Failure, int], num_failed: int, num_empty: int) -> Text:
    """Return one line on what was refused, where, and how often."""
    told = [f"{failure.value} {count}" for failure, count in sorted(rejections.items(), key=lambda item: -item[1])]
    line = Text("rejected drafts: ", style="dim")
    line.append(", ".join(told) or "none")
    if num_failed:
        line.append(f"; failed trainings: {num_failed}", style="yellow")
    if num_empty:
        line.append(f"; slots left empty: {num_empty}", style="yellow")
    return line


def slot_time_line(spent: SlotTime, trained_seconds: float) -> Text:
    """Return one line on where the time of the slots went; `trained_seconds` is known before a stage has ended."""
    total = spent.training + spent.barrier + spent.drafting
    if not total:
        known = f"{duration(trained_seconds)} of training" if trained_seconds else "no child was trained"
        return Text(f"slot time: {known}; no stage has ended yet", style="dim")
    shares = {"training": spent.training, "barrier of the stages": spent.barrier, "drafting": spent.drafting}
    told = ", ".join(f"{name} {100 * seconds / total:.1f} %" for name, seconds in shares.items())
    return Text(f"slot time ({duration(total)} in all slots): {told}")


def leaderboard(history: History, *, rows: int) -> Table:
    """Return the table of the best children, the best first."""
    again = history.rechecked_accuracies()
    title = "leaderboard: accuracy on the validation split, last epoch; gain over the parent; generation/stage"
    if again:
        title += "; children trained again come first, by the mean of all their trainings (how many)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, expand=True, padding=0, show_edge=False)
    for column in ("child", *(["mean %"] if again else []), "acc. %", "gain", "params\nM", "FLOPs\nM", "parent"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    table.add_column("idea", overflow="ellipsis", no_wrap=True, ratio=1)
    children = history.children()
    accuracies = {child.id: child.accuracy for child in children}
    for child in history.leaderboard()[:rows]:
        before = accuracies.get(child.parent) if child.parent is not None else None
        gain = f"{100 * ((child.accuracy or 0) - before):+.2f}" if before is not None else ""
        table.add_row(
            str(child.id),
            *([_mean(again.get(child.id, ()))] if again else []),
            f"{100 * (child.accuracy or 0):.2f}",
            gain,
            f"{child.costs.params / 1e6:.3f}",
            f"{child.costs.flops / 1e6:.2f}",
            "" if child.parent is None else str(child.parent),
            f"{child.key.generation}/{child.key.stage.value}",
            _idea(child),
        )
    failed = [(child.id, child.outcome) for child in children if isinstance(child.outcome, Failed)]
    if failed:
        table.caption = "failed trainings: " + ", ".join(f"{number} ({one.failure.value})" for number, one in failed)
    return table


def summary(history: History, folder: Path) -> RenderableType:
    """Return what `show` says below the leaderboard: state, counts, rejections, and where the time went."""
    children, totals = history.children(), history.totals()
    keys = [one.name for one in fields(SlotTime)]
    spent = [event.data for event in history.events("stage")]
    total = SlotTime(**{key: sum(one[key] for one in spent) for key in keys})
    counted = f"{totals.trained} of {history.config['budget']} children trained"
    if totals.rechecks:
        counted = f"{totals.trained} children and {totals.rechecks} rechecks of {history.config['budget']} trainings"
    num_failed = sum(isinstance(child.outcome, Failed) for child in children)
    base = children[0] if children else None
    return Group(
        "",
        f"run {history.run.name}: {standing(folder, history.state)}; {counted} on {history.run.dataset}, "
        f"seed {history.run.seed}",
        best_line(history.best(), base, history.rechecked_accuracies()),
        rejections_line(history.rejections(), num_failed, totals.empty_slots),
        slot_time_line(total, totals.slot_seconds),
    )


def llm_summary(history: History) -> RenderableType:
    """Return what the calls of a language model took, what became of them, and how its drafts failed."""
    tasks, rates = history.task_calls(), history.pass_rates()
    if not tasks:
        return "No language model was called in this run."
    table = Table("task", title="calls of the language model", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("calls", "failed", "prompt tokens", "reply tokens", "cost", "median s", "drafts accepted"):
        table.add_column(name, justify="right")
    for one in tasks:
        drafts, accepted = rates.get(one.task, (0, 0))
        table.add_row(
            one.task,
            f"{one.calls}",
            f"{one.failed}",
            f"{one.prompt_tokens:,}",
            f"{one.reply_tokens:,}",
            f"{one.cost:.4f}",
            f"{one.latency_seconds:.1f}",
            f"{accepted} of {drafts} ({accepted / drafts:.0%})" if drafts else "-",
        )
    kinds = history.failure_kinds()
    failures = ", ".join(f"{kind.value} {kinds[kind]}" for kind in FailureKind if kinds[kind]) or "none"
    return Group(table, f"refused drafts by kind of failure: {failures}")


def farewell(folder: Path, best: Child) -> RenderableType:
    """Return what a finished search says last; of a network that was trained again, the mean of its trainings."""
    with History.open(folder) as history:
        mean_accuracy = history.rechecked().get(best.id)
    accuracy = f"{100 * (best.accuracy or 0):.2f} % on the validation split"
    if mean_accuracy is not None:
        accuracy = f"{100 * mean_accuracy:.2f} % on the validation split, the mean of all its trainings"
    return Group(
        Text(""),
        Text(f"The best network of {folder} is child {best.id}: ", style="bold").append(
            f"{accuracy}, {costs_text(best.costs)}", style="bold green"
        ),
        f"  fairnad lineage {name_of(folder)} {best.id}",
        f"  fairnad show {name_of(folder)}",
        f"  fairnad export {name_of(folder)} --out best-network",
    )


def retrained(done: Retrained) -> RenderableType:
    """Return what the final trainings of a child came to."""
    accuracies = [100 * accuracy for accuracy in done.accuracies]
    failed = [outcome for outcome in done.outcomes if isinstance(outcome, Failed)]
    counted = "" if done.fvcore_flops is None else f", fvcore's own count {done.fvcore_flops:,} FLOPs"
    lines: list[RenderableType] = [f"child {done.child.id}, {costs_text(done.child.costs)}{counted}"]
    if accuracies:
        spread = f" +- {stdev(accuracies):.2f} %" if len(accuracies) > 1 else " %, no spread from one seed"
        seeds = ", ".join(str(outcome.seed) for outcome in done.outcomes if isinstance(outcome, Trained))
        lines.append(f"test split, last epoch: {mean(accuracies):.2f}{spread} (n = {len(accuracies)}, seeds {seeds})")
    lines += [Text(f"failed: {outcome.failure.value}: {outcome.reason}") for outcome in failed]
    return Group(*lines)


def verdict_line(checked: CheckedFile) -> str:
    """Return the verdict on one file as a line of text."""
    verdict = checked.verdict
    if verdict.is_accepted and verdict.costs is not None:
        notes = [costs_text(verdict.costs), *(["dynamic"] if verdict.is_dynamic else []), *verdict.warnings]
        if verdict.dead_parameters:
            notes.append(f"parameters without a gradient: {', '.join(verdict.dead_parameters[:5])}")
        return f"{checked.file}: accepted, {'; '.join(notes)}"
    stage = verdict.failure.value if verdict.failure else ""
    details = f"\n{verdict.details.rstrip()}" if verdict.details else ""
    told = f"{checked.file}: rejected ({stage}): {verdict.reason}{details}"
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in told)  # it may hold codes


def _mean(accuracies: Sequence[float]) -> str:
    return f"{100 * fmean(accuracies):.2f} ({len(accuracies)})" if accuracies else ""


def _idea(child: Child) -> Text:
    """Return the idea of a child, what it is about first: a narrow terminal shows no more."""
    if child.idea is None:
        return Text("the base network")
    return Text(f"{child.idea.main or child.idea.kind.value}: {child.idea.text}")  # what a model writes is no markup


def _slots(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    running = dict(progress.running)
    for slot in range(progress.num_slots):
        if slot not in running:
            table.add_row(f"slot {slot}", Text("idle", style="dim"))
            continue
        child, since = running[slot]
        idea = child.idea.text if child.idea else "the base network"
        table.add_row(
            f"slot {slot}",
            f"child {child.id}",
            duration(time.time() - since),
            Text(idea, style="dim", overflow="ellipsis", no_wrap=True),
        )
    return table


def _left(progress: Progress) -> str:
    seconds = progress.seconds_left
    return "time left not known yet" if seconds is None else f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return `seconds` for people: as seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
