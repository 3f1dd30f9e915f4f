"""Which integer literals of a network count channels and which count repeats, followed through names and calls.

The analysis starts where the meaning of a number is known (an argument of `nn.Conv2d`, of `range`) and walks back
through variables, containers, loops and parameters to the literals. It ignores the order of statements.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from enum import Enum

from fairnad.architectures.source import Source, argument_of, callee_name

__all__ = ["Role", "Roles", "method", "parameter_names"]


class Role(str, Enum):
    """What a number means."""

    WIDTH = "width"
    INPUT = "input"
    """Channels that a layer reads: a width if some layer writes as many."""
    REPEAT = "repeat"
    DERIVED = "derived"
    """What may count channels (the head of a product, a dimension of a parameter): a width if it equals one."""


_Path = tuple[int | None, ...]
"""How to reach a value within containers: an index a level, None for any."""
_Origin = tuple[ast.expr, _Path]

_CHANNEL_SLOTS: dict[str, dict[str, int]] = {
    "Conv1d": {"in_channels": 0, "out_channels": 1},
    "Conv2d": {"in_channels": 0, "out_channels": 1},
    "ConvTranspose2d": {"in_channels": 0, "out_channels": 1},
    "LazyConv2d": {"out_channels": 0},
    "BatchNorm1d": {"num_features": 0},
    "BatchNorm2d": {"num_features": 0},
    "SyncBatchNorm": {"num_features": 0},
    "InstanceNorm2d": {"num_features": 0},
    "GroupNorm": {"num_channels": 1},
    "LayerNorm": {"normalized_shape": 0},
    "Linear": {"in_features": 0, "out_features": 1},
    "PReLU": {"num_parameters": 0},
    "MultiheadAttention": {"embed_dim": 0},
    "TransformerEncoderLayer": {"d_model": 0, "dim_feedforward": 2},
}
_INPUTS = frozenset({"in_channels", "in_features"})
_FILLED = frozenset({"zeros", "ones", "randn", "rand", "empty", "full"})
_PASSED_ON = frozenset({"int", "max", "min", "round", "list", "tuple", "reversed", "sorted", "make_divisible"})
_FIXED = frozenset({"num_classes", "n_classes", "self"})
_CHANNEL_NAME = re.compile(r"chan|dim|feat|planes|width|filters")
_MAX_ROUNDS = 6
_MAX_DEPTH = 16


class Roles:
    """The roles found in `source`: of literals, and of the parameters of its functions and methods."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._bound = {
            scope: _bindings(scope)
            for scope in ast.walk(source.tree)
            if isinstance(scope, ast.Module | ast.FunctionDef)
        }
        self.literals: dict[ast.Constant, Role] = {}
        self.parameters: dict[tuple[ast.FunctionDef, str], set[tuple[Role, _Path]]] = {}
        self._sinks = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call | ast.BinOp)]
        for _ in range(_MAX_ROUNDS):
            known = self._num_known()
            for node in self._sinks:
                for value, role, path in self._sunk(node):
                    self._mark(value, role, path)
            if self._num_known() == known:
                break

    def called(self, call: ast.Call) -> ast.FunctionDef | None:
        """Return the local function, constructor or method that `call` runs, if it is plain which."""
        if isinstance(call.func, ast.Name):
            definition = self._source.definitions.get(call.func.id) or self._class_passed_as(call.func)
            return method(definition, "__init__") if isinstance(definition, ast.ClassDef) else definition
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name | ast.Call):
            owner = self._class_around(call)
            if isinstance(call.func.value, ast.Name) and call.func.value.id == "self":
                return method(owner, call.func.attr)
            if callee_name(call.func.value) == "super" and owner is not None:
                bases = [self._source.classes.get(base.id) for base in owner.bases if isinstance(base, ast.Name)]
                return method(bases[0], call.func.attr) if bases else None
        return None

    def _class_passed_as(self, node: ast.Name) -> ast.ClassDef | None:
        """Return a class that the parameter `node` stands for, as `block` does in `_make_layer(block, ...)`."""
        scope = next((other for other in self._source.around(node) if isinstance(other, ast.FunctionDef)), None)
        if scope is None or node.id not in parameter_names(scope):
            return None
        place = parameter_names(scope).index(node.id)
        calls = [sink for sink in self._sinks if isinstance(sink, ast.Call) and callee_name(sink) == scope.name]
        passed = [argument_of(call, node.id, place) for call in calls]
        classes = [self._source.classes.get(value.id) for value in passed if isinstance(value, ast.Name)]
        return next((found for found in classes if found is not None), None)

    def widths(self, function: ast.FunctionDef) -> list[str]:
        """Return the parameters of `function` that are numbers of channels, in order."""
        channels = {(Role.WIDTH, ()), (Role.INPUT, ())}
        return [name for name in parameter_names(function) if channels & self._roles_of(function, name)]

    def _roles_of(self, function: ast.FunctionDef, name: str) -> set[tuple[Role, _Path]]:
        return self.parameters.get((function, name), set())

    def _num_known(self) -> int:
        return len(self.literals) + sum(len(roles) for roles in self.parameters.values())

    def _sunk(self, node: ast.Call | ast.BinOp) -> Iterator[tuple[ast.expr, Role, _Path]]:
        """Yield the operands of `node` whose meaning is known."""
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Mult) and _is_repeated(node.left):
                yield node.right, Role.REPEAT, ()
            return
        name = callee_name(node)
        if name == "range" and len(node.args) == 1 and not self._is_index(node):
            yield node.args[0], Role.REPEAT, ()
        if name in _FILLED and node.args:
            shape = node.args[0].elts if isinstance(node.args[0], ast.Tuple | ast.List) else node.args
            yield from ((size, Role.DERIVED, ()) for size in shape[:2][-1:])
        for key, place in _CHANNEL_SLOTS.get(name, {}).items():
            if (value := argument_of(node, key, place)) is not None:
                yield value, Role.INPUT if key in _INPUTS else Role.WIDTH, ()
        if name == "Conv2d" and _is_depthwise(node):
            yield from ((word.value, Role.INPUT, ()) for word in node.keywords if word.arg == "groups")
        yield from self._passed(node)

    def _passed(self, call: ast.Call) -> Iterator[tuple[ast.expr, Role, _Path]]:
        """Yield the arguments of a call of local code that have the roles of its parameters."""
        function = self.called(call)
        for place, name in enumerate(parameter_names(function) if function else ()):
            value = argument_of(call, name, place)
            if function is None or value is None:
                continue
            roles = self._roles_of(function, name)
            yield from ((value, role, path) for role, path in roles)
            if not roles and _CHANNEL_NAME.search(name):
                yield value, Role.DERIVED, ()

    def _is_index(self, call: ast.Call) -> bool:
        """Return whether `range(n)` counts the places of containers rather than repeats."""
        loop = self._source.parents[call]
        if not isinstance(loop, ast.For | ast.comprehension) or not isinstance(loop.target, ast.Name):
            return False
        name = loop.target.id
        body = loop if isinstance(loop, ast.For) else self._source.parents[loop]
        indices = [node.slice for node in ast.walk(body) if isinstance(node, ast.Subscript)]
        return any(isinstance(x, ast.Name) and x.id == name for index in indices for x in ast.walk(index))

    def _mark(self, node: ast.expr, role: Role, path: _Path, depth: int = 0) -> None:
        if isinstance(node, ast.Constant):
            is_weaker = role in {Role.DERIVED, Role.INPUT} and node in self.literals
            if type(node.value) is int and not path and not is_weaker:
                self.literals[node] = role
            return
        if depth < _MAX_DEPTH:
            for value, inner in self._origins(node, path, role):
                is_head = isinstance(node, ast.BinOp) and isinstance(value, ast.Constant)
                self._mark(value, Role.DERIVED if is_head else role, inner, depth + 1)

    def _origins(self, node: ast.expr, path: _Path, role: Role) -> Iterable[_Origin]:
        """Return the expressions that the value at `path` of `node` may come from."""
        if isinstance(node, ast.Name):
            return [(value, (*inner, *path)) for value, inner in self._values(node, path, role)]
        if isinstance(node, ast.Attribute):
            return [(value, path) for value in self._attribute_values(node)]
        if isinstance(node, ast.Call):
            return _call_origins(node, path)
        return _literal_origins(node, path, role)

    def _values(self, node: ast.Name, path: _Path, role: Role) -> list[_Origin]:
        """Return what `node` may hold; where it is a parameter, remember its role."""
        if node.id in _FIXED:
            return []
        for scope in self._source.around(node):
            if not isinstance(scope, ast.Module | ast.FunctionDef):
                continue
            found = list(self._bound[scope].get(node.id, ()))
            if isinstance(scope, ast.FunctionDef) and node.id in parameter_names(scope):
                self.parameters.setdefault((scope, node.id), set()).add((role, path))
                return [*found, *((value, ()) for value in _defaults(scope, node.id))]
            if found:
                return found
        return []

    def _attribute_values(self, node: ast.Attribute) -> list[ast.expr]:
        owner = self._class_around(node)
        if owner is None or not isinstance(node.value, ast.Name) or node.value.id != "self":
            return []
        assigned = [other for other in ast.walk(owner) if isinstance(other, ast.Assign)]
        return [
            other.value
            for other in assigned
            if any(isinstance(target, ast.Attribute) and target.attr == node.attr for target in other.targets)
        ]

    def _class_around(self, node: ast.AST) -> ast.ClassDef | None:
        return next((other for other in self._source.around(node) if isinstance(other, ast.ClassDef)), None)


