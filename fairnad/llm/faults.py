"""Why an attempt at an endpoint brought nothing, in words of our own: its kind, and whether to try again."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

__all__ = ["Fault", "one_line", "status_fault"]

_KINDS = {
    400: "bad_request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "model",
    408: "timeout",
    409: "conflict",
    413: "context_length",
    422: "bad_request",
    425: "conflict",
    429: "rate_limit",
    504: "timeout",
}
_RETRIED = frozenset({408, 409, 425, 429})
# What stands before an endpoint answers for it while it restarts; llama.cpp says 503 until its model is loaded. A 504
# is no outage: a gateway says so of each reply that takes longer than it waits.
_AWAY = frozenset({502, 503})
_TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum context|exceeds? .{0,20}context|prompt is too long|"
    r"(exceeds|longer than) the maximum (number of tokens|model length)|inputs\W+tokens \+",
    re.IGNORECASE,
)
_NO_MONEY = re.compile("insufficient_quota|billing_hard_limit_reached")
_MAX_TEXT = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attempt brought no reply.

    `kind` is one word: network, timeout, rate_limit, quota, server, conflict, bad_body, bad_request, context_length,
    auth, model. An outage is a fault of an endpoint that may come back; `wait_seconds` is what it asked for.
    """

    kind: str
    text: str
    is_retried: bool = False
    is_outage: bool = False
    wait_seconds: float | None = None


def status_fault(status: int, body: object, headers: Mapping[str, str]) -> Fault:
    """Return the fault that an answer of another status than 2xx stands for; `body` is parsed as far as it can be."""
    fields = body if isinstance(body, dict) else {}
    said = str(fields.get("message") or body or "")
    labels = f"{fields.get('code')} {fields.get('type')} {said}"
    kind = _KINDS.get(status, "server" if status >= 500 else "bad_request")
    if kind in ("bad_request", "server") and _TOO_LONG.search(labels.replace("_", " ")):
        kind = "context_length"
    if _NO_MONEY.search(labels):
        kind = "quota"
    return Fault(
        kind,
        f"status {status}" + (f": {said}" if said else ""),
        is_retried=(status >= 500 or status in _RETRIED) and kind not in ("quota", "context_length"),
        is_outage=status in _AWAY,
        wait_seconds=_retry_after(headers.get("retry-after", "")),
    )


def one_line(text: str) -> str:
    """Return `text` as one short line for a message."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]} ..."


def _retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, in either of its forms; None if it asks for none."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
