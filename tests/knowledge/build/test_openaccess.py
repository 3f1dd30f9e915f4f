"""Papers are fetched from a listing one after the other, once, with their authors, and only where that is allowed."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.openaccess import INDEX, fetch_cvpr, read_index

LISTING = """
<html><body><dl>
<dt class="ptitle"><br><a href="/content/CVPR2023/html/One.html">One &amp; Only:
  a Network</a></dt>
<dd><form class="authsearch"><input type="hidden" name="query_author" value="Ada Example"><a href="#">Ada Example</a>,
</form><form class="authsearch"><input type="hidden" name="query_author" value="Bj&ouml;rn Example"></form></dd>
<dd>[<a href="/content/CVPR2023/papers/One_paper.pdf">pdf</a>]
[<a href="/content/CVPR2023/supplemental/One_supp.pdf">supp</a>] [<a href="http://example.org/abs/1">arXiv</a>]</dd>
<dt class="ptitle"><br><a href="/content/CVPR2023/html/Two.html">Two Networks</a></dt>
<dd><form><input type="hidden" name="query_author" value="Chiara Esempio"></form></dd>
<dd>[<a href="/content/CVPR2023/papers/Two_paper.pdf">pdf</a>]</dd>
<dt class="ptitle"><br><a href="/content/CVPR2023/html/Three.html">Elsewhere</a></dt>
<dd>[<a href="http://192.0.2.1/papers/Three_paper.pdf">pdf</a>]</dd>
</dl></body></html>
"""
PAPERS = {f"/content/CVPR2023/papers/{name}_paper.pdf": b"%PDF-1.7 " + name.encode() for name in ("One", "Two")}


class Site:
    """A site on the loopback interface: what it answers, and what it was asked."""

    def __init__(self):
        self.pages = {"/CVPR2023?day=all": LISTING.encode(), **PAPERS}
        self.statuses = {}
        self.lengths = {}
        self.asked = []
        self.agents = set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                site.agents.add(self.headers["User-Agent"])
                statuses = site.statuses.get(self.path)
                status = statuses.pop(0) if statuses else 200 if self.path in site.pages else 404
                self.send_response(status)
                if self.path in site.lengths:
                    self.send_header("Content-Length", str(site.lengths[self.path]))
                self.end_headers()
                if status == 200:
                    self.wfile.write(site.pages[self.path])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site():
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def fetch(site, out, **given):
    return fetch_cvpr(2023, out, delay_seconds=0.0, site=site.url, **given)


def test_the_papers_of_a_listing_come_with_their_authors(site, tmp_path):
    out = tmp_path / "new" / "papers"
    fetched = fetch(site, out)
    assert [path.name for path in fetched.papers] == ["One_paper.pdf", "Two_paper.pdf"]
    assert (fetched.num_new, fetched.failed) == (2, ())
    assert (out / "One_paper.pdf").read_bytes() == b"%PDF-1.7 One"
    one, two = read_index(out)
    assert (one.title, one.authors) == ("One & Only: a Network", ("Ada Example", "Bj\u00f6rn Example"))
    assert one.url == f"{site.url}/content/CVPR2023/papers/One_paper.pdf"
    assert two.listing == f"{site.url}/CVPR2023?day=all"
    assert site.asked[:2] == ["/robots.txt", "/CVPR2023?day=all"]
    assert site.agents == {"fairnad"}
    assert sorted(path.name for path in out.iterdir()) == ["One_paper.pdf", "Two_paper.pdf", INDEX]


def test_nothing_is_fetched_twice(site, tmp_path):
    assert fetch(site, tmp_path, limit=1).num_new == 1
    (tmp_path / "Two_paper.part").write_bytes(b"%PDF-1.7 T")
    site.asked.clear()
    fetched = fetch(site, tmp_path)
    assert fetched.num_new == 1
    assert len(fetched.papers) == 2
    assert [path for path in site.asked if path.endswith(".pdf")] == ["/content/CVPR2023/papers/Two_paper.pdf"]
    assert (tmp_path / "Two_paper.pdf").read_bytes() == b"%PDF-1.7 Two"
    assert len(read_index(tmp_path)) == 2


def test_a_lost_index_is_written_again(site, tmp_path):
    fetch(site, tmp_path)
    (tmp_path / INDEX).unlink()
    assert fetch(site, tmp_path).num_new == 0
    assert len(read_index(tmp_path)) == 2


def test_robots_txt_is_respected(site, tmp_path):
    site.pages["/robots.txt"] = b"User-agent: *\nDisallow: /content/CVPR2023/papers/Two\n"
    fetched = fetch(site, tmp_path)
    assert [path.name for path in fetched.papers] == ["One_paper.pdf"]
    assert "Two_paper.pdf: its robots.txt does not allow" in fetched.failed[0]
    assert not any("Two" in path for path in site.asked)


def test_a_download_that_was_cut_short_is_no_paper(site, tmp_path):
    path = "/content/CVPR2023/papers/One_paper.pdf"
    site.lengths[path] = 9000
    fetched = fetch(site, tmp_path)
    assert "IncompleteRead" in fetched.failed[0]
    assert not (tmp_path / "One_paper.pdf").exists()
    site.lengths[path] = len(PAPERS[path])
    assert fetch(site, tmp_path).num_new == 1


def test_many_failures_in_a_row_end_it_and_say_what_is_left(site, tmp_path, caplog):
    entry = '<dt class="ptitle">Lost</dt><dd>[<a href="/content/CVPR2023/papers/Lost{}.pdf">pdf</a>]</dd>'
    site.pages["/CVPR2023?day=all"] += "".join(entry.format(number) for number in range(8)).encode()
    told = r"5 papers in a row could not be fetched, 3 more were not tried, 2 are in .*; the same command goes on later"
    with (
        caplog.at_level("WARNING"),
        pytest.raises(KnowledgeError, match=f"{told}: .*Lost4.pdf: cannot be fetched: 404"),
    ):
        fetch(site, tmp_path)
    assert sum("cannot be fetched" in record.getMessage() for record in caplog.records) == 5
    assert len(read_index(tmp_path)) == 2


def test_a_site_in_trouble_does_not_allow_everything(site, tmp_path):
    site.statuses["/robots.txt"] = [503]
    with pytest.raises(KnowledgeError, match=r"robots.txt: cannot be fetched: 503 .*; try later"):
        fetch(site, tmp_path)
    assert site.asked == ["/robots.txt"]


@pytest.mark.parametrize("robots", [b"User-agent: *\nDisallow: /\n", None])
def test_a_site_that_forbids_programs_is_left_alone(site, tmp_path, robots):
    if robots is None:
        site.statuses["/robots.txt"] = [403]
    else:
        site.pages["/robots.txt"] = robots
    with pytest.raises(KnowledgeError, match=r"CVPR2023\?day=all: its robots.txt does not allow"):
        fetch(site, tmp_path)
    assert site.asked == ["/robots.txt"]


def test_a_busy_site_is_asked_again(site, tmp_path):
    site.statuses["/content/CVPR2023/papers/One_paper.pdf"] = [503, 429]
    assert fetch(site, tmp_path).num_new == 2


def test_one_failure_does_not_stop_the_rest(site, tmp_path):
    site.statuses["/content/CVPR2023/papers/One_paper.pdf"] = [404]
    fetched = fetch(site, tmp_path)
    assert [path.name for path in fetched.papers] == ["Two_paper.pdf"]
    assert fetched.failed[0].endswith("One_paper.pdf: cannot be fetched: 404 Not Found")


def test_a_page_of_apologies_is_no_paper(site, tmp_path):
    for path in PAPERS:
        site.pages[path] = b"<html>come back later"
    with pytest.raises(
        KnowledgeError, match=r"no paper of CVPR 2023 could be fetched: http.*One_paper.pdf: is not a PDF"
    ):
        fetch(site, tmp_path)
    assert not list(tmp_path.glob("*.pdf"))


def test_days_are_listed_where_there_is_no_listing_of_all(site, tmp_path):
    site.pages["/CVPR2023?day=2023-06-20"] = site.pages["/CVPR2023?day=all"]
    site.pages["/CVPR2023?day=all"] = b'<a href="CVPR2023?day=2023-06-20">Day 1</a>'
    assert fetch(site, tmp_path).num_new == 2


def test_a_listing_that_cannot_be_had_is_named(site, tmp_path):
    with pytest.raises(KnowledgeError, match=r"/CVPR1900\?day=all: cannot be fetched: 404"):
        fetch_cvpr(1900, tmp_path, delay_seconds=0.0, site=site.url)
    site.pages["/CVPR2023?day=all"] = b"<html></html>"
    with pytest.raises(KnowledgeError, match=r"CVPR2023\?day=all: lists no papers"):
        fetch(site, tmp_path)


def test_a_site_that_does_not_answer_is_named(site, tmp_path):
    url = site.url
    site.server.server_close()
    with pytest.raises(KnowledgeError, match=rf"{url}/robots.txt: cannot be fetched: .*(refused|reset)"):
        fetch(site, tmp_path)


def test_a_broken_index_is_named(tmp_path):
    (tmp_path / INDEX).write_text('{"file": "a.pdf"}\n')
    with pytest.raises(KnowledgeError, match=r"index\.jsonl: not an index of papers"):
        read_index(tmp_path)
