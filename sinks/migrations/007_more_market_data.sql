-- The rest of what venues say and the workers make, each record once, and views that show it.

CREATE TABLE kandle.market_tickers (
    "time"         timestamptz NOT NULL,
    receive_time   timestamptz NOT NULL,
    last           double precision NOT NULL,
    bid            double precision,
    ask            double precision,
    open           double precision,
    high           double precision,
    low            double precision,
    base_volume    double precision,
    quote_volume   double precision,
    change         double precision,
    change_percent double precision,
    instrument_id  integer NOT NULL,
    PRIMARY KEY (instrument_id, "time")
);
SELECT kandle.cut_by_time('market_tickers', 'day');
COMMENT ON TABLE kandle.market_tickers IS 'Figures of the last 24 hours as venues say them, each statement once';
COMMENT ON COLUMN kandle.market_tickers."time" IS 'Time of the venue, microseconds, UTC';
COMMENT ON COLUMN kandle.market_tickers.receive_time IS 'When the frame arrived at the socket, by the producer''s clock, UTC';
COMMENT ON COLUMN kandle.market_tickers.last IS 'Price of the last trade, quote currency per base unit';
COMMENT ON COLUMN kandle.market_tickers.bid IS 'Best bid, quote currency per base unit; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.ask IS 'Best ask, quote currency per base unit; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.open IS 'Price 24 hours ago, quote currency per base unit; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.high IS 'Highest price of 24 hours, quote currency per base unit; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.low IS 'Lowest price of 24 hours, quote currency per base unit; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.base_volume IS 'Base units traded in 24 hours; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.quote_volume IS 'Quote currency traded in 24 hours; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.change IS 'last - open, quote currency per base unit; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.change_percent IS '100 * change / open, percent; null where the venue does not say';
COMMENT ON COLUMN kandle.market_tickers.instrument_id IS 'Instrument, see kandle.instruments';

CREATE TABLE kandle.market_exchange_candles (
    "time"           timestamptz NOT NULL,
    close_time       timestamptz NOT NULL,
    as_of            timestamptz NOT NULL,
    event_time       timestamptz,
    receive_time     timestamptz NOT NULL,
    open             double precision NOT NULL,
    high             double precision NOT NULL,
    low              double precision NOT NULL,
    close            double precision NOT NULL,
    volume           double precision,
    quote_volume     double precision,
    taker_buy_volume double precision,
    trade_count      bigint,
    first_sequence   bigint,
    last_sequence    bigint,
    closed           boolean,
    instrument_id    integer NOT NULL,
    "interval"       text NOT NULL,
    PRIMARY KEY (instrument_id, "interval", "time")
);
SELECT kandle.cut_by_time('market_exchange_candles', 'month');
COMMENT ON TABLE kandle.market_exchange_candles IS 'Candles as the venues themselves compute them, each in its newest state';
COMMENT ON COLUMN kandle.market_exchange_candles."time" IS 'Open time, UTC';
COMMENT ON COLUMN kandle.market_exchange_candles.close_time IS 'End, exclusive, UTC';
COMMENT ON COLUMN kandle.market_exchange_candles.as_of IS 'By which states are ordered: the event time, or the receive time where the venue gives none, UTC';
COMMENT ON COLUMN kandle.market_exchange_candles.event_time IS 'Time of the venue, UTC; null where it gives none';
COMMENT ON COLUMN kandle.market_exchange_candles.receive_time IS 'When the frame arrived at the socket, by the producer''s clock, UTC';
COMMENT ON COLUMN kandle.market_exchange_candles.open IS 'First price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_exchange_candles.high IS 'Highest price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_exchange_candles.low IS 'Lowest price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_exchange_candles.close IS 'Last price so far, quote currency per base unit';
COMMENT ON COLUMN kandle.market_exchange_candles.volume IS 'Base units traded; null where the venue does not say';
COMMENT ON COLUMN kandle.market_exchange_candles.quote_volume IS 'Quote currency traded; null where the venue does not say';
COMMENT ON COLUMN kandle.market_exchange_candles.taker_buy_volume IS 'Base units traded by buying aggressors; null where the venue does not say';
COMMENT ON COLUMN kandle.market_exchange_candles.trade_count IS 'Number of trades; null where the venue does not say';
COMMENT ON COLUMN kandle.market_exchange_candles.first_sequence IS 'Lowest running number of its trades; null where the venue does not say';
COMMENT ON COLUMN kandle.market_exchange_candles.last_sequence IS 'Highest running number of its trades; null where the venue does not say';
COMMENT ON COLUMN kandle.market_exchange_candles.closed IS 'True once the venue will not change it; null where it does not say';
COMMENT ON COLUMN kandle.market_exchange_candles.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_exchange_candles."interval" IS 'Length, for example 1s, 1m';

