"""A language model for builds: an endpoint in a process of its own that answers by what it is asked, after a while.

It judges by the title, lists two ideas for each method that it is shown, and sorts ideas by their words: always the
same reply to the same question, whatever the order of the questions.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

MODELS = {"object": "list", "data": [{"id": "librarian", "object": "model", "max_model_len": 40960}]}
DIGITS = ("amber", "birch", "cedar", "dune", "ebony", "fjord", "grove", "heath", "iris", "jade")
ATTRIBUTES = """**Performance**
{"operation level": {"activation": ["relu", "leaky relu"]}}
**Efficiency**
{"operation level": {"efficient convolution": ["depthwise convolution"]}}
"""
PLACE = "##response##performance*operation level*activation*relu"


def reply_to(system: str, user: str) -> str:
    """Return what the model says."""
    if "You list the design attributes" in system:
        return ATTRIBUTES
    if "decide whether" in system:
        return "It does not.\n##response##no" if "Loss" in user.partition("\n")[0] else f"It does.\n{PLACE}"
    if "list the ideas" in system:
        number = re.search(r"gate number (\d+)", user)
        digits = f"{int(number[1] if number else 0) * 7919 % 9973:04}"
        name = " ".join(f"{DIGITS[int(digit)]}{place}" for place, digit in enumerate(digits))
        return f"- Scale shortcuts by {name} gates\n- Train it by a contrastive loss function"
    numbers = re.findall(r"^(\d+) ", user, re.MULTILINE)
    return "\n".join(f"{number} {PLACE}" for number in numbers)


def write_papers(folder: Path, count: int) -> None:
    """Write short papers; every fifth is about a loss, which the librarian does not keep."""
    folder.mkdir(parents=True, exist_ok=True)
    filler = "The gate multiplies a shortcut before the addition and costs two weights a channel. "
    for number in range(count):
        title = f"{'A Loss for' if number % 5 == 4 else 'Gated'} Shortcuts Number {number}"
        parts = [title, "Ada Example, Bram van der Proef", "Abstract", f"We study gates in networks. {filler}"]
        parts += ["1 Introduction", 5 * filler, "2 Method", f"It has gate number {number} in each block. {9 * filler}"]
        (folder / f"{number:04}.txt").write_text("\n\n".join(parts) + "\n")


@contextmanager
def librarian(*, latency_seconds: float = 0.0, prose: bool = False) -> Iterator[str]:
    """Yield the address of the endpoint."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(there, latency_seconds, prose), daemon=True
    )
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def _serve(port: Connection, latency_seconds: float, prose: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("get"):
                body = json.dumps(MODELS)
            else:
                length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
                request = json.loads(await reader.readexactly(length))
                await asyncio.sleep(latency_seconds)
                texts = [message["content"] for message in request["messages"]]
                text = "What a nice paper, I enjoyed it." if prose else reply_to(texts[0], texts[-1])
                choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 900, "completion_tokens": 60}})
            page = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            writer.write(page.encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())
