"""A small Mendix database in PostgreSQL: what its dump must bring to a target as it is, and what must not arrive."""

SESSION, CUSTOMER, ORDER, CART, DOCUMENT = "s-1", "c-1", "o-1", "k-1", "170ce49d-f29c-4fac-99a6-b55e8a3aeb39"
ROWS = 3_000

METADATA = f"""
    CREATE TABLE "mendixsystem$entity" (
        id varchar(36) PRIMARY KEY, entity_name varchar(511), table_name varchar(255), superentity_id varchar(36), remote boolean
    );
    INSERT INTO "mendixsystem$entity" VALUES
        ('{SESSION}', 'System.Session', 'system$session', NULL, false),
        ('{DOCUMENT}', 'System.FileDocument', 'system$filedocument', NULL, false),
        ('{CUSTOMER}', 'Shop.Customer', 'shop$customer', NULL, false),
        ('{ORDER}', 'Shop.Order', 'shop$order', NULL, false),
        ('{CART}', 'Shop.Cart', 'shop$cart', NULL, false);
    CREATE TABLE "mendixsystem$attribute" (
        id varchar(36) PRIMARY KEY, entity_id varchar(36), attribute_name varchar(255), column_name varchar(255), type int,
        length int, default_value text, is_auto_number boolean
    );
    INSERT INTO "mendixsystem$attribute" VALUES
        ('a-1', '{CUSTOMER}', 'Name', 'name', 30, 100, NULL, false), ('a-2', '{CUSTOMER}', 'Email', 'email', 30, 200, NULL, false),
        ('a-3', '{CUSTOMER}', 'Notes', 'notes', 30, 0, NULL, false), ('a-4', '{ORDER}', 'Number', 'number', 0, 0, NULL, true),
        ('a-5', '{CUSTOMER}', 'Code', 'code', 30, 5, NULL, false), ('f-1', '{DOCUMENT}', '__UUID__', '__uuid__', 30, 36, NULL, false),
        ('f-2', '{DOCUMENT}', 'HasContents', 'hascontents', 10, 0, NULL, false), ('f-4', '{DOCUMENT}', 'Size', 'size', 4, 0, NULL, false),
        ('f-3', '{DOCUMENT}', 'DeleteAfterDownload', 'deleteafterdownload', 10, 0, NULL, false);
    CREATE TABLE "mendixsystem$association" (
        id varchar(36) PRIMARY KEY, association_name varchar(511), table_name varchar(255), parent_entity_id varchar(36),
        child_entity_id varchar(36), parent_column_name varchar(255), child_column_name varchar(255), storage_format smallint
    );
    INSERT INTO "mendixsystem$association" VALUES
        ('x-1', 'Shop.Cart_Session', 'shop$cart', '{CART}', '{SESSION}', 'id', 'shop$cart_session', 1),
        ('x-2', 'System.Session_User', 'system$session_user', '{SESSION}', '{CUSTOMER}', 'system$sessionid', 'shop$customerid', 2);
    CREATE TABLE "mendixsystem$properties" (key varchar(200) PRIMARY KEY, value varchar(200));
    INSERT INTO "mendixsystem$properties" VALUES ('MxAdminUserName', 'MxAdmin'), ('Mendix.Runtime.DeploymentID', 'd-1');
    CREATE TABLE "mendixsystem$version" (versionnumber varchar(20) PRIMARY KEY, modelversionnumber varchar(50), mendixversion varchar(50));
    INSERT INTO "mendixsystem$version" VALUES ('4.2', '1.4.2.77', '9.18.4.62522');
"""

TABLES = f"""
    CREATE TABLE "system$session" (id bigint PRIMARY KEY, sessionid varchar(50));
    INSERT INTO "system$session" SELECT g, md5(g::text) FROM generate_series(1, 20) g;
    CREATE TABLE "system$session_user" ("system$sessionid" bigint, "shop$customerid" bigint);
    INSERT INTO "system$session_user" SELECT g, g FROM generate_series(1, 20) g;
    CREATE TABLE "system$filedocument" (id bigint PRIMARY KEY, __uuid__ varchar(36), hascontents boolean, deleteafterdownload boolean,
        size bigint, submetaobjectname varchar(255));
    INSERT INTO "system$filedocument" VALUES (1, '0d3e301f-5551-46f8-ad44-8de2be084c95', true, false, 3, 'Shop.Picture'),
        (2, '1d3e301f-5551-46f8-ad44-8de2be084c95', true, false, 3, 'Shop.Picture');
    CREATE TABLE "shop$customer" (
        id bigint PRIMARY KEY, name varchar(100), email varchar(200), code varchar(5), born timestamp, balance numeric(28,8), vip boolean,
        notes text, photo bytea, ratio double precision, seen timestamptz
    );
    INSERT INTO "shop$customer"
    SELECT g, CASE WHEN g % 11 > 0 THEN 'naïve ' || g END, 'ann' || g || '@shop.example', 'c' || g % 9,
           timestamp '1980-01-01' + g * interval '1.000001 hour', g / 7.0, g % 2 = 0,
           repeat('é😀' || chr(9) || chr(10) || '\\', g % 20), decode(md5(g::text), 'hex'), g / 3.0,
           timestamptz '2026-01-01 00:00:00.5+00' + g * interval '1 minute'
    FROM generate_series(1, {ROWS}) g;
    CREATE INDEX "idx_shop$customer_name" ON "shop$customer" (name DESC, id);
    ALTER TABLE "shop$customer" ADD CONSTRAINT "uniq_shop$customer_email" UNIQUE (email);
    CREATE TABLE "shop$order" (id bigint PRIMARY KEY, number bigint, customer bigint, total integer);
    INSERT INTO "shop$order" SELECT g, g, 1 + g % {ROWS}, g % 100 FROM generate_series(1, {ROWS}) g;
    ALTER TABLE "shop$order" ADD CONSTRAINT "frn_shop$order_customer" FOREIGN KEY (customer) REFERENCES "shop$customer" (id);
    ALTER TABLE "shop$order" ADD CONSTRAINT "total is no debt" CHECK (total >= 0) NOT VALID;
    CREATE TABLE "shop$cart" (id bigint PRIMARY KEY, "shop$cart_session" bigint REFERENCES "system$session" (id));
    INSERT INTO "shop$cart" SELECT g, 1 + g % 20 FROM generate_series(1, 40) g;
    CREATE TABLE "shop$log" (line text, at timestamp);
    INSERT INTO "shop$log" VALUES ('\\.', now()), ('', NULL), (NULL, NULL), ('twice', NULL), ('twice', NULL);
    CREATE TABLE "shop$nothing" (id bigint PRIMARY KEY);
    CREATE TABLE "shop$ticket" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, old serial, name text);
    INSERT INTO "shop$ticket" (name) VALUES ('one'), ('two');
    CREATE SEQUENCE "shop$order_number_mxseq" START 7;
    SELECT setval('"shop$order_number_mxseq"', 4711);
    CREATE SEQUENCE "shop$unused_mxseq" START 3;
    CREATE VIEW "a view" AS SELECT 1 AS one;
"""
EMPTIED = ("system$session", "system$session_user")
CHANGED = {"mendixsystem$properties", "shop$cart", *EMPTIED}
"""Tables that do not arrive as they are in the dump."""
