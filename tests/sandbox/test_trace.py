"""What one traced forward tells: operators, dependencies, costs."""

import json
import logging
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fairnad.records import Costs, Graph
from fairnad.sandbox.child.trace import TooManyOperators, Trace, Tracer


class Call(nn.Module):
    """A network whose forward is any function of itself and the images; parts are registered by name."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def run(network, images=None, *, train=False, **options) -> Trace:
    images = torch.randn(1, 3, 8, 8) if images is None else images
    torch.manual_seed(0)
    tracer = Tracer(network, images, **options)
    with tracer:
        logits = network.train(train)(images)
    return tracer.finish(logits)


def traced(function, images=None, **parts) -> Trace:
    return run(Call(function, **parts), images)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def attributes_of(graph: Graph, op: str) -> list[dict]:
    return [json.loads(node.attributes or "{}") for node in graph.nodes if node.op == op]


def conv_norm(inputs, outputs, **options):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, **options), nn.BatchNorm2d(outputs), nn.ReLU())


def residual():
    return Call(
        lambda self, x: self.head(F.adaptive_avg_pool2d(F.relu(self.body(self.stem(x)) + self.stem(x)), 1).flatten(1)),
        stem=conv_norm(3, 8),
        body=nn.Sequential(conv_norm(8, 8, bias=False), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8, affine=False)),
        head=nn.Linear(8, 5),
    )


def squeeze_excite():
    def forward(self, x):
        x = self.stem(x)
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return self.head((x * gate).mean((2, 3)))

    return Call(forward, stem=conv_norm(3, 8), down=nn.Conv2d(8, 2, 1), up=nn.Conv2d(2, 8, 1), head=nn.Linear(8, 5))


def linear_attention():
    def forward(self, x):
        tokens = self.norm(self.stem(x).flatten(2).transpose(1, 2))
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        return self.head((q.softmax(-1) @ torch.matmul(k.softmax(1).transpose(1, 2), v)).mean(1))

    return Call(
        forward,
        stem=nn.Conv2d(3, 8, 2, 2),
        norm=nn.LayerNorm(8),
        qkv=nn.Linear(8, 24, bias=False),
        head=nn.Linear(8, 5),
    )


def einsum_attention():
    def forward(self, x):
        q = self.stem(x).flatten(2)
        weights = torch.einsum("bci,bcj->bij", q, q).softmax(-1)
        return self.head(torch.einsum("bij,bcj->bci", weights, q).mean(2))

    return Call(forward, stem=nn.Conv2d(3, 8, 2, 2), head=nn.Linear(8, 5))


NETWORKS = {
    "residual": residual,
    "depthwise": lambda: nn.Sequential(
        conv_norm(3, 8), conv_norm(8, 8, groups=8), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5)
    ),
    "squeeze_excite": squeeze_excite,
    "linear_attention": linear_attention,
    "einsum": einsum_attention,
    "group_norm": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.GroupNorm(4, 8, affine=False), nn.Flatten(), nn.Linear(288, 5)
    ),
    "instance_norm": lambda: nn.Sequential(
        nn.InstanceNorm2d(3), nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.Flatten(), nn.Linear(144, 5)
    ),
    "resampled": lambda: nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(3, 4, 3, 2),
        nn.Upsample(9, mode="bilinear"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_flops_are_those_of_fvcore(name):
    network, images = NETWORKS[name]().eval(), torch.randn(1, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore is built on what torch has deprecated
        from fvcore.nn import FlopCountAnalysis

        logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
        theirs = FlopCountAnalysis(network, images).total()
    assert run(network, images).costs.flops == theirs > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_training_at_another_batch_costs_the_same_an_image(name):
    network = NETWORKS[name]()
    assert run(network, torch.randn(3, 3, 8, 8), train=True).costs == run(network).costs


def test_functional_attention_is_counted():
    def forward(self, x):
        q = x.flatten(2).transpose(1, 2)[:, None]  # 64 tokens of width 3
        return F.scaled_dot_product_attention(q, q, q).mean((1, 2))

    assert traced(forward).costs.flops == 2 * 64 * 64 * 3  # fvcore does not see it


def test_multi_head_attention_is_counted_in_eval_mode():
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    trace = traced(lambda self, x: self.a(x, x, x)[0].mean(1), torch.randn(1, 6, 4), a=attention)
    projections, products = 6 * 4 * 16, 2 * 2 * 6 * 6 * 2
    assert trace.costs.flops == projections + products


def test_recurrent_layers_are_counted():
    trace = traced(lambda self, x: self.a(x)[0][:, -1], torch.randn(1, 6, 4), a=nn.LSTM(4, 5, batch_first=True))
    assert trace.costs.flops == 6 * 4 * 5 * (4 + 5)


def test_operators_without_autograd_are_decomposed():
    def forward(self, x):
        with torch.inference_mode():
            return F.linear(x.flatten(1), self.weight)

    trace = traced(forward, weight=nn.Parameter(torch.randn(5, 192)))
    assert trace.costs.flops == 5 * 192
    assert "linear" not in ops(trace.graph)


def test_work_on_weights_alone_is_not_divided_by_the_batch():
    network = Call(
        lambda self, x: x.flatten(1) @ (self.a @ self.b),
        a=nn.Parameter(torch.randn(192, 4)),
        b=nn.Parameter(torch.randn(4, 5)),
    )
    expected = 192 * 4 * 5 + 192 * 5
    assert run(network).costs.flops == run(network, torch.randn(7, 3, 8, 8)).costs.flops == expected


def test_parameters_count_once_however_often_they_are_used():
    first, second = nn.Linear(192, 192), nn.Linear(192, 192, bias=False)
    second.weight = first.weight
    trace = traced(lambda self, x: self.b(self.a(x.flatten(1))), a=first, b=second)
    assert trace.costs.params == 192 * 192 + 192
    assert ops(trace.graph).count("parameter") == 2


def test_frozen_parameters_and_buffers_are_not_trainable():
    network = Call(lambda self, x: x.flatten(1) @ self.a * self.b, a=nn.Parameter(torch.randn(192, 5)))
    network.register_buffer("b", torch.ones(5))
    network.a.requires_grad_(False)
    trace = run(network)
    assert trace.costs.params == 0
    assert {"parameter", "buffer"} <= set(ops(trace.graph))


def test_weights_hidden_from_registration_count():
    hidden, index = [torch.randn(192, 5), nn.Linear(5, 5)], torch.arange(5)
    trace = traced(lambda self, x: hidden[1](x.flatten(1) @ hidden[0])[:, index])
    assert trace.costs.params == 192 * 5 + 30
    assert ops(trace.graph).count("constant") == 4  # the index is one, but no weight


def test_the_data_of_a_parameter_is_not_another_weight():
    trace = traced(lambda self, x: x.flatten(1) @ self.a.data, a=nn.Parameter(torch.randn(192, 5)))
    assert trace.costs.params == 960
    assert "constant" not in ops(trace.graph)


def test_parameters_made_in_the_forward_count_once():
    def forward(self, x):
        self.late = nn.Parameter(torch.randn(192, 5))
        return x.flatten(1) @ self.late

    assert traced(forward).costs.params == 960


def test_a_replaced_parameters_method_changes_nothing():
    class Liar(nn.Linear):
        def parameters(self, recurse=True):
            return iter(())

    assert run(nn.Sequential(nn.Flatten(), Liar(192, 5))).costs == Costs(params=965, flops=960)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


def test_custom_functions_are_seen():
    assert "mul" in ops(traced(lambda self, x: Square.apply(x).flatten(1)).graph)


def test_in_place_is_the_same_as_out_of_place():
    plain = traced(lambda self, x: F.relu(x + 1).flatten(1))
    in_place = traced(lambda self, x: F.relu_((x + 1).add_(0)).flatten(1))
    assert ops(plain.graph) == ["input", "add", "relu", "view"]
    assert ops(in_place.graph) == ["input", "add", "add", "relu", "view"]


def test_a_write_through_a_view_reaches_later_readers():
    def forward(self, x):
        y = torch.zeros(1, 2, 8, 8)
        y[:, 0] = x[:, 0]
        y[:, 1].add_(x[:, 1])
        return y.flatten(1)

    graph = traced(forward).graph
    assert ops(graph).count("input") == 1
    assert {"copy", "add", "overwritten"} <= set(ops(graph))


def test_a_write_is_not_seen_by_earlier_copies():
    def forward(self, x):
        y = x * 2
        kept = y.clone()
        y.exp_()
        return kept.flatten(1)

    assert ops(traced(forward).graph) == ["input", "mul", "view"]


def test_outputs_of_one_operator_are_told_apart():
    first, second = (traced(lambda self, x, at=at: x.chunk(2, 2)[at].flatten(1)).graph for at in (0, 1))
    assert ops(first) == ["input", "split", "view"]
    assert ops(second) == ["input", "split", "output", "view"]


def test_the_images_shape_is_not_an_attribute():
    views = [
        lambda self, x: x.view(x.shape[0], -1),
        lambda self, x: x.view(-1, 192),
        lambda self, x: x.reshape(len(x), 192),
        lambda self, x: torch.flatten(x, 1),
    ]
    graphs = [traced(view, torch.randn(7, 3, 8, 8)).graph for view in views]
    assert all(graph == graphs[0] for graph in graphs)
    assert graphs[0].nodes[-1].attributes == ""


def test_attributes_are_canonical():
    first = traced(lambda self, x: x.softmax(-1).mean((-1, -2)))
    second = traced(lambda self, x: x.softmax(3).mean((2, 3), keepdim=False))
    assert attributes_of(first.graph, "mean") == [{"dim": [3, 2]}]
    assert attributes_of(first.graph, "_softmax") == attributes_of(second.graph, "_softmax")


def test_a_missing_bias_is_told():
    conv = nn.Conv2d(3, 4, 3, stride=2, bias=False)
    (told,) = attributes_of(traced(lambda self, x: self.a(x).flatten(1), a=conv).graph, "convolution")
    assert told["bias"] is None
    assert told["stride"] == [2, 2]


def test_dropout_shows_in_train_mode_only():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.25))
    assert ops(run(network).graph) == ["input", "view"]
    assert {"p": 0.75} in attributes_of(run(network, train=True).graph, "bernoulli")


def test_what_does_not_reach_the_logits_is_left_out():
    def forward(self, x):
        self.unused(x)
        return x.flatten(1)

    trace = traced(forward, unused=nn.Conv2d(3, 4, 3))
    assert ops(trace.graph) == ["input", "view"]
    assert trace.costs.flops == 4 * 27 * 36  # it was paid for all the same


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: torch.vmap(lambda row: row.flatten() * 2)(x),
        lambda self, x: torch.fft.rfft2(x).real.flatten(1),
        lambda self, x: torch.utils.checkpoint.checkpoint(torch.relu, x, use_reentrant=False).flatten(1),
        lambda self, x: torch.sort(x.flatten(1), descending=True).values,
        lambda self, x: (x.flatten(1).to_sparse() * 2).to_dense(),
    ],
    ids=["vmap", "fft", "checkpoint", "sort", "sparse"],
)
def test_unusual_calls_are_traced(forward):
    assert ops(traced(forward).graph)[0] == "input"


def test_a_python_loop_over_pixels_is_stopped():
    def forward(self, x):
        for row in range(8):
            for column in range(8):
                x = x + x[:, :, row : row + 1, column : column + 1]
        return x.flatten(1)

    run(Call(forward), max_operators=400)
    with pytest.raises(TooManyOperators, match="more than 100 operators for 1 images"):
        run(Call(forward), max_operators=100)


def test_a_forward_cannot_go_on_after_the_limit():
    def forward(self, x):
        for _ in range(50):
            try:
                x = x + 1
            except RuntimeError:
                break
        return x

    with pytest.raises(TooManyOperators):
        run(Call(forward), max_operators=20)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.view(x.shape),
        lambda x: x[:, :, ::1],
        lambda x: x.expand(-1, -1, -1, -1),
        lambda x: x.permute(0, 1, 2, 3),
        lambda x: torch.cat([x]),
        lambda x: x.clone().as_strided_(x.shape, x.stride()),
    ],
)
def test_what_hands_on_the_same_numbers_is_no_operator(change):
    plain = traced(lambda self, x: (x * 2).flatten(1)).graph
    assert ops(traced(lambda self, x: (change(x) * 2).flatten(1)).graph) == ops(plain)


@pytest.mark.parametrize(
    "change", [lambda x: x.transpose(2, 3), lambda x: x.flip(2), lambda x: x[:, :, 1:], lambda x: x.detach()]
)
def test_what_changes_the_numbers_is_an_operator(change):
    plain = traced(lambda self, x: (x * 2).sum((1, 2, 3))).graph
    assert ops(traced(lambda self, x: (change(x) * 2).sum((1, 2, 3))).graph) != ops(plain)
