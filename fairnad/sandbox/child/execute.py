"""The child's side of `verify` and `measure`: run generated code once, and report what was seen.

It refuses what cannot go on (an error, a wrong shape, NaN, no gradient); costs, structure and integrity are only
reported, for the controller to judge.
"""

from __future__ import annotations

import logging
import random
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
from fairnad.sandbox.child.intact import single_threaded, unpatched
from fairnad.sandbox.child.trace import Trace, Tracer
from fairnad.sandbox.wire import MeasureJob, MeasureReport, VerifyJob, VerifyReport

__all__ = ["Refused", "build", "load_network", "measure", "phase", "verify"]


def verify(job: VerifyJob, folder: Path) -> VerifyReport:
    """Return what one execution of the job's source shows; a report with a failure has its results missing.

    `folder` is not used: nothing but the report leaves the process.
    """
    began = time.perf_counter()
    try:
        with _undisturbed(), unpatched():
            report = _verify(job)
    except Refused as refused:
        report = VerifyReport(failure=refused.failure, reason=refused.reason, details=refused.details)
    return report.model_copy(update={"seconds": time.perf_counter() - began})


def measure(job: MeasureJob, folder: Path) -> MeasureReport:
    """Return the costs of each source, as `verify` finds them; None for one that cannot be run.

    `folder` is not used: nothing but the report leaves the process.
    """
    began = time.perf_counter()
    with _undisturbed():
        costs = tuple(_costs(source, job) for source in job.sources)
        fvcore = tuple(_fvcore_flops(source, job) for source in job.sources) if job.with_fvcore else ()
    return MeasureReport(costs=costs, fvcore_flops=fvcore, seconds=time.perf_counter() - began)


_isfinite = torch.isfinite  # as it is before generated code runs

