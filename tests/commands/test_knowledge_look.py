"""`stats` and `review` as typed in a terminal."""

import json
import os
import pty
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fairnad.commands.knowledge_look import ask_corrections, review, stats
from fairnad.errors import ConfigError, FairNADError, KnowledgeError
from fairnad.knowledge import Attribute, AttributeTree, IdeaDatabase
from fairnad.knowledge.build.draft import Flag, FlagKind, TreeDraft, read_draft, write_draft
from fairnad.knowledge.build.review import Patch, read_patch
from fairnad.resources import resource

app = typer.Typer()
app.command()(stats)
app.command()(review)

ACTIVATION = Attribute("performance", "operation", "activation")
RELU, SWISH = (replace(ACTIVATION, sub=name) for name in ("relu", "swish"))


def typed(*words):
    """Return what a command prints; an error is raised, as it is for the command line."""
    result = CliRunner(env={"COLUMNS": "140"}).invoke(app, [str(word) for word in words])
    if isinstance(result.exception, FairNADError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def shipped(tmp_path):
    """A folder with a copy of the shipped tree and ideas."""
    for name in ("attributes.json", "ideas.jsonl"):
        shutil.copy(resource("knowledge", name), tmp_path / name)
    return tmp_path


@pytest.fixture
def drafted(tmp_path):
    """A folder with a draft alone."""
    draft = TreeDraft(
        AttributeTree((ACTIVATION, RELU, SWISH)),
        {RELU: ("ResNet", "ViT"), SWISH: ("ViT",)},
        (Flag(FlagKind.UNREAD, None, "Swin: empty"),),
        "two models",
    )
    write_draft(draft, tmp_path / "attributes.draft.json")
    return tmp_path


def test_stats_print_and_write(tmp_path):
    output = typed("stats", "--out", tmp_path / "out", "--papers", 2)
    assert "99 ideas" in output
    assert "feature extraction operators" in output
    assert "more on the page" in output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ideas.html", "ideas.png"]


def test_stats_of_a_folder_and_of_a_file(shipped):
    lines = (shipped / "ideas.jsonl").read_text(encoding="utf-8").splitlines()[:20]
    (shipped / "few.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert "99 ideas" in typed("stats", shipped, "--out", shipped / "out")
    assert "20 ideas" in typed("stats", shipped / "few.jsonl", "--out", shipped / "out")


def test_a_review_without_corrections_writes_nothing(shipped):
    before = {path.name: path.read_bytes() for path in shipped.iterdir()}
    output = typed("review", shipped)
    assert "3 flags" in output
    assert "dense connectivity for" in output
    assert {path.name: path.read_bytes() for path in shipped.iterdir()} == before


def test_corrections_of_a_draft_are_kept_and_a_rebuild_keeps_them(drafted):
    assert "in one model only" in typed("review", drafted)
    assert "flags left: 2" in typed("review", drafted, "--rename", "swish=silu")
    assert "flags left: 1" in typed("review", drafted, "--keep", "2")
    assert read_patch(drafted / "attributes.patch.yaml") == Patch(rename={"swish": "silu"}, keep=("silu",))
    assert AttributeTree.load(drafted / "attributes.json").sub_categories("activation") == ("relu", "silu")
    assert "swish" in (drafted / "attributes.draft.json").read_text(encoding="utf-8")
    typed("review", drafted, "--remove", "relu")
    assert AttributeTree.load(drafted / "attributes.json").sub_categories("activation") == ("silu",)
    assert json.loads((drafted / "attributes.json").read_text(encoding="utf-8"))["source"] == "two models"


def test_the_shipped_tree_is_corrected_in_a_copy_alone():
    tree = resource("knowledge") / "attributes.json"
    before = tree.read_bytes()
    with pytest.raises(ConfigError, match="name a folder or a file of your own"):
        typed("review", "--rename", "silu=swish")
    assert tree.read_bytes() == before


def test_numbers_are_those_of_the_printed_flags(shipped):
    output = typed("review", shipped, "--move", "1=efficient convolution", "--keep", "3")
    assert "flags left: 1" in output
    tree = AttributeTree.load(shipped / "attributes.json")
    assert "grouped convolution" not in tree.sub_categories("feature extraction operators")
    assert "nothing to look at" in typed("review", shipped, "--keep", "1") + typed("review", shipped)


def test_ideas_follow_the_corrections(shipped):
    assert "ideas tagged again" in typed("review", shipped, "--rename", "silu=swish")
    tree = AttributeTree.load(shipped / "attributes.json")
    assert "swish" in {idea.sub for idea in IdeaDatabase.load(shipped / "ideas.jsonl", tree).ideas}


def test_a_patch_of_somebody_else_is_taken(drafted, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("rename: {swish: silu}\nremove: [what is not there]\n", encoding="utf-8")
    typed("review", drafted, "--apply", other)
    assert AttributeTree.load(drafted / "attributes.json").sub_categories("activation") == ("relu", "silu")


def test_a_tree_of_any_name_is_corrected_in_place(shipped):
    (shipped / "attributes.json").rename(shipped / "mine.json")
    typed("review", shipped / "mine.json", "--remove", "gelu")
    assert "gelu" not in AttributeTree.load(shipped / "mine.json").sub_categories("activation")
    assert not (shipped / "attributes.json").exists()


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (("--remove", "swich"), KnowledgeError, "the nearest known is 'swish'"),
        (("--rename", "swish"), ConfigError, "expected two names with = between them"),
        (("--move", "swish=nowhere"), KnowledgeError, "main category 'nowhere' is not known"),
        (("--keep", "9"), ConfigError, "flag 9 is about no attribute: there are 2 flags"),
        (("--keep", "1"), ConfigError, "flag 1 is about no attribute"),
        (("--apply", "none.yaml"), KnowledgeError, "there is no such patch file"),
    ],
)
def test_a_wrong_correction_is_told_and_nothing_is_written(drafted, words, error, told):
    with pytest.raises(error, match=told):
        typed("review", drafted, *words)
    assert [path.name for path in drafted.iterdir()] == ["attributes.draft.json"]


def test_an_unknown_path_is_told(tmp_path):
    with pytest.raises(KnowledgeError, match="cannot be read"):
        typed("review", tmp_path)
    with pytest.raises(KnowledgeError, match="does not exist"):
        typed("stats", tmp_path / "none.jsonl", "--out", tmp_path)


def test_each_flag_is_asked_about(drafted):
    kinds = (FlagKind.CATEGORY, FlagKind.ONE_MODEL, FlagKind.ONE_MODEL, FlagKind.EMPTY, FlagKind.CATEGORY)
    places = (RELU, SWISH, RELU, ACTIVATION, SWISH)
    found = [Flag(FlagKind.UNREAD, None, "Swin"), *(Flag(*pair, "") for pair in zip(kinds, places, strict=True))]
    answers = iter(["x", "r", "silu", "m", "normalization", "k", ""])
    corrections = ask_corrections(found, ["activation", "normalization"], lambda question: next(answers))
    assert corrections == Patch({"swish": "silu"}, {"relu": "normalization"}, ("activation / relu",), ("activation",))
    assert next(answers, None) is None


def test_an_answer_that_says_nothing_corrects_nothing(drafted):
    found = [
        Flag(FlagKind.ONE_MODEL, SWISH, ""),
        Flag(FlagKind.ONE_MODEL, RELU, ""),
        Flag(FlagKind.EMPTY, ACTIVATION, ""),
    ]
    answers, questions = iter(["r", " ", "m", "normalisation", "normalization", "x"]), []

    def ask(question):
        questions.append(question)
        return next(answers)

    assert ask_corrections(found, ["activation", "normalization"], ask) == Patch(move={"relu": "normalization"})
    assert "the nearest known is 'normalization'; main category" in questions[4]
    assert "remove" not in questions[5]


def test_in_a_terminal_the_person_is_asked(drafted):
    ours, theirs = pty.openpty()
    code = "import sys, typer; from fairnad.commands.knowledge_look import review; typer.run(review)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(drafted)], stdin=theirs, stdout=theirs, stderr=theirs, cwd=Path.cwd()
    ) as process:
        os.close(theirs)
        os.write(ours, b"r\nsilu\n")
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(30) == 0
    os.close(ours)
    assert b"k keep, x remove, r rename, m move, Enter skip" in shown
    assert read_patch(drafted / "attributes.patch.yaml").rename == {"swish": "silu"}
    assert read_draft(drafted / "attributes.json").tree.sub_categories("activation") == ("relu", "silu")


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""
