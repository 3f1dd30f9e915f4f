"""From reference models to a tree: sources, merging, and what is left for a person."""

import importlib.util
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fairnad.errors import KnowledgeError, LLMError
from fairnad.knowledge import MAIN_CATEGORIES, Attribute
from fairnad.knowledge.build.draft import FlagKind
from fairnad.knowledge.build.names import Synonyms
from fairnad.knowledge.build.reference import (
    REFERENCES,
    Reference,
    asker,
    build_tree,
    load_template,
    reference_sources,
)
from fairnad.llm.base import Reply
from fairnad.llm.prompts import Prompts

HAS_LIBRARIES = all(importlib.util.find_spec(package) for package in ("timm", "torchvision"))
needs_libraries = pytest.mark.skipif(not HAS_LIBRARIES, reason="timm and torchvision are not installed")

NO_SYNONYMS = Synonyms({})
RESNET = """**Performance**
{"operation level": {"feature extraction operators": ["Convolutions", "Max Pooling"], "activation": ["ReLU"]},
 "block and connectivity level": {"residual connections and multi-branch architectures": ["Residual connection"]}}
**Efficiency**
{"block and connectivity level": {"efficient block structures": ["bottleneck block"]}}
"""
SWIN = """**Performance**
{"operation level": {"feature extraction operators": ["self-attention", "convolution"],
                     "activations": ["GELU", "relu"]},
 "network level": {"residual connections and multi-branch architectures": ["residual-connections"]}}
**Efficiency**
{"operation level": {"efficient transformer": ["windowed attention"], "colour": ["blue"]}}
"""
REPLIES = {"ResNet": RESNET, "Swin": SWIN}


def references(*names):
    return [Reference(name, f"class {name}: pass", f"{name}.py") for name in names]


def build(*names, replies=REPLIES, **options):
    return build_tree(
        references(*names), lambda one: replies[one.name], load_template(), synonyms=NO_SYNONYMS, **options
    )


@needs_libraries
def test_the_14_models_are_read_whole_and_without_boilerplate():
    found = reference_sources()
    assert [one.name for one in found] == list(REFERENCES)
    assert len(found) == 14
    for one in found:
        compile(one.source, one.name, "exec")
        assert 3_000 < len(one.source) < 32_000
        assert "nn.Module" in one.source
        assert "url" not in one.source
        assert one.origin.split()[0] in ("timm", "torchvision")


@needs_libraries
@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("ResNeXt", "32"),
        ("MobileNetV2", "class InvertedResidual"),
        ("MobileViT", "class MobileVitBlock"),
        ("EfficientViT", "class LiteMLA"),
        ("EfficientFormer", "class Pooling"),
        ("ConvNeXt", "GlobalResponseNorm"),
        ("Swin", "def shifted_window_attention"),
    ],
)
def test_the_source_holds_what_a_model_is_known_for(name, word):
    (found,) = reference_sources([name])
    assert word in found.source


@needs_libraries
def test_reading_imports_neither_torch_nor_the_libraries():
    code = (
        "import sys; from fairnad.knowledge.build.reference import reference_sources; reference_sources();"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"torch", "timm", "torchvision"} & set(loaded.stdout.split())


def test_an_own_file_comes_after_the_named_models(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Mine(Module):\n    pass\n", encoding="utf-8")
    (found,) = reference_sources([], [path])
    assert found == Reference("mine", "class Mine(Module):\n    pass", "mine.py")


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(KnowledgeError, match="'Resnet' is not known: the nearest known is 'ResNet'"):
        reference_sources(["Resnet"])


@pytest.mark.parametrize(
    ("text", "told"), [("class Net(:", "is no Python"), ("import torch\n", "defines nothing"), (None, "cannot be read")]
)
def test_an_own_file_that_is_no_model_is_told(tmp_path, text, told):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=told):
        reference_sources([], [path])


def test_a_missing_library_tells_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(KnowledgeError, match=r"LeViT is read from timm, .*: pip install 'fairnad\[knowledge\]'"):
        reference_sources(["LeViT"])


def test_names_that_mean_the_same_stand_once_and_keep_their_models():
    draft = build("ResNet", "Swin")
    tree = draft.tree
    assert tree.mains() == MAIN_CATEGORIES
    assert tree.sub_categories("feature extraction operators") == ("convolution", "max pooling", "attention")
    assert tree.sub_categories("activation") == ("relu", "gelu")
    convolution = Attribute("performance", "operation", "feature extraction operators", "convolution")
    assert draft.found_in[convolution] == ("ResNet", "Swin")
    residual = tree.find("residual connection")[0]
    assert residual.granularity == "block"  # whatever level a reply puts it under
    assert draft.found_in[residual] == ("ResNet", "Swin")


