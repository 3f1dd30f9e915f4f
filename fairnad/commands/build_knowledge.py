"""`fairnad build-knowledge`: from a folder of papers to a database of design ideas, as one long job."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairnad.errors import ConfigError
from fairnad.logs import log_to

if TYPE_CHECKING:
    from rich.console import Console

    from fairnad.knowledge.build.job import Built, Told
    from fairnad.knowledge.build.pipeline import Progress
    from fairnad.llm.spend import Spent

__all__ = ["Extraction", "build_knowledge"]

_SECONDS_BETWEEN_LINES = 30.0


class Extraction(str, Enum):
    """Who finds ideas in papers."""

    LLM = "llm"
    KEYWORDS = "keywords"


def build_knowledge(
    papers: Annotated[
        Path | None, typer.Argument(metavar="[PAPERS]", help="Folder of papers (.pdf, .txt, .md), searched in depth.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the result; the same one goes on.")] = None,
    llm: Annotated[
        str | None, typer.Option(metavar="URL|local:FILE|none", help="Endpoint, or a GGUF file to serve meanwhile.")
    ] = None,
    extractor: Annotated[Extraction | None, typer.Option(help="Without it llm, if one is configured.")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.py|NAME|all", help="Reference model that the attribute tree is built from."),
    ] = None,
    tree: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Attribute tree; the shipped one without it.")
    ] = None,
    max_papers: Annotated[int | None, typer.Option(min=1, help="Only the first papers.")] = None,
    cvpr: Annotated[
        int | None, typer.Option(metavar="YEAR", help="Fetch the papers of a CVPR first; without PAPERS, into --out.")
    ] = None,
    config: Annotated[str, typer.Option(help="Configuration: a shipped one by name, or a FILE.yaml.")] = "default",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override of one setting.")] = None,
) -> None:
    """Build a database of design ideas from papers; stopped or killed, the same command goes on."""
    from rich.console import Console

    from fairnad.config import load_config
    from fairnad.knowledge.build.loading import loading

    try:
        with loading():
            from fairnad.knowledge.build.job import Plan, build
    except ImportError as error:
        raise ConfigError(f"building knowledge needs {error.name}: pip install 'fairnad[knowledge]'") from error

    console = Console(stderr=True)
    if cvpr is not None:
        folder = papers or out or Path(f"cvpr{cvpr}")
        _fetch(cvpr, folder, max_papers, console)
        if papers is None:
            print(f"next: fairnad build-knowledge {folder}")
            return
    if papers is None:
        raise ConfigError("name a folder of papers, or fetch some: --cvpr YEAR")
    if tree is not None and reference:
        raise ConfigError("--tree gives the attribute tree and --reference builds one: choose")
    with loading():
        settings = load_config(config, [*_endpoint(llm), *(set_ or [])])
    has_llm = settings.llm.base_url is not None
    plan = Plan(
        papers=papers,
        out=out or Path(f"{papers.resolve().name}-knowledge"),
        config=settings,
        uses_llm=_uses_llm(extractor, has_llm=has_llm, has_references=bool(reference)),
        tree=tree,
        references=tuple(reference or ()),
        max_papers=max_papers,
    )
    if extractor is None and not plan.uses_llm:
        _say(
            console, "no language model is configured (--llm URL): ideas are found by keywords, which is of lower grade"
        )
    with log_to(plan.out, console=console), _shown(console) as told:
        built = build(plan, told)
    print("\n".join(_summary(built)))


def _endpoint(llm: str | None) -> list[str]:
    """Return what `--llm` sets in the configuration."""
    if llm is None:
        return []
    return ["llm.base_url=null" if llm == "none" else f"llm.base_url={json.dumps(llm)}"]


def _uses_llm(extractor: Extraction | None, *, has_llm: bool, has_references: bool) -> bool:
    if not has_llm and (has_references or extractor is Extraction.LLM):
        what = "--reference" if has_references else "--extractor llm"
        raise ConfigError(f"{what} asks a language model: name one by --llm URL, --llm local:FILE or llm.base_url")
    return has_llm if extractor is None else extractor is Extraction.LLM


def _fetch(year: int, folder: Path, limit: int | None, console: Console) -> None:
    from fairnad.knowledge.build.openaccess import fetch_cvpr
    from fairnad.knowledge.build.sources import count_papers

    with log_to(folder, console=console):
        fetched = fetch_cvpr(year, folder, limit=limit)
    failed = f", {len(fetched.failed)} could not be fetched" if fetched.failed else ""
    print(f"in {folder}: {count_papers(len(fetched.papers))} of CVPR {year}, {fetched.num_new} new{failed}")


@contextmanager
def _shown(console: Console) -> Iterator[Told]:
    """Yield what shows how far a build is: a bar in a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _Lines(console).told
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    state = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    columns = (BarColumn(bar_width=12), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("left,"), state)
    with Bar(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda progress, spent: bar.update(task, completed=progress.share, description=_state(progress, spent))


class _Lines:
    """Prints how far a build is, not more often than every half minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._last = time.monotonic()
        self._first: float | None = None

    def told(self, progress: Progress, spent: Spent) -> None:
        """Take note, and print what is due."""
        first = self._first = progress.share if self._first is None else self._first
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        from fairnad.terminal import duration

        left = (now - self._began) * (1.0 - progress.share) / max(progress.share - first, 1e-9)
        told = f"about {duration(left)} left" if progress.share > first else "time left unknown"
        _say(self._console, f"{100 * progress.share:.0f} %, {told}; {_state(progress, spent)}")


def _state(progress: Progress, spent: Spent) -> str:
    parts = [f"{progress.finished}/{progress.papers} papers", f"{progress.kept} kept"]
    parts += [f"{progress.skipped} skipped"] if progress.skipped else []
    parts += [f"{progress.ideas} ideas"]
    parts += [f"cost {spent.cost:.2f}", f"{spent.tokens / 1000:.0f}k tokens"] if spent.tokens else []
    return ", ".join(parts)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _summary(built: Built) -> Iterator[str]:
    """Yield the lines that tell what came of a build, and what to do next."""
    from fairnad.knowledge.build.sources import count_papers

    outcome = built.outcome
    skipped = Counter(one.reason for one in built.skipped)
    papers = [count_papers(built.papers), f"{outcome.kept} kept", _counted("not kept", outcome.rejected)]
    yield f"papers  {', '.join([*papers, _counted('skipped', skipped)])}"
    ideas = [f"{outcome.found} found", _counted("dropped", outcome.dropped), f"{outcome.merged} merged into others"]
    yield f"ideas   {', '.join(ideas)}: {len(outcome.lines)} in the database, grade {built.grade}"
    if built.spent.tokens:
        yield f"spent   {built.spent.tokens:,} tokens, cost {built.spent.cost:.4g}"
    yield f"result  {built.ideas}"
    yield f"next    fairnad knowledge stats {built.out}; fairnad search --knowledge {built.out}"


def _counted(what: str, reasons: Mapping[str, int]) -> str:
    told = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    return f"{sum(reasons.values())} {what}" + (f" ({told})" if told else "")
