"""Finds the files that are data: prompts, knowledge, configurations, in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from fairnad.errors import ConfigError

__all__ = ["resource"]

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """Return the path of a shipped file or folder, such as `resource("configs", "demo.yaml")`.

    A checkout, and with it an editable install, keeps them beside the package; a wheel carries them inside it.

    Raises:
        ConfigError: there is no such file or folder.
    """
    root = _root()
    path = root.joinpath(*parts)
    if not path.exists():
        raise ConfigError(f"{'/'.join(parts)} is not among the files of FairNAD: looked for it in {root}")
    return path


def _root() -> Path:
    # Only a wheel has this folder, and some packages leave a stray pyproject.toml next to ours: so it is asked first.
    shipped = _PACKAGE / "_shipped"
    return shipped if shipped.is_dir() else _PACKAGE.parent