_STEP_BATCHES = (4, 16)
"""Images of the timed training steps ..."""
_SMALLEST_BATCH = 2
"""... and where those do not fit into the memory."""
_MOST_OBSERVATIONS = 8
"""Of a network whose training may skip work by chance."""
_CONTRASTS = (2.0, 0.25, 2.0)
"""Of the images that samples are put beside, as multiples of their own."""


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let generated code warn of what it likes, and keep `torch.compile` from taking minutes over a few forwards."""
    with warnings.catch_warnings(), torch._dynamo.config.patch(disable=True):
        warnings.simplefilter("ignore")
        yield


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
    initial = [tensor.detach().clone() for tensor in _all_tensors(network)]
    first = _observe(network, job, seed=job.seed)
    if job.limits is not None and not job.limits.allow(first.eval.costs):
        return _report(first)
    if first.eval.has_unregistered or first.train.has_unregistered:
        raise Refused(
            Failure.NO_GRAD,
            "forward uses trainable weights that are not registered and would never be trained; keep layers as "
            "attributes of the module, lists of them in nn.ModuleList and dicts in nn.ModuleDict",
        )
    dead = _backward(network, first.logits, _labels(job, 2))
    second = _observe(network, job, seed=job.seed + 1)
    # Like the first traces or the second: a compiler of torch warms up, and so does a cache that outlives a network.
    known = (first.graphs, second.graphs)
    is_stable = all(_rebuild(network_class, initial, job, seed=job.seed + more) in known for more in (1, 2))
    seen = [first, second, *_further(network, job, first, second)]
    is_dynamic = any(other.graphs != first.graphs for other in seen)
    largest = _largest([trace.costs for one in seen for trace in (one.eval, one.train)])
    steps = _train(network, job)
    update = {
        "is_dynamic": is_dynamic,
        "is_stable": is_stable,
        "dead_parameters": tuple(sorted(dead & steps.dead)),
        "deviation": _deviation(network, job) if job.check_integrity else None,
        "step_seconds": steps.seconds,
        "step_batch": steps.batch_size if job.train_steps else None,
    }
    if is_dynamic:
        update |= {"costs": largest, "batch_costs": largest}
    return _report(first).model_copy(update=update)


def _further(network: nn.Module, job: VerifyJob, first: _Observation, second: _Observation) -> Iterator[_Observation]:
    """Yield more observations where training did other work than evaluation: chance may skip a block every time."""
    for more in range(2, _MOST_OBSERVATIONS):
        if first.graphs != second.graphs or first.train.costs.flops == first.eval.costs.flops:
            return
        second = _observe(network, job, seed=job.seed + more)
        yield second


def _report(seen: _Observation) -> VerifyReport:
    return VerifyReport(
        costs=seen.eval.costs,
        batch_costs=seen.train.costs,
        eval_graph=seen.eval.graph,
        train_graph=seen.train.graph,
    )


def _construct(network_class: type[nn.Module], job: VerifyJob | MeasureJob, *, seed: int) -> nn.Module:
    """Return a network whose lazy parameters have their shapes, so that no trace contains their initialisation."""
    _seed(seed)
    network = build(network_class, job.num_classes)
    if any(is_lazy(tensor) for _, tensor in (*named_parameters(network), *named_buffers(network))):
        with phase(Failure.FORWARD_ERROR), torch.no_grad():
            _set_mode(network, is_training=False)
            network(torch.zeros(1, *job.input_shape))
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
    with phase(Failure.FORWARD_ERROR), torch.enable_grad(), single_threaded(), tracer:
        _set_mode(network, is_training=is_training)
        logits = network(images)
    _check_logits(logits, len(images), num_classes)
    with phase(Failure.FORWARD_ERROR):
        return tracer.finish(logits), logits


def _rebuild(
    network_class: type[nn.Module], initial: list[Tensor], job: VerifyJob, *, seed: int
) -> tuple[Graph, Graph] | None:
    """Return the graphs of another construction; None if its tensors have not the shapes of `initial`.

    It takes the weights, the images and the forward seed of the first one, so that a branch on values goes the same
    way, and only a structure drawn at random can differ.
    """
    network = _construct(network_class, job, seed=seed)
    tensors = list(_all_tensors(network))
    if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in initial]:
        return None
    with phase(Failure.INIT_ERROR), torch.no_grad():
        for tensor, value in zip(tensors, initial, strict=True):
            if not torch._debug_has_internal_overlap(tensor):  # as where `expand` made a buffer: it holds a constant
                tensor.copy_(value)
    return _observe(network, job, seed=job.seed).graphs


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
        if parameter.grad is not None and not bool(_isfinite(parameter.grad).all()):
            raise Refused(
                Failure.NAN,
                f"the gradient of {name} is not finite; keep sqrt, log, division and pow away from zero (add an "
                "epsilon inside)",
            )
    return dead


@dataclass(frozen=True, slots=True)
class _Steps:
    """Some training steps: the median seconds of one, its images, and the parameters that never had a gradient."""

    seconds: float | None
    batch_size: int
    dead: frozenset[str]


def _train(network: nn.Module, job: VerifyJob) -> _Steps:
    """Take the training steps of `job`: at its batch size, else at two quick ones, or at one that fits into memory."""
    if job.batch_size is not None:
        return _steps(network, job, job.batch_size)
    try:
        large = _steps(network, job, _STEP_BATCHES[1])
    except Refused as refused:
        if refused.failure is not Failure.MEMORY:
            raise
        return _steps(network, job, _SMALLEST_BATCH)
    small = _steps(network, job, _STEP_BATCHES[0])
    return _Steps(_extrapolate(small, large, job.timed_for), job.timed_for, small.dead & large.dead)


def _extrapolate(small: _Steps, large: _Steps, batch_size: int) -> float | None:
    """Return the seconds of a step at `batch_size`: a fixed part for its operators, and a part for each image."""
    if small.seconds is None or large.seconds is None:
        return None
    an_image = (large.seconds - small.seconds) / (large.batch_size - small.batch_size)
    # Noise must not make images free: a quarter of the mean time an image is the least.
    an_image = max(an_image, large.seconds / large.batch_size / 4)
    return max(large.seconds, large.seconds + (batch_size - large.batch_size) * an_image)


def _steps(network: nn.Module, job: VerifyJob, batch_size: int) -> _Steps:
    """Step as a training does: in its precision, channels last, with the recipe's optimizer."""
    recipe = Recipe()
    parameters = dict(named_parameters(network))
    trained = [parameter for parameter in _distinct(parameters) if not is_lazy(parameter)]
    optimizer = torch.optim.SGD(
        trained,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=all(parameter.is_floating_point() for parameter in trained),  # complex ones have no fused kernel
    )
    for parameter in trained:  # else the fused kernel wants all of them to have their first gradient at one step
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    images = _images(job, batch_size, job.seed).contiguous(memory_format=torch.channels_last)
    labels = _labels(job, batch_size)
    dead = frozenset(parameters)
    seconds = []
    _seed(job.seed)
    for step in range(job.train_steps):
        began = time.perf_counter()
        with phase(Failure.FORWARD_ERROR), torch.autocast("cpu", torch.bfloat16, enabled=job.precision == "bf16"):
            _set_mode(network, is_training=True)
            logits = _check_shape(network(images), batch_size, job.num_classes)
        optimizer.zero_grad()
        with phase(Failure.BACKWARD_ERROR):
            loss = F.cross_entropy(logits.float(), labels)
            torch.autograd.backward(loss)
            optimizer.step()
        _check_finite(loss, f"the loss of training step {step + 1}")
        seconds.append(time.perf_counter() - began)
        dead = frozenset(name for name in dead if parameters[name].grad is None)
    return _Steps(statistics.median(seconds) if seconds else None, batch_size, dead)


