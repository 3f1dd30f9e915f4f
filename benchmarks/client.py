"""What the client adds to a call: 64 calls at once against an endpoint of this machine that answers at once.

The endpoint runs in a process of its own. The first row asks it through bare sockets: what the endpoint itself and the
network of this machine take, so that it can be seen not to be the bottleneck.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

from report import print_table

from fairnad.config import LLMConfig
from fairnad.llm.base import Message, Prompt, Service
from fairnad.llm.client import Client

AT_ONCE = 64
SOURCE = "import torch\n" * 400
BODY = json.dumps(
    {
        "choices": [{"message": {"role": "assistant", "content": SOURCE}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3000, "completion_tokens": 1500},
    }
).encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
PROMPT = Prompt("draft", (Message("user", SOURCE),))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, which stays open for as long as the other side likes."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            writer.write(HEAD + BODY)
            await writer.drain()
            if b"connection: close" in head:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


def serve(port: Connection) -> None:
    """Serve for ever, at a port that is told through `port`."""

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def bare_call(port: int) -> Callable[[int], None]:
    """Return a call that sends the same bytes through a socket and does nothing else."""
    request = json.dumps({"messages": [{"role": "user", "content": SOURCE}]}).encode()
    whole = b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(request), request)

    def call(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(whole)
            while connection.recv(65536):
                pass

    return call


def measure(call: Callable[[int], object], calls: int) -> tuple[float, float]:
    """Return wall and processor milliseconds a call, with `AT_ONCE` of them under way."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(call, range(2 * AT_ONCE)))
        began, used = time.perf_counter(), time.process_time()
        list(pool.map(call, range(calls)))
        return 1000 * (time.perf_counter() - began) / calls, 1000 * (time.process_time() - used) / calls


def main(calls: int = 4000) -> None:
    logging.disable()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    os.environ.pop("OPENAI_API_KEY", None)
    config = LLMConfig(base_url=f"http://127.0.0.1:{port}/v1", model="fake", concurrency=AT_ONCE)
    with Client(config) as client:
        rows = [
            ("bare sockets", *measure(bare_call(port), calls)),
            ("fairnad.llm.client", *measure(lambda number: client.complete(PROMPT, Service("bench", number)), calls)),
        ]
    server.terminate()
    server.join()
    print_table(
        f"Client overhead, {AT_ONCE} calls at once, {calls} calls of {len(SOURCE)} characters each way",
        ("client", "ms a call", "processor ms a call"),
        [(name, f"{wall:.2f}", f"{used:.2f}") for name, wall, used in rows],
    )


if __name__ == "__main__":
    main()
