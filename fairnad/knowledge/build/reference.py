"""From reference models to an attribute tree: their sources, the questions, and the merged answers (paper, 4.1).

Sources are read as text from the installed torchvision and timm, which are never imported: that would bring torch into
this process. The template gives the upper levels; what replies name becomes the sub-categories.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fairnad.errors import KnowledgeError, LLMError, ReplyError, nearest
from fairnad.knowledge.attributes import MAIN_CATEGORIES, Attribute, AttributeTree, explain
from fairnad.knowledge.build.draft import Flag, FlagKind, TreeDraft
from fairnad.knowledge.build.model_source import model_source
from fairnad.knowledge.build.names import Synonyms, key
from fairnad.llm.base import LLM, Finish, Reply, Service
from fairnad.llm.replies import NamedAttributes, read_attributes
from fairnad.resources import resource

if TYPE_CHECKING:
    from fairnad.llm.prompts import Prompts

__all__ = ["REFERENCES", "Entry", "Reference", "Template", "asker", "build_tree", "load_template", "reference_sources"]

logger = logging.getLogger(__name__)

REFERENCES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ResNet": ("torchvision", "resnet", ("resnet50",)),
    "MobileNetV2": ("torchvision", "mobilenetv2", ("mobilenet_v2",)),
    "MobileNetV3": ("torchvision", "mobilenetv3", ("mobilenet_v3_large",)),
    "EfficientNet": ("torchvision", "efficientnet", ("efficientnet_b0",)),
    "Inception": ("torchvision", "inception", ("inception_v3",)),
    "ConvNeXt": ("timm", "convnext", ("convnextv2_tiny",)),
    "ResNeXt": ("torchvision", "resnet", ("resnext50_32x4d",)),
    "ViT": ("torchvision", "vision_transformer", ("vit_b_16",)),
    "Swin": ("torchvision", "swin_transformer", ("swin_t",)),
    "EfficientViT": ("timm", "efficientvit_mit", ("efficientvit_b1",)),
    "MLP-Mixer": ("timm", "mlp_mixer", ("mixer_b16_224",)),
    "EfficientFormer": ("timm", "efficientformer", ("efficientformer_l1",)),
    "LeViT": ("timm", "levit", ("levit_256",)),
    "MobileViT": ("timm", "mobilevit", ("mobilevit_s", "MobileVitBlock")),
}
"""The paper's 14 reference models: package, module of its `models`, and what of that module to begin from."""

MAX_CHARS = 32_000
"""A source has no more letters: about 9,000 tokens, which leave room for prompt and answer in a context of 16,384."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model to learn attributes from. `origin` says where its source was read."""

    name: str
    source: str
    origin: str


