"""The page: whole in one file, the same bytes from the same runs, harmless whatever a name holds."""

import re
from html.parser import HTMLParser

import pytest

from fairnad.errors import ConfigError
from fairnad.report.comparison import read_comparison
from fairnad.report.page import page, write_report
from tests import fake_runs


class Tags(HTMLParser):
    """Counts the tags of a page and notes what it would load."""

    def __init__(self, text):
        super().__init__()
        self.names, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "href"} and not value.startswith("#")]


def test_the_page_needs_no_other_file(job):
    tags = Tags(page(read_comparison([job])))
    assert tags.names.count("svg") == 3
    assert tags.names.count("table") == 3
    assert not tags.loads
    assert not {"script", "link", "img", "iframe"} & set(tags.names)


def test_stored_runs_give_the_same_bytes(job, tmp_path):
    for name in ("one", "two"):
        write_report(read_comparison([job]), tmp_path / name)
    for name in ("table.md", "page.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not re.search(r"20\d\d-\d\d-\d\d", (tmp_path / "one" / "page.html").read_text())


def test_every_search_and_the_setting_are_listed(job):
    text = page(read_comparison([job]))
    assert text.count("<td>the base</td>") >= 3
    assert "<td>recipe.batch_size</td><td>256</td>" in text
    assert "<td>strategy</td>" not in text
    assert "12000: " in text


def test_one_seed_is_told_in_red(tmp_path):
    fake_runs.job(tmp_path, strategies="base", num_seeds=1, budget=2)
    assert '<h1 class="warning">ONE SEED, no spread' in page(read_comparison([tmp_path]))


def test_names_are_escaped(tmp_path):
    fake_runs.job(tmp_path, strategies="base", num_seeds=1, budget=2, dataset="image-folder:<script>alert(1)</script>")
    assert "<script" not in page(read_comparison([tmp_path]))


def test_a_folder_that_cannot_be_written_is_told(job, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be written to .*file: .*name another with --out"):
        write_report(read_comparison([job]), tmp_path / "file")
