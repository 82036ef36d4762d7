"""The sample snapshot is what a Mendix Cloud backup is: consistent with itself, the same for the same seed."""

import hashlib
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from local.postgres import PostgresServer
from local.sample.build import Request, build
from tests.fixtures.sample import FILES, ROWS, dump_of

type Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def restored(postgres_server: PostgresServer, sample_dump: Path) -> Iterator[Connection]:
    with restore(postgres_server, sample_dump, "sample_plain") as connection:
        yield connection


@pytest.fixture(scope="module")
def troubled(postgres_server: PostgresServer, sample_with_problems: Path) -> Iterator[Connection]:
    with restore(postgres_server, dump_of(sample_with_problems), "sample_troubled") as connection:
        yield connection


def restore(server: PostgresServer, dump: Path, name: str) -> Connection:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    command = [server.binaries / "pg_restore", "-O", "-x", "-e", "-d", server.dsn_without_password(name), dump]
    subprocess.run(command, env={"PGPASSWORD": server.password}, check=True)
    return psycopg.connect(server.dsn(name))


def values(connection: Connection, query: str) -> list[object]:
    return [row[0] for row in connection.execute(query.encode())]


def tables(connection: Connection) -> list[str]:
    return [str(name) for name in values(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]


def number(connection: Connection, query: str) -> int:
    found = values(connection, query)[0]
    assert isinstance(found, int)
    return found


def test_the_tables_hold_exactly_the_rows_that_were_asked_for(restored: Connection) -> None:
    assert sum(number(restored, f'SELECT count(*) FROM "{name}"') for name in tables(restored)) == ROWS


def test_with_problems_too(troubled: Connection) -> None:
    assert sum(number(troubled, f'SELECT count(*) FROM "{name}"') for name in tables(troubled)) == ROWS


def test_the_archive_holds_metadata_dump_and_tree_as_mendix_cloud_does(sample_snapshot: Path) -> None:
    with tarfile.open(sample_snapshot) as archive:
        names = archive.getnames()
        metadata = archive.extractfile(".metadata")
        dump = archive.extractfile("db/db.backup")
        assert metadata and dump
        described, magic = json.loads(metadata.read()), dump.read(5)
    assert names[:2] == [".metadata", "db/db.backup"]
    assert magic == b"PGDMP"
    assert set(described) == {"duration", "dumpSize", "modelVersion", "databaseSize", "filesSize"}
    assert all(isinstance(value, str) for value in described.values())
    tree = names[2:]
    assert len(set(tree)) == FILES
    assert all(re.fullmatch(r"tree/(..)/(..)/\1\2[0-9a-f]{4}-[0-9a-f-]{27}", name) for name in tree)


def test_every_table_and_column_of_the_metadata_exists_and_no_other(restored: Connection) -> None:
    described = set(
        restored.execute("""
            SELECT e.table_name, 'id' FROM "mendixsystem$entity" e
            UNION SELECT e.table_name, a.column_name FROM "mendixsystem$entity" e
              JOIN "mendixsystem$attribute" a ON a.entity_id = e.id
            UNION SELECT table_name, child_column_name FROM "mendixsystem$association"
            UNION SELECT table_name, parent_column_name FROM "mendixsystem$association"
        """)
    )
    existing = set(
        restored.execute("""
            SELECT table_name::text, column_name::text FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name NOT LIKE 'mendixsystem$%'
        """)
    )
    assert described == existing


def test_every_index_and_constraint_of_the_metadata_exists(restored: Connection) -> None:
    existing = set(values(restored, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"))
    described = set(values(restored, 'SELECT index_name FROM "mendixsystem$index"'))
    described |= set(values(restored, 'SELECT name FROM "mendixsystem$unique_constraint"'))
    described |= set(values(restored, 'SELECT index_name FROM "mendixsystem$association"'))
    described |= set(
        values(restored, 'SELECT pk_index_name FROM "mendixsystem$association" WHERE pk_index_name IS NOT NULL')
    )
    assert described <= existing
    keys = {name for name in existing - described if not str(name).startswith("mendixsystem$")}
    assert all(re.search(r"_pkey$", str(name)) or "mendixsystem$" in str(name) for name in keys)
    foreign = set(values(restored, "SELECT conname FROM pg_constraint WHERE contype = 'f'"))
    assert foreign == set(
        values(
            restored,
            """SELECT unnest(array_remove(ARRAY[parent_fkc_name, child_fkc_name], NULL))
               FROM "mendixsystem$association" """,
        )
    )
    assert foreign


def test_descending_indexes_are_described_as_such(restored: Connection) -> None:
    assert number(restored, """SELECT count(*) FROM "mendixsystem$index_column" WHERE sort_order""") >= 5
    (definition,) = values(
        restored, "SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_orders$order_status_asc_orderdate_desc'"
    )
    assert str(definition).endswith("(status, orderdate DESC, id)")


def test_a_table_whose_name_postgres_cannot_hold_has_its_short_name_in_the_metadata(restored: Connection) -> None:
    found = restored.execute(
        """SELECT table_name FROM "mendixsystem$entity" WHERE length(entity_name) > 63"""
    ).fetchall()
    assert len(found) == 1
    assert found[0][0] in tables(restored)
    assert len(str(found[0][0])) <= 63


def test_object_ids_carry_their_entitys_short_id_and_lie_below_the_object_sequence(restored: Connection) -> None:
    entities = restored.execute('SELECT id, table_name, superentity_id FROM "mendixsystem$entity"').fetchall()
    identifiers = {
        row[1]: (row[0], row[2])
        for row in restored.execute('SELECT id, short_id, object_sequence FROM "mendixsystem$entityidentifier"')
    }
    seen = 0
    for _guid, table, _above in entities:
        for short_id, most in restored.execute(
            f'SELECT (id >> 48)::int, max((id & 281474976710655) >> 7) FROM "{table}" GROUP BY 1'.encode()
        ):
            assert most < identifiers[short_id][1]
            seen += 1
    assert seen > 25


def test_every_level_of_inheritance_has_a_row_under_the_same_id(restored: Connection) -> None:
    pairs = restored.execute("""
        SELECT e.table_name, s.table_name, e.entity_name FROM "mendixsystem$entity" e
        JOIN "mendixsystem$entity" s ON s.id = e.superentity_id
    """).fetchall()
    assert len(pairs) >= 5
    for table, above, _name in pairs:
        assert number(restored, f'SELECT count(*) FROM "{table}" WHERE id NOT IN (SELECT id FROM "{above}")') == 0
    kinds = values(restored, 'SELECT DISTINCT submetaobjectname FROM "system$filedocument" ORDER BY 1')
    assert kinds == ["Documents.Document", "Documents.Scan", "System.FileDocument", "System.Image"]


def test_association_tables_hold_no_dangling_reference(restored: Connection) -> None:
    links = restored.execute("""
        SELECT a.table_name, a.parent_column_name, a.child_column_name, p.table_name, c.table_name
        FROM "mendixsystem$association" a JOIN "mendixsystem$entity" p ON p.id = a.parent_entity_id
        JOIN "mendixsystem$entity" c ON c.id = a.child_entity_id
    """).fetchall()
    assert {"system$userroles", "orders$orderline_product"} <= {link[0] for link in links}
    for table, parent_column, child_column, parent, child in links:
        for column, end in ((parent_column, parent), (child_column, child)):
            dangling = f'SELECT count(*) FROM "{table}" t WHERE "{column}" IS NOT NULL AND NOT EXISTS '
            assert number(restored, dangling + f'(SELECT 1 FROM "{end}" e WHERE e.id = t."{column}")') == 0


def test_auto_numbers_go_on_from_native_sequences_while_the_sequence_table_is_stale(restored: Connection) -> None:
    sequences = restored.execute("""
        SELECT s.name, e.table_name, a.column_name, s.current_value FROM "mendixsystem$sequence" s
        JOIN "mendixsystem$attribute" a ON a.id = s.attribute_id JOIN "mendixsystem$entity" e ON e.id = a.entity_id
    """).fetchall()
    assert len(sequences) == 5
    for name, table, column, current in sequences:
        used = number(restored, f'SELECT max("{column}") FROM "{table}"')
        assert number(restored, f'SELECT last_value FROM "{name}"') == used
        assert current == 0


def test_every_kind_of_attribute_is_there(restored: Connection) -> None:
    kinds = set(values(restored, 'SELECT DISTINCT type FROM "mendixsystem$attribute"'))
    assert kinds == {0, 2, 3, 4, 5, 10, 20, 30, 40, 50}


def test_texts_bring_every_script_and_every_awkward_character_and_still_fit(restored: Connection) -> None:
    assert number(restored, """SELECT count(*) FROM "tickets$comment" WHERE text ~ '🙂'""") > 0
    assert number(restored, """SELECT count(*) FROM "tickets$comment" WHERE text ~ '注文'""") > 0
    assert number(restored, """SELECT max(length("mail")) FROM "tickets$attachment" """) > 990_000
    columns = restored.execute("""
        SELECT table_name, column_name, character_maximum_length FROM information_schema.columns
        WHERE table_schema = 'public' AND character_maximum_length IS NOT NULL
    """).fetchall()
    for table, column, limit in columns:
        astral = f"""regexp_count("{column}", '[\\U00010000-\\U0010FFFF]')"""
        longest = f'SELECT coalesce(max(length("{column}") + {astral}), 0) FROM "{table}"'
        assert number(restored, longest) <= int(str(limit)), (table, column)


def test_files_with_contents_are_in_the_archive_and_the_others_are_not(
    restored: Connection, sample_snapshot: Path
) -> None:
    rows = restored.execute(
        'SELECT __uuid__, size, deleteafterdownload FROM "system$filedocument" WHERE hascontents'
    ).fetchall()
    with tarfile.open(sample_snapshot) as archive:
        sizes = {Path(member.name).name: member.size for member in archive if member.name.startswith("tree/")}
    kept = {str(row[0]): row[1] for row in rows if not row[2]}
    assert set(kept) == set(sizes)
    assert all(size in (-1, sizes[name]) for name, size in kept.items())
    assert -1 in kept.values()
    assert 0 in kept.values()
    gone = {str(row[0]) for row in rows if row[2]}
    assert gone
    assert not gone & set(sizes)


def _digest(connection: Connection) -> dict[str, str]:
    return {
        name: str(values(connection, f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{name}" t')[0])
        for name in tables(connection)
    }


def test_the_same_seed_gives_the_same_rows_and_files(
    restored: Connection, postgres_server: PostgresServer, sample_snapshot: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.tar.gz"
    build(Request(rows=ROWS, files=FILES), again)
    assert _files(again) == _files(sample_snapshot)
    with tarfile.open(again) as archive:
        archive.extract("db/db.backup", tmp_path, filter="data")
    with restore(postgres_server, tmp_path / "db" / "db.backup", "sample_again") as connection:
        assert _digest(connection) == _digest(restored)


def _files(snapshot: Path) -> dict[str, str]:
    digests = {}
    with tarfile.open(snapshot) as archive:
        for member in archive:
            if member.name.startswith("tree/"):
                content = archive.extractfile(member)
                assert content
                digests[member.name] = hashlib.md5(content.read()).hexdigest()
    return digests


def test_too_few_rows_for_the_app_are_refused_with_the_least_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"need at least about \d+ rows, not 100"):
        build(Request(rows=100, files=60), tmp_path / "never.tar.gz")
    assert not (tmp_path / "never.tar.gz").exists()


PROBLEMS = {
    "case": """SELECT count(*) FROM (SELECT lower(name) FROM "tickets$tag" GROUP BY 1 HAVING count(*) > 1) x""",
    "trailing blanks": """SELECT count(*) FROM (SELECT rtrim(name) FROM "tickets$tag" GROUP BY 1
        HAVING count(*) > 1) x""",
    "width": """SELECT count(*) FROM (SELECT normalize(sku, NFKC) FROM "orders$product" GROUP BY 1
        HAVING count(*) > 1) x""",
    "characters without a sort weight": """SELECT count(*) FROM (SELECT regexp_replace(name, '[\\U00010000-\\U0010FFFF]', '')
        FROM "orders$category" GROUP BY 1 HAVING count(*) > 1) x""",
    "nulls": """SELECT count(*) - 1 FROM "customers$party" WHERE customernumber IS NULL""",
    "utf-16": """SELECT count(*) FROM "customers$party"
        WHERE length(displayname) + regexp_count(displayname, '[\\U00010000-\\U0010FFFF]') > 200""",
    "index key": """SELECT count(*) FROM "legacy$import" WHERE 2 * length(path) > 1700""",
    "unlimited unique": """SELECT count(*) FROM pg_indexes WHERE indexname = 'uniq_legacy$import_key'""",
    "dates": """SELECT count(*) - 3 FROM "legacy$import"
        WHERE NOT isfinite(importedat) OR importedat < '0001-01-01' OR importedat >= '10000-01-01'""",
    "rounding over the last date": """SELECT count(*) FROM "legacy$import"
        WHERE isfinite(importedat) AND importedat BETWEEN '9999-12-31 23:59:59.9995' AND '9999-12-31 23:59:59.999999'""",
    "decimals": """SELECT count(*) - 2 FROM "legacy$import"
        WHERE amount IN ('NaN', 'Infinity') OR abs(amount) >= 1e20""",
    "NaN decimal": """SELECT count(*) FROM "orders$product" WHERE price = 'NaN'""",
    "floats": """SELECT count(*) - 2 FROM "legacy$import" WHERE ratio IN ('NaN', 'Infinity', '-Infinity')""",
    "dangling link": """SELECT count(*) FROM "customers$address_party" l
        WHERE NOT EXISTS (SELECT 1 FROM "customers$party" p WHERE p.id = l."customers$partyid")""",
    "dangling reference": """SELECT count(*) FROM "orders$order" o WHERE "orders$order_customer" IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM "customers$party" p WHERE p.id = o."orders$order_customer")""",
    "unknown short id": """SELECT count(*) FROM "orders$payment"
        WHERE id >> 48 NOT IN (SELECT short_id FROM "mendixsystem$entityidentifier")""",
    "object_sequence": """SELECT count(*) FROM "mendixsystem$entityidentifier" i JOIN "mendixsystem$entity" e
        USING (id) WHERE e.entity_name = 'Customers.Address' AND object_sequence <=
        (SELECT max((id & 281474976710655) >> 7) FROM "customers$address")""",
    "stale AutoNumber": """SELECT (SELECT max(number) FROM "tickets$ticket") - last_value
        FROM "tickets$ticket_number_mxseq" """,
    "primary key over 900 bytes": """SELECT count(*) FROM "legacy$lookup" WHERE 2 * length(code) BETWEEN 901 AND 1700""",
    "key of several columns": """SELECT count(*) FROM (SELECT lower(batch), line FROM "legacy$lookup" GROUP BY 1, 2
        HAVING count(*) > 1) x""",
    "unique index": """SELECT count(*) FROM (SELECT lower(tag) FROM "legacy$lookup" GROUP BY 1 HAVING count(*) > 1) x""",
    "moments": """SELECT count(*) FROM (SELECT date_trunc('milliseconds', seen) FROM "legacy$lookup" GROUP BY 1
        HAVING count(*) > 1) x""",
    "missing sequence": """SELECT count(*) FROM "mendixsystem$sequence" WHERE to_regclass(quote_ident(name)) IS NULL""",
    "sequence without a row": """SELECT count(*) FROM "mendixsystem$attribute" a
        WHERE is_auto_number AND NOT EXISTS (SELECT FROM "mendixsystem$sequence" s WHERE s.attribute_id = a.id)""",
    "idle sequence": """SELECT count(*) FROM pg_sequences WHERE sequencename = 'legacy$import_number_mxseq'""",
    "missing file": """SELECT count(*) FROM "system$filedocument" WHERE __uuid__ LIKE 'deadbeef%'""",
    "leftover table": """SELECT count(*) FROM "e08d6ec7514e484c8697092625d148cb" """,
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_sample_with_problems_has(troubled: Connection, problem: str) -> None:
    assert number(troubled, PROBLEMS[problem]) >= 1


@pytest.mark.parametrize("problem", sorted(set(PROBLEMS) - {"leftover table"}))
def test_a_sample_without_problems_has_no(restored: Connection, problem: str) -> None:
    if '"legacy$' in PROBLEMS[problem]:
        assert not {"legacy$import", "legacy$lookup"} & set(tables(restored))
    else:
        assert number(restored, PROBLEMS[problem]) < 1
