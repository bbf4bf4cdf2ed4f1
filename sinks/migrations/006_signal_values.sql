-- Readers see what a signal rests on.

CREATE OR REPLACE VIEW public.signals AS
SELECT s."time", i.venue, i.symbol, s."interval", s.rule, s.direction, s.strength,
       s.complete, s.event_time, s.candle_id, s."values"
FROM kandle.market_signals s JOIN kandle.instruments i ON i.id = s.instrument_id;
COMMENT ON COLUMN public.signals.complete IS 'False when the candles it saw miss trades';
COMMENT ON COLUMN public.signals.event_time IS 'Exchange time at which the rule fired';
COMMENT ON COLUMN public.signals.candle_id IS 'ce_id of the candle; of an alert on trades, the id of the trade';
COMMENT ON COLUMN public.signals."values" IS 'What the rule saw, by name';
