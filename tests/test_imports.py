"""Rooms import downwards only, and each heavy library has one home."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fairnad"

LAYERS = [
    {"cli", "commands", "terminal", "logs"},
    {"search", "report"},
    {"mutations", "verification", "executors"},
    {"generators", "knowledge.build"},
    {"llm", "sandbox", "history"},
    {"knowledge", "architectures"},
    {"config", "resources", "plugins"},
    {"records", "errors", "__init__"},
]
CHILDREN = {"training", "sandbox.child", "sandbox.zygote"}
CHILD_IMPORTS = {"sandbox.wire", "sandbox.child", "sandbox.zygote", "training", "records", "errors", "__init__"}
HOMES = {
    "mmengine": {"config"},
    "sqlite_utils": {"history"},
    "networkx": {"history"},
    "safetensors": {"training", "history"},
    "sklearn": {"training", "knowledge.build"},
    "PIL": {"training"},
    "torchvision": {"training", "knowledge.build"},
    "fvcore": {"sandbox.child"},
    "openai": {"llm"},
    "xllamacpp": {"llm"},
    "jinja2": {"llm"},
    "pymupdf": {"knowledge.build"},
    "timm": {"knowledge.build"},
    "matplotlib": {"report"},
    "torch": {"training", "sandbox.child", "sandbox.zygote", "architectures.bases", "architectures.parts"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imported(path):
    """Yield the full names of the modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name, rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def layer(name):
    names = {".".join(name.split(".")[:depth]): depth for depth in (1, 2)}
    found = [(names[room], number) for number, rooms in enumerate(LAYERS) for room in rooms & names.keys()]
    return max(found)[1]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_downwards_only(path):
    here = module_name(path)
    for full in imported(path):
        if not full.startswith("fairnad."):
            continue
        there = full.removeprefix("fairnad.")
        if is_in(here, CHILDREN):
            assert is_in(there, CHILD_IMPORTS) or there == "__version__", f"{here} imports {there}"
        elif there != "__version__":
            assert not is_in(there, CHILDREN), f"{here} imports {there}, which belongs to child processes"
            assert layer(there) >= layer(here), f"{here} imports {there}, which is above it"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_library_stays_in_its_home(path):
    here = module_name(path)
    for full in imported(path):
        library = full.split(".")[0]
        assert library not in HOMES or is_in(here, HOMES[library]), f"{here} imports {library}"


def test_help_needs_no_heavy_library():
    code = "import sys, fairnad.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"torch", "numpy", "mmengine", "sklearn", "sqlite_utils"} & set(loaded.stdout.split())
