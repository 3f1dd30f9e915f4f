"""Executing one source in a child: what is refused, what is seen."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from fairnad.records import Costs, Failure, Limits
from fairnad.sandbox.child.execute import (
    Refused,
    _extrapolate,
    _Steps,
    build,
    load_network,
    measure,
    verify,
)
from fairnad.sandbox.wire import MeasureJob, VerifyJob, VerifyReport

SOURCE = """
import random
import torch
import torch.nn.functional as F
from torch import nn


class Network(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU())
        # INIT
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        h = self.stem(x)
        h = h + self.body(h)
        h = h.mean((2, 3))
        # FORWARD
        return self.fc(h)
"""
PARAMS = 3 * 8 * 9 + 8 + 16 + 8 * 8 * 9 + 8 + 16 + 8 * 5 + 5
CASES = Path(__file__).parents[3] / "shared" / "cases" / "networks"
HOSTILE = (
    "bad_delete bad_kill bad_net_ bad_subprocess bad_daemon bad_disk bad_exit bad_deadlock bad_segv bad_mem bad_peek "
    "bad_patch bad_sys_modules bad_loop"
)


def write(*, init="", forward="", source=SOURCE) -> str:
    return source.replace("# INIT", init).replace("# FORWARD", forward)


def check(source: str, **options) -> VerifyReport:
    job = VerifyJob(source=source, input_shape=(3, 8, 8), num_classes=5, batch_size=4, **options)
    return verify(job, Path())


def test_a_sound_network_is_reported_in_full():
    report = check(SOURCE)
    assert report.failure is None, report.details
    assert report.costs == report.batch_costs
    assert report.costs.params == PARAMS
    assert (report.is_dynamic, report.is_stable, report.dead_parameters) == (False, True, ())
    assert report.eval_graph.nodes[report.eval_graph.output].shape == (1, 5)
    assert report.train_graph.nodes[report.train_graph.output].shape == (2, 5)
    assert report.deviation < 1e-5
    assert report.step_batch == 4
    assert 0 < report.step_seconds < report.seconds
    assert VerifyReport.model_validate_json(report.model_dump_json()) == report


def test_the_same_job_gives_the_same_report():
    first, second = check(write(init="self.drop = nn.Dropout(0.1)", forward="h = self.drop(h)")), check(SOURCE)
    again = check(write(init="self.drop = nn.Dropout(0.1)", forward="h = self.drop(h)"))
    assert (again.train_graph, again.deviation) == (first.train_graph, first.deviation)
    assert first.train_graph != second.train_graph
    assert first.eval_graph == second.eval_graph


REFUSED = {
    "unterminated": (SOURCE + "\nx = (1,", Failure.SYNTAX, "was never closed"),
    "null byte": ("x = 1\0", Failure.SYNTAX, "null bytes"),
    "unknown import": ("import tensorflow_x", Failure.IMPORT, "line 1: import tensorflow_x"),
    "exit at import": ("raise SystemExit(0)", Failure.IMPORT, "SystemExit"),
    "interrupt at import": ("raise KeyboardInterrupt", Failure.IMPORT, "KeyboardInterrupt"),
    "other name": (SOURCE.replace("class Network", "class Net"), Failure.NO_NETWORK_CLASS, "found the classes Net;"),
    "function": ("def Network(num_classes): pass", Failure.NO_NETWORK_CLASS, "Network is a function"),
    "constructor": (SOURCE.replace("num_classes=10", "").replace("num_classes)", "5)"), Failure.INIT_ERROR, "keyword"),
    "init error": (write(init="self.x = 1 / 0"), Failure.INIT_ERROR, "line 13: self.x = 1 / 0"),
    "forward error": (write(forward="h = h @ h"), Failure.FORWARD_ERROR, "line 20: h = h @ h"),
    "exit in forward": (write(forward="raise SystemExit"), Failure.FORWARD_ERROR, "SystemExit"),
    "batch of one": (write(forward="h = h.squeeze()[:, :8]"), Failure.FORWARD_ERROR, "any batch size"),
    "dict": (write(forward="return {'logits': h}"), Failure.SHAPE, "returned a dict"),
    "features": (write(forward="return h"), Failure.SHAPE, "returned (1, 8), expected a float torch.Tensor (1, 5)"),
    "parameter": (write(forward="return nn.Parameter(torch.zeros(1, 5))"), Failure.SHAPE, "returned a Parameter"),
    "integers": (write(forward="return self.fc(h).long()"), Failure.SHAPE, "dtype torch.int64"),
    "nan": (write(forward="h = torch.log(-h.abs() - 1)"), Failure.NAN, "logits is not finite"),
    "nan gradient": (write(forward="h = h + torch.sqrt((h * 0).sum())"), Failure.NAN, "the gradient of stem.0.weight"),
    "nan later": (
        write(init="self.calls = 0", forward="self.calls += self.training; h = h / (self.calls < 4)"),
        Failure.NAN,
        "the loss of training step",
    ),
    "backward error": (
        write(forward="e = h.exp(); s = e.sum(); e.add_(1); h = h + s"),
        Failure.BACKWARD_ERROR,
        "modified by an inplace operation",
    ),
    "no grad": (write(forward="return self.fc(h).detach()"), Failure.NO_GRAD, "do not depend on any trainable"),
    "unregistered": (
        write(init="self.w = [torch.randn(8, 5, requires_grad=True)]", forward="return h.detach() @ self.w[0]"),
        Failure.NO_GRAD,
        "not registered",
    ),
    "memory": (write(init="self.big = torch.empty(2**55)"), Failure.MEMORY, "use smaller weights"),
    "loop": (
        write(forward="for _ in range(20001): h = h + 0"),
        Failure.TIMEOUT,
        "more than 20000 operators for 1 images: a Python loop",
    ),
    "hostile message": (
        write(init="class E(Exception): __str__ = None\n        raise E"),
        Failure.INIT_ERROR,
        "str() failed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_to_do(name):
    source, failure, words = REFUSED[name]
    report = check(source)
    assert report.failure is failure, report.reason
    assert words in report.reason
    assert ";" in report.reason or "?" in report.reason  # what is wrong; what to do
    assert report.eval_graph is None


def test_details_show_only_the_generated_file():
    details = check(write(init="self.x = self.nothing")).details
    assert "self.x = self.nothing" in details
    assert details.count('File "') == details.count('File "architecture_') == 1
    assert len(check(write(init="raise ValueError('long ' * 10_000)")).details) <= 2_000


@pytest.mark.parametrize(
    ("line", "package"),
    [("from torch.nn import Conv9d", "(torch/nn/__init__.py)"), ("from typing import Tree", "(typing.py)")],
)
def test_a_refusal_is_the_same_wherever_packages_lie(line, package):
    report = check(line)
    assert package in report.reason
    assert package in report.details
    assert sys.prefix not in report.reason + report.details


def test_generated_modules_are_modules():
    source = """
