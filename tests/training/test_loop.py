import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fairnad.records import Failure, Recipe
from fairnad.sandbox.wire import TrainingData, TrainJob
from fairnad.training.loop import batches, learning_rate, train
from tests.training.small_resnet import SmallResNet

MEAN, STD = (120.0, 125.0, 130.0), (70.0, 70.0, 70.0)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    paths = {name: str(tmp_path / f"{name}.npy") for name in ("train_images", "train_labels", "eval_images")}
    labels = np.arange(64) % 10
    images = rng.integers(0, 120, (64, 3, 16, 16)) + 13 * labels[:, None, None, None]  # brighter means a higher class
    np.save(paths["train_images"], images.astype(np.uint8))
    np.save(paths["train_labels"], labels)
    np.save(paths["eval_images"], rng.integers(0, 256, (21, 3, 16, 16), dtype=np.uint8))
    return TrainingData(**paths, num_classes=10, mean=MEAN, std=STD, flip=True, crop_padding=2)


@pytest.fixture
def run(data, tmp_path):
    """Train in a fresh folder; return report, logits and weights."""

    def run(build=SmallResNet, *, seed=0, **recipe):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        recipe = Recipe(**{"epochs": 1, "batch_size": 20, **recipe})
        report = train(build, TrainJob(source="", data=data, recipe=recipe, seed=seed), folder)
        return report, np.fromfile(folder / "logits.bin", "<f4").reshape(21, 10), folder / "weights.safetensors"

    return run


class Recorder(nn.Module):
    """Keeps what it was shown in train mode, and draws random numbers if asked to."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.dropout, self.classifier, self.seen = nn.Dropout(dropout), nn.Linear(3, 10), []

    def forward(self, images):
        if self.training:
            self.seen.append(images.detach().clone())
        return self.classifier(self.dropout(images.mean((2, 3))))


def test_learning_rates_are_a_cosine_constant_within_an_epoch():
    recipe = Recipe(epochs=4, lr=0.1)
    expected = [0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 * (1 - math.sqrt(0.5))]
    assert [learning_rate(recipe, epoch) for epoch in range(4)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("num_images", "batch_size", "sizes"),
    [
        (64, 20, [20, 20, 20, 4]),
        (61, 20, [20, 20, 21]),
        (60, 20, [20, 20, 20]),
        (21, 20, [21]),
        (5, 20, [5]),
        (1, 20, [1]),
    ],
)
def test_the_last_partial_batch_is_kept_but_no_image_stands_alone(num_images, batch_size, sizes):
    found = batches(num_images, batch_size)
    assert [batch.stop - batch.start for batch in found] == sizes
    assert [index for batch in found for index in range(batch.start, batch.stop)] == list(range(num_images))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_epoch_on_64_images_is_bit_equal_when_repeated(run, precision):
    first, again, other = run(precision=precision), run(precision=precision), run(precision=precision, seed=1)
    assert first[0].losses == again[0].losses != other[0].losses
    assert first[1].tobytes() == again[1].tobytes()
    assert first[2].read_bytes() == again[2].read_bytes()


def test_a_network_that_draws_random_numbers_sees_the_same_images(run):
    plain, random = Recorder(), Recorder(dropout=0.5)
    run(lambda: plain, epochs=2)
    run(lambda: random, epochs=2)
    assert torch.equal(torch.cat(plain.seen), torch.cat(random.seen))


def test_two_epochs_differ_in_order_or_window(run):
    network = Recorder()
    run(lambda: network, epochs=2)
    assert [len(images) for images in network.seen] == [20, 20, 20, 4] * 2
    assert not torch.equal(torch.cat(network.seen[:4]), torch.cat(network.seen[4:]))


def test_evaluated_images_are_never_augmented_and_keep_their_order(run, data):
    networks = []
    _, logits, _ = run(lambda: networks.append(SmallResNet()) or networks[0])
    images = torch.from_numpy(np.load(data.eval_images)).float()
    images = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        expected = networks[0].eval()(images).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_steps_are_sgd_with_nesterov_momentum_and_decay_on_every_parameter(data, tmp_path):
    plain = data.model_copy(update={"crop_padding": 0, "flip": False})
    recipe = Recipe(epochs=2, batch_size=64, lr=0.1, weight_decay=0.5, precision="fp32")
    train(Recorder, TrainJob(source="", data=plain, recipe=recipe, seed=3), tmp_path)
    torch.manual_seed(3)
    network = Recorder()
    images = torch.from_numpy(np.load(data.train_images)).float()
    images = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    velocities = [torch.zeros_like(value) for value in network.parameters()]
    for lr in (0.1, 0.05):
        loss = nn.functional.cross_entropy(network(images), torch.arange(64) % 10)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for value, velocity, gradient in zip(network.parameters(), velocities, gradients, strict=True):
                decayed = gradient + 0.5 * value
                velocity.mul_(0.9).add_(decayed)
                value.sub_(lr * (decayed + 0.9 * velocity))
    written = load_file(tmp_path / "weights.safetensors")
    for name, value in network.named_parameters():
        torch.testing.assert_close(written[name], value.detach(), rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_not_finite_ends_as_nan_without_files(data, tmp_path):
    class Diverging(Recorder):
        def forward(self, images):
            return super().forward(images) / (0.0 if self.training and len(self.seen) == 6 else 1.0)

    job = TrainJob(source="", data=data, recipe=Recipe(epochs=3, batch_size=20), seed=0)
    before = set(tmp_path.iterdir())
    report = train(Diverging, job, tmp_path)
    assert report.failure is Failure.NAN
    assert "epoch 2, step 2" in report.reason
    assert set(tmp_path.iterdir()) == before


def test_errors_of_the_network_reach_the_caller(run):
    class Hungry(Recorder):
        def forward(self, images):
            raise MemoryError

    with pytest.raises(MemoryError):
        run(Hungry)


def test_weights_load_back_into_lazy_and_tied_networks(run):
    def build():
        first = nn.LazyConv2d(10, 3, padding=1)
        tied = nn.Linear(10, 10)
        return nn.Sequential(first, nn.LazyBatchNorm2d(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), tied, nn.ReLU(), tied)

    networks = []
    _, _, weights = run(lambda: networks.append(build()) or networks[0])
    fresh = build()
    fresh.load_state_dict(load_file(weights))
    assert fresh[4] is fresh[6]
    for name, value in networks[0].state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name])


def test_a_network_learns_and_the_report_says_what_it_took(run):
    report, logits, _ = run(epochs=15, lr=0.05)
    assert report.losses[-1] < 0.8 * report.losses[0]
    assert len(report.losses) == 15
    assert report.num_logits == logits.size == 210
    assert report.images_per_second > 0
    assert report.peak_memory_bytes > 2**20
