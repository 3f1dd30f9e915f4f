"""`fairnad knowledge export, import, lint` as a user types them."""

import json
import sys

import pytest
from typer.testing import CliRunner

from fairnad.commands.knowledge import app
from fairnad.errors import ConfigError, KnowledgeError
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.resources import resource

IDEA = {
    "id": "a",
    "text": "Use GELU in place of ReLU in every residual block of the network",
    "target": "performance",
    "granularity": "operation",
    "main": "activation",
    "sub": "gelu",
    "sources": ["Ada Example, Gates"],
    "grade": "llm",
    "evidence": [{"paper": "gates.pdf", "sha256": "00", "page": 3, "passage": "We use GELU."}],
}
OTHER = {**IDEA, "id": "b", "text": "Normalize each channel by its own response", "main": "normalization", "sub": "grn"}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(path, *lines):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_what_is_exported_and_imported_is_the_same(tmp_path):
    mine = write(tmp_path / "mine" / "ideas.jsonl", IDEA, OTHER)
    exported = run("export", tmp_path / "mine")
    assert exported.exit_code == 0, exported.output
    assert exported.stdout == mine.read_text().replace('": ', '":').replace(', "', ',"')
    assert run("export", tmp_path / "mine", "--out", tmp_path / "file.jsonl").exit_code == 0
    done = run("import", tmp_path / "file.jsonl", "--out", tmp_path / "theirs")
    assert done.exit_code == 0, done.output
    assert "2 ideas read, 0 merged into others; 2 are in" in done.stdout
    assert (tmp_path / "theirs" / "ideas.jsonl").read_text() == exported.stdout
    tree = (tmp_path / "theirs" / "attributes.json").read_bytes()
    assert tree == resource("knowledge", "attributes.json").read_bytes()


def test_the_shipped_ideas_can_be_imported_twice(tmp_path):
    for _ in range(2):
        assert run("import", resource("knowledge"), "--out", tmp_path).exit_code == 0
        assert IdeaDatabase.load(tmp_path / "ideas.jsonl") == IdeaDatabase.load()


def test_what_says_the_same_is_merged_with_all_sources(tmp_path):
    again = {**IDEA, "id": "c", "sources": ["B. Mueller, More gates"]}
    again["evidence"] = [{"paper": "more.pdf", "page": 1, "passage": "GELU it is."}]
    one, two = write(tmp_path / "1.jsonl", IDEA), write(tmp_path / "2.jsonl", again, OTHER)
    done = run("import", one, two, "--out", tmp_path / "out")
    assert "3 ideas read, 1 merged into others; 2 are in" in done.stdout
    first = json.loads((tmp_path / "out" / "ideas.jsonl").read_text().splitlines()[0])
    assert first["id"] == "a"
    assert first["sources"] == ["Ada Example, Gates", "B. Mueller, More gates"]
    assert [entry["paper"] for entry in first["evidence"]] == ["gates.pdf", "more.pdf"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([IDEA, "{broken"], "file.jsonl, line 2: "),
        ([IDEA, {**OTHER, "sub": "gnr"}], "file.jsonl, line 2: sub-category 'gnr' is not known"),
        ([IDEA, OTHER, IDEA], "file.jsonl, line 3: id 'a' is that of line 1"),
        ([], "holds no idea"),
    ],
)
def test_a_broken_file_is_refused_by_line_and_nothing_is_written(tmp_path, lines, words):
    path = write(tmp_path / "file.jsonl", *lines)
    for arguments in (("import", path, "--out", tmp_path / "out"), ("export", path, "--out", tmp_path / "out.jsonl")):
        done = run(*arguments)
        assert isinstance(done.exception, KnowledgeError)
        assert words in str(done.exception)
        assert done.exception.exit_status == 2
    assert list(tmp_path.iterdir()) == [path]


def test_an_id_that_stands_for_two_ideas_is_refused(tmp_path):
    one, two = write(tmp_path / "1.jsonl", IDEA), write(tmp_path / "2.jsonl", {**OTHER, "id": "a"})
    assert "'a' stands for two ideas" in str(run("import", one, two, "--out", tmp_path / "out").exception)


def test_the_folder_of_a_build_takes_no_imports(tmp_path):
    path = write(tmp_path / "built" / "ideas.jsonl", IDEA)
    (tmp_path / "built" / "knowledge.db").touch()
    assert "is the folder of a build" in str(run("import", path, "--out", tmp_path / "built").exception)


def test_lint_tells_what_is_wrong_and_where(tmp_path):
    done = run("lint")
    assert (done.exit_code, done.stdout) == (0, f"{resource('knowledge')}/ideas.jsonl: nothing is wrong\n")
    path = write(tmp_path / "ideas.jsonl", IDEA, OTHER)
    done = run("lint", tmp_path)
    assert done.exit_code == 0, "a small database is none that is wrong"
    assert done.stdout.count(f"{path}: warning: empty category: no idea in ") == 13
    assert done.stdout.endswith(f"{path}: nothing is wrong; 13 warnings\n")
    path = write(tmp_path / "ideas.jsonl", IDEA, {**OTHER, "text": "word " * 50}, {**OTHER, "id": "c", "main": "norm"})
    done = run("lint", tmp_path)
    assert done.exit_code == 3
    assert f"{path}: over-long idea: line 2: b has 50 words" in done.stdout
    assert f"{path}: tag outside the tree: line 3: c: main category 'norm' is not known" in done.stdout
    assert "nothing is wrong" not in done.stdout
    write(path, IDEA, "{broken")
    done = run("lint", tmp_path)
    assert done.exit_code == 3
    assert "broken line: line 2" in done.stdout


def test_papers_are_shown(tmp_path):
    path = tmp_path / "paper.txt"
    path.write_text("A Gate for Shortcuts\n\nAda Example\n\nAbstract\n\nWe study gates.\n")
    done = run("paper", path, "--json")
    assert (done.exit_code, json.loads(done.stdout)["title"]) == (0, "A Gate for Shortcuts")
    assert run("paper", path, tmp_path / "none.pdf").exit_code == 2


def test_a_pdf_without_its_reader_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymupdf", None)
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4")
    error = run("paper", tmp_path / "paper.pdf").exception
    assert isinstance(error, ConfigError)
    assert str(error) == "reading PDFs needs pymupdf: pip install 'fairnad[knowledge]'"
