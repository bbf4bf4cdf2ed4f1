-- Work on partitions, for a sink that may write and no more: these functions have the owner's rights, and take
-- tables of kandle.time_tables only.

CREATE FUNCTION kandle.timescale() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'timescaledb' AND current_setting('timescaledb.license', true) = 'timescale'
      AND EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'add_columnstore_policy')
$$;
COMMENT ON FUNCTION kandle.timescale IS 'Schema of TimescaleDB where it has a columnstore and continuous aggregates (2.18 or later, its own licence); else null';

CREATE FUNCTION kandle.partitions(
    OUT table_name text, OUT partition regclass, OUT starts timestamptz, OUT ends timestamptz, OUT row_estimate bigint,
    OUT in_columns boolean, OUT wants_index boolean
) RETURNS SETOF record LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    chunks text := 'SELECT NULL::oid AS oid, NULL::timestamptz AS starts, NULL::timestamptz AS ends, NULL::boolean AS in_columns';
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        chunks := 'SELECT format(''%I.%I'', chunk_schema, chunk_name)::regclass::oid, range_start, range_end, is_compressed '
            'FROM timescaledb_information.chunks WHERE hypertable_schema = ''kandle''';
    END IF;
    RETURN QUERY EXECUTE $query$
        WITH chunks (oid, starts, ends, in_columns) AS ($query$ || chunks || $query$), found AS (
            SELECT t.name, i.inhparent, p.oid, p.reltuples, c.in_columns, c.ends,
                   coalesce(c.starts, to_date(substring(p.relname from '_(\d+)$'),
                            CASE t.width WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END)::timestamptz) AS starts,
                   ('1 ' || t.width)::interval AS width
            FROM kandle.time_tables t
            JOIN pg_inherits i ON i.inhparent = format('kandle.%I', t.name)::regclass
            JOIN pg_class p ON p.oid = i.inhrelid
            LEFT JOIN chunks c ON c.oid = p.oid
            WHERE c.oid IS NOT NULL OR NOT t.hypertable
        )
        SELECT f.name, f.oid::regclass, f.starts, coalesce(f.ends, f.starts + f.width), greatest(f.reltuples, 0)::bigint,
               coalesce(f.in_columns, false),
               NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = f.inhparent AND x.indisunique)
               AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = f.oid AND a.attname = 'instrument_id')
               AND NOT EXISTS (SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
                               WHERE x.indrelid = f.oid AND x.indisvalid AND a.attname = 'instrument_id')
        FROM found f ORDER BY 1, 3
    $query$;
END
$$;
COMMENT ON FUNCTION kandle.partitions IS 'Partitions and chunks of the tables cut by time: bounds, rows as the server estimates them, whether they are in the columnstore, and whether the index for reads is still to be made';

CREATE FUNCTION kandle.make_partition(table_name text, first date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cut_in text;
    child text;
BEGIN
    SELECT width INTO STRICT cut_in FROM kandle.time_tables WHERE name = table_name AND NOT hypertable;
    child := table_name || to_char(first, CASE cut_in WHEN 'day' THEN '_YYYYMMDD' ELSE '_YYYYMM' END);
    PERFORM pg_advisory_xact_lock(30224949267162480); -- "kandlep" in ASCII
    IF to_regclass(format('kandle.%I', child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Unlike CREATE TABLE ... PARTITION OF, attaching a finished table does not wait for readers.
    EXECUTE format('CREATE TABLE kandle.%I (LIKE kandle.%I INCLUDING ALL)', child, table_name);
    EXECUTE format('ALTER TABLE kandle.%I ATTACH PARTITION kandle.%I FOR VALUES FROM (%L) TO (%L)', table_name, child,
                   first || ' 00:00:00+00', (first + ('1 ' || cut_in)::interval)::date || ' 00:00:00+00');
    RETURN true;
END
$$;
COMMENT ON FUNCTION kandle.make_partition IS 'Make the native partition that begins on a day; false if it is there already';

CREATE FUNCTION kandle.index_partition(partition regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM kandle.partitions() p WHERE p.partition = index_partition.partition AND p.wants_index) THEN
        EXECUTE format('CREATE INDEX ON %s (instrument_id, "time")', partition);
    END IF;
END
$$;
COMMENT ON FUNCTION kandle.index_partition IS 'Give a partition or chunk the index by which one instrument is read; writers wait meanwhile';

CREATE FUNCTION kandle.drop_partition(partition regclass) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    extension_schema text;
BEGIN
    SELECT p.*, t.hypertable INTO part FROM kandle.partitions() p JOIN kandle.time_tables t ON t.name = p.table_name
    WHERE p.partition = drop_partition.partition;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF part.hypertable THEN
        SELECT n.nspname INTO extension_schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'timescaledb';
        EXECUTE format('SELECT %I.drop_chunks(%L::regclass, older_than => %L::timestamptz, newer_than => %L::timestamptz)',
                       extension_schema, format('kandle.%I', part.table_name), part.ends, part.starts);
    ELSE
        EXECUTE format('DROP TABLE %s', partition);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION kandle.drop_partition IS 'Drop a partition or chunk with its rows; false if it is none of ours';

CREATE FUNCTION kandle.keep_columns(table_name text, after interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whole regclass := format('kandle.%I', table_name)::regclass;
    extension_schema text := kandle.timescale();
    key text[];
    at_time integer;
    now_after interval;
BEGIN
    IF extension_schema IS NULL OR NOT EXISTS (
        SELECT FROM kandle.time_tables t WHERE t.name = table_name AND t.hypertable
    ) THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (
        SELECT FROM timescaledb_information.hypertables h
        WHERE h.hypertable_schema = 'kandle' AND h.hypertable_name = table_name AND h.compression_enabled
    ) THEN
        -- What stands before the time in the key makes a segment, the rest is its order.
        SELECT array_agg(a.attname::text ORDER BY k.place) INTO key
        FROM pg_index x, unnest(x.indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute a ON a.attnum = k.attnum
        WHERE x.indrelid = whole AND x.indisprimary AND a.attrelid = x.indrelid;
        IF key IS NULL THEN
            SELECT array_agg(a.attname::text ORDER BY a.attname) INTO key FROM pg_attribute a
            WHERE a.attrelid = whole AND a.attname IN ('instrument_id', 'time');
        END IF;
        at_time := coalesce(array_position(key, 'time'), cardinality(key) + 1);
        EXECUTE format('ALTER TABLE %s SET (timescaledb.enable_columnstore, timescaledb.segmentby = %L, timescaledb.orderby = %L)', whole,
            (SELECT coalesce(string_agg(quote_ident(k), ', '), '') FROM unnest(key[:at_time - 1]) AS k),
            (SELECT string_agg(quote_ident(k), ', ') FROM unnest(array_prepend('time', key[at_time + 1:])) AS k));
    END IF;
    SELECT (j.config ->> 'compress_after')::interval INTO now_after FROM timescaledb_information.jobs j
    WHERE j.hypertable_schema = 'kandle' AND j.hypertable_name = table_name AND j.proc_name = 'policy_compression';
    IF now_after IS NOT DISTINCT FROM after THEN
        RETURN false;
    END IF;
    EXECUTE format('CALL %I.remove_columnstore_policy(%L::regclass, if_exists => true)', extension_schema, whole);
    IF after IS NOT NULL THEN
        EXECUTE format('CALL %I.add_columnstore_policy(%L::regclass, after => %L::interval)', extension_schema, whole, after);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION kandle.keep_columns IS 'Have TimescaleDB turn chunks that ended so long ago (null: none) into its columnstore; true if that is a change';
