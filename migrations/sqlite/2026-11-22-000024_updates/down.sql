DROP TRIGGER audit_log_is_not_replaced;
DROP INDEX deliveries_texts_to_person;
DROP INDEX deliveries_texts_of_tenant;
CREATE INDEX deliveries_sms_to_person ON deliveries (recipient_id, due_at) WHERE channel = 3;
CREATE INDEX deliveries_sms_of_tenant ON deliveries (tenant, due_at) WHERE channel = 3;
