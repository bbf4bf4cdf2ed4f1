-- Samples of quotes and of order books.
--
-- Where quotes are sampled: the newest quote of each market stands here, as long as others of its interval may
-- replace it, and moves to the table when the next interval begins. Readers see both as one.

CREATE TABLE kandle.quote_samples (
    topic_id      integer NOT NULL REFERENCES kandle.topics,
    partition     integer NOT NULL,
    newest        timestamptz NOT NULL,
    "time"        timestamptz NOT NULL,
    receive_time  timestamptz NOT NULL,
    sequence      bigint,
    bid           double precision,
    bid_size      double precision NOT NULL,
    ask           double precision,
    ask_size      double precision NOT NULL,
    instrument_id integer NOT NULL,
    PRIMARY KEY (topic_id, partition, instrument_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE kandle.quote_samples IS 'Newest quote of each market whose interval has not ended, where sink.quotes_every_ms samples quotes';
COMMENT ON COLUMN kandle.quote_samples.topic_id IS 'Topic, see kandle.topics';
COMMENT ON COLUMN kandle.quote_samples.partition IS 'Partition that holds the instrument';
COMMENT ON COLUMN kandle.quote_samples.newest IS 'Newest time of any quote of the market so far, UTC; decides on the interval';
COMMENT ON COLUMN kandle.quote_samples."time" IS 'Time of the venue, UTC; the receive time where it gives none';
COMMENT ON COLUMN kandle.quote_samples.receive_time IS 'When the frame arrived at the socket, by the producer''s clock, UTC';
COMMENT ON COLUMN kandle.quote_samples.sequence IS 'The venue''s number of the update; null where it has none';
COMMENT ON COLUMN kandle.quote_samples.bid IS 'Quote currency per base unit; null where there is no bid';
COMMENT ON COLUMN kandle.quote_samples.bid_size IS 'Base units';
COMMENT ON COLUMN kandle.quote_samples.ask IS 'Quote currency per base unit; null where there is no ask';
COMMENT ON COLUMN kandle.quote_samples.ask_size IS 'Base units';
COMMENT ON COLUMN kandle.quote_samples.instrument_id IS 'Instrument, see kandle.instruments';

CREATE OR REPLACE VIEW public.quotes AS
SELECT q."time", i.venue, i.symbol, q.bid, q.bid_size, q.ask, q.ask_size, q.receive_time
FROM (
    SELECT "time", bid, bid_size, ask, ask_size, receive_time, instrument_id FROM kandle.market_quotes
    UNION ALL
    SELECT "time", bid, bid_size, ask, ask_size, receive_time, instrument_id FROM kandle.quote_samples
) q JOIN kandle.instruments i ON i.id = q.instrument_id;
COMMENT ON VIEW public.quotes IS 'Best bid and ask: one row a change, or the last of each interval where sink.quotes_every_ms is set; prices in quote currency per base unit, sizes in base units';

CREATE TABLE kandle.market_book_samples (
    "time"        timestamptz NOT NULL,
    last_sequence bigint,
    instrument_id integer NOT NULL,
    bid_prices    double precision[] NOT NULL,
    bid_sizes     double precision[] NOT NULL,
    ask_prices    double precision[] NOT NULL,
    ask_sizes     double precision[] NOT NULL,
    PRIMARY KEY (instrument_id, "time")
);
SELECT kandle.cut_by_time('market_book_samples', 'day');
COMMENT ON TABLE kandle.market_book_samples IS 'Best levels of order books, once a second where the book has changed and is wholly known';
COMMENT ON COLUMN kandle.market_book_samples."time" IS 'When the book was so, exchange time, UTC';
COMMENT ON COLUMN kandle.market_book_samples.last_sequence IS 'The venue''s number of the newest update in it; null where it has none';
COMMENT ON COLUMN kandle.market_book_samples.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.market_book_samples.bid_prices IS 'Bids, best first, quote currency per base unit';
COMMENT ON COLUMN kandle.market_book_samples.bid_sizes IS 'Their sizes, base units';
COMMENT ON COLUMN kandle.market_book_samples.ask_prices IS 'Asks, best first, quote currency per base unit';
COMMENT ON COLUMN kandle.market_book_samples.ask_sizes IS 'Their sizes, base units';

CREATE VIEW public.book_samples AS
SELECT b."time", i.venue, i.symbol, b.bid_prices, b.bid_sizes, b.ask_prices, b.ask_sizes, b.last_sequence
FROM kandle.market_book_samples b JOIN kandle.instruments i ON i.id = b.instrument_id;
COMMENT ON VIEW public.book_samples IS 'Best levels of order books, once a second where the book has changed and is wholly known';
SELECT kandle.comment_view('book_samples', 'market_book_samples');
