"""The child's side of `verify` and `measure`: run generated code once, and report what was seen.

It judges what cannot go on (an error, a wrong
shape, NaN, no gradient); costs, structure and integrity are reported, and judged by the controller.
"""

from __future__ import annotations

import logging
import random
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # torch.optim imports it (a second): let that be before the fork
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fairnad.records import Costs, Failure, Graph, Recipe
from fairnad.sandbox.child.flops import named_buffers, named_parameters
from fairnad.sandbox.child.generated import Refused, build, load_network, phase
from fairnad.sandbox.child.trace import Trace, Tracer
from fairnad.sandbox.wire import MeasureJob, MeasureReport, VerifyJob, VerifyReport

__all__ = ["Refused", "build", "load_network", "measure", "phase", "verify"]


def verify(job: VerifyJob, folder: Path) -> VerifyReport:
    """Return what one execution of the job's source shows; a report with a failure has its results missing.

    `folder` is not used: nothing but the report leaves the process.
    """
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # generated code may warn of what it likes
            report = _verify(job)
    except Refused as refused:
        report = VerifyReport(failure=refused.failure, reason=refused.reason, details=refused.details)
    return report.model_copy(update={"seconds": time.perf_counter() - began})


def measure(job: MeasureJob, folder: Path) -> MeasureReport:
    """Return the costs of each source, as `verify` finds them; None for one that cannot be run.

    `folder` is not used: nothing but the report leaves the process.
    """
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        costs = tuple(_costs(source, job) for source in job.sources)
        fvcore = tuple(_fvcore_flops(source, job) for source in job.sources) if job.with_fvcore else ()
    return MeasureReport(costs=costs, fvcore_flops=fvcore, seconds=time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class _Observation:
    """One network, traced in eval mode at batch 1 and in train mode at batch 2; `logits` are the latter's."""

    eval: Trace
    train: Trace
    logits: Tensor

    @property
    def graphs(self) -> tuple[Graph, Graph]:
        return self.eval.graph, self.train.graph


def _verify(job: VerifyJob) -> VerifyReport:
    network_class = load_network(job.source)
    network = _construct(network_class, job, seed=job.seed)
    first = _observe(network, job, seed=job.seed)
    dead = _backward(network, first.logits, _labels(job, 2))
    second = _observe(network, job, seed=job.seed + 1)
    is_stable = all(_is_same_again(network_class, network, first, job, seed=job.seed + more) for more in (1, 2))
    step_seconds, dead_in_steps = _train(network, job)
    return VerifyReport(
        costs=_larger(first.eval.costs, second.eval.costs),
        batch_costs=_larger(first.train.costs, second.train.costs),
        eval_graph=first.eval.graph,
        train_graph=first.train.graph,
        is_dynamic=first.graphs != second.graphs,
        is_stable=is_stable,
        dead_parameters=tuple(sorted(dead & dead_in_steps)),
        deviation=_deviation(network, job) if job.check_integrity else None,
        step_seconds=step_seconds,
        step_batch=job.batch_size if step_seconds is not None else None,
    )


def _construct(network_class: type[nn.Module], job: VerifyJob | MeasureJob, *, seed: int) -> nn.Module:
    """Return a network whose lazy parameters have their shapes, so that no trace contains their initialisation."""
    _seed(seed)
    network = build(network_class, job.num_classes)
    if any(is_lazy(tensor) for tensor in _all_tensors(network)):
        with phase(Failure.FORWARD_ERROR), torch.no_grad():
            network.eval()(torch.zeros(1, *job.input_shape))
    return network


def _observe(network: nn.Module, job: VerifyJob, *, seed: int) -> _Observation:
    in_eval, _ = _trace(network, _images(job, 1, seed), job.num_classes, seed=seed, is_training=False)
    in_train, logits = _trace(network, _images(job, 2, seed), job.num_classes, seed=seed, is_training=True)
    return _Observation(in_eval, in_train, logits)


def _trace(
    network: nn.Module, images: Tensor, num_classes: int, *, seed: int, is_training: bool
) -> tuple[Trace, Tensor]:
    _seed(seed)
    tracer = Tracer(network, images)
    # With gradients in eval mode too: torch's fused inference kernels would hide the operators.
    with phase(Failure.FORWARD_ERROR), torch.enable_grad(), tracer:
        logits = network.train(is_training)(images)
    _check_logits(logits, len(images), num_classes)
    with phase(Failure.FORWARD_ERROR):
        return tracer.finish(logits), logits


def _is_same_again(
    network_class: type[nn.Module], network: nn.Module, first: _Observation, job: VerifyJob, *, seed: int
) -> bool:
    """Return whether another construction gives the graph of `first`.

    It gets the weights of `network`, so that a branch on activations goes the same way. Train mode at batch 2 shows
    all that eval mode does.
    """
    other = _construct(network_class, job, seed=seed)
    here, there = ([tensor for tensor in _all_tensors(each) if not is_lazy(tensor)] for each in (other, network))
    if [tensor.shape for tensor in here] != [tensor.shape for tensor in there]:
        return False
    with phase(Failure.INIT_ERROR), torch.no_grad():
        for target, value in zip(here, there, strict=True):
            target.copy_(value)
    trace, _ = _trace(other, _images(job, 2, job.seed), job.num_classes, seed=job.seed, is_training=True)
    return trace.graph == first.train.graph


def _backward(network: nn.Module, logits: Tensor, labels: Tensor) -> frozenset[str]:
    """Run the backward pass of the loss and return the names of parameters without a gradient."""
    if not logits.requires_grad:
        raise Refused(
            Failure.NO_GRAD,
            "the logits do not depend on any trainable parameter; register layers as attributes of the module, and "
            "use no detach, no_grad or argmax on the way to the logits",
        )
    parameters = dict(named_parameters(network))
    for parameter in parameters.values():
        parameter.grad = None
    with phase(Failure.BACKWARD_ERROR):
        torch.autograd.backward(F.cross_entropy(logits, labels))
    dead = frozenset(name for name, parameter in parameters.items() if parameter.grad is None)
    if dead == parameters.keys():
        raise Refused(Failure.NO_GRAD, "no registered parameter gets a gradient; compute the logits from the layers")
    for name, parameter in parameters.items():
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            raise Refused(
                Failure.NAN,
                f"the gradient of {name} is not finite; keep sqrt, log, division and pow away from zero (add an "
                "epsilon inside)",
            )
    return dead


def _train(network: nn.Module, job: VerifyJob) -> tuple[float | None, frozenset[str]]:
    """Take training steps; return the median seconds of one, and the names of parameters without a gradient."""
    recipe = Recipe()
    parameters = dict(named_parameters(network))
    optimizer = torch.optim.SGD(
        [parameter for parameter in _distinct(parameters) if not is_lazy(parameter)],
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )
    images, labels = _images(job, job.batch_size, job.seed), _labels(job, job.batch_size)
    dead = frozenset(parameters)
    seconds = []
    _seed(job.seed)
    for step in range(job.train_steps):
        began = time.perf_counter()
        with phase(Failure.FORWARD_ERROR):
            logits = _check_shape(network.train()(images), job.batch_size, job.num_classes)
        optimizer.zero_grad()
        with phase(Failure.BACKWARD_ERROR):
            loss = F.cross_entropy(logits, labels)
            torch.autograd.backward(loss)
            optimizer.step()
        _check_finite(loss, f"the loss of training step {step + 1}")
        seconds.append(time.perf_counter() - began)
        dead = frozenset(name for name in dead if parameters[name].grad is None)
    return (statistics.median(seconds) if seconds else None), dead


def _deviation(network: nn.Module, job: VerifyJob) -> float:
    """Return how far the same samples' logits differ between three batches, as a fraction of the logits' spread.

    The batches differ in size, order, companions, and in the calls before them.
    """
    samples, others = _images(job, 3, job.seed + 1), _images(job, 3, job.seed + 2)
    batches = (torch.cat([samples, others[:2]]), torch.cat([others[2:], samples.flip(0)]), samples)
    with phase(Failure.FORWARD_ERROR), torch.no_grad():
        first, second, third = (network.eval()(images) for images in batches)
        views = torch.stack([first[:3], second[1:].flip(0), third])
    _check_finite(views, "an element of the logits after a few training steps")
    largest = (views.amax(0) - views.amin(0)).max()
    return float(largest / views[0].std().clamp_min(1e-12))


def _costs(source: str, job: MeasureJob) -> Costs | None:
    # The real thing at batch 1: the meta device, with its kernels in Python, is two to five times slower.
    try:
        network = _construct(load_network(source), job, seed=0)
        trace, _ = _trace(network, _images(job, 1, 0), job.num_classes, seed=0, is_training=False)
    except Refused:
        return None
    return trace.costs


def _fvcore_flops(source: str, job: MeasureJob) -> int | None:
    from fvcore.nn import FlopCountAnalysis  # only exports ask for it

    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    try:
        network = _construct(load_network(source), job, seed=0)
        with phase(Failure.FORWARD_ERROR):
            return int(FlopCountAnalysis(network.eval(), torch.zeros(1, *job.input_shape)).total())
    except Refused:
        return None


def _check_logits(logits: object, batch: int, num_classes: int) -> None:
    _check_finite(_check_shape(logits, batch, num_classes), "an element of the logits")


def _check_shape(logits: object, batch: int, num_classes: int) -> Tensor:
    expected = f"expected a float torch.Tensor ({batch}, {num_classes}) for {batch} images"
    if not isinstance(logits, Tensor) or type(logits) is not Tensor:
        got = f"a {type(logits).__name__}"
    elif logits.shape != (batch, num_classes):
        got = str(tuple(logits.shape))
    elif not logits.is_floating_point():
        got = f"dtype {logits.dtype}"
    else:
        return logits
    raise Refused(
        Failure.SHAPE,
        f"forward returned {got}, {expected}; pool over space, end in a linear layer of num_classes outputs, and "
        "return only its result",
    )


def _check_finite(values: Tensor, what: str) -> None:
    if not bool(torch.isfinite(values).all()):
        raise Refused(
            Failure.NAN,
            f"{what} is not finite; keep log, sqrt, exp and division in their domains and normalise activations",
        )


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _images(job: VerifyJob | MeasureJob, count: int, seed: int) -> Tensor:
    """Return images (count, C, H, W) of mean 0 and variance 1 whose channels have means of their own, as photos do."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = job.input_shape
    means = torch.randn(count, channels, 1, 1, generator=generator)
    return 0.8 * means + 0.6 * torch.randn(count, channels, height, width, generator=generator)


def _labels(job: VerifyJob, count: int) -> Tensor:
    return torch.randint(job.num_classes, (count,), generator=torch.Generator().manual_seed(job.seed))


def _all_tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from (parameter for _, parameter in named_parameters(network))
    yield from (buffer for _, buffer in named_buffers(network))


def _distinct(parameters: dict[str, nn.Parameter]) -> list[nn.Parameter]:
    return list({id(parameter): parameter for parameter in parameters.values()}.values())


def _larger(first: Costs, second: Costs) -> Costs:
    return Costs(params=max(first.params, second.params), flops=max(first.flops, second.flops))