import dataclasses, inspect, typing
from torch import nn
@dataclasses.dataclass
class Settings:
    width: "typing.ClassVar[int]" = 4
    kernel: "int" = 3
class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        assert "num_classes" in inspect.getsource(type(self))
        assert typing.get_type_hints(Settings)["kernel"] is int
"""
    network_class = load_network(source)
    assert isinstance(build(network_class, 5), torch.nn.Module)
    assert sys.modules[network_class.__module__].Network is network_class
    assert [field.name for field in dataclasses.fields(sys.modules[network_class.__module__].Settings)] == ["kernel"]


def test_build_and_load_raise_refusals():
    with pytest.raises(Refused) as caught:
        load_network("x = ")
    assert caught.value.failure is Failure.SYNTAX
    with pytest.raises(Refused) as caught:
        build(load_network(write(init="exit(3)")), 5)
    assert caught.value.failure is Failure.INIT_ERROR


ACCEPTED = {
    "lazy": (SOURCE.replace("nn.Linear(8,", "nn.LazyLinear("), PARAMS),
    "unused lazy": (write(init="self.lazy = nn.LazyLinear(3)"), PARAMS),
    "shared": (write(forward="h = h + self.body[0](h[:, :, None, None]).flatten(1)"), PARAMS),
    "tied": (
        write(init="self.a = nn.Linear(8, 8); self.b = nn.Linear(8, 8); self.b.weight = self.a.weight"),
        PARAMS + 80,
    ),
    "complex weights": (
        write(
            init="self.filter = nn.Parameter(torch.ones(8, 5, dtype=torch.cfloat))",
            forward="h = torch.fft.irfft(torch.fft.rfft(h.float()) * self.filter[0], n=8)",
        ),
        PARAMS + 40,
    ),
    "an expanded buffer": (
        write(init="self.register_buffer('scale', torch.tensor(0.5).expand(8))", forward="h = h * self.scale"),
        PARAMS,
    ),
    "lazy statistics": (write(init="self.norm = nn.LazyBatchNorm1d(affine=False)", forward="h = self.norm(h)"), PARAMS),
    "a mode that returns nothing": (
        SOURCE + "\n    def train(self, mode=True):\n        super().train(mode)\n",
        PARAMS,
    ),
    "warning": (write(forward="import warnings; warnings.warn('careful')"), PARAMS),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_networks_are_accepted(name):
    source, params = ACCEPTED[name]
    report = check(source)
    assert report.failure is None, report.reason
    assert report.costs.params == report.batch_costs.params == params
    assert (report.is_dynamic, report.is_stable) == (False, True)


@pytest.mark.slow  # torch.compile loads its compiler, even to be told to do nothing
def test_nothing_is_compiled():
    report = check(write(init="self.act = torch.compile(nn.Tanh())", forward="h = self.act(h)"))
    assert (report.failure, report.is_dynamic, report.is_stable) == (None, False, True)
    assert "tanh" in {node.op for node in report.eval_graph.nodes}


def test_a_parameter_may_get_its_first_gradient_at_a_later_step():
    init = "self.more = nn.Linear(8, 8); self.steps = 0"
    late = write(init=init, forward="self.steps += self.training; h = self.more(h) if self.steps > 7 else h")
    report = check(late, train_steps=6, check_integrity=False)
    assert report.failure is None, report.reason
    assert report.dead_parameters == ()


def test_what_is_kept_outside_a_network_and_warms_up_is_stable():
    cache = "\nCACHE = {}\ndef ramp(h):\n    if 'ramp' not in CACHE:\n        CACHE['ramp'] = torch.ones(8).cumsum(0)\n"
    report = check(write(forward="h = h * ramp(h)") + cache + "    return CACHE['ramp']\n")
    assert report.is_stable


def test_a_block_that_chance_skips_costs_what_it_does_however_often_it_is_skipped():
    whole = check(write(init="self.more = nn.Linear(8, 8)", forward="h = h + self.more(h)")).costs
    for seed in range(6):
        report = check(
            write(
                init="self.more = nn.Linear(8, 8)",
                forward="h = h if self.training and random.random() < 0.6 else h + self.more(h)",
            ),
            seed=seed,
        )
        assert report.failure is None
        assert report.costs == report.batch_costs == whole


PATCHES = {
    "an attribute of a class": "T: type = torch.Tensor\nT.argmax = lambda *args: torch.zeros(2)",
    "a function": "patch = setattr\npatch(torch, 'isfinite', lambda values: torch.ones(1))",
    "a method, from a loop": "for owner in (nn.Module,):\n    owner.parameters = lambda self: iter(())",
}


@pytest.mark.parametrize("what", PATCHES)
def test_torch_is_left_as_it_is(what, monkeypatch):
    for owner, name in ((torch.Tensor, "argmax"), (torch, "isfinite"), (nn.Module, "parameters")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    report = check(SOURCE.replace("\n\nclass", f"\n{PATCHES[what]}\n\nclass"))
    assert report.failure is Failure.FORBIDDEN_OPERATION
    assert "define" in report.reason


def test_trainable_weights_are_registered():
    report = check(write(init="self.layers = [nn.Linear(8, 8)]", forward="h = self.layers[0](h)"))
    assert report.failure is Failure.NO_GRAD
    assert "nn.ModuleList" in report.reason


@pytest.mark.parametrize("grad", ["enable_grad", "no_grad"])
def test_the_work_of_a_thread_is_refused(grad):
    forward = f"""import threading
        found = []
        def work():
            with torch.{grad}():
                found.append(h @ torch.ones(8, 8))
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        h = h + found[0]"""
    report = check(write(forward=forward))
    assert report.failure is Failure.FORWARD_ERROR
    assert "starts a thread" in report.reason


def test_work_of_a_thread_that_began_before_is_refused():
    init = """import queue, threading
        self.asked, self.done = queue.Queue(), queue.Queue()
        def work(asked=self.asked, done=self.done):
            while True:
                done.put(asked.get() @ torch.ones(8, 8))
        threading.Thread(target=work, daemon=True).start()"""
    report = check(write(init=init, forward="self.asked.put(h); h = h + self.done.get()"))
    assert report.failure is Failure.FORWARD_ERROR
    assert "operators are not seen" in report.reason


@pytest.mark.parametrize("forward", ["h = h * x.max()", "h = h / x.abs().max()"])
def test_the_largest_of_a_batch_is_no_scale(forward):
    for seed in range(4):  # with companions like the samples, it lay among the samples for two of these
        assert check(write(forward=forward), seed=seed).deviation > 1e-3
    assert check(write(forward="h = h / (1 + h.amax(1, keepdim=True))")).deviation < 1e-4


def test_steps_are_taken_in_the_precision_of_the_training():
    source = write(
        forward="h = torch.zeros(len(x), 8).index_add(0, torch.arange(len(x)), self.body[0](self.stem(x)).mean((2, 3)))"
    )
    assert check(source, precision="fp32").failure is None
    report = check(source)
    assert report.failure is Failure.FORWARD_ERROR
    assert "bf16 autocast" in report.reason


def test_a_constructor_without_the_modules_own_is_told():
    report = check(
        "from torch import nn\nclass Network(nn.Module):\n    def __init__(self, num_classes):\n        self.n = 3\n"
    )
    assert report.failure is Failure.INIT_ERROR
    assert "super().__init__()" in report.reason


def test_parameters_without_gradient_are_named():
    assert check(write(init="self.unused = nn.Linear(2, 2)")).dead_parameters == ("unused.bias", "unused.weight")


def test_hidden_weights_count():
    hidden = write(init="self.w = [torch.ones(8, 8)]", forward="h = h @ self.w[0]")
    assert check(hidden).costs.params == PARAMS + 64


def test_a_branch_on_values_is_dynamic_and_costs_the_larger():
    report = check(write(forward="h = h @ torch.ones(8, 8) if x.sum() > 0 else h"), seed=3)
    other = check(write(forward="h = h @ torch.ones(8, 8) if x.sum() <= 0 else h"), seed=3)
    assert (report.failure, report.is_dynamic, report.is_stable) == (None, True, True)
    assert report.costs == report.batch_costs == other.costs
    assert report.costs.flops == check(SOURCE).costs.flops + 64


def test_a_cache_filled_by_the_first_forward_is_stable():
    forward = "self.c = torch.ones(8) if self.c is None else self.c; h = h * self.c"
    report = check(write(init="self.c = None", forward=forward))
    assert (report.failure, report.is_dynamic, report.is_stable) == (None, True, True)


def test_stochastic_depth_is_dynamic_and_stable():
    report = check(write(forward="h = h * 2 if self.training and random.random() < 0.5 else h"), seed=0)
    assert (report.is_dynamic, report.is_stable) == (True, True)


@pytest.mark.parametrize(
    "init",
    [
        "self.body.append(random.choice([nn.Tanh, nn.SiLU, nn.GELU, nn.Sigmoid, nn.ELU])())",
        "self.body.append(nn.Dropout(random.random()))",
        "w = int(torch.randint(1, 9, ())); self.body.append(nn.Sequential(nn.Conv2d(8, w, 1), nn.Conv2d(w, 8, 1)))",
    ],
    ids=["activation", "rate", "width"],
)
def test_a_structure_drawn_at_random_is_not_stable(init):
    report = check(write(init=init))
    assert (report.failure, report.is_stable) == (None, False)


@pytest.mark.parametrize(
    "forward",
    [
        "h = h - h.mean(0)",
        "h = h + torch.softmax(h @ h.T, -1) @ h",
        "h = h + torch.arange(len(h))[:, None]",
        "self.seen = getattr(self, 'seen', 0) + 1; h = h * self.seen",
        "h = F.dropout(h)",
    ],
    ids=["mean", "attention", "position", "calls", "dropout"],
)
def test_logits_that_depend_on_the_batch_deviate(forward):
    assert check(write(forward=forward)).deviation > 1e-3


def test_a_closed_gate_is_open_when_deviation_is_measured():
    gated = write(init="self.g = nn.Parameter(torch.zeros(()))", forward="h = h + self.g * h.mean(0)")
    assert check(gated).deviation > 1e-3
    assert check(gated, train_steps=0).deviation == 0


def test_a_network_over_its_limits_takes_no_training_steps():
    over, within = (check(SOURCE, limits=Limits(params=PARAMS - less)) for less in (1, 0))
    assert (over.costs, over.failure, over.step_seconds, over.deviation) == (within.costs, None, None, None)
    assert within.step_seconds is not None


def test_a_step_is_timed_for_the_batch_of_the_training():
    job = VerifyJob(source=SOURCE, input_shape=(3, 8, 8), num_classes=5, timed_for=64)
    report = verify(job, Path())
    assert report.step_batch == 64
    assert report.step_seconds > 0


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        (1.0, 1.6, 1.6 + 48 * 0.05),  # an image takes 0.6 / 12
        (1.6, 1.6, 1.6 + 48 * 0.025),  # noise: a quarter of 1.6 / 16
    ],
)
def test_a_step_is_extrapolated_from_two_sizes(small, large, expected):
    steps = [_Steps(seconds, size, frozenset()) for seconds, size in ((small, 4), (large, 16))]
    assert _extrapolate(*steps, 64) == pytest.approx(expected)


def test_what_is_not_asked_for_is_left_out():
    report = check(SOURCE, check_integrity=False, train_steps=0)
    assert (report.failure, report.deviation, report.step_seconds, report.step_batch) == (None, None, None, None)


def test_measured_costs_are_those_of_verification():
    gate = write(forward="h = h @ torch.ones(8, 8) if h.sum().item() > -99 else h")
    sources = (SOURCE, "x = ", gate, write(forward="return h"))
    report = measure(MeasureJob(sources=sources, input_shape=(3, 8, 8), num_classes=5, with_fvcore=True), Path())
    assert report.costs == (check(SOURCE).costs, None, check(gate).costs, None)
    assert report.fvcore_flops[:2] == (report.costs[0].flops, None)
    assert report.costs[0] == Costs(params=PARAMS, flops=27 * 8 * 16 + 2 * 8 * 16 + 72 * 8 * 16 + 2 * 8 * 16 + 40)


def harmless_cases() -> list[dict]:
    if not CASES.is_dir():
        return []
    cases = json.loads((CASES / "manifest.json").read_text())["cases"]
    return [case for case in cases if not Path(case["file"]).name.startswith(tuple(HOSTILE.split()))]


@pytest.mark.parametrize("case", harmless_cases(), ids=lambda case: Path(case["file"]).stem)
def test_shared_cases(case, tmp_path):
    if "einsum" in case["file"]:
        pytest.skip("seconds of arithmetic, too long for a suite that is run often")
    source = (CASES / case["file"]).read_text().replace("@MARKER@", str(tmp_path))
    job = VerifyJob(
        source=source, input_shape=case["input"], num_classes=case["num_classes"], batch_size=4, train_steps=1
    )
    report = verify(job, tmp_path)
    stages = {Failure(stage) for stage in case["stage"] if stage != "accepted"}
    is_left_to_others = case["phase"] == "train" or bool(stages & {Failure.BUDGET, Failure.STRUCTURE})
    if report.failure is None:
        assert is_left_to_others or not stages
        assert report.is_stable
    else:
        assert report.failure in stages
