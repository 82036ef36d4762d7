"""The `mendixsystem$*` tables: their DDL and their rows, derived from the schema."""

from collections.abc import Iterator
from typing import Any

from local.sample.plan import Plan
from local.sample.schema import CASCADE, SET_NULL, SUBTYPE, Schema, Table

MODEL_VERSION = "4.7.1.88"
RUNTIME_VERSION = "10.18.3.58900"
SYNCHRONISED = "2026-11-14 21:07:33.412"

DDL = """
CREATE TABLE "mendixsystem$entity" ("id" character varying(36) NOT NULL, "entity_name" character varying(511),
  "table_name" character varying(255), "superentity_id" character varying(255), "remote" boolean,
  "remote_primary_key" boolean, PRIMARY KEY ("id"));
CREATE INDEX "idx_mendixsystem$entity_entity_name" ON "mendixsystem$entity" ("entity_name");
CREATE TABLE "mendixsystem$attribute" ("id" character varying(36) NOT NULL, "entity_id" character varying(255),
  "attribute_name" character varying(255), "column_name" character varying(255), "type" integer, "length" integer,
  "default_value" text, "is_auto_number" boolean, PRIMARY KEY ("id"));
CREATE TABLE "mendixsystem$index" ("id" character varying(36) NOT NULL, "table_id" character varying(36) NOT NULL,
  "index_name" character varying(255) NOT NULL, PRIMARY KEY ("id"));
CREATE TABLE "mendixsystem$index_column" ("index_id" character varying(36) NOT NULL,
  "column_id" character varying(36) NOT NULL, "sort_order" boolean, "ordinal" integer,
  PRIMARY KEY ("index_id", "column_id"));
CREATE TABLE "mendixsystem$association" ("id" character varying(36) NOT NULL, "association_name" character varying(511),
  "table_name" character varying(255), "parent_entity_id" character varying(36),
  "child_entity_id" character varying(36), "parent_column_name" character varying(255),
  "child_column_name" character varying(255), "pk_index_name" character varying(255),
  "index_name" character varying(255), "parent_fkc_name" character varying(255),
  "child_fkc_name" character varying(255), "parent_fkc_action" smallint, "child_fkc_action" smallint,
  "storage_format" smallint, PRIMARY KEY ("id"));
CREATE TABLE "mendixsystem$version" ("versionnumber" character varying(255) NOT NULL,
  "lastsyncdate" timestamp without time zone, "preanalysismigrationversionnumber" character varying(255),
  "modelversionnumber" character varying(255), "sprintrprojectname" character varying(511),
  "mendixversion" character varying(255), PRIMARY KEY ("versionnumber"));
CREATE TABLE "mendixsystem$sequence" ("name" character varying(255), "attribute_id" character varying(36) NOT NULL,
  "start_value" bigint, "current_value" bigint, PRIMARY KEY ("attribute_id"));
CREATE INDEX "idx_mendixsystem$sequence_name" ON "mendixsystem$sequence" ("name");
CREATE TABLE "mendixsystem$entityidentifier" ("id" character varying(36) NOT NULL, "short_id" smallint,
  "object_sequence" bigint, PRIMARY KEY ("id"));
CREATE INDEX "idx_mendixsystem$entityidentifier_short_id" ON "mendixsystem$entityidentifier" ("short_id");
CREATE TABLE "mendixsystem$unique_constraint" ("name" character varying(255) NOT NULL,
  "table_id" character varying(36), "column_id" character varying(36) NOT NULL, PRIMARY KEY ("name", "column_id"));
CREATE TABLE "mendixsystem$remote_primary_key" ("id" character varying(36) NOT NULL,
  "entity_id" character varying(36), "attribute_name" character varying(255), "column_name" character varying(255),
  "type" integer, "length" integer, PRIMARY KEY ("id"));
CREATE TABLE "mendixsystem$properties" ("key" character varying(200) NOT NULL,
  "value" character varying(200) NOT NULL, PRIMARY KEY ("key"));
"""

PROPERTIES = (
    ("MxAdminUserName", "user00000@example.com"),
    ("Mendix.Runtime.DeploymentID", "0b4f1c52-98a3-4c55-8b43-2d1d0c1f6f0e"),
    ("oldFileMigrationCompleted", "true"),
    ("leftoverUnreferencedFileCleanupComplete", "true"),
)
REMOVED_ENTITIES = 3  # entities of former versions of the model, which keep their short ids

type Row = tuple[Any, ...]
type Rows = dict[str, list[Row]]


