import pytest

from fairnad.config import Config, load_config
from fairnad.errors import ConfigError
from fairnad.llm.base import Finish, Reply
from fairnad.llm.prompts import Prompts
from fairnad.records import Costs, Failure, Graph, Node, Verdict
from fairnad.sandbox.wire import VerifyReport
from fairnad.verification import structure
from fairnad.verification.base import Evidence, Known
from fairnad.verification.model_judge import ModelJudge
from tests.generators.scripted import ScriptedLLM


def graph(num_layers):
    """Return the graph of a network of so many weighted layers before its classifier."""
    nodes = [Node("input", (), (1, 8))]
    for _ in range(num_layers + 1):
        weight = len(nodes)
        nodes += [
            Node("parameter", (), (8, 8)),
            Node("mm", (weight - 1, weight), (1, 8)),
            Node("relu", (weight + 1,), (1, 8)),
        ]
    return Graph(tuple(nodes[:-1]), len(nodes) - 2)


DEEP, SHALLOW = graph(3), graph(2)
ACCEPTED = Verdict(None, costs=Costs(1, 1), graph=DEEP, graph_hash="new", warnings=("slow",))


def judged(*replies, verdict=ACCEPTED):
    llm = ScriptedLLM(*replies)
    return ModelJudge(llm, Prompts()).judge(verdict, "# the child", parent="# the parent", attempt="0/1/I/0/2"), llm


def test_a_yes_accepts_and_is_asked_for_with_both_networks():
    verdict, llm = judged("Both hold.\n\n##response##yes")
    assert verdict == ACCEPTED
    assert llm.services == [("0/1/I/0/2/structure", 0)]
    (prompt,) = llm.prompts
    assert prompt.task == "structure"
    assert prompt.text.index("# the parent") < prompt.text.index("# the child")


def test_each_verdict_of_an_attempt_has_questions_of_its_own():
    llm = ScriptedLLM("What?", "##response##yes", "##response##no")
    judge = ModelJudge(llm, Prompts())
    for number in range(2):
        judge.judge(ACCEPTED, "# the child", parent="# the parent", attempt="0", number=number)
    assert llm.services == [("0/structure", 0), ("0/structure", 1), ("0/structure", 2)]


def test_a_no_refuses_for_good_whatever_the_graph_says():
    verdict, _ = judged("##response##no")
    assert verdict.failure is Failure.STRUCTURE
    assert "the language model judges" in verdict.reason
    assert (verdict.costs, verdict.graph_hash, verdict.warnings) == (Costs(1, 1), "new", ("slow",))


def test_what_is_refused_already_is_not_asked_about():
    refused = Verdict(Failure.BUDGET, "too big")
    assert judged(verdict=refused)[0] is refused


def test_a_reply_that_cannot_be_read_is_asked_for_once_more():
    verdict, llm = judged("I think so.", "##response##no")
    assert verdict.failure is Failure.STRUCTURE
    assert llm.services == [("0/1/I/0/2/structure", 0), ("0/1/I/0/2/structure", 1)]
    first, second = (prompt.messages for prompt in llm.prompts)
    assert second[0] == first[0]
    assert second[1].text.startswith(first[1].text)
    assert second[1].text.endswith("##response##yes or ##response##no.")


@pytest.mark.parametrize("reply", ["I think so.", "", "##response##perhaps", Reply("", Finish.OTHER)])
@pytest.mark.parametrize(("known", "failure"), [(DEEP, None), (SHALLOW, Failure.STRUCTURE)], ids=["deep", "shallow"])
def test_after_two_the_graph_decides_and_the_record_says_so(reply, known, failure):
    verdict, _ = judged(reply, reply, verdict=Verdict(None, graph=known, warnings=("slow",)))
    assert verdict.failure is failure
    assert ("weighted layers" in verdict.reason) == (failure is not None)
    assert verdict.warnings[0] == "slow"
    assert "cannot be read" in verdict.warnings[1]
    assert "the graph's counts" in verdict.warnings[1]


@pytest.mark.parametrize(
    ("judge", "graph_hash", "is_stable", "told"),
    [
        ("graph", "new", True, "weighted layers"),
        ("llm", "new", True, None),
        ("llm", "old", True, "the same as an earlier one"),
        ("llm", "parent", True, "the same as its parent's"),
        ("llm", "new", False, "three constructions"),
    ],
)
def test_where_a_model_judges_the_graph_still_tells_what_is_known(judge, graph_hash, is_stable, told):
    evidence = Evidence(
        report=VerifyReport(eval_graph=SHALLOW, is_stable=is_stable),
        graph_hash=graph_hash,
        known=Known(frozenset({"old"}), "parent"),
        limits=Config().limits,
        structure_judge=judge,
    )
    objection = structure.judge(evidence)
    assert (objection is None) == (told is None)
    assert told is None or told in objection.reason


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("demo", ["verification.structure_judge=llm"]), ("paper", ["drafts.generator=rules"])],
)
def test_it_is_refused_where_no_language_model_is_configured(name, overrides):
    with pytest.raises(ConfigError, match=r"structure_judge is llm, but no language model is asked: .* is rules"):
        load_config(name, overrides)
