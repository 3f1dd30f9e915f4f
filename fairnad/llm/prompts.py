"""Renders prompts from jinja2 files, one a task, and finds what is wrong with a file before anything is asked.

The first line of a file names its inputs, as in `{# inputs: parent, idea #}`; its blocks `system` and `user` are the
messages. A file whose name begins with `_` is a part that others include. A file in the user's own folder takes the
place of the shipped one of the same name. Asks no language model; the home of jinja2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path

import jinja2
from jinja2 import meta, nodes

from fairnad.errors import ConfigError, nearest
from fairnad.llm.base import Message, Prompt
from fairnad.resources import resource

__all__ = ["Prompts"]

_ROLES = ("system", "user")
_HEADER = re.compile(r"\{#-?\s*inputs:([\w\s,]*)-?#\}")


class Prompts:
    """The templates of one search: those in the folder `root`, and the shipped ones for all that it does not hold.

    All files are read at once and then stay as they are, whatever happens on the disk. Safe to call from several
    threads.

    Raises:
        ConfigError: there is no folder `root`, no template in it, or a file in it that cannot be read.
    """

    def __init__(self, root: Path | None = None) -> None:
        shipped = resource("prompts")
        if root is not None and not any(root.glob("*.j2")):
            what = "holds no .j2 file" if root.is_dir() else "is no folder"
            raise ConfigError(f"the folder of prompts, {root}, {what}; copy those to change into it from {shipped}")
        self._shipped = _read_all(shipped)
        self._sources = self._shipped | (_read_all(root) if root is not None else {})
        self._environment = jinja2.Environment(
            loader=jinja2.DictLoader({name: source.text for name, source in self._sources.items()}),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates: dict[str, _Template] = {}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of all tasks that can be rendered."""
        return tuple(sorted(name.removesuffix(".j2") for name in self._sources if not name.startswith("_")))

    def check(self) -> None:
        """Check every template, so that `render` can fail only by what it is given.

        Raises:
            ConfigError: one cannot be used; the message names the file and what is wrong with it.
        """
        for name in self._sources.keys() - self._shipped.keys():
            if name.startswith("_"):  # a part of those beside it
                continue
            if meant := get_close_matches(name, self._shipped, n=1, cutoff=0.8):  # others may be a generator's own
                raise ConfigError(f"{self._sources[name].path}: nothing asks for this prompt; is {meant[0]} meant?")
        for task in self.tasks:
            self._template(task)

    def render(self, task: str, *, temperature: float | None = None, **inputs: object) -> Prompt:
        """Return the prompt of `task`.

        Texts lose the empty lines around them, and enumerations become their values.

        Raises:
            ConfigError: there is no such task, its template cannot be used, or `inputs` are not those it declares.
        """
        template = self._template(task)
        _check_given(template, inputs)
        context = template.compiled.new_context({name: _plain(value) for name, value in inputs.items()})
        blocks = template.compiled.blocks
        try:
            texts = {role: "".join(blocks[role](context)).strip("\n") for role in _ROLES if role in blocks}
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise ConfigError(f"{template.path}: {error}; its inputs are {_list(template.inputs)}") from error
        messages = tuple(Message(role, text) for role, text in texts.items())
        return Prompt(task, messages, template.hash, temperature)

    def _template(self, task: str) -> _Template:
        if task not in self._templates:
            if task not in self.tasks:
                raise ConfigError(f"the prompt {task!r} is not known: {nearest(task, self.tasks)}")
            self._templates[task] = self._load(f"{task}.j2")
        return self._templates[task]

    def _load(self, name: str) -> _Template:
        own, *parts = files = self._parse_all(name)
        for file in files:
            _check_used(file)
        for part in parts:
            _check_part(part, own)
        _check_blocks(own)
        _check_replaced(own, self._shipped.get(name))
        text = "\0".join(f"{file.path.name}\0{file.text}" for file in files)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return _Template(own.path, own.inputs, digest, self._environment.get_template(name))

    def _parse_all(self, name: str) -> list[_File]:
        """Return the file `name`, then all that it includes."""
        files: dict[str, _File] = {}
        waiting = [name]
        while waiting:
            name = waiting.pop(0)
            if name not in files:
                files[name] = self._parse(self._sources[name])
                waiting += files[name].includes
        return list(files.values())

    def _parse(self, source: _Source) -> _File:
        path, text = source.path, source.text
        try:
            tree = self._environment.parse(text, path.name)
            used = meta.find_undeclared_variables(tree) - self._environment.globals.keys()
            self._environment.get_template(path.name)  # finds what only the compiler sees, such as an unknown filter
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{path}: line {error.lineno}: {error.message}") from error
        includes = tuple(meta.find_referenced_templates(tree))
        for name in includes:
            if name not in self._sources:
                what = "a file whose name is not written out" if name is None else f"{name!r}, which is no file"
                known = _list(name for name in self._sources if name.startswith("_"))
                raise ConfigError(f"{path}: includes {what}; known are {known}")
        return _File(path, text, tree, _declared(source), frozenset(used), tuple(filter(None, includes)))


