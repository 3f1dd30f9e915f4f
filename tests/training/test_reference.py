"""The loop beside a plain one that shares nothing with it but the draws: each data set, from files in its true form."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fairnad.records import Recipe
from fairnad.sandbox.wire import TrainingData, TrainJob
from fairnad.training import fashion_mnist
from fairnad.training.loop import train
from tests.training.raw_files import (
    write_cifar10,
    write_cifar100,
    write_fashion_mnist,
    write_imagenet16,
    write_images,
)

SEED, EPOCHS, STEPS = 5, 4, 5
DATASETS = ("cifar10", "cifar100", "imagenet16-120", "fashion-mnist", "image-folder")


class SmoothNetwork(nn.Module):
    """Has no kink: with ReLU the last bit of a float decides, and any two loops part after ten steps."""

    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.BatchNorm2d(8),
            nn.SiLU(),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.BatchNorm2d(16),
            nn.SiLU(),
        )
        self.classifier = nn.Linear(16, num_classes)

    def forward(self, images):
        return self.classifier(self.features(images).mean((2, 3)))


@pytest.fixture(params=DATASETS)
def dataset(request, tmp_path, prepared, tiny_splits, monkeypatch):
    """A data set prepared from tiny raw files."""
    raw = tmp_path / "root" / "raw"
    if request.param == "image-folder":
        return prepared(f"image-folder:{write_images(tmp_path / 'pictures', num=20)}")
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "not installed")
    write = {
        "cifar10": lambda: write_cifar10(raw),
        "cifar100": lambda: write_cifar100(raw),
        "imagenet16-120": lambda: write_imagenet16(raw / "ImageNet16", monkeypatch),
        "fashion-mnist": lambda: write_fashion_mnist(raw / "fashion-mnist"),
    }
    write[request.param]()
    return prepared(request.param, split_dir=tiny_splits)


def test_the_loss_of_every_step_is_that_of_a_plain_loop(dataset, tmp_path):
    batch_size = 2 * dataset.num_train // (2 * STEPS - 1)  # the last batch is about half a one
    recipe = Recipe(epochs=EPOCHS, batch_size=batch_size, precision="fp32")
    files = {name: f"{dataset.folder}/{name}.npy" for name in ("train_images", "train_labels")}
    data = TrainingData(
        **files,
        eval_images=f"{dataset.folder}/val_images.npy",
        num_classes=dataset.num_classes,
        mean=dataset.mean,
        std=dataset.std,
        flip=dataset.flip,
        crop_padding=dataset.crop_padding,
    )
    epochs = []
    job = TrainJob(source="", data=data, recipe=recipe, seed=SEED)
    report = train(
        lambda: SmoothNetwork(dataset.num_classes), job, tmp_path, observer=lambda *epoch: epochs.append(epoch)
    )
    found = np.concatenate([losses for _, losses in epochs])
    assert len(found) == EPOCHS * STEPS
    assert report.failure is None
    np.testing.assert_allclose(found, plain_losses(dataset, recipe, [draws for draws, _ in epochs]), rtol=0, atol=1e-4)


def plain_losses(dataset, recipe, epochs):
    """Return the loss of every step of a training image by image, as a textbook would write it."""
    images = torch.from_numpy(np.load(f"{dataset.folder}/train_images.npy"))
    labels = torch.from_numpy(np.load(f"{dataset.folder}/train_labels.npy"))
    torch.manual_seed(SEED)
    network = SmoothNetwork(dataset.num_classes)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=recipe.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs)
    losses = []
    network.train()
    for draws in epochs:
        shown = list(zip(*(chance.tolist() for chance in draws), strict=True))
        for start in range(0, len(shown), recipe.batch_size):
            batch = shown[start : start + recipe.batch_size]
            inputs = torch.stack([augmented(images[index], dataset, *chances) for index, *chances in batch])
            loss = criterion(network(inputs), labels[[index for index, *_ in batch]])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
    return losses


def augmented(image, dataset, top, left, is_flipped):
    """Return one image padded, cropped, flipped and normalised."""
    _, height, width = image.shape
    padded = functional.pad(image, [dataset.crop_padding] * 4)
    crop = padded[:, top : top + height, left : left + width]
    if is_flipped:
        crop = crop.flip(-1)
    planes = [(plane.float() - mean) / std for plane, mean, std in zip(crop, dataset.mean, dataset.std, strict=True)]
    return torch.stack(planes)
