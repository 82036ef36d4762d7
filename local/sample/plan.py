"""How many rows every table gets, and the id of every object.

The sum over all tables is what was asked for, to the row: the last table to be planned takes what is left. Object ids
are short_id · 2^48 + counter · 128 + 7 random bits, as Mendix makes them since 9.18.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from local.sample.app_modules import LONG_NAME
from local.sample.files import Files
from local.sample.model import Association, Entity, Model

FILLER = "Tickets.WorkLog"

# Objects per row that is free to be shared out, and at least how many; entities that are not named here have their own rule below.
SHARES: dict[str, tuple[float, int]] = {
    "Administration.Account": (0.0006, 8),
    "System.Session": (0.0003, 4),
    "System.TokenInformation": (0.0002, 3),
    "System.QueuedTask": (0.0003, 5),
    "System.ProcessedQueueTask": (0.004, 10),
    "System.ScheduledEventInformation": (0.0002, 4),
    "Customers.Company": (0.01, 12),
    "Customers.Person": (0.02, 24),
    "Customers.Address": (0.04, 30),
    LONG_NAME: (0.01, 5),
    "Orders.Product": (0.0075, 15),
    "Orders.Order": (0.07, 40),
    "Orders.OrderLine": (0.18, 60),
    "Orders.Payment": (0.04, 20),
    "Tickets.Ticket": (0.04, 30),
    "Tickets.Comment": (0.09, 40),
    "Tickets.Tag": (0.0, 20),
    "Documents.Folder": (0.0002, 8),
}
FIXED = {
    "System.User": 2,
    "System.UserRole": 5,
    "System.Language": 3,
    "System.TimeZone": 6,
    "System.XASInstance": 2,
    "System.UnreferencedFile": 3,
    "System.TaskQueueToken": 1,
    "System.BackgroundJob": 0,
    "System.OfflineSynchronizationHistory": 2,
    "Customers.Party": 0,
    "Orders.Category": 40,
    "Tickets.Attachment": 3,
    "Legacy.Import": 16,
}
# Share of the rows with a file per kind of file, the rest are plain System.FileDocument.
FILE_SHARES = {"Documents.Document": 0.6, "Documents.Scan": 0.25, "System.Image": 0.05}


@dataclass(frozen=True)
class Plan:
    """Counts and ids of one sample."""

    model: Model
    seed: int
    rows: int
    files: Files
    metadata_rows: int
    own: dict[str, int] = field(default_factory=dict)
    short_ids: dict[str, int] = field(default_factory=dict)

    @classmethod
    def make(cls, model: Model, seed: int, rows: int, files: Files, metadata_rows: int) -> "Plan":
        """Plan a sample of that many rows in all; ValueError with the least number if that is too few."""
        own = _counts(model, rows, files, metadata_rows)
        # Non-persistent and removed entities keep their short id, so there are gaps.
        short_ids = {entity.name: 3 + place + place // 7 for place, entity in enumerate(model.entities)}
        plan = cls(model, seed, rows, files, metadata_rows, own, short_ids)
        left = rows - plan.total
        if left < 1:
            least = next(n for n in range(rows + 1, 10**9, 100) if _fits(model, seed, n, files, metadata_rows))
            raise ValueError(
                f"{files.count} files and the app's own tables need at least about {least} rows, not {rows}"
            )
        own[FILLER] += left
        return plan

    def objects(self, entity: str) -> int:
        """Return how many objects an entity has, those of its specialisations included: the rows of its table."""
        return sum(self.own[kind.name] for kind in self.model.subtypes(entity))

    def links(self, association: Association) -> int:
        """Return how many rows an association table has (format 2)."""
        parents = self.objects(association.parent)
        count = int(parents * association.share)
        if association.unique_child:
            count = min(count, self.objects(association.child))
        return count

    @property
    def total(self) -> int:
        """All rows of all tables."""
        entities = sum(self.objects(entity.name) for entity in self.model.entities)
        links = sum(self.links(one) for one in self.model.associations if one.storage_format == 2)
        return entities + links + self.metadata_rows

    @cached_property
    def _salt(self) -> int:
        return (self.seed * 2_654_435_761) & 0xFFFF_FFFF

    def object_id(self, concrete: str, number: int) -> int:
        """Return the id of the n-th object (from 0) whose own entity that is."""
        counter = number + 1
        random_bits = ((counter * 2_246_822_519 + self._salt) >> 11) & 127
        return (self.short_ids[concrete] << 48) | (counter << 7) | random_bits

    def any_id(self, entity: str) -> Callable[[int], int]:
        """Return a function from a row number of the entity's table to the id of that row."""
        blocks = self.blocks(entity)
        if len(blocks) == 1:
            name = blocks[0][0]
            return lambda row: self.object_id(name, row)

        def pick(row: int) -> int:
            for name, count in blocks:
                if row < count:
                    return self.object_id(name, row)
                row -= count
            raise IndexError(f"{entity} has no row {row}")

        return pick

    def blocks(self, entity: str) -> list[tuple[str, int]]:
        """Return the concrete entities of a table's rows and how many of each, in the order of the rows."""
        return [(kind.name, self.own[kind.name]) for kind in self.model.subtypes(entity) if self.own[kind.name]]

    def object_sequence(self, entity: Entity) -> int:
        """Return the first counter of the next unreserved block of a hundred."""
        return (self.own[entity.name] // 100 + 1) * 100 + 1


def _counts(model: Model, rows: int, files: Files, metadata_rows: int) -> dict[str, int]:
    # A file is a row of System.FileDocument, of its own entity, and of a link table, more or less.
    free = max(0, rows - metadata_rows - int(2.8 * files.rows))
    return {entity.name: _count(entity.name, free, files) for entity in model.entities}


def _count(name: str, free: int, files: Files) -> int:
    if name == "System.FileDocument":
        return files.rows - sum(int(files.rows * share) for share in FILE_SHARES.values())
    if name in FILE_SHARES:
        return int(files.rows * FILE_SHARES[name])
    if name == FILLER:
        return 0
    if name in FIXED:
        return FIXED[name]
    share, least = SHARES[name]
    return max(least, int(free * share))


def _fits(model: Model, seed: int, rows: int, files: Files, metadata_rows: int) -> bool:
    return Plan(model, seed, rows, files, metadata_rows, _counts(model, rows, files, metadata_rows)).total < rows
