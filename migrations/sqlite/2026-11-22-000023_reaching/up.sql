-- What was put off till later: found when its recipient's quiet hours change.
CREATE INDEX deliveries_put_off ON deliveries (recipient_id) WHERE state = 0 AND reason = 'put off';

-- How many e-mails somebody sent to themselves lately.
CREATE INDEX deliveries_mail_to_oneself ON deliveries (recipient_id, due_at) WHERE channel = 1 AND number_digest IS NOT NULL;

-- Numbers that said STOP, whoever they are known of.
CREATE TABLE stopped_numbers (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    number_digest TEXT    NOT NULL,
    stopped_at    BIGINT  NOT NULL
);
CREATE UNIQUE INDEX stopped_numbers_digest ON stopped_numbers (number_digest);
