"""One network in the styles of layout that Python allows."""

import re

PLAIN = """import torch; import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 3, stride, 1)
        self.act = nn.ReLU()
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


class Network(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers1 = nn.Sequential(*[Block(8, 8) for _ in range(2)])
        self.layers2 = nn.Sequential(Block(8, 16, 2), *[Block(16, 16) for _ in range(2)])
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.layers1(self.stem(x))
        x = self.layers2(x)
        return self.fc(x.mean((2, 3)))
"""


def _indented(text, by):
    return re.sub(r"^(?: {4})+", lambda found: by * (len(found[0]) // 4), text, flags=re.MULTILINE)


def _with_short_bodies(text, mark):
    """Return `text` with the body of each method behind its head, its statements `mark` apart."""
    bodies = re.compile(r"(    def .*:)\n((?: {8}.*\n)+)")
    return bodies.sub(lambda found: f"{found[1]} {mark.join(map(str.strip, found[2].splitlines()))}\n", text)


STYLES = {
    "tabs": _indented(PLAIN, "\t"),
    "two spaces": _indented(PLAIN, "  "),
    "semicolons": re.sub(r"\n +(self\.(?:norm|layers2) =)", r"; \1", PLAIN),
    "one-line methods": _with_short_bodies(PLAIN, "; "),
    "continued lines": _with_short_bodies(PLAIN, "; \\\n    "),
    "windows": PLAIN.replace("\n", "\r\n"),
    "old macintosh": PLAIN.replace("\n", "\r"),
}