def test_the_vocabulary_gives_names_of_the_shipped_tree():
    draft = build_tree(references("ResNet", "Swin"), lambda one: REPLIES[one.name], load_template())
    residual = draft.tree.sub_categories("residual connections and multi-branch architectures")
    assert residual == ("residual connections",)


def test_an_unknown_category_is_flagged_and_left_out():
    draft = build("ResNet", "Swin")
    (flag,) = draft.flags
    assert flag.kind is FlagKind.UNKNOWN_CATEGORY
    assert flag.place.main == "colour"
    assert flag.detail == "Swin: blue"
    assert "blue" not in [place.sub for place in draft.tree.attributes]


def test_a_reply_that_cannot_be_read_is_flagged_and_the_others_count():
    draft = build("ResNet", "ViT", replies={"ResNet": RESNET, "ViT": "I cannot help with that."})
    (flag,) = draft.flags
    assert flag.kind is FlagKind.UNREAD
    assert flag.detail.startswith("ViT: missing_section")
    assert draft.tree.sub_categories("activation") == ("relu",)


def test_marks_and_forgotten_quotes_make_no_names():
    reply = RESNET.replace('["ReLU"]', '["ReLU", "]}", "*", "GELU, SiLU"]')
    draft = build("ResNet", replies={"ResNet": reply})
    assert draft.tree.sub_categories("activation") == ("relu", "gelu", "silu")


def test_without_one_readable_reply_there_is_no_tree():
    with pytest.raises(KnowledgeError, match="no reply about a reference model can be read: ViT: empty"):
        build("ViT", replies={"ViT": ""})
    with pytest.raises(KnowledgeError, match="needs a reference model"):
        build()


def test_the_tree_does_not_depend_on_which_call_ends_first():
    first_done = threading.Event()

    def late_first(one):
        if one.name == "ResNet":
            assert first_done.wait(20)
        else:
            first_done.set()
        return Reply(REPLIES[one.name])

    slow = build_tree(references("ResNet", "Swin"), late_first, load_template(), synonyms=NO_SYNONYMS, workers=2)
    assert slow == build("ResNet", "Swin", workers=1)


class Scripted:
    """Answers with its texts in order and notes what was asked."""

    name = "scripted"

    def __init__(self, *texts):
        self.texts, self.asked = list(texts), []

    def complete(self, prompt, service):
        self.asked.append((service, prompt))
        if not self.texts:
            raise LLMError("nothing is left to say")
        return Reply(self.texts.pop(0))


def test_the_question_shows_the_template_and_the_source_and_is_asked_again():
    llm = Scripted("nothing to say", RESNET)
    ask = asker(llm, Prompts(), load_template())
    assert ask(references("ResNet")[0]).text == RESNET
    (first, prompt), (second, again) = llm.asked
    assert (first.number, second.number) == (0, 1)
    assert first.served == second.served
    assert re.fullmatch(r"attributes of ResNet \([0-9a-f]{16}\) by scripted", first.served)
    assert prompt == again
    assert "class ResNet: pass" in prompt.text
    for _, _, main in MAIN_CATEGORIES:
        assert main in prompt.text


@pytest.mark.parametrize("kind", ["timeout", "context_length"])
def test_a_reference_that_is_too_much_for_the_model_ends_no_build(kind):
    class Limited(Scripted):
        def complete(self, prompt, service):
            if "Swin" in service.served:
                raise LLMError("too much", kind=kind)
            return super().complete(prompt, service)

    ask = asker(Limited(RESNET), Prompts(), load_template())
    draft = build_tree(references("Swin", "ResNet"), ask, load_template(), workers=1)
    assert [flag.detail.partition(":")[0] for flag in draft.flags if flag.kind is FlagKind.UNREAD] == ["Swin"]
    with pytest.raises(LLMError, match="nothing is left"):
        asker(Scripted(), Prompts(), load_template())(references("ResNet")[0])


def test_the_last_reply_stands_where_none_can_be_read():
    llm = Scripted("no", "nor this", RESNET)
    assert asker(llm, Prompts(), load_template())(references("ResNet")[0]).text == "nor this"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("performance: [", "is no YAML"),
        ("performance: {operation: {activation: {examples: [a]}}}", "description"),
        ("performance: {operation: {colour: {description: d, examples: [a]}}}", "main category 'colour' is not known"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_template_is_told(tmp_path: Path, text, told):
    path = tmp_path / "template.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=told):
        load_template(path)
