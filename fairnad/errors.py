"""The errors that FairNAD raises.

What a search expects to happen (a refused draft, a failed training) is a value instead.

FairNADError
|-- ConfigError       a setting, a file or an argument that cannot be used
|-- DatasetError      data that cannot be found, read or trusted
|-- KnowledgeError    an attribute tree or an idea database that is broken
|-- SandboxError      the child-process machinery itself failed
|-- ExecutorError     trainings cannot be started
`-- HistoryError      a run folder that is none, is in use, or is of another version
"""

__all__ = [
    "ConfigError",
    "DatasetError",
    "ExecutorError",
    "FairNADError",
    "HistoryError",
    "KnowledgeError",
    "SandboxError",
]


class FairNADError(Exception):
    """Base of all errors of this package; the command line prints it as one line."""

    exit_status = 2


class ConfigError(FairNADError):
    """A setting, a file or an argument that cannot be used."""


class DatasetError(FairNADError):
    """Data that cannot be found, read or trusted."""


class KnowledgeError(FairNADError):
    """An attribute tree or an idea database that is broken."""


class SandboxError(FairNADError):
    """The child-process machinery itself failed: a fault of this program or of the machine."""

    exit_status = 1


class ExecutorError(FairNADError):
    """Trainings cannot be started."""

    exit_status = 1


class HistoryError(FairNADError):
    """A run folder that is none, is in use, or is of another version."""