CREATE TABLE kandle.market_derivatives (
    "time"            timestamptz NOT NULL,
    event_time        timestamptz,
    receive_time      timestamptz NOT NULL,
    mark_price        double precision,
    index_price       double precision,
    funding_rate      double precision,
    next_funding_time timestamptz,
    open_interest     double precision,
    instrument_id     integer NOT NULL,
    PRIMARY KEY (instrument_id, "time")
);
SELECT kandle.cut_by_time('market_derivatives', 'day');
COMMENT ON TABLE kandle.market_derivatives IS 'What venues say of perpetuals and futures, one row a moment: messages of one moment fill each other''s silence';
COMMENT ON COLUMN kandle.market_derivatives."time" IS 'Time of the venue, UTC; the receive time where it gives none';
COMMENT ON COLUMN kandle.market_derivatives.event_time IS 'Time of the venue, UTC; null where it gives none';
COMMENT ON COLUMN kandle.market_derivatives.receive_time IS 'When the first frame of the moment arrived at the socket, by the producer''s clock, UTC';
COMMENT ON COLUMN kandle.market_derivatives.mark_price IS 'Price that positions are valued at, quote currency per base unit; null where nothing was said';
COMMENT ON COLUMN kandle.market_derivatives.index_price IS 'Price of the underlying, quote currency per base unit; null where nothing was said';
COMMENT ON COLUMN kandle.market_derivatives.funding_rate IS 'Rate of the next funding, fraction of the position, positive if longs pay; null where nothing was said';
COMMENT ON COLUMN kandle.market_derivatives.next_funding_time IS 'When that funding is paid, UTC; null where nothing was said';
COMMENT ON COLUMN kandle.market_derivatives.open_interest IS 'Size of all open positions, base units; null where nothing was said';
COMMENT ON COLUMN kandle.market_derivatives.instrument_id IS 'Instrument, see kandle.instruments';

CREATE TABLE kandle.market_liquidations (
    "time"        timestamptz NOT NULL,
    receive_time  timestamptz NOT NULL,
    price         double precision NOT NULL,
    size          double precision NOT NULL,
    raw_size      double precision,
    instrument_id integer NOT NULL,
    side          "char" NOT NULL,
    PRIMARY KEY (instrument_id, "time", side, price, size)
);
SELECT kandle.cut_by_time('market_liquidations', 'month');
COMMENT ON TABLE kandle.market_liquidations IS 'Positions that venues closed by force, each once';
COMMENT ON COLUMN kandle.market_liquidations."time" IS 'When it was executed, by the venue, UTC';
COMMENT ON COLUMN kandle.market_liquidations.receive_time IS 'When the frame arrived at the socket, by the producer''s clock, UTC';
COMMENT ON COLUMN kandle.market_liquidations.price IS 'Average price of what was executed, or the order''s where the venue says no more; quote currency per base unit';
COMMENT ON COLUMN kandle.market_liquidations.size IS 'Amount that was closed, base units';
COMMENT ON COLUMN kandle.market_liquidations.raw_size IS 'The same, contracts; null where the venue counts in base units';
COMMENT ON COLUMN kandle.market_liquidations.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_liquidations.side IS 'Side of the order that closes it: b buy, s sell (it closes a long), u unknown';

