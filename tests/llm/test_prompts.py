"""Prompts: what each template renders to, and what is wrong with one is found before anything is asked.

`python tests/llm/test_prompts.py` writes the golden files anew; read the difference before you keep it.
"""

import functools
from pathlib import Path

import jinja2
import pytest
from jinja2 import meta

from fairnad.errors import ConfigError
from fairnad.knowledge.attributes import Attribute, AttributeTree
from fairnad.llm.base import Message
from fairnad.llm.prompts import Prompts
from fairnad.records import Failure, MutationTarget
from fairnad.resources import resource

GOLDEN = Path(__file__).resolve().parent / "golden"
SHIPPED = resource("prompts")
FILES = sorted(SHIPPED.glob("*.j2"))
TASKS = [path.stem for path in FILES if not path.name.startswith("_")]

RULES = {"input_shape": (3, 32, 32), "num_classes": 10, "limits_params": 1_500_000, "limits_flops": 200_000_000}
COSTS = {"params": 560_000, "flops": 80_000_000}
PARENT = "class Network(nn.Module):\n    ...  # the parent\n"
CHILD = "class Network(nn.Module):\n    ...  # the child\n"
IDEA = {"idea": "Gate the channels of each block.", "target": MutationTarget.NEW_MODULE}
TREE = AttributeTree(
    (
        Attribute("performance", "operation", "activation"),
        Attribute("performance", "operation", "activation", "relu"),
        Attribute("performance", "operation", "activation", "gelu"),
        Attribute("efficiency", "block", "dense connectivity for feature reuse"),
    )
)
TEMPLATE = {
    "performance": {
        "operation": {"activation": {"description": "What comes between layers.", "examples": ["ReLU", "GELU"]}},
        "block": {"input encoding": {"description": "How pixels become features.", "examples": ["patches"]}},
    },
    "efficiency": {"network": {"dynamic computation": {"description": "What differs.", "examples": ["early exit"]}}},
}
MUTATION = {**IDEA, **RULES, **COSTS, "parent": PARENT, "shapes": "stem: (1, 16, 32, 32)"}
REFINE = {
    **RULES,
    **COSTS,
    "before": PARENT,
    "after": CHILD,
    "idea": IDEA["idea"],
    "category": "performance*operation level*activation",
    "used": ["Use GELU.", "Widen the stem."],
    "tree": TREE,
    "refinement_ideas": ["Make the network deeper.", "Make the network wider."],
}
SHRINK = {
    **IDEA,
    **RULES,
    "source": CHILD,
    "parent": PARENT,
    "reason": "params 2,000,000 are over the limit",
    "draw": 2,
}
ERROR = {"failed": CHILD, "reason": "forward raised RuntimeError: sizes differ", "trace": "line 2, in forward"}
INPUTS = {
    "attributes": {"template": TEMPLATE, "source": CHILD},
    "debug": {**IDEA, **RULES, **ERROR, "parent": PARENT, "stage": Failure.FORWARD_ERROR},
    "debug_short": ERROR,
    "edits": MUTATION,
    "ideas": {"paper": "We gate channels.", "tree": TREE},
    "module": {
        "idea": IDEA["idea"],
        "contract": "class Gate, constructor Gate(channels), (B, C, H, W) to (B, C, H, W)",
        "context": PARENT,
        "example": "class Scale: ...",
        "library": (),
        "error": "forward raised RuntimeError: sizes differ",
    },
    "mutation": MUTATION,
    "next_idea": {
        "idea": IDEA["idea"],
        "category": "performance*operation level*activation",
        "has_improved": True,
        "used": ["Use GELU."],
        "tree": TREE,
    },
    "own_idea": {**RULES, **COSTS, "parent": PARENT, "shapes": "", "used": ["Use GELU."]},
    "paper_filter": {"title": "Gates", "abstract": "We gate channels.", "tree": TREE},
    "refine_degraded": REFINE,
    "refine_improved": REFINE,
    "shrink_module": SHRINK,
    "shrink_size": SHRINK,
    "structure": {"parent": PARENT, "child": CHILD},
    "tags": {"ideas": ["Gate the channels.", "Use GELU."], "tree": TREE},
}


