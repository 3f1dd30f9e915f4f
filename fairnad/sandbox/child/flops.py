"""What a network costs: multiply-accumulates of one operator below autograd, and trainable scalars.

The rules are those of fvcore's `FlopCountAnalysis` in eval mode, applied at the dispatcher, where functional calls
(attention, einsum, matmul) are seen too. Nothing here asks the network: hostile code can replace its methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["count_flops", "count_trainable", "named_buffers", "named_parameters"]

_Rule = Callable[[Sequence[object], Tensor], int]


def count_flops(name: str, args: Sequence[object], output: Tensor | None) -> int:
    """Return the FLOPs of the operator `name` (no namespace, no overload) that gave `output`; 0 for one without a rule.

    Batch normalisation that keeps running statistics counts as in eval mode whatever the mode, so that a training
    forward can be compared with one in eval mode.
    """
    rule = _RULES.get(name)
    return 0 if rule is None or output is None else rule(args, output)


def count_trainable(network: nn.Module) -> int:
    """Return the number of distinct trainable scalars: shared ones once, those of lazy layers after a forward."""
    distinct = {id(tensor): tensor for _, tensor in named_parameters(network)}
    return sum(tensor.numel() for tensor in distinct.values() if tensor.requires_grad and not is_lazy(tensor))


def named_parameters(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield every registered parameter with its dotted name; a shared one comes under each of its names."""
    return cast("Iterator[tuple[str, nn.Parameter]]", _registered(network, "_parameters"))


def named_buffers(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every registered buffer with its dotted name."""
    return _registered(network, "_buffers")


def _registered(network: nn.Module, kind: str) -> Iterator[tuple[str, Tensor]]:
    waiting, seen = [("", network)], set()
    while waiting:
        prefix, module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        fields = object.__getattribute__(module, "__dict__")
        yield from ((prefix + name, tensor) for name, tensor in fields[kind].items() if tensor is not None)
        children = [(f"{prefix}{name}.", child) for name, child in fields["_modules"].items() if child is not None]
        waiting.extend(reversed(children))


def _tensor(value: object) -> Tensor:
    return cast("Tensor", value)


def _convolution(args: Sequence[object], output: Tensor) -> int:
    images, weight, is_transposed = _tensor(args[0]), _tensor(args[1]), args[6]
    places = (images if is_transposed else output).shape[2:]
    return images.shape[0] * weight.numel() * math.prod(places)


def _product(first: int) -> _Rule:
    """Return the rule of a matrix product whose operands are arguments `first` and `first + 1`."""

    def rule(args: Sequence[object], output: Tensor) -> int:
        left, right = _tensor(args[first]), _tensor(args[first + 1])
        return left.numel() * (right.shape[-1] if right.dim() > 1 else 1)

    return rule


def _attention(args: Sequence[object], output: Tensor) -> int:
    query, key, value = (_tensor(arg) for arg in args[:3])
    num_queries = query.numel() // max(query.shape[-1], 1)
    return num_queries * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _trilinear(args: Sequence[object], output: Tensor) -> int:
    # `nn.Bilinear`: one multiplication of both inputs for each weight and row.
    first, weight = _tensor(args[0]), _tensor(args[1])
    return first.shape[0] * weight.numel()


def _cdist(args: Sequence[object], output: Tensor) -> int:
    return output.numel() * _tensor(args[0]).shape[-1]


def _lstm_layer(args: Sequence[object], output: Tensor) -> int:
    sequence, weight_in, weight_hidden = (_tensor(arg) for arg in args[:3])
    return sequence.shape[0] * sequence.shape[1] * (weight_in.numel() + weight_hidden.numel())


def _batch_norm(args: Sequence[object], output: Tensor) -> int:
    # Without running statistics the batch's own are computed in either mode (instance normalisation arrives so).
    if args[3] is None:
        return _data_norm(1)(args, output)
    return output.numel() * (1 if args[1] is None else 2)


def _data_norm(weight: int) -> _Rule:
    """Return the rule of a normalisation by the data's own statistics; `weight` is the position of that argument."""
    return lambda args, output: output.numel() * (4 if args[weight] is None else 5)


def _inputs(args: Sequence[object], output: Tensor) -> int:
    return _tensor(args[0]).numel()


def _outputs(times: int) -> _Rule:
    return lambda args, output: times * output.numel()


def _mean(args: Sequence[object], output: Tensor) -> int:
    # torch runs adaptive_avg_pool2d to 1 x 1 as this very call; fvcore counts that pooling, and no other mean.
    is_pooling = len(args) > 2 and args[1] == [-1, -2] and args[2] is True
    return _inputs(args, output) if is_pooling else 0


_ATTENTIONS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)

_RULES: dict[str, _Rule] = {
    "convolution": _convolution,
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv", "_addmm_activation"), _product(1)),
    **dict.fromkeys(_ATTENTIONS, _attention),
    "_trilinear": _trilinear,
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), _cdist),
    "mkldnn_rnn_layer": _lstm_layer,
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), _batch_norm),
    "native_group_norm": _data_norm(1),
    "native_layer_norm": _data_norm(2),
    "_adaptive_avg_pool2d": _inputs,
    "mean": _mean,
    "upsample_nearest2d": _outputs(1),
    **dict.fromkeys(("upsample_bilinear2d", "grid_sampler_2d", "grid_sampler_3d"), _outputs(4)),
}
