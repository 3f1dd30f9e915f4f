"""The errors that FairNAD raises.

What a search expects to happen (a refused draft, a failed training) is a value instead.

FairNADError
|-- ConfigError       a setting, a file or an argument that cannot be used
|   `-- SourceError       a text that is not Python (in `architectures.source`)
|-- DatasetError      data that cannot be found, read or trusted
|-- KnowledgeError    an attribute tree, an idea database or a paper that cannot be used
|-- LLMError          a language model that cannot be asked or does not answer
|   |-- ReplyError        a reply that is not what was asked for; `kind` says in which way
|   `-- SpendLimitError   a limit on tokens, money or time is reached
|-- SandboxError      the child-process machinery itself failed
|-- ExecutorError     trainings cannot be started
|-- HistoryError      a run folder that is none, is in use, or is of another version
`-- StoppedError      Ctrl-C, with what to do next
"""

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "ConfigError",
    "DatasetError",
    "ExecutorError",
    "FairNADError",
    "HistoryError",
    "KnowledgeError",
    "LLMError",
    "ReplyError",
    "SandboxError",
    "SpendLimitError",
    "StoppedError",
    "name_of",
    "nearest",
]


class FairNADError(Exception):
    """Base of all errors of this package; the command line prints it as one line."""

    exit_status = 2


class ConfigError(FairNADError):
    """A setting, a file or an argument that cannot be used."""


class DatasetError(FairNADError):
    """Data that cannot be found, read or trusted."""


class KnowledgeError(FairNADError):
    """An attribute tree, an idea database or papers that cannot be used."""


class LLMError(FairNADError):
    """A language model that cannot be asked or does not answer. `kind` is one word, such as "timeout", or empty."""

    exit_status = 1

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def is_of_one_prompt(self) -> bool:
        """Whether another prompt may fare better."""
        return self.kind in ("timeout", "context_length")


class ReplyError(LLMError):
    """A reply that is not what was asked for. `kind` is one word, such as "no_code"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message, kind=kind)


class SpendLimitError(LLMError):
    """A limit on tokens, money or time is reached; the run can be resumed with a higher one."""


class SandboxError(FairNADError):
    """The child-process machinery itself failed: a fault of this program or of the machine."""

    exit_status = 1


class ExecutorError(FairNADError):
    """Trainings cannot be started."""

    exit_status = 1


class HistoryError(FairNADError):
    """A run folder that is none, is in use, or is of another version."""


class StoppedError(FairNADError):
    """A person pressed Ctrl-C; the message says what to do next."""

    exit_status = 130


def name_of(folder: Path) -> str:
    """Return what a command is given to find the run in `folder`: its name, for those in ./runs."""
    return folder.name if folder.parent == Path("runs") else str(folder)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or all of them."""
    names = list(known)
    if not names:
        return "there are none"
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"the nearest known is {found[0]!r}" if found else f"known are {', '.join(names)}"
