"""The command line: one short function a command.

Rooms are imported where they are used, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairnad import __version__
from fairnad.commands import compare, serve
from fairnad.commands import knowledge as knowledge_commands
from fairnad.commands import llm as llm_commands
from fairnad.commands.runs import RunArgument, begun_folder, stoppable, watch
from fairnad.errors import ConfigError, FairNADError

if TYPE_CHECKING:
    from fairnad.config import Config

__all__ = ["app", "main"]

_STRATEGY_HELP = (  # the names are not imported: `--help` answers at once
    "fairnad, or one that it is compared with: base, widen, random-idea, best-of-n or regularised-evolution."
)
DataRootOption = Annotated[str | None, typer.Option(metavar="FOLDER", help="Folder of the data sets.")]
SplitDirOption = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Folder of the published NAS-Bench-201 split files.")
]
SEARCH, LOOK, COMPARE, KNOWLEDGE, LLM, CARE = "Search", "Look", "Compare", "Knowledge", "LLM", "Care"

app = typer.Typer(
    name="fairnad",
    help="Neural architecture search that mutates source code by design ideas. Runs are kept in ./runs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


class LineageFormat(str, Enum):
    """Formats of `fairnad lineage`."""

    TREE = "tree"
    DOT = "dot"
    GRAPHML = "graphml"
    JSON = "json"


class Integrity(str, Enum):
    """What a network that mixes the images of a batch is told."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"


@app.command(rich_help_panel=SEARCH)
def search(
    dataset: Annotated[str | None, typer.Option(help="Data set; its configuration is taken if none is given.")] = None,
    budget: Annotated[int | None, typer.Option(help="Children to train to the end.")] = None,
    base: Annotated[
        str | None, typer.Option(metavar="NAME|FILE.py|FOLDER", help="Base network; a folder is one that export made.")
    ] = None,
    slots: Annotated[int | None, typer.Option(help="Children trained at once.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, or cuda:0,1.")] = None,
    streams_per_gpu: Annotated[int | None, typer.Option(help="Children side by side on one GPU.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of one training.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.")] = None,
    schedule: Annotated[str | None, typer.Option(help="stage (the paper), or async: no stage waits.")] = None,
    strategy: Annotated[str | None, typer.Option(help=_STRATEGY_HELP)] = None,
    recheck: Annotated[
        str | None, typer.Option(metavar="10x2", help="Train the ten best twice more; the budget pays.")
    ] = None,
    llm: Annotated[
        str | None, typer.Option(metavar="URL", help="Who writes: an endpoint, local:FILE.gguf, or none.")
    ] = None,
    knowledge: Annotated[str | None, typer.Option(metavar="PATH", help="Ideas that build-knowledge made.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration: a shipped one by name, or a FILE.yaml.")] = None,
    data_root: DataRootOption = None,
    split_dir: SplitDirOption = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override of one setting.")] = None,
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run.")] = None,
) -> None:
    """Search for a better network within the limits."""
    from fairnad.search.run import start_search

    if base is not None and (Path(base) / "model.py").is_file():
        base = str(Path(base) / "model.py")
    given = {
        "dataset": dataset,
        "budget": budget,
        "executor.slots": slots,
        "executor.device": device,
        "executor.streams_per_gpu": streams_per_gpu,
        "executor.threads": threads,
        "seed": seed,
        "schedule": schedule,
        "strategy": strategy,
        "recheck": recheck,
        "ideas.path": knowledge,
        "data_root": data_root,
        "split_dir": split_dir,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if base is not None:
        is_file = base.endswith(".py")
        given |= {"base.file": base} if is_file else {"base.name": base, "base.file": None}
    if llm is not None:
        given["drafts.generator"] = "rules" if llm == "none" else "llm"
        given["llm.base_url"] = None if llm == "none" else llm
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]
    settings = _settings(config, dataset, [*overrides, *(set_ or [])])
    folder = Path("runs") / (
        run or f"{re.sub('[^a-z0-9-]+', '-', settings.dataset.lower())}-{datetime.now():%Y%m%d-%H%M%S}"
    )
    watch(folder, lambda observer: start_search(settings, folder, observer=observer))


@app.command(rich_help_panel=SEARCH)
def resume(run: RunArgument, data_root: DataRootOption = None) -> None:
    """Go on with a search that was stopped."""
    from fairnad.history.store import History
    from fairnad.search.run import resume_search

    folder = begun_folder(run)
    with History.open(folder) as history:
        if history.state == "finished":
            print(f"{folder.name} is already finished")
    watch(folder, lambda observer: resume_search(folder, observer=observer, data_root=data_root))