@dataclass(frozen=True, slots=True)
class _Source:
    """The text of one file."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class _File:
    """One parsed file. `used` are the variables that it does not set itself, `includes` the names of other files."""

    path: Path
    text: str
    tree: nodes.Template
    inputs: tuple[str, ...]
    used: frozenset[str]
    includes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Template:
    """A template that was checked; `hash` covers its text and that of all it includes."""

    path: Path
    inputs: tuple[str, ...]
    hash: str
    compiled: jinja2.Template


def _read_all(folder: Path) -> dict[str, _Source]:
    return {path.name: _Source(path, _read(path)) for path in sorted(folder.glob("*.j2"))}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the prompt cannot be read: {error}") from error


def _declared(source: _Source) -> tuple[str, ...]:
    header = _HEADER.fullmatch(source.text.split("\n", 1)[0].strip())
    if header is None:
        raise ConfigError(f"{source.path}: the first line must name the inputs, such as {{# inputs: parent, idea #}}")
    return tuple(name for name in re.split(r"[\s,]+", header[1]) if name)


def _check_used(file: _File) -> None:
    for name in sorted(file.used - set(file.inputs)):
        hint = f"; {nearest(name, file.inputs)}" if file.inputs else ""
        raise ConfigError(
            f"{file.path}: uses {name!r}, which its first line does not declare; its inputs are "
            f"{_list(file.inputs)}{hint}"
        )


def _check_part(part: _File, own: _File) -> None:
    for name in sorted(set(part.inputs) - set(own.inputs)):
        raise ConfigError(
            f"{own.path}: includes {part.path.name}, whose input {name!r} its first line does not declare; its inputs "
            f"are {_list(own.inputs)}"
        )


def _check_replaced(file: _File, shipped: _Source | None) -> None:
    """Check that a user's file has the inputs of the shipped one, which are what the program gives."""
    expected = file.inputs if shipped is None else _declared(shipped)
    for name in sorted(set(expected) ^ set(file.inputs)):
        verb = "lacks" if name in expected else "has"
        raise ConfigError(
            f"{file.path}: its first line {verb} {name!r}; declare what the program gives, used or not: "
            f"{_list(expected)}"
        )


def _check_blocks(file: _File) -> None:
    """Check that the file is its messages, in blocks, and nothing beside them."""
    roles = [node.name for node in file.tree.body if isinstance(node, nodes.Block)]
    for role in roles:
        if role not in _ROLES:
            raise ConfigError(f"{file.path}: the block {role!r} is not known: {nearest(role, _ROLES)}")
    if "user" not in roles:
        raise ConfigError(f"{file.path}: has no message; write it between {{% block user %}} and {{% endblock %}}")
    for node in file.tree.body:
        if not isinstance(node, nodes.Block) and not _is_blank(node):
            raise ConfigError(
                f"{file.path}: there is something outside of the blocks system and user, from line {node.lineno} on; "
                "move it into one"
            )


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )


def _check_given(template: _Template, inputs: Mapping[str, object]) -> None:
    known = f"its inputs are {_list(template.inputs)}"
    for name in sorted(set(template.inputs) - inputs.keys()):
        raise ConfigError(f"{template.path}: the input {name!r} is not given; {known}")
    for name in sorted(inputs.keys() - set(template.inputs)):
        raise ConfigError(f"{template.path}: the input {name!r} is given, but not declared; {known}")


def _plain(value: object) -> object:
    value = value.value if isinstance(value, Enum) else value
    return value.strip("\r\n") if isinstance(value, str) else value


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
