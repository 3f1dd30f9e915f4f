"""`fairnad compare`: several strategies on one setting, with picks scored on the test split, as a table and a page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fairnad.search.compare import ComparePlan

__all__ = ["compare"]


def compare(
    config: Annotated[str, typer.Option(help="Configuration: a shipped one by name, or a FILE.yaml.")] = "demo",
    strategies: Annotated[str | None, typer.Option(metavar="A,B,C", help="Which ones; all without it.")] = None,
    budget: Annotated[int | None, typer.Option(help="Trainings that a search may spend.")] = None,
    seeds: Annotated[int, typer.Option(help="Searches of each strategy.")] = 5,
    reference: Annotated[str | None, typer.Option(help="The strategy that others are compared with.")] = None,
    final_trainings: Annotated[int, typer.Option(help="Fresh trainings of each pick, on the test split.")] = 3,
    recheck: Annotated[
        str | None, typer.Option(metavar="10x2", help="Train the ten best twice more; the budget pays.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override of one setting.")] = None,
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the job; the same name goes on.")] = None,
    from_: Annotated[
        list[Path] | None, typer.Option("--from", metavar="RUNS", help="Train nothing; the table of stored runs.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of table.md and page.html; the job's without it.")] = None,
) -> None:
    """Compare strategies by searches on equal terms; killed, the same command goes on."""
    from fairnad.config import load_config
    from fairnad.report.figures import check_matplotlib
    from fairnad.search.compare import compare_plan

    check_matplotlib()
    if from_:
        _report(from_, reference, out or from_[0])
        return
    given = {"budget": budget, "recheck": recheck}
    overrides = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    settings = load_config(config, [*overrides, *(set_ or [])])
    plan = compare_plan(
        settings, strategies=strategies, num_seeds=seeds, reference=reference, final_trainings=final_trainings
    )
    folder = Path("runs") / (run or f"compare-{re.sub('[^a-z0-9-]+', '-', settings.dataset.lower())}")
    _run(plan, folder)
    _report([folder], reference, out or folder)


def _run(plan: ComparePlan, folder: Path) -> None:
    from rich.console import Console

    from fairnad.logs import log_to
    from fairnad.search.compare import run_compare

    console = Console()
    with log_to(folder, console=console):
        run_compare(
            plan,
            folder,
            told=lambda line: console.print(line, style="bold", highlight=False, soft_wrap=not console.is_terminal),
        )


def _report(folders: list[Path], reference: str | None, out: Path) -> None:
    from fairnad.report.comparison import read_comparison
    from fairnad.report.page import write_report
    from fairnad.report.table import markdown

    comparison = read_comparison(folders, reference=reference)
    paths = write_report(comparison, out)
    print(markdown(comparison))
    for path in paths:
        print(path)
