"""The answer in a reply: what stands after the model's thinking, in plain white space. Reads no meaning into it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fairnad.errors import ReplyError

__all__ = ["Answer", "answer_of", "plain_characters", "text_of"]

_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_PLAIN = (
    dict.fromkeys(map(ord, _INVISIBLE))
    | dict.fromkeys(map(ord, _SPACES), " ")
    | {0x85: "\n", 0x2028: "\n", 0x2029: "\n"}
)
_FINAL_CHANNEL = "<|channel|>final<|message|>"
_END_TOKEN = re.compile(r"(?:<[|\uff5c][\w\u2581]{1,30}[|\uff5c]>|</s>|<eos>|<end_of_turn>)\s{0,3}\Z")

_TAG = re.compile(
    r"<(?P<close>/?)(?:\w{1,10}:)?(?:think(?:ing)?|thoughts?|reasoning|analysis|reflection|scratchpad)>"
    r"|\[(?P<bracket_close>/?)think\]",
    re.IGNORECASE,
)
_MARK = re.compile(rf"^[ \t]*(?P<fence>`{{3,}}|~{{3,}})(?P<info>[^\n`]*)$|{_TAG.pattern}", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer; `is_cut` if the reply ended while the model was still thinking."""

    text: str
    is_cut: bool


def plain_characters(reply: str) -> str:
    """Return `reply` with plain spaces and line ends, without invisible characters and end-of-reply tokens."""
    text = reply.replace("\r\n", "\n").replace("\r", "\n")
    text = text if text.isascii() else text.translate(_PLAIN)
    end = len(text)
    while token := _END_TOKEN.search(text, max(0, end - 40), end):
        end = token.start()
    return text[:end]


def answer_of(reply: str) -> Answer:
    """Return what `reply` says outside of its thinking.

    A tag counts where it can be meant: not in a fenced block, not in quotes. A closing tag without an opening one ends
    thinking that began in the prompt. An opening tag that is never closed leaves what stands before it.
    """
    text = plain_characters(reply).rpartition(_FINAL_CHANNEL)[2]
    marks = list(_MARK.finditer(text)) if _TAG.search(text) else []
    last_close = max((mark.start() for mark in marks if _closes(mark)), default=-1)
    kept: list[str] = []
    position, fence, is_thinking = 0, "", False
    for mark in marks:
        if mark["fence"]:
            fence = fence if is_thinking else _fence_after(fence, mark)
        elif _closes(mark):
            if is_thinking or _ends_thinking(text, mark, fence):
                kept = kept if is_thinking else []
                position, fence, is_thinking = mark.end(), "", False
        elif not is_thinking and not fence and _starts_thinking(text, mark, last_close):
            kept.append(text[position : mark.start()])
            is_thinking = True
    if not is_thinking:
        kept.append(text[position:])
    return Answer("".join(kept), is_cut=is_thinking)


def text_of(reply: str) -> str:
    """Return the text of the answer in `reply`.

    Raises:
        ReplyError: there is none: "truncated" if the model was still thinking, else "empty".
    """
    answer = answer_of(reply)
    if not answer.text.strip():
        raise ReplyError("truncated" if answer.is_cut else "empty", "the reply holds no answer")
    return answer.text


def _closes(mark: re.Match[str]) -> bool:
    return bool(mark["close"] or mark["bracket_close"])


def _fence_after(fence: str, mark: re.Match[str]) -> str:
    """Return the fence that is open after the fence line `mark`, "" for none."""
    if not fence:
        return mark["fence"]
    return "" if mark["fence"].startswith(fence) and not mark["info"].strip() else fence


def _starts_thinking(text: str, mark: re.Match[str], last_close: int) -> bool:
    return not _is_quoted(text, mark) and (_begins_line(text, mark) or mark.start() < last_close)


def _ends_thinking(text: str, mark: re.Match[str], fence: str) -> bool:
    """Return whether a closing tag without an opening one is meant as such; in a fence it needs a line of its own."""
    if fence:
        return _begins_line(text, mark) and not text[mark.end() : mark.end() + 80].partition("\n")[0].strip()
    return not _is_quoted(text, mark)


def _begins_line(text: str, mark: re.Match[str]) -> bool:
    # Only a little is looked at: many tags on one long line would take quadratic time.
    if text[mark.start() - 1 : mark.start()] not in ("", "\n", " ", "\t"):
        return False
    return not text[max(0, mark.start() - 80) : mark.start()].rpartition("\n")[2].strip()


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    return text[mark.start() - 1 : mark.start()] in ("'", '"', "`")
