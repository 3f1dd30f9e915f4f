import pytest

from fairnad.architectures.bases import base_source
from fairnad.architectures.knobs import KnobKind, apply, find
from fairnad.generators.fit import Direction, fit, step_up
from fairnad.records import Costs, Limits

KINDS = {
    Direction.WIDTHS: {KnobKind.WIDTH},
    Direction.LATER_WIDTHS: {KnobKind.WIDTH},
    Direction.MIDDLE_REPEATS: {KnobKind.REPEAT},
    Direction.LATER_REPEATS: {KnobKind.REPEAT},
    Direction.ALL: {KnobKind.WIDTH, KnobKind.REPEAT},
}
WIDE = base_source("resnet", width=16, depth=3)
CONCATENATED = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.small = nn.Conv2d(3, 16, 3, padding=1)
        self.large = nn.Conv2d(3, 32, 5, padding=2)
        self.join = nn.Sequential(nn.BatchNorm2d(48), nn.ReLU(), nn.Conv2d(48, 64, 3, 2, 1), nn.GroupNorm(8, 64))
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x):
        x = self.join(torch.cat([self.small(x), self.large(x)], 1))
        return self.fc(x.mean((2, 3)))
"""


class Counter:
    """Counts what is measured."""

    def __init__(self, measure):
        self.measure = measure
        self.calls = []

    def __call__(self, sources):
        self.calls.append(len(sources))
        return self.measure(sources)


def assert_is_largest(source, limits, measure, kinds):
    knobs = [knob for knob in find(source) if knob.kind in kinds]
    ups = measure([apply(source, {knob.name: step_up(knob, knob.value)}) for knob in knobs])
    assert limits.allow(measure([source])[0])
    assert not any(costs is not None and limits.allow(costs) for costs in ups)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("scale", [0.45, 1.6], ids=["shrink", "grow"])
def test_the_result_is_the_largest_that_fits(direction, scale, measure):
    costs = measure([WIDE])[0]
    limits = Limits(int(costs.params * scale), int(costs.flops * scale))
    counter = Counter(measure)
    result = fit(WIDE, limits, counter, direction=direction)
    assert result is not None
    assert len(counter.calls) <= 7
    assert sum(counter.calls) <= 70
    assert_is_largest(result, limits, measure, KINDS[direction])


def test_a_network_eight_times_too_large(measure):
    costs = measure([WIDE])[0]
    limits = Limits(costs.params // 8, costs.flops // 8)
    result = fit(WIDE, limits, measure, direction=Direction.WIDTHS)
    assert_is_largest(result, limits, measure, {KnobKind.WIDTH})


def test_widths_in_ratio_keep_their_ratio(measure):
    limits = Limits(params=4 * measure([WIDE])[0].params)
    widths = [knob.value for knob in find(fit(WIDE, limits, measure, direction=Direction.WIDTHS))][:3]
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.15)
    assert widths[2] / widths[1] == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize(
    ("direction", "place"), [(Direction.MIDDLE_REPEATS, 1), (Direction.LATER_REPEATS, 2)], ids=["middle", "end"]
)
def test_repeats_grow_most_where_the_direction_says(direction, place, measure):
    limits = Limits(flops=2 * measure([WIDE])[0].flops)
    repeats = [knob.value for knob in find(fit(WIDE, limits, measure, direction=direction))][3:]
    assert min(repeats) >= 3
    assert repeats.index(max(repeats)) == place


def test_later_widths_grow_most(measure):
    limits = Limits(params=2 * measure([WIDE])[0].params)
    widths = [knob.value for knob in find(fit(WIDE, limits, measure, direction=Direction.LATER_WIDTHS))][:3]
    assert widths[2] / 64 > widths[1] / 32 >= widths[0] / 16 >= 1


def test_widths_that_are_sums_of_others_stay_so(measure):
    costs = measure([CONCATENATED])[0]
    limits = Limits(costs.params // 3, costs.flops // 3)
    result = fit(CONCATENATED, limits, measure, direction=Direction.WIDTHS)
    assert result is not None
    assert limits.allow(measure([result])[0])


def test_one_that_is_the_largest_comes_back_as_it_is(measure):
    costs = measure([WIDE])[0]
    assert fit(WIDE, Limits(costs.params, costs.flops), measure, direction=Direction.ALL) == WIDE


def test_what_cannot_be_done_gives_none(measure):
    assert fit(WIDE, Limits(params=10), measure, direction=Direction.WIDTHS) is None
    assert fit(WIDE, Limits(), measure, direction=Direction.WIDTHS) is None
    assert fit(CONCATENATED, Limits(10**6), measure, direction=Direction.LATER_REPEATS) is None
    assert fit(WIDE, Limits(10**6), lambda sources: [None] * len(sources), direction=Direction.ALL) is None


def test_costs_of_steps_need_not_grow(measure):
    def falls(sources):
        return [Costs(10_000 // knobs_sum(source), 1) for source in sources]

    result = fit(WIDE, Limits(params=100), falls, direction=Direction.MIDDLE_REPEATS)
    assert result is not None
    assert 10_000 // knobs_sum(result) <= 100


def knobs_sum(source):
    return sum(knob.value for knob in find(source))