CREATE TABLE kandle.market_bars (
    "time"           timestamptz NOT NULL,
    close_time       timestamptz NOT NULL,
    session          timestamptz NOT NULL,
    number           bigint NOT NULL,
    threshold        double precision NOT NULL,
    open             double precision NOT NULL,
    high             double precision NOT NULL,
    low              double precision NOT NULL,
    close            double precision NOT NULL,
    volume           double precision NOT NULL,
    quote_volume     double precision NOT NULL,
    taker_buy_volume double precision NOT NULL,
    trade_count      bigint NOT NULL,
    first_sequence   bigint,
    last_sequence    bigint,
    vwap             double precision,
    instrument_id    integer NOT NULL,
    is_full          boolean NOT NULL,
    complete         boolean NOT NULL,
    kind             "char" NOT NULL,
    PRIMARY KEY (instrument_id, kind, threshold, "time", number)
);
SELECT kandle.cut_by_time('market_bars', 'month');
COMMENT ON TABLE kandle.market_bars IS 'Bars that are full by what was traded, each once; never revised';
COMMENT ON COLUMN kandle.market_bars."time" IS 'Event time of the first trade, UTC';
COMMENT ON COLUMN kandle.market_bars.close_time IS 'Event time of the last trade, UTC';
COMMENT ON COLUMN kandle.market_bars.session IS 'Start of the UTC day that its trades are counted from';
COMMENT ON COLUMN kandle.market_bars.number IS 'Place within the session, a count from 0';
COMMENT ON COLUMN kandle.market_bars.threshold IS 'It is full once it holds so much: trades, base units or quote currency, by its kind';
COMMENT ON COLUMN kandle.market_bars.open IS 'First price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_bars.high IS 'Highest price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_bars.low IS 'Lowest price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_bars.close IS 'Last price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_bars.volume IS 'Base units traded';
COMMENT ON COLUMN kandle.market_bars.quote_volume IS 'Quote currency traded';
COMMENT ON COLUMN kandle.market_bars.taker_buy_volume IS 'Base units traded by buying aggressors';
COMMENT ON COLUMN kandle.market_bars.trade_count IS 'Number of trades';
COMMENT ON COLUMN kandle.market_bars.first_sequence IS 'Lowest running number of its trades; null where the venue has none';
COMMENT ON COLUMN kandle.market_bars.last_sequence IS 'Highest running number of its trades; null where the venue has none';
COMMENT ON COLUMN kandle.market_bars.vwap IS 'Volume-weighted average price, quote currency per base unit; null where only sizes of zero were traded';
COMMENT ON COLUMN kandle.market_bars.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_bars.is_full IS 'False for the last bar of a session, which ended before it was full';
COMMENT ON COLUMN kandle.market_bars.complete IS 'False where trades of the session were missing before it was full';
COMMENT ON COLUMN kandle.market_bars.kind IS 'What fills it: t trades (tick), b base units (volume), q quote currency (value)';

CREATE TABLE kandle.market_live_candles (
    "time"           timestamptz NOT NULL,
    close_time       timestamptz NOT NULL,
    as_of            timestamptz NOT NULL,
    open             double precision NOT NULL,
    high             double precision NOT NULL,
    low              double precision NOT NULL,
    close            double precision NOT NULL,
    volume           double precision NOT NULL,
    quote_volume     double precision NOT NULL,
    taker_buy_volume double precision NOT NULL,
    trade_count      bigint NOT NULL,
    instrument_id    integer NOT NULL,
    "interval"       text NOT NULL,
    PRIMARY KEY (instrument_id, "interval")
) WITH (fillfactor = 50);
COMMENT ON TABLE kandle.market_live_candles IS 'The newest candle that was seen open, one row an instrument and interval';
COMMENT ON COLUMN kandle.market_live_candles."time" IS 'Open time, UTC';
COMMENT ON COLUMN kandle.market_live_candles.close_time IS 'End, exclusive, UTC';
COMMENT ON COLUMN kandle.market_live_candles.as_of IS 'Trades up to here are in it, exchange time, UTC';
COMMENT ON COLUMN kandle.market_live_candles.open IS 'First price, quote currency per base unit';
COMMENT ON COLUMN kandle.market_live_candles.high IS 'Highest price so far, quote currency per base unit';
COMMENT ON COLUMN kandle.market_live_candles.low IS 'Lowest price so far, quote currency per base unit';
COMMENT ON COLUMN kandle.market_live_candles.close IS 'Last price so far, quote currency per base unit';
COMMENT ON COLUMN kandle.market_live_candles.volume IS 'Base units traded so far';
COMMENT ON COLUMN kandle.market_live_candles.quote_volume IS 'Quote currency traded so far';
COMMENT ON COLUMN kandle.market_live_candles.taker_buy_volume IS 'Base units traded by buying aggressors so far';
COMMENT ON COLUMN kandle.market_live_candles.trade_count IS 'Number of trades so far';
COMMENT ON COLUMN kandle.market_live_candles.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_live_candles."interval" IS 'Length, for example 1s, 1m';

