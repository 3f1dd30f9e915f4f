"""Shipped files are found in a checkout, an editable install and a wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fairnad.errors import ConfigError
from fairnad.resources import resource

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = (
    ("prompts", "README.md"),
    ("configs", "demo.yaml"),
    ("knowledge", "ideas.jsonl"),
    ("knowledge", "attributes.json"),
)


def found_elsewhere(folder: Path, python_path: Path | None) -> list[Path]:
    """Return what a fresh interpreter, started in `folder`, finds for `SHIPPED`."""
    code = f"from fairnad.resources import resource\nfor parts in {SHIPPED!r}: print(resource(*parts))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if python_path is not None:
        environment["PYTHONPATH"] = str(python_path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [Path(line) for line in done.stdout.splitlines()]


def test_a_checkout_has_them_beside_the_package():
    assert [resource(*parts) for parts in SHIPPED] == [CHECKOUT.joinpath(*parts) for parts in SHIPPED]


def test_an_editable_install_finds_the_checkout_from_anywhere(tmp_path: Path):
    assert found_elsewhere(tmp_path, python_path=None) == [CHECKOUT.joinpath(*parts) for parts in SHIPPED]


@pytest.mark.slow
def test_a_wheel_carries_them(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(CHECKOUT),
    ]
    subprocess.run(command, capture_output=True, timeout=240, check=True)
    (wheel,) = tmp_path.glob("fairnad-*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    root = unpacked / "fairnad" / "_shipped"
    assert found_elsewhere(tmp_path, python_path=unpacked) == [root.joinpath(*parts) for parts in SHIPPED]


def test_a_missing_file_is_named_with_where_it_was_looked_for():
    with pytest.raises(ConfigError) as raised:
        resource("configs", "none.yaml")
    assert str(raised.value) == f"configs/none.yaml is not among the files of FairNAD: looked for it in {CHECKOUT}"


def test_the_knowledge_rooms_import_nothing_heavy():
    code = "import sys, fairnad.resources, fairnad.knowledge; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    heavy = {"torch", "numpy", "sklearn", "scipy", "mmengine", "networkx", "ray", "transformers"}
    assert heavy.isdisjoint(done.stdout.split())
