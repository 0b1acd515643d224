DROP INDEX connections_user;
DROP INDEX connections_tenant;
