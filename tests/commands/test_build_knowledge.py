"""`fairnad build-knowledge` as a user types it, against an endpoint of this machine: results, limits, bad input."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from fairnad.commands.knowledge import app as group
from fairnad.commands.knowledge import build_knowledge
from fairnad.errors import ConfigError, KnowledgeError, SpendLimitError
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.resources import resource
from tests.knowledge.build.librarian import librarian, write_papers
from tests.knowledge.build.printed import Style, print_paper

app = typer.Typer()
app.command("build-knowledge")(build_knowledge)
app.add_typer(group, name="knowledge")
SCRIPT = "from tests.commands.test_build_knowledge import app; app()"
NUM_PAPERS, NUM_KEPT = 6, 5


@pytest.fixture(scope="module")
def url():
    with librarian() as url:
        yield url


@pytest.fixture(scope="module")
def prose():
    with librarian(prose=True) as url:
        yield url


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers")
    write_papers(folder, NUM_PAPERS)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["build-knowledge", *map(str, arguments)])


def rows(out, table="calls"):
    """Return the rows of a table, times apart."""
    connection = sqlite3.connect(out / "knowledge.db")
    connection.row_factory = sqlite3.Row
    try:
        found = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    finally:
        connection.close()
    times = ("created", "latency_seconds")
    return sorted(json.dumps({name: row[name] for name in row if name not in times}) for row in found)


def everything(out):
    tables = {table: rows(out, table) for table in ("papers", "steps", "calls")}
    return tables | {name: (out / name).read_bytes() for name in ("ideas.jsonl", "attributes.json")}


def test_a_build_and_a_second_one(papers, url, tmp_path):
    out = tmp_path / "out"
    done = run(papers, "--out", out, "--llm", url)
    assert done.exit_code == 0, done.output
    assert f"{NUM_PAPERS} papers, {NUM_KEPT} kept, 1 not kept (1 not about the architecture" in done.stdout
    assert f"{2 * NUM_KEPT} found, {NUM_KEPT} dropped" in done.stdout
    calls = NUM_PAPERS + 2 * NUM_KEPT
    assert f"spent   {960 * calls:,} tokens, cost 0" in done.stdout
    assert f"fairnad search --knowledge {out}" in done.stdout
    lines = [json.loads(line) for line in (out / "ideas.jsonl").read_text().splitlines()]
    assert {line["grade"] for line in lines} == {"llm"}
    source = {"Ada Example et al., Gated Shortcuts Number 0, 0000.txt"}
    first = next(line for line in lines if source & set(line["sources"]))
    assert first["evidence"][0]["page"] == 1
    assert first["evidence"][0]["passage"].startswith("The gate multiplies a shortcut")
    assert len(IdeaDatabase.load(out / "ideas.jsonl")) == len(lines)
    before = everything(out)
    again = run(papers, "--out", out, "--llm", url)
    assert again.exit_code == 0, again.output
    assert again.stdout == done.stdout
    assert everything(out) == before
    assert len(rows(out)) == calls


def test_new_papers_are_all_that_is_asked_about(papers, url, tmp_path):
    done = run(papers, "--out", tmp_path / "out", "--llm", url, "--max-papers", 4)
    assert done.exit_code == 0, done.output
    assert len(rows(tmp_path / "out")) == 12
    assert run(papers, "--out", tmp_path / "out", "--llm", url).exit_code == 0
    assert run(papers, "--out", tmp_path / "whole", "--llm", url).exit_code == 0
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")


def test_a_limit_on_tokens_stops_and_a_higher_one_goes_on(papers, url, tmp_path):
    limited = (papers, "--out", tmp_path / "out", "--llm", url, "--set", "llm.concurrency=1", "--set")
    done = run(*limited, "llm.max_total_tokens=5000")
    assert isinstance(done.exception, SpendLimitError)
    assert "llm.max_total_tokens is reached" in str(done.exception)
    assert len(rows(tmp_path / "out")) == 6
    assert not (tmp_path / "out" / "ideas.jsonl").exists()
    assert run(*limited, "llm.max_total_tokens=500000").exit_code == 0
    assert run(papers, "--out", tmp_path / "whole", "--llm", url).exit_code == 0
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_goes_on_to_the_same(papers, tmp_path):
    with librarian(latency_seconds=0.1) as url:
        command = [sys.executable, "-c", SCRIPT, "build-knowledge", str(papers), "--llm", url]
        command += ["--set", "llm.concurrency=2", "--out"]
        assert subprocess.run([*command, str(tmp_path / "whole")], stdout=subprocess.DEVNULL).returncode == 0
        for num_calls in (1, 9):
            out = tmp_path / f"killed {num_calls}"
            process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL)
            while process.poll() is None and not (out / "knowledge.db").exists():
                time.sleep(0.01)
            while process.poll() is None and _num_calls(out) < num_calls:
                time.sleep(0.01)
            process.kill()
            process.wait()
            assert not (out / "ideas.jsonl").exists()
            assert subprocess.run([*command, str(out)], stdout=subprocess.DEVNULL).returncode == 0
            assert everything(out) == everything(tmp_path / "whole")


def _num_calls(out):
    try:
        return len(rows(out))
    except sqlite3.OperationalError:
        return 0  # it has no tables yet


def test_a_model_that_answers_prose(papers, prose, tmp_path):
    done = run(papers, "--out", tmp_path / "out", "--llm", prose)
    assert isinstance(done.exception, KnowledgeError)
    assert done.exception.exit_status == 2
    assert f"none of the replies for {NUM_PAPERS} papers can be used" in str(done.exception)
    assert not (tmp_path / "out" / "ideas.jsonl").exists()


def test_a_better_model_afterwards(papers, prose, url, tmp_path):
    run(papers, "--out", tmp_path / "out", "--llm", prose, "--max-papers", 1)
    # Another model of the same name: what could not be read is asked for again.
    connection = sqlite3.connect(tmp_path / "out" / "knowledge.db")
    connection.execute("UPDATE calls SET served = replace(served, 'librarian', 'talker')")
    connection.commit()
    connection.close()
    done = run(papers, "--out", tmp_path / "out", "--llm", url)
    assert done.exit_code == 0, done.output
    assert f"{NUM_KEPT} kept" in done.stdout


GATES = """Depthwise Gates for Convolutional Image Networks

