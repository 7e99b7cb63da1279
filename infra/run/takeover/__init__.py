"""New plans in the place of those that run: a job beside each that is another, until it has caught up; then it takes over.

::

    the job that runs   ───●──●───●──●──●──●─┤ its scorers predict what lies before, then it is stopped
    the job beside it      ░░░░░░░░ ●──●──●──┼──●───●──●──●    its scorers predict what lies from there on
                           history, topics   └─ for each partition of the spine an offset, which is recorded

Until the offset is chosen, whatever goes wrong ends the job beside, and nothing else. From then on there is only forward: another
call goes on where this one was killed.
"""

from infra.run.takeover.begin import Beginning, Wanted
from infra.run.takeover.sequence import TakeOver
from infra.run.takeover.steps import Row, rows, rows_of

__all__ = ["Beginning", "Row", "TakeOver", "Wanted", "rows", "rows_of"]