def rows(schema: Schema, plan: Plan | None) -> Rows:
    """Return the rows of every `mendixsystem$*` table; without a plan only their number is right."""
    return {
        "mendixsystem$entity": list(_entities(schema)),
        "mendixsystem$attribute": list(_attributes(schema)),
        "mendixsystem$index": [(_key_id(schema, t, k.name), t.guid, k.name) for t, k in _indexes(schema)],
        "mendixsystem$index_column": list(_index_columns(schema)),
        "mendixsystem$association": list(_associations(schema)),
        "mendixsystem$version": [("4.2", SYNCHRONISED, "4.4.0", MODEL_VERSION, "Sample", RUNTIME_VERSION)],
        "mendixsystem$sequence": list(_sequences(schema)),
        "mendixsystem$entityidentifier": list(_identifiers(schema, plan)),
        "mendixsystem$unique_constraint": list(_unique_constraints(schema)),
        "mendixsystem$remote_primary_key": [],
        "mendixsystem$properties": list(PROPERTIES),
    }


def _entities(schema: Schema) -> Iterator[Row]:
    for entity in schema.model.entities:
        above = schema.entity_guid(entity.superentity) if entity.superentity else None
        yield (schema.entity_guid(entity.name), entity.name, entity.table, above, False, False)


def _attributes(schema: Schema) -> Iterator[Row]:
    for table in schema.tables:
        for column in table.columns:
            if table.entity is None or column.association:
                continue
            if attribute := column.attribute:
                kind = attribute.kind
                numbered = kind.code == 0
                yield (
                    *(column.guid, table.guid, attribute.name, column.name),
                    *(kind.code, kind.length, attribute.default, numbered),
                )
            elif column.name == SUBTYPE:
                yield (column.guid, table.guid, SUBTYPE, SUBTYPE, 30, 255, table.entity.name, False)
            else:
                name = column.name.replace("date", "Date")
                yield (column.guid, table.guid, name, column.name, 20, 0, "", False)


def _indexes(schema: Schema) -> Iterator[tuple[Table, Any]]:
    for table in schema.tables:
        if table.entity:
            yield from ((table, key) for key in table.keys if not key.unique)


def _key_id(schema: Schema, table: Table, name: str) -> str:
    return schema.guid(f"index {table.name} {name}")


def _index_columns(schema: Schema) -> Iterator[Row]:
    for table, key in _indexes(schema):
        guids = {column.name: column.guid for column in table.columns}
        for ordinal, (name, descending) in enumerate(key.columns):
            yield (_key_id(schema, table, key.name), guids[name], descending, ordinal)


def _associations(schema: Schema) -> Iterator[Row]:
    for table in schema.tables:
        if association := table.association:
            index = next(key.name for key in table.keys if not key.unique)
            foreign: list[str | None] = [key.name for key in table.foreign_keys]
            foreign = foreign or [None, None]
            action = CASCADE if table.foreign_keys else None
            yield (
                *(table.guid, association.name, table.name),
                *(schema.entity_guid(association.parent), schema.entity_guid(association.child)),
                *(table.columns[0].name, table.columns[1].name, f"{table.name}_pkey"[:63], index),
                *(*foreign, action, action, 2),
            )
        for column in table.columns:
            if association := column.association:
                keys = [key.name for key in table.foreign_keys if key.column == column.name]
                yield (
                    *(column.guid, association.name, table.name),
                    *(table.guid, schema.entity_guid(association.child), "id", column.name, None),
                    _index_on(table, column.name),
                    *(None, keys[0] if keys else None, None, SET_NULL if keys else None, 1),
                )


def _index_on(table: Table, column: str) -> str:
    return next(key.name for key in table.keys if key.columns == ((column, False),) and not key.unique)


def _sequences(schema: Schema) -> Iterator[Row]:
    for table in schema.tables:
        for column in table.columns:
            if name := table.sequences.get(column.name):
                # Stale on purpose: on PostgreSQL the runtime counts with the native sequence and leaves this alone.
                start = int(column.attribute.default or 1) if column.attribute else 1
                yield (name, column.guid, start, 0)


def _identifiers(schema: Schema, plan: Plan | None) -> Iterator[Row]:
    for entity in schema.model.entities:
        guid = schema.entity_guid(entity.name)
        yield (guid, plan.short_ids[entity.name], plan.object_sequence(entity)) if plan else (guid, 0, 0)
    for number in range(REMOVED_ENTITIES):
        yield (schema.guid(f"removed entity {number}"), 900 + number, 101 + 100 * number)


def _unique_constraints(schema: Schema) -> Iterator[Row]:
    for table in schema.tables:
        guids = {column.name: column.guid for column in table.columns}
        for key in table.keys:
            if key.unique:
                yield (key.name, table.guid, guids[key.columns[0][0]])
