"""The last look for an abort before a run has its outcome."""

from activities.boundary import activity
from shared.contracts import RunWork
from shared.strict import Strict


class Heeded(Strict):
    """Output of `heed_abort`: nobody asked the run to stop."""


@activity
def heed_abort(work: RunWork) -> Heeded:
    """Do nothing: the boundary refuses for a run that was asked to abort while its last stage worked."""
    return Heeded()
