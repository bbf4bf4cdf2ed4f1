-- What happened and what was sent, each once by its id; and the two views of the requirements.

CREATE TABLE kandle.event_log (
    "time"   timestamptz NOT NULL,
    id       text PRIMARY KEY,
    type     text NOT NULL,
    source   text NOT NULL,
    severity text NOT NULL,
    message  text NOT NULL,
    data     jsonb NOT NULL
);
CREATE INDEX event_log_time ON kandle.event_log ("time");
COMMENT ON TABLE kandle.event_log IS 'What people who operate the pipeline want to know, each event once by its id';
COMMENT ON COLUMN kandle.event_log."time" IS 'When it happened, UTC';
COMMENT ON COLUMN kandle.event_log.id IS 'Unique id of the event';
COMMENT ON COLUMN kandle.event_log.type IS 'Type of the event, for example gap, provider.error';
COMMENT ON COLUMN kandle.event_log.source IS 'Stage or shard that reports';
COMMENT ON COLUMN kandle.event_log.severity IS 'info, warning or error';
COMMENT ON COLUMN kandle.event_log.message IS 'One sentence for people';
COMMENT ON COLUMN kandle.event_log.data IS 'Details by name, texts';

CREATE TABLE kandle.message_log (
    "time"   timestamptz NOT NULL,
    id       text PRIMARY KEY,
    type     text NOT NULL,
    channel  text NOT NULL,
    subject  text NOT NULL,
    body     text NOT NULL,
    cause_id text NOT NULL
);
CREATE INDEX message_log_time ON kandle.message_log ("time");
COMMENT ON TABLE kandle.message_log IS 'Messages that channels have taken, each once by its id; see kandle.notifications for those that wait';
COMMENT ON COLUMN kandle.message_log."time" IS 'Event time of the cause, UTC';
COMMENT ON COLUMN kandle.message_log.id IS 'Made of the cause and the channel';
COMMENT ON COLUMN kandle.message_log.type IS 'Type of the cause, for example signal.generated';
COMMENT ON COLUMN kandle.message_log.channel IS 'Name of the channel, without secrets';
COMMENT ON COLUMN kandle.message_log.subject IS 'Title as sent';
COMMENT ON COLUMN kandle.message_log.body IS 'Text as sent';
COMMENT ON COLUMN kandle.message_log.cause_id IS 'Id of the record that caused it';

CREATE TABLE kandle.audit_log (
    "time"   timestamptz NOT NULL,
    id       text PRIMARY KEY,
    actor    text NOT NULL,
    action   text NOT NULL,
    subject  text NOT NULL,
    before   json,
    after    json
);
CREATE INDEX audit_log_time ON kandle.audit_log ("time");
COMMENT ON TABLE kandle.audit_log IS 'Every command that changed something, each once by its id; rows are added only';
COMMENT ON COLUMN kandle.audit_log."time" IS 'When the command did it, UTC';
COMMENT ON COLUMN kandle.audit_log.id IS 'Unique id of the entry';
COMMENT ON COLUMN kandle.audit_log.actor IS 'Who: user and host of the process that ran the command';
COMMENT ON COLUMN kandle.audit_log.action IS 'The command, for example alerts add';
COMMENT ON COLUMN kandle.audit_log.subject IS 'What was changed: a topic, a table, a symbol, an alert';
COMMENT ON COLUMN kandle.audit_log.before IS 'What stood there before, JSON; null where there was nothing';
COMMENT ON COLUMN kandle.audit_log.after IS 'What stands there now, JSON; null where there is nothing any more';

CREATE FUNCTION kandle.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION kandle.refuse_change IS 'Trigger of tables to which rows are only added';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kandle.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION kandle.refuse_change();

CREATE VIEW public.system_events AS
SELECT e."time", e.id, e.type, e.source, e.severity, e.message, e.data FROM kandle.event_log e;
COMMENT ON VIEW public.system_events IS 'What people who operate the pipeline want to know, each event once';

CREATE VIEW public.notifications_sent AS
SELECT m."time", m.id, m.type, m.channel, m.subject, m.body, m.cause_id FROM kandle.message_log m;
COMMENT ON VIEW public.notifications_sent IS 'Messages that channels have taken, each once';

CREATE VIEW public.audit_entries AS
SELECT a."time", a.id, a.actor, a.action, a.subject, a.before, a.after FROM kandle.audit_log a;
COMMENT ON VIEW public.audit_entries IS 'Every command that changed something, each once';

