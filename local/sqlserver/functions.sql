-- T-SQL's functions, as far as the stand-in serves them, for the SQL that local/sqlserver writes.
-- Every function is in schema mssql; strings are UTF-8 text, lengths count UTF-16 units as SQL Server does.

CREATE SCHEMA mssql;
CREATE SCHEMA dbo;
CREATE SCHEMA sys;

CREATE DOMAIN mssql.bit AS smallint;
CREATE DOMAIN mssql.tinyint AS smallint;
CREATE DOMAIN mssql.sysname AS text;

-- An error with a number of its own: local/sqlserver/store.py takes number and text from message and detail.
CREATE FUNCTION mssql.fail(number int, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'MS001', MESSAGE = message, DETAIL = number::text;
END $$;

-- --- strings ------------------------------------------------------------------------------------------------------

-- UTF-16 units of a string. Characters beyond the BMP take four bytes in UTF-8 and two units in UTF-16.
CREATE FUNCTION mssql.units(value text) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(value) < char_length(value) + 3 THEN char_length(value)
        ELSE char_length(value) + length(regexp_replace(value, '[^\U00010000-\U0010FFFF]', '', 'g')) END
$$;

-- The longest prefix of at most n UTF-16 units.
CREATE FUNCTION mssql.units_left(value text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    prefix text := left(value, n);
BEGIN
    WHILE mssql.units(prefix) > n LOOP
        prefix := left(prefix, char_length(prefix) - greatest(1, (mssql.units(prefix) - n) / 2));
    END LOOP;
    RETURN prefix;
END $$;

-- False is never given: a string that does not fit is error 2628, with the text SQL Server gives it.
CREATE FUNCTION mssql.fits(value text, n int, place text, col text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF mssql.units(value) > n THEN
        PERFORM mssql.fail(2628, format('String or binary data would be truncated in table ''%s'', column ''%s''. '
            'Truncated value: ''%s''.', place, col, left(value, least(n, 100))));
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION mssql.fits_bytes(size int, n int, place text, col text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF size > n THEN
        PERFORM mssql.fail(2628, format('String or binary data would be truncated in table ''%s'', column ''%s''. '
            'Truncated value: ''''.', place, col));
    END IF;
    RETURN true;
END $$;

-- UTF-16LE bytes of a string.
CREATE FUNCTION mssql.utf16(value text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(decode(string_agg(
        CASE WHEN code < 65536 THEN lpad(to_hex(code & 255), 2, '0') || lpad(to_hex(code >> 8), 2, '0')
        ELSE lpad(to_hex(((code - 65536) >> 10) & 255), 2, '0') || lpad(to_hex((55296 + ((code - 65536) >> 10)) >> 8), 2, '0')
          || lpad(to_hex((code - 65536) & 255), 2, '0') || lpad(to_hex((56320 + ((code - 65536) & 1023)) >> 8), 2, '0')
        END, '' ORDER BY place), 'hex'), '')
    FROM (SELECT ascii(c) AS code, place FROM regexp_split_to_table(value, '') WITH ORDINALITY AS s (c, place)
          WHERE c <> '') AS codes
$$;

-- What becomes of a string in a varchar of code page 1252: each unit it cannot hold is a question mark.
CREATE FUNCTION mssql.cp1252(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(value) = char_length(value) THEN value ELSE
        regexp_replace(regexp_replace(value, '[\U00010000-\U0010FFFF]', '??', 'g'),
            '[^\u0001-\u007f\u00a0-\u00ff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]', '?', 'g') END
$$;

-- Bytes of a string in code page 1252, for HASHBYTES and casts to varbinary.
CREATE FUNCTION mssql.cp1252_bytes(value text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT convert_to(mssql.cp1252(value), 'WIN1252')
$$;

-- --- conversions --------------------------------------------------------------------------------------------------

-- Big-endian integer of the last n bytes, as CONVERT(bigint, 0x…) gives.
CREATE FUNCTION mssql.bytes_to_bigint(value bytea) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ('x' || lpad(right(encode(value, 'hex'), 16), 16, '0'))::bit(64)::bigint
$$;

CREATE FUNCTION mssql.bytes_to_int(value bytea) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ('x' || lpad(right(encode(value, 'hex'), 8), 8, '0'))::bit(32)::int
$$;

CREATE FUNCTION mssql.hex_to_bytes(value text, style int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT decode(CASE WHEN style = 1 THEN substr(value, 3) ELSE value END, 'hex')
$$;

-- uniqueidentifier to binary(16): the first three groups are little-endian.
CREATE FUNCTION mssql.uuid_bytes(value uuid) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT decode(regexp_replace(replace(value::text, '-', ''),
        '^(..)(..)(..)(..)(..)(..)(..)(..)(.*)$', '\4\3\2\1\6\5\8\7\9'), 'hex')
$$;

CREATE FUNCTION mssql.bytes_uuid(value bytea) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(encode(value, 'hex'),
        '^(..)(..)(..)(..)(..)(..)(..)(..)(.*)$', '\4\3\2\1\6\5\8\7\9')::uuid
$$;

-- String to bit: '1', '0', 'true', 'false'.
CREATE FUNCTION mssql.text_to_bit(value text) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE lower(btrim(value)) WHEN 'true' THEN 1 WHEN 'false' THEN 0 WHEN '' THEN 0
        ELSE CASE WHEN btrim(value)::numeric <> 0 THEN 1 ELSE 0 END END::smallint
$$;

-- The date and time of a string: ISO forms only ('2026-11-22 21:15:00.123', with T, '20261122', a date alone).
CREATE FUNCTION mssql.moment_of(value text) RETURNS timestamp LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF value = '' THEN
        RETURN timestamp '1900-01-01';
    END IF;
    IF value !~ '^\d{4}-?\d\d-?\d\d([ T]\d\d?:\d\d(:\d\d(\.\d{1,7})?)?Z?)?$' THEN
        PERFORM mssql.fail(241, 'Conversion failed when converting date and/or time from character string.');
    END IF;
    RETURN rtrim(value, 'Z')::timestamp;
END $$;

-- tinyint is stored as smallint.
CREATE FUNCTION mssql.to_tinyint(value smallint) RETURNS smallint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF value NOT BETWEEN 0 AND 255 THEN
        PERFORM mssql.fail(8115, 'Arithmetic overflow error converting expression to data type tinyint.');
    END IF;
    RETURN value;
END $$;

-- datetime holds three-hundredths of a second.
CREATE FUNCTION mssql.to_datetime(value timestamp) RETURNS timestamp(3) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT date_trunc('second', value)
        + make_interval(secs => round(round(extract(microseconds FROM value)::numeric % 1000000 * 3 / 10000) * 10 / 3) / 1000)
$$;

CREATE FUNCTION mssql.to_smalldatetime(value timestamp) RETURNS timestamp(0) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT date_trunc('minute', value + interval '30.001 seconds')
$$;

-- float to string without a style: at most six digits, an exponent of three digits beyond 1e6 and below 1e-4.
CREATE FUNCTION mssql.float_text(value float8) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN value = 0 THEN '0'
        WHEN abs(value) >= 1e6 OR abs(value) < 1e-4 THEN
            regexp_replace(regexp_replace(btrim(to_char(value, '9.99999EEEE')), '\.?0*e', 'e'), 'e([+-])(\d\d)$', 'e\10\2')
        ELSE trim_scale(round(value::numeric, greatest(0, 5 - floor(log(abs(value)::numeric))::int)))::text
    END
$$;

-- --- functions by name --------------------------------------------------------------------------------------------

CREATE FUNCTION mssql.quotename(value text, quote text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE quote WHEN '[' THEN '[' || replace(value, ']', ']]') || ']' WHEN ']' THEN '[' || replace(value, ']', ']]') || ']'
        WHEN '''' THEN '''' || replace(value, '''', '''''') || ''''
        WHEN '"' THEN '"' || replace(value, '"', '""') || '"' END
$$;

-- --- application locks --------------------------------------------------------------------------------------------

-- sp_getapplock's return code: 0 granted, 1 granted after waiting, -1 timed out. Only exclusive and shared locks.
-- Advisory locks of PostgreSQL, so a resource is known by a 64-bit hash of database and name.
CREATE FUNCTION mssql.getapplock(resource text, shared boolean, of_transaction boolean, milliseconds int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    key bigint := hashtextextended(resource, 0);
    until timestamptz := clock_timestamp() + make_interval(secs => milliseconds / 1000.0);
    waited boolean := false;
    got boolean;
BEGIN
    LOOP
        got := CASE WHEN shared AND of_transaction THEN pg_try_advisory_xact_lock_shared(key)
            WHEN shared THEN pg_try_advisory_lock_shared(key)
            WHEN of_transaction THEN pg_try_advisory_xact_lock(key)
            ELSE pg_try_advisory_lock(key) END;
        IF got THEN
            RETURN waited::int;
        END IF;
        IF milliseconds >= 0 AND clock_timestamp() >= until THEN
            RETURN -1;
        END IF;
        waited := true;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