CREATE TABLE kandle.market_listings (
    "time"        timestamptz NOT NULL,
    tick_size     double precision,
    lot_size      double precision,
    min_notional  double precision,
    multiplier    double precision NOT NULL,
    instrument_id integer NOT NULL,
    kind          "char" NOT NULL,
    status        "char" NOT NULL,
    venue_symbol  text NOT NULL,
    base          text NOT NULL,
    quote         text NOT NULL,
    PRIMARY KEY (instrument_id, "time")
);
COMMENT ON TABLE kandle.market_listings IS 'What venues list, one row a change; the newest of an instrument holds';
COMMENT ON COLUMN kandle.market_listings."time" IS 'When the venue said so, UTC';
COMMENT ON COLUMN kandle.market_listings.tick_size IS 'Smallest step of a price, quote currency per base unit; null where the venue does not say';
COMMENT ON COLUMN kandle.market_listings.lot_size IS 'Smallest step of a size, base units; null where the venue does not say';
COMMENT ON COLUMN kandle.market_listings.min_notional IS 'Smallest value of an order, quote currency; null where the venue does not say';
COMMENT ON COLUMN kandle.market_listings.multiplier IS 'Base units per contract; 1 for spot';
COMMENT ON COLUMN kandle.market_listings.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_listings.kind IS 's spot, p perpetual, f future';
COMMENT ON COLUMN kandle.market_listings.status IS 't trading, h halted, d delisted';
COMMENT ON COLUMN kandle.market_listings.venue_symbol IS 'The venue''s own name, for example BTCUSDT';
COMMENT ON COLUMN kandle.market_listings.base IS 'Base currency';
COMMENT ON COLUMN kandle.market_listings.quote IS 'Quote currency';

CREATE OR REPLACE VIEW public.indicators AS
SELECT v."time", i.venue, i.symbol, v."interval", v.name, v.value, v.complete, v.revision
FROM kandle.market_indicators v JOIN kandle.instruments i ON i.id = v.instrument_id;

CREATE VIEW public.tickers AS
SELECT t."time", i.venue, i.symbol, t.last, t.bid, t.ask, t.open, t.high, t.low, t.base_volume, t.quote_volume,
       t.change, t.change_percent, t.receive_time
FROM kandle.market_tickers t JOIN kandle.instruments i ON i.id = t.instrument_id;
COMMENT ON VIEW public.tickers IS 'Figures of the last 24 hours as venues say them, each statement once';

CREATE VIEW public.exchange_candles AS
SELECT c."time", i.venue, i.symbol, c."interval", c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       c.taker_buy_volume, c.trade_count, c.closed, c.close_time, c.first_sequence, c.last_sequence,
       c.event_time, c.receive_time
FROM kandle.market_exchange_candles c JOIN kandle.instruments i ON i.id = c.instrument_id;
COMMENT ON VIEW public.exchange_candles IS 'Candles as the venues themselves compute them, each in its newest state';

CREATE VIEW public.derivatives AS
SELECT d."time", i.venue, i.symbol, d.mark_price, d.index_price, d.funding_rate, d.next_funding_time,
       d.open_interest, d.event_time, d.receive_time
FROM kandle.market_derivatives d JOIN kandle.instruments i ON i.id = d.instrument_id;
COMMENT ON VIEW public.derivatives IS 'What venues say of perpetuals and futures, one row a moment; null where nothing was said';

CREATE VIEW public.liquidations AS
SELECT l."time", i.venue, i.symbol, CASE l.side WHEN 'b' THEN 'buy' WHEN 's' THEN 'sell' ELSE 'unknown' END AS side,
       l.price, l.size, l.raw_size, l.receive_time
FROM kandle.market_liquidations l JOIN kandle.instruments i ON i.id = l.instrument_id;
COMMENT ON VIEW public.liquidations IS 'Positions that venues closed by force, each once';

CREATE VIEW public.trade_bars AS
SELECT b."time", i.venue, i.symbol, CASE b.kind WHEN 't' THEN 'tick' WHEN 'b' THEN 'volume' ELSE 'value' END AS kind,
       b.threshold, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.taker_buy_volume, b.trade_count,
       b.vwap, b.is_full, b.complete, b.close_time, b.session, b.number, b.first_sequence, b.last_sequence
FROM kandle.market_bars b JOIN kandle.instruments i ON i.id = b.instrument_id;
COMMENT ON VIEW public.trade_bars IS 'Bars that are full by what was traded, each once; never revised';

