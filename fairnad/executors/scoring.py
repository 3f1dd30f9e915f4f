"""The controller's own count of right answers: logits from a child, labels that no child ever sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairnad.records import Failed, Failure

__all__ = ["score"]


def score(logits_path: Path, labels_path: Path, num_classes: int) -> float | Failed:
    """Return the accuracy, a fraction, of the logits (N, `num_classes`) float32 against the labels (N,).

    Logits of a wrong size are a failed training of kind CRASH, logits that are not finite one of kind NAN.
    """
    labels = np.load(labels_path)
    raw = logits_path.read_bytes()
    expected = len(labels) * num_classes * 4
    if len(raw) != expected:
        size = f"{len(labels)} images x {num_classes} float32 logits"
        return Failed(Failure.CRASH, f"logits.bin has {len(raw)} bytes, expected {expected}: {size}")
    logits = np.frombuffer(raw, dtype="<f4").reshape(len(labels), num_classes)
    if not np.isfinite(logits).all():
        return Failed(Failure.NAN, "the logits of the evaluated images are not finite; keep the network stable")
    return float(np.mean(logits.argmax(axis=1) == labels))
