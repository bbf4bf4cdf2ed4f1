-- What is given up goes to the dead letters as it was read, with its headers.

ALTER TABLE kandle.notifications ADD COLUMN headers bytea;
COMMENT ON COLUMN kandle.notifications.headers IS 'Headers of the cause in the topic, in order: JSON, pairs of a name and a value in base64, or null; null if it had none, or was queued before they were kept';
