"""What goes wrong in real databases: at least one instance of every finding of the data preflight.

The problems are put into the loaded rows before keys and indexes are made. Statements name rows by their order, so
the same seed gives the same problems.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from local.sample.model import (
    BINARY,
    DATE_TIME,
    FLOAT,
    UNLIMITED,
    Association,
    Attribute,
    Entity,
    Index,
    Kind,
    Model,
    string,
)
from local.sample.values import blob, constant, moment, numbered, real

LEFTOVER_TABLE = "e08d6ec7514e484c8697092625d148cb"
UNKNOWN_SHORT_ID = 777

# A table as old apps have it: made before limits were checked, with types that today's runtime would not choose.
LEGACY = Entity(
    "Legacy.Import",
    (
        Attribute("Key", UNLIMITED, numbered("import key {:04d}"), unique=True),
        Attribute("Path", string(1000), constant("/inbox")),
        Attribute("Code", string(500), numbered("code {:04d}"), unique=True),
        Attribute("Amount", Kind(5, "numeric"), constant("1.50")),
        Attribute("Ratio", FLOAT, real(2)),
        Attribute("ImportedAt", DATE_TIME, moment()),
        Attribute("Raw", BINARY, blob(10, 50)),
    ),
    indexes=(Index(("path",)),),
)
LOOKUP, LOG = "legacy$lookup", "legacy$log"
# Tables that somebody made beside Mendix. One has a primary key over 900 bytes, and keys that only the target holds equal.
BESIDE_MENDIX = (
    f"""CREATE TABLE "{LOOKUP}" (code character varying(1000) PRIMARY KEY, number bigint UNIQUE, parent bigint, batch character varying(20),
        line character varying(20), tag character varying(20), seen timestamp without time zone, took interval,
        CONSTRAINT "uniq_{LOOKUP}_batch_line" UNIQUE (batch, line), CONSTRAINT "uniq_{LOOKUP}_seen" UNIQUE (seen),
        CONSTRAINT "fk_{LOOKUP}_parent" FOREIGN KEY (parent) REFERENCES "{LOOKUP}" (number) ON DELETE CASCADE)""",
    f'CREATE UNIQUE INDEX "idx_{LOOKUP}_tag" ON "{LOOKUP}" (tag)',
    f"""INSERT INTO "{LOOKUP}" VALUES
        (repeat('k', 460), 1, NULL, 'A', '1', 'red', '2026-11-20 10:00:00.0001', '1 day'),
        ('lookup 2', 2, 1, 'a', '1', 'RED', '2026-11-20 10:00:00.0002', '02:30:00'),
        ('lookup 3', 3, 2, 'a', '2', 'blue', NULL, NULL)""",
    f'CREATE TABLE "{LOG}" (line text)',
    f'CREATE INDEX "idx_{LOG}_line" ON "{LOG}" (line)',
    f"INSERT INTO \"{LOG}\" VALUES ('imported')",
)
ROWS_MADE = {
    LEFTOVER_TABLE: 1,
    LOOKUP: 3,
    LOG: 1,
    "mendixsystem$entity": 1,
    "mendixsystem$attribute": 1,
    "mendixsystem$sequence": -1,
}
"""Rows that the statements add to tables, or take away."""

FROM_LEGACY = Association("Legacy.Import_Party", "Legacy.Import", "Customers.Party", storage_format=1)


@dataclass(frozen=True)
class Problem:
    """One problem: what it is, where it is, and the statements that make it."""

    name: str
    where: str
    statements: tuple[str, ...]


def with_legacy(model: Model) -> Model:
    """Return the model with the legacy entity added."""
    return Model((*model.entities, LEGACY), (*model.associations, FROM_LEGACY))


def _row(table: str, number: int) -> str:
    return f'(SELECT id FROM "{table}" ORDER BY id OFFSET {number} LIMIT 1)'


def _set(table: str, number: int, assignment: str) -> str:
    return f'UPDATE "{table}" SET {assignment} WHERE id = {_row(table, number)}'


def _keys() -> Iterator[Problem]:
    tag, party, product = "tickets$tag", "customers$party", "orders$product"
    yield Problem("unique values that differ in case only", tag, (_set(tag, 3, "name = 'TAG-001'"),))
    yield Problem("unique values that differ in trailing blanks only", tag, (_set(tag, 4, "name = 'tag-003  '"),))
    kana = (_set(tag, 5, "name = 'タグ'"), _set(tag, 6, "name = 'たぐ'"))
    yield Problem("unique values that differ in katakana and hiragana only", tag, kana)
    yield Problem("unique values that differ in width only", product, (_set(product, 5, "sku = 'ＳＫＵ-000003'"),))
    emoji = (_set("orders$category", 3, "name = 'Team 🚀'"), _set("orders$category", 4, "name = 'Team 🎉'"))
    yield Problem("unique values that differ in characters without a sort weight only", "orders$category", emoji)
    yield Problem(
        "several NULLs in a unique column",
        party,
        (_set(party, 2, "customernumber = NULL"), _set(party, 7, "customernumber = NULL")),
    )
    yield Problem("a unique constraint on an unlimited string", "legacy$import.key", ())
    wide = "repeat('w', 990)"
    yield Problem("an index key over 1700 bytes", "legacy$import.path", (_set("legacy$import", 1, f"path = {wide}"),))
    yield Problem("tables that somebody made beside Mendix", f"{LOOKUP}, {LOG}", BESIDE_MENDIX)
    yield Problem("a primary key over 900 bytes", f"{LOOKUP}.code", ())
    yield Problem("a key of several columns that collides, one of them equal by case only", f"{LOOKUP}.batch, line", ())
    yield Problem("a unique index that is no constraint, and collides", f"{LOOKUP}.tag", ())
    yield Problem("unique moments that are equal to the millisecond", f"{LOOKUP}.seen", ())
    yield Problem("a foreign key that deletes in a circle", f"{LOOKUP}.parent", ())
    yield Problem("a type that no Mendix database has", f"{LOOKUP}.took", ())
    yield Problem("a table without a primary key", LOG, ())
    yield Problem("an index on an unlimited string", f"{LOG}.line", ())
    yield Problem(
        "a unique key of many bytes",
        "legacy$import.code",
        (_set("legacy$import", 2, "code = repeat('k', 499)"),),
    )


def _values() -> Iterator[Problem]:
    party, legacy, product = "customers$party", "legacy$import", "orders$product"
    yield Problem(
        "a string that fits in code points and not in UTF-16 units",
        f"{party}.displayname",
        (_set(party, 9, "displayname = repeat('🚚', 200)"), _set(party, 10, "displayname = repeat('a', 199) || '🚚'")),
    )
    yield Problem(
        "dates that datetime2 cannot hold",
        f"{legacy}.importedat",
        tuple(
            _set(legacy, number, f"importedat = '{text}'")
            for number, text in enumerate(
                ("infinity", "-infinity", "0044-03-15 12:00:00 BC", "20260-11-22 00:00:00"), 3
            )
        ),
    )
    yield Problem(
        "a date that rounds beyond the last one",
        f"{legacy}.importedat",
        (_set(legacy, 7, "importedat = '9999-12-31 23:59:59.9999'"),),
    )
    yield Problem(
        "numbers that decimal(28,8) cannot hold",
        f"{legacy}.amount",
        tuple(
            _set(legacy, number, f"amount = '{text}'")
            for number, text in enumerate(("NaN", "Infinity", "123456789012345678901234567890.5", "0.1234567890123"), 3)
        ),
    )
    yield Problem("NaN in a decimal", f"{product}.price", (_set(product, 8, "price = 'NaN'"),))
    yield Problem(
        "floats that SQL Server cannot hold",
        f"{legacy}.ratio",
        tuple(
            _set(legacy, number, f"ratio = '{text}'")
            for number, text in enumerate(("NaN", "Infinity", "-Infinity", "5e-324"), 3)
        ),
    )


def _identities() -> Iterator[Problem]:
    gone = "(7::bigint << 48) | (123456789 << 7) | 5"
    links, orders = "customers$address_party", "orders$order"
    yield Problem(
        "references to objects that are gone",
        f"{links}, {orders}",
        (
            f'UPDATE "{links}" SET "customers$partyid" = {gone} WHERE "customers$addressid" = '
            f'(SELECT min("customers$addressid") FROM "{links}")',
            _set(orders, 3, f'"orders$order_customer" = {gone}'),
        ),
    )
    payment = "orders$payment"
    yield Problem(
        "an object id whose short id no entity has",
        payment,
        (
            f'UPDATE "orders$payment_order" SET "orders$paymentid" = ({UNKNOWN_SHORT_ID}::bigint << 48) | 129 '
            f'WHERE "orders$paymentid" = {_row(payment, 0)}',
            _set(payment, 0, f"id = ({UNKNOWN_SHORT_ID}::bigint << 48) | 129"),
        ),
    )
    yield Problem(
        "an object_sequence below the ids in use",
        "mendixsystem$entityidentifier",
        (
            'UPDATE "mendixsystem$entityidentifier" SET object_sequence = 1 WHERE id = '
            "(SELECT id FROM \"mendixsystem$entity\" WHERE entity_name = 'Customers.Address')",
        ),
    )


def _sequences() -> Iterator[Problem]:
    yield Problem(
        "an AutoNumber sequence below the numbers in use",
        "tickets$ticket.number",
        ("SELECT setval('\"tickets$ticket_number_mxseq\"', 2)",),
    )
    yield Problem(
        "an AutoNumber without its native sequence",
        "system$filedocument.fileid",
        ('DROP SEQUENCE "system$filedocument_fileid_mxseq"',),
    )
    yield Problem(
        "an AutoNumber without a row in the metadata",
        "system$processedqueuetask.sequence",
        ("DELETE FROM \"mendixsystem$sequence\" WHERE name = 'system$processedqueuetask_sequence_mxseq'",),
    )
    yield Problem(
        "a native sequence that no AutoNumber counts with",
        "legacy$import_number_mxseq",
        ('CREATE SEQUENCE "legacy$import_number_mxseq"',),
    )


def _metadata() -> Iterator[Problem]:
    yield Problem(
        "an entity without its table",
        "legacy$archive",
        (
            "INSERT INTO \"mendixsystem$entity\" VALUES ('5f0e6c0a-3c52-4f57-9a55-8a0f6a1d0001', 'Legacy.Archive', "
            "'legacy$archive', NULL, false, false)",
        ),
    )
    yield Problem(
        "an attribute without its column",
        "legacy$import.comment",
        (
            "INSERT INTO \"mendixsystem$attribute\" SELECT '5f0e6c0a-3c52-4f57-9a55-8a0f6a1d0002', id, 'Comment', "
            "'comment', 30, 0, '', false FROM \"mendixsystem$entity\" WHERE entity_name = 'Legacy.Import'",
        ),
    )
    yield Problem("a view", "legacy$overview", (f'CREATE VIEW "legacy$overview" AS SELECT code FROM "{LOOKUP}"',))


def _files() -> Iterator[Problem]:
    table = "system$filedocument"
    kept = f'"{table}" WHERE hascontents AND NOT deleteafterdownload AND size > 1'
    yield Problem(
        "a row whose file is not in the backup, and a file without a row",
        table,
        (
            f"UPDATE \"{table}\" SET __uuid__ = 'deadbeef-0000-4000-8000-000000000001' "
            f"WHERE id = (SELECT id FROM {kept} ORDER BY id OFFSET 1 LIMIT 1)",
        ),
    )
    yield Problem(
        "a file of another size than its row says",
        table,
        (f'UPDATE "{table}" SET size = size + 1 WHERE id = (SELECT id FROM {kept} ORDER BY id OFFSET 3 LIMIT 1)',),
    )
    yield Problem(
        "a table left over from a dropped entity",
        LEFTOVER_TABLE,
        (
            f'CREATE TABLE "{LEFTOVER_TABLE}" (id bigint PRIMARY KEY, name character varying(200))',
            f"INSERT INTO \"{LEFTOVER_TABLE}\" VALUES (281474976710785, 'left over')",
        ),
    )


PROBLEMS: tuple[Problem, ...] = (
    *_keys(),
    *_values(),
    *_identities(),
    *_sequences(),
    *_metadata(),
    *_files(),
)
# Foreign keys on tables with dangling references can only be there unchecked.
NOT_VALID = frozenset({"orders$order"})
