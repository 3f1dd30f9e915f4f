"""Spellings of replies that models were seen to produce, each as small as it can be."""

import json

import pytest

from fairnad.errors import ReplyError
from fairnad.llm.code_replies import extract_code
from fairnad.llm.idea_lists import read_ideas
from fairnad.llm.loose_json import value_at
from fairnad.llm.replies import read_attributes, read_choice, read_filter

IMPORT = "import torch.nn as nn\n"
BLOCK = "class Block(nn.Module):\n    def forward(self, x):\n        return x\n"
INIT = "    def __init__(self, num_classes):\n        super().__init__()\n        self.a = Block()\n"
NETWORK = f"class Network(nn.Module):\n{INIT}\n    def forward(self, x):\n        return self.a(x)\n"
CODE = f"{IMPORT}\n\n{BLOCK}\n\n{NETWORK}"
BODY = CODE.removesuffix("        return self.a(x)\n")
FIRST, SECOND = "Use GELU in each block", "Add attention after the stem"


def fenced(code, label="python"):
    return f"```{label}\n{code}\n```\n"


def kind_of(read, reply):
    with pytest.raises(ReplyError) as caught:
        read(reply)
    return caught.value.kind


@pytest.mark.parametrize(
    "blocks",
    [
        (IMPORT + NETWORK, BLOCK),
        (BLOCK, '"""A network."""\n' + IMPORT + NETWORK),
        ("from __future__ import annotations\n" + IMPORT + BLOCK, '"""A network."""\n' + IMPORT + NETWORK),
        (IMPORT + BLOCK, "from __future__ import annotations\n" + IMPORT + NETWORK),
        (IMPORT + "ACT = nn.ReLU\n" + NETWORK, BLOCK.replace("x):", "x, act=ACT):")),
        (IMPORT + "@nn.Module.register\n" + NETWORK, BLOCK),
        (IMPORT + "# Filled.\n" * 3000 + BLOCK, IMPORT + "# Filled.\n" * 4000 + NETWORK),
    ],
)
def test_joined_blocks_stand_in_an_order_that_can_run(blocks):
    code = extract_code("".join(map(fenced, blocks)))
    compile(code, "joined", "exec")
    positions = [code.index(part) for part in ("import torch.nn", "class Block", "class Network")]
    assert positions == sorted(positions)
    assert "ACT = " not in code or code.index("ACT = ") < code.index("act=ACT")


@pytest.mark.parametrize(
    "reply",
    [
        f'<pre><code class="language-python">{CODE}</code></pre>',
        f'<file path="model.py">{CODE}</file>',
        f"<|python_tag|>{CODE}<|eom_id|>",
        f"{CODE.strip()}<end_of_turn>",
        f"{CODE.strip()}<\uff5cend\u2581of\u2581sentence\uff5c>",
        fenced(f"cat > model.py << 'EOF'\n{CODE}EOF", "bash"),
        fenced(f"mkdir -p /tmp/m\ncat <<'EOF' > /tmp/m/model.py\n{CODE}EOF\npython /tmp/m/model.py", ""),
        fenced(CODE.replace("    ", "&nbsp;&nbsp;&nbsp;&nbsp;")),
        json.dumps({"cells": [{"cell_type": "code", "source": CODE.splitlines(keepends=True)}]}),
    ],
)
def test_what_surrounds_code_is_taken_off(reply):
    assert extract_code(reply).strip() == CODE.strip()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (f"```python\n{BODY}        return", "truncated"),
        ("```\nimport torch\nimport torch.nn as nn\n", "truncated"),
        (fenced("@@ -1,2 +1,2 @@\n class Network(nn.Module):\n-    a = 1\n+    a = 2", "diff"), "no_code"),
        ("@@ -1,2 +1,2 @@ class Block:\n     def forward(self, x):\n-        x = 1\n+        x = 2\n", "no_code"),
        (fenced("namespace x {\n  class Network : Module {\n  };\n}", "cpp"), "no_code"),
        (fenced("import Foundation\nclass Network: Module {\n}", "swift"), "no_code"),
        *[
            (fenced(f"{BODY}        {body}"), "incomplete")
            for body in ("# ... (wie bisher)", "# \u2026 \u4e0d\u53d8", '"""Same as the parent."""')
        ],
        (fenced(CODE.replace(BLOCK, "class Block(nn.Module):\n    pass  # same as parent\n")), "incomplete"),
        (fenced(CODE.replace(BLOCK, "# Copy Block here\n")), "incomplete"),
    ],
)
def test_code_that_is_not_there(reply, kind):
    assert kind_of(extract_code, reply) == kind


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (IMPORT, f"{IMPORT}# Uses F.relu and nn.\n"),
        ("return self.a(x)", "return F.relu(self.a(x))  # Block"),
        ("class Block", "# Block: unchanged\nclass Block"),
        (
            "        return self.a(x)",
            "        if x is None:\n            pass  # same as before\n        return self.a(x)",
        ),
    ],
)
def test_comments_on_code_that_is_there(old, new):
    assert new in extract_code(fenced(CODE.replace(old, new)))


