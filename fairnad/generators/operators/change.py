"""Edits of one source, collected and then made at once: layers replaced or added, classes and imports put in."""

from __future__ import annotations

import ast
import re

from fairnad.architectures.parts import part_source
from fairnad.architectures.source import Definition, Edit, Source, splice, try_parse
from fairnad.generators.operators.base import Rewrite
from fairnad.generators.operators.sites import Conv, Holder, Site, calls_of

__all__ = ["Change"]

_IMPORTS = {
    "math": "import math",
    "torch": "import torch",
    "nn": "from torch import nn",
    "F": "import torch.nn.functional as F",
}


class Change:
    """The edits of `source` so far."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._edits: list[Edit] = []
        self._classes: dict[str, str] = {}
        self._attributes: set[tuple[str, str]] = set()

    def replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        """Put `text` in place of `node`."""
        self._edits.append(Edit(*self._source.span(node), text))

    def wrap(self, node: ast.expr, before: str, after: str) -> None:
        """Put text around `node`."""
        start, end = self._source.span(node)
        self._edits += [Edit(start, start, before), Edit(end, end, after)]

    def rewrap(self, outer: ast.expr, inner: ast.expr, before: str, after: str) -> None:
        """Put other text around `inner` than that of `outer`, which it is a part of."""
        (start, end), (inner_start, inner_end) = self._source.span(outer), self._source.span(inner)
        self._edits += [Edit(start, inner_start, before), Edit(inner_end, end, after)]

    def set_kernel(self, conv: Conv, size: int, *, padding: int) -> None:
        """Give `conv` another kernel, and the padding that goes with it unless that says "same"."""
        self.replace(conv.nodes["kernel_size"], str(size))
        if "padding" not in conv.nodes:
            self.add_argument(conv.site.call, f"padding={padding}")
        elif "same" not in self._source.code(conv.nodes["padding"]):
            self.replace(conv.nodes["padding"], str(padding))

    def add_argument(self, call: ast.Call, text: str) -> None:
        """Add `text` as the last argument of `call`, which has some already."""
        end = max(self._source.span(node)[1] for node in [*call.args, *(word.value for word in call.keywords)])
        self._edits.append(Edit(end, end, f", {text}"))

    def part(self, name: str) -> str:
        """Have the ready-made class `name` in the result; return the name that it goes by there."""
        text = part_source(name)
        for number in range(1, 100):
            chosen = name if number == 1 else f"{name}{number}"
            own = text.replace(f"class {name}(", f"class {chosen}(", 1)
            existing = self._source.definitions.get(chosen)
            if existing is not None and self._source.code(existing) == own:
                return chosen
            if chosen not in self._top_names():
                self._classes[chosen] = own
                return chosen
        raise AssertionError(f"a hundred versions of {name}")

    def put_behind(self, site: Site, attribute: str, layer: str) -> None:
        """Let `layer` process what the layer at `site` returns."""
        if (name := self._add_line(site, attribute, layer)) is not None:
            for call in self._calls(site):
                self.wrap(call, f"self.{name}(", ")")
        elif site.holder is Holder.ELEMENT:
            end = self._source.span(site.call)[1]
            self._edits.append(Edit(end, end, f",{self._gap(site)}{layer}"))
        else:
            self.wrap(site.call, "nn.Sequential(", f", {layer})")

    def put_before(self, site: Site, attribute: str, layer: str) -> None:
        """Let `layer` process what the layer at `site` reads."""
        if (name := self._add_line(site, attribute, layer)) is not None:
            for call in self._calls(site):
                self.wrap(call.args[0], f"self.{name}(", ")")
        elif site.holder is Holder.ELEMENT:
            start = self._source.span(site.call)[0]
            self._edits.append(Edit(start, start, f"{layer},{self._gap(site)}"))
        else:
            self.wrap(site.call, f"nn.Sequential({layer}, ", ")")

    def finish(self, note: str) -> Rewrite | None:
        """Return the changed source; None where the edits do not apply, as what they give is not Python."""
        written = "\n".join([*(edit.text for edit in self._edits), *self._classes.values()])
        edits = [*self._edits, *self._missing_imports(written)]
        if self._classes:
            start = self._first_definition()
            edits += [Edit(start, start, f"{text}\n\n\n") for text in self._classes.values()]
        text = splice(self._source.text, edits)
        return None if try_parse(text) is None else Rewrite(text, note)

    def _calls(self, site: Site) -> list[ast.Call]:
        return calls_of(self._source.definitions[site.owner], site.attribute or "")

    def _add_line(self, site: Site, attribute: str, layer: str) -> str | None:
        """Construct `layer` in a line behind an attribute's; return its own attribute, or None without such a place."""
        if site.holder is not Holder.ATTRIBUTE:
            return None
        name = self._free_attribute(site.owner, attribute)
        edit = self._source.line_after(self._source.statement(site.call), f"self.{name} = {layer}")
        if edit is None:
            return None
        self._edits.append(edit)
        self._attributes.add((site.owner, name))
        return name

    def _free_attribute(self, owner: str, wanted: str) -> str:
        definition: Definition = self._source.definitions[owner]
        taken = {node.attr for node in ast.walk(definition) if isinstance(node, ast.Attribute)}
        taken |= {name for other, name in self._attributes if other == owner}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}{number}", number + 1
        return name

    def _gap(self, site: Site) -> str:
        """Return what stands between the elements around `site`: a space, or a new line with its indentation."""
        start = self._source.span(site.call)[0]
        before = self._source.text[self._source.text.rfind("\n", 0, start) + 1 : start]
        return f"\n{before}" if not before.strip() else " "

    def _top_names(self) -> set[str]:
        imported = {
            (alias.asname or alias.name).split(".")[0]
            for node in self._source.tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        return imported | set(self._source.definitions) | set(self._classes)

    def _missing_imports(self, written: str) -> list[Edit]:
        known = self._top_names()
        needed = [name for name in _IMPORTS if name not in known and re.search(rf"(?<![\w.]){name}\.", written)]
        imports = [node for node in self._source.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        if not needed:
            return []
        if not imports:
            start = self._first_definition()
            return [Edit(start, start, "".join(f"{_IMPORTS[name]}\n" for name in needed) + "\n\n")]
        start, end = self._source.span(imports[0])[0], self._source.line_end(self._source.span(imports[-1])[1])
        behind = "".join(f"\n{_IMPORTS[name]}" for name in needed if name != "math")
        # A file that starts with `from __future__` keeps it first.
        is_first = "math" in needed and self._source.code(imports[0]).startswith("import")
        edits = [Edit(end, end, behind if is_first or "math" not in needed else f"{behind}\nimport math")]
        return [Edit(start, start, "import math\n\n"), *edits] if is_first else edits

    def _first_definition(self) -> int:
        first = next(iter(self._source.definitions.values()))
        line = min([first.lineno, *(decorator.lineno for decorator in first.decorator_list)])
        return self._source.offset(line, 0)
