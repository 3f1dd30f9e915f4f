"""Counting and executing networks within the test's own process."""

import pytest
import torch

from fairnad.sandbox.child.execute import build, load_network
from fairnad.sandbox.child.execute import measure as measure_job
from fairnad.sandbox.child.trace import Tracer
from fairnad.sandbox.wire import MeasureJob


@pytest.fixture
def measure(tmp_path):
    """Return the counter of costs that generators are given."""

    def count(sources):
        job = MeasureJob(sources=tuple(sources), input_shape=(3, 16, 16), num_classes=10)
        return measure_job(job, tmp_path).costs

    return count


@pytest.fixture
def trace():
    """Return what executes a source once in training mode, and gives the graph and the names of unused parameters."""

    def execute(source):
        torch.manual_seed(0)
        network = build(load_network(source), 10).train()
        images = torch.randn(2, 3, 16, 16)
        tracer = Tracer(network, images)
        with tracer:
            logits = network(images)
        graph = tracer.finish(logits).graph
        logits.square().mean().backward()
        unused = [name for name, parameter in network.named_parameters() if parameter.grad is None]
        assert logits.shape == (2, 10)
        return graph, unused

    return execute