def _deviation(network: nn.Module, job: VerifyJob) -> float:
    """Return how far the same samples' logits differ between three batches, as a fraction of the logits' spread.

    The batches differ in size, order, companions, and in the calls before them. Some companions have more contrast than
    the samples: else an extreme over the batch lies among the samples as often as not.
    """
    samples, others = _images(job, 3, job.seed + 1), _stretched(_images(job, 3, job.seed + 2))
    batches = (torch.cat([samples, others[:2]]), torch.cat([others[2:], samples.flip(0)]), samples)
    with phase(Failure.FORWARD_ERROR), torch.no_grad():
        _set_mode(network, is_training=False)
        first, second, third = (network(images) for images in batches)
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
    if not bool(_isfinite(values).all()):
        raise Refused(
            Failure.NAN,
            f"{what} is not finite; keep log, sqrt, exp and division in their domains and normalise activations",
        )


def _set_mode(network: nn.Module, *, is_training: bool) -> None:
    network.train(is_training)  # a network that overrides it may return nothing


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _images(job: VerifyJob | MeasureJob, count: int, seed: int) -> Tensor:
    """Return images (count, C, H, W) of mean 0 and variance 1 whose channels have means of their own, as photos do."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = job.input_shape
    means = torch.randn(count, channels, 1, 1, generator=generator, dtype=torch.float32)
    noise = torch.randn(count, channels, height, width, generator=generator, dtype=torch.float32)
    return 0.8 * means + 0.6 * noise


def _stretched(images: Tensor) -> Tensor:
    """Return three `images`, each about its own mean: the first and last with more contrast, the second with less."""
    means = images.mean((1, 2, 3), keepdim=True)
    return means + torch.tensor(_CONTRASTS)[:, None, None, None] * (images - means)


def _labels(job: VerifyJob, count: int) -> Tensor:
    return torch.randint(job.num_classes, (count,), generator=torch.Generator().manual_seed(job.seed))


def _all_tensors(network: nn.Module) -> Iterator[Tensor]:
    """Yield parameters and buffers, but for those of a lazy layer that is never called."""
    yield from (parameter for _, parameter in named_parameters(network) if not is_lazy(parameter))
    yield from (buffer for _, buffer in named_buffers(network) if not is_lazy(buffer))


def _distinct(parameters: dict[str, nn.Parameter]) -> list[nn.Parameter]:
    return list({id(parameter): parameter for parameter in parameters.values()}.values())


def _largest(costs: list[Costs]) -> Costs:
    return Costs(params=max(each.params for each in costs), flops=max(each.flops for each in costs))
