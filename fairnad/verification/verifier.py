"""The whole check of one source: read it, execute it once in a child process, ask the judges."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

from fairnad.architectures.graph import graph_hash
from fairnad.config import VerificationConfig
from fairnad.plugins import load
from fairnad.records import Failure, Limits, Verdict
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import VerifyJob, VerifyReport
from fairnad.verification import static
from fairnad.verification.base import VERIFIERS, Evidence, Judge, Known, Objection

__all__ = ["NetworkShape", "Verifier"]


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What a network must take and give: one image (C, H, W), and the number of classes.

    `train_batch` is the batch size of its training, which the time of a step is told for, `precision` its arithmetic.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    train_batch: int = 256
    precision: Literal["bf16", "fp32"] = "bf16"


class Verifier:
    """Judges sources; every verdict is afresh, from the text on."""

    def __init__(self, sandbox: Sandbox, shape: NetworkShape, limits: Limits, config: VerificationConfig) -> None:
        self._sandbox = sandbox
        self._shape = shape
        self._limits = limits
        self._config = config
        self._judges: tuple[Judge, ...] = tuple(load(name, VERIFIERS, what="verifier") for name in VERIFIERS)

    def judge(self, source: str, known: Known) -> Verdict:
        """Return the verdict on `source`, compared with the graphs that are `known`."""
        began = time.monotonic()
        return replace(self._judge(source, known), seconds=time.monotonic() - began)

    def _judge(self, source: str, known: Known) -> Verdict:
        if self._config.static and (refusal := static.check(source)) is not None:
            return Verdict(*refusal)
        report = self._execute(source)
        if report.failure is not None or report.eval_graph is None or report.train_graph is None:
            return Verdict(report.failure or Failure.CRASH, report.reason, report.details)
        evidence = Evidence(
            report=report,
            graph_hash=graph_hash(report.eval_graph, report.train_graph),
            known=known,
            limits=self._limits,
            integrity=self._config.integrity,
            novel_in=self._config.novel_in,
            structure_judge=self._config.structure_judge,
        )
        objections = [objection for judge in self._judges if (objection := judge(evidence)) is not None]
        return _verdict(evidence, objections)

    def _execute(self, source: str) -> VerifyReport:
        job = VerifyJob(
            source=source,
            input_shape=self._shape.input_shape,
            num_classes=self._shape.num_classes,
            check_integrity=self._config.integrity != "off",
            limits=self._limits,
            timed_for=self._shape.train_batch,
            precision=self._shape.precision,
        )
        return self._sandbox.run(
            job, timeout_seconds=self._config.timeout_seconds, memory_bytes=self._config.memory_bytes
        )


def _verdict(evidence: Evidence, objections: list[Objection]) -> Verdict:
    refusal = next((objection for objection in objections if not objection.is_warning), None)
    report = evidence.report
    return Verdict(
        failure=refusal.failure if refusal else None,
        reason=refusal.reason if refusal else "",
        costs=report.costs,
        graph=report.eval_graph,
        graph_hash=evidence.graph_hash,
        is_dynamic=report.is_dynamic,
        dead_parameters=report.dead_parameters,
        warnings=tuple(objection.reason for objection in objections if objection.is_warning),
        step_seconds=report.step_seconds,
        step_batch=report.step_batch,
    )
