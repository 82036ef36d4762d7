-- The catalogue: what the stand-in knows beside PostgreSQL's own catalogue, and SQL Server's views over both.
--
-- The declared T-SQL type of a column is the column's comment, and what a key or an index is called and meant to be is
-- the index's comment, both JSON: comments are transactional and go with their object.

CREATE TABLE mssql.procedures (
    object_id int PRIMARY KEY DEFAULT (1900000000 + floor(random() * 100000000))::int,
    name text NOT NULL,
    definition text NOT NULL,
    create_date timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')
);
CREATE UNIQUE INDEX ON mssql.procedures (lower(name));

-- Users beside dbo, and their rights on the database.
CREATE TABLE mssql.principals (
    principal_id int GENERATED ALWAYS AS IDENTITY (START WITH 5) PRIMARY KEY,
    name text NOT NULL
);
CREATE UNIQUE INDEX ON mssql.principals (lower(name));
CREATE TABLE mssql.rights (name text, given text, PRIMARY KEY (name, given));

-- CONTROL is everything; ALTER on the database is ALTER on its schemas, and ALTER ANY of its things.
CREATE FUNCTION mssql.may(who text, wanted text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT lower(who) = 'dbo' OR EXISTS (
        SELECT 1 FROM mssql.rights AS r
        WHERE r.name = lower(who)
            AND (r.given IN (lower(wanted), 'control') OR (r.given = 'alter' AND lower(wanted) LIKE 'alter any %'))
    )
$$;

-- Foreign keys that a bulk load without CHECK_CONSTRAINTS may have broken, until WITH CHECK CHECK CONSTRAINT.
CREATE TABLE mssql.untrusted (conoid oid PRIMARY KEY);

-- --- what PostgreSQL knows, under T-SQL's names --------------------------------------------------------------------

CREATE VIEW mssql.tables AS
    SELECT c.oid, c.oid::int AS object_id, c.relname::text AS name, n.nspname::text AS schema_name,
        coalesce((obj_description(c.oid, 'pg_class')::jsonb ->> 'created')::timestamp, '2000-01-01') AS create_date
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = 'dbo';

CREATE VIEW mssql.columns AS
    SELECT a.attrelid::int AS object_id, a.attname::text AS name, a.attnum::int AS column_id, NOT a.attnotnull AS nullable,
        col_description(a.attrelid, a.attnum)::jsonb AS told, a.atthasdef, a.attrelid, a.attnum
    FROM pg_attribute AS a JOIN mssql.tables AS t ON t.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped;

CREATE VIEW mssql.indexes AS
    SELECT i.indrelid::int AS object_id, i.indexrelid::int AS index_oid, told ->> 'name' AS name, told ->> 'kind' AS kind,
        (told ->> 'clustered')::boolean AS clustered, told ->> 'where' AS predicate, told -> 'columns' AS columns,
        told -> 'included' AS included, i.indisunique AS is_unique, t.name AS table_name,
        CASE WHEN (told ->> 'clustered')::boolean THEN 1
            ELSE 1 + row_number() OVER (PARTITION BY i.indrelid, (told ->> 'clustered')::boolean ORDER BY i.indexrelid)
        END::int AS index_id
    FROM pg_index AS i JOIN mssql.tables AS t ON t.oid = i.indrelid,
        LATERAL (SELECT obj_description(i.indexrelid, 'pg_class')::jsonb AS told) AS d
    WHERE told IS NOT NULL;

CREATE VIEW mssql.foreign_keys AS
    SELECT c.oid AS conoid, c.oid::int AS object_id, c.conrelid::int AS parent_object_id, c.confrelid::int AS referenced_object_id,
        (obj_description(c.oid, 'pg_constraint')::jsonb ->> 'name') AS name, c.conname, c.confdeltype, c.confupdtype, c.conkey, c.confkey
    FROM pg_constraint AS c JOIN mssql.tables AS t ON t.oid = c.conrelid
    WHERE c.contype = 'f';

CREATE VIEW mssql.databases AS
    SELECT d.datname::text AS stored_as, told ->> 'name' AS name,
        5 + (row_number() OVER (ORDER BY d.oid))::int - 1 AS database_id,
        told ->> 'collation' AS collation_name, coalesce((told ->> 'compatibility_level')::int, 160) AS compatibility_level,
        coalesce((told ->> 'read_committed_snapshot')::boolean, false) AS rcsi,
        coalesce((told ->> 'snapshot_isolation')::boolean, false) AS snapshot, told
    FROM pg_database AS d, LATERAL (SELECT shobj_description(d.oid, 'pg_database') AS comment) AS s,
        LATERAL (SELECT CASE WHEN comment LIKE '{"sqlserver":%' THEN comment::jsonb -> 'sqlserver' END AS told) AS t
    WHERE d.datname LIKE 'sqlserver\_%' AND told IS NOT NULL;

CREATE FUNCTION mssql.db_name() RETURNS text LANGUAGE sql STABLE AS
    'SELECT name FROM mssql.databases WHERE stored_as = current_database()';

CREATE FUNCTION mssql.db_id(wanted text) RETURNS int LANGUAGE sql STABLE AS
    'SELECT database_id FROM mssql.databases WHERE lower(name) = lower(wanted)';

CREATE FUNCTION mssql.db_collation() RETURNS text LANGUAGE sql STABLE AS
    'SELECT collation_name FROM mssql.databases WHERE stored_as = current_database()';

-- --- types ---------------------------------------------------------------------------------------------------------

CREATE TABLE mssql.types (name text, system_type_id int, user_type_id int, max_length int, prec int, scale int);
INSERT INTO mssql.types VALUES
    ('uniqueidentifier', 36, 36, 16, 0, 0), ('date', 40, 40, 3, 10, 0), ('time', 41, 41, 5, 16, 7),
    ('datetime2', 42, 42, 8, 27, 7), ('tinyint', 48, 48, 1, 3, 0), ('smallint', 52, 52, 2, 5, 0), ('int', 56, 56, 4, 10, 0),
    ('smalldatetime', 58, 58, 4, 16, 0), ('real', 59, 59, 4, 24, 0), ('money', 60, 60, 8, 19, 4),
    ('datetime', 61, 61, 8, 23, 3), ('float', 62, 62, 8, 53, 0), ('bit', 104, 104, 1, 1, 0),
    ('decimal', 106, 106, 17, 38, 38), ('numeric', 108, 108, 17, 38, 38), ('bigint', 127, 127, 8, 19, 0),
    ('varbinary', 165, 165, 8000, 0, 0), ('varchar', 167, 167, 8000, 0, 0), ('binary', 173, 173, 8000, 0, 0),
    ('char', 175, 175, 8000, 0, 0), ('nvarchar', 231, 231, 8000, 0, 0), ('nchar', 239, 239, 8000, 0, 0),
    ('sysname', 231, 256, 256, 0, 0);

-- --- sys.* ---------------------------------------------------------------------------------------------------------

CREATE VIEW sys.schemas AS
    SELECT 'dbo'::mssql.sysname AS name, 1 AS schema_id, 1 AS principal_id
    UNION ALL SELECT 'guest'::mssql.sysname, 2, 2 UNION ALL SELECT 'INFORMATION_SCHEMA'::mssql.sysname, 3, 3
    UNION ALL SELECT 'sys'::mssql.sysname, 4, 4;

CREATE VIEW sys.types AS
    SELECT name::mssql.sysname AS name, system_type_id, user_type_id, 4 AS schema_id, max_length::smallint AS max_length,
        prec::mssql.tinyint AS precision, scale::mssql.tinyint AS scale,
        CASE WHEN name LIKE '%char' OR name = 'sysname' THEN mssql.db_collation() END::mssql.sysname AS collation_name,
        1::mssql.bit AS is_nullable, 0::mssql.bit AS is_user_defined
    FROM mssql.types;

CREATE VIEW sys.tables AS
    SELECT name::mssql.sysname AS name, object_id, 1 AS schema_id, 0 AS parent_object_id, 'U '::mssql.sysname AS type,
        'USER_TABLE'::mssql.sysname AS type_desc, create_date, create_date AS modify_date, 0::mssql.bit AS is_ms_shipped,
        0::mssql.tinyint AS temporal_type, 0::mssql.bit AS is_memory_optimized, 0::mssql.bit AS is_external
    FROM mssql.tables;

CREATE VIEW sys.procedures AS
    SELECT name::mssql.sysname AS name, object_id, 1 AS schema_id, 'P '::mssql.sysname AS type,
        'SQL_STORED_PROCEDURE'::mssql.sysname AS type_desc, create_date, create_date AS modify_date, 0::mssql.bit AS is_ms_shipped
    FROM mssql.procedures;

CREATE VIEW sys.sql_modules AS
    SELECT object_id, definition FROM mssql.procedures;

CREATE VIEW sys.columns AS
    SELECT c.object_id, c.name::mssql.sysname AS name, c.column_id, t.system_type_id::mssql.tinyint AS system_type_id, t.user_type_id,
        (told ->> 'max_length')::smallint AS max_length, (told ->> 'precision')::mssql.tinyint AS precision,
        (told ->> 'scale')::mssql.tinyint AS scale, (told ->> 'collation')::mssql.sysname AS collation_name,
        nullable::int::mssql.bit AS is_nullable, 0::mssql.bit AS is_identity, 0::mssql.bit AS is_computed,
        0::mssql.bit AS is_rowguidcol, 0::mssql.bit AS is_hidden, 0::mssql.tinyint AS generated_always_type,
        CASE WHEN atthasdef THEN c.object_id + c.column_id ELSE 0 END AS default_object_id
    FROM mssql.columns AS c LEFT JOIN mssql.types AS t ON t.name = told ->> 'type' AND t.name <> 'sysname';

CREATE VIEW sys.all_columns AS SELECT * FROM sys.columns;

CREATE VIEW sys.indexes AS
    SELECT object_id, name::mssql.sysname AS name, index_id, (CASE WHEN clustered THEN 1 ELSE 2 END)::mssql.tinyint AS type,
        (CASE WHEN clustered THEN 'CLUSTERED' ELSE 'NONCLUSTERED' END)::mssql.sysname AS type_desc,
        is_unique::int::mssql.bit AS is_unique, (kind = 'PK')::int::mssql.bit AS is_primary_key,
        (kind = 'UQ')::int::mssql.bit AS is_unique_constraint, 0::mssql.bit AS is_disabled, 0::mssql.bit AS is_hypothetical,
        (predicate IS NOT NULL)::int::mssql.bit AS has_filter, predicate AS filter_definition
    FROM mssql.indexes
    UNION ALL
    SELECT t.object_id, NULL::mssql.sysname, 0, 0::mssql.tinyint, 'HEAP'::mssql.sysname, 0::mssql.bit, 0::mssql.bit, 0::mssql.bit,
        0::mssql.bit, 0::mssql.bit, 0::mssql.bit, NULL FROM mssql.tables AS t
    WHERE NOT EXISTS (SELECT FROM mssql.indexes AS i WHERE i.object_id = t.object_id AND i.clustered);

CREATE VIEW sys.index_columns AS
    SELECT i.object_id, i.index_id, k.place::int AS index_column_id, c.column_id, k.place::mssql.tinyint AS key_ordinal,
        coalesce((k.col ->> 'descending')::boolean, false)::int::mssql.bit AS is_descending_key, 0::mssql.bit AS is_included_column,
        0::mssql.tinyint AS partition_ordinal
    FROM mssql.indexes AS i CROSS JOIN LATERAL jsonb_array_elements(i.columns) WITH ORDINALITY AS k (col, place)
        JOIN mssql.columns AS c ON c.object_id = i.object_id AND c.name = k.col ->> 'name'
    UNION ALL
    SELECT i.object_id, i.index_id, (jsonb_array_length(i.columns) + k.place)::int, c.column_id, 0::mssql.tinyint, 0::mssql.bit,
        1::mssql.bit, 0::mssql.tinyint
    FROM mssql.indexes AS i CROSS JOIN LATERAL jsonb_array_elements_text(i.included) WITH ORDINALITY AS k (col, place)
        JOIN mssql.columns AS c ON c.object_id = i.object_id AND c.name = k.col;

CREATE VIEW sys.key_constraints AS
    SELECT name::mssql.sysname AS name, index_oid AS object_id, 1 AS schema_id, object_id AS parent_object_id,
        kind::mssql.sysname AS type,
        (CASE kind WHEN 'PK' THEN 'PRIMARY_KEY_CONSTRAINT' ELSE 'UNIQUE_CONSTRAINT' END)::mssql.sysname AS type_desc,
        index_id AS unique_index_id, 0::mssql.bit AS is_system_named, 1::mssql.bit AS is_enforced
    FROM mssql.indexes WHERE kind IN ('PK', 'UQ');

CREATE VIEW sys.foreign_keys AS
    SELECT name::mssql.sysname AS name, f.object_id, 1 AS schema_id, parent_object_id, 'F '::mssql.sysname AS type,
        'FOREIGN_KEY_CONSTRAINT'::mssql.sysname AS type_desc, referenced_object_id, EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgconstraint = f.conoid AND g.tgenabled = 'D')::int::mssql.bit AS is_disabled,
        (u.conoid IS NOT NULL)::int::mssql.bit AS is_not_trusted, 0::mssql.bit AS is_not_for_replication,
        (CASE confdeltype WHEN 'c' THEN 1 WHEN 'n' THEN 2 WHEN 'd' THEN 3 ELSE 0 END)::mssql.tinyint AS delete_referential_action,
        (CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET_NULL' WHEN 'd' THEN 'SET_DEFAULT' ELSE 'NO_ACTION' END)::mssql.sysname
            AS delete_referential_action_desc,
        (CASE confupdtype WHEN 'c' THEN 1 WHEN 'n' THEN 2 WHEN 'd' THEN 3 ELSE 0 END)::mssql.tinyint AS update_referential_action,
        (CASE confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET_NULL' WHEN 'd' THEN 'SET_DEFAULT' ELSE 'NO_ACTION' END)::mssql.sysname
            AS update_referential_action_desc
    FROM mssql.foreign_keys AS f LEFT JOIN mssql.untrusted AS u USING (conoid);

CREATE VIEW sys.foreign_key_columns AS
    SELECT f.object_id AS constraint_object_id, k.place::int AS constraint_column_id, parent_object_id,
        k.a::int AS parent_column_id, referenced_object_id, k.b::int AS referenced_column_id
    FROM mssql.foreign_keys AS f CROSS JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY AS k (a, b, place);

CREATE VIEW sys.check_constraints AS
    SELECT (obj_description(c.oid, 'pg_constraint')::jsonb ->> 'name')::mssql.sysname AS name, c.oid::int AS object_id,
        c.conrelid::int AS parent_object_id, 1 AS schema_id,
        obj_description(c.oid, 'pg_constraint')::jsonb ->> 'definition' AS definition
    FROM pg_constraint AS c JOIN mssql.tables AS t ON t.oid = c.conrelid
    WHERE c.contype = 'c' AND obj_description(c.oid, 'pg_constraint') IS NOT NULL;

CREATE VIEW sys.default_constraints AS
    SELECT (c.told ->> 'default_name')::mssql.sysname AS name, c.object_id + c.column_id AS object_id,
        c.object_id AS parent_object_id, c.column_id AS parent_column_id, 1 AS schema_id, c.told ->> 'default' AS definition
    FROM mssql.columns AS c WHERE atthasdef;

CREATE VIEW sys.objects AS
    SELECT name, object_id, schema_id, 0 AS parent_object_id, type, type_desc, create_date, modify_date, is_ms_shipped FROM sys.tables
    UNION ALL
    SELECT name, object_id, schema_id, 0, type, type_desc, create_date, modify_date, is_ms_shipped FROM sys.procedures
    UNION ALL
    SELECT name, object_id, schema_id, parent_object_id, type, type_desc, timestamp '2000-01-01', timestamp '2000-01-01', 0::mssql.bit FROM sys.key_constraints
    UNION ALL
    SELECT name, object_id, schema_id, parent_object_id, type, type_desc, timestamp '2000-01-01', timestamp '2000-01-01', 0::mssql.bit FROM sys.foreign_keys;

CREATE VIEW sys.all_objects AS SELECT * FROM sys.objects;

CREATE VIEW sys.views AS
    SELECT name, object_id, schema_id, create_date FROM sys.tables WHERE false;

CREATE VIEW sys.identity_columns AS
    SELECT object_id, name, column_id, 0::bigint AS seed_value, 0::bigint AS increment_value FROM sys.columns WHERE false;

CREATE VIEW sys.sequences AS
    SELECT name, object_id, schema_id FROM sys.tables WHERE false;

CREATE VIEW sys.databases AS
    SELECT name::mssql.sysname AS name, database_id, collation_name::mssql.sysname AS collation_name,
        compatibility_level::mssql.tinyint AS compatibility_level, rcsi::int::mssql.bit AS is_read_committed_snapshot_on,
        snapshot::int::mssql.tinyint AS snapshot_isolation_state,
        (CASE WHEN snapshot THEN 'ON' ELSE 'OFF' END)::mssql.sysname AS snapshot_isolation_state_desc,
        'ONLINE'::mssql.sysname AS state_desc, 0::mssql.tinyint AS state, 0::mssql.bit AS is_read_only,
        'FULL'::mssql.sysname AS recovery_model_desc
    FROM mssql.databases;

-- application_name of a session's PostgreSQL connection: `session|login|host|program`, cut at 63 bytes by PostgreSQL.
CREATE VIEW sys.dm_exec_sessions AS
    SELECT split_part(application_name, '|', 1)::smallint AS session_id, split_part(application_name, '|', 4)::mssql.sysname AS program_name,
        split_part(application_name, '|', 3)::mssql.sysname AS host_name, split_part(application_name, '|', 2)::mssql.sysname AS login_name,
        d.database_id::smallint AS database_id, 1::mssql.bit AS is_user_process,
        (CASE state WHEN 'active' THEN 'running' ELSE 'sleeping' END)::mssql.sysname AS status,
        (backend_start AT TIME ZONE 'UTC')::timestamp AS login_time, (query_start AT TIME ZONE 'UTC')::timestamp AS last_request_start_time,
        (xact_start IS NOT NULL)::int AS open_transaction_count
    FROM pg_stat_activity AS a JOIN mssql.databases AS d ON d.stored_as = a.datname
    WHERE application_name ~ '^\d+\|';

CREATE FUNCTION mssql.row_count(object_id int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE 'SELECT count(*) FROM ' || object_id::oid::regclass INTO n;
    RETURN n;
END $$;

-- Counts are exact here (the table is counted); SQL Server's are kept by the engine.
CREATE VIEW sys.dm_db_partition_stats AS
    SELECT i.object_id, i.index_id, mssql.row_count(i.object_id) AS row_count, 1 AS partition_number,
        (pg_relation_size(i.object_id::oid) / 8192)::bigint AS used_page_count,
        (pg_relation_size(i.object_id::oid) / 8192)::bigint AS reserved_page_count
    FROM sys.indexes AS i;

CREATE VIEW sys.partitions AS
    SELECT object_id, index_id, 1 AS partition_number, row_count AS rows FROM sys.dm_db_partition_stats;

CREATE FUNCTION mssql.object_id(wanted text, kind text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT o.object_id FROM sys.objects AS o,
        LATERAL (SELECT regexp_replace(regexp_replace(wanted, '^\s*(\[?dbo\]?\.)', '', 'i'), '^\[(.*)\]$', '\1') AS bare) AS b
    WHERE lower(o.name) = lower(replace(bare, ']]', ']')) AND (kind IS NULL OR btrim(o.type) = upper(btrim(kind)))
    ORDER BY o.type DESC LIMIT 1
$$;
