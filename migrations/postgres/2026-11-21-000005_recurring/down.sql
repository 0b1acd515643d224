DROP TABLE recurrences;
DROP INDEX recurring_due;
DROP INDEX recurring_owner;
DROP INDEX recurring_idempotency_key;
DROP TABLE recurring;
