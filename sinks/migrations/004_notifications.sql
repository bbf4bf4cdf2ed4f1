-- Which notification goes, or went, where: queued once, delivered by channel, never queued again.

CREATE TABLE kandle.notifications (
    cause_id     text NOT NULL,
    channel      text NOT NULL,
    rule         text NOT NULL,
    topic_id     integer NOT NULL REFERENCES kandle.topics,
    partition    integer NOT NULL,
    kafka_offset bigint NOT NULL,
    key          bytea,
    value        bytea NOT NULL,
    event_time   timestamptz NOT NULL,
    outcome      text NOT NULL DEFAULT 'pending' CHECK (outcome IN ('pending', 'sent', 'dead_letter')),
    attempts     integer NOT NULL DEFAULT 0,
    queued       timestamptz NOT NULL DEFAULT now(),
    settled      timestamptz,
    PRIMARY KEY (cause_id, channel)
);
CREATE INDEX notifications_pending ON kandle.notifications (channel, event_time) WHERE outcome = 'pending';
COMMENT ON TABLE kandle.notifications IS 'Ledger of notifications: one row for each cause and channel, whatever is read again';
COMMENT ON COLUMN kandle.notifications.cause_id IS 'Id of the record that caused it: a signal''s id';
COMMENT ON COLUMN kandle.notifications.channel IS 'Short name of the channel: its kind and a hash of its address, no secrets';
COMMENT ON COLUMN kandle.notifications.rule IS 'Name of the rule in the settings that chose the channel';
COMMENT ON COLUMN kandle.notifications.topic_id IS 'Topic of the cause, see kandle.topics';
COMMENT ON COLUMN kandle.notifications.partition IS 'Partition of the cause';
COMMENT ON COLUMN kandle.notifications.kafka_offset IS 'Offset of the cause';
COMMENT ON COLUMN kandle.notifications.key IS 'Key of the cause, as it stands in the topic';
COMMENT ON COLUMN kandle.notifications.value IS 'Value of the cause, as it stands in the topic';
COMMENT ON COLUMN kandle.notifications.event_time IS 'Exchange time of the cause';
COMMENT ON COLUMN kandle.notifications.outcome IS 'pending; sent; dead_letter after the last attempt failed';
COMMENT ON COLUMN kandle.notifications.attempts IS 'Attempts made by the process that settled it';
COMMENT ON COLUMN kandle.notifications.queued IS 'When the row was made, by the clock of the database';
COMMENT ON COLUMN kandle.notifications.settled IS 'When it was sent or given up, by the clock of the database; null while pending';
