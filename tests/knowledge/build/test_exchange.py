import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.exchange import import_ideas, read_ideas

LINE = (
    '{{"id": "{id}", "text": "{text}", "target": "performance", "granularity": "operation", "main": "activation",'
    ' "sub": "silu", "sources": ["{source}"], "grade": "llm"}}\n'
)


@pytest.fixture
def file(tmp_path):
    def write(name, *ideas):
        path = tmp_path / f"{name}.jsonl"
        lines = (LINE.format(id=id_, text=text, source=f"Author {name}") for id_, text in ideas)
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


def test_an_idea_of_two_files_has_the_sources_of_both(file, tmp_path):
    idea = ("one", "Use SiLU ahead of the gate.")
    done = import_ideas([file("a", idea), file("b", idea)], tmp_path / "out")
    assert (done.ideas, done.given, done.merged) == (1, 2, 1)
    (line,) = read_ideas(tmp_path / "out")
    assert line.sources == ("Author a", "Author b")


def test_the_same_file_again_changes_nothing(file, tmp_path):
    path = file("a", ("one", "Use SiLU ahead of the gate."), ("two", "Share one kernel among all heads."))
    import_ideas([path], tmp_path / "out")
    before = read_ideas(tmp_path / "out")
    assert import_ideas([path], tmp_path / "out").ideas == 2
    assert read_ideas(tmp_path / "out") == before


def test_an_id_stands_for_one_idea(file, tmp_path):
    paths = [file("a", ("one", "Use SiLU ahead of the gate.")), file("b", ("one", "Share one kernel."))]
    with pytest.raises(KnowledgeError, match="'one' stands for two ideas"):
        import_ideas(paths, tmp_path / "out")
    assert not (tmp_path / "out" / "ideas.jsonl").exists()
