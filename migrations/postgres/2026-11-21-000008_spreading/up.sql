-- Who of a tenant is connected, by their sockets and by name.
CREATE INDEX connections_tenant ON connections (tenant, socket_id);
CREATE INDEX connections_user ON connections (tenant, user_id);
