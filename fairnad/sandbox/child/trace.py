"""One forward, seen below autograd: the executed operators, their dependencies, and what they cost.

A dispatch mode sees every operator however it was called: modules, functions, einsum, custom autograd functions.
It judges nothing, and it is blind to arithmetic that leaves torch (numpy, Python numbers).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fairnad.records import Costs, Graph, Node
from fairnad.sandbox.child.flops import count_flops, count_trainable, named_buffers, named_parameters

__all__ = ["MAX_OPERATORS", "TooManyOperators", "Trace", "Tracer"]

MAX_OPERATORS = 20_000
"""Of one forward. A residual network of a thousand layers runs 7,000; beyond this it is a Python loop over pixels."""

_COPIES = frozenset({"clone", "lift_fresh", "lift_fresh_copy", "_to_copy"})
"""Operators that hand on the value of their argument; `_to_copy` only where dtype and device stay."""

_UNTOLD = frozenset(
    # Fixed by the shape of the output, which the node has.
    {"size", "repeats", "output_size", "N", "C", "HxW"}
    # Without effect on what is computed.
    | {"device", "layout", "pin_memory", "memory_format", "generator", "non_blocking", "implicit"}
)
"""Names of arguments that are left out of a node's attributes."""

_DIMENSIONS = frozenset({"dim", "dims", "dim0", "dim1"})
_TENSOR = "tensor"
_MISSING = "missing"


class TooManyOperators(RuntimeError):
    """The forward ran more operators than one forward should."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one forward told: the operators that reach the logits, and the costs of one image."""

    graph: Graph
    costs: Costs
    has_unregistered: bool = False
    """Whether trainable weights were used that the network does not hold as its parameters."""


