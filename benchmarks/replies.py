"""How long it takes to read long and hostile replies: 200 KB of each kind, by the slowest of the readers.

python benchmarks/replies.py
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from report import print_table

from fairnad.architectures.bases import base_source
from fairnad.errors import ReplyError
from fairnad.llm import replies

SIZE = 200_000
REPEATS = 3
CODE = base_source("resnet", width=16, depth=5)
BLOCK = CODE[CODE.index("\nclass ") : CODE.index("\nclass Network")]
HEAD = "```python\nclass Network(nn.Module):\n    x = "

READERS: dict[str, Callable[[str], object]] = {
    "choice": replies.read_choice,
    "filter": replies.read_filter,
    "attributes": replies.read_attributes,
    "ideas": replies.read_ideas,
    "idea line": replies.read_idea_line,
    "edits": replies.read_edits,
}


def main() -> None:
    rows = []
    for name, reply in texts().items():
        code, outcome = seconds(lambda text: replies.extract_code(text, parent=BLOCK), reply)
        others = {reader: seconds(read, reply)[0] for reader, read in READERS.items()}
        slowest = max(others, key=lambda reader: others[reader])
        rows.append((name, outcome, f"{1000 * code:.0f}", f"{1000 * others[slowest]:.0f} ({slowest})"))
    rows.sort(key=lambda row: -int(row[2]))
    print_table(
        "Replies of 200 KB, milliseconds of processor time", ("reply", "read as", "code", "slowest other reader"), rows
    )


def texts() -> dict[str, str]:
    """Return replies of about `SIZE` characters: long ones, and what is known to upset parsers."""
    block = f"```python\n{CODE}```\n"
    wide = "".join(BLOCK.replace("class ", f"class Copy{number}") for number in range(SIZE // len(BLOCK)))
    return {
        "code, then prose": block + fill("It's a line of prose, with words.\n"),
        "prose, then code without a fence": fill("It's a line of prose, with words.\n") + CODE,
        "thinking with code, then code": f"<think>{fill(block)}</think>\n{block}",
        "one file of 200 KB, mostly comments": "```python\n" + fill("# A line of comment.\n") + CODE + "```\n",
        "one file of 200 KB, all code": f"```python\n{CODE}{wide}```\n",
        "code in JSON": json.dumps({"code": CODE + fill("# and so on\n")}),
        "backticks": fill("`"),
        "lines of backticks": fill("```\n"),
        "opening fences": fill("```python\n"),
        "`<think>`": fill("<think>"),
        "`a </think>`": fill("a </think>"),
        "braces": fill("{"),
        "brackets": fill("["),
        "quotes": fill('"'),
        "backslashes in JSON": '{"' + fill("\\"),
        "stars": fill("*"),
        "`##response##`": fill("##response##"),
        "spaces": fill(" "),
        "line breaks": fill("\n"),
        "null bytes": fill("\0"),
        "`import torch` and prose": fill("import torch\nIt's prose.\n"),
        "`class Network` without a body": fill("class Network(nn.Module):\n"),
        "comments that leave out code": "```python\nclass Network(nn.Module):\n" + fill("    # ... same\n") + "```\n",
        "parentheses in code": HEAD + fill("("),
        "a deep sum": HEAD + fill("1 +\\\n") + "1\n```\n",
        "a deep attribute": HEAD + "a" + fill(".b\\\n") + "\n```\n",
        "negations": HEAD + fill("-"),
        "edits": fill("<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"),
        "bullets": fill("- one idea\n"),
    }


def fill(unit: str) -> str:
    """Return `unit` repeated to about `SIZE` characters."""
    return unit * (SIZE // len(unit))


def seconds(read: Callable[[str], object], reply: str) -> tuple[float, str]:
    """Return the least processor time of a few readings, and what came out."""
    best, outcome = float("inf"), ""
    for _ in range(REPEATS):
        began = time.process_time()
        try:
            read(reply)
            outcome = "code"
        except ReplyError as error:
            outcome = error.kind
        best = min(best, time.process_time() - began)
    return best, outcome


if __name__ == "__main__":
    main()