shipped_prompts = functools.cache(Prompts)


def render(task, prompts=None, **changes):
    return (prompts or shipped_prompts()).render(task, **{**INPUTS[task], **changes})


@pytest.fixture
def root(tmp_path):
    """Return a user's own folder, with one template of their own in it."""
    (tmp_path / "mine.j2").write_text("{# inputs: name #}\n{% block user %}\nHello {{ name }}\n{% endblock %}\n")
    return tmp_path


def refusal(root, text, name="mine.j2"):
    """Return the message of the error that a root whose file `name` holds `text` is refused with."""
    (root / name).write_text(text)
    with pytest.raises(ConfigError) as raised:
        Prompts(root).check()
    return str(raised.value)


def test_every_task_has_inputs_here():
    assert Prompts().tasks == tuple(TASKS) == tuple(INPUTS)


@pytest.mark.parametrize("task", TASKS)
def test_a_template_renders_as_before(task):
    assert render(task).text + "\n" == (GOLDEN / f"{task}.txt").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_uses_what_it_declares(path):
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(SHIPPED))
    trees = [environment.parse(path.read_text())]
    for tree in trees:
        trees += [environment.parse((SHIPPED / name).read_text()) for name in meta.find_referenced_templates(tree)]
    declared = path.read_text().splitlines()[0].removeprefix("{# inputs:").removesuffix("#}").split(",")
    used = set().union(*(meta.find_undeclared_variables(tree) for tree in trees))
    assert sorted(name.strip() for name in declared if name.strip()) == sorted(used)


def test_a_prompt_has_its_messages_and_temperature(root):
    prompt = Prompts(root).render("mine", temperature=0.2, name="you")
    assert (prompt.task, prompt.temperature) == ("mine", 0.2)
    assert prompt.messages == (Message("user", "Hello you"),)
    assert [message.role for message in render("mutation").messages] == ["system", "user"]


def test_what_is_given_is_never_read_as_a_template():
    code = "x = '{{ idea }} {% endblock %} {# no #}'\n<b> & 'c'"
    assert code in render("structure", child=code).text


def test_texts_lose_empty_lines_and_enumerations_become_values(root):
    (root / "mine.j2").write_text(
        "{# inputs: name, stage #}\n{% block user %}\n<{{ name }}> {{ stage }}\n{% endblock %}"
    )
    prompt = Prompts(root).render("mine", name="\n\n  x\n", stage=Failure.NO_GRAD)
    assert prompt.messages[0].text == "<  x> no_grad"


def test_the_target_decides_what_is_asked_for():
    targets = [*MutationTarget, None]
    texts = [render("mutation", target=target).messages[1].text for target in targets]
    assert len(set(texts)) == len(targets)
    assert "`Network`" in texts[2]
    assert texts[3].endswith("Change the network after this idea:\n\nGate the channels of each block.")


def test_limits_that_are_none_are_not_told():
    assert render("mutation").text.count("at most") == 2
    assert "at most" not in render("mutation", limits_params=None, limits_flops=None).text


@pytest.mark.parametrize(
    ("task", "empty", "told"),
    [
        ("mutation", {"shapes": ""}, "shapes of its main tensors"),
        ("own_idea", {"used": []}, "Ideas that were tried"),
        ("refine_improved", {"used": []}, "were tried"),
        ("refine_degraded", {"category": ""}, "(performance"),
        ("module", {"example": ""}, "kind that works"),
        ("module", {"error": ""}, "An earlier try"),
        ("debug", {"trace": ""}, "in forward\n"),
    ],
)
def test_what_is_empty_is_not_told(task, empty, told):
    assert told in render(task).text
    assert told not in render(task, **empty).text


@pytest.mark.parametrize("task", ["shrink_module", "shrink_size"])
def test_the_draw_picks_one_of_four_wordings(task):
    last_lines = [render(task, draw=draw).text.splitlines()[-1] for draw in range(8)]
    assert len(set(last_lines[:4])) == 4
    assert last_lines[4:] == last_lines[:4]


