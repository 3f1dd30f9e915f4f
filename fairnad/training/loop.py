"""The one training loop: a network and a job in, logits and weights out. It never sees an evaluated label.

Whoever calls `train`, in a child process of its own, classifies what it raises.
Shape suffixes: N images, C channels, H and W of an image.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from fairnad.records import Failure, Recipe
from fairnad.sandbox.wire import TrainJob, TrainReport
from fairnad.training.augment import Draws, Normaliser, draw, gather, pad
from fairnad.training.outputs import write_logits, write_weights

__all__ = ["Observer", "batches", "learning_rate", "train"]

Observer = Callable[[Draws, NDArray[np.float64]], None]
"""Told of each epoch: what was drawn for it, and the loss of each of its steps."""

_DATA_STREAM = 0x9E3779B9  # tells the data's seed from the weights'; torch cuts seeds off at 2**32


def train(
    build: Callable[[], nn.Module], job: TrainJob, folder: Path, *, observer: Observer | None = None
) -> TrainReport:
    """Train the network of `build` and write `logits.bin` and `weights.safetensors` to `folder`.

    The seed is set before `build` is called. Order and augmentation have a generator of their own: a network that
    draws random numbers sees the same images in the same order as one that draws none. A loss that is not finite ends
    the training with the failure NAN, without files.
    """
    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    torch.set_flush_denormal(True)  # vanishing momenta slow a CPU down by a tenth, and change nothing
    device, data, recipe = torch.device(job.device), job.data, job.recipe
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(job.memory_share)
    padded_NHWC = pad(_map(data.train_images), data.crop_padding).to(device)
    labels_N = _map(data.train_labels).to(device)
    eval_images_NCHW, normalise = _map(data.eval_images).to(device), Normaliser(data.mean, data.std, device)
    chances = torch.Generator().manual_seed(job.seed ^ _DATA_STREAM)
    torch.manual_seed(job.seed)
    model = build().to(device)
    _evaluate(model, normalise, eval_images_NCHW[:2], 2)  # lazy parameters get their shapes
    optimizer = _optimizer(model, recipe)

    losses: list[float] = []
    training_started = time.perf_counter()
    for epoch in range(recipe.epochs):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, epoch)
        draws = draw(len(labels_N), data.crop_padding, data.flip, chances)
        steps = _steps(padded_NHWC, labels_N, draws, padding=data.crop_padding, batch_size=recipe.batch_size)
        step_losses = _run_epoch(model, optimizer, normalise, steps, recipe)
        if observer is not None:
            observer(draws, step_losses)
        if not np.isfinite(step_losses).all():
            return _diverged(epoch, step_losses, seconds=time.perf_counter() - started)
        sizes = [batch.stop - batch.start for batch in batches(len(labels_N), recipe.batch_size)]
        losses.append(float(np.average(step_losses, weights=sizes)))
    training_seconds = time.perf_counter() - training_started

    logits = _evaluate(model, normalise, eval_images_NCHW, recipe.batch_size)
    write_logits(logits, folder)
    write_weights(model, folder)
    return TrainReport(
        losses=tuple(losses),
        images_per_second=recipe.epochs * len(labels_N) / training_seconds,
        peak_memory_bytes=_peak_memory_bytes(device),
        num_logits=logits.numel(),
        seconds=time.perf_counter() - started,
    )


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Return the rate of a whole epoch, counted from 0: a cosine from `recipe.lr` towards 0."""
    return recipe.lr / 2 * (1 + math.cos(math.pi * epoch / recipe.epochs))


def batches(num_images: int, batch_size: int) -> list[slice]:
    """Return the batches of an epoch: a last partial one is kept, a last single image joins the batch before it.

    Batch normalisation cannot train on one image where the feature maps are 1 x 1.
    """
    starts = list(range(0, num_images, batch_size))
    if len(starts) > 1 and num_images - starts[-1] == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], num_images], strict=True)]


def _map(path: str) -> Tensor:
    return torch.from_numpy(np.load(path, mmap_mode="c"))  # copy on write: torch wants memory that it may write to


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=all(parameter.is_floating_point() for parameter in parameters),  # complex ones have no fused kernel
    )
    for parameter in parameters:  # else the fused kernel wants all of them to have their first gradient at one step
        if not is_lazy(parameter):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _steps(
    padded_NHWC: Tensor, labels_N: Tensor, draws: Draws, *, padding: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images (uint8, N C H W) and labels of each step, when they are due: the first is there at once."""
    placed = Draws(*(chance.to(padded_NHWC.device) for chance in draws))
    for batch in batches(len(labels_N), batch_size):
        chances = Draws(*(chance[batch] for chance in placed))
        yield gather(padded_NHWC, chances, padding), labels_N[chances.order_N]


def _run_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    normalise: Normaliser,
    steps: Iterable[tuple[Tensor, Tensor]],
    recipe: Recipe,
) -> NDArray[np.float64]:
    """Train on the images and labels of `steps`; return the loss of each, read once so that a GPU never waits."""
    model.train()
    losses = []
    for images_NCHW, labels_N in steps:
        images = normalise(images_NCHW, torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits = model(images)
        loss = functional.cross_entropy(logits.float(), labels_N)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses).double().cpu().numpy()


def _evaluate(model: nn.Module, normalise: Normaliser, images_NCHW: Tensor, batch_size: int) -> Tensor:
    """Return the logits of the images as they are, in float32: rounded to bfloat16, classes would tie."""
    model.eval()
    with torch.no_grad():
        starts = range(0, len(images_NCHW), batch_size)
        parts = (normalise(images_NCHW[start : start + batch_size], torch.channels_last) for start in starts)
        return torch.cat([model(part).float().cpu() for part in parts])


def _diverged(epoch: int, step_losses: NDArray[np.float64], *, seconds: float) -> TrainReport:
    step = int(np.flatnonzero(~np.isfinite(step_losses))[0])
    reason = f"the loss is {step_losses[step]} in epoch {epoch + 1}, step {step + 1}; keep the network stable"
    return TrainReport(failure=Failure.NAN, reason=reason, seconds=seconds)


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
