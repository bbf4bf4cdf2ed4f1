-- Candles straight from the stored trades: continuous aggregates of TimescaleDB where it has them, else plain views
-- of the same names and columns over the candles that the workers made.

DO $$
DECLARE
    extension_schema text := kandle.timescale();
    columns text := '%s AS "time", instrument_id, %s AS open, max(%s) AS high, min(%s) AS low, %s AS close, '
        'sum(%s) AS volume, sum(%s) AS quote_volume, %s AS taker_buy_volume, %s AS trade_count';
    wide record;
    told record;
    bucket text;
BEGIN
    IF NOT (SELECT hypertable FROM kandle.time_tables WHERE name = 'market_trades') THEN
        extension_schema := NULL;
    END IF;
    FOR wide IN
        SELECT * FROM (VALUES
            ('1s', '1 second', NULL), ('1m', '1 minute', NULL), ('5m', '5 minutes', '1m'), ('15m', '15 minutes', '5m'),
            ('1h', '1 hour', '15m'), ('4h', '4 hours', '1h'), ('1d', '1 day', '4h')
        ) AS v (name, width, source)
    LOOP
        bucket := CASE WHEN extension_schema IS NULL
            THEN format('date_bin(interval %L, "time", timestamptz ''2000-01-01 00:00:00+00'')', wide.width)
            ELSE format('%I.time_bucket(interval %L, "time")', extension_schema, wide.width) END;
        IF extension_schema IS NOT NULL AND wide.source IS NULL THEN
            -- Seconds are as many as trades where trading is thin, so they are not stored once more.
            EXECUTE format('CREATE ' || CASE wide.name WHEN '1s' THEN 'VIEW kandle.market_trades_%s AS '
                ELSE 'MATERIALIZED VIEW kandle.market_trades_%s WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS '
                END || 'SELECT ' || format(columns, bucket, extension_schema || '.first(price, "time")', 'price', 'price',
                    extension_schema || '.last(price, "time")', 'size', 'price * size',
                    'coalesce(sum(size) FILTER (WHERE side = ''b''), 0)', 'count(*)')
                || ' FROM kandle.market_trades GROUP BY 1, 2'
                || CASE wide.name WHEN '1s' THEN '' ELSE ' WITH NO DATA' END, wide.name);
        ELSIF extension_schema IS NOT NULL THEN
            EXECUTE format('CREATE MATERIALIZED VIEW kandle.market_trades_%s WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS SELECT '
                || format(columns, bucket, extension_schema || '.first(open, "time")', 'high', 'low',
                    extension_schema || '.last(close, "time")', 'volume', 'quote_volume', 'sum(taker_buy_volume)', 'sum(trade_count)::bigint')
                || ' FROM kandle.market_trades_%s GROUP BY 1, 2 WITH NO DATA', wide.name, wide.source);
        ELSIF wide.source IS NULL THEN
            EXECUTE format('CREATE VIEW kandle.market_trades_%s AS SELECT "time", instrument_id, open, high, low, close, '
                'volume, quote_volume, taker_buy_volume, trade_count FROM kandle.market_candles '
                'WHERE "interval" = %L AND trade_count > 0 AND NOT backfilled', wide.name, wide.name);
        ELSE
            EXECUTE format('CREATE VIEW kandle.market_trades_%s AS SELECT '
                || format(columns, bucket, '(array_agg(open ORDER BY "time"))[1]', 'high', 'low',
                    '(array_agg(close ORDER BY "time" DESC))[1]', 'volume', 'quote_volume', 'sum(taker_buy_volume)', 'sum(trade_count)::bigint')
                || ' FROM kandle.market_trades_1m GROUP BY 1, 2', wide.name);
        END IF;
        EXECUTE format('CREATE VIEW public.trades_%1$s AS '
            'SELECT a."time", i.venue, i.symbol, a.open, a.high, a.low, a.close, a.volume, a.quote_volume, a.trade_count, '
            'a.taker_buy_volume, CASE WHEN a.volume > 0 THEN greatest(a.low, least(a.high, a.quote_volume / a.volume)) END AS vwap '
            'FROM kandle.market_trades_%1$s a JOIN kandle.instruments i ON i.id = a.instrument_id', wide.name);
        EXECUTE format('COMMENT ON VIEW kandle.market_trades_%1$s IS %2$L; COMMENT ON VIEW public.trades_%1$s IS %2$L',
            wide.name, format('Candles of %s from the stored trades; where TimescaleDB is not there, from the closed candles of the workers', wide.width));
        EXECUTE format('COMMENT ON COLUMN public.trades_%s.vwap IS %L', wide.name,
            'Volume-weighted average price, quote currency per base unit; null where nothing was traded');
        PERFORM kandle.comment_view('trades_' || wide.name, 'market_candles');
        FOR told IN
            SELECT v.attname, col_description(t.attrelid, t.attnum) AS words FROM pg_attribute v
            JOIN pg_attribute t ON t.attrelid = 'kandle.market_candles'::regclass AND t.attname = v.attname
            WHERE v.attrelid = format('kandle.market_trades_%s', wide.name)::regclass AND v.attnum > 0
        LOOP
            EXECUTE format('COMMENT ON COLUMN kandle.market_trades_%s.%I IS %L', wide.name, told.attname, told.words);
        END LOOP;
    END LOOP;
END
$$;

CREATE FUNCTION kandle.keep_aggregates(since interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    extension_schema text := kandle.timescale();
    wide record;
    changed boolean := false;
BEGIN
    IF extension_schema IS NULL THEN
        RETURN false;
    END IF;
    FOR wide IN
        SELECT v.*, c.view_name IS NOT NULL AS is_made, j.job_id, (j.config ->> 'start_offset')::interval AS start_offset
        FROM (VALUES
            -- Each begins after the one that it is made from: all at once, each would go down to the trades.
            ('market_trades_1m', interval '1 minute', interval '1 minute', interval '0'),
            ('market_trades_5m', interval '5 minutes', interval '1 minute', interval '3 minutes'),
            ('market_trades_15m', interval '15 minutes', interval '5 minutes', interval '5 minutes'),
            ('market_trades_1h', interval '1 hour', interval '15 minutes', interval '7 minutes'),
            ('market_trades_4h', interval '4 hours', interval '1 hour', interval '9 minutes'),
            ('market_trades_1d', interval '1 day', interval '4 hours', interval '11 minutes')
        ) AS v (name, width, every, delay)
        JOIN timescaledb_information.continuous_aggregates c ON c.view_schema = 'kandle' AND c.view_name = v.name
        LEFT JOIN timescaledb_information.jobs j ON j.proc_name = 'policy_refresh_continuous_aggregate'
             AND j.hypertable_schema = c.view_schema AND j.hypertable_name = c.view_name
    LOOP
        CONTINUE WHEN wide.job_id IS NOT NULL AND wide.start_offset IS NOT DISTINCT FROM since;
        EXECUTE format('SELECT %I.remove_continuous_aggregate_policy(%L::regclass, if_exists => true)', extension_schema, 'kandle.' || wide.name);
        EXECUTE format('SELECT %I.add_continuous_aggregate_policy(%L::regclass, start_offset => %L::interval, end_offset => %L::interval, '
            'schedule_interval => %L::interval, initial_start => %L::timestamptz)',
            extension_schema, 'kandle.' || wide.name, since, wide.width, wide.every, now() + wide.delay);
        changed := true;
    END LOOP;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION kandle.keep_aggregates IS 'Have TimescaleDB keep the continuous aggregates up to date, back to so long ago (null: from the beginning), less than trades are kept; true if that is a change';
