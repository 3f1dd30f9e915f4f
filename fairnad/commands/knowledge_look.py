"""`fairnad knowledge stats` and `fairnad knowledge review`: looking at a knowledge base, and correcting its tree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairnad.errors import ConfigError, KnowledgeError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from fairnad.knowledge.build.draft import Flag, TreeDraft
    from fairnad.knowledge.build.review import Patch
    from fairnad.report.knowledge import Sheet

__all__ = ["review", "stats"]

_ACTIONS = "k keep, x remove, r rename, m move, Enter skip"
_ACTIONS_OF_A_MAIN_CATEGORY = "k keep, Enter skip"


def stats(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A FILE.jsonl, or its folder; the shipped ideas without it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of ideas.png and ideas.html.")] = Path("knowledge-stats"),
    papers: Annotated[int, typer.Option(min=0, help="Sources to print; the page has all.")] = 10,
) -> None:
    """Show what the ideas are about, how even they are, and how even fair sampling makes the draws."""
    from fairnad.knowledge import AttributeTree, IdeaDatabase
    from fairnad.knowledge.files import find_knowledge
    from fairnad.knowledge.statistics import describe
    from fairnad.report.knowledge import sheets, write_knowledge
    from fairnad.resources import resource

    files = find_knowledge(path or resource("knowledge"))
    tree = AttributeTree.load(files.tree)
    told = describe(IdeaDatabase.load(files.ideas, tree), tree)
    written = write_knowledge(told, files.ideas.name, out)
    console = _console()
    console.print(f"{told.num_ideas} ideas of {files.ideas}", highlight=False)
    for sheet in sheets(told):
        _print_sheet(console, sheet, rows=papers if sheet.columns[0] == "source" else None)
    for file in written:
        print(file)


def review(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="A folder with a tree, or its file; the shipped tree without it."),
    ] = None,
    apply: Annotated[Path | None, typer.Option(metavar="FILE", help="Take the corrections of a patch file.")] = None,
    rename: Annotated[list[str] | None, typer.Option(metavar="A=B", help="Call A, or flag number A, B.")] = None,
    move: Annotated[list[str] | None, typer.Option(metavar="A=CATEGORY", help="Put A into a main category.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="A", help="Take A out of the tree.")] = None,
    keep: Annotated[list[str] | None, typer.Option(metavar="A", help="A is right: flag it no more.")] = None,
) -> None:
    """Show what looks wrong in an attribute tree, and keep corrections in a patch file that a rebuild applies."""
    from fairnad.knowledge.build.draft import read_draft
    from fairnad.knowledge.build.review import PATCH, Patch, check_patch, flags, patched, read_patch

    file = _tree_file(path)
    draft, stored = read_draft(file), read_patch(file.parent / PATCH)
    seen = patched(draft, stored)
    found = flags(seen, stored)
    _print_flags(found)
    named = Patch(
        _pairs(rename, found, "--rename"),
        _pairs(move, found, "--move"),
        tuple(_name(one, found) for one in remove or ()),
        tuple(_name(one, found) for one in keep or ()),
    )
    if path is not None and found and named == Patch() and apply is None and sys.stdin.isatty() and sys.stdout.isatty():
        named = ask_corrections(found, [main for *_, main in seen.tree.mains()], _ask)
    check_patch(seen, named)
    if apply is not None:
        named = read_patch(_existing(apply)) | named
    if named != Patch():
        if path is None:
            raise ConfigError(
                "corrections are kept beside the tree that they are of: name a folder or a file of your own"
            )
        _take(named, stored, draft, file)


def ask_corrections(found: Sequence[Flag], mains: Sequence[str], ask: Callable[[str], str]) -> Patch:
    """Return the corrections that a person gives when asked about one flag after the other; `mains` may be moved to."""
    from fairnad.knowledge.build.review import Patch

    rename, move, remove, keep = {}, {}, [], []
    for number, flag in enumerate(found, start=1):
        if flag.place is None:
            continue
        name, is_main = _selector(flag), flag.place.sub is None
        actions = _ACTIONS_OF_A_MAIN_CATEGORY if is_main else _ACTIONS
        action = ask(f"{number}. {name}: {flag.kind.value}, {flag.detail}\n   {actions}").strip()
        if action == "k":
            keep.append(name)
        elif is_main:
            continue
        elif action == "x":
            remove.append(name)
        elif action == "r" and (new := ask("   new name").strip()):
            rename[name] = new
        elif action == "m" and (main := _main_category(mains, ask)):
            move[name] = main
    return Patch(rename, move, tuple(remove), tuple(keep))


def _main_category(mains: Sequence[str], ask: Callable[[str], str]) -> str:
    """Return one of `mains`, or nothing where nothing is answered."""
    question = "   main category"
    while (main := ask(question).strip()) and main not in mains:
        question = f"   {nearest(main, mains)}; main category"
    return main


def _take(named: Patch, stored: Patch, draft: TreeDraft, file: Path) -> None:
    """Write the corrections, the corrected tree, and the ideas beside it whose tags it changed."""
    from fairnad.knowledge.build.draft import DRAFT, write_tree
    from fairnad.knowledge.build.review import PATCH, check_taken, flags, patched, retag_ideas, write_patch
    from fairnad.knowledge.files import IDEAS, TREE

    patch = stored | named
    after = patched(draft, patch)
    check_taken(after.tree, named)
    write_patch(patch, file.parent / PATCH)
    write_tree(after.tree, file.with_name(TREE) if file.name == DRAFT else file, source=draft.source)
    print(f"corrections kept in {file.parent / PATCH}; flags left: {len(flags(after, patch))}")
    ideas = file.parent / IDEAS
    if ideas.exists() and (count := retag_ideas(ideas, patch, after.tree)):
        print(f"{ideas}: {count} ideas tagged again")


def _ask(question: str) -> str:
    return str(typer.prompt(question, default="", show_default=False))


def _console() -> Console:
    from rich.console import Console

    return Console()


def _tree_file(path: Path | None) -> Path:
    """Return the draft of a folder, or its tree where it has no draft."""
    from fairnad.knowledge.build.draft import DRAFT
    from fairnad.knowledge.files import TREE
    from fairnad.resources import resource

    if path is None:
        return resource("knowledge", TREE)
    if not path.is_dir():
        return path
    return path / DRAFT if (path / DRAFT).exists() else path / TREE


def _existing(path: Path) -> Path:
    if not path.exists():
        raise KnowledgeError(f"{path}: there is no such patch file")
    return path


def _pairs(options: Iterable[str] | None, found: Sequence[Flag], option: str) -> dict[str, str]:
    pairs = {}
    for one in options or ():
        old, equals, new = one.partition("=")
        if not (equals and old.strip() and new.strip()):
            raise ConfigError(f"{option} {one}: expected two names with = between them, as in {option} 'a=b'")
        pairs[_name(old.strip(), found)] = new.strip()
    return pairs


def _name(given: str, found: Sequence[Flag]) -> str:
    """Return the attribute that an option names, which may be the number of a flag."""
    if not given.isdecimal():
        return given
    flag = found[int(given) - 1] if 0 < int(given) <= len(found) else None
    if flag is None or flag.place is None:
        raise ConfigError(f"flag {given} is about no attribute: there are {len(found)} flags")
    return _selector(flag)


def _selector(flag: Flag) -> str:
    from fairnad.knowledge.build.draft import FlagKind

    place = flag.place
    if place is None or place.sub is None:
        return place.main if place else ""
    # What stands in several places is one attribute to be put right everywhere.
    return place.sub if flag.kind in (FlagKind.REPEATED, FlagKind.ONE_MODEL) else f"{place.main} / {place.sub}"


def _print_flags(found: Sequence[Flag]) -> None:
    from rich import box
    from rich.table import Table

    if not found:
        print("nothing to look at: no flag is left")
        return
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{len(found)} flags of the attribute tree",
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    for column in ("#", "flag", "attribute", "main category", "detail"):
        table.add_column(column, overflow="fold")
    for number, flag in enumerate(found, start=1):
        place = flag.place
        main = f"{place.target} / {place.main}" if place else ""
        table.add_row(str(number), flag.kind.value, (place.sub if place else None) or "", main, flag.detail)
    _console().print(table)


def _print_sheet(console: Console, sheet: Sheet, *, rows: int | None) -> None:
    from rich import box
    from rich.table import Table

    # A title of the table's own would be broken to the width of the table.
    console.print(f"\n{sheet.title}", style="italic", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in sheet.rows[:rows]:
        table.add_row(*row)
    if rows is not None and len(sheet.rows) > rows:
        table.add_row(f"... {len(sheet.rows) - rows} more on the page")
    console.print(table)