@pytest.mark.parametrize("value", ["N/A", "y/n"])
def test_neither_yes_nor_no(value):
    assert kind_of(read_choice, f"##response##{value}") == "bad_value"


@pytest.mark.parametrize("end", ["</answer>", "\u3002", "<end_of_turn>", "</response>\n"])
def test_what_follows_a_place(end):
    place = read_filter(f"##response##performance*operation level*feature extraction operators*attention{end}")
    assert place is not None
    assert place.sub == "attention"


def test_nowhere_in_parentheses():
    assert read_filter("##response##(no)") is None


DATA = {"operation level": {"activation": ["relu"]}}
BOTH = {"Performance": DATA, "Efficiency": {}}


@pytest.mark.parametrize(
    "heading",
    [
        "# Attributes for {}", "**Design attributes for {} improvement**", "<{}>", "[{}]", '"{}":', "A. {}", "// {}",
        "__{}__", "Step 1: {}", "\u2022 {}", "\U0001f680 **{}**", "Model {}:", "| {} |", "\u6027\u80fd ({})",
    ],
)  # fmt: skip
def test_headings_of_attributes(heading):
    reply = "\n".join(f"{heading.format(name)}\n{json.dumps(data)}" for name, data in BOTH.items())
    assert [one.names for one in read_attributes(f"It improves the performance:\n{reply}")] == [("relu",)]


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps({"name": "submit", "arguments": BOTH}),
        json.dumps({"name": "submit", "arguments": json.dumps(BOTH)}),
        f"I saw `x = {{}}`.\n**Performance**\n{json.dumps(DATA)}\n**Efficiency**\n{{}}",
    ],
)
def test_what_surrounds_attributes(reply):
    assert [(one.target, one.names) for one in read_attributes(reply)] == [("performance", ("relu",))]


def test_valid_json_is_read_as_the_rest_is():
    text = '{"a": [1, 2.5, true, null, NaN, "x\\n\ty"]}'
    value, end = value_at(f"see {text} there", 4)
    assert (value, end) == (value_at(text.replace("]", ",]"), 0)[0], 4 + len(text))


@pytest.mark.parametrize(
    "mark",
    [
        "**1.** ", "1\\. ", "- [ ] ", "- [x] ", "- 1. ", "> - ", "> ", "1\u3001", "1\uff0e", "\uff081\uff09",
        "\u2460 ", "1\ufe0f\u20e3 ", "\u25a0 ", "\u2705 ", "\u2043 ", "\\- ", "*1.* ", "### 1. ", "(ii) ", "ii) ",
        "ii. ", "a. ", "1. **Idea 1:** ", "### Idea 1\n", "**Idea 1**\n\n", "Idea 1\n",
    ],
)  # fmt: skip
def test_marks_of_ideas(mark):
    assert read_ideas(f"{mark}{FIRST}\n{mark}{SECOND}") == (FIRST, SECOND)


@pytest.mark.parametrize(
    "reply",
    [
        f"**1. {FIRST}**\n**2. {SECOND}**",
        f"| # | Idea |\n|---|:--|\n| 1 | {FIRST} |\n| 2 | {SECOND} |",
        f'ideas = ["{FIRST}", "{SECOND}"]',
        f'\n  ["{FIRST}", "{SECOND}"]',
        f"  - {FIRST}\n  - {SECOND}",
        f'Ideas: ["{FIRST}", "{SECOND}"]',
        f'{{"idea": "{FIRST}"}}\n{{"idea": "{SECOND}"}}',
        json.dumps({"name": "submit", "arguments": {"ideas": [FIRST, SECOND]}}),
        f"- - -\n- {FIRST}\n- {SECOND}\n- - -",
    ],
)
def test_forms_of_lists_of_ideas(reply):
    assert read_ideas(reply) == (FIRST, SECOND)


@pytest.mark.parametrize("reply", ["- No ideas found", "- No relevant ideas in this paper", "- - -"])
def test_items_that_are_no_ideas(reply):
    assert kind_of(read_ideas, reply) == "no_ideas"


@pytest.mark.parametrize(
    "idea",
    [
        "Change __init__ of the block",
        "Use kernels <5> early",
        "1.5x wider stem",
        "Norm first - then act",
        "Idea-driven stem",
    ],
)
def test_ideas_are_left_as_they_are(idea):
    assert read_ideas(f"- {idea}") == (idea,)
