"""A small Mendix-like app in PostgreSQL and the plan of its target: every type, text keys, pairs, an empty table."""

import psycopg

from shared.databaseplan import DatabasePlan, IndexColumn, PlannedColumn, PlannedIndex, PlannedTable

TABLES = """
CREATE TABLE "shop$order" (
    id bigint NOT NULL, number bigint, code varchar(200), remark text, amount numeric(28,8), paid boolean,
    ordered timestamp, quantity integer, payload bytea, rate double precision, "system$owner" bigint
);
CREATE TABLE "shop$customer" (id bigint NOT NULL, name varchar(100), email varchar(200));
CREATE TABLE "shop$order_customer" ("shop$orderid" bigint NOT NULL, "shop$customerid" bigint NOT NULL);
CREATE TABLE "mendixsystem$entity" (id varchar(36) NOT NULL, entity_name varchar(511), short smallint);
CREATE TABLE "system$session" (id bigint NOT NULL, sessionid varchar(50));
CREATE TABLE "shop$nothing" (id bigint NOT NULL, label varchar(20));
"""

# Ids as the runtime makes them: the entity's number above bit 48, a counter, seven low bits that look random.
ORDERS = """
INSERT INTO "shop$order"
SELECT (7::bigint << 48) + i * 128 + (i * 37) % 128,
       i,
       CASE i % 11 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'café ' || i WHEN 3 THEN 'emoji 😀 ' || i ELSE 'A-' || i END,
       CASE WHEN i % 5 = 0 THEN NULL ELSE repeat('Lorem ipsum ' || i || ' ', (i % 40)::int) END,
       CASE WHEN i % 13 = 0 THEN NULL ELSE (i * 1.00000001 - 500)::numeric(28,8) END,
       CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END,
       CASE WHEN i % 17 = 0 THEN NULL ELSE timestamp '1999-12-31 23:59:59.999' + i * interval '1 hour 1.000001 second' END,
       CASE WHEN i % 7 = 0 THEN NULL ELSE (i - 1000)::int END,
       CASE WHEN i % 4 = 0 THEN decode(repeat(md5(i::text), (i % 9)::int), 'hex') END,
       CASE WHEN i % 6 = 0 THEN NULL ELSE i / 7.0 END,
       (2::bigint << 48) + (i % 50) * 128
  FROM generate_series(1::bigint, {orders}) AS i
"""
OTHERS = """
INSERT INTO "shop$customer"
SELECT (9::bigint << 48) + i * 128, 'Customer ' || i, CASE WHEN i % 3 > 0 THEN 'c' || i || '@example.org' END
  FROM generate_series(1::bigint, 100) AS i;
INSERT INTO "shop$order_customer"
SELECT (7::bigint << 48) + i * 128 + (i * 37) % 128, (9::bigint << 48) + (1 + i % 100) * 128
  FROM generate_series(1::bigint, {orders}) AS i;
INSERT INTO "mendixsystem$entity"
SELECT md5(i::text), 'Shop.Entity' || i, i FROM generate_series(1, 30) AS i;
INSERT INTO "system$session" SELECT i, md5(i::text) FROM generate_series(1, 5) AS i;
"""

_COLUMNS = {
    "shop$order": [
        ("id", "bigint", "bigint"),
        ("number", "bigint", "bigint"),
        ("code", "character varying(200)", "nvarchar(200)"),
        ("remark", "text", "nvarchar(max)"),
        ("amount", "numeric(28,8)", "decimal(28,8)"),
        ("paid", "boolean", "bit"),
        ("ordered", "timestamp without time zone", "datetime2(3)"),
        ("quantity", "integer", "int"),
        ("payload", "bytea", "varbinary(max)"),
        ("rate", "double precision", "float"),
        ("system$owner", "bigint", "bigint"),
    ],
    "shop$customer": [
        ("id", "bigint", "bigint"),
        ("name", "character varying(100)", "nvarchar(100)"),
        ("email", "character varying(200)", "nvarchar(200)"),
    ],
    "shop$order_customer": [("shop$orderid", "bigint", "bigint"), ("shop$customerid", "bigint", "bigint")],
    "mendixsystem$entity": [
        ("id", "character varying(36)", "nvarchar(36)"),
        ("entity_name", "character varying(511)", "nvarchar(511)"),
        ("short", "smallint", "smallint"),
    ],
    "system$session": [("id", "bigint", "bigint"), ("sessionid", "character varying(50)", "nvarchar(50)")],
    "shop$nothing": [("id", "bigint", "bigint"), ("label", "character varying(20)", "nvarchar(20)")],
}
_KEYS = {"shop$order_customer": ["shop$orderid", "shop$customerid"]}


def make_tables(connection: psycopg.Connection, orders: int) -> None:
    """Create and fill the tables; `orders` rows in the two large ones."""
    connection.execute(TABLES)
    connection.execute(ORDERS.format(orders=orders))
    connection.execute(OTHERS.format(orders=orders))


def make_plan(connection: psycopg.Connection, run: str) -> DatabasePlan:
    """Return the plan, with the rows as they are counted now."""
    return DatabasePlan(run=run, tables=[_table(connection, name) for name in _COLUMNS])


def _table(connection: psycopg.Connection, name: str) -> PlannedTable:
    keys = _KEYS.get(name, ["id"])
    volatile = name == "system$session"
    count = connection.execute(f'SELECT count(*), pg_table_size(\'public."{name}"\') FROM "{name}"').fetchone()
    return PlannedTable(
        name=name,
        source_name=name,
        columns=[
            PlannedColumn(name=column, source_name=column, source_type=source, type=kind, nullable=column not in keys)
            for column, source, kind in _COLUMNS[name]
        ],
        primary_key=PlannedIndex(name=f"pk_{name}", columns=[IndexColumn(name=key) for key in keys], unique=True),
        content="empty" if volatile else "copy",
        reason="volatile" if volatile else None,
        rows=0 if volatile else count[0],
        source_bytes=count[1],
    )
