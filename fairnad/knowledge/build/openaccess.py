"""Fetches the open-access papers of a conference from the Computer Vision Foundation, politely.

One connection at a time, a pause between requests, robots.txt respected, nothing fetched twice. Who wrote each paper
and where it came from is kept in `index.jsonl` beside the papers, whose copyright stays with their authors.
"""

from __future__ import annotations

import json
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from fairnad.errors import KnowledgeError

__all__ = ["INDEX", "Fetched", "Listed", "fetch_cvpr", "read_index"]

logger = logging.getLogger(__name__)

INDEX = "index.jsonl"

_SITE = "https://openaccess.thecvf.com"
_AGENT = "fairnad"
_TIMEOUT_SECONDS = 60.0
_MAX_BYTES = 100 * 2**20
_TRIES = 3
_MAX_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Listed:
    """One paper as the listing names it: what its authors are owed wherever it is used."""

    file: str
    title: str
    authors: tuple[str, ...]
    url: str
    listing: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a call left in the folder: `papers` are there, `num_new` of them since this call, `failed` are not."""

    papers: tuple[Path, ...]
    num_new: int
    failed: tuple[str, ...]


def fetch_cvpr(
    year: int, out: Path, *, delay_seconds: float = 2.0, limit: int | None = None, site: str = _SITE
) -> Fetched:
    """Fetch the first `limit` papers of CVPR `year` into `out`; those that are there already are kept.

    Raises:
        KnowledgeError: the listing or all papers cannot be fetched, robots.txt forbids it, or several papers in a row
            could not be fetched; what was fetched is kept, and the same call goes on.
    """
    client = _Client(site, delay_seconds)
    listed = _listed(client, f"{site}/CVPR{year}?day=all")[:limit]
    out.mkdir(parents=True, exist_ok=True)
    known = {entry.file for entry in read_index(out)}
    papers: list[Path] = []
    failed: list[str] = []
    num_new = in_a_row = 0
    for entry in listed:
        path = out / entry.file
        try:
            num_new += _keep(client, entry, path)
        except KnowledgeError as error:
            logger.warning("%s", error)
            failed.append(str(error))
            in_a_row += 1
            if in_a_row == _MAX_FAILURES_IN_A_ROW:
                break
            continue
        in_a_row = 0
        papers.append(path)
        if entry.file not in known:
            _append(out, entry)
    if not papers:
        raise KnowledgeError(f"no paper of CVPR {year} could be fetched: {failed[0]}")
    if untried := len(listed) - len(papers) - len(failed):
        raise KnowledgeError(
            f"{in_a_row} papers in a row could not be fetched, {untried} more were not tried, {len(papers)} are in "
            f"{out}; the same command goes on later: {failed[-1]}"
        )
    return Fetched(tuple(papers), num_new, tuple(failed))


def read_index(folder: Path) -> tuple[Listed, ...]:
    """Return what is known about the papers of a folder; nothing where it was not fetched."""
    path = folder / INDEX
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        entries = [json.loads(line) for line in lines]
        return tuple(Listed(**{**entry, "authors": tuple(entry["authors"])}) for entry in entries)
    except (ValueError, TypeError, KeyError) as error:
        raise KnowledgeError(f"{path}: not an index of papers; delete it to have it written again") from error


def _append(out: Path, entry: Listed) -> None:
    with (out / INDEX).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")


def _keep(client: _Client, entry: Listed, path: Path) -> bool:
    """Fetch one paper unless it is there; return whether it was fetched."""
    if path.is_file():
        return False
    data = client.get(entry.url)
    if not data.startswith(b"%PDF-"):
        raise KnowledgeError(f"{entry.url}: is not a PDF")
    # A paper appears under its name only when it is whole: what is there need not be looked at again.
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
    logger.info("fetched %s", entry.title)
    return True


def _listed(client: _Client, url: str) -> list[Listed]:
    found = list(_read_listing(client, url))
    if not found:
        raise KnowledgeError(f"{url}: lists no papers")
    return list({entry.file: entry for entry in found}.values())


def _read_listing(client: _Client, url: str) -> Iterator[Listed]:
    page = _Listing()
    page.feed(client.get(url).decode("utf-8", errors="replace"))
    for paper in page.papers:
        link = urljoin(url, paper.link)
        name = re.sub(r"[^\w.-]", "_", unquote(Path(urlsplit(link).path).name)).lstrip(".")
        if urlsplit(link).netloc == urlsplit(url).netloc and name.endswith(".pdf"):
            yield Listed(name, " ".join(paper.title.split()), tuple(paper.authors), link, url)
    if not page.papers and "day=all" in url:
        # Before 2021 the papers of each day have a listing of their own.
        for day in dict.fromkeys(page.days):
            yield from _read_listing(client, urljoin(url, day))


@dataclass
class _Entry:
    title: str = ""
    authors: list[str] = field(default_factory=list)
    link: str = ""


class _Listing(HTMLParser):
    """Collects papers from a listing: a `dt` of class ptitle, then authors as hidden fields, then links."""

    def __init__(self) -> None:
        super().__init__()
        self.papers: list[_Entry] = []
        self.days: list[str] = []
        self._is_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a tag tells about the paper it belongs to."""
        given = {name: value or "" for name, value in attrs}
        link = given.get("href", "")
        if tag == "dt" and "ptitle" in given.get("class", ""):
            self.papers.append(_Entry())
            self._is_title = True
        elif tag == "input" and given.get("name") == "query_author" and self.papers:
            self.papers[-1].authors.append(given.get("value", "").strip())
        elif "/papers/" in link and self.papers and not self.papers[-1].link:
            self.papers[-1].link = link
        elif re.search(r"\?day=\d", link):
            self.days.append(link)

    def handle_data(self, data: str) -> None:
        """Take the text of a title."""
        if self._is_title:
            self.papers[-1].title += data

    def handle_endtag(self, tag: str) -> None:
        """End a title."""
        if tag == "dt":
            self._is_title = False


