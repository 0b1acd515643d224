DROP TRIGGER times_of_acceptance_are_counted;
DROP TRIGGER delivery_changes_are_counted;
DROP TRIGGER inbox_changes_are_counted;
DROP TABLE analytics_changes;
DROP TABLE analytics_place;
DROP TABLE analytics_latencies;
DROP TABLE analytics;
