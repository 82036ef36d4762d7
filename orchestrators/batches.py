"""How far the batches of a stage have come: each answer tells the whole of its batch, all calls of it together."""

from orchestrators.calling import Payload
from shared.contracts import Counts


class SoFar:
    """The last answer of every batch, added up."""

    def __init__(self) -> None:
        self._batches: dict[int, Counts] = {}

    def take(self, answer: Payload) -> Counts:
        """Take an answer in place of an earlier one of its batch; return what is done of all batches."""
        self._batches[answer["batch"]] = Counts.model_validate(answer["done"])
        return sum(self._batches.values(), Counts())