class _Client:
    """Fetches one thing after the other from one site, with a pause between, as its robots.txt allows."""

    def __init__(self, site: str, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self._last = -float("inf")
        self._robots = RobotFileParser()
        self._robots.parse(self._read_robots(f"{site}/robots.txt"))
        self._delay_seconds = max(delay_seconds, float(self._robots.crawl_delay(_AGENT) or 0.0))

    def get(self, url: str) -> bytes:
        """Return what is at `url`.

        Raises:
            KnowledgeError: it cannot be fetched, or must not be.
        """
        if not self._robots.can_fetch(_AGENT, url):
            raise KnowledgeError(f"{url}: its robots.txt does not allow programs to fetch it")
        for attempt in range(1, _TRIES + 1):
            try:
                return self._request(url)
            except urllib.error.HTTPError as error:
                if attempt == _TRIES or error.code not in {429, 500, 502, 503, 504}:
                    raise KnowledgeError(f"{url}: cannot be fetched: {error.code} {error.reason}") from error
            except (OSError, HTTPException) as error:
                if attempt == _TRIES:
                    raise KnowledgeError(f"{url}: cannot be fetched: {_reason(error)}") from error
            time.sleep(self._delay_seconds * 4**attempt)
        raise AssertionError("the last try returns or raises")

    def _read_robots(self, url: str) -> list[str]:
        try:
            return self._request(url).decode("utf-8", errors="replace").splitlines()
        except urllib.error.HTTPError as error:
            if error.code == 429 or error.code >= 500:
                raise KnowledgeError(f"{url}: cannot be fetched: {error.code} {error.reason}; try later") from error
            # No such file means that nothing is forbidden; a refusal means that everything is.
            return ["User-agent: *", "Disallow: /"] if error.code in {401, 403} else []
        except (OSError, HTTPException) as error:
            raise KnowledgeError(f"{url}: cannot be fetched: {_reason(error)}") from error

    def _request(self, url: str) -> bytes:
        time.sleep(max(0.0, self._last + self._delay_seconds - time.monotonic()))
        request = urllib.request.Request(url, headers={"User-Agent": _AGENT})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:
                data: bytes = reply.read(_MAX_BYTES + 1)
        finally:
            self._last = time.monotonic()
        if len(data) > _MAX_BYTES:
            raise KnowledgeError(f"{url}: is larger than {_MAX_BYTES} bytes")
        if reply.length:  # what is missing of the length that was told: `read` with a limit does not mind
            raise IncompleteRead(data, reply.length)
        return data


def _reason(error: OSError | HTTPException) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(error).__name__
