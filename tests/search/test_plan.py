from itertools import islice

from fairnad.config import PlanConfig
from fairnad.records import SlotKey, Stage
from fairnad.search.plan import stages


def test_the_plan_is_that_of_the_paper():
    planned = list(islice(stages(PlanConfig()), 7))
    assert [(stage.generation, stage.stage, len(stage.slots)) for stage in planned] == [
        (0, Stage.INITIAL, 8),
        (1, Stage.FAIR, 8),
        (1, Stage.PARETO, 8),
        (1, Stage.ITERATIVE, 8),
        (2, Stage.FAIR, 8),
        (2, Stage.PARETO, 8),
        (2, Stage.ITERATIVE, 8),
    ]
    assert [stage.slots[0].num_parents for stage in planned[:4]] == [8, 8, 8, 4]


def test_a_later_step_follows_the_step_before_it_in_its_chain():
    stage = next(islice(stages(PlanConfig(iterative_parents=2, iterative_steps=3)), 3, None))
    assert [(slot.key.slot, slot.chain, slot.before[-1:] and slot.before[-1].slot) for slot in stage.slots] == [
        (0, 0, ()),
        (1, 1, ()),
        (2, 0, 0),
        (3, 1, 1),
        (4, 0, 2),
        (5, 1, 3),
    ]
    assert stage.slots[2].before[-1] == SlotKey(1, Stage.ITERATIVE, 0)


def test_a_cut_stage_keeps_its_first_slots():
    stage = next(islice(stages(PlanConfig()), 3, None)).cut(5)
    assert [slot.key.slot for slot in stage.slots] == [0, 1, 2, 3, 4]
    assert {slot.num_parents for slot in stage.slots} == {4}