def test_the_catalogue_of_errors_knows_every_stage_that_is_repaired():
    final = {Failure.STRUCTURE, Failure.NO_DRAFT, Failure.BUDGET}
    catalogue = (SHIPPED / "_known_errors.j2").read_text()
    assert [stage.value for stage in Failure if stage not in final and stage.value not in catalogue] == []


def test_what_hardly_changes_comes_first():
    first, second = (render("mutation", idea=idea).text for idea in ("Widen.", "Deepen."))
    assert first.split("Widen.")[0] == second.split("Deepen.")[0]
    assert PARENT.strip() in first.split("Widen.")[0]
    rules = render("mutation").messages[0].text.split("Your task")[0]
    writers = [task for task in TASKS if "num_classes" in INPUTS[task] and task != "edits"]  # those are kept short
    assert all(render(task).messages[0].text.startswith(rules.strip()) for task in writers)
    assert len(writers) == 7


def test_a_file_of_the_users_goes_before_the_shipped_one(root):
    shipped = SHIPPED / "structure.j2"
    (root / "structure.j2").write_text(shipped.read_text().replace("You judge changes", "You weigh changes"))
    theirs = Prompts(root)
    theirs.check()
    assert render("structure", theirs).text == render("structure").text.replace("judge changes", "weigh changes")
    assert render("structure", theirs).template_hash != render("structure").template_hash
    assert render("mutation", theirs) == render("mutation")


def test_a_part_of_the_users_changes_all_that_include_it(root):
    (root / "_whole_module.j2").write_text("{# inputs: #}\nthe module.\n")
    theirs = Prompts(root)
    theirs.check()
    assert render("debug", theirs).messages[0].text.endswith("the module.\nWrite no explanation before it either.")
    changed = {task for task in TASKS if render(task, theirs).template_hash != render(task).template_hash}
    assert changed == {
        "debug",
        "mutation",
        "own_idea",
        "refine_degraded",
        "refine_improved",
        "shrink_module",
        "shrink_size",
    }


def test_the_hash_is_that_of_the_text_and_not_of_the_inputs():
    assert render("structure").template_hash == render("structure", child="other").template_hash
    assert len({render(task).template_hash for task in TASKS}) == len(TASKS)


def test_files_are_read_once(root):
    prompts = Prompts(root)
    (root / "mine.j2").write_text("{# inputs: name #}\n{% block user %}\nGoodbye\n{% endblock %}\n")
    assert prompts.render("mine", name="you").messages[0].text == "Hello you"


def test_an_input_that_is_not_declared(root):
    with pytest.raises(ConfigError) as raised:
        Prompts(root).render("mine", name="you", age=3)
    assert str(raised.value) == f"{root / 'mine.j2'}: the input 'age' is given, but not declared; its inputs are name"


def test_an_input_that_is_not_given(root):
    with pytest.raises(ConfigError) as raised:
        Prompts(root).render("mine")
    assert str(raised.value) == f"{root / 'mine.j2'}: the input 'name' is not given; its inputs are name"


def test_a_task_that_is_not_known():
    with pytest.raises(ConfigError, match="the prompt 'mutations' is not known: the nearest known is 'mutation'"):
        Prompts().render("mutations")
    with pytest.raises(ConfigError, match="'_rules' is not known"):
        Prompts().render("_rules")


def test_a_variable_that_is_not_declared_is_found_by_the_check(root):
    text = "{# inputs: parent, idea #}\n{% block user %}\n{% if false %}{{ parrent }}{% endif %}\n{% endblock %}\n"
    assert refusal(root, text) == (
        f"{root / 'mine.j2'}: uses 'parrent', which its first line does not declare; its inputs are parent, idea; the "
        "nearest known is 'parent'"
    )


def test_a_part_needs_its_inputs(root):
    (root / "_part.j2").write_text("{# inputs: size #}\n{{ size }}\n")
    text = '{# inputs: name #}\n{% block user %}\n{{ name }}{% include "_part.j2" %}\n{% endblock %}\n'
    assert "includes _part.j2, whose input 'size' its first line does not declare" in refusal(root, text)


