"""A plain residual network: the smallest one that behaves like those of a search."""

from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, images):
        features = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(images)))))
        return functional.relu(features + self.shortcut(images))


class SmallResNet(nn.Module):
    def __init__(self, num_classes=10, width=8):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stages = nn.Sequential(
            Block(width, width), Block(width, 2 * width, 2), Block(2 * width, 2 * width), Block(2 * width, 4 * width, 2)
        )
        self.classifier = nn.Linear(4 * width, num_classes)

    def forward(self, images):
        return self.classifier(self.stages(self.stem(images)).mean((2, 3)))
