-- Tables of market data: hypertables where TimescaleDB is installed, else native range partitions of the same names.
-- They are written by the sinks only; readers use the views in schema public.

CREATE TABLE kandle.time_tables (
    name       text PRIMARY KEY,
    hypertable boolean NOT NULL,
    width      text NOT NULL CHECK (width IN ('day', 'month'))
);
COMMENT ON TABLE kandle.time_tables IS 'Tables that are cut by time, and how';
COMMENT ON COLUMN kandle.time_tables.name IS 'Name of a table in schema kandle';
COMMENT ON COLUMN kandle.time_tables.hypertable IS 'Whether TimescaleDB cuts it; else the sink makes native partitions on demand';
COMMENT ON COLUMN kandle.time_tables.width IS 'Time that one partition spans, in UTC';

CREATE FUNCTION kandle.cut_by_time(table_name text, table_width text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    whole text := format('kandle.%I', table_name);
    extension_schema text := (
        SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'timescaledb'
    );
    modern boolean := EXISTS (
        SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proname = 'by_range' AND n.nspname = extension_schema
    );
BEGIN
    IF extension_schema IS NOT NULL THEN
        IF modern THEN
            EXECUTE format(
                'SELECT %1$I.create_hypertable(%2$L::regclass, %1$I.by_range(''time'', interval ''1 %3$s''), '
                'create_default_indexes => false)', extension_schema, whole, table_width);
        ELSE
            EXECUTE format(
                'SELECT %1$I.create_hypertable(%2$L::regclass, ''time'', chunk_time_interval => interval ''1 %3$s'', '
                'create_default_indexes => false)', extension_schema, whole, table_width);
        END IF;
    ELSE
        EXECUTE format('ALTER TABLE %s RENAME TO uncut', whole);
        EXECUTE format(
            'CREATE TABLE %s (LIKE kandle.uncut INCLUDING ALL) PARTITION BY RANGE ("time")', whole);
        EXECUTE 'DROP TABLE kandle.uncut';
    END IF;
    INSERT INTO kandle.time_tables VALUES (table_name, extension_schema IS NOT NULL, table_width);
END
$$;
COMMENT ON FUNCTION kandle.cut_by_time IS 'Make an empty table of schema kandle a hypertable, or a native partitioned table, by its column time';

CREATE TABLE kandle.market_trades (
    "time"        timestamptz NOT NULL,
    receive_time  timestamptz NOT NULL,
    sequence      bigint,
    price         double precision NOT NULL,
    size          double precision NOT NULL,
    instrument_id integer NOT NULL,
    side          "char",
    trade_id      text
);
SELECT kandle.cut_by_time('market_trades', 'day');
CREATE INDEX market_trades_time ON kandle.market_trades USING brin ("time");
COMMENT ON TABLE kandle.market_trades IS 'Public trades, each once';
COMMENT ON COLUMN kandle.market_trades."time" IS 'Execution time by the venue, microseconds';
COMMENT ON COLUMN kandle.market_trades.receive_time IS 'When the frame arrived at the socket, by the producer''s clock';
COMMENT ON COLUMN kandle.market_trades.sequence IS 'The venue''s running number of the trade; null where it has none';
COMMENT ON COLUMN kandle.market_trades.price IS 'Quote currency per base unit';
COMMENT ON COLUMN kandle.market_trades.size IS 'Base units';
COMMENT ON COLUMN kandle.market_trades.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_trades.side IS 'Aggressor: b buy, s sell, null unknown';
COMMENT ON COLUMN kandle.market_trades.trade_id IS 'The venue''s id; null where it is the sequence in decimal';

CREATE TABLE kandle.market_quotes (
    "time"        timestamptz NOT NULL,
    receive_time  timestamptz NOT NULL,
    sequence      bigint,
    bid           double precision,
    bid_size      double precision NOT NULL,
    ask           double precision,
    ask_size      double precision NOT NULL,
    instrument_id integer NOT NULL
);
SELECT kandle.cut_by_time('market_quotes', 'day');
CREATE INDEX market_quotes_time ON kandle.market_quotes USING brin ("time");
COMMENT ON TABLE kandle.market_quotes IS 'Best bid and ask, one row a change';
COMMENT ON COLUMN kandle.market_quotes."time" IS 'Time of the venue; the receive time where it gives none';
COMMENT ON COLUMN kandle.market_quotes.receive_time IS 'When the frame arrived at the socket, by the producer''s clock';
COMMENT ON COLUMN kandle.market_quotes.sequence IS 'The venue''s number of the update; null where it has none';
COMMENT ON COLUMN kandle.market_quotes.bid IS 'Quote currency per base unit; null where there is no bid';
COMMENT ON COLUMN kandle.market_quotes.bid_size IS 'Base units';
COMMENT ON COLUMN kandle.market_quotes.ask IS 'Quote currency per base unit; null where there is no ask';
COMMENT ON COLUMN kandle.market_quotes.ask_size IS 'Base units';
COMMENT ON COLUMN kandle.market_quotes.instrument_id IS 'Instrument, see kandle.instruments';

CREATE TABLE kandle.market_candles (
    "time"           timestamptz NOT NULL,
    close_time       timestamptz NOT NULL,
    open             double precision NOT NULL,
    high             double precision NOT NULL,
    low              double precision NOT NULL,
    close            double precision NOT NULL,
    volume           double precision NOT NULL,
    quote_volume     double precision NOT NULL,
    taker_buy_volume double precision NOT NULL,
    trade_count      bigint NOT NULL,
    instrument_id    integer NOT NULL,
    revision         integer NOT NULL,
    complete         boolean NOT NULL,
    "interval"       text NOT NULL,
    PRIMARY KEY (instrument_id, "interval", "time")
);
SELECT kandle.cut_by_time('market_candles', 'month');
COMMENT ON TABLE kandle.market_candles IS 'Closed candles, each in its newest revision';
COMMENT ON COLUMN kandle.market_candles."time" IS 'Open time; the candle holds the trades of [time, close_time)';
COMMENT ON COLUMN kandle.market_candles.close_time IS 'End, exclusive';
COMMENT ON COLUMN kandle.market_candles.open IS 'First price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_candles.high IS 'Highest price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_candles.low IS 'Lowest price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_candles.close IS 'Last price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_candles.volume IS 'Base units traded';
COMMENT ON COLUMN kandle.market_candles.quote_volume IS 'Quote currency traded';
COMMENT ON COLUMN kandle.market_candles.taker_buy_volume IS 'Base units traded by buying aggressors';
COMMENT ON COLUMN kandle.market_candles.trade_count IS 'Number of trades';
COMMENT ON COLUMN kandle.market_candles.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_candles.revision IS 'Corrections by late trades so far';
COMMENT ON COLUMN kandle.market_candles.complete IS 'False when trades are missing: a gap, or the feed began or ended inside';
COMMENT ON COLUMN kandle.market_candles."interval" IS 'Length, for example 1s, 1m';

CREATE TABLE kandle.market_indicators (
    "time"        timestamptz NOT NULL,
    value         double precision NOT NULL,
    instrument_id integer NOT NULL,
    revision      integer NOT NULL,
    complete      boolean NOT NULL,
    "interval"    text NOT NULL,
    name          text NOT NULL,
    PRIMARY KEY (instrument_id, "interval", name, "time")
);
SELECT kandle.cut_by_time('market_indicators', 'month');
COMMENT ON TABLE kandle.market_indicators IS 'Values of indicators at closed candles, each in its newest revision';
COMMENT ON COLUMN kandle.market_indicators."time" IS 'Open time of the candle';
COMMENT ON COLUMN kandle.market_indicators.value IS 'Value, in the unit of the indicator';
COMMENT ON COLUMN kandle.market_indicators.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_indicators.revision IS 'Revision of the candle that the value was computed at';
COMMENT ON COLUMN kandle.market_indicators.complete IS 'False when candles it saw miss trades';
COMMENT ON COLUMN kandle.market_indicators."interval" IS 'Length of the candle';
COMMENT ON COLUMN kandle.market_indicators.name IS 'Indicator with its parameters, for example sma(20)';

CREATE TABLE kandle.market_signals (
    "time"        timestamptz NOT NULL,
    event_time    timestamptz NOT NULL,
    strength      double precision NOT NULL,
    instrument_id integer NOT NULL,
    complete      boolean NOT NULL,
    "interval"    text NOT NULL,
    rule          text NOT NULL,
    direction     text NOT NULL,
    candle_id     text NOT NULL,
    "values"      jsonb NOT NULL,
    PRIMARY KEY (instrument_id, "interval", rule, "time")
);
SELECT kandle.cut_by_time('market_signals', 'month');
COMMENT ON TABLE kandle.market_signals IS 'Signals, each once: a rule fires at most once at a candle';
COMMENT ON COLUMN kandle.market_signals."time" IS 'Open time of the candle';
COMMENT ON COLUMN kandle.market_signals.event_time IS 'Exchange time at which the rule fired';
COMMENT ON COLUMN kandle.market_signals.strength IS '0 (weak) to 1 (strong)';
COMMENT ON COLUMN kandle.market_signals.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_signals.complete IS 'False when the candles it saw miss trades';
COMMENT ON COLUMN kandle.market_signals."interval" IS 'Length of the candle';
COMMENT ON COLUMN kandle.market_signals.rule IS 'Rule with its parameters';
COMMENT ON COLUMN kandle.market_signals.direction IS 'long, short or neutral';
COMMENT ON COLUMN kandle.market_signals.candle_id IS 'ce_id of the candle';
COMMENT ON COLUMN kandle.market_signals."values" IS 'What the rule saw, by name';
