"""One HTML page of a comparison: table, figures, every run and the setting. Needs no other file and no network."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fairnad.errors import ConfigError
from fairnad.report.comparison import Comparison
from fairnad.report.figures import draw
from fairnad.report.table import head, markdown, notes, rows, title

__all__ = ["document", "figure", "page", "table", "write_files", "write_report"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.35rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
.wide { overflow-x: auto; } figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption, li { font-size: .9rem; color: #444; } .warning { color: #a40000; }
"""


def write_report(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write table.md and page.html to `folder`; return both. Equal runs give equal files.

    Raises:
        ConfigError: they cannot be written there.
    """
    return write_files({folder / "table.md": markdown(comparison), folder / "page.html": page(comparison)})


def write_files(files: Mapping[Path, str | bytes]) -> tuple[Path, ...]:
    """Write each text or image to its path, with the folders it needs; return the paths.

    Raises:
        ConfigError: one cannot be written.
    """
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            message = f"the page cannot be written to {path.parent}: {error.strerror}; name another with --out"
            raise ConfigError(message) from error
    return tuple(files)


def page(comparison: Comparison) -> str:
    """Return the whole page."""
    name = title(comparison)
    figures = "\n".join(figure(svg, caption) for caption, svg in draw(comparison).items())
    told = "\n".join(f"<li>{html.escape(line)}</li>" for line in notes(comparison))
    body = f"""{table(head(comparison), rows(comparison))}
<ul>
{told}
</ul>
{figures}
<h2>Every search</h2>
{table(*_runs(comparison))}
<h2>The setting of all of them</h2>
<details><summary>Everything but strategy and seed</summary>
{table(("key", "value"), _settings(comparison))}
</details>
"""
    return document(name, body, is_warning=len(comparison.seeds) < 3)


def document(name: str, body: str, *, is_warning: bool = False) -> str:
    """Return the HTML page `name` around `body`, which is HTML; a warning has its name in red."""
    warning = ' class="warning"' if is_warning else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(name)}</title><style>{_STYLE}</style></head>
<body>
<h1{warning}>{html.escape(name)}</h1>
{body}</body>
</html>
"""


def figure(svg: str, caption: str) -> str:
    """Return the HTML of a figure with its caption."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return the HTML of a table; the first column is text, the others are numbers."""
    names = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "\n".join("".join(("<tr>", *(f"<td>{html.escape(cell)}</td>" for cell in line), "</tr>")) for line in lines)
    return f'<div class="wide"><table>\n<thead><tr>{names}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _runs(comparison: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = (
        "strategy",
        "seed",
        "trainings",
        "pick",
        "params",
        "FLOPs",
        "validation %, as picked",
        "test % by seed of the final training",
    )
    told: list[tuple[str, ...]] = [
        (
            run.strategy,
            str(run.seed),
            str(len(run.best_so_far)),
            f"child {run.pick.id}" if run.pick.id else "the base",
            f"{run.pick.costs.params:,}",
            f"{run.pick.costs.flops:,}",
            f"{100 * run.validation:.2f}",
            ", ".join(f"{seed}: {100 * accuracy:.2f}" for seed, accuracy in run.finals.items()),
        )
        for name in comparison.strategies
        for run in comparison.of(name)
    ]
    return columns, told


def _settings(comparison: Comparison) -> list[tuple[str, ...]]:
    settings: Mapping[str, object] = next(iter(comparison.runs.values())).settings
    return [(key, str(value)) for key, value in sorted(settings.items())]
