"""Ideas without a language model: abstracts judged, and sentences of a method that tell a design."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.build.keywords import extract_ideas, judge_abstract
from fairnad.knowledge.build.papers import read_paper

TREE = AttributeTree.load()
ABSTRACTS = json.loads((Path(__file__).parent / "abstracts.json").read_text())["papers"]
PDFS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "pdf"
ARCHITECTURES = ("alexnet", "batchnorm", "densenet", "googlenet", "mobilenets", "mobilenetv3", "nin", "resnet")
UNRELATED = ("distillation", "faster_rcnn", "primer", "retro", "transformer", "zero")

METHOD = """Our block widens what each layer sees.

To this end, we replace the second 3x3 convolution of every residual block by a depthwise convolution [12, 14] with a
larger kernel (Fig. 2). The network is trained for 90 epochs with momentum on eight GPUs. As shown in Table 3, this
outperforms the baseline. We add a squeeze-and-excitation module behind each block, e.g. Between two stages, so that the
channels of a feature map are weighted by what the whole image holds.

y = f(x, W1) + W2 x (4)

We apply a contrastive loss between two augmented views of the same unlabeled video clip. In addition, each stage
concatenates the features of all preceding layers along the channels, and a 1x1 convolution reduces the concatenated
features to the width of the stage, which keeps the number of parameters small, while the shortcut connections of the
stage are left as they are in the residual network that we start from in all of its four stages and its stem."""


@dataclass(frozen=True)
class Pages:
    """A paper of one page."""

    method: str

    def page_of(self, passage: str) -> int | None:
        return 7 if passage in " ".join(self.method.split()) else None


@pytest.mark.parametrize("title", [one["title"] for one in ABSTRACTS])
def test_papers_are_judged_by_title_and_abstract(title):
    paper = next(one for one in ABSTRACTS if one["title"] == title)
    verdict = judge_abstract(title, paper["abstract"], TREE)
    assert verdict.kept is paper["kept"]
    assert verdict.reasons


def test_an_empty_abstract_is_judged_by_the_title():
    assert judge_abstract("Densely Connected Convolutional Networks for Images", "", TREE).kept
    assert not judge_abstract("", "", TREE).kept


@pytest.mark.skipif(not PDFS.exists(), reason="needs the PDFs of published papers, which are not shipped")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_papers_about_architectures_are_kept_and_give_ideas(name):
    paper = read_paper(PDFS / f"{name}.pdf")
    assert judge_abstract(paper.title, paper.abstract, TREE).kept
    found = extract_ideas(paper, TREE)
    assert len(found) >= 5
    for one in found:
        assert len(one.text.split()) < 50
        assert one.page is not None
        TREE.check(one.place)


@pytest.mark.skipif(not PDFS.exists(), reason="needs the PDFs of published papers, which are not shipped")
def test_papers_about_something_else_are_discarded():
    papers = [read_paper(PDFS / f"{name}.pdf") for name in UNRELATED]
    assert not [paper.title for paper in papers if judge_abstract(paper.title, paper.abstract, TREE).kept]


def test_sentences_that_tell_a_design_become_ideas():
    found = extract_ideas(Pages(METHOD), TREE)
    assert [one.text.split(",")[0].split(" with ")[0] for one in found] == [
        "We replace the second 3x3 convolution of every residual block by a depthwise convolution",
        "We add a squeeze-and-excitation module behind each block",
        "Each stage concatenates the features of all preceding layers along the channels",
    ]
    assert [one.place.main for one in found] == [
        "efficient convolution",
        "adaptive feature recalibration",
        "dense connectivity for feature reuse",
    ]


def test_an_idea_is_short_and_knows_its_passage_and_page():
    found = extract_ideas(Pages(METHOD), TREE)
    assert all(len(one.text.split()) < 50 for one in found)
    assert all(one.page == 7 for one in found)
    assert found[0].passage.startswith("To this end, we replace")
    assert "[12, 14]" in found[0].passage
    assert len(found[2].passage.split()) > 50
    assert found[2].text.removesuffix(".") in found[2].passage.replace("In addition, e", "E")


def test_a_method_without_a_design_gives_no_ideas():
    assert extract_ideas(Pages(""), TREE) == ()
    assert extract_ideas(Pages("We minimise the loss by stochastic gradient descent with a decaying rate."), TREE) == ()
