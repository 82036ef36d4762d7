"""The last check for an abort before the outcome of a run is fixed."""

from activities.boundary import activity
from shared.contracts import RunWork
from shared.strict import Strict


class Heeded(Strict):
    """Output of `heed_abort`: nobody asked the run to stop."""


@activity
def heed_abort(work: RunWork) -> Heeded:
    """Do nothing: the boundary of this activity refuses if the run was asked to abort while its last stage worked."""
    return Heeded()
