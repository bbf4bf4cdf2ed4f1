-- Which notification went where: what stands here is not sent again.

CREATE TABLE kandle.notifications (
    cause_id   text NOT NULL,
    channel    text NOT NULL,
    rule       text NOT NULL,
    outcome    text NOT NULL CHECK (outcome IN ('sent', 'dead_letter')),
    attempts   integer NOT NULL,
    event_time timestamptz NOT NULL,
    settled    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cause_id, channel)
);
COMMENT ON TABLE kandle.notifications IS 'Ledger of notifications; a row is written once a channel took the message, or after the last attempt';
COMMENT ON COLUMN kandle.notifications.cause_id IS 'Id of the record that caused it: a signal''s id';
COMMENT ON COLUMN kandle.notifications.channel IS 'Short name of the channel: its kind and a hash of its address, no secrets';
COMMENT ON COLUMN kandle.notifications.rule IS 'Name of the rule in the settings that chose the channel';
COMMENT ON COLUMN kandle.notifications.outcome IS 'sent, or dead_letter after the last attempt failed';
COMMENT ON COLUMN kandle.notifications.attempts IS 'Attempts made by the process that settled it';
COMMENT ON COLUMN kandle.notifications.event_time IS 'Exchange time of the cause';
COMMENT ON COLUMN kandle.notifications.settled IS 'When the row was written, by the clock of the database';
