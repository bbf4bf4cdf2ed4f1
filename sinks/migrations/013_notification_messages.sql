-- Notifications in messages: one may tell of many causes, and some wait for the end of quiet hours.

ALTER TABLE kandle.notifications
    ADD COLUMN type     text NOT NULL DEFAULT 'signal',
    ADD COLUMN severity text NOT NULL DEFAULT 'info' CHECK (severity IN ('info', 'warning', 'error')),
    ADD COLUMN due      timestamptz,
    ADD COLUMN message  text,
    ADD COLUMN form     text CHECK (form IN ('single', 'folded', 'digest')),
    DROP CONSTRAINT notifications_outcome_check,
    ADD CONSTRAINT notifications_outcome_check CHECK (
        outcome IN ('pending', 'held', 'sent', 'folded', 'digested', 'suppressed', 'dead_letter')),
    ADD CONSTRAINT notifications_message_has_form CHECK ((message IS NULL) = (form IS NULL));

DROP INDEX kandle.notifications_pending;
CREATE INDEX notifications_waiting ON kandle.notifications (channel, event_time, cause_id)
    WHERE outcome IN ('pending', 'held') AND message IS NULL;
CREATE INDEX notifications_under_way ON kandle.notifications (channel, message, event_time, cause_id)
    WHERE outcome = 'pending' AND message IS NOT NULL;
CREATE INDEX notifications_told_singly ON kandle.notifications (channel, rule, type, event_time)
    WHERE outcome = 'sent';

COMMENT ON TABLE kandle.notifications IS 'Ledger of notifications: one row for each cause and channel, whatever is read again; rows with the same message are told of in one';
COMMENT ON COLUMN kandle.notifications.cause_id IS 'Id of the record that caused it: of a signal or a system event';
COMMENT ON COLUMN kandle.notifications.channel IS 'Name of the channel in the settings; without one its kind and a hash of its address, no secrets';
COMMENT ON COLUMN kandle.notifications.type IS 'Of what is told: signal, price_alert, provider_trouble and so on';
COMMENT ON COLUMN kandle.notifications.severity IS 'Severity of the cause: info, warning, error';
COMMENT ON COLUMN kandle.notifications.due IS 'End of the quiet hours that hold it; null if none did';
COMMENT ON COLUMN kandle.notifications.message IS 'Key of the message that tells of it, the same for every attempt; null until one is made';
COMMENT ON COLUMN kandle.notifications.form IS 'Form of that message: single, folded (many of a rule), digest (late ones)';
COMMENT ON COLUMN kandle.notifications.outcome IS 'pending; held (quiet hours); sent, folded, digested by the form of the message; suppressed (quiet hours that drop); dead_letter';
COMMENT ON COLUMN kandle.notifications.attempts IS 'Attempts at its message that have failed';
COMMENT ON COLUMN kandle.notifications.settled IS 'When it was told, suppressed or given up, by the clock of the database; null before';
COMMENT ON COLUMN kandle.offsets.rows_stored IS 'Rows (notifications: causes told to a channel) that were new, since the beginning; a repeat or a revision adds nothing';