def test_a_part_that_uses_what_it_does_not_declare_is_named(root):
    (root / "_part.j2").write_text("{# inputs: #}\n{{ name }}\n")
    text = '{# inputs: name #}\n{% block user %}\n{% include "_part.j2" %}\n{% endblock %}\n'
    assert refusal(root, text) == (
        f"{root / '_part.j2'}: uses 'name', which its first line does not declare; its inputs are none"
    )


@pytest.mark.parametrize(
    ("include", "told"),
    [
        ('"_none.j2"', "includes '_none.j2', which is no file; known are _categories.j2,"),
        ("name", "includes a file whose name is not written out"),
    ],
)
def test_an_include_that_cannot_be_followed(root, include, told):
    text = f"{{# inputs: name #}}\n{{% block user %}}\n{{% include {include} %}}\n{{% endblock %}}\n"
    assert f"{root / 'mine.j2'}: {told}" in refusal(root, text)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{% if name %}", "line 4: Encountered unknown tag 'endblock'"),
        ("{{ name | shout }}", "line 3: No filter named 'shout'"),
        ("{{ name", "line 4: "),
    ],
)
def test_a_syntax_error_is_told_with_its_line(root, line, told):
    text = f"{{# inputs: name #}}\n{{% block user %}}\n{line}\n{{% endblock %}}\n"
    assert refusal(root, text).startswith(f"{root / 'mine.j2'}: {told}")


def test_a_syntax_error_in_a_part_is_told_of_the_part(root):
    text = "{# inputs: input_shape, num_classes, limits_params, limits_flops #}\n{% if %}"
    assert refusal(root, text, "_rules.j2").startswith(f"{root / '_rules.j2'}: line 2: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{% block user %}x{% endblock %}", "the first line must name the inputs"),
        ("{# inputs: #}\nx\n", "has no message"),
        ("{# inputs: #}\n{% block usr %}x{% endblock %}", "the block 'usr' is not known: the nearest known is 'user'"),
        ("{# inputs: #}\n{% block user %}x{% endblock %}\ny", "outside of the blocks system and user, from line 3 on"),
        ("{# inputs: #}\n{% set x = 1 %}{% block user %}x{% endblock %}", "outside of the blocks"),
    ],
)
def test_a_file_without_its_form_is_refused(root, text, told):
    assert told in refusal(root, text)


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("{# inputs: parent #}", "its first line lacks 'child'"),
        ("{# inputs: parent, child, mood #}", "its first line has 'mood'"),
    ],
)
def test_a_users_file_declares_what_the_shipped_one_does(root, first, told):
    message = refusal(root, f"{first}\n{{% block user %}}x{{% endblock %}}", "structure.j2")
    assert message == f"{root / 'structure.j2'}: {told}; declare what the program gives, used or not: parent, child"


def test_a_users_file_may_leave_inputs_unused(root):
    (root / "structure.j2").write_text("{# inputs: parent, child #}\n{% block user %}\n{{ child }}\n{% endblock %}")
    assert render("structure", Prompts(root)).messages == (Message("user", CHILD.strip()),)


@pytest.mark.parametrize("line", ["{{ name.first }}", "{{ name + 1 }}", "{{ 1 / name | length }}"])
def test_a_template_that_fails_on_its_inputs_is_named(root, line):
    (root / "mine.j2").write_text(f"{{# inputs: name #}}\n{{% block user %}}\n{line}\n{{% endblock %}}")
    prompts = Prompts(root)
    prompts.check()
    with pytest.raises(ConfigError) as raised:
        prompts.render("mine", name="")
    assert str(raised.value).startswith(f"{root / 'mine.j2'}: ")
    assert str(raised.value).endswith("; its inputs are name")


def test_a_root_that_is_missing_or_holds_no_template(tmp_path):
    with pytest.raises(ConfigError, match=f"{tmp_path / 'none'}, is no folder; copy those to change into it from"):
        Prompts(tmp_path / "none")
    with pytest.raises(ConfigError, match=f"{tmp_path}, holds no .j2 file"):
        Prompts(tmp_path)


def test_a_file_that_cannot_be_read(root):
    (root / "mine.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"mine\.j2: the prompt cannot be read"):
        Prompts(root)


if __name__ == "__main__":
    for each in TASKS:
        (GOLDEN / f"{each}.txt").write_text(render(each).text + "\n")
