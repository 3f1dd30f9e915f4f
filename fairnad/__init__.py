"""FairNAD: LLM-driven, open-ended neural architecture search on source code."""

__version__ = "0.1.0"
__all__ = ["__version__"]
