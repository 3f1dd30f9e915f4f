from pathlib import Path

import pytest

from fairnad.architectures import bases
from fairnad.architectures.bases import BASES, base_source
from fairnad.errors import ConfigError
from fairnad.sandbox.child.execute import measure, verify
from fairnad.sandbox.wire import MeasureJob, VerifyJob


def test_resnet_32_has_the_published_size(tmp_path):
    source = base_source("resnet", width=16, depth=5)
    costs = measure(MeasureJob(sources=(source,), input_shape=(3, 32, 32), num_classes=100), tmp_path).costs[0]
    assert costs.params == pytest.approx(0.56e6, rel=0.02)
    assert costs.flops == pytest.approx(0.08e9, rel=0.03)


@pytest.mark.parametrize("name", BASES)
def test_the_file_is_the_network_at_width_16_and_depth_5(name):
    file = Path(bases.__file__).with_name(BASES[name])
    assert base_source(name, width=16, depth=5) == file.read_text(encoding="utf-8")


def test_width_and_depth_set_the_size(tmp_path):
    source = base_source("resnet", width=8, depth=1)
    costs = measure(MeasureJob(sources=(source,), input_shape=(3, 32, 32), num_classes=10), tmp_path).costs[0]
    assert costs.params == pytest.approx(0.043e6, rel=0.02)


@pytest.mark.parametrize("name", BASES)
def test_a_block_more_a_stage_costs_the_same_each_time(name, tmp_path):
    sources = tuple(base_source(name, width=8, depth=depth) for depth in (1, 2, 3))
    found = measure(MeasureJob(sources=sources, input_shape=(3, 16, 16), num_classes=10), tmp_path).costs
    params = [costs.params for costs in found]
    assert params[2] - params[1] == params[1] - params[0] > 0


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 16, 16)], ids=str)
def test_every_base_runs(name, shape, tmp_path):
    source = base_source(name, width=8, depth=1)
    report = verify(VerifyJob(source=source, input_shape=shape, num_classes=10, train_steps=1, batch_size=4), tmp_path)
    assert report.failure is None, report.reason
    assert report.dead_parameters == ()
    assert report.deviation < 1e-3


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(ConfigError, match="the nearest known is 'resnet'"):
        base_source("resnt", width=8, depth=1)
