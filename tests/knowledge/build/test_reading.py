"""Reading papers in processes: what comes back, and a file that crashes or hangs its reader."""

import os

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.papers import ReadingError, read_paper
from fairnad.knowledge.build.reading import Readers

TEXT = "A Gate for Shortcuts\n\nAda Example\n\nAbstract\n\nWe study gates.\n\n1 Method\n\nA gate scales it.\n"


class Deadly:
    """Ends the process that receives it."""

    def __reduce__(self):
        return (os._exit, (1,))


@pytest.fixture
def paper(tmp_path):
    path = tmp_path / "paper.txt"
    path.write_text(TEXT)
    return path


def test_a_paper_comes_back_as_it_is_read_here_and_a_crash_costs_one_file(paper):
    with Readers(1) as readers:
        assert readers.read(paper) == read_paper(paper)
        with pytest.raises(ReadingError, match=r"missing.txt: cannot be read: No such file"):
            readers.read(paper.with_name("missing.txt"))
        with pytest.raises(ReadingError, match="made its reader crash"):
            readers.read(Deadly())
        empty = paper.with_name("empty.txt")
        empty.touch()
        with pytest.raises(KnowledgeError, match="it holds nothing") as wrong:
            readers.read(empty)
        assert not isinstance(wrong.value, ReadingError), "the file is at fault, and will be"
        assert readers.read(paper).title == "A Gate for Shortcuts"


def test_a_paper_that_takes_too_long_is_given_up(paper):
    with Readers(1, seconds=0.0) as readers, pytest.raises(ReadingError, match=r"paper.txt: .* took over 0 s"):
        readers.read(paper)
