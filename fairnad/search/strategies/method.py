"""The method of this package, as configured."""

from __future__ import annotations

from fairnad.config import Config

__all__ = ["method"]


def method(config: Config) -> Config:
    """Change nothing."""
    return config
