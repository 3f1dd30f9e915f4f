import re

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
RESNET = base_source("resnet", width=16, depth=5)
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


def stages(source):
    """Return width and repeats of each stage."""
    found = re.findall(r"ResidualBlock\(\d+, (\d+)\) for _ in range\((\d+)\)", source)
    return [(int(width), int(repeats)) for width, repeats in found]


def estimate(sources):
    """Return what three stages of 3x3 convolutions cost at 32, 16 and 8 pixels."""
    costs = []
    for source in sources:
        params = [18 * width**2 * (repeats + 1) for width, repeats in stages(source)]
        costs.append(Costs(sum(params), sum(count * 4 ** (5 - place) for place, count in enumerate(params))))
    return costs


BEFORE = estimate([RESNET])[0]


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("scale", [0.45, 0.8, 1.0, 1.6, 2.5])
@pytest.mark.parametrize("limited", ["params", "flops", "both"])
def test_the_result_is_the_largest_that_fits(direction, scale, limited):
    sizes = []

    def measure(sources):
        sizes.append(len(sources))
        return estimate(sources)

    params = int(BEFORE.params * scale) if limited != "flops" else None
    flops = int(BEFORE.flops * scale) if limited != "params" else None
    limits = Limits(params, flops)
    result = fit(RESNET, limits, measure, direction=direction)
    knobs = [knob for knob in find(result) if knob.kind in KINDS[direction]]
    ups = [
        apply(result, {knob.name: step_up(knob, knob.value)})
        for knob in knobs
        if knob.kind is KnobKind.WIDTH or knob.value < 24
    ]
    assert limits.allow(estimate([result])[0])
    assert not any(limits.allow(costs) for costs in estimate(ups))
    assert sum(sizes) <= 60
    assert len(sizes) <= 11


def test_a_network_eight_times_too_large(measure):
    source = base_source("resnet", width=16, depth=1)
    costs = measure([source])[0]
    limits = Limits(costs.params // 8, costs.flops // 8)
    assert limits.allow(measure([fit(source, limits, measure, direction=Direction.WIDTHS)])[0])


def test_widths_in_ratio_keep_their_ratio():
    result = fit(RESNET, Limits(4 * BEFORE.params), estimate, direction=Direction.WIDTHS)
    widths = [width for width, _ in stages(result)]
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.1)
    assert widths[2] / widths[1] == pytest.approx(2, rel=0.1)


def test_later_widths_grow_most():
    limits = Limits(flops=2 * BEFORE.flops)
    widths = [width for width, _ in stages(fit(RESNET, limits, estimate, direction=Direction.LATER_WIDTHS))]
    assert widths[2] / 64 > widths[1] / 32 > widths[0] / 16 >= 1


@pytest.mark.parametrize(("direction", "place"), [(Direction.MIDDLE_REPEATS, 1), (Direction.LATER_REPEATS, 2)])
def test_repeats_grow_most_where_the_direction_says(direction, place):
    result = fit(RESNET, Limits(flops=2 * BEFORE.flops), estimate, direction=direction)
    repeats = [number for _, number in stages(result)]
    assert min(repeats) >= 5
    assert repeats.index(max(repeats)) == place


def test_widths_that_are_sums_of_others_stay_so(measure):
    costs = measure([CONCATENATED])[0]
    limits = Limits(costs.params // 3, costs.flops // 3)
    result = fit(CONCATENATED, limits, measure, direction=Direction.WIDTHS)
    assert limits.allow(measure([result])[0])


def test_one_that_is_the_largest_comes_back_as_it_is():
    limits = Limits(BEFORE.params, BEFORE.flops)
    assert fit(RESNET, limits, estimate, direction=Direction.ALL) == RESNET


def test_what_cannot_be_done_gives_none():
    assert fit(RESNET, Limits(params=10), estimate, direction=Direction.WIDTHS) is None
    assert fit(RESNET, Limits(), estimate, direction=Direction.WIDTHS) is None
    assert fit(CONCATENATED, Limits(10**6), estimate, direction=Direction.LATER_REPEATS) is None
    assert fit(RESNET, Limits(10**6), lambda sources: [None] * len(sources), direction=Direction.ALL) is None


def test_a_step_may_cost_less():
    """Groups of channels make some widths cheaper than smaller ones; the search must not stand still there."""

    def falling(sources):
        return [Costs(10_000 // sum(repeats for _, repeats in stages(source)), 1) for source in sources]

    result = fit(RESNET, Limits(params=500), falling, direction=Direction.MIDDLE_REPEATS)
    assert falling([result])[0].params <= 500