@app.command(rich_help_panel=SEARCH)
def retrain(
    run: RunArgument,
    child: Annotated[str, typer.Argument(metavar="[ID]", help="The child, or 'best'.")] = "best",
    seeds: Annotated[int, typer.Option(min=1, help="How many fresh seeds.")] = 3,
    data_root: DataRootOption = None,
) -> None:
    """Train the pick with fresh seeds and score it on the test split, which no search opens."""
    from rich.console import Console

    from fairnad import terminal
    from fairnad.logs import log_to
    from fairnad.search.retrain import retrain as retrain_child

    child_id = _child_id(child)
    folder, console = begun_folder(run), Console()
    with stoppable(), log_to(folder, console=console):
        done = retrain_child(folder, child_id, num_seeds=seeds, data_root=data_root)
    console.print(terminal.retrained(done))


def _child_id(child: str) -> int | None:
    """Return the id of the child that was named, None for the best one."""
    if child != "best" and not child.isdecimal():
        raise ConfigError(f"child {child!r}: expected a number or 'best'")
    return None if child == "best" else int(child)


@app.command(rich_help_panel=LOOK)
def show(
    run: RunArgument,
    rows: Annotated[int, typer.Option(min=0, help="Rows of the leaderboard.")] = 10,
    llm: Annotated[bool, typer.Option("--llm", help="The calls of the language model instead.")] = False,
) -> None:
    """Show the leaderboard, what was rejected, and where the time went."""
    from rich.console import Console

    from fairnad import terminal
    from fairnad.history.store import History

    console, folder = Console(), begun_folder(run)
    with History.open(folder) as history:
        if llm:
            console.print(terminal.llm_summary(history))
            return
        console.print(terminal.leaderboard(history, rows=rows))
        console.print(terminal.summary(history, folder), soft_wrap=not console.is_terminal)


@app.command(rich_help_panel=LOOK)
def lineage(
    run: RunArgument,
    child: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="Only this child, its ancestors and its descendants.")
    ] = None,
    format_: Annotated[LineageFormat, typer.Option("--format", help="How to write it.")] = LineageFormat.TREE,
) -> None:
    """Show who begot whom, by which idea, with which gain."""
    from fairnad.history.lineage import lineage as build_lineage
    from fairnad.history.lineage import render
    from fairnad.history.store import History

    with History.open(begun_folder(run)) as history:
        print(render(build_lineage(history.children()), format_.value, focus=child))


@app.command(rich_help_panel=LOOK)
def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="A new or empty folder.")],
    child: Annotated[str, typer.Argument(metavar="[ID]", help="The child, or 'best'.")] = "best",
) -> None:
    """Write a network as a plain model.py with its weights and metrics; works while the search runs."""
    from fairnad.search.run import export_child

    for path in export_child(begun_folder(run), _child_id(child), out):
        print(path)


@app.command(rich_help_panel=LOOK)
def replay(run: RunArgument) -> None:
    """Run a finished search again from what it recorded, and compare; exit status 3 if anything differs."""
    from fairnad.search.replay import replay as replay_run

    replayed = replay_run(begun_folder(run))
    print(f"replayed {', '.join(f'{count} {table}' for table, count in replayed.rows.items() if count)}")
    for difference in replayed.differences:
        print(f"differs: {difference}")
    print("the same history, times apart" if not replayed.differences else f"{len(replayed.differences)} differences")
    raise typer.Exit(3 if replayed.differences else 0)


app.command(rich_help_panel=COMPARE)(stoppable()(compare.compare))

bench = typer.Typer(help="Compare strategies on a table of known results, in seconds.", no_args_is_help=True)
app.add_typer(bench, name="bench", rich_help_panel=COMPARE)


