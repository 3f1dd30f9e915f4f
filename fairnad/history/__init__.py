"""What a run leaves behind, in one SQLite file. `lineage` and `export` are imported by the commands that use them."""

from fairnad.history.lock import standing, writer_of
from fairnad.history.rows import Evaluation, Event, Run
from fairnad.history.store import History
from fairnad.history.totals import Totals

__all__ = ["Evaluation", "Event", "History", "Run", "Totals", "standing", "writer_of"]
