"""The two files that a training leaves behind. Each is written beside its place, then moved there whole."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

__all__ = ["write_logits", "write_weights"]


def write_logits(logits: Tensor, folder: Path) -> None:
    """Write `logits.bin`: little-endian float32, row by row."""
    temporary = folder / "logits.tmp"
    temporary.write_bytes(logits.contiguous().numpy().astype("<f4").tobytes())
    temporary.replace(folder / "logits.bin")


def write_weights(model: nn.Module, folder: Path) -> None:
    """Write `weights.safetensors`; tied entries are written twice, so that `load_state_dict` needs no help."""
    temporary = folder / "weights.tmp"
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, temporary)
    temporary.replace(folder / "weights.safetensors")
