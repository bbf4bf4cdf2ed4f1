-- What the sinks know of topics, offsets, marks and ids. All of it moves in the transactions that store the rows.

CREATE TABLE kandle.topics (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    kafka_id   text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    retired    timestamptz
);
CREATE UNIQUE INDEX topics_current ON kandle.topics (name) WHERE retired IS NULL;
COMMENT ON TABLE kandle.topics IS 'Kafka topics that a sink has read; a topic made again has another id and another row';
COMMENT ON COLUMN kandle.topics.id IS 'Short number used by the other tables';
COMMENT ON COLUMN kandle.topics.name IS 'Name of the topic';
COMMENT ON COLUMN kandle.topics.kafka_id IS 'Id that Kafka gave the topic when it was created';
COMMENT ON COLUMN kandle.topics.first_seen IS 'When a sink first read it';
COMMENT ON COLUMN kandle.topics.retired IS 'When the topic of this id was accepted as gone; null while it is in use';

CREATE TABLE kandle.offsets (
    sink          text NOT NULL,
    topic_id      integer NOT NULL REFERENCES kandle.topics,
    partition     integer NOT NULL,
    next_offset   bigint NOT NULL,
    rows_stored   bigint NOT NULL DEFAULT 0,
    rows_revised  bigint NOT NULL DEFAULT 0,
    rows_repeated bigint NOT NULL DEFAULT 0,
    dead_letters  bigint NOT NULL DEFAULT 0,
    updated       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sink, topic_id, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE kandle.offsets IS 'How far each sink has stored each partition; decides where it reads on';
COMMENT ON COLUMN kandle.offsets.sink IS 'Name of the sink: timescale, notifications';
COMMENT ON COLUMN kandle.offsets.topic_id IS 'Topic, see kandle.topics';
COMMENT ON COLUMN kandle.offsets.partition IS 'Partition of the topic';
COMMENT ON COLUMN kandle.offsets.next_offset IS 'Offset of the first record that is not stored yet';
COMMENT ON COLUMN kandle.offsets.rows_stored IS 'Rows (notifications: messages sent) that were new, since the beginning; a repeat or a revision adds nothing';
COMMENT ON COLUMN kandle.offsets.rows_revised IS 'Rows replaced by a newer revision, since the beginning';
COMMENT ON COLUMN kandle.offsets.rows_repeated IS 'Records dropped as repeats or older revisions, since the beginning';
COMMENT ON COLUMN kandle.offsets.dead_letters IS 'Records sent to the dead letter topic, since the beginning';
COMMENT ON COLUMN kandle.offsets.updated IS 'When the offset last moved, by the clock of the database';

CREATE TABLE kandle.marks (
    sink         text NOT NULL,
    topic_id     integer NOT NULL REFERENCES kandle.topics,
    partition    integer NOT NULL,
    venue        text NOT NULL,
    source       text NOT NULL,
    "time"       timestamptz NOT NULL,
    final        boolean NOT NULL,
    instance     text NOT NULL,
    kafka_offset bigint NOT NULL,
    PRIMARY KEY (sink, topic_id, partition, venue, source)
);
COMMENT ON TABLE kandle.marks IS 'Newest time mark of each source that a sink has passed, per partition; a run has drained when its final mark stands in all of them';
COMMENT ON COLUMN kandle.marks.sink IS 'Name of the sink';
COMMENT ON COLUMN kandle.marks.topic_id IS 'Topic, see kandle.topics';
COMMENT ON COLUMN kandle.marks.partition IS 'Partition of the topic';
COMMENT ON COLUMN kandle.marks.venue IS 'Venue of the mark';
COMMENT ON COLUMN kandle.marks.source IS 'Stable name of the shard that wrote the mark';
COMMENT ON COLUMN kandle.marks."time" IS 'Exchange time up to which the source has delivered everything';
COMMENT ON COLUMN kandle.marks.final IS 'Whether the feed ended with this mark';
COMMENT ON COLUMN kandle.marks.instance IS 'Id of the run that wrote the mark';
COMMENT ON COLUMN kandle.marks.kafka_offset IS 'Offset of the mark in its partition';

CREATE TABLE kandle.instruments (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    venue  text NOT NULL,
    symbol text NOT NULL,
    UNIQUE (venue, symbol)
);
COMMENT ON TABLE kandle.instruments IS 'What a venue trades under a symbol';
COMMENT ON COLUMN kandle.instruments.id IS 'Short number used by the tables of market data';
COMMENT ON COLUMN kandle.instruments.venue IS 'Name of the venue';
COMMENT ON COLUMN kandle.instruments.symbol IS 'Unified symbol, for example BTC/USDT';

CREATE TABLE kandle.seen_ids (
    topic_id      integer NOT NULL REFERENCES kandle.topics,
    partition     integer NOT NULL,
    instrument_id integer NOT NULL REFERENCES kandle.instruments,
    ids           int8multirange NOT NULL,
    floor         bigint NOT NULL,
    PRIMARY KEY (topic_id, partition, instrument_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE kandle.seen_ids IS 'Sequence numbers stored so far; what stands here is dropped as a repeat';
COMMENT ON COLUMN kandle.seen_ids.topic_id IS 'Topic, see kandle.topics';
COMMENT ON COLUMN kandle.seen_ids.partition IS 'Partition that holds the instrument';
COMMENT ON COLUMN kandle.seen_ids.instrument_id IS 'Instrument, see kandle.instruments';
COMMENT ON COLUMN kandle.seen_ids.ids IS 'Ranges of sequence numbers';
COMMENT ON COLUMN kandle.seen_ids.floor IS 'Ids from here on are all in the ranges; below, the table itself is asked';
