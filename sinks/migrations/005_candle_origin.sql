-- Candles say where they come from, and readers see what else is known of them.

ALTER TABLE kandle.market_candles ADD COLUMN backfilled boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN kandle.market_candles.backfilled IS 'Whether it is the venue''s own candle, read as history; then what it does not tell is 0';

CREATE OR REPLACE VIEW public.candles AS
SELECT c."time", i.venue, i.symbol, c."interval", c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       c.trade_count, c.complete, c.revision, c.taker_buy_volume,
       CASE WHEN c.volume > 0 AND NOT c.backfilled THEN greatest(c.low, least(c.high, c.quote_volume / c.volume)) END AS vwap, c.backfilled
FROM kandle.market_candles c JOIN kandle.instruments i ON i.id = c.instrument_id;
COMMENT ON COLUMN public.candles.taker_buy_volume IS 'Base units traded by buying aggressors';
COMMENT ON COLUMN public.candles.vwap IS 'Volume-weighted average price; null where nothing was traded';
COMMENT ON COLUMN public.candles.backfilled IS 'Whether it is the venue''s own candle, read as history; then what it does not tell is 0';