CREATE TABLE kandle.venue_order (
    venue text PRIMARY KEY,
    place integer NOT NULL
);
COMMENT ON TABLE kandle.venue_order IS 'Which venue ohlcv_data shows of a symbol that several have; written from the setting sink.venue_order';
COMMENT ON COLUMN kandle.venue_order.venue IS 'Name of the venue';
COMMENT ON COLUMN kandle.venue_order.place IS 'Its place, 1 is first; venues without one come last, by name';

-- One venue a symbol: a series that changed the venue where the first one has a gap would jump at each seam. The
-- probe for candles is a scalar, so that it stays one look at an index for each instrument. From 10^12 on a
-- decimal(20,8) has no room: better null than an error of the whole query.
CREATE VIEW public.ohlcv_data AS
SELECT c."time" AT TIME ZONE 'UTC' AS "timestamp", f.symbol::varchar(20) AS symbol, c."interval"::varchar(10) AS timeframe,
       (CASE WHEN abs(c.open) < 1e12 THEN c.open END)::numeric(20, 8) AS open,
       (CASE WHEN abs(c.high) < 1e12 THEN c.high END)::numeric(20, 8) AS high,
       (CASE WHEN abs(c.low) < 1e12 THEN c.low END)::numeric(20, 8) AS low,
       (CASE WHEN abs(c.close) < 1e12 THEN c.close END)::numeric(20, 8) AS close,
       (CASE WHEN abs(c.volume) < 1e12 THEN c.volume END)::numeric(20, 8) AS volume
FROM (
    SELECT DISTINCT ON (i.symbol) i.symbol, i.id
    FROM kandle.instruments i LEFT JOIN kandle.venue_order o USING (venue)
    WHERE (SELECT true FROM kandle.market_candles p WHERE p.instrument_id = i.id LIMIT 1)
    ORDER BY i.symbol, o.place NULLS LAST, i.venue
) f JOIN kandle.market_candles c ON c.instrument_id = f.id
WHERE length(f.symbol) <= 20 AND length(c."interval") <= 10;
COMMENT ON VIEW public.ohlcv_data IS 'Candles of one venue a symbol, the first by kandle.venue_order that has any; unique by timestamp, symbol, timeframe. Symbols beyond 20 letters stand in candles only';
COMMENT ON COLUMN public.ohlcv_data."timestamp" IS 'Open time, UTC';
COMMENT ON COLUMN public.ohlcv_data.symbol IS 'Unified symbol, for example BTC/USDT';
COMMENT ON COLUMN public.ohlcv_data.timeframe IS 'Length, for example 1s, 1m';
COMMENT ON COLUMN public.ohlcv_data.open IS 'First price, quote currency per base unit';
COMMENT ON COLUMN public.ohlcv_data.high IS 'Highest price, quote currency per base unit';
COMMENT ON COLUMN public.ohlcv_data.low IS 'Lowest price, quote currency per base unit';
COMMENT ON COLUMN public.ohlcv_data.close IS 'Last price, quote currency per base unit';
COMMENT ON COLUMN public.ohlcv_data.volume IS 'Base units traded; null from 10^12 on, which decimal(20,8) has no room for';

CREATE VIEW public.trading_pairs AS
SELECT l.symbol::varchar(20) AS symbol, l.base::varchar(10) AS base, l.venue::varchar(50) AS exchange,
       l.status = 'trading' AS active
FROM public.listings l
WHERE length(l.symbol) <= 20 AND length(l.base) <= 10 AND length(l.venue) <= 50;
COMMENT ON VIEW public.trading_pairs IS 'What venues list, unique by symbol, base, exchange; what these widths have no room for stands in listings only';
COMMENT ON COLUMN public.trading_pairs.symbol IS 'Unified symbol, for example BTC/USDT';
COMMENT ON COLUMN public.trading_pairs.base IS 'Base currency';
COMMENT ON COLUMN public.trading_pairs.exchange IS 'Name of the venue';
COMMENT ON COLUMN public.trading_pairs.active IS 'Whether it trades now; false while halted and once delisted';

SELECT kandle.comment_view(view_name, table_name) FROM (VALUES
    ('system_events', 'event_log'), ('notifications_sent', 'message_log'), ('audit_entries', 'audit_log')
) AS pairs (view_name, table_name);
