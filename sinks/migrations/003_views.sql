-- What readers may rely on: these views, these columns, in this order, whatever the tables beneath.

CREATE VIEW public.trades AS
SELECT t."time", i.venue, i.symbol, coalesce(t.trade_id, t.sequence::text) AS trade_id, t.price, t.size,
       CASE t.side WHEN 'b' THEN 'buy' WHEN 's' THEN 'sell' ELSE 'unknown' END AS side, t.receive_time
FROM kandle.market_trades t JOIN kandle.instruments i ON i.id = t.instrument_id;
COMMENT ON VIEW public.trades IS 'Public trades, each once';
COMMENT ON COLUMN public.trades."time" IS 'Execution time by the venue';
COMMENT ON COLUMN public.trades.trade_id IS 'The venue''s id';
COMMENT ON COLUMN public.trades.price IS 'Quote currency per base unit';
COMMENT ON COLUMN public.trades.size IS 'Base units';
COMMENT ON COLUMN public.trades.side IS 'Aggressor: buy, sell or unknown';
COMMENT ON COLUMN public.trades.receive_time IS 'When the frame arrived at the socket, by the producer''s clock';

CREATE VIEW public.quotes AS
SELECT q."time", i.venue, i.symbol, q.bid, q.bid_size, q.ask, q.ask_size, q.receive_time
FROM kandle.market_quotes q JOIN kandle.instruments i ON i.id = q.instrument_id;
COMMENT ON VIEW public.quotes IS 'Best bid and ask, one row a change; prices in quote currency per base unit, sizes in base units';
COMMENT ON COLUMN public.quotes."time" IS 'Time of the venue; the receive time where it gives none';
COMMENT ON COLUMN public.quotes.receive_time IS 'When the frame arrived at the socket, by the producer''s clock';

CREATE VIEW public.candles AS
SELECT c."time", i.venue, i.symbol, c."interval", c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       c.trade_count, c.complete, c.revision
FROM kandle.market_candles c JOIN kandle.instruments i ON i.id = c.instrument_id;
COMMENT ON VIEW public.candles IS 'Closed candles, each in its newest revision; prices in quote currency per base unit';
COMMENT ON COLUMN public.candles."time" IS 'Open time';
COMMENT ON COLUMN public.candles.volume IS 'Base units traded';
COMMENT ON COLUMN public.candles.quote_volume IS 'Quote currency traded';
COMMENT ON COLUMN public.candles.complete IS 'False when trades are missing: a gap, or the feed began or ended inside';
COMMENT ON COLUMN public.candles.revision IS 'Corrections by late trades so far';

CREATE VIEW public.indicators AS
SELECT v."time", i.venue, i.symbol, v."interval", v.name, v.value
FROM kandle.market_indicators v JOIN kandle.instruments i ON i.id = v.instrument_id;
COMMENT ON VIEW public.indicators IS 'Values of indicators at closed candles, in the unit of each indicator';
COMMENT ON COLUMN public.indicators."time" IS 'Open time of the candle';

CREATE VIEW public.signals AS
SELECT s."time", i.venue, i.symbol, s."interval", s.rule, s.direction, s.strength
FROM kandle.market_signals s JOIN kandle.instruments i ON i.id = s.instrument_id;
COMMENT ON VIEW public.signals IS 'Signals, each once';
COMMENT ON COLUMN public.signals."time" IS 'Open time of the candle';
COMMENT ON COLUMN public.signals.direction IS 'long, short or neutral';
COMMENT ON COLUMN public.signals.strength IS '0 (weak) to 1 (strong)';
