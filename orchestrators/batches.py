"""How far the batches of a stage have come. An answer covers all calls for its batch so far, so the last one counts."""

from orchestrators.calling import Payload
from shared.contracts import Counts


class SoFar:
    """The last answer of every batch, added up."""

    def __init__(self) -> None:
        self._batches: dict[int, Counts] = {}

    def take(self, answer: Payload) -> Counts:
        """Put an answer in the place of its batch's earlier one; return what is done in all batches."""
        self._batches[answer["batch"]] = Counts.model_validate(answer["done"])
        return sum(self._batches.values(), Counts())
