"""The networks that a search starts from: plain PyTorch modules beside this file, read as text, never imported."""

from __future__ import annotations

from pathlib import Path

from fairnad.architectures import knobs
from fairnad.errors import ConfigError, nearest

__all__ = ["BASES", "base_source"]

BASES = {
    "resnet": "resnet.py",
    "mobilenetv2": "mobilenetv2.py",
}
"""Known base networks: name -> file."""


def base_source(name: str, *, width: int, depth: int) -> str:
    """Return the source of base `name` with `width` channels in its first stage and `depth` repeats in every stage.

    The ratios of the widths are those of the file, the network of width 16 and depth 5: for `resnet`, ResNet-32.

    Raises:
        ConfigError: there is no such base.
    """
    if name not in BASES:
        raise ConfigError(f"no base network is named {name!r}: {nearest(name, sorted(BASES))}")
    source = Path(__file__).with_name(BASES[name]).read_text(encoding="utf-8")
    found = knobs.find(source)
    first = next(knob.value for knob in found if knob.kind is knobs.KnobKind.WIDTH)
    values = {knob.name: knob.value * width // first if knob.kind is knobs.KnobKind.WIDTH else depth for knob in found}
    return knobs.apply(source, values)
