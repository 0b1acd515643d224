DROP TABLE stopped_numbers;
DROP INDEX deliveries_mail_to_oneself;
DROP INDEX deliveries_put_off;
