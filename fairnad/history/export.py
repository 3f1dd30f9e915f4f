"""One child as files that need no FairNAD: `model.py`, its weights, and `metrics.json`. Only reads the run."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from fairnad.architectures.parsing import parse_quietly
from fairnad.errors import ConfigError
from fairnad.history.rows import Evaluation
from fairnad.history.store import History
from fairnad.records import Child, DataShape, Failed, Limits, Trained

__all__ = ["export"]

_MAIN = """

def _report() -> None:
    import torch

    network = Network({num_classes}).eval()
    try:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(__file__.removesuffix("model.py") + "weights.safetensors"))
        print("weights ", "weights.safetensors")
    except (ImportError, FileNotFoundError) as error:
        print("weights ", "not loaded:", error)
    images = torch.zeros(1, *{input_shape})
    with torch.no_grad():
        logits = network(images)
    print("input   ", tuple(images.shape))
    print("output  ", tuple(logits.shape))
    print("params  ", sum(tensor.numel() for tensor in network.parameters() if tensor.requires_grad))
    print("FLOPs   ", {flops}, "by the search: multiply-accumulates, elements of normalisation and pooling")


if __name__ == "__main__":
    _report()
"""


def export(
    run_folder: Path, child: Child, out: Path, *, dataset: DataShape, limits: Limits, fvcore_flops: int | None
) -> tuple[Path, ...]:
    """Write `child` of the run to the folder `out` and return the files; the run may go on meanwhile.

    `weights.safetensors` is among them if the run has it: of the final training with the lowest seed, if there is one,
    else of that of the search; `metrics.json` says which.

    Raises:
        ConfigError: `out` is not empty, or cannot be written.
        HistoryError: there is no run in `run_folder`, or no such child in it.
    """
    with History.open(run_folder) as history:
        line = _line(history.children(), history.child(child.id))
        evaluations = history.evaluations(child.id)
        run = history.run
    weights, training = _weights(run_folder, child, evaluations)
    metrics = {
        "run": run.name,
        "child": child.id,
        "dataset": dataset.name,
        "input_shape": dataset.input_shape,
        "num_classes": dataset.num_classes,
        "weights_of": _evaluation(training) if training is not None else None,
        "evaluations": [_evaluation(evaluation) for evaluation in evaluations],
        "params": child.costs.params,
        "flops": child.costs.flops,
        "fvcore_flops": fvcore_flops,
        "limits": {"params": limits.params, "flops": limits.flops},
        "lineage": [_ancestor(member) for member in line],
        "run_seed": run.seed,
        "versions": {"fairnad": run.fairnad_version, "python": run.python_version, "torch": run.torch_version},
    }
    texts = {
        "model.py": _model(run.name, line, dataset),
        "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False) + "\n",
    }
    try:
        return _write(out, texts, weights)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or out}: {error.strerror}; export to a folder that can be written"
        ) from error


def _write(out: Path, texts: dict[str, str], weights: Path | None) -> tuple[Path, ...]:
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; export to a new folder")
    files = []
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
        files.append(out / name)
    if weights is not None:
        files.append(shutil.copyfile(weights, out / weights.name))
    return tuple(files)


def _weights(
    run_folder: Path, child: Child, evaluations: Sequence[Evaluation]
) -> tuple[Path | None, Evaluation | None]:
    """Return the file of the weights to take home, and the training that they are of."""
    trained = [one for one in evaluations if isinstance(one.outcome, Trained)]
    final = sorted((one for one in trained if one.purpose == "retrain" and one.weights), key=lambda one: one.seed)
    places = [(run_folder / str(one.weights), one) for one in final]
    own = run_folder / "children" / str(child.id) / "weights.safetensors"
    places += [(own, one) for one in trained if one.purpose == "search"]
    return next(((path, one) for path, one in places if path.is_file()), (None, None))


def _line(children: tuple[Child, ...], child: Child) -> list[Child]:
    line = [child]
    while line[0].parent is not None:
        line.insert(0, children[line[0].parent])
    return line


def _model(run_name: str, line: list[Child], dataset: DataShape) -> str:
    child = line[-1]
    header = [
        f"FairNAD run {run_name!r}, child {child.id}, for {dataset.name}.",
        "Lineage: " + " -> ".join(_step(member) for member in line),
    ]
    main = _MAIN.format(
        num_classes=dataset.num_classes, input_shape=tuple(dataset.input_shape), flops=child.costs.flops
    )
    return "".join(f"# {_one_line(text)}\n" for text in header) + "\n" + _module(child.source) + "\n" + main


def _module(source: str) -> str:
    """Return the source without a main block of its own, such as that of an exported file that became a base."""
    last = parse_quietly(source).body[-1]
    if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
        source = "".join(source.splitlines(keepends=True)[: last.lineno - 1])
    return source.rstrip()


def _step(child: Child) -> str:
    if child.idea is None:
        return f"{child.id} ({child.key.stage.value})"
    return f"{child.id} ({child.key.stage.value}, {child.idea.main or child.idea.kind.value})"


def _one_line(text: str) -> str:
    # The header is a comment: a line break in a name would turn its rest into code.
    return "".join(character if character.isprintable() else " " for character in text)


def _evaluation(evaluation: Evaluation) -> dict[str, object]:
    outcome = evaluation.outcome
    known = {"purpose": evaluation.purpose, "seed": evaluation.seed}
    if isinstance(outcome, Failed):
        return {**known, "failure": outcome.failure.value, "reason": outcome.reason}
    result = {"split": outcome.split, "accuracy": outcome.accuracy, "epochs": outcome.epochs}
    return {**known, **result, "seconds": outcome.seconds}


def _ancestor(child: Child) -> dict[str, object]:
    idea = child.idea
    return {
        "child": child.id,
        "stage": child.key.stage.value,
        "generation": child.key.generation,
        "refines": child.refines,
        "category": idea.main if idea is not None else None,
        "idea": idea.text if idea is not None else None,
        "idea_sources": idea.sources if idea is not None else (),
        "accuracy": child.accuracy,
        "params": child.costs.params,
        "flops": child.costs.flops,
    }
