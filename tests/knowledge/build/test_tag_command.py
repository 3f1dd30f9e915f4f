"""`fairnad knowledge tag`: one record a line, from a file or the standard input."""

import json

import pytest
import typer
from typer.testing import CliRunner

from fairnad.commands.tag import tag
from fairnad.errors import KnowledgeError

IDEAS = "Use grouped convolutions with channel shuffle in each block.\n\n  Train with a contrastive loss on video.  \n"
KEYS = ["text", "on_topic", "target", "granularity", "main", "sub", "score", "reason"]


@pytest.fixture
def app():
    app = typer.Typer()
    app.command()(tag)
    return app


def check(output):
    records = [json.loads(line) for line in output.splitlines()]
    assert [list(record) for record in records] == [KEYS, KEYS]
    assert [record["on_topic"] for record in records] == [True, False]
    assert records[0]["main"] == "efficient convolution"
    assert records[0]["reason"] is None
    assert records[1]["text"] == "Train with a contrastive loss on video."
    assert [records[1][key] for key in KEYS[2:6]] == [None] * 4
    assert records[1]["reason"] == "training: 'contrastive'"


def test_ideas_of_a_file(app, tmp_path):
    path = tmp_path / "ideas.txt"
    path.write_text(IDEAS)
    result = CliRunner().invoke(app, [str(path), "--json"])
    check(result.output)


@pytest.mark.parametrize("arguments", [["--json"], ["-", "--json"]])
def test_ideas_of_the_standard_input(app, arguments):
    check(CliRunner().invoke(app, arguments, input=IDEAS).output)


def test_lines_for_people(app):
    first, second = CliRunner().invoke(app, [], input=IDEAS).output.splitlines()
    assert first.startswith("efficiency * operation * efficient convolution * grouped convolution\tUse grouped")
    assert second.startswith("off: training: 'contrastive'\tTrain")


def test_files_that_cannot_be_read(app, tmp_path):
    missing = CliRunner().invoke(app, [str(tmp_path / "none.txt")])
    assert isinstance(missing.exception, KnowledgeError)
    assert "the ideas cannot be read: No such file" in str(missing.exception)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    binary = CliRunner().invoke(app, [str(tmp_path / "bytes.txt")])
    assert "expected text in UTF-8" in str(binary.exception)