def parameter_names(function: ast.FunctionDef) -> list[str]:
    """Return the names of the parameters of `function` without `self`, positional ones first."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument.arg for argument in arguments if argument.arg != "self"]


def method(owner: ast.AST | None, name: str) -> ast.FunctionDef | None:
    """Return the method `name` of the class `owner`."""
    body = owner.body if isinstance(owner, ast.ClassDef) else []
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _defaults(function: ast.FunctionDef, name: str) -> Iterator[ast.expr]:
    arguments = function.args
    with_default = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) or None :]
    pairs = [
        *zip(with_default, arguments.defaults, strict=False),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    yield from (value for argument, value in pairs if argument.arg == name and value is not None)


def _is_repeated(node: ast.expr) -> bool:
    """Return whether `node` is a list that is multiplied to repeat blocks or strides."""
    return isinstance(node, ast.List) and all(
        isinstance(element, ast.Call) or (isinstance(element, ast.Constant) and element.value == 1)
        for element in node.elts
    )


def _is_depthwise(call: ast.Call) -> bool:
    groups = argument_of(call, "groups", 6)
    channels = argument_of(call, "in_channels", 0)
    return isinstance(groups, ast.Constant) and isinstance(channels, ast.Constant) and groups.value == channels.value


def _literal_origins(node: ast.expr, path: _Path, role: Role) -> Iterable[_Origin]:
    if isinstance(node, ast.Tuple | ast.List) and path:
        elements = node.elts if path[0] is None else node.elts[path[0] :][:1]
        return [(element, path[1:]) for element in elements]
    if isinstance(node, ast.Subscript):
        index = node.slice.value if isinstance(node.slice, ast.Constant) else None
        step = () if isinstance(node.slice, ast.Slice) else (index if isinstance(index, int) else None,)
        return [(node.value, (*step, *path))]
    if isinstance(node, ast.ListComp) and path:
        return [(node.elt, path[1:])]
    if isinstance(node, ast.IfExp):
        return [(node.body, path), (node.orelse, path)]
    if isinstance(node, ast.BinOp) and not (role is Role.REPEAT and isinstance(node.left, ast.Constant)):
        return [(node.left, path)]
    return []


def _call_origins(call: ast.Call, path: _Path) -> Iterable[_Origin]:
    name = callee_name(call)
    if name in _PASSED_ON:
        return [(argument, path) for argument in call.args if not isinstance(argument, ast.Constant)]
    if name == "enumerate" and path[1:2] == (1,):
        return [(call.args[0], (None, *path[2:]))]
    if name == "zip" and len(path) > 1 and path[1] is not None:
        return [(argument, (None, *path[2:])) for argument in call.args[path[1] :][:1]]
    return []


def _bindings(scope: ast.AST) -> dict[str, list[_Origin]]:
    """Return what each name of `scope` is bound to: an expression, or a place within one."""
    found: dict[str, list[_Origin]] = {}
    for node in _own_nodes(scope):
        if isinstance(node, ast.Assign):
            pairs = [pair for target in node.targets for pair in _targets(target, ())]
            value = node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            pairs, value = _targets(node.target, ()), node.value
        elif isinstance(node, ast.For | ast.comprehension):
            pairs, value = _targets(node.target, (None,)), node.iter
        else:
            continue
        for name, path in pairs:
            found.setdefault(name, []).append((value, path))
    return found


def _targets(target: ast.AST, path: _Path) -> list[tuple[str, _Path]]:
    """Return the names that an assignment to `target` binds, with the path to what each gets."""
    if isinstance(target, ast.Name):
        return [(target.id, path)]
    elements = target.elts if isinstance(target, ast.Tuple | ast.List) else []
    return [pair for index, element in enumerate(elements) for pair in _targets(element, (*path, index))]


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of `scope` without those of functions and classes within it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node
            yield from _own_nodes(node)