class Tracer(TorchDispatchMode):
    """Records one forward of `network` on `images`, which are (B, 3, H, W).

    `with tracer: logits = network(images)`, then `tracer.finish(logits)`. Every tensor that was seen is kept alive
    until the tracer is dropped, because tensors are told apart by identity.

    Raises:
        TooManyOperators: in the forward, at the first operator beyond `max_operators`, and at every later one.
    """

    def __init__(self, network: nn.Module, images: Tensor, *, max_operators: int = MAX_OPERATORS) -> None:
        super().__init__()
        self._network = network
        self._batch = images.shape[0]
        self._max_operators = max_operators
        self._num_operators = 0
        self._nodes: list[Node] = []
        self._reads_images: list[bool] = []
        self._producers: dict[int, int] = {}
        """id of a tensor -> the node that has its value, unless its storage was written later."""
        self._owners: dict[int, int] = {}
        """storage -> the node that wrote it last."""
        self._alive: list[Tensor] = []
        self._leaves = _leaf_kinds(network)
        self._constants: list[Tensor] = []
        self._batch_flops = 0
        self._fixed_flops = 0
        """Of operators on weights alone: they run once, whatever the batch."""
        self._hold(images, self._add("input", (), images))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # keeps torch from importing its compiler (seconds) only to switch it off

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Iterable[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run `func` and record it."""
        kwargs = kwargs or {}
        self._count()
        operator = _operator(func)
        if operator.is_composite:  # only met where generated code switches autograd off altogether (inference mode)
            with self:
                return func.decompose(*args, **kwargs)
        # Read before the call: an in-place operator depends on what was there before.
        inputs = tuple(self._read(tensor) for tensor in _tensors((*args, *kwargs.values())))
        before = _layout(args[0]) if args else None
        result = func(*args, **kwargs)
        outputs = list(_tensors((result,)))
        if len(outputs) == 1 and operator.hands_on(args, before, outputs[0]):
            self._hold(outputs[0], inputs[0])
        else:
            self._record(operator, args, kwargs, inputs, outputs)
        return result

    def finish(self, logits: Tensor) -> Trace:
        """Return what the forward that gave `logits` told.

        Raises:
            TooManyOperators: the forward caught that error and went on.
        RuntimeError: a part of the work was done elsewhere.
        """
        if self._num_operators > self._max_operators:
            raise self._too_many()
        graph = _reaching(self._nodes, self._read(logits))
        known = _leaf_kinds(self._network) if self._constants else {}  # a forward may register what it makes
        hidden = [tensor for tensor in self._constants if id(tensor) not in known]
        if any(tensor.grad_fn is not None for tensor in hidden):
            raise RuntimeError("a tensor was computed where its operators are not seen; compute it in forward itself")
        num_hidden = sum(tensor.numel() for tensor in hidden)
        flops = self._fixed_flops + round(self._batch_flops / self._batch)
        costs = Costs(params=count_trainable(self._network) + num_hidden, flops=flops)
        return Trace(graph, costs, has_unregistered=any(tensor.requires_grad for tensor in hidden))

    def _count(self) -> None:
        self._num_operators += 1
        if self._num_operators > self._max_operators:
            raise self._too_many()

    def _too_many(self) -> TooManyOperators:
        return TooManyOperators(
            f"forward runs more than {self._max_operators} operators for {self._batch} images: "
            "a Python loop over pixels or batch, or a recurrent layer over too many steps? vectorise it"
        )

    def _record(
        self,
        operator: _Operator,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        inputs: tuple[int, ...],
        outputs: list[Tensor],
    ) -> None:
        written = operator.written(args, kwargs)
        first = outputs[0] if outputs else next(iter(written), None)
        rank = max((tensor.dim() for tensor in (*_tensors(args), *outputs)), default=0)
        node = self._add(operator.name, inputs, first, operator.attributes(args, kwargs, rank))
        flops = count_flops(operator.name, args, first)
        if self._reads_images[node]:
            self._batch_flops += flops
        else:
            self._fixed_flops += flops
        for position, tensor in enumerate(outputs):
            part = node if position == 0 else self._add("output", (node,), tensor, f'{{"index":{position}}}')
            self._hold(tensor, part)
        for tensor in written:
            self._producers[id(tensor)] = self._owners[_storage(tensor)] = node

    def _read(self, tensor: Tensor) -> int:
        """Return the node that has the value of `tensor` now."""
        node = self._producers.get(id(tensor))
        owner = self._owners.get(_storage(tensor))
        if node is None:
            # Not an operator's result: a leaf, or another handle (`.data`) on a storage that is known.
            known = self._leaf(tensor) if owner is None else self._add("detach", (owner,), tensor)
            return self._hold(tensor, known)
        if owner is not None and owner > node:
            return self._hold(tensor, self._add("overwritten", (node, owner), tensor))
        return node

    def _leaf(self, tensor: Tensor) -> int:
        kind = self._leaves.get(id(tensor), "constant")
        if kind == "constant" and tensor.dim() and (tensor.is_floating_point() or tensor.is_complex()):
            self._constants.append(tensor)
        return self._add(kind, (), tensor)

    def _add(self, name: str, inputs: tuple[int, ...], output: Tensor | None, attributes: str = "") -> int:
        shape = () if output is None else tuple(output.shape)
        self._nodes.append(Node(name, inputs, shape, attributes))
        self._reads_images.append(name == "input" or any(self._reads_images[index] for index in inputs))
        return len(self._nodes) - 1

    def _hold(self, tensor: Tensor, node: int) -> int:
        self._alive.append(tensor)
        self._producers[id(tensor)] = node
        self._owners.setdefault(_storage(tensor), node)
        return node


@dataclass(frozen=True, slots=True)
class _Operator:
    """What an operator's schema says: the arguments worth telling as (position, name, default), and those it writes."""

    name: str
    is_composite: bool
    arguments: tuple[tuple[int, str, object], ...]
    written_arguments: tuple[tuple[int, str], ...]

    def hands_on(self, args: Sequence[object], before: object, output: Tensor) -> bool:
        """Return whether the one `output` has the value of the first argument, whose layout was `before`."""
        if self.name == "detach" or (self.written_arguments and self.name != "as_strided"):
            return False
        if self.name == "cat":
            return isinstance(args[0], list | tuple) and len(args[0]) == 1
        if self.name in _COPIES:
            return _is_unchanged(args[0], output)
        # A view of the whole: the same numbers in the same order.
        return before is not None and before == _layout(output)

    def written(self, args: Sequence[object], kwargs: Mapping[str, object]) -> list[Tensor]:
        """Return the tensors that a call changes in place."""
        if not self.written_arguments:
            return []
        found = (args[at] if at < len(args) else kwargs.get(name) for at, name in self.written_arguments)
        return list(_tensors(found))

    def attributes(self, args: Sequence[object], kwargs: Mapping[str, object], rank: int) -> str:
        """Return the arguments that are not tensors and not the default, as canonical JSON.

        Negative dimensions are counted from the front; `rank` is that of the largest tensor of the call.
        """
        told: dict[str, object] = {}
        for position, name, default in self.arguments:
            value = args[position] if position < len(args) else kwargs.get(name, default)
            if isinstance(value, Tensor) or value is default:
                continue
            value = _plain(value)
            if value != default and not _is_tensors(value):
                told[name] = _from_front(value, rank) if name in _DIMENSIONS else value
        return json.dumps(told, sort_keys=True, separators=(",", ":")) if told else ""


@functools.cache
def _operator(func: torch._ops.OpOverload) -> _Operator:
    schema = func._schema
    name = schema.name.removeprefix("aten::")
    written = tuple(
        (at, argument.name)
        for at, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    if written and name.endswith("_"):
        name = name[:-1]  # in place or not, it computes the same; what is overwritten shows in the edges
    if name == "_unsafe_view":  # a view of a fresh copy
        name = "view"
    return _Operator(
        name=name,
        is_composite=torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"),
        arguments=tuple(
            (at, argument.name, _plain(argument.default_value) if argument.has_default_value() else _MISSING)
            for at, argument in enumerate(schema.arguments)
            if argument.name not in _UNTOLD
        ),
        written_arguments=written,
    )


def _leaf_kinds(network: nn.Module) -> dict[int, str]:
    kinds = {id(tensor): "buffer" for _, tensor in named_buffers(network)}
    return kinds | {id(tensor): "parameter" for _, tensor in named_parameters(network)}


def _reaching(nodes: list[Node], output: int) -> Graph:
    """Return the graph of the nodes that `output` depends on, in execution order."""
    needed = {output}
    for index in range(output, -1, -1):
        if index in needed:
            needed.update(nodes[index].inputs)
    order = sorted(needed)
    number = {index: position for position, index in enumerate(order)}
    kept = (nodes[index] for index in order)
    renumbered = (Node(node.op, tuple(number[at] for at in node.inputs), node.shape, node.attributes) for node in kept)
    return Graph(tuple(renumbered), number[output])


def _tensors(values: Iterable[object]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _storage(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except NotImplementedError:  # sparse tensors have none
        return id(tensor)


def _layout(tensor: object) -> tuple[object, ...] | None:
    """Return what a view of a storage shows; axes of one element have no stride."""
    if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided:
        return None
    strides = tuple(step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1)
    return _storage(tensor), tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), strides


def _is_unchanged(source: object, copy: Tensor) -> bool:
    return isinstance(source, Tensor) and (source.dtype, source.device) == (copy.dtype, copy.device)


def _plain(value: object) -> object:
    """Return `value` as JSON knows it, with a mark for each tensor."""
    if isinstance(value, Tensor):
        return _TENSOR
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _is_tensors(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(item == _TENSOR for item in value)


def _from_front(value: object, rank: int) -> object:
    if isinstance(value, list):
        return [_from_front(item, rank) for item in value]
    return value + rank if isinstance(value, int) and value < 0 else value
