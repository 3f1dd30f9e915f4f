"""The commands of `fairnad knowledge`: papers, tags, and databases of ideas as files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fairnad.commands.build_knowledge import build_knowledge
from fairnad.commands.knowledge_look import review, stats
from fairnad.commands.paper import show_papers
from fairnad.commands.tag import tag

__all__ = ["app", "build_knowledge"]

app = typer.Typer(help="Look at design knowledge and work with its files.", no_args_is_help=True)
app.command()(stats)
app.command()(review)
app.command()(tag)

KnowledgeArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A folder of knowledge, or a FILE.jsonl.")]


@app.command()
def paper(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", readable=False, help="Papers: .pdf, .txt or .md.")],
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what is found in papers: title, authors, abstract, sections, method."""
    raise typer.Exit(show_papers(files, as_json=json_))


@app.command()
def export(
    path: KnowledgeArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="A file; the standard output without it.")
    ] = None,
) -> None:
    """Write ideas with all their sources as JSON lines, after checking them."""
    from fairnad.knowledge.build.exchange import read_ideas
    from fairnad.knowledge.files import dump_lines, write_whole

    lines = read_ideas(path)
    if out is None:
        sys.stdout.write(dump_lines(lines))
    else:
        write_whole(dump_lines(lines), out)
        print(f"{len(lines)} ideas in {out}")


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files of ideas, or folders of knowledge.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder, or one that was imported into before.")],
    tree: Annotated[Path | None, typer.Option(metavar="FILE", help="Attribute tree that all tags must be in.")] = None,
) -> None:
    """Join ideas from several places in one folder; what says the same is merged, with all its sources."""
    from fairnad.knowledge.build.exchange import import_ideas

    done = import_ideas(paths, out, tree=tree)
    print(f"{done.given} ideas read, {done.merged} merged into others; {done.ideas} are in {out}")
    print(f"next: fairnad search --knowledge {out}")


@app.command()
def lint(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A folder or a FILE.jsonl; the shipped ideas without it.")
    ] = None,
    tree: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Attribute tree; the one beside, else ours.")
    ] = None,
) -> None:
    """Find broken lines, tags outside the tree, over-long ideas: exit status 3. The rest is warnings."""
    from fairnad.knowledge.attributes import AttributeTree
    from fairnad.knowledge.files import find_knowledge
    from fairnad.knowledge.files import lint as findings_in
    from fairnad.resources import resource

    files = find_knowledge(path or resource("knowledge"))
    findings = list(findings_in(files.ideas, AttributeTree.load(tree or files.tree)))
    for finding in findings:
        print(f"{files.ideas}: {'warning: ' if finding.is_warning else ''}{finding.kind}: {finding.message}")
    is_sound = all(finding.is_warning for finding in findings)
    if is_sound:
        print(f"{files.ideas}: nothing is wrong" + (f"; {len(findings)} warnings" if findings else ""))
    raise typer.Exit(0 if is_sound else 3)