CREATE VIEW public.live_candles AS
SELECT c."time", i.venue, i.symbol, c."interval", c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       c.taker_buy_volume, c.trade_count, c.close_time, c.as_of
FROM kandle.market_live_candles c JOIN kandle.instruments i ON i.id = c.instrument_id;
COMMENT ON VIEW public.live_candles IS 'The newest candle that was seen open, one row an instrument and interval';

CREATE VIEW public.listing_changes AS
SELECT l."time", i.venue, i.symbol, l.venue_symbol, l.base, l.quote,
       CASE l.kind WHEN 's' THEN 'spot' WHEN 'p' THEN 'perpetual' ELSE 'future' END AS kind,
       CASE l.status WHEN 't' THEN 'trading' WHEN 'h' THEN 'halted' ELSE 'delisted' END AS status,
       l.tick_size, l.lot_size, l.min_notional, l.multiplier
FROM kandle.market_listings l JOIN kandle.instruments i ON i.id = l.instrument_id;
COMMENT ON VIEW public.listing_changes IS 'What venues list, one row a change';

CREATE VIEW public.listings AS
SELECT l."time", i.venue, i.symbol, l.venue_symbol, l.base, l.quote,
       CASE l.kind WHEN 's' THEN 'spot' WHEN 'p' THEN 'perpetual' ELSE 'future' END AS kind,
       CASE l.status WHEN 't' THEN 'trading' WHEN 'h' THEN 'halted' ELSE 'delisted' END AS status,
       l.tick_size, l.lot_size, l.min_notional, l.multiplier
FROM kandle.instruments i JOIN LATERAL (
    SELECT * FROM kandle.market_listings n WHERE n.instrument_id = i.id ORDER BY n."time" DESC LIMIT 1
) l ON true;
COMMENT ON VIEW public.listings IS 'What venues list, in its newest state, one row an instrument';

-- A column of a view that has no comment of its own says what the column of its table says; words that all
-- views share are given once. Later views call this as well.
CREATE FUNCTION kandle.comment_view(view_name text, table_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT v.attname, v.attrelid,
               CASE v.attname
                   WHEN 'venue' THEN 'Name of the venue'
                   WHEN 'symbol' THEN 'Unified symbol, for example BTC/USDT'
                   ELSE col_description(t.attrelid, t.attnum)
               END AS words
        FROM pg_attribute v
        LEFT JOIN pg_attribute t ON t.attrelid = format('kandle.%I', table_name)::regclass AND t.attname = v.attname
        WHERE v.attrelid = format('public.%I', view_name)::regclass AND v.attnum > 0
          AND col_description(v.attrelid, v.attnum) IS NULL
    LOOP
        IF found.words IS NOT NULL THEN
            EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', found.attrelid::regclass, found.attname, found.words);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION kandle.comment_view IS 'Give the columns of a view of schema public that have no comment those of a table of schema kandle';
COMMENT ON COLUMN public.liquidations.side IS 'Side of the order that closes it: buy, sell (it closes a long) or unknown';
COMMENT ON COLUMN public.trade_bars.kind IS 'What fills it: tick (trades), volume (base units) or value (quote currency)';
COMMENT ON COLUMN public.listing_changes.kind IS 'spot, perpetual or future';
COMMENT ON COLUMN public.listing_changes.status IS 'trading, halted or delisted';
COMMENT ON COLUMN public.listings.kind IS 'spot, perpetual or future';
COMMENT ON COLUMN public.listings.status IS 'trading, halted or delisted';
SELECT kandle.comment_view(view_name, table_name) FROM (VALUES
    ('trades', 'market_trades'), ('quotes', 'market_quotes'), ('candles', 'market_candles'),
    ('indicators', 'market_indicators'), ('signals', 'market_signals'), ('tickers', 'market_tickers'),
    ('exchange_candles', 'market_exchange_candles'), ('derivatives', 'market_derivatives'),
    ('liquidations', 'market_liquidations'), ('trade_bars', 'market_bars'), ('live_candles', 'market_live_candles'),
    ('listings', 'market_listings'), ('listing_changes', 'market_listings')
) AS pairs (view_name, table_name);
COMMENT ON COLUMN public.candles.vwap IS 'Volume-weighted average price, quote currency per base unit; null where nothing was traded';
COMMENT ON COLUMN public.trades.trade_id IS 'The venue''s id of the trade';