@bench.command("nas-bench-201")
def nas_bench_201(
    table: Annotated[
        Path,
        typer.Option(
            metavar="FILE.csv",
            help="Columns arch, X_test, X_test_one_seed for all 15,625 cells; made as benchmarks/README.md tells.",
        ),
    ],
    dataset: Annotated[str, typer.Option(help="The X of the columns.")] = "cifar100",
    budget: Annotated[int, typer.Option(help="Different cells that a search may look up.")] = 500,
    seeds: Annotated[int, typer.Option(help="Searches of each strategy.")] = 30,
    strategies: Annotated[str | None, typer.Option(metavar="A,B,C", help="Which ones; all without it.")] = None,
    signal: Annotated[str, typer.Option(help="What a search sees: clean, one-seed or fresh.")] = "fresh",
    recheck: Annotated[
        str | None, typer.Option(metavar="10x2", help="Train the ten best twice more; the budget pays.")
    ] = None,
) -> None:
    """Compare strategies on the cells of NAS-Bench-201: a training is a look-up."""
    from fairnad.executors.table import read_table
    from fairnad.search.bench import bench_plan, run_bench
    from fairnad.search.bench_report import markdown

    plan = bench_plan(strategies, budget=budget, num_seeds=seeds, signal=signal, recheck=recheck)
    known = read_table(table, dataset)
    outcomes = run_bench(known, plan, observer=lambda one: print(f"{one.strategy}: done", file=sys.stderr, flush=True))
    print(markdown(known, plan, outcomes))


app.command("build-knowledge", rich_help_panel=KNOWLEDGE)(stoppable()(knowledge_commands.build_knowledge))
app.add_typer(knowledge_commands.app, name="knowledge", rich_help_panel=KNOWLEDGE)

llm_commands.app.command("serve")(serve.serve)
app.add_typer(llm_commands.app, name="llm", rich_help_panel=LLM)


@app.command(rich_help_panel=CARE)
def verify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE.py...", help="Sources that define Network(num_classes).")
    ],
    dataset: Annotated[str | None, typer.Option(help="Take images, classes and limits of this data set.")] = None,
    data_root: DataRootOption = None,
    split_dir: SplitDirOption = None,
    input_: Annotated[str, typer.Option("--input", metavar="CxHxW", help="Shape of one image.")] = "3x32x32",
    num_classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 10,
    parent: Annotated[Path | None, typer.Option(metavar="FILE.py", help="Refuse the same network as this one.")] = None,
    max_params: Annotated[int | None, typer.Option(min=1, help="Limit on trainable scalars.")] = None,
    max_flops: Annotated[int | None, typer.Option(min=1, help="Limit on FLOPs an image.")] = None,
    integrity: Annotated[
        Integrity, typer.Option(help="What to do when logits depend on the batch.")
    ] = Integrity.ENFORCE,
    no_static: Annotated[bool, typer.Option("--no-static", help="Leave out the check of the text.")] = False,
    train_steps: Annotated[int, typer.Option(min=0, help="Training steps to run after the check.")] = 0,
    batch: Annotated[int, typer.Option(min=2, help="Images of such a step.")] = 256,
    timeout: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds that one check may take.")] = 60.0,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check any source as the search does; exit status 0 if all are accepted, 3 otherwise."""
    from fairnad import terminal
    from fairnad.records import Limits
    from fairnad.verification.files import Rules, check_files

    rules = Rules(
        dataset=dataset,
        data_root=data_root,
        split_dir=split_dir,
        input_shape=_shape(input_),
        num_classes=num_classes,
        limits=Limits(max_params, max_flops),
        integrity=integrity.value,
        is_static=not no_static,
        train_steps=train_steps,
        batch_size=batch,
        timeout_seconds=timeout,
    )
    is_fine = True
    for checked in check_files(files, rules, parent=parent):
        is_fine = is_fine and checked.verdict.is_accepted
        print(checked.to_json() if json_ else terminal.verdict_line(checked), flush=True)
    raise typer.Exit(0 if is_fine else 3)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")] = False,
) -> None:
    if version:
        print(f"fairnad {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of this package becomes one line and its exit status."""
    try:
        app()
    except FairNADError as error:
        if "--debug" in sys.argv:
            raise
        print(f"fairnad: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except OSError as error:  # a full disk, a file where a folder is meant
        if "--debug" in sys.argv:
            raise
        print(f"fairnad: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as done:
        if done.code == 130:  # what typer makes of Ctrl-C, where no command had more to say
            print("fairnad: stopped", file=sys.stderr)
        raise


def _settings(config: str | None, dataset: str | None, overrides: list[str]) -> Config:
    """Return the configuration that was asked for: by name, else that of the data set, else the default."""
    from fairnad.config import load_config, shipped_configs

    if config is None:
        config = dataset if dataset in shipped_configs() else "default" if dataset else "cluttered-digits"
    return load_config(config, overrides)


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"--input {text}: expected CxHxW, such as 3x32x32")
    return (int(parts[0]), int(parts[1]), int(parts[2]))


if __name__ == "__main__":
    main()
