"""The whole check for any file, as `fairnad verify` runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fairnad.config import VerificationConfig, load_config, shipped_configs
from fairnad.errors import ConfigError
from fairnad.records import Failure, Limits, Verdict
from fairnad.sandbox.data import prepare_dataset
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import VerifyJob
from fairnad.verification.base import Known
from fairnad.verification.verifier import NetworkShape, Verifier

__all__ = ["CheckedFile", "Rules", "check_files"]

_STEP_MARGIN = 5.0
"""Training steps may take this many times what the verification's timed steps predict."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the files are held to; a `dataset` brings its own images and classes, and limits where none are given."""

    input_shape: tuple[int, int, int]
    num_classes: int
    limits: Limits
    dataset: str | None = None
    data_root: str | None = None
    split_dir: str | None = None
    integrity: Literal["enforce", "warn", "off"] = "enforce"
    is_static: bool = True
    train_steps: int = 0
    batch_size: int = 256
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file and its verdict."""

    file: Path
    verdict: Verdict

    def to_json(self) -> str:
        """Return the verdict as one line of JSON."""
        verdict = self.verdict
        return json.dumps(
            {
                "file": str(self.file),
                "verdict": "accept" if verdict.is_accepted else "reject",
                "stage": verdict.failure.value if verdict.failure else None,
                "reason": verdict.reason or None,
                "params": verdict.costs.params if verdict.costs else None,
                "flops": verdict.costs.flops if verdict.costs else None,
                "graph_hash": verdict.graph_hash,
                "is_dynamic": verdict.is_dynamic,
                "dead_parameters": verdict.dead_parameters,
                "warnings": verdict.warnings,
                "details": verdict.details or None,
                "seconds": round(verdict.seconds, 3),
            }
        )


def check_files(files: Sequence[Path], rules: Rules, *, parent: Path | None = None) -> Iterator[CheckedFile]:
    """Yield the verdict of each file in order; with a `parent`, the same network as that one is refused.

    Raises:
        ConfigError: a file cannot be read, the parent is refused, or the data set is not known.
    """
    sources = [(file, _read(file)) for file in files]
    with Sandbox() as sandbox:
        sandbox.start()
        shape, limits = _expected(sandbox, rules)
        config = VerificationConfig(
            static=rules.is_static, integrity=rules.integrity, timeout_seconds=rules.timeout_seconds
        )
        verifier = Verifier(sandbox, shape, limits, config)
        known = Known(parent=_parent_hash(verifier, parent))
        for file, source in sources:
            verdict = verifier.judge(source, known) if isinstance(source, str) else source
            if verdict.is_accepted and rules.train_steps and isinstance(source, str):
                verdict = _train(sandbox, shape, source, verdict, rules)
            yield CheckedFile(file, verdict)


def _read(file: Path) -> str | Verdict:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        return Verdict(Failure.SYNTAX, f"the source is not UTF-8 text ({error.reason} at byte {error.start})")


def _expected(sandbox: Sandbox, rules: Rules) -> tuple[NetworkShape, Limits]:
    if rules.dataset is None:
        return NetworkShape(rules.input_shape, rules.num_classes), rules.limits
    dataset = prepare_dataset(sandbox, rules.dataset, rules.data_root, split_dir=rules.split_dir)
    shipped = load_config(rules.dataset if rules.dataset in shipped_configs() else "default")
    limits = Limits(rules.limits.params or shipped.limits.params, rules.limits.flops or shipped.limits.flops)
    shape = NetworkShape(dataset.input_shape, dataset.num_classes, precision=shipped.recipe.precision)
    return shape, limits


def _parent_hash(verifier: Verifier, parent: Path | None) -> str | None:
    if parent is None:
        return None
    source = _read(parent)
    verdict = verifier.judge(source, Known()) if isinstance(source, str) else source
    if verdict.graph_hash is None:
        raise ConfigError(f"the parent {parent} does not verify: {verdict.reason}")
    return verdict.graph_hash


def _train(sandbox: Sandbox, shape: NetworkShape, source: str, verdict: Verdict, rules: Rules) -> Verdict:
    """Return `verdict`, or a refusal by what happens in `rules.train_steps` steps of training."""
    job = VerifyJob(
        source=source,
        input_shape=shape.input_shape,
        num_classes=shape.num_classes,
        check_integrity=False,
        train_steps=rules.train_steps,
        batch_size=rules.batch_size,
    )
    an_image = (verdict.step_seconds or 0.0) / (verdict.step_batch or 1)
    predicted = an_image * rules.batch_size * rules.train_steps
    report = sandbox.run(job, timeout_seconds=rules.timeout_seconds + _STEP_MARGIN * predicted)
    seconds = verdict.seconds + report.seconds
    if report.failure is None:
        return replace(verdict, step_seconds=report.step_seconds, step_batch=report.step_batch, seconds=seconds)
    return replace(verdict, failure=report.failure, reason=report.reason, details=report.details, seconds=seconds)