class Entry(BaseModel):
    """What the template says about a main category."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    examples: tuple[str, ...]


Template = Mapping[str, Mapping[str, Mapping[str, Entry]]]
"""Target -> granularity -> main category -> what is meant."""


def reference_sources(
    names: Iterable[str] | None = None, files: Iterable[Path] = (), *, max_chars: int = MAX_CHARS
) -> tuple[Reference, ...]:
    """Return the reference models `names`, by default all of `REFERENCES`, then those in the user's own `files`.

    Raises:
        KnowledgeError: a name is not known, a package is missing or too old, or a file holds no Python.
    """
    found = [_installed(name, max_chars) for name in (REFERENCES if names is None else names)]
    return (*found, *(_own(Path(file), max_chars) for file in files))


def load_template(path: Path | None = None) -> Template:
    """Return the template in the YAML file `path`, by default the shipped one.

    Raises:
        KnowledgeError: it cannot be read, or has a level that the tree has not.
    """
    path = path or resource("knowledge", "attribute_template.yaml")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        template = TypeAdapter(dict[str, dict[str, dict[str, Entry]]]).validate_python(read)
        for place in _mains(template):
            AttributeTree(tuple(Attribute(*upper) for upper in MAIN_CATEGORIES)).check(place)
    except OSError as error:
        raise KnowledgeError(f"{path}: the template cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise KnowledgeError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise KnowledgeError(f"{path}: {explain(error)}") from error
    except KnowledgeError as error:
        raise KnowledgeError(f"{path}: {error}") from error
    return template


def asker(llm: LLM, prompts: Prompts, template: Template, *, attempts: int = 2) -> Callable[[Reference], Reply]:
    """Return what asks `llm` for the attributes of a reference, again where a reply cannot be read.

    A reference that is too long for it, or takes it too long, has an empty reply: it is flagged, and the others count.
    """

    def ask(reference: Reference) -> Reply:
        prompt = prompts.render("attributes", template=template, source=reference.source)
        source = hashlib.sha256(reference.source.encode()).hexdigest()[:16]
        for number in range(attempts):
            try:
                reply = llm.complete(
                    prompt, Service(f"attributes of {reference.name} ({source}) by {llm.name}", number)
                )
            except LLMError as error:
                if not error.is_of_one_prompt:
                    raise
                logger.warning("%s: %s", reference.name, error)
                return Reply("", Finish.OTHER)
            if isinstance(_read(reply), tuple):
                break
        return reply

    return ask


def build_tree(
    references: Sequence[Reference],
    ask: Callable[[Reference], str | Reply],
    template: Template,
    *,
    synonyms: Synonyms | None = None,
    workers: int = 8,
) -> TreeDraft:
    """Return the tree of all that the replies name, each name once in a main category.

    Asks about several references at once; the tree depends on the replies and on the order of `references` alone.

    Raises:
        KnowledgeError: there is no reference, or not one reply can be read.
        LLMError: what `ask` raises.
    """
    if not references:
        raise KnowledgeError("the attribute tree needs a reference model; name one, or give a file of your own")
    with ThreadPoolExecutor(workers) as pool:
        replies = [_read(reply) for reply in pool.map(ask, references)]
    merged = _Merged(template, synonyms or Synonyms.load())
    for reference, reply in zip(references, replies, strict=True):
        merged.add(reference.name, reply)
    if not any(isinstance(reply, tuple) for reply in replies):
        raise KnowledgeError(f"no reply about a reference model can be read: {merged.flags[0].detail}")
    return merged.draft("; ".join(f"{one.name} ({one.origin})" for one in references))


class _Merged:
    """The answers so far. In a main category, the first spelling of a name stands for all that mean the same."""

    def __init__(self, template: Template, synonyms: Synonyms) -> None:
        self.flags: list[Flag] = []
        self._mains = {place.main: place for place in _mains(template)}
        self._synonyms = synonyms
        self._spelled: dict[tuple[str, str], Attribute] = {}
        self._found_in: dict[Attribute, dict[str, None]] = defaultdict(dict)

    def add(self, model: str, reply: tuple[NamedAttributes, ...] | ReplyError) -> None:
        if isinstance(reply, ReplyError):
            self.flags.append(Flag(FlagKind.UNREAD, None, f"{model}: {reply.kind}: {reply}"))
            return
        for named in reply:
            main = self._main(named)
            if main is not None:
                # A name that holds a comma is a list whose quotes were forgotten.
                for name in ",".join(named.names).split(","):
                    self._put(model, main, name)
            elif named.names:
                where = Attribute(named.target, named.granularity, named.main)
                self.flags.append(Flag(FlagKind.UNKNOWN_CATEGORY, where, f"{model}: {', '.join(named.names)}"))

    def draft(self, source: str) -> TreeDraft:
        attributes = []
        for main in self._mains.values():
            subs = (place for place in self._found_in if place.main == main.main)
            attributes += [main, *subs]
        found_in = {place: tuple(models) for place, models in self._found_in.items()}
        return TreeDraft(AttributeTree(tuple(attributes)), found_in, tuple(self.flags), source)

    def _main(self, named: NamedAttributes) -> Attribute | None:
        # The category decides, since no two share a name: replies often put one under another level or target.
        close = get_close_matches(named.main, self._mains, n=1, cutoff=0.75)
        return self._mains[close[0]] if close else None

    def _put(self, model: str, main: Attribute, name: str) -> None:
        spelling = self._synonyms.of(name, main.main)
        if not spelling:
            return
        place = Attribute(main.target, main.granularity, main.main, spelling)
        place = self._spelled.setdefault((main.main, key(spelling)), place)
        self._found_in[place][model] = None


def _read(reply: str | Reply) -> tuple[NamedAttributes, ...] | ReplyError:
    try:
        return read_attributes(reply.text if isinstance(reply, Reply) else reply)
    except ReplyError as error:
        return error


def _mains(template: Template) -> list[Attribute]:
    return [
        Attribute(target, granularity, main)
        for target, granularities in template.items()
        for granularity, mains in granularities.items()
        for main in mains
    ]


def _installed(name: str, max_chars: int) -> Reference:
    if name not in REFERENCES:
        raise KnowledgeError(f"reference model {name!r} is not known: {nearest(name, REFERENCES)}")
    package, module, roots = REFERENCES[name]
    install = "pip install 'fairnad[knowledge]'"
    # Of a package's own name, find_spec runs nothing; of a module inside it, it would import the package.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise KnowledgeError(f"{name} is read from {package}, which is not installed: {install}")
    try:
        number = version(package)
    except PackageNotFoundError:
        number = "of unknown version"
    path = Path(spec.origin).parent / "models" / f"{module}.py"
    try:
        source = model_source(path.read_text(encoding="utf-8"), roots=roots, max_chars=max_chars)
    except (OSError, KeyError) as error:
        what = f"{package} {number} has no {' and '.join(roots)} in models/{module}.py"
        raise KnowledgeError(f"{name}: {what}; take another version: {install}") from error
    return Reference(name, source, f"{package} {number}, models/{module}.py")


def _own(path: Path, max_chars: int) -> Reference:
    try:
        source = model_source(path.read_text(encoding="utf-8"), max_chars=max_chars)
    except OSError as error:
        raise KnowledgeError(f"{path}: the reference model cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise KnowledgeError(f"{path}: the reference model is no Python: {error}") from error
    if not source:
        raise KnowledgeError(f"{path}: the reference model defines nothing; expected a module of PyTorch")
    return Reference(path.stem, source, path.name)
