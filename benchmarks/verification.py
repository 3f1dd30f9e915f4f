"""How long one verification takes: by a warm fork, and by a fresh interpreter that imports torch first."""

from __future__ import annotations

import statistics
import time

from report import print_table

from fairnad.architectures.bases import base_source
from fairnad.config import VerificationConfig
from fairnad.records import Limits
from fairnad.sandbox.launch import Sandbox
from fairnad.verification.base import Known
from fairnad.verification.verifier import NetworkShape, Verifier

NETWORKS = {
    "resnet, width 8, depth 1, 3x16x16 (the demo)": (base_source("resnet", width=8, depth=1), (3, 16, 16)),
    "resnet, width 16, depth 5, 3x32x32 (the paper)": (base_source("resnet", width=16, depth=5), (3, 32, 32)),
}


def seconds_of(sandbox: Sandbox, source: str, shape: tuple[int, int, int]) -> float:
    """Return the seconds of one whole verification."""
    verifier = Verifier(sandbox, NetworkShape(shape, 10), Limits(), VerificationConfig())
    began = time.monotonic()
    verdict = verifier.judge(source, Known())
    if not verdict.is_accepted:
        raise SystemExit(f"the network was refused: {verdict.reason}")
    return time.monotonic() - began


def main(times: int = 20, fresh_times: int = 5) -> None:
    rows = []
    with Sandbox() as warm:
        for name, (source, shape) in NETWORKS.items():
            seconds_of(warm, source, shape)
            forks = [seconds_of(warm, source, shape) for _ in range(times)]
            fresh = []
            for _ in range(fresh_times):
                with Sandbox() as cold:
                    fresh.append(seconds_of(cold, source, shape))
            rows.append(
                (name, f"{statistics.median(forks):.2f}", f"{max(forks):.2f}", f"{statistics.median(fresh):.2f}")
            )
    print_table(
        "Verification, seconds",
        ("network", f"warm fork, median of {times}", "slowest", f"fresh interpreter, median of {fresh_times}"),
        rows,
    )


if __name__ == "__main__":
    main()
