DROP INDEX recipients_tenant;