Ada Example

Abstract

We present an efficient convolutional network block for image classification with a depthwise convolution.

1 Introduction

Convolutional networks for small devices are limited by their parameters and by their operations.

2 Method

We insert a depthwise convolution layer with a larger kernel into each residual block of the network.
"""


def test_without_a_model_keywords_are_announced_and_labelled(tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "gates.txt").write_text(GATES)
    done = run(tmp_path / "papers", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "ideas are found by keywords, which is of lower grade" in " ".join(done.stderr.split())
    assert "papers  1 paper, 1 kept" in done.stdout
    (line,) = map(json.loads, (tmp_path / "out" / "ideas.jsonl").read_text().splitlines())
    assert (line["grade"], line["target"]) == ("keywords", "efficiency")
    assert line["evidence"][0]["page"] == 1
    assert line["evidence"][0]["passage"] in GATES
    assert rows(tmp_path / "out") == []
    before = everything(tmp_path / "out")
    again = run(tmp_path / "papers", "--out", tmp_path / "out", "--llm", "none", "--extractor", "keywords")
    assert again.exit_code == 0, again.output
    assert "lower grade" not in again.stderr
    assert everything(tmp_path / "out") == before


def test_single_bad_papers_are_skipped_and_counted(papers, url, tmp_path):
    folder = tmp_path / "papers"
    shutil.copytree(papers, folder)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4\nbroken")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "twin.txt").write_bytes((papers / "0000.txt").read_bytes())
    done = run(folder, "--out", tmp_path / "out", "--llm", url)
    assert done.exit_code == 0, done.output
    assert "3 skipped (2 cannot be read, 1 the same file twice)" in done.stdout
    for name in ("broken.pdf", "empty.txt"):
        assert f"skipped{folder / name}:" in "".join(done.stderr.split())
        assert f"skipped {folder / name}:" in (tmp_path / "out" / "log.jsonl").read_text()


def test_a_tree_of_the_user(papers, url, tmp_path):
    tree = {"performance": {"operation": {"activation": ["relu", "gate"]}}}
    (tmp_path / "tree.json").write_text(json.dumps({"source": "mine", "tree": tree}))
    done = run(papers, "--out", tmp_path / "out", "--llm", url, "--tree", tmp_path / "tree.json")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "attributes.json").read_bytes() == (tmp_path / "tree.json").read_bytes()


def test_a_tree_built_from_reference_models(papers, url, tmp_path):
    out = tmp_path / "out"
    own = tmp_path / "own.py"
    own.write_text("from torch import nn\n\n\nclass Gate(nn.Module):\n    pass\n")
    done = run(papers, "--out", out, "--llm", url, "--reference", "ResNet", "--reference", own)
    assert done.exit_code == 0, done.output
    tree = AttributeTree.load(out / "attributes.json")
    assert tree.sub_categories("activation") == ("relu", "leaky relu")
    assert (out / "attributes.draft.json").exists()
    before = everything(out)
    assert run(papers, "--out", out, "--llm", url, "--reference", "ResNet", "--reference", own).exit_code == 0
    assert everything(out) == before
    # The tree of the folder stays, without the references too.
    assert run(papers, "--out", out, "--llm", url).exit_code == 0
    assert everything(out) == before


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["{tmp}/none"], KnowledgeError, "there is no such folder of papers"),
        (["{tmp}/empty"], KnowledgeError, "holds no papers"),
        (["{tmp}/pictures"], KnowledgeError, "holds no papers"),
        ([], ConfigError, "name a folder of papers"),
        (["{papers}", "--tree", "{tmp}/tree.json"], KnowledgeError, "target 'perfomance' is not known"),
        (["{papers}", "--tree", "{tmp}/none.json"], KnowledgeError, "none.json: the attribute tree cannot be read"),
        (["{papers}", "--extractor", "llm"], ConfigError, "--extractor llm asks a language model"),
        (["{papers}", "--extractor", "llm", "--llm", "none"], ConfigError, "--extractor llm asks a language model"),
        (["{papers}", "--reference", "all"], ConfigError, "--reference asks a language model"),
        (["{papers}", "--reference", "all", "--tree", "t.json"], ConfigError, "choose"),
        (["{papers}", "--llm", "http://127.0.0.1:9/v1"], ConfigError, "no language model answers"),
        (["{papers}", "--llm", "local:{tmp}/none.gguf"], ConfigError, "none.gguf"),
        (["{papers}", "--llm", "none", "--out", "{tmp}/mine"], KnowledgeError, "ideas that no build wrote"),
        (["{papers}", "--set", "llm.tempo=1"], ConfigError, "llm.tempo"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(arguments, error, words, papers, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.png").write_bytes(b"")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ideas.jsonl").write_text("{}\n")
    (tmp_path / "tree.json").write_text(json.dumps({"source": "x", "tree": {"perfomance": {}}}))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = run(*(part.format(tmp=tmp_path, papers=papers) for part in arguments))
    assert isinstance(done.exception, error), done.output
    assert words in str(done.exception)
    assert done.exception.exit_status == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_any_idea(tmp_path, url):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "loss.txt").write_text("A Loss for Training\n\nAda\n\nAbstract\n\nWe study a loss.\n")
    done = run(tmp_path / "papers", "--out", tmp_path / "out", "--llm", url)
    assert isinstance(done.exception, KnowledgeError)
    assert "no idea was found in 1 paper: 0 kept" in str(done.exception)
    # What a language model answered was paid for: a better tree or more papers go on from there.
    assert str(done.exception).endswith(f"nothing is written but {tmp_path / 'out' / 'knowledge.db'}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"knowledge.db", "lock"}


@pytest.mark.parametrize("exists", [False, True])
def test_where_no_paper_can_be_used_nothing_is_left(tmp_path, exists):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "empty.txt").touch()
    out = tmp_path / "out"
    if exists:
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    done = run(tmp_path / "papers", "--out", out)
    assert isinstance(done.exception, KnowledgeError)
    assert str(done.exception) == "no paper can be used, as told above; nothing is written"
    assert sorted(tmp_path.glob("out*/*")) == ([out / "notes.txt"] if exists else [])
    assert out.exists() == exists


def test_the_database_of_an_earlier_build_stays(tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "gates.txt").write_text(GATES)
    assert run(tmp_path / "papers", "--out", tmp_path / "out").exit_code == 0
    before = everything(tmp_path / "out")
    (tmp_path / "papers" / "gates.txt").write_text("")
    done = run(tmp_path / "papers", "--out", tmp_path / "out")
    assert str(done.exception).endswith(f"nothing is written but {tmp_path / 'out' / 'knowledge.db'}")
    after = everything(tmp_path / "out")
    assert (after["steps"], after["ideas.jsonl"]) == (before["steps"], before["ideas.jsonl"])


def test_pdfs_without_their_reader_are_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymupdf", None)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "gates.txt").write_text(GATES)
    assert run(tmp_path / "papers", "--out", tmp_path / "text").exit_code == 0, "nothing here needs it"
    (tmp_path / "papers" / "gates.PDF").write_bytes(b"%PDF-1.4")
    done = run(tmp_path / "papers", "--out", tmp_path / "out")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "reading PDFs needs pymupdf: pip install 'fairnad[knowledge]'"
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text_is_shown_as_well_as_can_be(papers, url, tmp_path):
    folder, out = tmp_path / "papers", tmp_path / "out"
    shutil.copytree(papers, folder)
    odd = os.fsdecode(b"caf\xe9.txt")
    (folder / "0000.txt").rename(folder / odd)
    done = run(folder, "--out", out, "--llm", url)
    assert done.exit_code == 0, done.output
    assert "caf\ufffd.txt" in (out / "ideas.jsonl").read_text()


@pytest.mark.parametrize("index", [b'{"what": "another program\'s"}\n', b"\xff\xfe"])
def test_another_programs_index_is_left_alone(papers, url, tmp_path, index, caplog):
    folder = tmp_path / "papers"
    shutil.copytree(papers, folder)
    (folder / "index.jsonl").write_bytes(index)
    assert run(folder, "--out", tmp_path / "out", "--llm", url).exit_code == 0
    assert "index.jsonl: not an index of papers; papers are cited" in caplog.text
    assert (folder / "index.jsonl").read_bytes() == index


def test_a_file_that_is_left_out_is_named(papers, url, tmp_path, caplog):
    folder = tmp_path / "papers"
    shutil.copytree(papers, folder)
    shutil.copy(folder / "0001.txt", folder / "again.txt")
    assert run(folder, "--out", tmp_path / "out", "--llm", url).exit_code == 0
    assert "again.txt: is the same as" in caplog.text


def test_corrections_are_kept_where_the_tree_is_given_again(papers, url, tmp_path):
    out, given = tmp_path / "out", resource("knowledge", "attributes.json")
    assert run(papers, "--out", out, "--llm", url, "--tree", given).exit_code == 0
    review = ["knowledge", "review", str(out), "--rename", "relu=rectifier"]
    assert CliRunner().invoke(app, review).exit_code == 0
    done = run(papers, "--out", out, "--llm", url, "--tree", given)
    assert done.exit_code == 0, done.output
    names = AttributeTree.load(out / "attributes.json").sub_categories("activation")
    assert "rectifier" in names
    assert "relu" not in names


def test_a_pdf_is_one_whatever_its_name(url, tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "paper.txt").write_bytes(print_paper(Style()))
    done = run(tmp_path / "papers", "--out", tmp_path / "out", "--llm", url)
    assert done.exit_code == 0, done.output
    assert "1 paper, 1 kept" in done.stdout
